"""A bundle's tokenisers, in Python: text to source ids (specials included) and target tokens back to text."""

from __future__ import annotations

from typing import Sequence

import sentencepiece as spm

from . import bundle


class Text:
    """Both sides of a bundle."""

    def __init__(self, source: bundle.Bundle):
        self._spec = source.spec["source"]
        self._eos = source.spec["target"]["eos_id"]
        self._source, self._target = (
            spm.SentencePieceProcessor(model_proto=source.files[source.spec[side]["sentencepiece"]["file"]])
            for side in ("source", "target")
        )

    def encode(self, text: str) -> list[int]:
        """Source ids as the model reads them."""
        ids = self._source.encode(text)
        if self._spec.get("add_bos"):
            ids = [self._spec["bos_id"], *ids]
        return ids + [self._spec["eos_id"]] if self._spec.get("add_eos") else ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of target tokens, without </s>."""
        return self._target.decode([t for t in tokens if t != self._eos])
