"""Reads weight files of other toolkits without running any of their code: torch.save's zip and legacy forms, .npz,
safetensors. A checkpoint is untrusted input: every size is held against the file's own before memory is taken, and a
file that is damaged, hostile or of another kind gives one CheckpointError of one line.
"""

from __future__ import annotations

import ast
import io
import json
import pathlib
import struct
import zipfile
from dataclasses import dataclass, field
from typing import Any, Collection, Mapping

import numpy as np

from . import pickles
from .pickles import RefusedPickle, StandIn

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# Weights barely compress; an archive that says it grows by more is no weights.
_MOST_GROWTH = 20
_SMALL_BYTES = 64 << 20
_MAX_FILE_BYTES = 64 << 30
# Storage class or dtype by torch's names: the numbers as stored.
_STORAGES = {
    "Float": "<f4",
    "Double": "<f8",
    "Half": "<f2",
    "BFloat16": "bf16",
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "<i1",
    "Byte": "<u1",
    "Bool": "?",
}
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


class CheckpointError(ValueError):
    """One line: "model.pt: the pickle ends early: the file is truncated"."""


def read_bytes(path: pathlib.Path) -> bytes:
    """A file whole. Raises CheckpointError for one that is missing, no regular file or over 64 GiB."""
    try:
        if not path.is_file():
            raise CheckpointError(f"{path}: " + ("is no file" if path.exists() else "does not exist"))
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise CheckpointError(f"{path}: has {path.stat().st_size} bytes, the bound is {_MAX_FILE_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None


def read_text(path: pathlib.Path) -> str:
    """A file's text. Raises CheckpointError, for what is not UTF-8 too."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: is not UTF-8: byte {error.start}") from None


def read_lines(path: pathlib.Path) -> list[str]:
    """A file's lines. Nothing but a newline ends one: a vocabulary's piece may be a line separator."""
    lines = read_text(path).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _itemsize(kind: str) -> int:
    return 2 if kind == "bf16" else np.dtype(kind).itemsize


def _numbers(data: bytes | memoryview, kind: str) -> np.ndarray:
    """The array of these bytes; half and bfloat16 widened to float32."""
    if kind == "bf16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    values = np.frombuffer(data, kind)
    return values.astype("<f4") if kind == "<f2" else values


# torch.save


@dataclass
class _Storage:
    kind: str
    numel: int
    values: np.ndarray | None = None  # set once the file was read so far


@dataclass
class _Tensor:
    """A view of a storage, as the pickle describes it; `array` once the storage is filled."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple

    def array(self) -> np.ndarray:
        numbers = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or not all(type(n) is int and 0 <= n < 1 << 48 for n in numbers):
            raise RefusedPickle(f"a tensor of impossible shape {self.shape}, strides {self.strides}")
        numel = pickles._product(self.shape)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        if self.storage.values is None:
            raise RefusedPickle("a tensor whose data is not in the file")
        have = len(self.storage.values)
        if numel and (last >= have or numel > have):
            raise RefusedPickle(f"a tensor of shape {list(self.shape)} does not fit its data of {have} numbers")
        if not numel:
            return np.zeros(self.shape, self.storage.values.dtype)
        strides = [s * self.storage.values.itemsize for s in self.strides]
        view = self.storage.values[self.offset :]
        return np.lib.stride_tricks.as_strided(view, self.shape, strides, writeable=False)


def _rebuild_tensor(storage, offset, shape, strides, *rest) -> _Tensor:
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise RefusedPickle("a tensor that is not made of a storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(data, *rest) -> Any:
    return data


def _torch_names() -> dict[str, Any]:
    names: dict[str, Any] = {
        "torch._utils._rebuild_tensor": _rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
        "torch._utils._rebuild_parameter": _rebuild_parameter,
        "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
        "torch._tensor._rebuild_from_type_v2": lambda function, kind, arguments, *rest: function(*arguments),
        "torch.Size": lambda shape=(): tuple(shape),
    }
    for name, kind in _STORAGES.items():
        names[f"torch.{name}Storage"] = names[f"torch.storage.{name}Storage"] = kind
        names[f"torch.cuda.{name}Storage"] = kind
    return names


def _storage_of(pid: Any, budget: int) -> tuple[str, _Storage]:
    """A persistent id's key, and its storage yet to be filled. `budget` is the file's size."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
        raise RefusedPickle("refers to something that is no storage")
    kind, key, numel = pid[1], pid[2], pid[4]
    if not isinstance(kind, str) or kind not in _STORAGES.values():
        raise RefusedPickle(f"a storage of unknown type {getattr(kind, 'path', kind)}")
    if type(numel) is not int or numel < 0 or numel * _itemsize(kind) > budget:
        raise RefusedPickle(f"a storage of {numel} numbers, more than the file has bytes")
    return str(key), _Storage(kind, numel)


def _fill(value: Any) -> Any:
    """The value with tensors and NumPy arrays in place of their descriptions, at any depth."""
    done: dict[int, Any] = {}
    keep: list[Any] = []

    def visit(v: Any, depth: int) -> Any:
        if isinstance(v, (str, bytes, int, float, type(None))):
            return v
        if id(v) in done:
            return done[id(v)]
        if depth > 200:
            raise RefusedPickle("the pickle is nested too deeply")
        keep.append(v)
        if isinstance(v, _Tensor):
            done[id(v)] = v.array()
        elif isinstance(v, pickles._NumpyArray):
            done[id(v)] = v.array()
        elif isinstance(v, dict):
            done[id(v)] = v
            for k, item in list(v.items()):
                v[k] = visit(item, depth + 1)
        elif isinstance(v, list):
            done[id(v)] = v
            v[:] = [visit(item, depth + 1) for item in v]
        elif isinstance(v, tuple):
            done[id(v)] = tuple(visit(item, depth + 1) for item in v)
        elif isinstance(v, StandIn):
            done[id(v)] = v
            for k, item in list(v.__dict__.items()):
                v.__dict__[k] = visit(item, depth + 1)
        else:
            done[id(v)] = v
        return done[id(v)]

    return visit(value, 0)


def _load_torch_zip(data: bytes) -> Any:
    archive = zipfile.ZipFile(io.BytesIO(data))
    infos = {info.filename: info for info in archive.infolist()}
    pickled = [name for name in infos if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickled) != 1:
        raise RefusedPickle("a zip archive without the one data.pkl of torch.save")
    root = pickled[0].split("/")[0]
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos.values()):
        raise RefusedPickle("has compressed entries, which torch.save does not write")
    if sum(info.file_size for info in infos.values()) > len(data):
        raise RefusedPickle("its entries are larger than the file")
    if f"{root}/byteorder" in infos and archive.read(f"{root}/byteorder") != b"little":
        raise RefusedPickle("was written on a big-endian machine")
    storages: dict[str, _Storage] = {}

    def persistent(pid: Any) -> _Storage:
        key, storage = _storage_of(pid, len(data))
        if key not in storages:
            name = f"{root}/data/{key}"
            if name not in infos or infos[name].file_size != storage.numel * _itemsize(storage.kind):
                size = infos[name].file_size if name in infos else "no"
                raise RefusedPickle(
                    f"storage {key[:40]} has {size} bytes, expected {storage.numel * _itemsize(storage.kind)}"
                )
            storage.values = _numbers(archive.read(name), storage.kind)
            storages[key] = storage
        return storages[key]

    return _fill(pickles.Unpickler(io.BytesIO(archive.read(pickled[0])), _torch_names(), persistent).load())


def _load_torch_legacy(data: bytes) -> Any:
    """Four pickles (magic, protocol, sizes of the writer's numbers, the value), the list of the storages' keys, and
    each storage: int64 count, numbers (torch/serialization.py, _legacy_save)."""
    file = io.BytesIO(data)

    def load(named: dict | None = None, persistent=None) -> Any:
        return pickles.Unpickler(file, named, persistent).load()

    if load() != _LEGACY_MAGIC:
        raise RefusedPickle("is no file of torch.save")
    load()
    system = load()
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise RefusedPickle("was written on a big-endian machine")
    storages: dict[str, _Storage] = {}

    def persistent(pid: Any) -> _Storage:
        if isinstance(pid, tuple) and pid and pid[0] == "module":  # nn.Module with its source, up to 0.4
            raise RefusedPickle("holds a whole module, not its state_dict")
        key, storage = _storage_of(pid, len(data))
        view = pid[5] if len(pid) > 5 else None
        base = storages.setdefault(key, storage)
        if view is None:
            return base
        raise RefusedPickle("has storages that are views of others, which torch stopped writing in 2017")

    value = load(_torch_names(), persistent)
    keys = load()
    if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys):
        raise RefusedPickle("has no list of its storages")
    for key in keys:
        storage = storages.get(key)
        head = file.read(8)
        if storage is None or len(head) < 8:
            raise RefusedPickle(
                "the file is truncated: storages are missing"
                if storage
                else f"has data of a storage {key[:40]!r} that nothing uses"
            )
        numel = struct.unpack("<q", head)[0]
        size = storage.numel * _itemsize(storage.kind)
        body = file.read(size) if numel == storage.numel else b""
        if numel != storage.numel or len(body) != size:
            raise RefusedPickle(
                f"storage {key[:40]} has {numel} numbers in {len(body)} bytes, expected {storage.numel}"
            )
        storage.values = _numbers(body, storage.kind)
    return _fill(value)


def load_torch(path: pathlib.Path) -> Any:
    """What torch.save wrote: dicts, lists, numbers and strings as they are, tensors as NumPy arrays (float16 and
    bfloat16 as float32), objects of the toolkit as pickles.StandIn. Tensors that share a storage share memory. Raises
    CheckpointError."""
    data = read_bytes(path)
    try:
        if data[:4] == b"PK\x03\x04":
            return _load_torch_zip(data)
        if data[:1] == b"\x80":
            return _load_torch_legacy(data)
    except RefusedPickle as error:
        raise CheckpointError(f"{path}: {_line(error)}") from None
    except Exception as error:  # what a damaged archive provokes in zipfile has many types
        raise CheckpointError(f"{path}: is damaged ({type(error).__name__}: {_line(error)})") from None
    raise CheckpointError(f"{path}: is no file of torch.save (neither a zip archive nor a pickle)")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


# .npz


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
    if (
        not isinstance(kind, str)
        or kind.lstrip("<>|=")[:1] not in ("f", "i", "u", "b", "S", "U")
        or not isinstance(shape, tuple)
        or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape)
    ):
        raise RefusedPickle(f"is an array of {str(kind)[:40]!r}, expected numbers or text")
    try:
        return np.dtype(kind), bool(fortran), shape, begin + size
    except TypeError:
        raise RefusedPickle(f"is an array of {kind[:40]!r}, expected numbers or text") from None


def load_npz(path: pathlib.Path, skip: Collection[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of a .npz by name, without those in `skip`; pickled ones are refused. Raises CheckpointError."""
    data = read_bytes(path)
    found: dict[str, np.ndarray] = {}
    name = ""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        total = sum(info.file_size for info in archive.infolist())
        if total > max(_SMALL_BYTES, _MOST_GROWTH * len(data)):
            raise RefusedPickle(f"grows from {len(data)} bytes to {total}, more than {_MOST_GROWTH} times: a zip bomb")
        for info in archive.infolist():
            name = info.filename
            if name.removesuffix(".npy") in skip:
                continue
            body = archive.read(info)
            kind, fortran, shape, begin = _npy_header(body)
            if pickles._product(shape) * kind.itemsize != len(body) - begin:
                raise RefusedPickle(f"has {len(body) - begin} bytes, expected those of {list(shape)}")
            values = np.frombuffer(body, kind, offset=begin).reshape(shape, order="F" if fortran else "C")
            found[name.removesuffix(".npy")] = values
    except RefusedPickle as error:
        raise CheckpointError(f"{path}: {name + ': ' if name else ''}{_line(error)}") from None
    except Exception as error:  # what a damaged archive provokes in zipfile and zlib has many types
        raise CheckpointError(
            f"{path}: {name + ': ' if name else ''}is damaged ({type(error).__name__}: {_line(error)})"
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
        header = json.loads(data[8 : 8 + size])
        if not isinstance(header, dict):
            raise RefusedPickle("the header is no object")
        body = memoryview(data)[8 + size :]
        return {n: _safetensor(n, about, body) for n, about in header.items() if n != "__metadata__"}
    except (RefusedPickle, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: {_line(error)}") from None


def _safetensor(name: str, about: Any, body: memoryview) -> np.ndarray:
    try:
        kind, shape, (begin, end) = _SAFETENSORS[about["dtype"]], about["shape"], about["data_offsets"]
        good = all(type(n) is int and 0 <= n < 1 << 48 for n in (*shape, begin, end))
    except (KeyError, TypeError, ValueError):
        raise RefusedPickle(f"tensor {name[:80]}: cannot be read") from None
    if not good or not begin <= end <= len(body) or pickles._product(shape) * _itemsize(kind) != end - begin:
        raise RefusedPickle(f"tensor {name[:80]}: {str(shape)[:80]} does not fit its place in the file")
    return _numbers(body[begin:end], kind).reshape(shape)


# What importers ask of weights


@dataclass
class Weights:
    """Weights by the toolkit's names, and which were used: an importer ends with `unused`, so that nothing of a model
    is ignored. Raises CheckpointError for one that is missing or of another shape."""

    arrays: Mapping[str, np.ndarray]
    path: str = "the checkpoint"
    used: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            raise CheckpointError(f"{self.path}: tensor {name} is missing")
        self.used.add(name)
        return self.arrays[name]

    def get(self, name: str, default: np.ndarray | None = None) -> np.ndarray | None:
        return self[name] if name in self.arrays else default

    def shaped(self, name: str, *shape: int | None) -> np.ndarray:
        """The tensor, whose shape must be this; None is any size."""
        values = self[name]
        if values.ndim != len(shape) or any(w is not None and w != n for w, n in zip(shape, values.shape)):
            want = ",".join("n" if w is None else str(w) for w in shape)
            raise CheckpointError(f"{self.path}: tensor {name} is {list(values.shape)}, expected [{want}]")
        return values

    def ignore(self, *names: str) -> None:
        """These are known and say nothing (dead weights)."""
        self.used.update(names)

    def unused(self) -> list[str]:
        """Names that nothing asked for, sorted."""
        return sorted(set(self.arrays) - self.used)

    def finish(self, model: str) -> None:
        """Raises CheckpointError where something was not asked for; `model` says of what it is no part."""
        left = self.unused()
        if left:
            more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
            raise CheckpointError(f"{self.path}: tensor {left[0]}{more} has no place in {model}")


def token_ids(found: Any, path: pathlib.Path) -> dict[str, int]:
    """A vocabulary's mapping from tokens to ids, as JSON or YAML gave it. Raises CheckpointError where it is none."""
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: is no mapping of tokens to ids")
    for token, i in found.items():
        if type(i) is not int or not 0 <= i < 1 << 31:
            raise CheckpointError(f"{path}: token {token[:40]!r} has id {str(i)[:40]}, expected a whole number from 0")
    return found
