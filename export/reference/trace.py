"""What an oracle says of one source, and the greedy loop that makes it.

A toolkit's module offers a model with `encode(source_ids) -> memory`, `start(memory) -> state` and
`step(state, memory, token) -> (StepValues, state)`; `token` is None at the first position where the toolkit starts
from a zero embedding. `greedy` runs it; `forced` scores given tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Protocol, Sequence

import numpy as np


@dataclass
class Attended:
    """One attention at one step: `weights` and `energies` [heads, S], `context` [C]. None: the model does not tell."""

    weights: np.ndarray
    energies: np.ndarray | None = None
    context: np.ndarray | None = None


@dataclass
class StepValues:
    """Log-probabilities [V] ([V + the source's own ids] for a model that copies), and every attention by its name.

    Names are those that the importer gives its `attend` ops: `attention` where there is one, `attention1`,
    `attention2`, ... from the lowest layer up where there are several.
    """

    log_probabilities: np.ndarray
    attentions: dict[str, Attended] = field(default_factory=dict)
    copy_gate: float | None = None


class Model(Protocol):
    def encode(self, source_ids: Sequence[int]) -> Any: ...

    def start(self, memory: Any) -> Any: ...

    def step(self, state: Any, memory: Any, token: int | None) -> tuple[StepValues, Any]: ...


@dataclass
class Trace:
    """What the model says of one source. margins[t]: how far its best token at step t lies above the second best."""

    source_ids: list[int]
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    steps: list[StepValues] = field(default_factory=list)
    ended: bool = False
    copy_ids: list[int] | None = None


def _run(
    model: Model,
    source_ids: Sequence[int],
    start: int | None,
    length: int,
    choose: Callable[[int, np.ndarray], int],
    eos: int,
    vocabulary: int | None,
    unk: int | None,
) -> Trace:
    memory = model.encode(source_ids)
    state = model.start(memory)
    trace = Trace(list(map(int, source_ids)), copy_ids=getattr(memory, "copy_ids", None))
    token = start
    for t in range(length):
        values, state = model.step(state, memory, token)
        p = values.log_probabilities
        token = choose(t, p)
        second = np.partition(p, -2)[-2] if len(p) > 1 else -np.inf
        trace.tokens.append(token)
        trace.log_probabilities.append(float(p[token]))
        trace.margins.append(float(p.max() - second))
        trace.steps.append(values)
        if token == eos:
            trace.ended = True
            break
        if vocabulary is not None and token >= vocabulary:  # a word of the source's own is fed back as unknown
            token = unk
    return trace


def greedy(
    model: Model,
    source_ids: Sequence[int],
    start: int | None,
    eos: int,
    max_length: int,
    vocabulary: int | None = None,
    unk: int | None = None,
    banned: int | None = None,
) -> Trace:
    """The best token at every step but `banned`, to `eos` (which counts) or `max_length`. Give `vocabulary` and `unk`
    for a model that copies: ids from `vocabulary` on are fed back as `unk`."""

    def choose(t: int, p: np.ndarray) -> int:
        if banned is not None:
            p[banned] = -np.inf
        return int(p.argmax())

    return _run(model, source_ids, start, max_length, choose, eos, vocabulary, unk)


def forced(
    model: Model,
    source_ids: Sequence[int],
    start: int | None,
    eos: int,
    tokens: Sequence[int],
    vocabulary: int | None = None,
    unk: int | None = None,
) -> Trace:
    """Scores `tokens` instead of choosing; margins are those of the model's own choice."""
    return _run(model, source_ids, start, len(tokens), lambda t, p: tokens[t], eos, vocabulary, unk)
