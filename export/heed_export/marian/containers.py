"""Reads Marian's binary containers: `model*.bin` (float32, float16 or intgemm8 weights) and `lex.*.s2t.bin`
(shortlists).

The layout is marian-dev's src/common/binary.cpp, little-endian: u64 version 1, u64 number of items; for each item u64
name length (its NUL counted), type, rank, data length; all names; all shapes (i32); u64 padding length, padding; all
data, each padded by its writer. A file is untrusted: every length is checked against what is there before it is used,
and CheckpointError says in one line what is wrong ("model.bin: item 3 (Wemb): 192000 bytes, expected at least 192004
for shape [2000, 96]").

Traps of intgemm8 (src/tensors/cpu/integer_common.h, prepareAndTransposeB): the declared shape is [in, out] but the
bytes are [out, in] (Wemb alone is what it says), the multiplier q follows them as one f32, w = byte / q; and marian-conv
makes int8 of whatever is called Wemb, so that decoder_Wemb_QuantMultA is a byte and a multiplier.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

from ..model.int8 import MAX_SCALE, MIN_SCALE, Int8
from ..reading.files import CheckpointError
from ..reading.shown import shown

MAX_ITEMS = 100_000
MAX_RANK = 4
CONFIG = "special:model.yml"
ALPHA = "_QuantMultA"
SHORTLIST_MAGIC = 0xF11A48D5013417F5  # src/data/shortlist.h
_TEXT = 0x101  # int8
_FLOATS = {0x404: "<f4", 0x402: "<f2", 0x408: "<f8"}
_INTGEMM8 = (0x4101, 0x10001)  # browsermt's and Mozilla's Marian; marian-dev
_NAMES = {
    0x901: "packed8avx2 (packed for one kind of processor)",
    0x1801: "packed8avx2 (packed for one kind of processor)",
    0x2801: "packed8avx512 (packed for one kind of processor)",
    0x802: "packed16 (packed for one kind of processor)",
    0x4102: "intgemm16",
    0x10002: "intgemm16",
    0x18001: "intgemm8ssse3 (packed for one kind of processor)",
    0x11001: "intgemm8avx2 (packed for one kind of processor)",
    0x12001: "intgemm8avx512 (packed for one kind of processor)",
    0x13001: "intgemm8avx512vnni (packed for one kind of processor)",
}


@dataclass
class Contents:
    """What a model file holds. `tensors` are float32 or, as intgemm8 has them, int8 with one scale, in Marian's own
    orientation ([in, out]; Wemb [V, d]); `config` is the text of special:model.yml, None where there is none; `alphas`
    are the QuantMultA by the name of their weight (`none` belongs to the output layer): what the weight is multiplied
    with is rounded to multiples of 1 / alpha; `multipliers` those of int8 weights, 1 / scale as the file has it."""

    tensors: dict[str, np.ndarray | Int8] = field(default_factory=dict)
    config: str | None = None
    alphas: dict[str, np.float32] = field(default_factory=dict)
    multipliers: dict[str, np.float32] = field(default_factory=dict)


class _Cursor:
    """Walks through `data`, never past its end."""

    def __init__(self, data: bytes, file: str):
        self.data, self.file, self.at = data, file, 0

    def take(self, count: int, what: str) -> bytes:
        left = len(self.data) - self.at
        if count > left:
            raise CheckpointError(
                f"{self.file}: cut off: {what} needs {count} bytes at offset {self.at}, {left} are left"
            )
        self.at += count
        return self.data[self.at - count : self.at]

    def u64(self, count: int, what: str) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", self.take(8 * count, what))


@dataclass
class _Item:
    place: str
    name: str
    type: int
    rank: int
    length: int
    shape: tuple[int, ...] = ()


def read(data: bytes, file: str) -> Contents:
    """Reads a model. `file` is what errors call it. Raises CheckpointError, one line, for anything that is no such file
    or holds a type that cannot be widened (weights packed for one processor)."""
    cursor = _Cursor(data, file)
    version, count = cursor.u64(2, "the header")
    if version == 2:
        raise CheckpointError(f"{file}: is encrypted (container version 2)")
    if version != 1:
        raise CheckpointError(f"{file}: container version is {version}, expected 1 (is it one of Marian's .bin files?)")
    if not 1 <= count <= MAX_ITEMS:
        raise CheckpointError(f"{file}: has {count} items, expected 1 to {MAX_ITEMS}")
    items = _headers(cursor, count)
    (padding,) = cursor.u64(1, "the padding's length")
    cursor.take(padding, "the padding")
    contents = Contents()
    for item in items:
        _store(contents, item, cursor.take(item.length, f"the data of {item.place}"))
    if cursor.at != len(data):
        raise CheckpointError(f"{file}: {len(data) - cursor.at} bytes follow the last item")
    return contents


def _headers(cursor: _Cursor, count: int) -> list[_Item]:
    fields = cursor.u64(4 * count, "the items' headers")
    items, seen = [], set()
    for i in range(count):
        length, kind, rank, size = fields[4 * i : 4 * i + 4]
        raw = cursor.take(length, f"the name of item {i}")
        name = raw[:-1].decode("ascii", "replace")
        if not raw.endswith(b"\0") or not name or not name.isascii() or not name.isprintable():
            raise CheckpointError(
                f"{cursor.file}: item {i}: the name is not 1 or more printable ASCII characters and a NUL"
            )
        if name in seen:
            raise CheckpointError(f"{cursor.file}: item {i}: there are two called {shown(name)}")
        seen.add(name)
        place = f"{cursor.file}: item {i} ({name[:100]})"
        if not 1 <= rank <= MAX_RANK:
            raise CheckpointError(f"{place}: rank is {rank}, expected 1 to {MAX_RANK}")
        items.append(_Item(place, name, kind, rank, size))
    for item in items:
        item.shape = struct.unpack(f"<{item.rank}i", cursor.take(4 * item.rank, f"the shape of {item.name[:100]}"))
        if min(item.shape) < 0:
            raise CheckpointError(f"{item.place}: shape is {list(item.shape)}, expected nothing below 0")
    return items


def _store(contents: Contents, item: _Item, data: bytes) -> None:
    elements = 1
    for n in item.shape:
        elements *= n

    def part(size: int) -> bytes:
        if size > len(data):
            raise CheckpointError(
                f"{item.place}: {len(data)} bytes, expected at least {size} for shape {list(item.shape)}"
            )
        return data[:size]

    if item.type == _TEXT:
        if item.name != CONFIG:
            raise CheckpointError(f"{item.place}: is int8 without a multiplier, which only {CONFIG} may be")
        text = part(elements).split(b"\0", 1)[0]
        try:
            contents.config = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{item.place}: is not UTF-8 at byte {error.start}") from None
    elif item.type in _FLOATS:
        dtype = np.dtype(_FLOATS[item.type])
        values = np.frombuffer(part(elements * dtype.itemsize), dtype).astype(np.float32).reshape(item.shape)
        if not np.isfinite(values).all():
            raise CheckpointError(f"{item.place}: holds a value that is not finite")
        if item.name.endswith(ALPHA):
            _store_alpha(contents, item, elements, values)
        else:
            contents.tensors[item.name] = values
    elif item.type in _INTGEMM8:
        if item.rank != 2:
            raise CheckpointError(f"{item.place}: intgemm8 of rank {item.rank}, expected 2")
        values = _int8(item, part(elements + 4), elements)
        if item.name.endswith(ALPHA):
            _store_alpha(contents, item, elements, values.floats())
        else:
            contents.tensors[item.name] = values
            contents.multipliers[item.name] = np.frombuffer(data, "<f4", 1, elements)[0]
    else:
        kind = _NAMES.get(item.type, f"{item.type:#x}")
        raise CheckpointError(
            f"{item.place}: weights of type {kind} are not supported, only float32, float16 and intgemm8"
        )


def _scale(item: _Item, what: str, multiplier: np.float32) -> np.float32:
    """What a step of 1 / multiplier is."""
    with np.errstate(all="ignore"):
        scale = np.float32(1) / np.float32(multiplier)
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise CheckpointError(
            f"{item.place}: {what} is {multiplier:g}, expected a number from {MIN_SCALE:g} to {MAX_SCALE:g}"
        )
    return scale


def _int8(item: _Item, data: bytes, elements: int) -> Int8:
    scale = _scale(item, "the multiplier", np.frombuffer(data, "<f4", 1, elements)[0])
    numbers = np.frombuffer(data, np.int8, elements)
    as_declared = item.name.endswith("Wemb")
    numbers = numbers.reshape(item.shape) if as_declared else numbers.reshape(item.shape[::-1]).T
    try:
        return Int8(numbers, scale)
    except ValueError as error:
        raise CheckpointError(f"{item.place}: {error}") from None


def _store_alpha(contents: Contents, item: _Item, elements: int, values: np.ndarray) -> None:
    if elements != 1:
        raise CheckpointError(f"{item.place}: shape is {list(item.shape)}, expected one value")
    alpha = values.reshape(-1)[0]
    _scale(item, "the activations' multiplier", alpha)
    contents.alphas[item.name.removesuffix(ALPHA)] = np.float32(alpha)


def check_shortlist(data: bytes, file: str, source_size: int, target_size: int) -> None:
    """Checks a lexical shortlist in Marian's binary form (src/data/shortlist.cpp, BinaryShortlistGenerator::load and
    contentCheck) against the vocabularies' sizes. Raises CheckpointError."""
    cursor = _Cursor(data, file)
    magic, checksum, first, _, offsets, entries = cursor.u64(6, "the header")
    if magic != SHORTLIST_MAGIC:
        raise CheckpointError(
            f"{file}: does not start as a binary shortlist does (is it one of Marian's lex.*.s2t.bin?)"
        )
    if offsets != source_size + 1:
        raise CheckpointError(f"{file}: has offsets for {offsets - 1} source ids, the vocabulary has {source_size}")
    expected = 48 + 8 * offsets + 4 * entries
    if expected != len(data):
        raise CheckpointError(f"{file}: is {len(data)} bytes long, its header says {expected}")
    if first > target_size:
        raise CheckpointError(f"{file}: first ids {first}, the target vocabulary has {target_size}")
    if _checksum(data[16:]) != checksum:
        raise CheckpointError(f"{file}: the checksum does not match: the file is damaged")
    table = np.frombuffer(data, "<u8", offsets, 48)
    lists = np.frombuffer(data, "<u4", entries, 48 + 8 * offsets)
    if table[0] != 0 or table[-1] != entries or (table[1:] < table[:-1]).any():
        raise CheckpointError(f"{file}: the offsets do not rise from 0 to {entries}")
    if entries and lists.max() >= target_size:
        raise CheckpointError(f"{file}: lists target id {lists.max()}, the vocabulary has {target_size}")


def _checksum(data: bytes) -> int:
    """src/common/hash.h, hashMem over the whole u64 there, with the identity as hash of one (libstdc++'s)."""
    seed, mask = 0, (1 << 64) - 1
    for value in np.frombuffer(data, "<u8", len(data) // 8).tolist():
        seed ^= (value + 0x9E3779B9 + (seed << 6) + (seed >> 2)) & mask
        seed &= mask
    return seed
