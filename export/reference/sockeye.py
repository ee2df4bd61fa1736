"""Sockeye 1.x's recurrent models (sockeye/{encoder,decoder,rnn,rnn_attention,coverage}.py at 1.18).

Weights under the names of the .params file, [outputs, inputs]; MXNet's cells have torch's gate order and reset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import cells, scores
from .trace import StepValues


@dataclass(frozen=True)
class Options:
    cell_type: str = "lstm"  # lstm | gru | lnlstm | lnglstm | lngru
    encoder_layers: int = 1  # the first bidirectional, each way half as wide
    encoder_first_residual_layer: int = 0  # from 1; 0: none
    decoder_layers: int = 1
    decoder_first_residual_layer: int = 0
    state_init: str = "last"  # last | avg | zero
    attention: str = "mlp"  # mlp | bilinear | dot | cov (mlp with coverage of type count)
    attention_use_prev_word: bool = False
    attention_scaled: bool = False  # dot
    attention_in_upper_layers: bool = False
    context_gating: bool = False
    enc_last_hidden_concat_to_embedding: bool = False
    layer_normalization: bool = False  # of initial states and the attention vector


@dataclass
class _Memory:
    states: np.ndarray


class Model:
    def __init__(self, options: Options, weights: dict[str, np.ndarray]):
        self.options = options
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return self.weights[f"{name}_weight"] @ x + self.weights.get(f"{name}_bias", 0.0)

    def _cell(self, x: np.ndarray, state, prefix: str):
        """mx.rnn.LSTMCell, GRUCell; sockeye/rnn.py LayerNormLSTMCell, LayerNormPerGateLSTMCell, LayerNormGRUCell (all
        LayerNormalization: epsilon 1e-6)."""
        w, kind = self.weights, self.options.cell_type
        h, c = state
        xw, hw = w[f"{prefix}i2h_weight"] @ x, w[f"{prefix}h2h_weight"] @ h
        xb, hb = w[f"{prefix}i2h_bias"], w[f"{prefix}h2h_bias"]
        if kind in ("lnlstm", "lngru"):  # biases come behind the norms
            xw = cells.layer_norm(xw, w[f"{prefix}i2h_scale"], w[f"{prefix}i2h_shift"])
            hw = cells.layer_norm(hw, w[f"{prefix}h2h_scale"], w[f"{prefix}h2h_shift"])
        if kind in ("gru", "lngru"):
            xr, xz, xn = np.split(xw + xb, 3)
            hr, hz, hn = np.split(hw + hb, 3)
            r, z = cells.sigmoid(xr + hr), cells.sigmoid(xz + hz)
            return (1 - z) * np.tanh(xn + r * hn) + z * h, c
        i, f, g, out = np.split(xw + xb + hw + hb, 4)
        if kind == "lnglstm":  # scales are stored as `_shift` and shifts as `_scale`
            i, f, g, out = (
                cells.layer_norm(b, w[f"{prefix}{n}_shift"], w[f"{prefix}{n}_scale"])
                for b, n in zip((i, f, g, out), "ifco")
            )
        c = cells.sigmoid(f) * c + cells.sigmoid(i) * np.tanh(g)
        top = c
        if kind == "lnlstm":
            top = cells.layer_norm(c, w[f"{prefix}c_scale"], w[f"{prefix}c_shift"])
        elif kind == "lnglstm":
            top = cells.layer_norm(c, w[f"{prefix}s_shift"], w[f"{prefix}s_scale"])
        return cells.sigmoid(out) * np.tanh(top), c

    def _run(self, xs: np.ndarray, prefix: str, reverse: bool) -> np.ndarray:
        hidden = self.weights[f"{prefix}h2h_weight"].shape[1]
        state = (np.zeros(hidden), np.zeros(hidden))
        out = np.zeros((len(xs), hidden))
        for j in range(len(xs) - 1, -1, -1) if reverse else range(len(xs)):
            state = self._cell(xs[j], state, prefix)
            out[j] = state[0]
        return out

    def encode(self, source_ids) -> _Memory:
        """get_recurrent_encoder: a bidirectional layer, then forward ones."""
        xs = self.weights["source_embed_weight"][list(source_ids)]
        ahead = self._run(xs, "encoder_birnn_forward_l0_", False)
        xs = np.hstack([ahead, self._run(xs, "encoder_birnn_reverse_l0_", True)])
        first = self.options.encoder_first_residual_layer
        for layer in range(self.options.encoder_layers - 1):
            out = self._run(xs, f"encoder_rnn_l{layer}_", False)
            xs = out + xs if first and layer + 2 >= first else out
        return _Memory(xs)

    def start(self, memory: _Memory):
        """RecurrentDecoder.get_initial_state: h and c of each layer apart, from one encoder vector."""
        o, w = self.options, self.weights
        source = memory.states[-1] if o.state_init == "last" else memory.states.mean(0)
        hidden = w["decoder_rnn_l0_h2h_weight"].shape[1]
        kinds = 1 if "gru" in o.cell_type else 2
        states = []
        for index in range(o.decoder_layers * kinds):
            s = np.zeros(hidden)
            if o.state_init != "zero":
                s = self._linear(source, f"decoder_rnn_enc2decinit_{index}")
                if o.layer_normalization:
                    n = f"decoder_rnn_enc2decinit_{index}_norm"
                    s = cells.layer_norm(s, w[f"{n}_gamma"], w[f"{n}_beta"])
                s = np.tanh(s)
            states.append(s)
        layers = [(s, np.zeros(hidden)) for s in states] if kinds == 1 else list(zip(states[::2], states[1::2]))
        return layers, np.zeros(hidden), np.zeros(len(memory.states))

    def _attend(self, query: np.ndarray, memory: _Memory, coverage: np.ndarray):
        """rnn_attention.py: BilinearAttention, DotAttention, MlpAttention and MlpCovAttention."""
        o, w, h = self.options, self.weights, memory.states
        if o.attention == "bilinear":
            energies = h @ w["decoder_rnn_att_s2t_weight"].T @ query
        elif o.attention == "dot":
            keys = h @ w["decoder_rnn_att_s2h_weight"].T if "decoder_rnn_att_s2h_weight" in w else h
            q = w["decoder_rnn_att_t2h_weight"] @ query if "decoder_rnn_att_t2h_weight" in w else query
            energies = keys @ (q * (keys.shape[1] ** -0.5 if o.attention_scaled else 1.0))
        else:
            inside = h @ w["decoder_rnn_att_e2h_weight"].T + w["decoder_rnn_att_q2h_weight"] @ query
            if o.attention == "cov":
                inside = inside + coverage[:, None] * w["decoder_rnn_att_c2h_weight"][:, 0]
            energies = np.tanh(inside) @ w["decoder_rnn_att_h2s_weight"][0]
        attended = scores.attend(energies, h)
        return attended, coverage + attended.weights[0]

    def _rnn(self, x: np.ndarray, layers, first: int, base: int, prefix: str, context: np.ndarray | None = None):
        """Stacked cells; `base`: how many layers of the decoder lie below. With `context` each reads [x, context] and a
        residual adds x alone (rnn.ParallelInputCell, ResidualCellParallelInput)."""
        new = []
        for i, state in enumerate(layers):
            state = self._cell(x if context is None else np.concatenate([x, context]), state, f"{prefix}l{i}_")
            new.append(state)
            x = state[0] + x if first and base + i + 1 >= first else state[0]
        return x, new

    def step(self, state, memory: _Memory, token: int):
        """RecurrentDecoder._step."""
        o, w = self.options, self.weights
        layers, fed, coverage = state
        word = w["target_embed_weight"][token]
        if o.enc_last_hidden_concat_to_embedding:
            word = np.concatenate([word, memory.states[-1]])
        below = 1 if o.attention_in_upper_layers else len(layers)
        first = o.decoder_first_residual_layer
        x, new = self._rnn(np.concatenate([word, fed]), layers[:below], first, 0, "decoder_rnn_")
        query = np.concatenate([word, x]) if o.attention_use_prev_word else x
        attended, coverage = self._attend(query, memory, coverage)
        if o.attention_in_upper_layers:
            x, above = self._rnn(x, layers[below:], first, below, "decoder_rnn_upper_", attended.context)
            new = new + above
        joined = np.concatenate([x, attended.context])
        if o.context_gating:
            gate = cells.sigmoid(self._linear(joined, "decoder_rnn_gate"))
            vector = gate * self._linear(x, "decoder_rnn_mapped_rnn_output")
            vector = vector + (1 - gate) * self._linear(attended.context, "decoder_rnn_mapped_context")
        else:
            vector = self._linear(joined, "decoder_rnn_hidden")
        if o.layer_normalization:
            vector = cells.layer_norm(vector, w["decoder_rnn_hidden_norm_gamma"], w["decoder_rnn_hidden_norm_beta"])
        vector = np.tanh(vector)
        logits = self._linear(vector, "target_output")
        return StepValues(cells.log_softmax(logits), {"attention": attended}), (new, vector, coverage)
