"""Writes files as torch.save does (torch/serialization.py: its zip form and the one before 1.6), without PyTorch, so
that tests can also make those that it would not write."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile

import numpy as np


class Global:
    """Pickles as a reference to MODULE.NAME, which need not exist."""

    def __init__(self, path: str):
        self.module, self.name = path.rsplit(".", 1)


class Call:
    """Pickles as a call of a Global."""

    def __init__(self, function: str, *arguments, state=None):
        self.function, self.arguments, self.state = Global(function), arguments, state


class Storage:
    def __init__(self, key: str, values: np.ndarray, kind: str = "Float", numel: int | None = None):
        self.key, self.values, self.kind = key, values, kind
        self.numel = values.size if numel is None else numel


class Writer(pickle._Pickler):
    """A pickler that writes Globals without importing them, and Storages as persistent ids."""

    def __init__(self, file, legacy: bool):
        super().__init__(file, protocol=2)
        self.legacy = legacy
        self.storages: dict[str, Storage] = {}

    def persistent_id(self, value):
        if isinstance(value, Storage):
            self.storages[value.key] = value
            pid = ("storage", Global(f"torch.{value.kind}Storage"), value.key, "cpu", value.numel)
            return (*pid, None) if self.legacy else pid
        return None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Global):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Call):
            self.save(value.function)
            self.save(tuple(value.arguments))
            self.write(pickle.REDUCE)
            if value.state is not None:
                self.save(value.state)
                self.write(pickle.BUILD)
        else:
            super().save(value, save_persistent_id)


def tensor(storage: Storage, shape: tuple, strides: tuple | None = None, offset: int = 0) -> Call:
    if strides is None:
        strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    return Call(
        "torch._utils._rebuild_tensor_v2", storage, offset, shape, strides, False, Call("collections.OrderedDict")
    )


def zipped(value, **changes) -> bytes:
    pickled = io.BytesIO()
    writer = Writer(pickled, legacy=False)
    writer.dump(value)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", changes.get("compression", zipfile.ZIP_STORED)) as archive:
        archive.writestr("archive/data.pkl", pickled.getvalue())
        archive.writestr("archive/byteorder", changes.get("byteorder", "little"))
        for key, storage in writer.storages.items():
            archive.writestr(f"archive/data/{key}", storage.values.tobytes())
        archive.writestr("archive/version", "3\n")
    return out.getvalue()


def legacy(value) -> bytes:
    out = io.BytesIO()
    for head in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
        pickle.dump(head, out, protocol=2)
    writer = Writer(out, legacy=True)
    writer.dump(value)
    pickle.dump(sorted(writer.storages), out, protocol=2)
    for key in sorted(writer.storages):
        storage = writer.storages[key]
        out.write(struct.pack("<q", storage.numel) + storage.values.tobytes())
    return out.getvalue()
