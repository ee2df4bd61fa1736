"""Reads the files that importers are given: each whole, at most so many bytes, and with one error of one line for
whatever is wrong with it.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any, Sequence

from .shown import quoted, shown

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


def decoded(data: bytes, path: pathlib.Path) -> str:
    """The text of a file's bytes, without the mark (U+FEFF) that some editors put before it. Raises CheckpointError."""
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: is not UTF-8 at byte {error.start}") from None


def read_text(path: pathlib.Path, most: int = MAX_TEXT_BYTES) -> str:
    """A file's text. Raises CheckpointError, for what is not UTF-8 too."""
    return decoded(read_bytes(path, most), path)


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


def lines_of(text: str) -> list[str]:
    """A text's lines, which LF or CR LF end (or CR, where there is no LF). Nothing else ends one: a vocabulary's piece may
    be a line separator."""
    if "\n" not in text:
        text = text.replace("\r", "\n")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def read_lines(path: pathlib.Path) -> list[str]:
    """lines_of() a file. Raises CheckpointError."""
    return lines_of(read_text(path))


def are_scored(lines: Sequence[str]) -> bool:
    """Whether these are lines of a SentencePiece .vocab: each a piece, a TAB and the piece's score, at most 0."""

    def score(line: str) -> float:
        piece, tab, number = line.rpartition("\t")
        try:
            return float(number) if piece and tab else 1.0
        except ValueError:
            return 1.0

    return bool(lines) and all(score(line) <= 0 for line in lines)


def check_pieces(lines: Sequence[str], path: pathlib.Path, what: str) -> None:
    """Raises CheckpointError where lines hold more than a piece: a score, a count, whatever stands behind a TAB. `what`
    says what the file is to be: "a token a line"."""
    if are_scored(lines):
        raise CheckpointError(f"{path}: is SentencePiece's .vocab, a piece and its score a line; expected {what}")
    for number, line in enumerate(lines, start=1):
        if "\t" in line and line != "\t":
            raise CheckpointError(f"{path}:{number}: {quoted(line, 60)} has a TAB in it; expected {what}")


def line(error: Exception) -> str:
    """What another library said, in one line."""
    return shown(str(error) or type(error).__name__, 300)
