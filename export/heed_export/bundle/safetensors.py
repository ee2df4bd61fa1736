"""The safetensors container, as far as heed uses it: F32, BF16 and I8 tensors, written without gaps. An int8 tensor NAME
has its scales in NAME.scales and NAME.activation_scales (docs/bundle.md).

Layout: u64 (little-endian) length of the header; the header, a JSON object of name -> {dtype, shape, data_offsets};
the tensors' bytes, little-endian, at the offsets (counted from the end of the header). The header is padded with
spaces so that the data starts at a multiple of 8. Written by hand because Debian has no package for it.
"""

from __future__ import annotations

import json
import pathlib
from typing import Collection, Iterator, Mapping

import numpy as np

from ..model.int8 import Int8

_ITEM_BYTES = {"F32": 4, "BF16": 2, "I8": 1}
_SCALES, _ACTIVATION_SCALES = ".scales", ".activation_scales"


def to_bf16(values: np.ndarray) -> np.ndarray:
    """float32 to the upper halves of the nearest bfloat16s, ties to even, as uint16. Raises ValueError on NaN, inf."""
    values = np.ascontiguousarray(values, dtype="<f4")
    if not np.isfinite(values).all():
        raise ValueError("a tensor to be stored as BF16 holds a value that is not finite")
    bits = values.view("<u4").astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    if ((rounded & 0x7F80) == 0x7F80).any():
        raise ValueError("a tensor to be stored as BF16 holds a value past its range")
    return rounded.astype("<u2")


def from_bf16(halves: np.ndarray) -> np.ndarray:
    """The float32 values of bfloat16s given as uint16."""
    return (halves.astype("<u4") << 16).view("<f4")


def _parts(tensors: Mapping[str, np.ndarray | Int8], bf16: Collection[str]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, dtype and stored values of each entry of the file."""
    for name, values in tensors.items():
        if not isinstance(values, Int8):
            is_bf16 = name in bf16
            stored = to_bf16(values) if is_bf16 else np.ascontiguousarray(values, dtype="<f4")
            yield name, "BF16" if is_bf16 else "F32", stored
            continue
        for suffix in (_SCALES, _ACTIVATION_SCALES):
            if name + suffix in tensors:
                raise ValueError(f"{name + suffix} is a tensor, but {name} is int8: its scales have that name")
        yield name + _SCALES, "F32", np.atleast_1d(values.scales).astype("<f4")
        if values.activation_scales:
            yield name + _ACTIVATION_SCALES, "F32", np.array(values.activation_scales, "<f4")
        yield name, "I8", np.ascontiguousarray(values.numbers)


def dumps(tensors: Mapping[str, np.ndarray | Int8], bf16: Collection[str] = frozenset()) -> bytes:
    """The bytes of a file of these float32 and int8 tensors; of the former those named in `bf16` are rounded to it.

    They keep the mapping's order within their dtype, the widest first: so each starts at a multiple of its item's size.
    """
    header: dict[str, dict] = {}
    parts: list[bytes] = []
    offset = 0
    for name, dtype, values in sorted(_parts(tensors, bf16), key=lambda part: -_ITEM_BYTES[part[1]]):
        data = values.tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def loads(data: bytes) -> dict[str, np.ndarray | Int8]:
    """The tensors of a file, BF16 widened to float32. Raises ValueError, with the tensor's name, for any other file."""
    if len(data) < 8:
        raise ValueError("file is shorter than its header's length")
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8:
        raise ValueError(f"header of {size} bytes is longer than the file")
    header = json.loads(data[8 : 8 + size])
    body = memoryview(data)[8 + size :]
    tensors: dict[str, np.ndarray | Int8] = {}
    int8 = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _ITEM_BYTES:
            raise ValueError(f"{name}: dtype {entry['dtype']} is not one of {sorted(_ITEM_BYTES)}")
        begin, end = entry["data_offsets"]
        count = int(np.prod(entry["shape"], dtype=np.int64))
        if not 0 <= begin <= end <= len(body) or end - begin != count * _ITEM_BYTES[entry["dtype"]]:
            raise ValueError(f"{name}: bytes [{begin}, {end}) do not fit shape {entry['shape']} or the file")
        part = body[begin:end]
        if entry["dtype"] == "I8":
            int8[name] = np.frombuffer(part, np.int8).reshape(entry["shape"])
            continue
        if entry["dtype"] == "BF16":
            values = from_bf16(np.frombuffer(part, dtype="<u2"))
        else:
            values = np.frombuffer(part, dtype="<f4")
        tensors[name] = values.reshape(entry["shape"])
    for name, numbers in int8.items():
        if name + _SCALES not in tensors:
            raise ValueError(f"{name}: is int8, but there is no {name}{_SCALES}")
        scales = tensors.pop(name + _SCALES)
        activations = tensors.pop(name + _ACTIVATION_SCALES, np.empty(0, np.float32))
        try:
            one = scales.shape == (1,)
            tensors[name] = Int8(numbers, scales[0] if one else scales, tuple(activations.reshape(-1).tolist()))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return tensors


def read(path: pathlib.Path) -> dict[str, np.ndarray | Int8]:
    """loads() of a file."""
    return loads(path.read_bytes())
