"""Reads what `heed translate --output=json` and `heed summarize --output=json` print: an object a text, whose `result`
is protobuf's JSON of the reply to it.

Whole responses (`results`) are read as well, and bare results. Field names may be in either of protobuf's spellings; a
field that is absent has its default.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Iterator

import numpy as np

_UPPER = re.compile(r"[A-Z]")


@dataclass(frozen=True)
class Segment:
    """One segment of a reply, with its best hypothesis."""

    begin: int  # bytes of the request's text
    end: int
    source_ids: list[int]
    tokens: list[int]
    log_probabilities: list[float]
    text: str
    copied_shares: list[float]  # a model that copies: the part of each token's probability that is copying's, bar </s>
    # Component ("weights", "energies", "contexts") -> [T, S] of pieces, contexts [T, C]; last attend, head 0.
    attention: dict[str, np.ndarray]
    finish: str = "EOS"  # or "LENGTH", "TIME_BUDGET"
    spans: list[tuple[int, int]] = field(default_factory=list)  # of each token: its bytes in `text`
    special: list[bool] = field(default_factory=list)  # of each token
    confidence: float | None = None  # of a bundle with a calibration
    token_confidences: list[float | None] = field(default_factory=list)  # likewise; None of specials
    coverage: float | None = None  # share of the source that the model knows, of a bundle that says what it reads


@dataclass(frozen=True)
class Output:
    """The reply to one text. `error` is empty, or the text has no output."""

    text: str
    segments: list[Segment]
    error: str = ""


def _snake(value: Any) -> Any:
    if isinstance(value, dict):
        return {_UPPER.sub(lambda m: "_" + m[0].lower(), k): _snake(v) for k, v in value.items()}
    return [_snake(v) for v in value] if isinstance(value, list) else value


def _values(text: str) -> Iterator[Any]:
    decoder, at = json.JSONDecoder(), 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return
        value, at = decoder.raw_decode(text, at)
        yield _snake(value)


def _results(value: Any) -> Iterator[dict]:
    if isinstance(value, list):
        for item in value:
            yield from _results(item)
    elif "results" in value:
        yield from value["results"]
    elif "result" in value:
        yield value["result"]
    elif "output" in value or "error" in value:
        yield value


def _attention(hypothesis: dict) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for item in hypothesis.get("attentions", []):
        component = str(item.get("component", "")).rsplit("_", 1)[-1].lower()
        folded = str(item.get("unit", "")).endswith("WORDS")
        if not folded and item.get("head", 0) == 0 and "dense" in item:
            dense = item["dense"]
            values = np.array(dense.get("values", []), dtype=np.float32)
            found[component] = values.reshape(dense.get("rows", 0), dense.get("columns", 0))
    return found


def _segment(value: dict) -> Segment:
    best = value["hypotheses"][0]
    tokens = best.get("tokens", [])
    words = [t for t in tokens if not t.get("special")]
    return Segment(
        begin=value.get("begin", 0),
        end=value.get("end", 0),
        source_ids=[t.get("id", 0) for t in value.get("source_tokens", [])],
        tokens=[t.get("id", 0) for t in tokens],
        log_probabilities=[float(t.get("log_probability", 0.0)) for t in tokens],
        text=best.get("text", ""),
        copied_shares=[t["copied_from"].get("share", 0.0) for t in words if "copied_from" in t],
        attention=_attention(best),
        finish=str(best.get("finish_reason", "")).removeprefix("FINISH_REASON_"),
        spans=[(t.get("begin", 0), t.get("end", 0)) for t in tokens],
        special=[bool(t.get("special")) for t in tokens],
        confidence=best.get("confidence"),
        token_confidences=[t.get("confidence") for t in tokens],
        coverage=value["source_coverage"].get("share", 0.0) if "source_coverage" in value else None,
    )


def parse(text: str) -> list[Output]:
    """All outputs, in order. Raises json.JSONDecodeError for what is no JSON."""
    outputs = []
    for value in _values(text):
        for result in _results(value):
            if "error" in result:
                outputs.append(Output("", [], result["error"].get("message", "error")))
            else:
                output = result["output"]
                # A segment without a hypothesis had nothing to decode: control characters alone.
                segments = [_segment(s) for s in output.get("segments", []) if s.get("hypotheses")]
                outputs.append(Output(output.get("text", ""), segments))
    return outputs
