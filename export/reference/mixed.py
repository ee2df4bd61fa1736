"""Models that no toolkit makes: any choice of encoder, cell, attention, readout and start, so that tests can pair
options that never met. Each part is the equation that its function cites; weights go by the names in `shapes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import cells, scores
from .trace import Attended, StepValues

CELLS = ("lstm", "lstm_hard", "gru_after", "gru_before", "rnn_relu", "ssru")
ENCODERS = ("forward", "bidirectional", "self_attention")
ATTENTIONS = ("none", "dot", "two_heads", "general", "additive", "coverage", "location")
NORMALIZERS = ("softmax", "sparsemax")
PLACES = ("before", "after", "between")  # the query is the previous state, the new one, or that between two cells
FIRSTS = ("zero", "last", "mean", "first")
READOUTS = ("none", "tanh", "relu", "maxout")
STARTS = ("id", "zero")
COPIES = (False, True)
BLOCKS = {"lstm": 4, "lstm_hard": 4, "gru_after": 3, "gru_before": 3, "rnn_relu": 1, "ssru": 2}


@dataclass(frozen=True)
class Options:
    cell: str = "lstm"
    encoder: str = "forward"
    attention: str = "additive"
    normalizer: str = "softmax"
    place: str = "after"
    first: str = "zero"
    readout: str = "tanh"
    start: str = "id"
    copy: bool = False
    size: int = 6  # of embeddings, states and the memory
    slots: int = 12  # of the location attention

    def possible(self) -> bool:
        """Location is a softmax; copying needs one head of attention; without attention and with a start of zeros the
        source would not matter."""
        none = self.attention == "none"
        return not (
            (self.attention == "location" and self.normalizer == "sparsemax")
            or (self.copy and self.attention in ("none", "two_heads", "location"))
            or (none and (self.normalizer == "sparsemax" or self.place != "after" or self.first == "zero"))
        )


def shapes(o: Options, source: int, target: int) -> dict[str, tuple]:
    """Names and shapes of the weights, matrices [outputs, inputs]."""
    n = o.size

    def cell(name: str, inputs: int) -> dict[str, tuple]:
        k = BLOCKS[o.cell] * n
        own = {f"{name}.input": (k, inputs), f"{name}.bias": (k,)}
        return own if o.cell == "ssru" else own | {f"{name}.state": (k, n), f"{name}.bias_state": (k,)}

    found: dict[str, tuple] = {"source": (source, n), "target": (target, n)}
    if o.encoder == "self_attention":
        found |= {f"self.{p}": (n, n) for p in "qkvo"} | {f"self.{p}b": (n,) for p in "qkvo"}
    else:
        found |= cell("forward", n)
        if o.encoder == "bidirectional":
            found |= cell("backward", n) | {"join": (n, 2 * n)}
    attends = o.attention != "none"
    if not attends or o.place == "after":
        found |= cell("cell", n)
    elif o.place == "before":
        found |= cell("cell", 2 * n)
    else:
        found |= cell("cell", n) | cell("second", n)
    if o.first != "zero":
        found |= {"first": (n, n), "first.bias": (n,)}
    if o.attention == "general":
        found |= {"key": (n, n)}
    if o.attention in ("additive", "coverage"):
        found |= {"key": (n, n), "key.bias": (n,), "query": (n, n), "query.bias": (n,), "v": (n,), "v.bias": (1,)}
    if o.attention == "coverage":
        found |= {"coverage": (n,)}
    if o.attention == "location":
        found |= {"query": (o.slots, n), "query.bias": (o.slots,)}
    width = n * (2 if attends else 1)
    if o.readout != "none":
        width_out = 2 * n if o.readout == "maxout" else n
        found |= {"readout": (width_out, width), "readout.bias": (width_out,)}
        width = n
    if o.copy:
        found |= {"gate": (1, 2 * n), "gate.bias": (1,)}
    return found | {"output": (target, width), "output.bias": (target,)}


def _hard(x: np.ndarray) -> np.ndarray:
    """Keras before 2.3: clip(0.2 x + 0.5, 0, 1)."""
    return np.clip(0.2 * x + 0.5, 0, 1)


@dataclass
class _Memory:
    states: np.ndarray
    copy_ids: list[int]


class Model:
    def __init__(self, options: Options, weights: dict[str, np.ndarray]):
        self.options = options
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}
        self.vocabulary = len(self.weights["output"])

    def cell(self, name: str, x: np.ndarray, state):
        """Hochreiter and Schmidhuber 1997 (i, f, g, o); Cho et al. 2014 (r, z, n; the reset before or after U h); Elman
        1990 with relu; Kim et al. 2019 (f, x)."""
        h, c = state
        kind, w = self.options.cell, self.weights
        inside = w[f"{name}.input"] @ x + w[f"{name}.bias"]
        if kind == "ssru":
            f, value = np.split(inside, 2)
            f = cells.sigmoid(f)
            c = f * c + (1 - f) * value
            return np.maximum(c, 0), c
        matrix, bias = w[f"{name}.state"], w[f"{name}.bias_state"]
        if kind.startswith("lstm"):
            gate = _hard if kind == "lstm_hard" else cells.sigmoid
            i, f, g, o = np.split(inside + matrix @ h + bias, 4)
            c = gate(f) * c + gate(i) * np.tanh(g)
            return gate(o) * np.tanh(c), c
        if kind == "rnn_relu":
            return np.maximum(inside + matrix @ h + bias, 0), c
        xr, xz, xn = np.split(inside, 3)
        ur, uz, un = np.split(matrix, 3)
        br, bz, bn = np.split(bias, 3)
        r, z = cells.sigmoid(xr + ur @ h + br), cells.sigmoid(xz + uz @ h + bz)
        n = np.tanh(xn + (un @ (r * h) + bn if kind == "gru_before" else r * (un @ h + bn)))
        return (1 - z) * n + z * h, c

    def _run(self, name: str, xs: np.ndarray, backward: bool) -> np.ndarray:
        state = (np.zeros(self.options.size), np.zeros(self.options.size))
        out = np.zeros_like(xs)
        for j in range(len(xs) - 1, -1, -1) if backward else range(len(xs)):
            state = self.cell(name, xs[j], state)
            out[j] = state[0]
        return out

    def encode(self, source_ids) -> _Memory:
        w, o = self.weights, self.options
        xs = w["source"][list(source_ids)]
        if o.encoder == "self_attention":
            xs = self._self_attention(xs + sinusoids(len(xs), o.size))
        elif o.encoder == "forward":
            xs = self._run("forward", xs, False)
        else:
            xs = np.hstack([self._run("forward", xs, False), self._run("backward", xs, True)]) @ w["join"].T
        return _Memory(xs, [int(i) for i in source_ids])

    def _self_attention(self, xs: np.ndarray) -> np.ndarray:
        """Vaswani et al. 2017, 3.2.2, two heads, without the residual."""
        w, half = self.weights, self.options.size // 2
        q, k, v = (xs @ w[f"self.{p}"].T + w[f"self.{p}b"] for p in "qkv")
        heads = []
        for part in (slice(0, half), slice(half, None)):
            heads.append(cells.softmax(q[:, part] @ k[:, part].T / np.sqrt(half)) @ v[:, part])
        return np.hstack(heads) @ w["self.o"].T + w["self.ob"]

    def start(self, memory: _Memory):
        o, w = self.options, self.weights
        h = np.zeros(o.size)
        if o.first != "zero":
            vector = {"last": memory.states[-1], "mean": memory.states.mean(0), "first": memory.states[0]}[o.first]
            h = np.tanh(w["first"] @ vector + w["first.bias"])
        return (h, np.zeros(o.size)), np.zeros(len(memory.states))

    def _attend(self, query: np.ndarray, memory: _Memory, coverage: np.ndarray) -> Attended:
        """Luong et al. 2015 (dot, general, location), Bahdanau et al. 2015 (additive), See et al. 2017 (coverage)."""
        o, w, m = self.options, self.weights, memory.states
        normalizer = cells.sparsemax if o.normalizer == "sparsemax" else cells.softmax
        if o.attention == "two_heads":
            half = o.size // 2
            parts = [slice(0, half), slice(half, None)]
            energies = [m[:, p] @ query[p] / np.sqrt(half) for p in parts]
            weights = [normalizer(e) for e in energies]
            context = np.concatenate([a @ m[:, p] for a, p in zip(weights, parts)])
            return Attended(np.stack(weights), np.stack(energies), context)
        if o.attention == "location":
            energies = w["query"] @ query + w["query.bias"]
            weights = cells.softmax(energies)[: len(m)]
            return Attended(weights[None], energies[None, : len(m)], weights @ m)
        if o.attention == "dot":
            energies = m @ query
        elif o.attention == "general":
            energies = m @ w["key"].T @ query
        else:
            inside = m @ w["key"].T + w["key.bias"] + w["query"] @ query + w["query.bias"]
            if o.attention == "coverage":
                inside = inside + coverage[:, None] * w["coverage"]
            energies = np.tanh(inside) @ w["v"] + w["v.bias"]
        return scores.attend(energies, m, normalizer)

    def step(self, state, memory: _Memory, token: int | None):
        o, w = self.options, self.weights
        before, coverage = state
        e = np.zeros(o.size) if token is None else w["target"][token]
        if o.attention == "none":
            new = self.cell("cell", e, before)
            return StepValues(cells.log_softmax(self._logits([new[0]]))), (new, coverage)
        if o.place == "before":
            attended = self._attend(before[0], memory, coverage)
            new = self.cell("cell", np.concatenate([e, attended.context]), before)
        else:
            new = self.cell("cell", e, before)
            attended = self._attend(new[0], memory, coverage)
            if o.place == "between":
                new = self.cell("second", attended.context, new)
        p = cells.log_softmax(self._logits([new[0], attended.context]))
        gate = None
        if o.copy:
            gate = float(cells.sigmoid(w["gate"] @ np.concatenate([new[0], attended.context]) + w["gate.bias"])[0])
            mixed = (1 - gate) * np.exp(p)
            np.add.at(mixed, memory.copy_ids, gate * attended.weights[0])
            with np.errstate(divide="ignore"):
                p = np.log(mixed)
        return StepValues(p, {"attention": attended}, gate), (new, coverage + attended.weights[0])

    def _logits(self, parts: list[np.ndarray]) -> np.ndarray:
        """Goodfellow et al. 2013 for maxout: the greater of each two neighbours."""
        w, x = self.weights, np.concatenate(parts)
        kind = self.options.readout
        if kind != "none":
            x = w["readout"] @ x + w["readout.bias"]
            x = {"tanh": np.tanh, "relu": lambda y: np.maximum(y, 0), "maxout": lambda y: y.reshape(-1, 2).max(1)}[
                kind
            ](x)
        return w["output"] @ x + w["output.bias"]


def sinusoids(count: int, size: int) -> np.ndarray:
    """Vaswani et al. 2017, 3.5, in Marian's order: sines, then cosines (marian-dev layers/embedding.h)."""
    t = size // 2
    rates = 1e-4 ** (np.arange(t) / (t - 1))
    angles = np.arange(count)[:, None] * rates
    return np.hstack([np.sin(angles), np.cos(angles)])
