"""BCP 47 language tags (RFC 5646): `ko`, `zh-Hant-TW`, `de-1996`, `x-mine`. The registered subtags are in
language_subtags.txt, so nothing is asked of a network.
"""

from __future__ import annotations

import difflib
import functools
import pathlib
import re

FILE = pathlib.Path(__file__).with_name("language_subtags.txt")
_PART = re.compile(r"[A-Za-z0-9]{1,8}")
# The country's code where the language's is meant, and the other way; a name that is nearer to another one's.
_LANGUAGE_OF = {"jp": "ja", "cn": "zh", "cz": "cs", "dk": "da", "gr": "el", "ua": "uk", "vn": "vi", "sp": "es",
                "deutsch": "de"}  # fmt: skip
_REGION_OF = {"uk": "GB", "en": "GB", "ko": "KR", "ja": "JP", "zh": "CN", "cs": "CZ", "da": "DK", "el": "GR", "vi": "VN"}


@functools.cache
def _known() -> tuple[dict[str, frozenset[str]], dict[str, str]]:
    """The registered subtags of each kind, in small letters, and other names of languages: {"korean": "ko"}."""
    kinds: dict[str, set[str]] = {}
    called: dict[str, str] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        kind, *words = line.lower().split()
        if kind == "called":
            called |= {name.replace("_", " "): words[0] for name in words[1:]}
        elif kind != "#":
            kinds.setdefault(kind, set()).update(words)
    kinds["language"] |= {f"q{a}{b}" for a in "abcdefghijklmnopqrst" for b in "abcdefghijklmnopqrstuvwxyz"}  # private
    kinds["region"] |= {"aa", "zz", *(f"q{a}" for a in "mnopqrstuvwxyz"), *(f"x{a}" for a in "abcdefghijklmnopqrstuvwxyz")}
    kinds["script"] |= {f"qa{a}{b}" for a in "ab" for b in "abcdefghijklmnopqrstuvwxyz"}
    return {kind: frozenset(words) for kind, words in kinds.items()}, called


class _Wrong(ValueError):
    """A tag that is none; `nearest` is one that may have been meant, or ""."""

    def __init__(self, why: str, nearest: str = "") -> None:
        super().__init__(why)
        self.nearest = nearest


def _case(part: str, first: bool) -> str:
    if not first and len(part) == 4 and part.isalpha():
        return part.title()
    return part.upper() if not first and len(part) == 2 else part.lower()


def _language(word: str) -> str:
    """The language's subtag that may have been meant."""
    kinds, called = _known()
    low = word.lower()
    found = called.get(low) or _LANGUAGE_OF.get(low)
    if found or len(low) < 4:
        return found or ""
    close = difflib.get_close_matches(low, called, 1, 0.75)
    return called[close[0]] if close else ""


def _checked(tag: str) -> str:
    kinds, _ = _known()
    parts = tag.split("-")
    if tag.lower() in kinds["grandfathered"]:
        return tag
    for part in parts:
        if not _PART.fullmatch(part):
            raise _Wrong("subtags are 1 to 8 letters and digits with '-' between them", tag.replace("_", "-"))
    if parts[0].lower() == "x" and len(parts) > 1:
        return tag.lower()
    if parts[0].lower() not in kinds["language"]:
        meant = _language(parts[0])
        raise _Wrong(f"{parts[0]!r} is no registered language", "-".join([meant, *parts[1:]]) if meant else "")
    made, at = [parts[0].lower()], 1
    # Each once and in this order, but for variants.
    for kind, form in (("extlang", "[a-z]{3}"), ("script", "[a-z]{4}"), ("region", r"[a-z]{2}|\d{3}"),
                       ("variant", r"[a-z0-9]{5,8}|\d[a-z0-9]{3}")):  # fmt: skip
        while at < len(parts) and re.fullmatch(form, parts[at].lower()):
            low = parts[at].lower()
            if low not in kinds[kind]:
                meant = _REGION_OF.get(low, "") if kind == "region" else ""
                close = [meant] if meant else difflib.get_close_matches(low, sorted(kinds[kind]), 1, 0.7)
                nearest = "-".join([*parts[:at], *close[:1], *parts[at + 1 :]])
                raise _Wrong(f"{parts[at]!r} is no registered {kind}", nearest)
            made.append(_case(low, False) if kind in ("script", "region") else low)
            at += 1
            if kind != "variant":
                break
    seen: set[str] = set()
    while at < len(parts):
        single = parts[at].lower()
        if len(single) != 1:
            raise _Wrong(f"{parts[at]!r} does not stand where a tag has it: language, script, region, variants")
        end = next((i for i in range(at + 1, len(parts)) if len(parts[i]) == 1 and single != "x"), len(parts))
        if end == at + 1 or single in seen:
            raise _Wrong(f"{parts[at]!r} must begin an extension, once, with something behind it")
        seen.add(single)
        made += [part.lower() for part in parts[at:end]]
        at = end
    return "-".join(made)


def canonical(tag: str) -> str:
    """The tag in the usual case: ko, zh-Hant-TW. Raises ValueError, one line that says what is wrong with it and which
    may have been meant."""
    try:
        return _checked(tag)
    except _Wrong as wrong:
        meant = wrong.nearest
        for _ in range(3):  # what is meant may have another fault
            try:
                meant = _checked(meant) if meant else ""
                break
            except _Wrong as again:
                meant = again.nearest
        else:
            meant = ""
        raise ValueError(f"it is no BCP 47 language tag: {wrong}" + (f"; did you mean {meant}?" if meant else "")) from None
