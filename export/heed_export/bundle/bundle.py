"""Writes and reads bundle folders: what `heed-server` loads.

A bundle is flat: model.json, weights.safetensors, tokeniser files, documents and SHA256SUMS, which lists every other
file as "HEX  NAME", sorted by name. It is written beside its place and renamed, so a half-written one is never seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
from dataclasses import dataclass
from typing import Mapping

import numpy as np

from ..model.int8 import Int8
from . import safetensors

SUMS = "SHA256SUMS"
MODEL = "model.json"
WEIGHTS = "weights.safetensors"
PARITY = "parity.json"


@dataclass(frozen=True)
class Bundle:
    """A bundle as read: the spec, the stored weights (float32, or int8 as it is), every other file's bytes, its
    digest."""

    spec: dict
    tensors: dict[str, np.ndarray | Int8]
    files: dict[str, bytes]
    digest: str


def matrices(tensors: Mapping[str, np.ndarray | Int8]) -> set[str]:
    """Names of the tensors worth rounding to BF16: biases and other vectors are few and cost nothing in full."""
    return {name for name, values in tensors.items() if values.ndim >= 2}


def _weights(tensors: Mapping[str, np.ndarray | Int8], bf16: bool) -> bytes:
    return safetensors.dumps(tensors, matrices(tensors) if bf16 else frozenset())


def stored(spec: dict, tensors: Mapping[str, np.ndarray | Int8], files: Mapping[str, bytes], bf16: bool) -> Bundle:
    """What read() would give after write() of the same (without a digest): the weights as they will be stored."""
    return Bundle(spec, safetensors.loads(_weights(tensors, bf16)), dict(files), "")


def write(
    folder: pathlib.Path, spec: dict, tensors: Mapping[str, np.ndarray | Int8], files: Mapping[str, bytes], bf16: bool
) -> str:
    """Writes (or replaces) a bundle; `files` are its tokenisers and documents by name. Returns its digest."""
    content = dict(files)
    content[MODEL] = dumps_spec(spec)
    content[WEIGHTS] = _weights(tensors, bf16)
    return _place(folder, content)


def replace(folder: pathlib.Path, changed: Mapping[str, bytes]) -> str:
    """Writes a bundle again with these files in place of those it has, the others byte for byte. Returns its digest."""
    names = [line.split("  ", 1)[1] for line in (folder / SUMS).read_text(encoding="utf-8").splitlines()]
    return _place(folder, {name: (folder / name).read_bytes() for name in names} | dict(changed))


def dumps_spec(spec: dict) -> bytes:
    """model.json's bytes."""
    return (json.dumps(spec, indent=2, ensure_ascii=False) + "\n").encode()


def identity(spec: Mapping, toolkit: str | None) -> str:
    """Which model a bundle is of, for people: "mine (translate, de to en, from JoeyNMT)". `toolkit` is that of
    parity.json, whose versions are left out; None where it is not known."""
    task = str(spec.get("task", "")).removeprefix("TASK_").lower()
    languages = f"{spec.get('source_language', '')} to {spec.get('target_language', '')}"
    origin = f", from {str(toolkit).split()[0]}" if toolkit else ""
    return f"{spec.get('name', '')} ({task}, {languages}{origin})"


def check_place(folder: pathlib.Path, spec: Mapping, toolkit: str | None) -> None:
    """Raises ValueError where writing this model into `folder` would take something else's place: what is no bundle, or
    the bundle of another model, one of another name, task, language or toolkit. `spec` needs these of model.json's
    fields; `toolkit` is "" for a recipe's model."""
    if not folder.exists():
        return
    if not (folder / SUMS).is_file():
        raise ValueError(f"{folder} exists and is no bundle")
    held, proof = (_object(folder / name) for name in (MODEL, PARITY))
    if not held:
        raise ValueError(f"{folder} holds a damaged bundle, and this is {identity(spec, toolkit)}")
    known = bool(proof) and toolkit is not None
    there, new = identity(held, proof.get("toolkit") if known else None), identity(spec, toolkit if known else None)
    if there != new:
        raise ValueError(f"{folder} holds another model, {there}, and this is {new}")


def _object(path: pathlib.Path) -> dict:
    """A JSON file's object; empty where there is none."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def _place(folder: pathlib.Path, content: dict[str, bytes]) -> str:
    """Writes the folder, SHA256SUMS included, beside its place and renames it; returns the digest."""
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(content.items()))
    content[SUMS] = sums.encode()
    part = folder.parent / f".{folder.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, data in content.items():
        (part / name).write_bytes(data)
    old = folder.parent / f".{folder.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(part, folder)
    shutil.rmtree(old, ignore_errors=True)
    return hashlib.sha256(content[SUMS]).hexdigest()


def read(folder: pathlib.Path) -> Bundle:
    """Reads a bundle and checks its sums. Raises ValueError that names the file that is missing, extra or changed."""
    sums = (folder / SUMS).read_bytes()
    files: dict[str, bytes] = {}
    for line in sums.decode().splitlines():
        digest, name = line.split("  ", 1)
        files[name] = (folder / name).read_bytes()
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise ValueError(f"{folder / name}: does not have the hash that {SUMS} gives")
    unlisted = sorted({p.name for p in folder.iterdir()} - set(files) - {SUMS})
    if unlisted:
        raise ValueError(f"{folder / unlisted[0]}: not listed in {SUMS}")
    spec = json.loads(files.pop(MODEL))
    tensors = safetensors.loads(files.pop(WEIGHTS))
    return Bundle(spec, tensors, files, hashlib.sha256(sums).hexdigest())
