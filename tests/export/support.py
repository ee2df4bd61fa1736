"""What the tests of export/ share: the import path, tiny models, and an interpreter of step programs in NumPy."""

from __future__ import annotations

import pathlib
import re
import sys

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "export"))
torch.set_num_threads(1)

from heed_export.bundle import bundle  # noqa: E402
from heed_export.networks import models  # noqa: E402
from heed_export.training import assemble, programs  # noqa: E402

ARCHITECTURES = {
    "luong-lstm": models.ModelOptions(
        "luong-lstm", src_pieces=23, tgt_pieces=19, embedding=6, encoder_hidden=5, encoder_layers=2, decoder_hidden=10
    ),
    "bahdanau-gru": models.ModelOptions(
        "bahdanau-gru", src_pieces=21, tgt_pieces=21, embedding=6, encoder_hidden=4, encoder_layers=1,
        decoder_hidden=7, attention=9, joint=True,
    ),
    "copying-lstm": models.ModelOptions(
        "luong-lstm", src_pieces=21, tgt_pieces=21, embedding=6, encoder_hidden=5, encoder_layers=2, decoder_hidden=10,
        joint=True, copy=True,
    ),
    "copying-gru": models.ModelOptions(
        "bahdanau-gru", src_pieces=21, tgt_pieces=21, embedding=6, encoder_hidden=4, encoder_layers=1,
        decoder_hidden=7, attention=9, joint=True, copy=True, query_word=True,
    ),
    "lstm": models.ModelOptions(
        "lstm", src_pieces=23, tgt_pieces=19, embedding=6, encoder_hidden=5, encoder_layers=2, decoder_hidden=10
    ),
    "student": models.ModelOptions(
        "student", src_pieces=23, tgt_pieces=19, embedding=12, heads=3, feed_forward=7, encoder_layers=3,
        decoder_layers=2,
    ),
    "generator": models.ModelOptions(
        "pointer-generator", src_pieces=21, tgt_pieces=21, embedding=6, encoder_hidden=4, encoder_layers=1,
        decoder_hidden=7, attention=9, joint=True, unit="words", source_eos=False,
    ),
    "pointer-generator": models.ModelOptions(
        "pointer-generator", src_pieces=21, tgt_pieces=21, embedding=6, encoder_hidden=4, encoder_layers=1,
        decoder_hidden=7, attention=9, joint=True, unit="words", source_eos=False, copy=True,
    ),
}


def extended(arch: str, source: list[int]) -> list[int]:
    """Extended ids of a source: for a model that copies, every 3 is an unknown word and every 4 another one."""
    size, own = ARCHITECTURES[arch].tgt_pieces, {}
    unknown = (3, 4) if ARCHITECTURES[arch].copy else ()
    return [own.setdefault(i, size + len(own)) if i in unknown else i for i in source]


def copies(arch: str, sources: list[list[int]]) -> list[list[int]] | None:
    """The `copies` that decoding takes: of a model that does not copy, none."""
    return [extended(arch, s) for s in sources] if ARCHITECTURES[arch].copy else None


@torch.no_grad()
def trained_log_probabilities(model, source: list[int], copy_ids: list[int], fed: list[int]) -> np.ndarray:
    """What the training model says under teacher forcing: [T, V], of a model that copies [T, V and its own ids]."""
    src, length, tgt = torch.tensor([source]), torch.tensor([len(source)]), torch.tensor([fed])
    if not model.options.copy:
        return torch.log_softmax(model(src, length, tgt)[:, 0], -1).numpy()
    fixed, state = model.start(src, length)
    rows = []
    for e in model.prepare(tgt):
        state, out, weights, _ = model.step(e, state, fixed)
        made, gate = torch.softmax(model.finish(out), -1)[0].numpy(), model.generating(out).item()
        p = np.pad(gate * made, (0, max(0, max(copy_ids) + 1 - len(made))))
        np.add.at(p, copy_ids, (1 - gate) * weights[0].numpy())
        rows.append(np.log(np.maximum(p, 1e-30)))
    return np.stack(rows)


def tiny_model(arch: str, seed: int = 1) -> models.Seq2Seq:
    """Random weights, biases included, large enough that gates and attention matter."""
    torch.manual_seed(seed)
    model = models.build(ARCHITECTURES[arch])
    with torch.no_grad():
        for p in model.parameters():
            p.uniform_(-0.9, 0.9)
    return model.eval()


def tiny_bundle(arch: str, bf16: bool = False, model: models.Seq2Seq | None = None) -> bundle.Bundle:
    """A bundle in memory, without tokenisers."""
    model = model or tiny_model(arch)
    o = assemble.ExportOptions("1", "ko", "en", "none", "Tiny.", "CC0-1.0")
    p = programs.make(model)
    return bundle.stored(assemble.make_spec("tiny", "translate", o, model.options, p), p.tensors, {}, bf16)


