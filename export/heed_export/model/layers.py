"""A recurrence's tensors as a bundle wants them, and the ways from other layouts to it.

A bundle stores matrices [out, in] (y = W x + b) and a cell's gates as blocks of rows: LSTM i, f, g, o; GRU r, z, n.
Other toolkits store [in, out] (`transposed`), other orders (`reorder`), two biases where one will do (`Cell.lstm`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np

from .int8 import Int8

BLOCKS = {"lstm": 4, "gru": 3, "rnn": 1, "ssru": 2}


@dataclass
class Norm:
    """Layer normalisation inside a cell: CellNorm of model.proto. `groups` is all, blocks or gates. Vectors are [k
    H]."""

    groups: str
    epsilon: float
    input_scale: np.ndarray | None = None
    input_bias: np.ndarray | None = None
    state_scale: np.ndarray | None = None
    state_bias: np.ndarray | None = None
    cell_scale: np.ndarray | None = None  # [H], LSTM only
    cell_bias: np.ndarray | None = None  # [H]
    cell_carried: bool = False  # the normalised c is the state too


@dataclass
class Cell:
    """One recurrence: CellSpec of model.proto. k blocks of H rows; weight_input [k H, X], weight_state [k H, H], biases
    [k H]. bias_state lies inside a GRU's reset gate (reset after), bias_input outside."""

    kind: str  # lstm | gru | rnn | ssru
    weight_input: np.ndarray | None
    weight_state: np.ndarray | None
    bias_input: np.ndarray | None = None
    bias_state: np.ndarray | None = None
    reset: str | None = None  # GRU: after | before
    gate: str | None = None  # sigmoid (default) | hard_sigmoid | hard_sigmoid_sixth
    function: str | None = None  # tanh (default) | relu | ...
    norm: Norm | None = None

    @staticmethod
    def torch(kind: str, weights: Mapping[str, np.ndarray], prefix: str, suffix: str = "") -> Cell:
        """One layer and direction of torch.nn.{LSTM,GRU,RNN} or their *Cell: `{prefix}weight_ih{suffix}`, weight_hh,
        bias_ih, bias_hh. Suffix `_l0`, `_l1_reverse`, or none for a cell. Raises KeyError for a missing matrix; biases
        may be missing (bias=False)."""
        part = {p: weights.get(f"{prefix}{p}{suffix}") for p in ("bias_ih", "bias_hh")}
        return Cell.of(
            kind,
            weights[f"{prefix}weight_ih{suffix}"],
            weights[f"{prefix}weight_hh{suffix}"],
            part["bias_ih"],
            part["bias_hh"],
        )

    @staticmethod
    def of(kind: str, w_ih, w_hh, b_ih=None, b_hh=None, function: str | None = None) -> Cell:
        """A cell in PyTorch's layout: an LSTM's and a plain RNN's two biases become one; a GRU resets after U h."""
        kind = kind.lower()
        if kind == "gru":
            return Cell("gru", w_ih, w_hh, b_ih, b_hh, reset="after")
        both = [flat(b) for b in (b_ih, b_hh) if b is not None]
        return Cell(kind, w_ih, w_hh, sum(both[1:], both[0]) if both else None, function=function)


def flat(values: np.ndarray) -> np.ndarray:
    """A vector that a toolkit stored as [1, n], [n, 1] or [n]. Raises ValueError for anything else."""
    values = np.asarray(values)
    if values.size != max(values.shape, default=1):
        raise ValueError(f"has shape {list(values.shape)}, expected a vector")
    return values.reshape(-1)


def reorder(values: np.ndarray, have: str, want: str) -> np.ndarray:
    """Permutes the gate blocks along axis 0: reorder(w, "figo", "ifgo"). Raises ValueError if they do not divide it."""
    if values.shape[0] % len(have):
        raise ValueError(f"has {values.shape[0]} rows, which is no multiple of {len(have)}")
    blocks = np.split(values, len(have))
    return np.concatenate([blocks[have.index(gate)] for gate in want])


def transposed(values: np.ndarray | Int8) -> np.ndarray | Int8:
    """[in, out] to [out, in]."""
    return values.T if isinstance(values, Int8) else np.ascontiguousarray(values.T)
