"""The safetensors container, as far as heed uses it: F32 and BF16 tensors, written without gaps.

Layout: u64 (little-endian) length of the header; the header, a JSON object of name -> {dtype, shape, data_offsets};
the tensors' bytes, little-endian, at the offsets (counted from the end of the header). The header is padded with
spaces so that the data starts at a multiple of 8. Written by hand because Debian has no package for it.
"""

from __future__ import annotations

import json
import pathlib
from typing import Mapping

import numpy as np

_ITEM_BYTES = {"F32": 4, "BF16": 2}


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


def dumps(tensors: Mapping[str, np.ndarray], bf16: set[str] | frozenset[str] = frozenset()) -> bytes:
    """The bytes of a file of these float32 tensors; those named in `bf16` are rounded to it.

    They keep the mapping's order, but for the F32 ones standing first: so each starts at a multiple of its item's size.
    """
    header: dict[str, dict] = {}
    parts: list[bytes] = []
    offset = 0
    for name, values in sorted(tensors.items(), key=lambda item: item[0] in bf16):
        data = (to_bf16(values) if name in bf16 else np.ascontiguousarray(values, dtype="<f4")).tobytes()
        header[name] = {
            "dtype": "BF16" if name in bf16 else "F32",
            "shape": list(values.shape),
            "data_offsets": [offset, offset + len(data)],
        }
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def loads(data: bytes) -> dict[str, np.ndarray]:
    """The tensors of a file, widened to float32. Raises ValueError, with the tensor's name, for any other file."""
    if len(data) < 8:
        raise ValueError("file is shorter than its header's length")
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8:
        raise ValueError(f"header of {size} bytes is longer than the file")
    header = json.loads(data[8 : 8 + size])
    body = memoryview(data)[8 + size :]
    tensors = {}
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
        if entry["dtype"] == "BF16":
            values = from_bf16(np.frombuffer(part, dtype="<u2"))
        else:
            values = np.frombuffer(part, dtype="<f4")
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """loads() of a file."""
    return loads(path.read_bytes())
