"""Matrices of int8 as files hold them: numbers, and what one of them is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np

MIN_SCALE, MAX_SCALE = np.float32(1e-30), np.float32(1e30)  # docs/bundle.md
MAX_ACTIVATION_SCALES = 4


@dataclass(frozen=True, eq=False)
class Int8:
    """A matrix whose element is its number, -127 to 127, times a scale: one for all, shape (), or one a row, [rows].

    What it is multiplied with is rounded to multiples of `activation_scales`: of one, or of one for each of as many
    equal stretches of rows (gates, stacked); where there is none, by a scale of its own for each row. Raises ValueError
    for what a bundle cannot hold.
    """

    numbers: np.ndarray  # [rows, columns]
    scales: np.ndarray
    activation_scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", np.asarray(self.scales, np.float32))
        if self.numbers.dtype != np.int8 or self.numbers.ndim != 2:
            raise ValueError(f"is {self.numbers.dtype} of {self.numbers.ndim} dimensions, expected int8 of 2")
        if self.numbers.min(initial=0) < -127:
            raise ValueError("holds -128, expected -127 to 127")
        if self.scales.shape not in ((), (self.shape[0],)):
            raise ValueError(f"has {self.scales.size} scales, expected 1 or {self.shape[0]}, one a row")
        count = len(self.activation_scales)
        if count > MAX_ACTIVATION_SCALES or count and self.shape[0] % count:
            raise ValueError(
                f"has {count} activation scales, expected 1 to {MAX_ACTIVATION_SCALES}, a divisor of {self.shape[0]}"
            )
        for kind, values in (("a scale", self.scales), ("an activation scale", self.activation_scales)):
            values = np.atleast_1d(np.asarray(values, np.float32))
            bad = values[~((values >= MIN_SCALE) & (values <= MAX_SCALE))]
            if bad.size:
                raise ValueError(f"has {kind} of {bad[0]:g}, expected {MIN_SCALE:g} to {MAX_SCALE:g}")

    # What is asked of an array.

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    @property
    def ndim(self) -> int:
        return 2

    @property
    def size(self) -> int:
        return self.numbers.size

    @property
    def dtype(self) -> np.dtype:
        return self.numbers.dtype

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def T(self) -> Int8:
        """Transposed; of one with a scale a row there is no such matrix."""
        if self.scales.ndim:
            raise ValueError("an int8 matrix with a scale a row cannot be transposed")
        return Int8(self.numbers.T, self.scales, self.activation_scales)

    def row_scales(self) -> np.ndarray:
        return np.broadcast_to(self.scales, self.shape[:1])

    def floats(self) -> np.ndarray:
        """The elements, float32."""
        return self.numbers.astype(np.float32) * self.row_scales()[:, None]

    def same(self, other: Int8) -> bool:
        """Whether both would be stored alike."""
        return (
            np.array_equal(self.numbers, other.numbers)
            and np.array_equal(self.row_scales(), other.row_scales())
            and self.activation_scales == other.activation_scales
        )


def floats(values: np.ndarray | Int8) -> np.ndarray:
    """The array, or an int8 matrix's elements."""
    return values.floats() if isinstance(values, Int8) else values


def stacked(parts: Sequence[np.ndarray | Int8]) -> np.ndarray | Int8:
    """Matrices of equal shapes above one another; int8 where all of them are, with activation scales where each has
    one."""
    if not all(isinstance(part, Int8) for part in parts):
        return np.concatenate([floats(part) for part in parts])
    activations = tuple(scale for part in parts for scale in part.activation_scales)
    if len(set(activations)) == 1:
        activations = activations[:1]
    if any(len(part.activation_scales) != 1 for part in parts):
        activations = ()
    return Int8(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.row_scales() for part in parts]),
        activations,
    )
