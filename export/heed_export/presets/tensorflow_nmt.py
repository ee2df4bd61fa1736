"""tensorflow/nmt's and GNMT's models as programs: build() takes the checkpoint's variables as NumPy arrays (reading
TensorFlow's files is the caller's, e.g. with tf.train.load_checkpoint), under their names below `dynamic_seq2seq`,
and the embeddings' as they stand.

What the toolkit computes: nmt/{model,attention_model,gnmt_model,model_helper}.py; export/reference/tensorflow_nmt.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from ..model.builder import ZERO, BuildError, Model, Value
from ..model.layers import Cell, Norm, reorder, transposed
from ..model.vocabulary import Vocabulary
from ..reading.checkpoint import Weights


@dataclass(frozen=True)
class Options:
    """Of the hparams file; both sides have num_layers."""

    unit_type: str = "lstm"  # lstm | gru | layer_norm_lstm
    forget_bias: float = 1.0
    encoder_type: str = "uni"  # uni | bi | gnmt
    num_layers: int = 2
    num_residual_layers: int = 0
    attention: str = "luong"  # "" | luong | scaled_luong | bahdanau | normed_bahdanau
    attention_architecture: str = "standard"  # standard | gnmt | gnmt_v2
    output_attention: bool = True
    pass_hidden_state: bool = True
    share_vocab: bool = False


class _Builder:
    def __init__(self, options: Options, weights: Weights, source: Vocabulary, target: Vocabulary):
        self.options, self.weights = options, weights
        self.model = Model(source, target)

    def cell(self, scope: str) -> Cell:
        """TensorFlow's [inputs + H, k H] kernels, LSTM blocks i, j, f, o with the forget bias not yet added; a GRU's
        gates r, u of which u keeps the state, as z does here."""
        o, w = self.options, self.weights
        if o.unit_type == "gru":
            gates = w[f"{scope}/gru_cell/gates/kernel"]
            kernel = np.hstack([gates, w[f"{scope}/gru_cell/candidate/kernel"]])
            bias = np.concatenate([w[f"{scope}/gru_cell/gates/bias"], w[f"{scope}/gru_cell/candidate/bias"]])
            hidden = gates.shape[1] // 2
            return Cell("gru", *self.split(kernel, hidden), bias, reset="before")
        normed = o.unit_type == "layer_norm_lstm"
        scope = f"{scope}/{'layer_norm_basic_lstm_cell' if normed else 'basic_lstm_cell'}"
        kernel = w[f"{scope}/kernel"]
        hidden = kernel.shape[1] // 4
        rows = reorder(transposed(kernel), "ijfo", "ifjo")
        inputs, state = (transposed(part) for part in np.split(rows.T, [kernel.shape[0] - hidden]))
        forget = np.repeat(np.array([0, o.forget_bias, 0, 0], np.float32), hidden)
        if not normed:
            return Cell("lstm", inputs, state, reorder(w[f"{scope}/bias"], "ijfo", "ifjo") + forget)
        names = ("input", "forget", "transform", "output")
        scale, shift = (np.concatenate([w[f"{scope}/{n}/{part}"] for n in names]) for part in ("gamma", "beta"))
        norm = Norm("blocks", 1e-12, scale, shift + forget, cell_scale=w[f"{scope}/state/gamma"],
                    cell_bias=w[f"{scope}/state/beta"], cell_carried=True)  # fmt: skip
        return Cell("lstm", inputs, state, norm=norm)

    @staticmethod
    def split(kernel: np.ndarray, hidden: int) -> tuple[np.ndarray, np.ndarray]:
        inputs, state = np.split(kernel, [kernel.shape[0] - hidden])
        return transposed(inputs), transposed(state)

    @property
    def has_c(self) -> bool:
        return self.options.unit_type != "gru"

    def rnns(self, prefix: str, x: Value, scope: str, count: int, residual: int, backward: bool):
        """A stack of one direction. Returns its output and the (h, c) of each layer."""
        finals = []
        for layer in range(count):
            name = f"{scope}/multi_rnn_cell/cell_{layer}" if count > 1 else scope
            out = self.model.encoder.rnn(f"{prefix}{layer + 1}", x, self.cell(name), backward)
            finals.append((out.h, out.c if self.has_c else None))
            if layer >= count - residual:
                out = self.model.encoder.add(f"{prefix}{layer + 1}_residual", [out, x])
            x = out
        return x, finals

    def encoder(self) -> tuple[Value, list]:
        o = self.options
        table = self.weights["embeddings/embedding_share" if o.share_vocab else "embeddings/encoder/embedding_encoder"]
        x = self.model.encoder.embed("source_embedding", table)
        if o.encoder_type == "uni":
            return self.rnns("layer", x, "encoder/rnn", o.num_layers, o.num_residual_layers, False)
        bi = o.num_layers // 2 if o.encoder_type == "bi" else 1
        residual = o.num_residual_layers // 2 if o.encoder_type == "bi" else 0
        fw, fw_finals = self.rnns("forward", x, "encoder/bidirectional_rnn/fw", bi, residual, False)
        bw, bw_finals = self.rnns("backward", x, "encoder/bidirectional_rnn/bw", bi, residual, True)
        x = self.model.encoder.concat("both", [fw, bw])
        if o.encoder_type == "bi":
            return x, [state for pair in zip(fw_finals, bw_finals) for state in pair]
        x, finals = self.rnns("layer", x, "encoder/rnn", o.num_layers - 1, o.num_residual_layers, False)
        return x, [bw_finals[0], *finals]

    def attend(self, query: Value, memory: Value, scope: str) -> Value:
        o, w = self.options, self.weights
        keys = transposed(w["decoder/memory_layer/kernel"])
        if o.attention in ("luong", "scaled_luong"):
            scale = float(w[f"{scope}/luong_attention/attention_g"]) if o.attention == "scaled_luong" else None
            return self.model.step.attend("attention", "general", query, memory, key_weight=keys, scale=scale)
        s = f"{scope}/bahdanau_attention"
        v, bias = w[f"{s}/attention_v"], None
        if o.attention == "normed_bahdanau":
            length = np.sqrt((np.asarray(v, np.float64) ** 2).sum())
            v, bias = w[f"{s}/attention_g"] * v / length, w[f"{s}/attention_b"]
        return self.model.step.attend(
            "attention", "additive", query, memory, key_weight=keys, v=v, query_bias=bias,
            query_weight=transposed(w[f"{s}/query_layer/kernel"]),
        )  # fmt: skip

    def layer(self, i: int, scope: str, inputs: Any, x: Value | None, firsts: Sequence) -> Value:
        """Decoder layer i (from 0) on `inputs`; where it is residual, `x` is added."""
        h, c = firsts[i]
        state = self.model.step.cell(f"state{i + 1}", inputs, self.cell(scope), h, first_c=c if self.has_c else None)
        if i < self.options.num_layers - self.options.num_residual_layers:
            return state
        return self.model.step.add(f"residual{i + 1}", [state, x])

    def decoder(self, memory: Value, finals: list) -> Value:
        o, w, step = self.options, self.weights, self.model.step
        firsts = finals if o.pass_hidden_state else [(ZERO, ZERO)] * o.num_layers
        table = w["embeddings/embedding_share" if o.share_vocab else "embeddings/decoder/embedding_decoder"]
        e = step.embed("target_embedding", table)
        if o.attention and o.attention_architecture != "standard":
            return self.gnmt(e, memory, firsts)
        scope = "decoder/attention" if o.attention else "decoder"
        inputs: Any = [e]
        if o.attention:
            vector = transposed(w["decoder/attention/attention_layer/kernel"])
            inputs.append(step.previous("attended", size=vector.shape[0]))
        x = None
        for i in range(o.num_layers):
            name = f"{scope}/multi_rnn_cell/cell_{i}" if o.num_layers > 1 else scope
            x = self.layer(i, name, inputs, x, firsts)
            inputs = x
        if not o.attention:
            return x
        context = self.attend(x, memory, scope)
        attended = step.linear("attended", [x, context], vector)
        return attended if o.output_attention else x

    def gnmt(self, e: Value, memory: Value, firsts: Sequence) -> Value:
        o, step = self.options, self.model.step
        before = step.previous("attention", size=memory.size)
        scope = "decoder/multi_rnn_cell"
        bottom = f"{scope}/cell_0_attention/attention"
        x = self.layer(0, bottom, [e, before], None, firsts)
        context = self.attend(x, memory, bottom)
        upper = context if o.attention_architecture == "gnmt_v2" else before
        for i in range(1, o.num_layers):
            x = self.layer(i, f"{scope}/cell_{i}", [x, upper], x, firsts)
        return x


def build(options: Options, weights: Weights, source: Vocabulary, target: Vocabulary) -> Model:
    """The model; `target.bos` starts it. Raises CheckpointError for a variable that is missing, BuildError for
    shapes."""
    if options.num_residual_layers >= options.num_layers:
        raise BuildError(f"num_residual_layers is {options.num_residual_layers}, expected below {options.num_layers}")
    b = _Builder(options, weights, source, target)
    memory, finals = b.encoder()
    top = b.decoder(memory, finals)
    b.model.step.output("prediction", top, transposed(weights["decoder/output_projection/kernel"]))
    b.model.start_with(target.bos)
    return b.model
