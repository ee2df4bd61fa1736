"""Reads a YAML file with PyYAML, within bounds: aliases and merges (<<) may repeat a value any number of times, so some
lines may stand for more than there is memory. What they stand for is counted before it is made.
"""

from __future__ import annotations

import pathlib
from typing import Any

import yaml

from .files import CheckpointError, read_text
from .shown import shown

MAX_BYTES = 1 << 20  # PyYAML takes some 10 s for as many
MAX_NODES = 100_000  # aliases written out
MAX_DEPTH = 50
MAX_DIGITS = 100  # of a number; one of base 60 takes time by the square


def load(path: pathlib.Path) -> Any:
    """The value of the file's one document. Raises CheckpointError."""
    text = read_text(path, MAX_BYTES)
    loader = None
    try:
        loader = yaml.SafeLoader(text)
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
