"""The little that an importer must know of a SentencePiece model: how many pieces it has and which are special. Reads
sentencepiece_model.proto's fields without a library: repeated `pieces` = 1 {piece = 1, score = 2, type = 3},
`trainer_spec` = 2 {model_type = 3}."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from .checkpoint import CheckpointError

NORMAL, UNKNOWN, CONTROL, UNUSED = 1, 2, 3, 5
UNIGRAM, BPE = 1, 2  # model types
MAX_PIECES = 1 << 24


@dataclass
class SpmFile:
    """`pieces` by id; `unk` and `eos` (the control piece "</s>", None where there is none); `control` ids of all
    control pieces."""

    pieces: list[str]
    unk: int
    eos: int | None
    control: list[int]


def _varint(data: bytes, at: int, file: str) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise CheckpointError(f"{file}: is no SentencePiece model: a number is cut off at offset {at}")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes, file: str) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a message; values of fixed width come as bytes."""
    return ((number, value) for number, value, _ in _spans(data, file))


def _spans(data: bytes, file: str) -> Iterator[tuple[int, int | bytes, int]]:
    """The same with where each field ends."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at, file)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at, file)
            yield key >> 3, value, at
            continue
        if wire == 2:
            size, at = _varint(data, at, file)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise CheckpointError(f"{file}: is no SentencePiece model: wire type {wire} at offset {at}")
        if size > len(data) - at:
            raise CheckpointError(
                f"{file}: is no SentencePiece model, or cut off: {size} bytes at offset {at}, {len(data) - at} are left"
            )
        yield key >> 3, data[at : at + size], at + size
        at += size


def _prefixed(field: int, content: bytes) -> bytes:
    """A field of a message with its bytes."""
    size, out = len(content), [field << 3 | 2]
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size]) + content


def restricted(data: bytes, allowed: frozenset[str], file: str) -> bytes:
    """The model after SentencePiece's SetVocabulary: normal pieces of several characters that are not `allowed` are unused,
    so that text is cut into others. Raises CheckpointError."""
    out, begin = [], 0
    for number, content, end in _spans(data, file):
        if number == 1 and isinstance(content, bytes):
            fields = dict(_fields(content, file))
            piece = fields.get(1)
            text = piece.decode("utf-8", "replace") if isinstance(piece, bytes) else ""
            if fields.get(3, NORMAL) == NORMAL and len(text) > 1 and text not in allowed:
                content += bytes([3 << 3, UNUSED])  # of a field that stands twice the last counts
            out.append(_prefixed(1, content))
        else:
            out.append(data[begin:end])
        begin = end
    return b"".join(out)


def read(data: bytes, file: str) -> SpmFile:
    """Raises CheckpointError."""
    pieces, kinds, model_type = [], [], UNIGRAM
    for number, value in _fields(data, file):
        if number == 2 and isinstance(value, bytes):  # trainer_spec
            model_type = next((v for n, v in _fields(value, file) if n == 3 and isinstance(v, int)), UNIGRAM)
        if number != 1 or not isinstance(value, bytes):
            continue
        piece, kind = "", NORMAL
        for inner, content in _fields(value, file):
            if inner == 1 and isinstance(content, bytes):
                piece = content.decode("utf-8", "replace")
            elif inner == 3 and isinstance(content, int):
                kind = content
        pieces.append(piece)
        kinds.append(kind)
        if len(pieces) > MAX_PIECES:
            raise CheckpointError(f"{file}: has more than {MAX_PIECES} pieces")
    unknown = [i for i, kind in enumerate(kinds) if kind == UNKNOWN]
    if len(unknown) != 1:
        raise CheckpointError(
            f"{file}: is no SentencePiece model: {len(unknown)} unknown pieces among {len(pieces)}, expected 1"
        )
    if model_type not in (UNIGRAM, BPE):
        name = {3: "word", 4: "char"}.get(model_type, str(model_type))
        raise CheckpointError(f"{file}: is a SentencePiece model of type {name}, expected unigram or bpe")
    control = [i for i, kind in enumerate(kinds) if kind == CONTROL]
    eos = next((i for i in control if pieces[i] == "</s>"), None)
    return SpmFile(pieces, unknown[0], eos, control)
