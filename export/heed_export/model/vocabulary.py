"""One side's pieces, and how text becomes their ids: what a bundle's Vocabulary says, and the files that it names."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass, field
from typing import Sequence

from ..reading import spm_file


# Unicode's White_Space, which separates the words of `words`, `pretokenized` and `opennmt`.
WHITE_SPACE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))))
MAX_PIECES = 1 << 24


@dataclass
class Tokenizer:
    """A tokenizer of model.proto: its field's name, that message's fields, and the files that it needs: the field
    (`merges`, `file`) and the file's bytes."""

    kind: str
    fields: dict = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    allowed: frozenset[str] | None = None  # bpe: pieces that may come out of merges, as spelt ("wor@@")

    def makes(self, piece: str, model: frozenset[str] = frozenset()) -> bool:
        """Whether some text's tokens may be spelt so. `model`: the pieces of the SentencePiece models, of both sides,
        whose tokens a joint list holds."""
        if self.kind == "bpe":
            return bool(piece) and not any(c in " \n\r" for c in piece)
        if self.kind == "characters":
            return len(piece) == 1 or piece == self.fields.get("space")
        if self.kind == "sentencepiece":
            return piece in model
        return bool(piece) and not any(c in WHITE_SPACE for c in piece)


def pretokenized() -> Tokenizer:
    """The caller cuts: a text is its pieces, joined by spaces."""
    return Tokenizer("pretokenized")


def words() -> Tokenizer:
    """White space separates words."""
    return Tokenizer("words")


def characters(space: str | None = None) -> Tokenizer:
    """Every code point is a piece; a space is the piece `space` (default " ")."""
    return Tokenizer("characters", {} if space is None else {"space": space})


def _unmarked(merges: bytes) -> bytes:
    """Without a byte order mark, behind which "#version: 0.2" would be a merge, and the version another."""
    return merges.removeprefix(codecs.BOM_UTF8)


def bpe(merges: bytes, separator: str | None = None, allowed: frozenset[str] | None = None) -> Tokenizer:
    """subword-nmt: the bytes of its merge file; `separator` (default "@@") marks a piece that goes on. `allowed`: the
    pieces of its --vocabulary; whatever else merges make is cut again where they joined it."""
    fields: dict = {} if separator is None else {"separator": separator}
    if allowed is not None:
        fields["split_unknown"] = True
    return Tokenizer("bpe", fields, {"merges": _unmarked(merges)}, allowed)


def opennmt(mode: str, mark: str, joiner: bool, merges: bytes | None = None) -> Tokenizer:
    """OpenNMT's Tokenizer; `mode` space | conservative | aggressive, `joiner` or else spacer annotation, `mark`
    theirs."""
    annotate = "joiner_annotate" if joiner else "spacer_annotate"
    fields = {"mode": f"OPEN_NMT_MODE_{mode.upper()}", annotate: True, "mark": mark}
    return Tokenizer("opennmt", fields, {} if merges is None else {"merges": _unmarked(merges)})


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
        """The source ids of pieces (lowest id of a piece that occurs twice; unk for one unknown), specials added."""
        index = self.index()
        return self.with_specials([index.get(p, self.unk) for p in pieces])

    def index(self) -> dict[str, int]:
        """The id of each piece that text may have: the lowest of those that are spelt alike, no special, not unk."""
        pieces, banned = self.pieces, {self.unk, self.bos, self.eos, *self.special}
        if pieces is None:
            model = spm_file.read(self.tokenizer.files["file"], "SentencePiece model")
            pieces, banned = model.pieces, banned | set(model.control)
        index: dict[str, int] = {}
        for i, piece in enumerate(pieces):
            if i not in banned:
                index.setdefault(piece, i)
        return index

    def with_specials(self, ids: Sequence[int]) -> list[int]:
        """Source ids as the model sees them: bos and eos put where the vocabulary says so."""
        return [self.bos] * self.add_bos + list(ids) + [self.eos] * self.add_eos

    def plain_ids(self) -> list[int]:
        """Ids that are text: neither unknown nor special."""
        banned = {self.unk, self.bos, self.eos, *self.special}
        return [i for i in range(len(self)) if i not in banned]

    def forbidden(self) -> list[int]:
        """Ids whose pieces merges make and subword-nmt's --vocabulary does not hold: those of the other side in a list of
        both. It cuts such a piece again, so no source has one, and as specials none is found. What no merge made it
        leaves as it is."""
        if self.tokenizer.kind != "bpe" or self.tokenizer.allowed is None:
            return []
        made, separator = set(), self.tokenizer.fields.get("separator", "@@")
        for line in self.tokenizer.files["merges"].decode("utf-8", "replace").split("\n"):
            parts = line.strip("\r ").split(" ")
            joined = "".join(parts).removesuffix("</w>")
            if len(parts) == 2 and len(joined) > 1 and not line.startswith("#version"):
                made.update((joined, joined + separator))
        index = self.index()
        return sorted(i for piece, i in index.items() if piece in made and piece not in self.tokenizer.allowed)

    def unmade(self, other: Vocabulary) -> list[int]:
        """Plain ids whose pieces this side's tokeniser makes of no text; `other` is the other side, whose SentencePiece
        model a list of both may be of."""
        if self.pieces is None:
            return []
        model: set[str] = set()
        for tokenizer in (self.tokenizer, other.tokenizer):
            if tokenizer.kind == "sentencepiece":
                model.update(spm_file.read(tokenizer.files["file"], "SentencePiece model").pieces)
        known, index = frozenset(model), self.index()
        return [
            i
            for i in self.plain_ids()
            if index.get(self.pieces[i]) != i
            or not self.tokenizer.makes(self.pieces[i], known)
            or (self.lowercase and self.pieces[i] != self.pieces[i].lower())
        ]

    def check(self, side: str) -> None:
        """Raises ValueError naming the side and the field."""
        if not len(self):
            raise ValueError(f"{side} vocabulary: is empty")
        if self.tokenizer.kind == "sentencepiece":
            spm_file.read(self.tokenizer.files["file"], f"{side} vocabulary: its SentencePiece model")
        if self.pieces is None and self.tokenizer.kind != "sentencepiece":
            raise ValueError(f"{side} vocabulary: {self.tokenizer.kind} needs its pieces")
        if self.size is not None and self.pieces is not None and self.size != len(self.pieces):
            raise ValueError(f"{side} vocabulary: has {len(self.pieces)} pieces, expected {self.size}")
        named = {"unk": self.unk, "bos": self.bos, "eos": self.eos}
        for name, value in [*named.items(), *(("special", i) for i in self.special)]:
            if value is not None and not 0 <= value < len(self):
                raise ValueError(f"{side} vocabulary: {name} is id {value}, expected 0 to {len(self) - 1}")
            if name != "unk" and value == self.unk:
                raise ValueError(f"{side} vocabulary: {name} is id {value}, the unknown piece, which is text")
        if len(self) > MAX_PIECES:
            raise ValueError(f"{side} vocabulary: has {len(self)} pieces, the bound is {MAX_PIECES}")
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
        special = [*self.special, *(self.forbidden() if side == "source" else ())]
        if special:
            spec["special_ids"] = [int(i) for i in special]
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
