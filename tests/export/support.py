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

from heed_export import assemble, bundle, models, programs  # noqa: E402

ARCHITECTURES = {
    "luong-lstm": models.ModelOptions(
        "luong-lstm", src_pieces=23, tgt_pieces=19, embedding=6, encoder_hidden=5, encoder_layers=2, decoder_hidden=10
    ),
    "bahdanau-gru": models.ModelOptions(
        "bahdanau-gru", src_pieces=21, tgt_pieces=21, embedding=6, encoder_hidden=4, encoder_layers=1,
        decoder_hidden=7, attention=9, joint=True,
    ),
}


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
    source = (ROOT / "proto/heed/model/v1/model.proto").read_text(encoding="utf-8")
    source = re.sub(r"//.*", "", source)
    fields: dict[str, set[str]] = {}
    for name, body in re.findall(r"^message (\w+) \{(.*?)^\}", source, re.M | re.S):
        fields[name] = set(re.findall(r"(\w+) = \d+", body))
    return fields


class Interpreter:
    """Runs a bundle's programs for one source in float64, following model.proto op by op and nothing else."""

    def __init__(self, source: bundle.Bundle):
        self._spec = source.spec
        self._t = {name: values.astype(np.float64) for name, values in source.tensors.items()}
        self._t[""] = np.zeros(())

    def start(self, ids: list[int]) -> None:
        """Encodes the source and makes the first value of every primed name."""
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
        """All values of one target position; the distribution is log-probabilities."""
        self._values = dict(self._encoder)
        self._run(self._spec["step"]["ops"], [previous_id], sequence=False)
        self._previous = dict(self._values)
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
            getattr(self, f"_{kind}")(op["name"], op[kind], ids if sequence else ids[0])

    def _embed(self, name, spec, ids):
        self._values[name] = self._t[spec["table"]][ids] * spec.get("scale", 1)

    def _concat(self, name, spec, _):
        self._values[name] = np.concatenate([self._get(n) for n in spec["inputs"]], -1)

    def _linear(self, name, spec, _):
        weight = self._t[spec["weight"]]
        y = self._inputs(spec["inputs"], weight.shape[1]) @ weight.T + self._t[spec.get("bias", "")]
        functions = {"FUNCTION_TANH": np.tanh, None: lambda v: v}
        self._values[name] = functions[spec.get("function")](y)

    def _output(self, name, spec, ids):
        self._linear(name, spec, ids)
        logits = self._values[name]
        self._values[name] = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())

    def _advance(self, cell, x, h, c):
        """One step of a recurrence: the new h and c (c None for a GRU)."""
        wx = self._t[cell["weight_input"]] @ x + self._t[cell.get("bias_input", "")]
        uh = self._t[cell["weight_state"]] @ h + self._t[cell.get("bias_state", "")]
        sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
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
        hidden = self._t[cell["weight_state"]].shape[1]
        c = self._get(f"{state[:-1]}.c'", hidden) if cell["kind"] == "CELL_KIND_LSTM" else None
        h, c = self._advance(cell, x, self._get(state, hidden), c)
        self._values[name] = h
        if c is not None:
            self._values[f"{name}.c"] = c

    def _attend(self, name, spec, _):
        memory = self._get(spec["memory"])
        keys = memory @ self._t[spec["key_weight"]].T + self._t[spec.get("key_bias", "")]
        query = np.concatenate([self._get(n) for n in spec["query"]])
        if spec["score"] == "SCORE_GENERAL":
            energies = keys @ query
        else:
            query = self._t[spec["query_weight"]] @ query + self._t[spec.get("query_bias", "")]
            energies = np.tanh(keys + query) @ self._t[spec["v"]]
        weights = np.exp(energies - energies.max())
        weights /= weights.sum()
        self._values[name] = weights @ memory
        self._values[f"{name}.weights"], self._values[f"{name}.energies"] = weights, energies
