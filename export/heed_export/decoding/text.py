"""A bundle's tokenisers, in Python: text to source ids (specials included) and target tokens back to text."""

from __future__ import annotations

import json
from typing import Sequence

import sentencepiece as spm

from ..bundle import bundle
from ..text import words


class _Pieces:
    """A SentencePiece model."""

    def __init__(self, source: bundle.Bundle, spec: dict):
        self._model = spm.SentencePieceProcessor(model_proto=source.files[spec["sentencepiece"]["file"]])

    def encode(self, text: str) -> list[int]:
        return self._model.encode(text)

    def extended(self, text: str) -> list[int]:
        ids = self._model.encode(text)
        if self._model.unk_id() in ids:
            raise ValueError("a model that copies pieces needs byte fallback: an unknown piece has no extended id here")
        return ids

    def decode(self, tokens: list[int], text: str = "") -> str:
        return self._model.decode(tokens)


class _Words:
    """Lower-cased words between white space."""

    def __init__(self, source: bundle.Bundle, spec: dict):
        self.words = words.Words(json.loads(source.files[spec["pieces"]]))

    def encode(self, text: str) -> list[int]:
        return self.words.encode([text])[0]

    def extended(self, text: str) -> list[int]:
        return self.words.extended(text, "")[0]

    def decode(self, tokens: list[int], text: str = "") -> str:
        """Extended ids come out as they first stand in `text`."""
        pieces = self.words.pieces
        spelled = dict(reversed(list(zip(self.extended(text), text.split()))))
        return " ".join(spelled[t] if t >= len(pieces) else pieces[t] for t in tokens)


class Text:
    """Both sides of a bundle."""

    def __init__(self, source: bundle.Bundle):
        self._spec = source.spec["source"]
        self._eos = source.spec["target"]["eos_id"]
        self._source, self._target = (
            (_Words if "words" in source.spec[side] else _Pieces)(source, source.spec[side])
            for side in ("source", "target")
        )
        self.copies = any("copy" in op for op in source.spec["step"]["ops"])

    def encode(self, text: str) -> list[int]:
        """Source ids as the model reads them."""
        return self._with_specials(self._source.encode(text))

    def source_text(self, ids: Sequence[int]) -> str:
        """Text of source ids without specials."""
        return self._source.decode(list(ids))

    def extended(self, text: str) -> list[int]:
        """Source ids with the unknown words numbered from the vocabulary's size on: a copying model's `copies`."""
        return self._with_specials(self._source.extended(text))

    def _with_specials(self, ids: list[int]) -> list[int]:
        if self._spec.get("add_bos"):
            ids = [self._spec["bos_id"], *ids]
        return ids + [self._spec["eos_id"]] if self._spec.get("add_eos") else ids

    def decode(self, tokens: Sequence[int], text: str = "") -> str:
        """Text of target tokens, without </s>. Extended ids come out as they first stand in the source `text`."""
        return self._target.decode([t for t in tokens if t != self._eos], text)
