"""The part of YAML that toolkits write their options and vocabularies in, read without a library: nested block
mappings, block lists of scalars and of flow values, flow lists and mappings, plain, 'single' and "double" scalars,
comments.

Anchors, tags, block text (| and >), several documents and multi-line scalars are refused with their line. Every JSON
document of those kinds on one line is read too; for JSON files use json.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .files import CheckpointError
from .shown import quoted, shown

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\Z")
# Where a key ends. That it begins with ":" keeps a line of spaces from being searched again at each of them.
_COLON = re.compile(r":(\s|$)")
_FLOW_COLON = re.compile(r"\s*:")
_PLAIN_END = re.compile(r"[,\[\]{}]|:(\s|$)")
_MAX_DIGITS = 100
_KEYWORDS = {
    **dict.fromkeys(("true", "True", "TRUE", "yes", "on"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "off"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
MAX_DEPTH = 20


def parse(text: str, file: str) -> Any:
    """The value of a document, None for an empty one. Keys are text as it stands there, quoted or not: a vocabulary's
    `no` or `1` is a word. Raises CheckpointError."""
    lines = []
    for number, raw in enumerate(text.splitlines(), start=1):
        if raw.strip() in ("---", "...") or raw.startswith("%"):
            if lines:
                raise CheckpointError(f"{file}: line {number}: more than one document")
            continue
        stripped = raw.strip()
        if stripped and not stripped.startswith("#"):
            indent = len(raw) - len(raw.lstrip(" "))
            lines.append((number, indent, stripped))
    if not lines:
        return None
    reader = _Reader(lines, file)
    value = reader.block(lines[0][1], 0)
    if reader.at < len(lines):
        raise reader.error("is indented less than what it belongs to")
    return value


class _Reader:
    def __init__(self, lines: list[tuple[int, int, str]], file: str):
        self.lines, self.file, self.at = lines, file, 0

    def error(self, message: str) -> CheckpointError:
        number = self.lines[min(self.at, len(self.lines) - 1)][0]
        return CheckpointError(f"{self.file}: line {number}: {message}")

    def block(self, indent: int, depth: int) -> Any:
        """The mapping, list or scalar whose lines start at column `indent`."""
        if depth > MAX_DEPTH:
            raise self.error(f"is nested deeper than {MAX_DEPTH}")
        first = self.lines[self.at][2]
        if first == "-" or first.startswith("- "):
            return self._list(indent)
        key, _ = self._key(first, False)
        if key is None:
            self.at += 1
            return self._value(first, depth)
        return self._mapping(indent, depth)

    def _list(self, indent: int) -> list:
        out = []
        while self.at < len(self.lines) and self.lines[self.at][1] == indent:
            text = self.lines[self.at][2]
            if not (text == "-" or text.startswith("- ")):
                break
            rest = text[1:].strip()
            if self._key(rest, False)[0] is not None:
                raise self.error("mappings inside of a list are not read")
            self.at += 1
            out.append(self._value(rest, 0))
        return out

    def _mapping(self, indent: int, depth: int) -> dict:
        out: dict = {}
        while self.at < len(self.lines) and self.lines[self.at][1] == indent:
            key, rest = self._key(self.lines[self.at][2], True)
            if key in out:
                raise self.error(f"the key {shown(key)} stands twice")
            self.at += 1
            following = self.lines[self.at] if self.at < len(self.lines) else None
            if (
                not rest
                and following
                and (following[1] > indent or following[1] == indent and following[2].startswith("- "))
            ):
                out[key] = self.block(following[1], depth + 1)
            else:
                out[key] = self._value(rest, depth)
        if self.at < len(self.lines) and self.lines[self.at][1] > indent:
            raise self.error("is indented more than the line before allows")
        return out

    def _key(self, text: str, required: bool) -> tuple[str | None, str]:
        """Key and rest of a line "key: rest"; (None, "") for a line that is none."""
        if text[:1] in ('"', "'"):
            end = _closing(text, 0)
            if end > 0 and re.match(r"\s*:(\s|$)", text[end:]):
                return self._scalar(text[:end]), _uncommented(text[end:].lstrip()[1:].strip())
        elif text[:1] not in ("[", "{"):
            found = _COLON.search(text)
            key = text[: found.start()].rstrip() if found else ""
            if found and (key or required):
                return key, _uncommented(text[found.end() :].strip())
        if required:
            raise self.error(f"expected 'key: value', found {quoted(text, 60)}")
        return None, ""

    def _value(self, text: str, depth: int) -> Any:
        text = _uncommented(text)
        if text[:1] in ("|", ">", "&", "*", "!", "%", "@", "`"):
            self.at -= 1
            raise self.error(f"a value that starts with {quoted(text[0])} is not read")
        if text[:1] in ("[", "{"):
            value, end = self._flow(text, 0, depth)
            if text[end:].strip():
                self.at -= 1
                raise self.error(f"{quoted(text[end:].strip(), 60)} follows the closing bracket")
            return value
        return self._scalar(text)

    def _flow(self, text: str, at: int, depth: int) -> tuple[Any, int]:
        """A flow list, mapping or scalar at text[at:]; its value and where it ends."""
        if depth > MAX_DEPTH:
            raise self.error(f"is nested deeper than {MAX_DEPTH}")
        while at < len(text) and text[at].isspace():
            at += 1
        opening = text[at : at + 1]
        if opening not in ("[", "{") or not opening:
            end = _closing(text, at) if text[at : at + 1] in ('"', "'") else _plain_end(text, at)
            if end <= at:
                self.at = max(self.at - 1, 0)
                raise self.error("a flow value is not closed on its line")
            return self._scalar(text[at:end].strip()), end
        close, out, at = {"[": "]", "{": "}"}[opening], [], at + 1
        while True:
            while at < len(text) and text[at] in " \t,":
                at += 1
            if at >= len(text):
                self.at = max(self.at - 1, 0)
                raise self.error(f"{opening!r} is not closed on its line")
            if text[at] == close:
                return (dict(out) if close == "}" else out), at + 1
            value, at = self._flow(text, at, depth + 1)
            if close == "}":
                found = _FLOW_COLON.match(text, at)
                if not found:
                    self.at = max(self.at - 1, 0)
                    raise self.error("expected ':' in a flow mapping")
                second, at = self._flow(text, found.end(), depth + 1)
                value = (str(value), second)
            out.append(value)

    def _scalar(self, text: str) -> Any:
        if text.startswith('"'):
            try:
                return json.loads(re.sub(r"\\x([0-9a-fA-F]{2})", r"\\u00\1", text), strict=False)
            except ValueError:
                return self._escaped(text[1:-1])
        if text.startswith("'"):
            return text[1:-1].replace("''", "'")
        if text in _KEYWORDS:
            return _KEYWORDS[text]
        if len(text) <= _MAX_DIGITS and _NUMBER.match(text):
            return float(text) if any(c in text for c in ".eE") else int(text)
        return text

    def _escaped(self, text: str) -> str:
        """YAML's own escapes, which JSON lacks."""
        short = {
            "0": "\0",
            "a": "\a",
            "e": "\x1b",
            "v": "\v",
            " ": " ",
            "_": "\xa0",
            "N": "\x85",
            "L": "\u2028",
            "P": "\u2029",
            "n": "\n",
            "t": "\t",
            "r": "\r",
            "b": "\b",
            "f": "\f",
            '"': '"',
            "\\": "\\",
            "/": "/",
        }

        def one(found: re.Match) -> str:
            digits = found.group(1) or found.group(2) or found.group(3)
            if digits:
                return chr(int(digits, 16)) if int(digits, 16) <= 0x10FFFF else "\ufffd"
            if found.group(4) not in short:
                raise self.error(f"the escape {shown(chr(92) + found.group(4))} is not read")
            return short[found.group(4)]

        return re.sub(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", one, text)


def _closing(text: str, at: int) -> int:
    """One past the quote that closes text[at]; 0 where none does."""
    quote, i = text[at], at + 1
    while i < len(text):
        if quote == '"' and text[i] == "\\":
            i += 1
        elif text[i] == quote:
            if quote == "'" and text[i + 1 : i + 2] == "'":
                i += 1
            else:
                return i + 1
        i += 1
    return 0


def _plain_end(text: str, at: int) -> int:
    """Where a plain scalar of a flow value ends."""
    found = _PLAIN_END.search(text, at)
    return found.start() if found else len(text)


def _uncommented(text: str) -> str:
    """Without a comment behind the value; quotes are respected."""
    if text[:1] in ('"', "'"):
        end = _closing(text, 0)
        return text[:end] if end and re.match(r"\s*(#.*)?$", text[end:]) else text
    found = re.search(r"(^|\s)#", text)
    return text[: found.start()].strip() if found else text
