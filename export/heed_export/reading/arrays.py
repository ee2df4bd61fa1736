"""Reads .npz and safetensors files, whose arrays are numbers and text and never pickles. Every size is held against the
file's own before memory is taken.
"""

from __future__ import annotations

import ast
import io
import json
import pathlib
import re
import struct
import zipfile
from typing import Any, Callable, Collection

import numpy as np

from .files import CheckpointError, line, read_bytes
from .shown import quoted, shown
from .stand_ins import MAX_RANK, RefusedPickle, is_shape, product

# Weights barely compress; an archive that says it grows by more is no weights.
_MOST_GROWTH = 20
_SMALL_BYTES = 64 << 20
_MAX_SAFETENSORS_HEADER = 100_000_000  # as the format's own library
_SAFETENSORS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "bf16",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
    "BOOL": "?",
}


def itemsize(kind: str) -> int:
    return 2 if kind == "bf16" else np.dtype(kind).itemsize


def numbers(data: bytes | memoryview, kind: str) -> np.ndarray:
    """The array of these bytes; half and bfloat16 widened to float32."""
    if kind == "bf16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    values = np.frombuffer(data, kind)
    return values.astype("<f4") if kind == "<f2" else values


# .npz

_NPY_KINDS = re.compile(r"[<>|=]?(f[248]|[iu][1248]|b1|[SU]\d{1,9})\Z")


def _npy_header(data: bytes) -> tuple[np.dtype, bool, tuple, int]:
    """dtype, Fortran order, shape and where the data begins of a .npy file."""
    if data[:6] != b"\x93NUMPY" or len(data) < 12:
        raise RefusedPickle("is no array")
    wide = data[6] > 1
    size, begin = struct.unpack_from("<I" if wide else "<H", data, 8)[0], 12 if wide else 10
    if size > 1 << 16 or begin + size > len(data):
        raise RefusedPickle("has a header beyond its end")
    try:
        header = ast.literal_eval(data[begin : begin + size].decode("latin1").strip())
        kind, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        raise RefusedPickle("has a header that is no header") from None
    if not isinstance(kind, str) or not _NPY_KINDS.match(kind):
        raise RefusedPickle(f"is an array of {quoted(kind, 40)}, expected numbers or text")
    if not is_shape(shape):
        raise RefusedPickle(f"is an array of shape {shown(shape)}, expected at most {MAX_RANK} sizes from 0")
    return np.dtype(kind), bool(fortran), shape, begin + size


def load_npz(path: pathlib.Path, skip: Collection[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of a .npz by name, without those in `skip`; pickled ones are refused. Raises CheckpointError."""
    data = read_bytes(path)
    found: dict[str, np.ndarray] = {}
    name = ""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        for info in archive.infolist():
            # Python inflates the other kinds by whole chunks, whatever size is declared.
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                name = info.filename
                raise RefusedPickle(f"is packed by method {info.compress_type}, expected 0 or 8 (stored or deflated)")
        total = sum(info.file_size for info in archive.infolist())
        if total > max(_SMALL_BYTES, _MOST_GROWTH * len(data)):
            raise RefusedPickle(f"grows from {len(data)} bytes to {total}, more than {_MOST_GROWTH} times: a zip bomb")
        for info in archive.infolist():
            name = info.filename
            if name.removesuffix(".npy") in skip:
                continue
            body = archive.read(info)
            kind, fortran, shape, begin = _npy_header(body)
            if product(shape) * kind.itemsize != len(body) - begin:
                raise RefusedPickle(f"has {len(body) - begin} bytes, expected those of {shown(list(shape))}")
            values = np.frombuffer(body, kind, offset=begin).reshape(shape, order="F" if fortran else "C")
            found[name.removesuffix(".npy")] = values
    except RefusedPickle as error:
        raise CheckpointError(f"{path}: {shown(name) + ': ' if name else ''}{line(error)}") from None
    except Exception as error:  # what a damaged archive provokes in zipfile and zlib has many types
        raise CheckpointError(
            f"{path}: {shown(name) + ': ' if name else ''}is damaged ({type(error).__name__}: {line(error)})"
        ) from None
    return found


# safetensors


def load_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file by name, float16 and bfloat16 as float32. Raises CheckpointError."""
    data = read_bytes(path)
    try:
        if len(data) < 8:
            raise RefusedPickle("the file is truncated")
        size = int.from_bytes(data[:8], "little")
        if size > len(data) - 8:
            raise RefusedPickle(f"a header of {size} bytes in a file of {len(data)}: truncated, or no safetensors file")
        if size > _MAX_SAFETENSORS_HEADER:
            raise RefusedPickle(f"a header of {size} bytes, the bound is {_MAX_SAFETENSORS_HEADER}")
        header = json.loads(data[8 : 8 + size])
        if not isinstance(header, dict):
            raise RefusedPickle("the header is no object")
        body = memoryview(data)[8 + size :]
        found, left = {}, len(body)
        for name, about in header.items():
            if name == "__metadata__":
                continue
            begin, end, make = _safetensor(name, about, body)
            left -= end - begin
            if left < 0:  # many names of the same bytes, each of which may be widened
                raise RefusedPickle(f"tensor {shown(name)}: the tensors overlap: they take more than {len(body)} bytes")
            found[name] = make
        return {name: make() for name, make in found.items()}
    except (RefusedPickle, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {line(error)}") from None


def _safetensor(name: str, about: Any, body: memoryview) -> tuple[int, int, Callable[[], np.ndarray]]:
    """Where the tensor begins and ends, and what reads it."""
    try:
        kind, shape, (begin, end) = _SAFETENSORS[about["dtype"]], about["shape"], about["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise RefusedPickle(f"tensor {shown(name)}: cannot be read") from None
    good = is_shape(shape) and is_shape((begin, end)) and begin <= end <= len(body)
    if not good or product(shape) * itemsize(kind) != end - begin:
        raise RefusedPickle(f"tensor {shown(name)}: {shown(shape)} does not fit its place in the file")
    return begin, end, lambda: numbers(body[begin:end], kind).reshape(shape)
