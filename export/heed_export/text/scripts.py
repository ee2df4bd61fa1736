"""Which scripts a language is written in: ISO 15924 codes by BCP 47 tag, as far as they are one answer."""

from __future__ import annotations

_LANGUAGES = {
    ("Hang",): "ko",
    ("Hira", "Kana", "Hani"): "ja",
    ("Hani",): "zh cmn yue wuu",
    ("Latn",): "af az bs ca cs cy da de en eo es et eu fi fil fr ga gl ha hr hu id is it la lb lt lv mi ms mt nb nl nn no "
    "pl pt rm ro sk sl so sq sv sw tl tr uz vi xh yo zu",
    ("Cyrl",): "be bg kk ky mk mn ru sr tg tt uk",
    ("Arab",): "ar fa ps ur",
    ("Hebr",): "he yi",
    ("Grek",): "el",
    ("Deva",): "hi mr ne sa",
    ("Armn",): "hy",
    ("Beng",): "as bn",
    ("Ethi",): "am ti",
    ("Geor",): "ka",
    ("Gujr",): "gu",
    ("Guru",): "pa",
    ("Khmr",): "km",
    ("Knda",): "kn",
    ("Laoo",): "lo",
    ("Mlym",): "ml",
    ("Mymr",): "my",
    ("Orya",): "or",
    ("Sinh",): "si",
    ("Taml",): "ta",
    ("Telu",): "te",
    ("Thai",): "th",
    ("Tibt",): "bo",
}
_BY_LANGUAGE = {tag: list(scripts) for scripts, tags in _LANGUAGES.items() for tag in tags.split()}
# Codes for several scripts, which are none of characters.
_SEVERAL = {"Hans": ["Hani"], "Hant": ["Hani"], "Jpan": ["Hira", "Kana", "Hani"], "Kore": ["Hang"]}


def of(tag: str) -> list[str] | None:
    """The scripts of a language, or the one that its tag names ("sr-Latn"); None where that is not known here."""
    language, *subtags = tag.split("-")
    for subtag in subtags:
        if len(subtag) == 4 and subtag.isalpha():
            return _SEVERAL.get(subtag.title(), [subtag.title()])
    return _BY_LANGUAGE.get(language.lower())
