"""Marian's recurrent models (types s2s, amun and nematus), float64, written from marian-dev's sources.

Weights come as Marian stores them: under its own names, matrices [in, out], vectors [1, n] or [n]. Options are those of
`special:model.yml`. Paths below are marian-dev's, under src/. One sentence at a time, so masks are all ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

import numpy as np

from .cells import layer_norm, log_softmax, sigmoid, softmax
from .int8 import product
from .trace import Attended, StepValues

EPSILON = 1e-9  # graph/expression_operators.h: layerNorm's default
NEMATUS_EPSILON = 1e-5  # common/definitions.h: NEMATUS_LN_EPS

Weights = Mapping[str, np.ndarray]


def vector(w: Weights, name: str) -> np.ndarray:
    """A bias or scale, [1, n] or [n] in the file."""
    return np.asarray(w[name], np.float64).reshape(-1)


def matrix(w: Weights, name: str) -> np.ndarray:
    return np.asarray(w[name], np.float64)


@dataclass(frozen=True)
class Cell:
    """One cell as rnn/constructors.h makes it: `encoder` is what GRUNematus reads from its prefix, `final` and
    `transition` are what models/s2s.h sets."""

    kind: str
    prefix: str
    norm: bool = False
    final: bool = False
    transition: bool = False

    def step(self, w: Weights, x: np.ndarray | None, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return CELLS[self.kind](w, self, x, h, c)


def _projected(w: Weights, cell: Cell, x, h, suffix: str = "") -> tuple[np.ndarray | float, np.ndarray]:
    """x W and h U, each normalised by its gamma where the cell is (rnn/cells.h, every class but GRUNematus)."""
    p = cell.prefix
    x_w: np.ndarray | float = 0.0
    if x is not None:
        x_w = x @ matrix(w, p + "_W")
        if cell.norm:
            x_w = layer_norm(x_w, vector(w, p + "_gamma1"), epsilon=EPSILON)
    h_u = h @ matrix(w, p + "_U")
    if cell.norm:
        h_u = layer_norm(h_u, vector(w, p + "_gamma2"), epsilon=EPSILON)
    return x_w, h_u


def tanh_cell(w, cell, x, h, c):
    """rnn/cells.h, class Tanh."""
    x_w, h_u = _projected(w, cell, x, h)
    return np.tanh(x_w + h_u + vector(w, cell.prefix + "_b")), c


def relu_cell(w, cell, x, h, c):
    """rnn/cells.h, class ReLU."""
    x_w, h_u = _projected(w, cell, x, h)
    return np.maximum(x_w + h_u + vector(w, cell.prefix + "_b"), 0), c


def lstm_cell(w, cell, x, h, c):
    """rnn/cells.h, class FastLSTM; tensors/cpu/tensor_operators.cpp, LSTMCellForwardTyped: blocks f, i, c, o."""
    x_w, h_u = _projected(w, cell, x, h)
    f, i, g, o = np.split(x_w + h_u + vector(w, cell.prefix + "_b"), 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_ops(h, x_w, h_u, b, final: bool):
    """tensors/cpu/tensor_operators.cpp, GRUFastForward: blocks r, z, candidate."""
    size = len(h)
    x_w = np.zeros(3 * size) + x_w
    r = sigmoid(x_w[:size] + h_u[:size] + b[:size])
    z = sigmoid(x_w[size : 2 * size] + h_u[size : 2 * size] + b[size : 2 * size])
    if final:
        n = np.tanh(x_w[2 * size :] + (h_u[2 * size :] + b[2 * size :]) * r)
    else:
        n = np.tanh(x_w[2 * size :] + h_u[2 * size :] * r + b[2 * size :])
    return (1 - z) * n + z * h


def gru_cell(w, cell, x, h, c):
    """rnn/cells.h, class GRU: one mean and variance over all three blocks."""
    p = cell.prefix
    x_w: np.ndarray | float = 0.0
    if x is not None:
        x_w = x @ np.hstack([matrix(w, p + "_W"), matrix(w, p + "_Wx")])
        if cell.norm:
            x_w = layer_norm(x_w, vector(w, p + "_gamma1"), epsilon=EPSILON)
    h_u = h @ np.hstack([matrix(w, p + "_U"), matrix(w, p + "_Ux")])
    if cell.norm:
        h_u = layer_norm(h_u, vector(w, p + "_gamma2"), epsilon=EPSILON)
    b = np.concatenate([vector(w, p + "_b"), vector(w, p + "_bx")])
    return gru_ops(h, x_w, h_u, b, cell.final), c


def _nematus_norm(w: Weights, y: np.ndarray, name: str) -> np.ndarray:
    return layer_norm(y, vector(w, name + "_lns"), vector(w, name + "_lnb"), NEMATUS_EPSILON)


def gru_nematus_cell(w, cell, x, h, c):
    """rnn/cells.h, class GRUNematus: gates and candidate normalised apart; where the bias stands depends on the place
    of the cell. Without layer normalisation it is the GRU."""
    if not cell.norm:
        return gru_cell(w, cell, x, h, c)
    p, encoder = cell.prefix, cell.prefix.startswith("encoder")
    b, bx = vector(w, p + "_b"), vector(w, p + "_bx")
    x_w: np.ndarray | float = 0.0
    if not cell.transition:  # applyInput
        gates, candidate = x @ matrix(w, p + "_W"), x @ matrix(w, p + "_Wx")
        if not cell.final:
            gates, candidate = gates + b, candidate + bx
        x_w = np.concatenate([_nematus_norm(w, gates, p + "_W"), _nematus_norm(w, candidate, p + "_Wx")])
    gates, candidate = h @ matrix(w, p + "_U"), h @ matrix(w, p + "_Ux")
    kernel_bias = np.zeros(3 * len(h))
    if encoder:
        gates, candidate = _nematus_norm(w, gates, p + "_U"), _nematus_norm(w, candidate, p + "_Ux")
        if cell.transition:
            gates = gates + b
            kernel_bias[2 * len(h) :] = bx
    else:
        if cell.final or cell.transition:
            gates, candidate = gates + b, candidate + bx
        gates, candidate = _nematus_norm(w, gates, p + "_U"), _nematus_norm(w, candidate, p + "_Ux")
    return gru_ops(h, x_w, np.concatenate([gates, candidate]), kernel_bias, cell.final), c


def ssru_cell(w, cell, x, h, c):
    """rnn/cells.h, class SSRU (Kim et al. 2019); highway(c, x, f) = sigmoid(f) c + (1 - sigmoid(f)) x."""
    p = cell.prefix
    y, f = product(w, x, p + "_W"), product(w, x, p + "_Wf")
    if cell.norm:
        y = layer_norm(y, vector(w, p + "_gamma"), epsilon=EPSILON)
        f = layer_norm(f, vector(w, p + "_gammaf"), vector(w, p + "_bf"), EPSILON)
    else:
        f = f + vector(w, p + "_bf")
    f = sigmoid(f)
    c = f * c + (1 - f) * y
    return np.maximum(c, 0), c


CELLS = {
    "tanh": tanh_cell,
    "relu": relu_cell,
    "lstm": lstm_cell,
    "gru": gru_cell,
    "gru-nematus": gru_nematus_cell,
    "ssru": ssru_cell,
}


def toolkit_names(weights: Weights, options: Mapping) -> dict[str, np.ndarray]:
    """The names of type s2s for a file of type amun or nematus, which hold Nematus's (models/amun.h and
    models/nematus.h, the maps of load()). Files that lack the dummy `decoder_c_tt` already have them."""
    if options["type"] not in ("amun", "nematus") or "decoder_c_tt" not in weights:
        return dict(weights)
    pairs = {
        "ff_logit_prev": ("decoder_ff_logit_l1", "0"),
        "ff_logit_lstm": ("decoder_ff_logit_l1", "1"),
        "ff_logit_ctx": ("decoder_ff_logit_l1", "2"),
        "ff_logit_l1": ("decoder_ff_logit_l1", ""),
        "ff_logit": ("decoder_ff_logit_l2", ""),
        "ff_state": ("decoder_ff_state", ""),
    }
    first = {"U": "U", "Ux": "Ux", "W": "W", "Wx": "Wx", "b": "b", "bx": "bx"}
    second = {"U_nl": "U", "Ux_nl": "Ux", "Wc": "W", "Wcx": "Wx", "b_nl": "b", "bx_nl": "bx"}
    out = {}
    for name, value in weights.items():
        if name in ("decoder_c_tt", "uidx", "history_errs"):
            continue
        base, norm = name, ""
        if name.endswith(("_lns", "_lnb")) and name.startswith(("encoder", "decoder")):
            base, norm = name[:-4], name[-4:]
        new = name
        if name == "Wemb_dec":
            new = "decoder_Wemb"
        elif name == "Wemb":
            shared = options.get("tied-embeddings-all") or options.get("tied-embeddings-src")
            new = "Wemb" if shared else "encoder_Wemb"
        elif name.startswith("ff_"):
            head = max((k for k in pairs if name.startswith(k + "_")), key=len)
            target, number = pairs[head]
            new = f"{target}_{name[len(head) + 1 :]}{number}"
        elif base.startswith("encoder_"):
            r = "_r" if base.startswith("encoder_r_") else ""
            part = base[len("encoder" + r) + 1 :]
            if "_drt_" in part:
                part, depth = part.split("_drt_")
                new = f"encoder_bi{r}_cell{int(depth) + 1}_{part}{norm}"
            elif part in first or part in ("gamma1", "gamma2"):
                new = f"encoder_bi{r}_{part}{norm}"
        elif base.startswith("decoder_"):
            part = base[len("decoder_") :]
            if "_nl_drt_" in part:
                part, depth = part.split("_nl_drt_")
                new = f"decoder_cell{int(depth) + 2}_{part}{norm}"
            elif part in first:
                new = f"decoder_cell1_{first[part]}{norm}"
            elif part in second:
                new = f"decoder_cell2_{second[part]}{norm}"
        out[new] = value
    return out


class S2S:
    """models/s2s.h. `encode` gives the source's states [S, 2 dim-rnn or dim-rnn]."""

    def __init__(self, weights: Weights, options: Mapping) -> None:
        self.w = toolkit_names(weights, options)
        self.options = options
        self.norm = bool(options.get("layer-normalization", False))
        self.nematus = options["type"] == "nematus"  # the option original-type
        tied_source = options.get("tied-embeddings-all") or options.get("tied-embeddings-src")
        self.source_table = matrix(self.w, "Wemb" if tied_source else "encoder_Wemb")
        self.target_table = matrix(self.w, "Wemb" if tied_source else "decoder_Wemb")

    def _cells(self, prefix: str, count: int, named: bool, transitions: bool) -> list[Cell]:
        kind = self.options["enc-cell" if prefix.startswith("encoder") else "dec-cell"]
        return [
            Cell(kind, f"{prefix}_cell{j}" if named or j > 1 else prefix, self.norm, False, transitions and j > 1)
            for j in range(1, count + 1)
        ]

    def _run(self, cells: Sequence[Cell], xs: np.ndarray, backward: bool) -> np.ndarray:
        """rnn/rnn.h, SingleLayerRNN: from zeros; row j of the result belongs to position j either way."""
        size = int(self.options["dim-rnn"])
        h, c = np.zeros(size), np.zeros(size)
        out = np.zeros((len(xs), size))
        for j in range(len(xs) - 1, -1, -1) if backward else range(len(xs)):
            for k, cell in enumerate(cells):
                h, c = cell.step(self.w, xs[j] if k == 0 else None, h, c)
            out[j] = h
        return out

    def _stack(self, xs: np.ndarray, layers: Sequence[tuple[Sequence[Cell], bool]]) -> np.ndarray:
        """rnn/rnn.h, RNN::transduce: `skip` adds a layer's input from the second layer of the stack on."""
        for i, (cells, backward) in enumerate(layers):
            ys = self._run(cells, xs, backward)
            xs = ys + xs if self.options.get("skip") and i > 0 else ys
        return xs

    def encode(self, source_ids: Sequence[int]) -> np.ndarray:
        """models/s2s.h, EncoderS2S::applyEncoderRNN."""
        o = self.options
        kind, depth, cell_depth = o.get("enc-type", "bidirectional"), int(o["enc-depth"]), int(o["enc-cell-depth"])
        first = depth if kind in ("bidirectional", "alternating") else 1
        xs = self.source_table[list(source_ids)]

        def direction(start_backward: bool):
            prefix = "encoder_bi_r" if start_backward else "encoder_bi"
            layers = []
            for i in range(1, first + 1):
                backward = start_backward ^ (kind == "alternating" and i % 2 == 0)
                name = f"{prefix}_l{i}" if i > 1 else prefix
                layers.append((self._cells(name, cell_depth, i > 1, True), backward))
            return self._stack(xs, layers)

        context = np.concatenate([direction(False), direction(True)], -1)
        if depth > first:
            upper = [(self._cells(f"encoder_l{i}", cell_depth, True, False), False) for i in range(2, depth + 1)]
            context = self._stack(context, upper)
        return context

    def _dense(self, inputs: Sequence[np.ndarray], prefix: str) -> np.ndarray:
        """layers/generic.h, mlp::Dense::apply with tanh: every input has its own matrix, bias and normalisation."""
        total: np.ndarray | float = 0.0
        for i, x in enumerate(inputs):
            n = str(i) if len(inputs) > 1 else ""
            y, b = x @ matrix(self.w, f"{prefix}_W{n}"), vector(self.w, f"{prefix}_b{n}")
            if not self.norm:
                y = y + b
            elif self.nematus:
                scale, bias = vector(self.w, f"{prefix}_ln_s{n}"), vector(self.w, f"{prefix}_ln_b{n}")
                y = layer_norm(y + b, scale, bias, NEMATUS_EPSILON)
            else:
                y = layer_norm(y, vector(self.w, f"{prefix}_gamma{n}"), b, EPSILON)
            total = total + y
        return np.tanh(total)

    def start(self, memory: np.ndarray):
        """models/s2s.h, DecoderS2S::startState: one vector for every layer's output and cell."""
        start = self._dense([memory.mean(0)], "decoder_ff_state")
        return [(start, start) for _ in range(int(self.options["dec-depth"]))]

    def _attend(self, memory: np.ndarray, query: np.ndarray) -> Attended:
        """rnn/attention.h, GlobalAttention."""
        keys, b = memory @ matrix(self.w, "decoder_Wc_att"), vector(self.w, "decoder_b_att")
        state = query @ matrix(self.w, "decoder_W_comb_att")
        if not self.norm:
            keys = keys + b
        elif self.nematus:
            keys = _nematus_norm(self.w, keys + b, "decoder_Wc_att")
            state = _nematus_norm(self.w, state, "decoder_W_comb_att")
        else:
            keys = layer_norm(keys, vector(self.w, "decoder_att_gamma1"), b, EPSILON)
            state = layer_norm(state, vector(self.w, "decoder_att_gamma2"), epsilon=EPSILON)
        energies = np.tanh(keys + state) @ matrix(self.w, "decoder_U_att").reshape(-1)
        weights = softmax(energies)
        return Attended(weights[None], energies[None], weights @ memory)

    def step(self, state, memory: np.ndarray, token: int | None) -> tuple[StepValues, list]:
        """models/s2s.h, DecoderS2S::step; the first embedding is zero (models/decoder.h, embeddingsFromPrediction)."""
        o = self.options
        e = np.zeros(self.target_table.shape[1]) if token is None else self.target_table[token]
        kind, states = o["dec-cell"], []
        h, c = Cell(kind, "decoder_cell1", self.norm).step(self.w, e, *state[0])
        attended = self._attend(memory, h)
        for i in range(2, int(o["dec-cell-base-depth"]) + 1):
            cell = Cell(kind, f"decoder_cell{i}", self.norm, final=True, transition=i > 2)
            h, c = cell.step(self.w, attended.context if i == 2 else None, h, c)
        states.append((h, c))
        x = h
        for i in range(2, int(o["dec-depth"]) + 1):
            h, c = state[i - 1]
            for j, cell in enumerate(self._cells(f"decoder_l{i}", int(o.get("dec-cell-high-depth", 1)), True, False)):
                h, c = cell.step(self.w, x if j == 0 else None, h, c)
            states.append((h, c))
            x = h + x if o.get("skip") else h
        hidden = self._dense([e, x, attended.context], "decoder_ff_logit_l1")
        return StepValues(log_softmax(self._logits(hidden)), {"attention": attended}), states

    def _logits(self, hidden: np.ndarray) -> np.ndarray:
        """layers/output.cpp, Output::lazyConstruct."""
        o, name = self.options, "decoder_ff_logit_l2"
        if o.get("tied-embeddings-all") or o.get("tied-embeddings"):
            shared = o.get("tied-embeddings-all") or o.get("tied-embeddings-src")
            logits = hidden @ matrix(self.w, "Wemb" if shared else "decoder_Wemb").T
        elif name + "_W" in self.w:
            logits = hidden @ matrix(self.w, name + "_W")
        else:
            logits = hidden @ matrix(self.w, name + "_Wt").T
        return logits if o.get("output-omit-bias") else logits + vector(self.w, name + "_b")
