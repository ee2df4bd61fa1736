"""Bahdanau, Cho and Bengio 2015, appendix A (RNNsearch): a GRU whose reset comes before the product, attention with the
previous state, a maxout readout.

Weights under the paper's letters: E and Ey embeddings; W, U, C with `_z`, `_r` for gates; `enc_f_`, `enc_b_` for the
encoder's two ways; matrices [outputs, inputs]. The paper leaves out biases; here b is there where a weight of that
name is.
"""

from __future__ import annotations

import numpy as np

from . import cells, scores
from .trace import StepValues


class Model:
    def __init__(self, weights: dict[str, np.ndarray]):
        self.weights = {name: np.asarray(values, np.float64) for name, values in weights.items()}

    def _b(self, name: str):
        return self.weights.get(name, 0.0)

    def encode(self, source_ids) -> np.ndarray:
        """A.2.1: h_i = (1 - z_i) h_{i-1} + z_i candidate; the annotation is [forward; backward]."""
        xs = self.weights["E"][list(source_ids)]
        ways = []
        for way, reverse in (("enc_f", False), ("enc_b", True)):
            w = {n: self.weights[f"{way}_{n}"] for n in ("W", "U", "W_z", "U_z", "W_r", "U_r")}
            h, out = np.zeros(w["U"].shape[1]), np.zeros((len(xs), w["U"].shape[1]))
            for j in range(len(xs) - 1, -1, -1) if reverse else range(len(xs)):
                z = cells.sigmoid(w["W_z"] @ xs[j] + w["U_z"] @ h + self._b(f"{way}_b_z"))
                r = cells.sigmoid(w["W_r"] @ xs[j] + w["U_r"] @ h + self._b(f"{way}_b_r"))
                n = np.tanh(w["W"] @ xs[j] + w["U"] @ (r * h) + self._b(f"{way}_b"))
                h = (1 - z) * h + z * n
                out[j] = h
            ways.append(out)
        return np.hstack(ways)

    def start(self, memory: np.ndarray) -> np.ndarray:
        """A.2.2: s_0 = tanh(W_s h_1), h_1 the backward state at the first position."""
        backward = memory[0, memory.shape[1] // 2 :]
        return np.tanh(self.weights["W_s"] @ backward + self._b("b_s"))

    def step(self, s: np.ndarray, memory: np.ndarray, token: int):
        """A.2.2: e_ij = v tanh(W_a s_{i-1} + U_a h_j); readout t~ = U_o s_{i-1} + V_o Ey_{i-1} + C_o c_i, maxout of
        2."""
        w = self.weights
        y = w["Ey"][token]
        energies = np.tanh(memory @ w["U_a"].T + w["W_a"] @ s + self._b("b_a")) @ w["v_a"]
        attended = scores.attend(energies, memory)
        c = attended.context
        z = cells.sigmoid(w["W_z"] @ y + w["U_z"] @ s + w["C_z"] @ c + self._b("b_z"))
        r = cells.sigmoid(w["W_r"] @ y + w["U_r"] @ s + w["C_r"] @ c + self._b("b_r"))
        n = np.tanh(w["W"] @ y + w["U"] @ (r * s) + w["C"] @ c + self._b("b"))
        t = (w["U_o"] @ s + w["V_o"] @ y + w["C_o"] @ c + self._b("b_o")).reshape(-1, 2).max(1)
        return StepValues(cells.log_softmax(w["W_o"] @ t), {"attention": attended}), (1 - z) * s + z * n
