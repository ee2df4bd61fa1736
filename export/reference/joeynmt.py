"""JoeyNMT's recurrent models (joeynmt/{encoders,decoders,attention,model}.py, versions 0.9 to 2.3).

Weights under the names of the checkpoint's `model_state`; options are those of the configuration's `model` section.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import cells, scores
from .trace import StepValues


@dataclass(frozen=True)
class Options:
    """`encoder.rnn_type`, `encoder.num_layers`, ... of config.yaml; both sides' `embeddings.scale`."""

    encoder_type: str = "gru"
    encoder_layers: int = 1
    decoder_type: str = "gru"
    decoder_layers: int = 1
    input_feeding: bool = True
    init_hidden: str = "bridge"  # bridge | last | zero
    attention: str = "bahdanau"  # bahdanau | luong
    activation: str = "tanh"  # of the bridge and the attention vector (2.x: decoder.activation)
    source_scale: bool = False
    target_scale: bool = False


_ACTIVATIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}


@dataclass
class _Memory:
    states: np.ndarray  # [S, 2 H]
    final: np.ndarray  # [2 H]
    keys: np.ndarray  # [S, A]


class Model:
    def __init__(self, options: Options, weights: dict[str, np.ndarray]):
        self.options = options
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}
        self.activation = _ACTIVATIONS[options.activation]

    def _embed(self, side: str, token: int, scale: bool) -> np.ndarray:
        """joeynmt/embeddings.py, Embeddings.forward."""
        table = self.weights[f"{side}_embed.lut.weight"]
        return table[token] * (np.sqrt(table.shape[1]) if scale else 1.0)

    def encode(self, source_ids) -> _Memory:
        """joeynmt/encoders.py, RecurrentEncoder.forward: h alone of the top layer's two directions goes on."""
        o, w = self.options, self.weights
        xs = np.stack([self._embed("src", i, o.source_scale) for i in source_ids])
        kind = o.encoder_type.upper()
        for layer in range(o.encoder_layers):
            ahead, (h_ahead, _) = cells.run_torch(kind, xs, w, "encoder.rnn.", f"l{layer}", False)
            back, (h_back, _) = cells.run_torch(kind, xs, w, "encoder.rnn.", f"l{layer}_reverse", True)
            xs = np.hstack([ahead, back])
        return _Memory(xs, np.concatenate([h_ahead, h_back]), xs @ w["decoder.attention.key_layer.weight"].T)

    def start(self, memory: _Memory):
        """joeynmt/decoders.py, RecurrentDecoder._init_hidden: one vector for every layer, and for an LSTM's c too."""
        o, w = self.options, self.weights
        hidden = w["decoder.rnn.weight_hh_l0"].shape[1]
        if o.init_hidden == "bridge":
            h = self.activation(w["decoder.bridge_layer.weight"] @ memory.final + w["decoder.bridge_layer.bias"])
        elif o.init_hidden == "last":
            h = memory.final[:hidden]  # all of it where the sizes agree, else the forward half
        else:
            h = np.zeros(hidden)
        return [(h, h)] * o.decoder_layers, np.zeros(hidden)

    def _energies(self, query: np.ndarray, memory: _Memory) -> np.ndarray:
        """joeynmt/attention.py."""
        if self.options.attention == "luong":  # LuongAttention.forward
            return memory.keys @ query
        q = self.weights["decoder.attention.query_layer.weight"] @ query  # BahdanauAttention.forward
        return np.tanh(q + memory.keys) @ self.weights["decoder.attention.energy_layer.weight"][0]

    def step(self, state, memory: _Memory, token: int):
        """joeynmt/decoders.py, RecurrentDecoder._forward_step."""
        o, w = self.options, self.weights
        layers, fed = state
        x = self._embed("trg", token, o.target_scale)
        if o.input_feeding:
            x = np.concatenate([x, fed])
        new = []
        for layer, (h, c) in enumerate(layers):
            args = [w[f"decoder.rnn.{part}_l{layer}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            if o.decoder_type == "lstm":
                h, c = cells.lstm_torch(x, h, c, *args)
            else:
                h = cells.gru_torch(x, h, *args)
            new.append((h, c))
            x = h
        attended = scores.attend(self._energies(x, memory), memory.states)
        joined = np.concatenate([x, attended.context])
        vector = self.activation(w["decoder.att_vector_layer.weight"] @ joined + w["decoder.att_vector_layer.bias"])
        logits = w["decoder.output_layer.weight"] @ vector
        return StepValues(cells.log_softmax(logits), {"attention": attended}), (new, vector)
