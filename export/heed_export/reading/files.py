"""Reads the files that importers are given: each whole, at most so many bytes, and with one error of one line for
whatever is wrong with it.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

from .shown import shown

MAX_FILE_BYTES = 64 << 30
MAX_TEXT_BYTES = 1 << 30  # vocabularies
MAX_OPTIONS_BYTES = 16 << 20  # configurations; special:model.yml


class CheckpointError(ValueError):
    """One line: "model.pt: the pickle ends early: the file is truncated"."""


def read_bytes(path: pathlib.Path, most: int = MAX_FILE_BYTES) -> bytes:
    """A file whole. Raises CheckpointError for one that is missing, no regular file or over `most` bytes."""
    try:
        if not path.is_file():
            raise CheckpointError(f"{path}: " + ("is no file" if path.exists() else "does not exist"))
        if path.stat().st_size > most:
            raise CheckpointError(f"{path}: has {path.stat().st_size} bytes, the bound is {most}")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    except MemoryError:
        raise CheckpointError(f"{path}: has more bytes than there is memory") from None


def read_text(path: pathlib.Path, most: int = MAX_TEXT_BYTES) -> str:
    """A file's text. Raises CheckpointError, for what is not UTF-8 too."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: is not UTF-8: byte {error.start}") from None


def parse_json(text: str, path: pathlib.Path) -> Any:
    """The value of a JSON text, which `path` held. Raises CheckpointError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}: line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise CheckpointError(f"{path}: is nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits
        raise CheckpointError(f"{path}: {shown(str(error))}") from None


def read_json(path: pathlib.Path, most: int = MAX_TEXT_BYTES) -> Any:
    """The value of a JSON file. Raises CheckpointError."""
    return parse_json(read_text(path, most), path)


def read_lines(path: pathlib.Path) -> list[str]:
    """A file's lines. Nothing but a newline ends one: a vocabulary's piece may be a line separator."""
    lines = read_text(path).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def line(error: Exception) -> str:
    """What another library said, in one line."""
    return shown(str(error) or type(error).__name__, 300)
