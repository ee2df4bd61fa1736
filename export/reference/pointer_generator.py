"""See et al. 2017 as abisee/pointer-generator decodes (attention_decoder.py, model.py, beam_search.py).

Weights under the checkpoint's names below `seq2seq`; kernels [inputs, outputs]. Decoding differs from training: every
step begins by attending with the incoming state, which makes the previous context again and adds to the coverage; from
the second step on that is what the step before had found, so it changes the first step alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import cells, scores
from .trace import StepValues


@dataclass(frozen=True)
class Options:
    pointer_gen: bool = True
    coverage: bool = True
    vocabulary: int = 0  # size; ids from there on are the source's own


def copy_ids(source_words: list[str], vocabulary: dict[str, int], unk: str = "[UNK]") -> list[int]:
    """data.py article2ids: a word outside the vocabulary gets the next free id, and keeps it."""
    own: list[str] = []
    ids = []
    for word in source_words:
        if word in vocabulary and word != unk:
            ids.append(vocabulary[word])
            continue
        if word not in own:
            own.append(word)
        ids.append(len(vocabulary) + own.index(word))
    return ids


@dataclass
class _Memory:
    states: np.ndarray
    features: np.ndarray
    final: tuple  # h, c after _reduce_states
    copy_ids: list[int]


class Model:
    def __init__(self, options: Options, weights: dict[str, np.ndarray]):
        self.options = options
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}
        self.copy_ids: list[int] = []  # of the source that comes next

    def _lstm(self, x: np.ndarray, h: np.ndarray, c: np.ndarray, scope: str):
        """tf.contrib.rnn.LSTMCell: blocks i, j, f, o; forget bias 1 added at run time."""
        i, j, f, o = np.split(
            np.concatenate([x, h]) @ self.weights[f"{scope}/kernel"] + self.weights[f"{scope}/bias"], 4
        )
        c = c * cells.sigmoid(f + 1.0) + cells.sigmoid(i) * np.tanh(j)
        return np.tanh(c) * cells.sigmoid(o), c

    def _linear(self, parts: list[np.ndarray], scope: str) -> np.ndarray:
        return np.concatenate(parts) @ self.weights[f"{scope}/Matrix"] + self.weights[f"{scope}/Bias"]

    def encode(self, source_ids) -> _Memory:
        """model.py _add_encoder, _reduce_states."""
        w = self.weights
        xs = w["embedding/embedding"][list(source_ids)]
        hidden = w["reduce_final_st/w_reduce_h"].shape[1]
        ways, finals = [], []
        for way, reverse in (("fw", False), ("bw", True)):
            h, c, out = np.zeros(hidden), np.zeros(hidden), np.zeros((len(xs), hidden))
            for j in range(len(xs) - 1, -1, -1) if reverse else range(len(xs)):
                h, c = self._lstm(xs[j], h, c, f"encoder/bidirectional_rnn/{way}/lstm_cell")
                out[j] = h
            ways.append(out)
            finals.append((h, c))
        states = np.hstack(ways)
        r = "reduce_final_st"
        h, c = (
            np.maximum(np.concatenate([f[k] for f in finals]) @ w[f"{r}/w_reduce_{n}"] + w[f"{r}/bias_reduce_{n}"], 0)
            for k, n in ((0, "h"), (1, "c"))
        )
        features = states @ w["decoder/attention_decoder/W_h"][0, 0]
        return _Memory(states, features, (h, c), list(self.copy_ids))

    def _attend(self, h: np.ndarray, c: np.ndarray, memory: _Memory, coverage: np.ndarray):
        """attention_decoder.py attention(): the query is [c, h]; coverage enters the tanh."""
        d = "decoder/attention_decoder"
        inside = memory.features + self._linear([c, h], f"{d}/Attention/Linear")
        if self.options.coverage:
            inside = inside + coverage[:, None] * self.weights[f"{d}/coverage/w_c"][0, 0, 0]
        return scores.attend(np.tanh(inside) @ self.weights[f"{d}/v"], memory.states)

    def start(self, memory: _Memory):
        h, c = memory.final
        coverage = np.zeros(len(memory.states))
        attended = self._attend(h, c, memory, coverage)  # beam_search.py passes zeros as the first coverage
        return h, c, attended.context, coverage + attended.weights[0]

    def step(self, state, memory: _Memory, token: int):
        d, w = "decoder/attention_decoder", self.weights
        h, c, context, coverage = state
        x = self._linear([w["embedding/embedding"][token], context], f"{d}/Linear")
        h, c = self._lstm(x, h, c, f"{d}/lstm_cell")
        attended = self._attend(h, c, memory, coverage)
        out = self._linear([h, attended.context], f"{d}/AttnOutputProjection/Linear")
        p = cells.softmax(out @ w["output_projection/w"] + w["output_projection/v"])
        gate = None
        if self.options.pointer_gen:  # model.py _calc_final_dist
            p_gen = float(cells.sigmoid(self._linear([attended.context, c, h, x], f"{d}/calculate_pgen/Linear"))[0])
            size = max([self.options.vocabulary, *(i + 1 for i in memory.copy_ids)])
            p = np.concatenate([p_gen * p, np.zeros(size - len(p))])
            np.add.at(p, memory.copy_ids, (1 - p_gen) * attended.weights[0])
            gate = 1 - p_gen
        state = (h, c, attended.context, coverage + attended.weights[0])
        with np.errstate(divide="ignore"):
            return StepValues(np.log(p), {"attention": attended}, gate), state