def schema_fields() -> dict[str, set[str]]:
    """The fields of every message of the bundle's schema, read from its text."""
    source = "".join(
        (ROOT / "proto/heed" / name).read_text(encoding="utf-8") for name in ("model/v1/model.proto", "v1/search.proto")
    )
    source = re.sub(r"//.*", "", source)
    fields: dict[str, set[str]] = {}
    for name, body in re.findall(r"^message (\w+) \{(.*?)^\}", source, re.M | re.S):
        fields[name] = set(re.findall(r"(\w+) = \d+(?: \[|;)", body))
    return fields


class Interpreter:
    """Runs a bundle's programs for one source in float64, following model.proto op by op and nothing else."""

    def __init__(self, source: bundle.Bundle):
        self._spec = source.spec
        self._t = {name: values.astype(np.float64) for name, values in source.tensors.items()}
        self._t[""] = np.zeros(())

    def start(self, ids: list[int], copy_ids: list[int] | None = None) -> None:
        """Encodes the source and makes the first value of every primed name. `copy_ids`: the source's extended ids."""
        self._copy_ids, self._position = np.array(copy_ids or ids), 0
        self._values: dict[str, np.ndarray] = {}
        self._run(self._spec["encoder"]["ops"], ids, sequence=True)
        self._values = {k: self._values[k] for k in self._spec["encoder"]["outputs"]}
        self._encoder = dict(self._values)
        self._run(self._spec["init"]["ops"], ids, sequence=False)
        firsts = {}
        for initial in self._spec["init"]["initials"]:
            firsts[initial["name"]] = self._values[initial["from"]] if "from" in initial else None
        self._previous = firsts

    def step(self, previous_id: int) -> dict[str, np.ndarray]:
        """All values of one target position; the distribution is log-probabilities.

        `previous_id` is not read at the first position of a program that starts from the zero vector.
        """
        self._values = dict(self._encoder)
        fed = min(previous_id, self._spec["target"]["size"])
        if fed == self._spec["target"]["size"]:
            fed = self._spec["target"]["unk_id"]  # the source's own word
        self._run(self._spec["step"]["ops"], [fed], sequence=False)
        self._previous = dict(self._values)
        self._position += 1
        return self._values

    def _get(self, name: str, size: int | None = None) -> np.ndarray:
        if not name.endswith("'"):
            return self._values[name]
        value = self._previous[name[:-1]]
        return np.zeros(size) if value is None else value

    def _inputs(self, names: list[str], size: int) -> np.ndarray:
        known = [None if n.endswith("'") and self._previous[n[:-1]] is None else self._get(n) for n in names]
        missing = size - sum(k.shape[-1] for k in known if k is not None)
        return np.concatenate([np.zeros(missing) if k is None else k for k in known], -1)

    def _run(self, ops: list[dict], ids: list[int], sequence: bool) -> None:
        for op in ops:
            kind = next(k for k in op if k != "name")
            method = "_position_op" if kind == "position" else f"_{kind}"
            getattr(self, method)(op["name"], op[kind], ids if sequence else ids[0])

    def _embed(self, name, spec, ids):
        self._values[name] = self._t[spec["table"]][ids] * spec.get("scale", 1)
        if np.ndim(ids) == 0 and self._position == 0 and self._spec["step"].get("start_zero"):
            self._values[name] *= 0

    def _position_op(self, name, spec, ids):
        x = self._get(spec["input"])
        t = x.shape[-1] // 2
        c = np.arange(x.shape[-1])
        p = np.arange(len(x))[:, None] if np.ndim(ids) else self._position
        self._values[name] = x + np.sin(p * 1e-4 ** ((c % t) / (t - 1)) + (c // t) * np.pi / 2)

    def _add(self, name, spec, _):
        self._values[name] = sum(self._get(n) for n in spec["inputs"])

    def _layer_norm(self, name, spec, _):
        x = self._get(spec["input"])
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + spec["epsilon"])
        self._values[name] = x * self._t[spec["scale"]] + self._t[spec.get("bias", "")]

    def _self_attend(self, name, spec, _):
        rows, heads = self._get(spec["input"]), spec.get("heads", 1)
        names = ("query", "key", "value")
        q, k, v = (rows @ self._t[spec[f"{n}_weight"]].T + self._t[spec[f"{n}_bias"]] for n in names)
        out = []
        for qh, kh, vh in zip(*(np.split(x, heads, 1) for x in (q, k, v))):
            out.append(self._softmax(qh @ kh.T / np.sqrt(qh.shape[1])) @ vh)
        self._values[name] = np.hstack(out) @ self._t[spec["output_weight"]].T + self._t[spec["output_bias"]]

    def _copy(self, name, spec, _):
        assert spec["gate_generates"] and not spec.get("masked_ids")
        p = np.zeros(max(len(self._get(spec["generate"])), self._copy_ids.max() + 1))
        gate = self._get(spec["gate"])[0]
        p[: len(self._get(spec["generate"]))] = gate * np.exp(self._get(spec["generate"]))
        np.add.at(p, self._copy_ids, (1 - gate) * self._get(spec["attention"]))
        self._values[name] = np.log(np.maximum(p, 1e-30))

    @staticmethod
    def _softmax(energies):
        weights = np.exp(energies - energies.max(-1, keepdims=True))
        return weights / weights.sum(-1, keepdims=True)

    def _concat(self, name, spec, _):
        self._values[name] = np.concatenate([self._get(n) for n in spec["inputs"]], -1)

    def _linear(self, name, spec, _):
        weight = self._t[spec["weight"]]
        y = self._inputs(spec["inputs"], weight.shape[1]) @ weight.T + self._t[spec.get("bias", "")]
        functions = {"FUNCTION_TANH": np.tanh, None: lambda v: v, "FUNCTION_RELU": lambda v: np.maximum(v, 0)}
        functions["FUNCTION_SIGMOID"] = lambda v: 1 / (1 + np.exp(-v))
        self._values[name] = functions[spec.get("function")](y)

    def _output(self, name, spec, ids):
        self._linear(name, spec, ids)
        logits = self._values[name]
        self._values[name] = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())

    def _advance(self, cell, x, h, c):
        """One step of a recurrence: the new h and c (c None for a GRU)."""
        sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
        wx = self._t[cell["weight_input"]] @ x + self._t[cell.get("bias_input", "")]
        if cell["kind"] == "CELL_KIND_SSRU":
            f, value = np.split(wx, 2)
            c = sigmoid(f) * c + (1 - sigmoid(f)) * value
            return np.maximum(c, 0), c
        uh = self._t[cell["weight_state"]] @ h + self._t[cell.get("bias_state", "")]
        if cell["kind"] == "CELL_KIND_LSTM":
            i, f, g, o = np.split(wx + uh, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            return sigmoid(o) * np.tanh(c), c
        assert (cell["kind"], cell["gru_reset"]) == ("CELL_KIND_GRU", "GRU_RESET_AFTER")
        (xr, xz, xn), (hr, hz, hn) = np.split(wx, 3), np.split(uh, 3)
        z = sigmoid(xz + hz)
        return (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * h, None

    def _rnn(self, name, spec, _):
        rows = self._get(spec["input"])
        hidden = self._t[spec["cell"]["weight_state"]].shape[1]
        h, c = np.zeros(hidden), np.zeros(hidden)
        out = np.zeros((len(rows), hidden))
        order = range(len(rows)) if spec["direction"] == "DIRECTION_FORWARD" else reversed(range(len(rows)))
        for j in order:
            h, c = self._advance(spec["cell"], rows[j], h, c)
            out[j] = h
        self._values[name], self._values[f"{name}.h"], self._values[f"{name}.c"] = out, h, c

    def _cell(self, name, spec, _):
        cell, state = spec["cell"], spec.get("state", f"{name}'")
        x = self._inputs(spec["inputs"], self._t[cell["weight_input"]].shape[1])
        ssru = cell["kind"] == "CELL_KIND_SSRU"
        hidden = self._t[cell["weight_input"]].shape[0] // 2 if ssru else self._t[cell["weight_state"]].shape[1]
        c = self._get(f"{state[:-1]}.c'", hidden) if ssru or cell["kind"] == "CELL_KIND_LSTM" else None
        h, c = self._advance(cell, x, self._get(state, hidden), c)
        self._values[name] = h
        if c is not None:
            self._values[f"{name}.c"] = c

    def _attend(self, name, spec, _):
        memory = self._get(spec["memory"])
        keys = memory @ self._t[spec["key_weight"]].T + self._t[spec.get("key_bias", "")]
        query = np.concatenate([self._get(n) for n in spec["query"]])
        if "query_weight" in spec:
            query = self._t[spec["query_weight"]] @ query + self._t[spec.get("query_bias", "")]
        values = memory
        if "value_weight" in spec:
            values = memory @ self._t[spec["value_weight"]].T + self._t[spec.get("value_bias", "")]
        if spec["score"] == "SCORE_ADDITIVE":
            energies = np.tanh(keys + query) @ self._t[spec["v"]]
            weights = self._softmax(energies)
            self._values[name] = weights @ values
        else:
            heads = spec.get("heads", 1)
            energies = np.stack([k @ q for k, q in zip(np.split(keys, heads, 1), np.split(query, heads))])
            energies *= spec.get("scale", 1)
            weights = self._softmax(energies)
            self._values[name] = np.concatenate([w @ v for w, v in zip(weights, np.split(values, heads, 1))])
            if heads == 1:
                weights, energies = weights[0], energies[0]
        self._values[f"{name}.weights"], self._values[f"{name}.energies"] = weights, energies
