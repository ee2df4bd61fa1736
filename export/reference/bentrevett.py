"""bentrevett/pytorch-seq2seq, tutorials 3 ("Jointly Learning to Align and Translate") and 4 ("Packed Padded Sequences,
Masking, Inference and BLEU"): one model; the mask of tutorial 4 says nothing of a sentence that stands alone.

Weights under the names of the saved state_dict, those of any version: `attention.attn` or `attn_fc`, `v` a Parameter,
`v` or `v_fc` a Linear, `out` or `fc_out`.
"""

from __future__ import annotations

import numpy as np

from . import cells, scores
from .trace import StepValues

SOS, EOS = 2, 3


class Model:
    def __init__(self, weights: dict[str, np.ndarray]):
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}

    def _either(self, *names: str) -> np.ndarray:
        return next(self.weights[name] for name in names if name in self.weights)

    def encode(self, source_ids):
        """Encoder.forward: outputs [S, 2 H], and tanh(fc([forward; backward])) of the last states."""
        w = self.weights
        xs = w["encoder.embedding.weight"][list(source_ids)]
        ahead, (h_ahead, _) = cells.run_torch("GRU", xs, w, "encoder.rnn.", "l0", False)
        back, (h_back, _) = cells.run_torch("GRU", xs, w, "encoder.rnn.", "l0_reverse", True)
        hidden = np.tanh(w["encoder.fc.weight"] @ np.concatenate([h_ahead, h_back]) + w["encoder.fc.bias"])
        return np.hstack([ahead, back]), hidden

    def start(self, memory):
        return memory[1]

    def step(self, hidden, memory, token):
        """Decoder.forward: attention with the previous hidden state comes before the GRU."""
        outputs, w = memory[0], self.weights
        embedded = w["decoder.embedding.weight"][token]
        a = "decoder.attention."
        weight, bias = (self._either(f"{a}attn.{p}", f"{a}attn_fc.{p}") for p in ("weight", "bias"))
        v = self._either(f"{a}v", f"{a}v.weight", f"{a}v_fc.weight").reshape(-1)
        energies = np.array([v @ np.tanh(weight @ np.concatenate([hidden, h]) + bias) for h in outputs])
        found = scores.attend(energies, outputs)
        r = "decoder.rnn."
        hidden = cells.gru_torch(
            np.concatenate([embedded, found.context]),
            hidden,
            w[f"{r}weight_ih_l0"],
            w[f"{r}weight_hh_l0"],
            w[f"{r}bias_ih_l0"],
            w[f"{r}bias_hh_l0"],
        )
        weight, bias = (self._either(f"decoder.out.{p}", f"decoder.fc_out.{p}") for p in ("weight", "bias"))
        logits = weight @ np.concatenate([hidden, found.context, embedded]) + bias
        return StepValues(cells.log_softmax(logits), {"attention": found}), hidden
