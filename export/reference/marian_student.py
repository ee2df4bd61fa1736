"""Marian's Transformer encoder with a recurrent decoder (`transformer-decoder-autoreg: rnn`), float64: the models that
Firefox Translations ships, whose decoder cell is the SSRU.

Written from marian-dev's src/models/transformer.h, whose functions are named below. Weights and options as Marian has
them (see marian.py); int8 weights are multiplied as such (see int8.py).
"""

from __future__ import annotations

from typing import Mapping, Sequence

import numpy as np

from . import int8
from .cells import layer_norm, log_softmax, sigmoid, softmax
from .marian import Cell, Weights, matrix, vector
from .trace import Attended, StepValues

EPSILON = 1e-6  # layers/generic.h, layerNorm(x, prefix, suffix)


def positions(start: int, count: int, size: int) -> np.ndarray:
    """Transformer::addPositionalEmbeddings: [count, size]; all sines, then all cosines."""
    scales = size // 2
    column = np.arange(size)
    frequency = np.power(1e-4, (column % scales) / (scales - 1.0))
    return np.sin(np.arange(start, start + count)[:, None] * frequency + (column // scales) * np.pi / 2)


class Student:
    def __init__(self, weights: Weights, options: Mapping, jitter: float = 0.0) -> None:
        # Widened once: a vocabulary's matrix would take longer than the rest of a step.
        weights = int8.Weights(weights, jitter)
        self.w, self.options = weights, options
        self.heads, self.size = int(options["transformer-heads"]), int(options["dim-emb"])
        tied = options.get("tied-embeddings-all") or options.get("tied-embeddings-src")
        self.source_table = matrix(weights, "Wemb" if tied else "encoder_Wemb")
        self.target_table = matrix(weights, "Wemb" if tied else "decoder_Wemb")

    def _norm(self, x: np.ndarray, prefix: str, suffix: str = "") -> np.ndarray:
        scale, bias = vector(self.w, f"{prefix}_ln_scale{suffix}"), vector(self.w, f"{prefix}_ln_bias{suffix}")
        return layer_norm(x, scale, bias, EPSILON)

    def _dense(self, x: np.ndarray, prefix: str, suffix: str) -> np.ndarray:
        return self.w.product(x, f"{prefix}_W{suffix}") + vector(self.w, f"{prefix}_b{suffix}")

    def _pre(self, x: np.ndarray, prefix: str, ops: str) -> np.ndarray:
        """preProcess: d (dropout) does nothing here, n normalises."""
        for op in ops:
            if op == "n":
                x = self._norm(x, prefix, "_pre")
        return x

    def _post(self, x: np.ndarray, before: np.ndarray, prefix: str, ops: str) -> np.ndarray:
        """postProcess: a adds, h is a highway, n normalises."""
        for op in ops:
            if op == "a":
                x = x + before
            elif op == "h":
                t = sigmoid(self._dense(before, prefix, "h"))
                x = t * x + (1 - t) * before
            elif op == "n":
                x = self._norm(x, prefix)
        return x

    def _attend(self, q: np.ndarray, memory: np.ndarray, prefix: str) -> tuple[np.ndarray, list[Attended]]:
        """MultiHead and Attention for queries [T, d]: the projected result [T, d], and what each query attended to."""
        q, k, v = (self._dense(x, prefix, n) for x, n in ((q, "q"), (memory, "k"), (memory, "v")))
        depth = self.size // self.heads
        split = [
            x.reshape(len(x), self.heads, depth).transpose(1, 0, 2) for x in (q, k, v)
        ]  # [heads, positions, depth]
        energies = split[0] @ split[1].transpose(0, 2, 1) / np.sqrt(depth)  # [heads, T, S]
        weights = softmax(energies)
        contexts = (weights @ split[2]).transpose(1, 0, 2).reshape(len(q), self.size)
        attended = [Attended(weights[:, t], energies[:, t], contexts[t]) for t in range(len(q))]
        if self.options.get("transformer-no-projection"):
            return contexts, attended
        return self._dense(contexts, prefix, "o"), attended

    def _attention_layer(self, x, memory, prefix: str):
        """LayerAttention; memory None: attention over x itself, normalised as x is."""
        y = self._pre(x, prefix + "_Wo", self.options.get("transformer-preprocess", ""))
        z, attended = self._attend(y, y if memory is None else memory, prefix)
        return self._post(z, x, prefix + "_Wo", self.options.get("transformer-postprocess", "dan")), attended

    def _ffn_layer(self, x, prefix: str, decoder: bool):
        """LayerFFN."""
        o = self.options
        depth = int(o.get("transformer-ffn-depth", 2))
        if decoder and int(o.get("transformer-decoder-ffn-depth", 0)):
            depth = int(o["transformer-decoder-ffn-depth"])
        y = self._pre(x, prefix + "_ffn", o.get("transformer-preprocess", ""))
        for i in range(1, depth):
            y = self._dense(y, prefix, str(i))
            activation = o.get("transformer-ffn-activation", "relu")
            y = np.maximum(y, 0) if activation == "relu" else sigmoid(y)
        y = self._dense(y, prefix, str(depth))
        return self._post(y, x, prefix + "_ffn", o.get("transformer-postprocess", "dan"))

    def _placed(self, embeddings: np.ndarray, start: int) -> np.ndarray:
        """addSpecialEmbeddings."""
        if self.options.get("transformer-disable-position-embeddings"):
            return embeddings
        return np.sqrt(self.size) * embeddings + positions(start, len(embeddings), self.size)

    def encode(self, source_ids: Sequence[int]) -> np.ndarray:
        """EncoderTransformer::apply."""
        o = self.options
        first = x = self._placed(self.source_table[list(source_ids)], 0)
        x = self._pre(x, "encoder_emb", o.get("transformer-postprocess-emb", "d"))
        for i in range(1, int(o["enc-depth"]) + 1):
            x, _ = self._attention_layer(x, None, f"encoder_l{i}_self")
            x = self._ffn_layer(x, f"encoder_l{i}_ffn", False)
        return self._post(x, first, "encoder_top", o.get("transformer-postprocess-top", ""))

    def start(self, memory: np.ndarray):
        """DecoderTransformer::startState: zeros."""
        zero = np.zeros(self.size)
        return 0, [(zero, zero) for _ in range(int(self.options["dec-depth"]))]

    def step(self, state, memory: np.ndarray, token: int | None) -> tuple[StepValues, tuple]:
        """DecoderTransformer::step. At the first position the embedding is zero; its position is added all the same."""
        o, (position, states) = self.options, state
        depth = int(o["dec-depth"])
        pre, post = o.get("transformer-preprocess", ""), o.get("transformer-postprocess", "dan")
        e = np.zeros(self.size) if token is None else self.target_table[token]
        first = x = self._placed(e[None], position)
        x = self._pre(x, "decoder_emb", o.get("transformer-postprocess-emb", "d"))
        attentions, new_states = {}, []
        tied = o.get("transformer-tied-layers") or range(1, depth + 1)
        for i, number in enumerate(tied):
            prefix = f"decoder_l{number}"
            cell = Cell(o["dec-cell"], prefix + "_rnn", bool(o.get("layer-normalization")))
            h, c = cell.step(self.w, self._pre(x, prefix + "_rnn", pre)[0], *states[i])
            new_states.append((h, c))
            y = h[None]
            if o.get("transformer-rnn-projection"):
                y = self._dense(y, prefix + "_rnn", "o")
            x = self._post(y, x, prefix + "_rnn_ffn", post)
            x, attended = self._attention_layer(x, memory, prefix + "_context")
            attentions["attention" if depth == 1 else f"attention{i + 1}"] = attended[0]
            x = self._ffn_layer(x, prefix + "_ffn", True)
        x = self._post(x, first, "decoder_top", o.get("transformer-postprocess-top", ""))[0]
        return StepValues(log_softmax(self._logits(x)), attentions), (position + 1, new_states)

    def _logits(self, x: np.ndarray) -> np.ndarray:
        """lazyCreateOutputLayer; layers/output.cpp."""
        o, name = self.options, "decoder_ff_logit_out"
        if o.get("tied-embeddings-all") or o.get("tied-embeddings"):
            shared = o.get("tied-embeddings-all") or o.get("tied-embeddings-src")
            logits = self.w.product(x, "Wemb" if shared else "decoder_Wemb", transposed=True)
        elif name + "_W" in self.w:
            logits = self.w.product(x, name + "_W")
        else:
            logits = self.w.product(x, name + "_Wt", transposed=True)
        return logits if o.get("output-omit-bias") else logits + vector(self.w, name + "_b")


def candidates(lex: bytes, source_ids: Sequence[int], vocabulary: int, shared: bool = True) -> np.ndarray:
    """The target ids that a binary lexical shortlist leaves a source, ascending; `shared`: one vocabulary for both
    sides. Marian's src/data/shortlist.cpp, BinaryShortlistGenerator::load and ::generate."""
    header = np.frombuffer(lex, "<u8", 6)
    first, offsets, entries = int(header[2]), int(header[4]), int(header[5])
    table = np.frombuffer(lex, "<u8", offsets, 48)
    lists = np.frombuffer(lex, "<u4", entries, 48 + 8 * offsets)
    found = set(range(min(first, vocabulary)))
    for word in source_ids:
        if shared:
            found.add(int(word))
        found.update(lists[table[word] : table[word + 1]].tolist())
    for i in range(first, vocabulary):
        if len(found) % 8 == 0:
            break
        found.add(i)
    return np.array(sorted(found))


class Shortlisted:
    """A model whose distribution is over the candidates of its source alone; -inf elsewhere."""

    def __init__(self, model, lex: bytes, vocabulary: int, shared: bool = True) -> None:
        self.model, self.lex, self.vocabulary, self.shared = model, lex, vocabulary, shared

    def encode(self, source_ids: Sequence[int]):
        return self.model.encode(source_ids), candidates(self.lex, source_ids, self.vocabulary, self.shared)

    def start(self, memory):
        return self.model.start(memory[0])

    def step(self, state, memory, token: int | None):
        values, state = self.model.step(state, memory[0], token)
        p = np.full(self.vocabulary, -np.inf)
        p[memory[1]] = log_softmax(values.log_probabilities[memory[1]])
        return StepValues(p, values.attentions), state
