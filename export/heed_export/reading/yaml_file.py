"""Reads YAML with PyYAML, within bounds: aliases and merges (<<) may repeat a value any number of times, so some lines may
stand for more than there is memory. What they stand for is counted before it is made.

Two readers: `load` of a configuration that Python tools wrote with PyYAML, where YAML 1.1 holds in full; `parse` of what
yaml-cpp or PyYAML wrote for Marian, where keys are text and the rest is numbers, truths and text.
"""

from __future__ import annotations

import pathlib
import re
from typing import Any

import yaml

from .files import CheckpointError, read_text
from .shown import shown

MAX_BYTES = 1 << 20  # PyYAML takes up to 10 s for as many where it has no libyaml
MAX_NODES = 100_000  # aliases written out
MAX_DEPTH = 50
MAX_DIGITS = 100  # of a number; one of base 60 takes time by the square
MAX_PLAIN_DEPTH = 20  # of what `parse` reads

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is some 20 times as fast
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\Z")
_KEYWORDS = {
    **dict.fromkeys(("true", "True", "TRUE", "yes", "on"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "off"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
# To YAML 1.1 and so to PyYAML the first are ends of lines and the others no text at all; yaml-cpp 0.7 writes and reads each
# as a character like any other. (Yet a carriage return before a line feed ends a line, and where there is no line feed at
# all.) PyYAML indents behind the first in what it writes; no word that yaml-cpp writes has a blank there.
_BREAKS = "[\x85\u2028\u2029]"
_NO_TEXT = "[\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]"
_FOREIGN = re.compile(f"{_BREAKS}|{_NO_TEXT}|\r(?!\n)")
_FOREIGN_IN_CR_LINES = re.compile(f"{_BREAKS}|{_NO_TEXT}")
_INDENTED = re.compile(f"({_BREAKS}) +")


def load(path: pathlib.Path) -> Any:
    """The value of the file's one document. Raises CheckpointError."""
    text = read_text(path, MAX_BYTES)
    loader = None
    try:
        _check_depth(text, path)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _check(root, path)
        return loader.construct_document(root)
    except RecursionError:
        raise CheckpointError(f"{path}: is nested deeper than {MAX_DEPTH}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that is none
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: is no YAML: {shown(' '.join(str(error).split()), 200)}") from None
    finally:
        if loader is not None:
            loader.dispose()


def parse(text: str, file: str) -> Any:
    """The value of the one document that `text` is, None for an empty one. Keys are text as it stands there, quoted or
    not: a vocabulary's `no`, `1` or `~` is a word. Values that are not quoted are numbers, truths or null where they look
    like it (YAML 1.2's, and yes, no, on, off), else text: there are no dates, no numbers of base 8 or 60. Anchors,
    aliases and tags are refused. Raises CheckpointError that names `file` and the line."""
    text, back = _without_foreign(text)
    loader = None
    try:
        loader = _Loader(text)
        return _Plain(loader, file, back).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        what = getattr(error, "problem", None) or " ".join(str(error).split())
        raise CheckpointError(f"{file}: {where}is no YAML: {shown(what, 200)}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _without_foreign(text: str) -> tuple[str, dict[int, str]]:
    """The text with code points of private use for the characters that PyYAML takes otherwise than yaml-cpp, and what each
    stands for."""
    foreign = _FOREIGN if "\n" in text else _FOREIGN_IN_CR_LINES
    found, back = sorted(set(foreign.findall(text))), {}
    if not found:
        return text, {}
    unused = (c for c in range(0x10FFFD, 0x100000, -1) if chr(c) not in text and not re.search(f"U00{c:x}", text, re.I))
    stand_ins = {character: next(unused) for character in found}
    back = {stand_in: character for character, stand_in in stand_ins.items()}
    return foreign.sub(lambda one: chr(stand_ins[one[0]]), text), back


class _Plain:
    """Events made values, as `parse` says. Not nodes: libyaml's composer goes as deep as a file says."""

    def __init__(self, loader: Any, file: str, back: dict[int, str]):
        self.loader, self.file, self.back = loader, file, back

    def error(self, event: yaml.Event, message: str) -> CheckpointError:
        return CheckpointError(f"{self.file}: line {event.start_mark.line + 1}: {message}")

    def document(self) -> Any:
        self.loader.get_event()  # the stream's start
        event = self.loader.get_event()
        if isinstance(event, yaml.StreamEndEvent):
            return None
        value = self.value(self.loader.get_event(), 0)
        self.loader.get_event()  # the document's end
        event = self.loader.get_event()
        if not isinstance(event, yaml.StreamEndEvent):
            raise self.error(event, "more than one document")
        return value

    def value(self, event: yaml.Event, depth: int) -> Any:
        if depth > MAX_PLAIN_DEPTH:
            raise self.error(event, f"is nested deeper than {MAX_PLAIN_DEPTH}")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self.error(event, "anchors and aliases are not read")
        if event.tag is not None:
            raise self.error(event, f"the tag {shown(event.tag, 60)} is not read")
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(event := self.loader.get_event(), yaml.SequenceEndEvent):
                items.append(self.value(event, depth + 1))
            return items
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(depth)
        return self.text(event) if event.style else _scalar(self.text(event))  # a plain one has no style

    def mapping(self, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        while not isinstance(key := self.loader.get_event(), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent) or key.anchor is not None or key.tag is not None:
                raise self.error(key, "a key is no plain text")
            name = self.text(key)
            if name in out:
                raise self.error(key, f"the key {shown(name)} stands twice")
            out[name] = self.value(self.loader.get_event(), depth + 1)
        return out

    def text(self, event: yaml.ScalarEvent) -> str:
        if not self.back:
            return event.value
        text = event.value.translate(self.back)
        return _INDENTED.sub(r"\1", text) if event.style else text


def _scalar(text: str) -> Any:
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if len(text) <= MAX_DIGITS and _NUMBER.match(text):
        return float(text) if any(c in text for c in ".eE") else int(text)
    return text


def _check_depth(text: str, path: pathlib.Path) -> None:
    """Refuses what is nested too deeply before it is composed: libyaml does that by recursion in C."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH + 1:
            raise CheckpointError(f"{path}: line {event.start_mark.line + 1}: is nested deeper than {MAX_DEPTH}")


def _check(root: yaml.Node, path: pathlib.Path) -> None:
    """Refuses a document over the bounds, or a list in itself. Each node is looked at once."""
    done: dict[int, tuple[int, int]] = {}
    under_way: set[int] = set()

    def visit(node: yaml.Node) -> tuple[int, int]:
        """(depth, nodes) of what the node stands for."""
        if id(node) in done:
            return done[id(node)]
        if id(node) in under_way:
            raise CheckpointError(f"{path}: line {node.start_mark.line + 1}: holds itself")
        if node.tag.endswith((":int", ":float")) and len(node.value) > MAX_DIGITS:
            at, digits = node.start_mark.line + 1, len(node.value)
            raise CheckpointError(f"{path}: line {at}: a number of {digits} digits, the bound is {MAX_DIGITS}")
        under_way.add(id(node))
        depth, count = 0, 1
        for part in _parts(node):
            below, nodes = visit(part)
            depth, count = max(depth, below + 1), count + nodes
        under_way.discard(id(node))
        if depth > MAX_DEPTH:
            raise CheckpointError(f"{path}: line {node.start_mark.line + 1}: is nested deeper than {MAX_DEPTH}")
        if count > MAX_NODES:
            raise CheckpointError(
                f"{path}: line {node.start_mark.line + 1}: has more than {MAX_NODES} values, its aliases written out"
            )
        done[id(node)] = depth, count
        return done[id(node)]

    visit(root)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []
