"""Variants, by rule, of pairs of technical documentation: numbers and identifiers that stand on both sides become others of
their kind on both, so that a model learns to copy them instead of knowing some.
"""

from __future__ import annotations

import random
import re
from typing import Sequence

from ..measure import kept

Pair = tuple[str, str]

_PARTS = (
    "get set add read write open close load save make find list item name path file data node key value index count size user "
    "group table row cell page view model layer token task queue event state config option flag mode type class object proxy cache "
    "host port url query field label image frame buffer stream socket thread lock timer test error log parse build init exec run"
).split()
_ENDINGS = "py js ts json md yaml toml cfg txt html css rs cpp h sh xml csv ini log lock".split()


def _part(rng: random.Random) -> str:
    """A word of an identifier: a known one, or letters that are none."""
    if rng.random() < 0.55:
        return rng.choice(_PARTS)
    return "".join(rng.choice("aeiou" if i % 2 else "bcdfghklmnprstvwxz") for i in range(rng.randint(2, 6)))


def identifier(like: str, rng: random.Random) -> str:
    """Another identifier of the same make: the same marks between its parts, each part in the same case."""

    def other(match: re.Match) -> str:
        old = match[0]
        if old.isdigit():
            return number(old, rng)
        if "." + old in like and old in _ENDINGS:
            return rng.choice(_ENDINGS)
        new = _part(rng)
        return new.upper() if old.isupper() and len(old) > 1 else new.capitalize() if old[0].isupper() else new

    return re.sub(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", other, like)


def number(like: str, rng: random.Random) -> str:
    """Another number with as many digits, no leading zero added."""
    new = "".join(rng.choice("0123456789") if c.isdigit() else c for c in like)
    return new if like[0] == "0" or new[0] != "0" or len(new) == 1 else rng.choice("123456789") + new[1:]


class Variants:
    """variant() is a function of the generator's state and the pair alone."""

    def __init__(self, pairs: Sequence[Pair]):
        pass

    def variant(self, pair: Pair, rng: random.Random) -> Pair:
        """The pair with each number and identifier that both sides have as often replaced, mostly; else the pair."""
        source, target = pair
        for pattern, other in ((kept.IDENTIFIER, identifier), (kept.NUMBER, number)):
            left, right = pattern.findall(source), pattern.findall(target)
            # Numbers are looked for in what is left of both, so that none inside an identifier is touched.
            chosen = {w for w in left if left.count(w) == right.count(w) and rng.random() < 0.85}
            if pattern is kept.NUMBER and (kept.IDENTIFIER.search(source) or kept.IDENTIFIER.search(target)):
                break
            if chosen:
                made = {w: other(w, rng) for w in sorted(chosen)}
                source, target = (pattern.sub(lambda m: made.get(m[0], m[0]), side) for side in (source, target))
        return source, target
