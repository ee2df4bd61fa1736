"""Products of int8 matrices as Marian has them (src/tensors/cpu/intgemm_interface.h: PrepareANodeOp, AffineNodeOp), with
exact integers: what Firefox computes where the processor has VNNI or is an ARM. Marian's other kernels, its WebAssembly
among them, add the products of two neighbours in 16 bits and cut them there.

A matrix comes with its numbers, one scale (number * scale) and its activation scale: what it is multiplied with is
rounded to multiples of that, -127 to 127 of them. Without one nothing is rounded.
"""

from __future__ import annotations

from typing import Mapping

import numpy as np

class Weights(dict):
    """Weights by name, float64; int8 ones as what they stand for, and as int8 in products.

    `jitter`: how far off what is rounded may be, of each row's largest magnitude, to see what that does to values: a
    different computation of the same floats rounds some of them the other way.
    """

    def __init__(self, weights: Mapping, jitter: float = 0.0) -> None:
        super().__init__()
        self._int8: dict[str, tuple] = {}
        self._jitter, self._random = jitter, np.random.default_rng(3)
        for name, values in weights.items():
            if not hasattr(values, "numbers"):
                self[name] = np.asarray(values, np.float64)
                continue
            numbers, scale = values.numbers.astype(np.float64), float(values.scales)
            self[name] = numbers * scale
            for step in values.activation_scales:
                self._int8[name] = numbers, scale, step

    def product(self, x: np.ndarray, name: str, transposed: bool = False) -> np.ndarray:
        """x W, or x W^T where `transposed`."""
        if name not in self._int8:
            return x @ (self[name].T if transposed else self[name])
        numbers, scale, step = self._int8[name]
        x = x / step
        if self._jitter:
            x = x + self._random.uniform(-1, 1, x.shape) * self._jitter * np.abs(x).max(-1, keepdims=True)
        return (np.clip(np.rint(x), -127, 127) @ (numbers.T if transposed else numbers)) * (step * scale)


def product(weights: Mapping, x: np.ndarray, name: str) -> np.ndarray:
    """x W with the weight of that name."""
    return weights.product(x, name) if isinstance(weights, Weights) else x @ np.asarray(weights[name], np.float64)
