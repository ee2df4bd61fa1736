"""Attention in one place: energies to weights to context, float64."""

from __future__ import annotations

from typing import Callable

import numpy as np

from . import cells
from .trace import Attended


def attend(
    energies: np.ndarray, values: np.ndarray, normalizer: Callable[[np.ndarray], np.ndarray] = cells.softmax
) -> Attended:
    """Bahdanau et al. 2015, equations 5 and 6: alpha = softmax(e), c = sum over j of alpha_j h_j. energies [S], values
    [S, C]."""
    weights = normalizer(energies)
    return Attended(weights=weights[None, :], energies=energies[None, :], context=weights @ values)
