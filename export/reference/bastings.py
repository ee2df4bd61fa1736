"""bastings/annotated_encoder_decoder (annotated_encoder_decoder.ipynb). Weights under the names of the saved
state_dict."""

from __future__ import annotations

import numpy as np

from . import cells, scores
from .trace import StepValues

SOS, EOS = 2, 3


class Model:
    def __init__(self, weights: dict[str, np.ndarray]):
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}
        self.layers = sum(name.startswith("decoder.rnn.weight_hh_l") for name in weights)

    def encode(self, source_ids):
        """Encoder.forward: a cuDNN-style bidirectional GRU; of each layer [forward; backward] of the last states."""
        w = self.weights
        xs = w["src_embed.weight"][list(source_ids)]
        finals = []
        for layer in range(self.layers):
            ahead, (h_ahead, _) = cells.run_torch("GRU", xs, w, "encoder.rnn.", f"l{layer}", False)
            back, (h_back, _) = cells.run_torch("GRU", xs, w, "encoder.rnn.", f"l{layer}_reverse", True)
            xs = np.hstack([ahead, back])
            finals.append(np.concatenate([h_ahead, h_back]))
        return xs, xs @ w["decoder.attention.key_layer.weight"].T, finals

    def start(self, memory):
        """Decoder.init_hidden: one bridge for all layers."""
        w = self.weights
        return [np.tanh(w["decoder.bridge.weight"] @ f + w["decoder.bridge.bias"]) for f in memory[2]]

    def step(self, hidden, memory, token):
        """Decoder.forward_step and Generator.forward: the query is the top layer's previous state."""
        states, keys, _ = memory
        w = self.weights
        embedded = w["trg_embed.weight"][token]
        query = w["decoder.attention.query_layer.weight"] @ hidden[-1]
        energies = np.tanh(query + keys) @ w["decoder.attention.energy_layer.weight"][0]
        found = scores.attend(energies, states)
        x = np.concatenate([embedded, found.context])
        new = []
        for layer, h in enumerate(hidden):
            r = [w[f"decoder.rnn.{part}_l{layer}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            x = cells.gru_torch(x, h, *r)
            new.append(x)
        pre = w["decoder.pre_output_layer.weight"] @ np.concatenate([embedded, x, found.context])
        return StepValues(cells.log_softmax(w["generator.proj.weight"] @ pre), {"attention": found}), new
