"""Reads weight files of other toolkits without running any of their code: torch.save's zip and legacy forms (.npz and
safetensors: arrays.py). A checkpoint is untrusted input: every size is held against the file's own before memory is
taken, and a file that is damaged, hostile or of another kind gives one CheckpointError of one line.
"""

from __future__ import annotations

import io
import pathlib
import struct
import zipfile
from dataclasses import dataclass, field
from typing import Any, Mapping

import numpy as np

from . import pickles
from .arrays import itemsize, load_npz, load_safetensors, numbers  # noqa: F401  (what importers need, in one place)
from .files import CheckpointError, check_pieces, line, read_bytes, read_lines, read_text  # noqa: F401
from .shown import quoted, shown
from .stand_ins import NumpyArray, RefusedPickle, StandIn, is_shape, product

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
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
        good = is_shape(self.shape) and is_shape(self.strides) and is_shape((self.offset,))
        if not good or len(self.shape) != len(self.strides):
            raise RefusedPickle(f"a tensor of impossible shape {shown(self.shape)}, strides {shown(self.strides)}")
        numel = product(self.shape)
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


def _rebuild_from_type(function, kind, arguments, *rest) -> Any:
    """torch._tensor._rebuild_from_type_v2: a subclass of Tensor, read as the Tensor."""
    if function not in (_rebuild_tensor, _rebuild_parameter) or not isinstance(arguments, tuple):
        raise RefusedPickle("a tensor that is not made of a storage")
    return function(*arguments)


def _torch_names() -> dict[str, Any]:
    names: dict[str, Any] = {
        "torch._utils._rebuild_tensor": _rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
        "torch._utils._rebuild_parameter": _rebuild_parameter,
        "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
        "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
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
        raise RefusedPickle(f"a storage of unknown type {shown(kind)}")
    if not isinstance(key, str):
        raise RefusedPickle(f"a storage whose key is {quoted(key, 40)}, expected text")
    if type(numel) is not int or not 0 <= numel * itemsize(kind) <= budget:
        raise RefusedPickle(f"a storage of {shown(numel)} numbers, more than the file has bytes")
    return key, _Storage(kind, numel)


def _fill(value: Any, budget: int) -> Any:
    """The value with tensors and NumPy arrays in place of their descriptions, at any depth. NumPy's arrays, of which
    many may name the same bytes, are at most `budget` bytes together, the file's size."""
    done: dict[int, Any] = {}
    left = budget
    keep: list[Any] = []

    def visit(v: Any, depth: int) -> Any:
        nonlocal left
        if isinstance(v, (str, bytes, int, float, type(None))):
            return v
        if id(v) in done:
            return done[id(v)]
        if depth > 200:
            raise RefusedPickle("the pickle is nested too deeply")
        keep.append(v)
        if isinstance(v, _Tensor):
            done[id(v)] = v.array()
        elif isinstance(v, NumpyArray):
            done[id(v)] = v.array()
            left -= done[id(v)].nbytes
            if left < 0:
                raise RefusedPickle(f"arrays of more than {budget} bytes, which is all that the file has")
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
            if name not in infos or infos[name].file_size != storage.numel * itemsize(storage.kind):
                size = infos[name].file_size if name in infos else "no"
                raise RefusedPickle(
                    f"storage {shown(key, 40)} has {size} bytes, expected {storage.numel * itemsize(storage.kind)}"
                )
            storage.values = numbers(archive.read(name), storage.kind)
            storages[key] = storage
        return storages[key]

    value = pickles.Unpickler(io.BytesIO(archive.read(pickled[0])), _torch_names(), persistent).load()
    return _fill(value, len(data))


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
                else f"has data of a storage {quoted(key, 40)} that nothing uses"
            )
        numel = struct.unpack("<q", head)[0]
        size = storage.numel * itemsize(storage.kind)
        body = file.read(size) if numel == storage.numel else b""
        if numel != storage.numel or len(body) != size:
            raise RefusedPickle(
                f"storage {shown(key, 40)} has {numel} numbers in {len(body)} bytes, expected {storage.numel}"
            )
        storage.values = numbers(body, storage.kind)
    return _fill(value, len(data))


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
        raise CheckpointError(f"{path}: {line(error)}") from None
    except Exception as error:  # what a damaged archive provokes in zipfile has many types
        raise CheckpointError(f"{path}: is damaged ({type(error).__name__}: {line(error)})") from None
    raise CheckpointError(f"{path}: is no file of torch.save (neither a zip archive nor a pickle)")


# What importers ask of weights


@dataclass
class Weights:
    """Weights by the toolkit's names, and which were used: an importer ends with `unused`, so that nothing of a model
    is ignored. Raises CheckpointError for one that is missing or of another shape."""

    arrays: Mapping[str, np.ndarray]
    path: str = "the checkpoint"
    used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        # NumPy would make an array of nested lists by writing them out.
        for name, values in self.arrays.items():
            if not isinstance(name, str) or not hasattr(values, "dtype"):
                raise CheckpointError(f"{self.path}: tensor {shown(name)} is {shown(values)}, expected numbers")

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            raise CheckpointError(f"{self.path}: tensor {shown(name)} is missing")
        self.used.add(name)
        return self.arrays[name]

    def get(self, name: str, default: np.ndarray | None = None) -> np.ndarray | None:
        return self[name] if name in self.arrays else default

    def shaped(self, name: str, *shape: int | None) -> np.ndarray:
        """The tensor, whose shape must be this; None is any size."""
        values = self[name]
        if values.ndim != len(shape) or any(w is not None and w != n for w, n in zip(shape, values.shape)):
            want = ",".join("n" if w is None else str(w) for w in shape)
            raise CheckpointError(f"{self.path}: tensor {shown(name)} is {list(values.shape)}, expected [{want}]")
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
            raise CheckpointError(f"{self.path}: tensor {shown(left[0])}{more} has no place in {model}")


def token_ids(found: Any, path: pathlib.Path) -> dict[str, int]:
    """A vocabulary's mapping from tokens to ids, as JSON or YAML gave it. Raises CheckpointError where it is none."""
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: is no mapping of tokens to ids")
    for token, i in found.items():
        if type(i) is not int or not 0 <= i < 1 << 31:
            raise CheckpointError(
                f"{path}: token {quoted(token, 40)} has id {shown(i, 40)}, expected a whole number from 0"
            )
    return found
