"""One side's pieces, and how text becomes their ids: what a bundle's Vocabulary says, and the files that it names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Sequence


@dataclass
class Tokenizer:
    """A tokenizer of model.proto: its field's name, that message's fields, and the files that it needs: the field
    (`merges`, `file`) and the file's bytes."""

    kind: str
    fields: dict = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def pretokenized() -> Tokenizer:
    """The caller cuts: a text is its pieces, joined by spaces."""
    return Tokenizer("pretokenized")


def words() -> Tokenizer:
    """White space separates words."""
    return Tokenizer("words")


def characters(space: str | None = None) -> Tokenizer:
    """Every code point is a piece; a space is the piece `space` (default " ")."""
    return Tokenizer("characters", {} if space is None else {"space": space})


def bpe(merges: bytes, separator: str | None = None) -> Tokenizer:
    """subword-nmt: the bytes of its merge file; `separator` (default "@@") marks a piece that goes on."""
    return Tokenizer("bpe", {} if separator is None else {"separator": separator}, {"merges": merges})


def opennmt(mode: str, mark: str, joiner: bool, merges: bytes | None = None) -> Tokenizer:
    """OpenNMT's Tokenizer; `mode` space | conservative | aggressive, `joiner` or else spacer annotation, `mark`
    theirs."""
    annotate = "joiner_annotate" if joiner else "spacer_annotate"
    fields = {"mode": f"OPEN_NMT_MODE_{mode.upper()}", annotate: True, "mark": mark}
    return Tokenizer("opennmt", fields, {} if merges is None else {"merges": merges})


def sentencepiece(model: bytes) -> Tokenizer:
    """A SentencePiece model: the bytes of its .spm or .model file."""
    return Tokenizer("sentencepiece", {}, {"file": model})


@dataclass
class Vocabulary:
    """One side. Either `pieces` (number i is the piece of id i, specials included), or `size` alone with a
    SentencePiece tokenizer whose own ids the model uses."""

    unk: int
    pieces: Sequence[str] | None = None
    size: int | None = None
    bos: int | None = None
    eos: int | None = None
    add_bos: bool = False  # source: put bos before the pieces
    add_eos: bool = False  # source: put eos after them
    special: Sequence[int] = ()  # ids that are no text beside bos and eos: padding
    tokenizer: Tokenizer = field(default_factory=pretokenized)
    lowercase: bool = False

    def __len__(self) -> int:
        return len(self.pieces) if self.pieces is not None else int(self.size or 0)

    def ids(self, pieces: Sequence[str]) -> list[int]:
        """The source ids of pieces (lowest id of a piece that occurs twice; unk for one unknown), specials added.
        Raises ValueError where the pieces are inside a SentencePiece model."""
        if self.pieces is None:
            raise ValueError("the pieces of this vocabulary are inside its SentencePiece model")
        index: dict[str, int] = {}
        banned = {self.bos, self.eos, *self.special}
        for i, piece in enumerate(self.pieces):
            if i not in banned:
                index.setdefault(piece, i)
        found = [index.get(p, self.unk) for p in pieces]
        return self.with_specials(found)

    def with_specials(self, ids: Sequence[int]) -> list[int]:
        """Source ids as the model sees them: bos and eos put where the vocabulary says so."""
        return [self.bos] * self.add_bos + list(ids) + [self.eos] * self.add_eos

    def plain_ids(self) -> list[int]:
        """Ids that are text: neither unknown nor special."""
        banned = {self.unk, self.bos, self.eos, *self.special}
        return [i for i in range(len(self)) if i not in banned]

    def check(self, side: str) -> None:
        """Raises ValueError naming the side and the field."""
        if not len(self):
            raise ValueError(f"{side} vocabulary: is empty")
        if self.pieces is None and self.tokenizer.kind != "sentencepiece":
            raise ValueError(f"{side} vocabulary: {self.tokenizer.kind} needs its pieces")
        if self.size is not None and self.pieces is not None and self.size != len(self.pieces):
            raise ValueError(f"{side} vocabulary: has {len(self.pieces)} pieces, expected {self.size}")
        named = {"unk": self.unk, "bos": self.bos, "eos": self.eos}
        for name, value in [*named.items(), *(("special", i) for i in self.special)]:
            if value is not None and not 0 <= value < len(self):
                raise ValueError(f"{side} vocabulary: {name} is id {value}, expected 0 to {len(self) - 1}")
        for flag, name in ((self.add_bos, "bos"), (self.add_eos, "eos")):
            if flag and named[name] is None:
                raise ValueError(f"{side} vocabulary: add_{name} without {name}")
        if self.lowercase and self.tokenizer.kind == "sentencepiece":
            raise ValueError(f"{side} vocabulary: lowercase does not go with SentencePiece")

    def spec(self, side: str, files: dict[str, bytes]) -> dict:
        """The Vocabulary message; the files that it names are added to `files`, one that is there already is shared."""
        self.check(side)
        spec: dict = {"size": len(self), "unk_id": int(self.unk)}
        for name, value in (("bos_id", self.bos), ("eos_id", self.eos)):
            if value is not None:
                spec[name] = int(value)
        for name, value in (("add_bos", self.add_bos), ("add_eos", self.add_eos), ("lowercase", self.lowercase)):
            if value:
                spec[name] = True
        if self.special:
            spec["special_ids"] = [int(i) for i in self.special]
        endings = {"file": "spm", "merges": "bpe"}
        own = {k: _share(files, f"{side}.{endings[k]}", v) for k, v in self.tokenizer.files.items()}
        spec[self.tokenizer.kind] = {**self.tokenizer.fields, **own}
        if self.pieces is not None:
            text = json.dumps(list(self.pieces), ensure_ascii=False, indent=0) + "\n"
            spec["pieces"] = _share(files, f"{side}.pieces.json", text.encode("utf-8", "replace"))
        return spec


def _share(files: dict[str, bytes], name: str, data: bytes) -> str:
    for other, there in files.items():
        if there == data:
            return other
    files[name] = data
    return name
