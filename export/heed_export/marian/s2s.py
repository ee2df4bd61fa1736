"""Marian's recurrent models (types s2s, amun, nematus) as step programs. Source: marian-dev src/models/s2s.h; the
oracle export/reference/marian.py says the same in NumPy.

Type amun and nematus files hold Nematus's names (src/models/amun.h, src/models/nematus.h); `renamed` undoes that.
"""

from __future__ import annotations

from typing import Container, Mapping, Sequence

import numpy as np

from ..model.builder import ZERO, Model, Program, Value
from ..model.layers import flat, transposed
from ..reading.checkpoint import CheckpointError, Weights
from ..reading.shown import shown
from .cells import EPSILON, NEMATUS_EPSILON, cell, check

_FEED_FORWARD = {"prev": "0", "lstm": "1", "ctx": "2"}
_FIRST = {n: n for n in ("U", "Ux", "W", "Wx", "b", "bx")}
_SECOND = {"U_nl": "U", "Ux_nl": "Ux", "Wc": "W", "Wcx": "Wx", "b_nl": "b", "bx_nl": "bx"}


def renamed(arrays: Mapping[str, np.ndarray], options: Mapping) -> dict[str, np.ndarray]:
    """The arrays under type s2s's names. A file without the dummy decoder_c_tt has them already, as Marian decides
    it."""
    if "decoder_c_tt" not in arrays:
        return dict(arrays)
    dead = ("decoder_c_tt", "uidx", "history_errs")
    return {_renamed(name, options): values for name, values in arrays.items() if name not in dead}


def _renamed(name: str, options: Mapping) -> str:
    if name == "Wemb":
        return name if _shared_source(options) else "encoder_Wemb"
    if name == "Wemb_dec":
        return "decoder_Wemb"
    if name.startswith("ff_state_"):
        return "decoder_" + name
    if name.startswith("ff_logit_"):
        part, _, rest = name[len("ff_logit_") :].partition("_")
        if part in _FEED_FORWARD and rest:
            return f"decoder_ff_logit_l1_{rest}{_FEED_FORWARD[part]}"
        return f"decoder_ff_logit_{part}_{rest}" if part == "l1" else f"decoder_ff_logit_l2_{part}"
    norm = name[-4:] if name.endswith(("_lns", "_lnb")) else ""
    base = name[: len(name) - len(norm)]
    for prefix, target in (("encoder_r_", "encoder_bi_r"), ("encoder_", "encoder_bi")):
        if base.startswith(prefix):
            part, _, depth = base[len(prefix) :].partition("_drt_")
            if depth.isdigit():
                return f"{target}_cell{int(depth) + 1}_{part}{norm}"
            known = part in _FIRST or part in ("gamma1", "gamma2")
            return f"{target}_{part}{norm}" if known else name
    if base.startswith("decoder_"):
        part, _, depth = base[len("decoder_") :].partition("_nl_drt_")
        if depth.isdigit():
            return f"decoder_cell{int(depth) + 2}_{part}{norm}"
        if part in _FIRST:
            return f"decoder_cell1_{part}{norm}"
        if part in _SECOND:
            return f"decoder_cell2_{_SECOND[part]}{norm}"
    return name


def _shared_source(options: Mapping) -> bool:
    return bool(options.get("tied-embeddings-all") or options.get("tied-embeddings-src"))


