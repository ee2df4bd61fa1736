"""AllenNLP's simple_seq2seq and composed_seq2seq (allennlp_models/generation/models/simple_seq2seq.py, one decoder
layer).

Weights under the names of weights.th: `_source_embedder.token_embedder_tokens.weight`, `_encoder._module.*`
(torch.nn.LSTM), `_target_embedder.weight`, `_decoder_cell.*`, `_attention.*`, `_output_projection_layer.*`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import cells, scores
from .trace import StepValues


@dataclass(frozen=True)
class Options:
    encoder_layers: int = 1
    bidirectional: bool = False
    attention: str | None = "dot_product"  # dot_product | additive | bilinear (its scalar bias is 0) | None


@dataclass
class _Memory:
    states: np.ndarray
    final: np.ndarray


class Model:
    def __init__(self, options: Options, weights: dict[str, np.ndarray]):
        self.options = options
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}

    def encode(self, source_ids) -> _Memory:
        """_encode, _init_decoder_state: util.get_final_encoder_states takes the last position of the forward half and
        the first of the backward half."""
        xs = self.weights["_source_embedder.token_embedder_tokens.weight"][list(source_ids)]
        for layer in range(self.options.encoder_layers):
            out, (final, _) = cells.run_torch("LSTM", xs, self.weights, "_encoder._module.", f"l{layer}", False)
            if self.options.bidirectional:
                back, (first, _) = cells.run_torch(
                    "LSTM", xs, self.weights, "_encoder._module.", f"l{layer}_reverse", True
                )
                out, final = np.hstack([out, back]), np.concatenate([final, first])
            xs = out
        return _Memory(xs, final)

    def start(self, memory: _Memory):
        return memory.final, np.zeros_like(memory.final)

    def _energies(self, query: np.ndarray, states: np.ndarray) -> np.ndarray:
        """allennlp/modules/attention/*.py."""
        w = self.weights
        if self.options.attention == "dot_product":
            return states @ query
        if self.options.attention == "bilinear":
            return states @ (w["_attention._weight_matrix"].T @ query)
        inside = query @ w["_attention._w_matrix"] + states @ w["_attention._u_matrix"]
        return np.tanh(inside) @ w["_attention._v_vector"][:, 0]

    def step(self, state, memory: _Memory, token: int):
        """_prepare_output_projections: attends with the previous state, then the cell reads [context; embedding]."""
        w = self.weights
        h, c = state
        x, attentions = w["_target_embedder.weight"][token], {}
        if self.options.attention:
            attended = scores.attend(self._energies(h, memory.states), memory.states)
            attentions["attention"] = attended
            x = np.concatenate([attended.context, x])
        args = [w[f"_decoder_cell.{part}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        h, c = cells.lstm_torch(x, h, c, *args)
        logits = w["_output_projection_layer.weight"] @ h + w["_output_projection_layer.bias"]
        return StepValues(cells.log_softmax(logits), attentions), (h, c)
