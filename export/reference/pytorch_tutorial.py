"""The sequence-to-sequence tutorials of PyTorch: `seq2seq_translation_tutorial` before 2023 (location attention over
MAX_LENGTH slots), since then (additive), and Sean Robertson's practical-pytorch variant (Luong, context fed back).

Weights: those of EncoderRNN under `encoder.`, of the decoder under `decoder.`; GRUs are torch.nn.GRU of one layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import cells, scores
from .trace import Attended, StepValues


@dataclass(frozen=True)
class Options:
    variant: str = "location"  # location | additive | practical
    max_length: int = 10  # slots of the location attention
    score: str = "general"  # practical: dot | general


@dataclass
class _Memory:
    states: np.ndarray
    final: np.ndarray


class Model:
    def __init__(self, options: Options, weights: dict[str, np.ndarray]):
        self.options = options
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return self.weights[f"{name}.weight"] @ x + self.weights.get(f"{name}.bias", 0.0)

    def encode(self, source_ids) -> _Memory:
        xs = self.weights["encoder.embedding.weight"][list(source_ids)]
        out, (final, _) = cells.run_torch("GRU", xs, self.weights, "encoder.gru.", "l0", False)
        return _Memory(out, final)

    def start(self, memory: _Memory):
        return memory.final, np.zeros(memory.states.shape[1])

    def _gru(self, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        args = [self.weights[f"decoder.gru.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        return cells.gru_torch(x, h, *args)

    def _location(self, query: np.ndarray, memory: _Memory) -> Attended:
        """AttnDecoderRNN.forward: one weight a slot, empty slots included, whose encoder outputs are zeros."""
        energies = self._linear(query, "decoder.attn")
        used = len(memory.states)
        weights = cells.softmax(energies)
        return Attended(weights[None, :used], energies[None, :used], weights[:used] @ memory.states)

    def step(self, state, memory: _Memory, token: int):
        o, w = self.options, self.weights
        h, fed = state
        e = w["decoder.embedding.weight"][token]
        if o.variant == "location":
            attended = self._location(np.concatenate([e, h]), memory)
            x = np.maximum(self._linear(np.concatenate([e, attended.context]), "decoder.attn_combine"), 0)
            h = self._gru(x, h)
            logits = self._linear(h, "decoder.out")
        elif o.variant == "additive":  # BahdanauAttention: Va tanh(Wa query + Ua keys), each with its bias
            keys = memory.states @ w["decoder.attention.Ua.weight"].T + w["decoder.attention.Ua.bias"]
            inside = np.tanh(self._linear(h, "decoder.attention.Wa") + keys)
            energies = inside @ w["decoder.attention.Va.weight"][0] + w["decoder.attention.Va.bias"][0]
            attended = scores.attend(energies, memory.states)
            h = self._gru(np.concatenate([e, attended.context]), h)
            logits = self._linear(h, "decoder.out")
        else:  # practical-pytorch: query of this step, context of the step before fed back
            h = self._gru(np.concatenate([e, fed]), h)
            keys = memory.states
            if o.score == "general":
                keys = keys @ w["decoder.attn.attn.weight"].T + w["decoder.attn.attn.bias"]
            attended = scores.attend(keys @ h, memory.states)
            logits = self._linear(np.concatenate([h, attended.context]), "decoder.out")
        return StepValues(cells.log_softmax(logits), {"attention": attended}), (h, attended.context)
