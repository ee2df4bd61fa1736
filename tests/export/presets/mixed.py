"""Options that no toolkit puts together: models chosen so that every pair of values of two different options occurs
in at least one of them, where the two can go together."""

from __future__ import annotations

import dataclasses
import itertools
import random

import numpy as np
from heed_export.model.builder import ZERO, Model
from heed_export.model.layers import Cell
from heed_export.model.vocabulary import Vocabulary
from reference import mixed, trace

from . import Preset, random_like, sources

VALUES = {
    "cell": mixed.CELLS,
    "encoder": mixed.ENCODERS,
    "attention": mixed.ATTENTIONS,
    "normalizer": mixed.NORMALIZERS,
    "place": mixed.PLACES,
    "first": mixed.FIRSTS,
    "readout": mixed.READOUTS,
    "start": mixed.STARTS,
    "copy": mixed.COPIES,
}
PIECES = 19


def pairs(o: mixed.Options) -> set[tuple]:
    named = [(name, getattr(o, name)) for name in VALUES]
    return set(itertools.combinations(named, 2))


def chosen() -> list[mixed.Options]:
    """A greedy cover of all pairs that can be, the same at every run."""
    rng = random.Random(7)
    pool = [
        o for _ in range(4000)
        if (o := mixed.Options(**{name: rng.choice(values) for name, values in VALUES.items()})).possible()
    ]  # fmt: skip
    left = set().union(*map(pairs, pool))
    found = []
    while left:
        best = max(pool, key=lambda o: len(pairs(o) & left))
        found.append(best)
        left -= pairs(best)
    return found


def _cell(o: mixed.Options, w: dict, name: str) -> Cell:
    """The same layout as the oracle's, which is the bundle's too."""
    weights = w[f"{name}.input"], w.get(f"{name}.state"), w[f"{name}.bias"], w.get(f"{name}.bias_state")
    return {
        "lstm": lambda: Cell("lstm", *weights),
        "lstm_hard": lambda: Cell("lstm", *weights, gate="hard_sigmoid"),
        "gru_after": lambda: Cell("gru", *weights, reset="after"),
        "gru_before": lambda: Cell("gru", *weights, reset="before"),
        "rnn_relu": lambda: Cell("rnn", *weights, function="relu"),
        "ssru": lambda: Cell("ssru", *weights),
    }[o.cell]()


def _memory(m: Model, o: mixed.Options, w: dict):
    x = m.encoder.embed("source_embedding", w["source"])
    if o.encoder == "self_attention":
        parts = ((w[f"self.{p}"], w[f"self.{p}b"]) for p in "qkvo")
        return m.encoder.self_attend("memory", m.encoder.position("placed", x), 2, *parts)
    if o.encoder == "forward":
        return m.encoder.rnn("memory", x, _cell(o, w, "forward"))
    both = m.encoder.birnn("both", x, _cell(o, w, "forward"), _cell(o, w, "backward"))
    return m.encoder.linear("memory", both, w["join"])


def _attend(m: Model, o: mixed.Options, w: dict, query, memory):
    fields: dict = {"normalizer": o.normalizer}
    kind = o.attention
    if kind == "two_heads":
        kind, fields = "dot", fields | {"heads": 2, "scale": (o.size // 2) ** -0.5}
    elif kind == "general":
        fields["key_weight"] = w["key"]
    elif kind == "location":
        fields |= {"query_weight": w["query"], "query_bias": w["query.bias"], "slots": o.slots}
    elif kind in ("additive", "coverage"):
        fields |= {
            f"{p}_{k}": w[p if k == "weight" else f"{p}.bias"] for p in ("key", "query") for k in ("weight", "bias")
        }
        fields |= {"v": w["v"], "v_bias": w["v.bias"]}
        if kind == "coverage":
            fields |= {"coverage": m.step.previous("coverage", positions=1), "coverage_weight": w["coverage"]}
        kind = "additive"
    context = m.step.attend("attention", kind, query, memory, **fields)
    if "coverage" in fields:
        m.step.add("coverage", [fields["coverage"], context.weights])
    return context


def build(o: mixed.Options, w: dict) -> Model:
    source, target = (
        Vocabulary(unk=2, bos=0, eos=1, pieces=["<s>", "</s>", "<unk>"] + [f"w{i}" for i in range(PIECES - 3)])
        for _ in range(2)
    )
    m = Model(source, target, max_source_tokens=o.slots if o.attention == "location" else None)
    memory = _memory(m, o, w)
    first = ZERO
    if o.first != "zero":
        pooled = m.encoder.pool("pooled", memory, o.first)
        first = m.init.linear("start", pooled, w["first"], w["first.bias"], "tanh")
    first_c = {"first_c": ZERO} if o.cell in ("lstm", "lstm_hard", "ssru") else {}
    e = m.step.embed("target_embedding", w["target"])
    if o.attention == "none":
        parts = [m.step.cell("state", e, _cell(o, w, "cell"), first, **first_c)]
    elif o.place == "before":
        before = m.step.previous("state", first, size=o.size, **first_c)
        context = _attend(m, o, w, before, memory)
        parts = [m.step.cell("state", [e, context], _cell(o, w, "cell")), context]
    elif o.place == "after":
        state = m.step.cell("state", e, _cell(o, w, "cell"), first, **first_c)
        parts = [state, _attend(m, o, w, state, memory)]
    else:
        before = m.step.previous("state", first, size=o.size, **first_c)
        inner = m.step.cell("inner", e, _cell(o, w, "cell"), state=before)
        context = _attend(m, o, w, inner, memory)
        parts = [m.step.cell("state", context, _cell(o, w, "second"), state=inner), context]
    x = parts
    if o.readout == "maxout":
        x = m.step.maxout("readout", m.step.linear("wide", parts, w["readout"], w["readout.bias"]), 2)
    elif o.readout != "none":
        x = m.step.linear("readout", parts, w["readout"], w["readout.bias"], o.readout)
    generated = m.step.output("generated", x, w["output"], w["output.bias"])
    if o.copy:
        gate = m.step.linear("gate", parts, w["gate"], w["gate.bias"], "sigmoid")
        m.step.copy("prediction", generated, gate, parts[1].weights, gate_generates=False)
    m.start_with(ZERO if o.start == "zero" else target.bos)
    return m


def preset(o: mixed.Options) -> Preset:
    def make(rng: np.random.Generator):
        w = random_like(rng, mixed.shapes(o, PIECES, PIECES), 0.9)
        model, reference = build(o, w), mixed.Model(o, w)
        start = None if o.start == "zero" else 0
        found = []
        for ids in sources(rng, model.source):
            one = trace.greedy(reference, ids, start, 1, 12, vocabulary=PIECES, unk=2)
            one.copy_ids = list(ids) if o.copy else None
            found.append(one)
        return model, found

    said = [str(v) if name != "copy" else "copying" for name, v in dataclasses.asdict(o).items()
            if name in VALUES and (name != "copy" or v)]  # fmt: skip
    return Preset("pairs: " + ", ".join(said), make)


PRESETS = [preset(o) for o in chosen()]
