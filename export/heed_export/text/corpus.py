"""Corpora: pairs of UTF-8 files, aligned by line, and the characters and ids that every vocabulary trained of them has."""

from __future__ import annotations

import pathlib
from typing import Sequence

UNK, BOS, EOS = 0, 1, 2  # every vocabulary that the recipe trains has these ids; padding is EOS under a mask


def read_lines(path: pathlib.Path) -> list[str]:
    """The lines of a UTF-8 file."""
    return split_lines(path.read_text(encoding="utf-8"))


def split_lines(text: str) -> list[str]:
    """Split at '\\n' alone: other Unicode line breaks are text."""
    lines = text.split("\n")
    return lines[:-1] if lines and lines[-1] == "" else lines


def read_parallel(sources: Sequence[pathlib.Path], targets: Sequence[pathlib.Path]) -> list[tuple[str, str]]:
    """Aligned lines of several file pairs, in order. Raises ValueError when a pair differs in length."""
    pairs: list[tuple[str, str]] = []
    for source, target in zip(sources, targets, strict=True):
        left, right = read_lines(source), read_lines(target)
        if len(left) != len(right):
            raise ValueError(f"{source} has {len(left)} lines but {target} has {len(right)}; they must be aligned")
        pairs.extend(zip(left, right))
    return pairs


def _hangul(codec: str) -> str:
    """The precomposed syllables that have two bytes of their own in `codec`."""
    return "".join(c for c in map(chr, range(0xAC00, 0xD7A4)) if len(c.encode(codec)) == 2)


CHARACTERS = {
    "ascii": "".join(map(chr, range(0x21, 0x7F))),
    "ks-x-1001": _hangul("euc_kr"),  # the 2,350 syllables that Korean is written with; there are 11,172
}
