"""tensorflow/nmt and GNMT (nmt/{model,attention_model,gnmt_model,model_helper}.py), with TensorFlow 1's cells
(tf.nn.rnn_cell.BasicLSTMCell, GRUCell; tf.contrib.rnn.LayerNormBasicLSTMCell) and AttentionWrapper.

Weights under the checkpoint's names below `dynamic_seq2seq`, kernels [inputs, outputs]; `embeddings/...` as they stand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import cells, scores
from .trace import StepValues


@dataclass(frozen=True)
class Options:
    """The hparams file; both sides have num_layers."""

    unit_type: str = "lstm"  # lstm | gru | layer_norm_lstm
    forget_bias: float = 1.0  # added at run time
    encoder_type: str = "uni"  # uni | bi | gnmt
    num_layers: int = 2
    num_residual_layers: int = 0
    attention: str = "luong"  # "" | luong | scaled_luong | bahdanau | normed_bahdanau
    attention_architecture: str = "standard"  # standard | gnmt | gnmt_v2
    output_attention: bool = True
    pass_hidden_state: bool = True
    share_vocab: bool = False


@dataclass
class _Memory:
    states: np.ndarray
    finals: list  # (h, c) of each decoder layer
    keys: np.ndarray | None


class Model:
    def __init__(self, options: Options, weights: dict[str, np.ndarray]):
        self.options = options
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}
        self.embeddings = [
            self.weights["embeddings/embedding_share" if options.share_vocab else f"embeddings/{side}/embedding_{side}"]
            for side in ("encoder", "decoder")
        ]

    # --- cells

    def _cell(self, x: np.ndarray, state, scope: str):
        o, w = self.options, self.weights
        h, c = state
        if o.unit_type == "gru":  # GRUCell: the reset comes before the product; h = u h + (1 - u) candidate
            gates = cells.sigmoid(
                np.concatenate([x, h]) @ w[f"{scope}/gru_cell/gates/kernel"] + w[f"{scope}/gru_cell/gates/bias"]
            )
            r, u = np.split(gates, 2)
            joined = np.concatenate([x, r * h])
            n = np.tanh(joined @ w[f"{scope}/gru_cell/candidate/kernel"] + w[f"{scope}/gru_cell/candidate/bias"])
            return u * h + (1 - u) * n, c
        if o.unit_type == "layer_norm_lstm":  # each gate is normalised, then the new c, which stays normalised
            s = f"{scope}/layer_norm_basic_lstm_cell"
            blocks = np.split(np.concatenate([x, h]) @ w[f"{s}/kernel"], 4)
            i, j, f, out = (
                self._norm(b, f"{s}/{n}") for b, n in zip(blocks, ("input", "transform", "forget", "output"))
            )
            c = self._norm(c * cells.sigmoid(f + o.forget_bias) + cells.sigmoid(i) * np.tanh(j), f"{s}/state")
            return np.tanh(c) * cells.sigmoid(out), c
        # BasicLSTMCell: blocks i, j, f, o
        i, j, f, out = np.split(
            np.concatenate([x, h]) @ w[f"{scope}/basic_lstm_cell/kernel"] + w[f"{scope}/basic_lstm_cell/bias"], 4
        )
        c = c * cells.sigmoid(f + o.forget_bias) + cells.sigmoid(i) * np.tanh(j)
        return np.tanh(c) * cells.sigmoid(out), c

    def _norm(self, x: np.ndarray, scope: str) -> np.ndarray:
        """tf.contrib.layers.layer_norm: epsilon 1e-12."""
        return cells.layer_norm(x, self.weights[f"{scope}/gamma"], self.weights[f"{scope}/beta"], 1e-12)

    def _units(self) -> int:
        name = next(
            n for n in self.weights if n.startswith("decoder/") and n.endswith(("_cell/kernel", "gates/kernel"))
        )
        return self.weights[name].shape[1] // (2 if self.options.unit_type == "gru" else 4)

    def _layers(self, xs: np.ndarray, scope: str, count: int, residual: int, reverse: bool):
        """dynamic_rnn over create_rnn_cell: `residual` counts from the top (model_helper._cell_list)."""
        units, finals = self._units(), []
        for layer in range(count):
            name = f"{scope}/multi_rnn_cell/cell_{layer}" if count > 1 else scope
            state = (np.zeros(units), np.zeros(units))
            out = np.zeros((len(xs), units))
            for j in range(len(xs) - 1, -1, -1) if reverse else range(len(xs)):
                state = self._cell(xs[j], state, name)
                out[j] = state[0]
            xs = out + xs if layer >= count - residual else out
            finals.append(state)
        return xs, finals

    def encode(self, source_ids) -> _Memory:
        """Model._build_encoder; GNMTModel._build_encoder."""
        o = self.options
        xs = self.embeddings[0][list(source_ids)]
        if o.encoder_type == "uni":
            xs, finals = self._layers(xs, "encoder/rnn", o.num_layers, o.num_residual_layers, False)
        else:
            bi = o.num_layers // 2 if o.encoder_type == "bi" else 1
            residual = o.num_residual_layers // 2 if o.encoder_type == "bi" else 0
            fw, fw_finals = self._layers(xs, "encoder/bidirectional_rnn/fw", bi, residual, False)
            bw, bw_finals = self._layers(xs, "encoder/bidirectional_rnn/bw", bi, residual, True)
            xs = np.hstack([fw, bw])
            if o.encoder_type == "bi":  # forward and backward by turns, from the bottom up
                finals = [state for pair in zip(fw_finals, bw_finals) for state in pair]
            else:
                xs, finals = self._layers(xs, "encoder/rnn", o.num_layers - 1, o.num_residual_layers, False)
                finals = [bw_finals[0], *finals]
        keys = xs @ self.weights["decoder/memory_layer/kernel"] if o.attention else None
        return _Memory(xs, finals, keys)

    def start(self, memory: _Memory):
        units = self._units()
        zero = (np.zeros(units), np.zeros(units))
        layers = memory.finals if self.options.pass_hidden_state else [zero] * self.options.num_layers
        fed = np.zeros(memory.states.shape[1] if self.options.attention_architecture != "standard" else units)
        return layers, fed

    def _attend(self, query: np.ndarray, memory: _Memory, scope: str):
        """tf.contrib.seq2seq.LuongAttention, BahdanauAttention."""
        o, w = self.options, self.weights
        if o.attention in ("luong", "scaled_luong"):
            energies = memory.keys @ query
            if o.attention == "scaled_luong":
                energies = energies * w[f"{scope}/luong_attention/attention_g"]
        else:
            s = f"{scope}/bahdanau_attention"
            v, bias = w[f"{s}/attention_v"], 0.0
            if o.attention == "normed_bahdanau":
                v = w[f"{s}/attention_g"] * v / np.sqrt((v**2).sum())
                bias = w[f"{s}/attention_b"]
            energies = np.tanh(memory.keys + query @ w[f"{s}/query_layer/kernel"] + bias) @ v
        return scores.attend(energies, memory.states)

    def step(self, state, memory: _Memory, token: int):
        o = self.options
        layers, fed = state
        e = self.embeddings[1][token]
        if not o.attention:
            out, layers = self._stack(e, layers, "decoder")
            return self._output(out, {}), (layers, fed)
        if o.attention_architecture == "standard":
            # AttentionWrapper.call: the cell reads [inputs, attention]; attention = W [cell output, context], no bias
            out, layers = self._stack(np.concatenate([e, fed]), layers, "decoder/attention")
            attended = self._attend(out, memory, "decoder/attention")
            fed = np.concatenate([out, attended.context]) @ self.weights["decoder/attention/attention_layer/kernel"]
            return self._output(fed if o.output_attention else out, {"attention": attended}), (layers, fed)
        return self._gnmt(e, layers, fed, memory)

    def _stack(self, x: np.ndarray, layers, scope: str):
        """MultiRNNCell of create_rnn_cell."""
        o, new = self.options, []
        for i, state in enumerate(layers):
            name = f"{scope}/multi_rnn_cell/cell_{i}" if o.num_layers > 1 else scope
            state = self._cell(x, state, name)
            new.append(state)
            x = state[0] + x if i >= o.num_layers - o.num_residual_layers else state[0]
        return x, new

    def _gnmt(self, e: np.ndarray, layers, fed: np.ndarray, memory: _Memory):
        """GNMTAttentionMultiCell.__call__: attention belongs to the lowest cell; the upper ones read [x, context]: of
        the step before (gnmt) or of this one (gnmt_v2). gnmt_residual_fn adds x alone."""
        o = self.options
        scope = "decoder/multi_rnn_cell"
        bottom = self._cell(np.concatenate([e, fed]), layers[0], f"{scope}/cell_0_attention/attention")
        x, new = bottom[0], [bottom]
        attended = self._attend(x, memory, f"{scope}/cell_0_attention/attention")
        context = attended.context if o.attention_architecture == "gnmt_v2" else fed
        for i in range(1, o.num_layers):
            state = self._cell(np.concatenate([x, context]), layers[i], f"{scope}/cell_{i}")
            new.append(state)
            x = state[0] + x if i >= o.num_layers - o.num_residual_layers else state[0]
        return self._output(x, {"attention": attended}), (new, attended.context)

    def _output(self, x: np.ndarray, attentions: dict) -> StepValues:
        """Model.build_graph: output_projection, a Dense layer without bias."""
        return StepValues(cells.log_softmax(x @ self.weights["decoder/output_projection/kernel"]), attentions)