class _Builder:
    def __init__(self, model: Model, options: Mapping, weights: Weights):
        self.m, self.o, self.w = model, options, weights
        self.norm = bool(options.get("layer-normalization", False))
        self.nematus = options["type"] == "nematus"

    def number(self, name: str, default: int, most: int = 100) -> int:
        value = self.o.get(name, default)
        if type(value) is not int or not 1 <= value <= most:
            raise CheckpointError(f"{self.w.path}: {name}={shown(value)}, expected 1 to {most}")
        return value

    # The encoder.

    def _layer(self, name: str, x: Value, prefixes: Sequence[str], backward: bool) -> Value:
        cells = [cell(self.w, self.o["enc-cell"], p, self.norm, has_input=j == 0) for j, p in enumerate(prefixes)]
        return self.m.encoder.rnn(name, x, cells[0], backward, cells[1:])

    def _stack(self, name: str, x: Value, layers: Sequence[tuple[Sequence[str], bool]]) -> Value:
        """One stack of layers; `skip` adds a layer's input from the second on (src/rnn/rnn.h)."""
        for i, (prefixes, backward) in enumerate(layers):
            y = self._layer(f"{name}{i + 1}", x, prefixes, backward)
            x = self.m.encoder.add(f"{name}{i + 1}_sum", [y, x]) if self.o.get("skip") and i > 0 else y
        return x

    def encoder(self) -> Value:
        kind, depth, cells = (
            self.o.get("enc-type", "bidirectional"),
            self.number("enc-depth", 1),
            self.number("enc-cell-depth", 1),
        )
        if kind not in ("bidirectional", "alternating", "bi-unidirectional"):
            raise CheckpointError(f"{self.w.path}: enc-type={shown(kind)} is not supported")
        first = 1 if kind == "bi-unidirectional" else depth
        if depth > first and cells > 1 and self.o["enc-cell"] == "gru-nematus":
            raise CheckpointError(
                f"{self.w.path}: enc-cell=gru-nematus with enc-cell-depth={cells} and enc-type={shown(kind)} is "
                "not supported (nor does Marian run it)"
            )
        x = self.m.encoder.embed("source", self.table("encoder_Wemb"))

        def direction(name: str, prefix: str, backward: bool) -> Value:
            layers = []
            for i in range(1, first + 1):
                base = f"{prefix}_l{i}" if i > 1 else prefix
                names = [f"{base}_cell{j}" if i > 1 or j > 1 else base for j in range(1, cells + 1)]
                layers.append((names, backward ^ (kind == "alternating" and i % 2 == 0)))
            return self._stack(name, x, layers)

        both = [direction("forward", "encoder_bi", False), direction("backward", "encoder_bi_r", True)]
        memory = self.m.encoder.concat("memory", both)
        if depth > first:
            layers = [([f"encoder_l{i}_cell{j}" for j in range(1, cells + 1)], False) for i in range(2, depth + 1)]
            memory = self._stack("upper", memory, layers)
        return memory

    def table(self, own: str) -> np.ndarray:
        return self.w["Wemb" if _shared_source(self.o) else own]

    # The decoder.

    def dense(self, program: Program, name: str, inputs: Sequence[Value], prefix: str) -> Value:
        """mlp::Dense with tanh (src/layers/generic.h): the inputs' products normalised apart, then added."""
        numbers = [str(i) if len(inputs) > 1 else "" for i in range(len(inputs))]
        weights = [transposed(self.w[f"{prefix}_W{n}"]) for n in numbers]
        biases = [flat(self.w[f"{prefix}_b{n}"]) for n in numbers]
        if not self.norm:
            bias = np.sum(np.array(biases, np.float64), 0)
            return program.linear(name, inputs, np.concatenate(weights, 1), bias, "tanh")
        parts = []
        for n, x, weight, bias in zip(numbers, inputs, weights, biases):
            if self.nematus:
                y = program.linear(f"{name}_product{n}", x, weight, bias)
                scale, shift, epsilon = (
                    flat(self.w[f"{prefix}_ln_s{n}"]),
                    flat(self.w[f"{prefix}_ln_b{n}"]),
                    NEMATUS_EPSILON,
                )
            else:
                y = program.linear(f"{name}_product{n}", x, weight)
                scale, shift, epsilon = flat(self.w[f"{prefix}_gamma{n}"]), bias, EPSILON
            parts.append(program.layer_norm(f"{name}_part{n}", y, scale, shift, epsilon))
        total = program.add(f"{name}_sum", parts) if len(parts) > 1 else parts[0]
        return program.activation(name, total, "tanh")

    def attention(self, query: Value, memory: Value) -> Value:
        """src/rnn/attention.h, GlobalAttention."""
        key, state = transposed(self.w["decoder_Wc_att"]), transposed(self.w["decoder_W_comb_att"])
        bias, v, step = flat(self.w["decoder_b_att"]), flat(self.w["decoder_U_att"]), self.m.step
        if not self.norm:
            return step.attend(
                "attention", "additive", query, memory, key_weight=key, key_bias=bias, query_weight=state, v=v
            )
        if self.nematus:
            keys = self.m.encoder.linear("keys_product", memory, key, bias)
            scales = [
                (flat(self.w[f"decoder_{n}_lns"]), flat(self.w[f"decoder_{n}_lnb"]), NEMATUS_EPSILON)
                for n in ("Wc_att", "W_comb_att")
            ]
        else:
            keys = self.m.encoder.linear("keys_product", memory, key)
            scales = [
                (flat(self.w["decoder_att_gamma1"]), bias, EPSILON),
                (flat(self.w["decoder_att_gamma2"]), None, EPSILON),
            ]
        keys = self.m.encoder.layer_norm("keys", keys, *scales[0])
        query = step.layer_norm("query", step.linear("query_product", query, state), *scales[1])
        return step.attend("attention", "additive", query, memory, keys=keys, v=v)

    def decoder(self, memory: Value) -> None:
        step, kind = self.m.step, self.o["dec-cell"]
        base, depth, high = (
            self.number(n, d) for n, d in (("dec-cell-base-depth", 2), ("dec-depth", 1), ("dec-cell-high-depth", 1))
        )
        if high > 1 and depth > 1 and kind == "gru-nematus":
            raise CheckpointError(
                f"{self.w.path}: dec-cell=gru-nematus with dec-cell-high-depth={high} is not supported "
                "(nor does Marian run it)"
            )
        mean = self.m.init.pool("mean", memory, "mean")
        first = self.dense(self.m.init, "start", [mean], "decoder_ff_state")
        first_c = first if kind in ("lstm", "ssru") else None
        self.m.start_with(ZERO)
        e = step.embed("target", self.table("decoder_Wemb"))

        def chain(state: str, prefixes: Sequence[str], x: Value, final: bool) -> tuple[Value, Value | None]:
            """Cells one behind the other; the last one's op is `state`, whose value a step ago the first starts from.
            With `final` the attention stands behind the first cell and feeds the second."""
            h, context = step.previous(state, first, first_c), None
            for j, prefix in enumerate(prefixes):
                inputs = [x] if j == 0 else [context] if final and j == 1 else []
                name = state if j == len(prefixes) - 1 else f"{state}_cell{j + 1}"
                made = cell(self.w, kind, prefix, self.norm, has_input=bool(inputs), final=final and j > 0)
                h = step.cell(name, inputs, made, state=h)
                if final and j == 0:
                    context = self.attention(h, memory)
            return h, context

        x, context = chain("state", [f"decoder_cell{j}" for j in range(1, base + 1)], e, True)
        for i in range(2, depth + 1):
            y, _ = chain(f"state{i}", [f"decoder_l{i}_cell{j}" for j in range(1, high + 1)], x, False)
            x = step.add(f"state{i}_sum", [y, x]) if self.o.get("skip") else y
        readout = self.dense(step, "readout", [e, x, context], "decoder_ff_logit_l1")
        step.output("output", readout, *output_weights(self.o, self.w, "decoder_ff_logit_l2"))


def output_name(options: Mapping, names: Container[str], name: str) -> str:
    """What the output layer's weight is called (src/layers/output.cpp): [V, X], or [X, V] where it ends in _W."""
    if options.get("tied-embeddings-all") or options.get("tied-embeddings"):
        return "Wemb" if _shared_source(options) else "decoder_Wemb"
    return name + ("_W" if name + "_W" in names else "_Wt")


def output_weights(options: Mapping, w: Weights, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Weight [V, X] and bias of the output layer."""
    called = output_name(options, w, name)
    weight = transposed(w[called]) if called.endswith("_W") else w[called]
    return weight, None if options.get("output-omit-bias") else flat(w[name + "_b"])


def build(model: Model, options: Mapping, weights: Weights) -> None:
    """Fills the model's programs. Raises CheckpointError and BuildError."""
    b = _Builder(model, options, weights)
    for option in ("enc-cell", "dec-cell"):
        check(weights.path, option, shown(options.get(option)), b.norm)
    b.decoder(b.encoder())
