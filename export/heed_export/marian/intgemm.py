"""Which of Marian's int8 weights stay int8, with which alphas, and how their products are rounded. Source: marian-dev
src/tensors/cpu/intgemm_interface.h."""

from __future__ import annotations

import itertools
import pathlib
from dataclasses import dataclass, field
from typing import Any, Mapping

import numpy as np

from ..model.int8 import Int8, floats
from . import s2s
from .containers import Contents

_F = np.float32


def _near(value: np.float32) -> list[np.float32]:
    """The number and its neighbours, nearest first."""
    up, down = np.nextafter(value, _F(np.inf)), np.nextafter(value, _F(0))
    return [value, up, down, np.nextafter(up, _F(np.inf)), np.nextafter(down, _F(0))]


def _scaled(values: Int8, alpha: np.float32, multiplier: np.float32) -> Int8:
    """The weight with scales whose product, as float32 rounds it, is the factor that Marian makes of alpha and
    multiplier: one of them may be the next number to 1 / alpha or 1 / multiplier."""
    factor = _F(1) / (alpha * multiplier)
    pairs = itertools.product(_near(_F(1) / alpha), _near(values.scales[()]))
    step, scale = next((p for p in pairs if p[0] * p[1] == factor), (_F(1) / alpha, values.scales[()]))
    return Int8(values.numbers, scale, (float(step),))


def _bias(values: Int8, bias: np.ndarray, alpha: np.float32, multiplier: np.float32) -> np.ndarray:
    """A bias from which the engine (engine/kernels/quantise.h) gets, to the bit, what Marian prepares: it multiplies
    with activations that have 127 added, and takes what that adds off the bias, in float32. Another last bit there
    moves all that follows to other int8 numbers now and then."""
    sums = values.numbers.sum(0, dtype=np.int64)
    back = _F(-1) * ((_F(127) / alpha) * (_F(127) / multiplier)) / _F(127)
    prepared = sums.astype(_F) * back + bias
    shift = (127 * sums).astype(_F) * (_F(values.activation_scales[0]) * values.scales)
    found = prepared + shift
    for other in (np.nextafter(found, _F(np.inf)), np.nextafter(found, _F(-np.inf))):
        found = np.where((found - shift != prepared) & (other - shift == prepared), other, found)
    return found


@dataclass
class Kept:
    """Arrays under type s2s's names; lines for people of what is not as Marian has it; `exact`: products are those of
    int8 that Marian computes, whatever the batch."""

    arrays: dict[str, np.ndarray | Int8]
    notes: list[str] = field(default_factory=list)
    exact: bool = False


def kept(contents: Contents, options: Mapping[str, Any], path: pathlib.Path, dequantise: bool) -> Kept:
    """The tensors, int8 ones with their alphas as activation scales, or as floats where `dequantise` or the kind of
    model asks for it."""
    arrays = s2s.renamed(contents.tensors, options)
    found = sorted(name for name, values in arrays.items() if isinstance(values, Int8))
    if not found:
        return Kept(arrays)
    covered = options["type"] == "transformer" and options.get("dec-cell") == "ssru"
    if dequantise or not covered:
        why = "" if dequantise else ", for they are int8's in Transformers with SSRU cells alone"
        note = f"{path.name}: {len(found)} int8 weights become float32{why}"
        return Kept({name: floats(values) for name, values in arrays.items()}, [note])
    output = s2s.output_name(options, arrays, "decoder_ff_logit_out")
    missing = []
    for name in found:
        alpha = contents.alphas.get(name, contents.alphas.get("none") if name == output else None)
        if alpha is not None:
            arrays[name] = _scaled(arrays[name], alpha, contents.multipliers[name])
            bias = name.replace("_W", "_b") if name != output else ""
            if arrays[name].shape[1:] == np.shape(arrays.get(bias))[1:]:
                arrays[bias] = _bias(arrays[name], arrays[bias], alpha, contents.multipliers[name])
        elif name == output or not name.endswith("Wemb"):  # a table is looked up
            missing.append(name)
    if not missing:
        return Kept(arrays, exact=True)
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    note = (
        f"{path.name}: {missing[0]}{more} of {len(found)} int8 weights have no alpha, so what they are multiplied with "
        "is rounded row by row (Marian refuses such a file, or rounds by batch)"
    )
    return Kept(arrays, [note])
