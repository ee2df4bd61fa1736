"""OpenNMT-py's recurrent models, 2017 to 3.5 (onmt/encoders/{rnn,mean}_encoder.py, onmt/decoders/decoder.py,
onmt/modules/{global_attention,copy_generator,gate,stacked_rnn}.py; v0.1: onmt/Models.py).

Weights under the names of the checkpoint's `model`, and those of its `generator` behind "generator."; the embeddings'
key differs by version. One sentence at a time, so no padding and no mask plays in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np

from . import cells, scores
from .trace import Attended, StepValues


@dataclass(frozen=True)
class Options:
    """The checkpoint's `opt`, as far as it changes what is computed. For copying: `pad` is the target's <blank>, and
    the words of both vocabularies."""

    encoder_type: str = "rnn"  # rnn | brnn | mean
    rnn_type: str = "LSTM"  # LSTM | GRU
    enc_layers: int = 1
    dec_layers: int = 1
    input_feed: bool = True
    global_attention: str = "general"  # dot | general | mlp | none
    global_attention_function: str = "softmax"  # softmax | sparsemax
    bridge: bool = False
    context_gate: str | None = None  # source | target | both
    copy_attn: bool = False
    reuse_copy_attn: bool = False
    copy_attn_type: str = "general"
    pad: int = 1
    source_words: tuple[str, ...] = ()
    target_words: tuple[str, ...] = ()


@dataclass
class _Memory:
    states: np.ndarray  # [S, D]
    finals: list[tuple[np.ndarray, np.ndarray]]  # (h, c) of each decoder layer
    copy_ids: (
        list[int] | None
    )  # of a model that copies: target id of each source position, from the vocabulary's size on where it has none


class Model:
    def __init__(self, options: Options, weights: dict[str, np.ndarray]):
        self.options = options
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}
        for name in ("bias_ih", "bias_hh"):  # of shape [1, n] in files of 2017
            self.weights.update({k: v.reshape(-1) for k, v in self.weights.items() if f"{name}" in k})
        self.vocabulary = self._table("decoder").shape[0]
        self.words: Sequence[str] | None = None  # of the source that comes next, as they were typed

    def _table(self, side: str) -> np.ndarray:
        """onmt/modules/embeddings.py; 0.1 to 3.x: `make_embedding` is a Sequential whose first part is `emb_luts`."""
        names = (f"{side}.embeddings.emb_luts.0.weight", f"{side}.embeddings.make_embedding.emb_luts.0.weight")
        return next(self.weights[n] for n in names if n in self.weights)

    def _w(self, name: str) -> np.ndarray | float:
        return self.weights.get(name, 0.0)

    # The encoder.

    def encode(self, source_ids: Sequence[int]) -> _Memory:
        o = self.options
        xs = self._table("encoder")[list(source_ids)]
        if o.encoder_type == "mean":  # MeanEncoder.forward: memory is the embeddings, every state their mean
            return _Memory(xs, [(xs.mean(0), xs.mean(0))] * o.dec_layers, self._copy_ids(source_ids))
        ways = ("", "_reverse") if o.encoder_type == "brnn" else ("",)
        finals = []  # in torch's order: layer 0 forward, layer 0 backward, layer 1 forward, ...
        for layer in range(o.enc_layers):
            outs = []
            for way in ways:
                out, state = cells.run_torch(o.rnn_type, xs, self.weights, "encoder.rnn.", f"l{layer}{way}", bool(way))
                outs.append(out)
                finals.append(state)
            xs = np.hstack(outs)
        hs = [h for h, _ in finals]
        cs = [c if c is not None else h for h, c in finals]
        if o.bridge:
            hs = self._bridge(hs, 0)
            cs = self._bridge(cs, 1) if o.rnn_type == "LSTM" else cs
        n = len(ways)
        # RNNDecoderBase.init_state, _fix_enc_hidden: the directions of a layer side by side.
        both = [(np.concatenate(hs[i : i + n]), np.concatenate(cs[i : i + n])) for i in range(0, len(hs), n)]
        return _Memory(xs, both, self._copy_ids(source_ids))

    def _bridge(self, states: list[np.ndarray], kind: int) -> list[np.ndarray]:
        """RNNEncoder._bridge, bottle_hidden: [layers * directions, 1, H] seen as rows of layers * H, so that a row of a
        bidirectional encoder holds half of its states, whichever these are."""
        weight, bias = self.weights[f"encoder.bridge.{kind}.weight"], self.weights[f"encoder.bridge.{kind}.bias"]
        rows = np.concatenate(states).reshape(-1, weight.shape[1])
        return list(np.maximum(rows @ weight.T + bias, 0).reshape(len(states), -1))

    def _copy_ids(self, source_ids: Sequence[int]) -> list[int] | None:
        """collapse_copy_scores: a source word that the target has counts as that, <unk> excepted; each other word is
        one of the sentence's own. Words unknown to the source's vocabulary are told apart where `words` is given."""
        o = self.options
        if not o.copy_attn:
            return None
        words = self.words if self.words is not None else [o.source_words[i] for i in source_ids]
        own: dict[str, int] = {}
        known = {word: i for i, word in reversed(list(enumerate(o.target_words))) if word != "<unk>"}
        return [known[word] if word in known else own.setdefault(word, self.vocabulary + len(own)) for word in words]

    # The decoder.

    def start(self, memory: _Memory):
        """RNNDecoderBase.init_state; the input feed starts at zero."""
        return memory.finals, np.zeros(memory.finals[0][0].shape[0])

    def _attend(self, prefix: str, kind: str, query: np.ndarray, memory: _Memory) -> Attended:
        """GlobalAttention.score and the weighted sum."""
        w, h = self.weights, memory.states
        if kind == "mlp":
            q = w[f"{prefix}.linear_query.weight"] @ query + w[f"{prefix}.linear_query.bias"]
            energies = np.tanh(q + h @ w[f"{prefix}.linear_context.weight"].T) @ w[f"{prefix}.v.weight"].reshape(-1)
        else:
            energies = h @ (w[f"{prefix}.linear_in.weight"] @ query if kind == "general" else query)
        sparse = self.options.global_attention_function == "sparsemax"
        return scores.attend(energies, h, cells.sparsemax if sparse else cells.softmax)

    def _attention_vector(self, context: np.ndarray, query: np.ndarray) -> np.ndarray:
        """GlobalAttention.forward: tanh, and no bias, but for mlp."""
        out = self.weights["decoder.attn.linear_out.weight"] @ np.concatenate([context, query])
        if self.options.global_attention == "mlp":
            return out + self.weights["decoder.attn.linear_out.bias"]
        return np.tanh(out)

    def _gate(self, kind: str, x: np.ndarray, s: np.ndarray, a: np.ndarray) -> np.ndarray:
        """onmt/modules/gate.py: x is the decoder's input (input feed included), s its state, a the attention vector."""
        g = "decoder.context_gate.context_gate."

        def linear(name: str, value: np.ndarray) -> np.ndarray:
            return self.weights[f"{g}{name}.weight"] @ value + self.weights[f"{g}{name}.bias"]

        z = cells.sigmoid(linear("gate", np.concatenate([x, s, a])))
        source, target = linear("source_proj", a), linear("target_proj", np.concatenate([x, s]))
        mixed = {"source": target + z * source, "target": z * target + source, "both": (1 - z) * target + z * source}
        return np.tanh(mixed[kind])

    def _cell(self, layer: int, x: np.ndarray, state):
        """StackedLSTM and StackedGRU with input feeding, torch's own RNN without."""
        r, suffix = (
            ("decoder.rnn.layers.%d." % layer, "") if self.options.input_feed else ("decoder.rnn.", f"_l{layer}")
        )
        w = [self.weights[f"{r}{p}{suffix}"] for p in ("weight_ih", "weight_hh")]
        w += [self._w(f"{r}{p}{suffix}") for p in ("bias_ih", "bias_hh")]
        h, c = state
        if self.options.rnn_type == "LSTM":
            return cells.lstm_torch(x, h, c, *w)
        h = cells.gru_torch(x, h, *w)
        return h, h

    def step(self, state, memory: _Memory, token: int):
        """InputFeedRNNDecoder._run_forward_pass, or StdRNNDecoder's without input feeding; then the generator."""
        o = self.options
        layers, feed = state
        x = self._table("decoder")[token]
        if o.input_feed:
            x = np.concatenate([x, feed])
        below, new = x, []
        for layer, before in enumerate(layers):
            h, c = self._cell(layer, below, before)
            new.append((h, c))
            below = h
        found: dict[str, Attended] = {}
        a = below
        if o.global_attention != "none":
            found["attention"] = self._attend("decoder.attn", o.global_attention, below, memory)
            a = self._attention_vector(found["attention"].context, below)
        if o.context_gate:
            a = self._gate(o.context_gate, x, below, a)
        if not o.copy_attn:
            logits = self._generator("0.weight", "weight") @ a + self._generator("0.bias", "bias")
            return StepValues(cells.log_softmax(logits), found), (new, a)
        if not o.reuse_copy_attn:
            found["copy_attention"] = self._attend("decoder.copy_attn", o.copy_attn_type, a, memory)
        copied = found["attention" if o.reuse_copy_attn else "copy_attention"].weights[0]
        return self._copy(a, copied, memory, found), (new, a)

    def _generator(self, *names: str) -> np.ndarray:
        return next(self.weights[f"generator.{n}"] for n in names if f"generator.{n}" in self.weights)

    def _copy(self, a: np.ndarray, attention: np.ndarray, memory: _Memory, found: dict[str, Attended]) -> StepValues:
        """CopyGenerator.forward and collapse_copy_scores."""
        logits = self.weights["generator.linear.weight"] @ a + self.weights["generator.linear.bias"]
        logits[self.options.pad] = -np.inf
        gate = float(
            cells.sigmoid(
                self.weights["generator.linear_copy.weight"] @ a + self.weights["generator.linear_copy.bias"]
            ).item()
        )
        mixed = np.zeros(max(self.vocabulary, max(memory.copy_ids) + 1))
        mixed[: self.vocabulary] = (1 - gate) * cells.softmax(logits)
        np.add.at(mixed, memory.copy_ids, gate * attention)
        with np.errstate(divide="ignore"):
            return StepValues(np.log(mixed), found, gate)
