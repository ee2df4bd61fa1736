"""Marian's recurrent cells in a bundle's layout. Sources: marian-dev src/rnn/cells.h and
src/tensors/cpu/tensor_operators.cpp."""

from __future__ import annotations

import numpy as np

from ..model.int8 import stacked
from ..model.layers import Cell, Norm, flat, reorder, transposed
from ..reading.checkpoint import CheckpointError, Weights

EPSILON = 1e-9  # src/graph/expression_operators.h: layerNorm's default
NEMATUS_EPSILON = 1e-5  # src/common/definitions.h: NEMATUS_LN_EPS
KINDS = ("gru", "gru-nematus", "lstm", "tanh", "relu", "ssru")


def check(path: str, option: str, kind: str, norm: bool) -> None:
    """Raises CheckpointError, naming the option, for a cell that is not covered."""
    if kind not in KINDS:
        raise CheckpointError(f"{path}: {kind} cells are not supported: {option}={kind}")
    if kind == "tanh" and norm:  # its gamma has 3 * dim elements for dim: Marian's own graph does not build
        raise CheckpointError(
            f"{path}: layer-normalization with {option}=tanh is not supported (nor does Marian run it)"
        )


def _vectors(w: Weights, *names: str) -> np.ndarray:
    return np.concatenate([flat(w[name]) for name in names])


def _rows(w: Weights, *names: str) -> np.ndarray:
    return np.concatenate([transposed(w[name]) for name in names])


def cell(w: Weights, kind: str, prefix: str, norm: bool, has_input: bool = True, final: bool = False) -> Cell:
    """The cell of this prefix. `final`: its bias lies inside the reset gate (cells behind the attention); without an
    input it is a transition. Raises CheckpointError for a missing tensor."""
    if kind == "ssru":
        return _ssru(w, prefix, norm)
    if kind == "gru-nematus" and norm:
        return _gru_nematus(w, prefix, has_input, final)
    if kind in ("gru", "gru-nematus"):
        return _gru(w, prefix, norm, has_input, final)
    return _plain(w, kind, prefix, norm, has_input)


def _gru(w: Weights, p: str, norm: bool, has_input: bool, final: bool) -> Cell:
    """class GRU: normalised over all blocks at once, without a bias of its own; the bias is added behind."""
    bias = _vectors(w, p + "_b", p + "_bx")
    made = Cell(
        "gru", _rows(w, p + "_W", p + "_Wx") if has_input else None, _rows(w, p + "_U", p + "_Ux"), reset="after"
    )
    if norm:
        made.norm = Norm("all", EPSILON, state_scale=flat(w[p + "_gamma2"]))
        if has_input:
            made.norm.input_scale = flat(w[p + "_gamma1"])
    if final:
        _behind(made, "state", bias)
    elif has_input:
        _behind(made, "input", bias)
    else:
        made.bias_input = bias
    return made


def _behind(made: Cell, side: str, bias: np.ndarray) -> None:
    """Adds a bias behind the normalisation of one side, where there is one."""
    if made.norm is None:
        setattr(made, f"bias_{side}", bias)
    else:
        setattr(made.norm, f"{side}_bias", bias)


def _gru_nematus(w: Weights, p: str, has_input: bool, final: bool) -> Cell:
    """class GRUNematus with layer normalisation: gates and candidate apart. The bias is added before the input's
    normalisation; in final cells before the state's; in the encoder's transitions behind it, outside the reset."""
    bias = _vectors(w, p + "_b", p + "_bx")
    norm = Norm(
        "gates",
        NEMATUS_EPSILON,
        state_scale=_vectors(w, p + "_U_lns", p + "_Ux_lns"),
        state_bias=_vectors(w, p + "_U_lnb", p + "_Ux_lnb"),
    )
    made = Cell("gru", None, _rows(w, p + "_U", p + "_Ux"), reset="after", norm=norm)
    if has_input:
        made.weight_input = _rows(w, p + "_W", p + "_Wx")
        norm.input_scale = _vectors(w, p + "_W_lns", p + "_Wx_lns")
        norm.input_bias = _vectors(w, p + "_W_lnb", p + "_Wx_lnb")
    if final:
        made.bias_state = bias
    else:
        made.bias_input = bias
    return made


def _plain(w: Weights, kind: str, p: str, norm: bool, has_input: bool) -> Cell:
    """classes FastLSTM (blocks f, i, c, o), Tanh and ReLU."""

    def rows(values: np.ndarray) -> np.ndarray:
        return reorder(values, "figo", "ifgo") if kind == "lstm" else values

    made = Cell(
        "lstm" if kind == "lstm" else "rnn",
        rows(transposed(w[p + "_W"])) if has_input else None,
        rows(transposed(w[p + "_U"])),
        function="relu" if kind == "relu" else None,
    )
    if norm:
        made.norm = Norm("all", EPSILON, state_scale=rows(flat(w[p + "_gamma2"])))
        if has_input:
            made.norm.input_scale = rows(flat(w[p + "_gamma1"]))
    _behind(made, "state", rows(flat(w[p + "_b"])))
    return made


def _ssru(w: Weights, p: str, norm: bool) -> Cell:
    """class SSRU: blocks f, x; x has no bias."""
    made = Cell("ssru", stacked([transposed(w[p + "_Wf"]), transposed(w[p + "_W"])]), None)
    size = made.weight_input.shape[0] // 2
    bias = np.concatenate([flat(w[p + "_bf"]), np.zeros(size, np.float32)])
    if norm:
        made.norm = Norm("blocks", EPSILON, input_scale=_vectors(w, p + "_gammaf", p + "_gamma"), input_bias=bias)
    else:
        made.bias_input = bias
    return made
