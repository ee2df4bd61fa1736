"""Words instead of SentencePiece pieces, for a recipe whose `unit` is `words`.

    python3 -m heed_export.text.words < test.src > test.words.src

A bundle's `words` tokenizer takes what white space separates, so punctuation is split off beforehand, in training
by the recipe and in serving by this command: a run of letters and digits is a word, every other character one of its
own.
"""

from __future__ import annotations

if __name__ == "__main__":  # before what may be missing is imported
    from heed_export import needs

    needs.check("heed_export.text.words", "numpy", "sentencepiece")

import collections
import json
import pathlib
import re
import sys
from typing import Iterable, Sequence

from . import corpus

SPECIALS = ("<unk>", "<s>", "</s>")  # in the order of corpus.UNK, BOS, EOS
_WORD = re.compile(r"[^\W_]+|\S")


def split(text: str) -> str:
    """The text's words, joined by single spaces; case stays."""
    return " ".join(_WORD.findall(text))


class Words:
    """A vocabulary of lower-cased words, specials first. Encodes what white space separates."""

    def __init__(self, pieces: Sequence[str]):
        self.pieces = list(pieces)
        self._ids = {p: i for i, p in reversed(list(enumerate(pieces))) if i >= len(SPECIALS)}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text; a word that is not here is UNK."""
        return [[self._ids.get(w, corpus.UNK) for w in text.lower().split()] for text in texts]

    def extended(self, source: str, target: str) -> tuple[list[int], list[int]]:
        """Both sides' ids; the source's unknown words are numbered from the vocabulary's size on, in their order."""
        unknown: dict[str, int] = {}
        size = len(self.pieces)
        ids = []
        for word in source.lower().split():
            ids.append(self._ids[word] if word in self._ids else unknown.setdefault(word, size + len(unknown)))
        return ids, [self._ids.get(w, unknown.get(w, corpus.UNK)) for w in target.lower().split()]


def train(lines: Iterable[str], path: pathlib.Path, size: int) -> Words:
    """The `size` - 3 most frequent words of the lines (of equals, the first by code point), written as a JSON array."""
    if not path.exists():
        counts = collections.Counter(w for line in lines for w in line.lower().split())
        ranked = sorted(counts, key=lambda w: (-counts[w], w))[: size - len(SPECIALS)]
        path.write_text(json.dumps([*SPECIALS, *ranked], ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    return Words(json.loads(path.read_text(encoding="utf-8")))


def main() -> None:
    for line in corpus.split_lines(sys.stdin.buffer.read().decode("utf-8")):
        print(split(line))


if __name__ == "__main__":
    main()
