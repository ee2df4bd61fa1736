"""The presets: every kind of model that heed serves, with random weights, as (importer's model, oracle's traces) pairs.

Each toolkit adds a module here with PRESETS; presets_test.py builds each bundle and lets heed-server say whether the
engine computes what the oracle does.
"""

from __future__ import annotations

import importlib
import pathlib
import pkgutil
import sys
from dataclasses import dataclass
from typing import Any, Callable, Sequence

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "export"))


@dataclass
class Preset:
    """`name` as the docs' table shows it: "OpenNMT-py brnn LSTM, general, input feed". `make(rng)` gives the model as
    the importer builds it from random weights under the toolkit's own names, and what the oracle says of a few sources
    with the same weights: reference.trace.Trace objects, decoded greedily to at most `max_length` tokens."""

    name: str
    make: Callable[[np.random.Generator], tuple[Any, Sequence[Any]]]
    max_length: int = 12
    draw: int = 0  # another number draws other weights: for a draw whose normalised values had next to no variance
    shortlist: bool = False  # the traces were decoded with the model's shortlist


def sources(rng: np.random.Generator, vocabulary, lengths: Sequence[int] = (1, 2, 5, 9)) -> list[list[int]]:
    """Random source ids of these many pieces, with the specials that the vocabulary adds."""
    return [vocabulary.with_specials(rng.choice(vocabulary.plain_ids(), n).tolist()) for n in lengths]


def random_like(rng: np.random.Generator, shapes: dict[str, tuple], scale: float = 0.6) -> dict[str, np.ndarray]:
    """float32 weights of these shapes, large enough that gates and attention matter."""
    return {name: rng.uniform(-scale, scale, shape).astype(np.float32) for name, shape in shapes.items()}


def everything() -> list[Preset]:
    """All presets of all modules here, in the order of the modules' names."""
    found: list[Preset] = []
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        found += importlib.import_module(f"{__name__}.{module}").PRESETS
    return found
