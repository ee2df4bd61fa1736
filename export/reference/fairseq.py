"""fairseq's `lstm` and its architectures (fairseq/models/lstm.py, 0.6 to 0.12).

Weights under the names of the checkpoint's `model`. Decoding starts with </s> (fairseq/sequence_generator.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import cells, scores
from .trace import StepValues


@dataclass(frozen=True)
class Options:
    """The checkpoint's args; layers of encoder and decoder are equal in number (LSTMModel.build_model)."""

    layers: int = 1
    bidirectional: bool = False
    attention: bool = True
    share_decoder_input_output_embed: bool = False


@dataclass
class _Memory:
    states: np.ndarray  # [S, M]
    finals: list[tuple[np.ndarray, np.ndarray]]  # h, c of each layer, directions side by side


class Model:
    def __init__(self, options: Options, weights: dict[str, np.ndarray]):
        self.options = options
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}

    def encode(self, source_ids) -> _Memory:
        """LSTMEncoder.forward, combine_bidir."""
        w = self.weights
        xs = w["encoder.embed_tokens.weight"][list(source_ids)]
        finals = []
        for layer in range(self.options.layers):
            out, (h, c) = cells.run_torch("LSTM", xs, w, "encoder.lstm.", f"l{layer}", False)
            if self.options.bidirectional:
                back, (h_back, c_back) = cells.run_torch("LSTM", xs, w, "encoder.lstm.", f"l{layer}_reverse", True)
                out, h, c = np.hstack([out, back]), np.concatenate([h, h_back]), np.concatenate([c, c_back])
            xs = out
            finals.append((h, c))
        return _Memory(xs, finals)

    def start(self, memory: _Memory):
        """LSTMDecoder.extract_features: projected, without a function, only where sizes differ."""
        w = self.weights
        layers = memory.finals
        if "decoder.encoder_hidden_proj.weight" in w:
            layers = [
                (
                    w["decoder.encoder_hidden_proj.weight"] @ h + w["decoder.encoder_hidden_proj.bias"],
                    w["decoder.encoder_cell_proj.weight"] @ c + w["decoder.encoder_cell_proj.bias"],
                )
                for h, c in layers
            ]
        return layers, np.zeros(w["decoder.layers.0.weight_hh"].shape[1])

    def step(self, state, memory: _Memory, token: int):
        """LSTMDecoder.extract_features (one position) and output_layer; AttentionLayer.forward."""
        w = self.weights
        layers, fed = state
        x = np.concatenate([w["decoder.embed_tokens.weight"][token], fed])
        new = []
        for i, (h, c) in enumerate(layers):
            args = [w[f"decoder.layers.{i}.{part}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            h, c = cells.lstm_torch(x, h, c, *args)
            new.append((h, c))
            x = h
        attentions = {}
        if self.options.attention:
            energies = memory.states @ (w["decoder.attention.input_proj.weight"] @ x)
            attended = scores.attend(energies, memory.states)
            x = np.tanh(w["decoder.attention.output_proj.weight"] @ np.concatenate([attended.context, x]))
            attentions["attention"] = attended
        fed = x
        if "decoder.additional_fc.weight" in w:
            x = w["decoder.additional_fc.weight"] @ x + w["decoder.additional_fc.bias"]
        if self.options.share_decoder_input_output_embed:
            logits = w["decoder.embed_tokens.weight"] @ x
        else:
            logits = w["decoder.fc_out.weight"] @ x + w["decoder.fc_out.bias"]
        return StepValues(cells.log_softmax(logits), attentions), (new, fed)
