"""Compares what heed served with references (quality) and with PyTorch (parity).

    heed translate --file=test.src --output=json --attention --energies > served.json
    python3 -m heed_export.measure.evaluate quality --task translate --served served.json --references test.tgt
    python3 -m heed_export.measure.evaluate parity --bundle models/pydocs-ko-en --served served.json --texts test.src

`--served` may also be plain text, a line an output, for quality. Both print JSON. Parity decodes each served segment
greedily with the bundle's stored weights in float32 and exits with 1 when lines, log-probabilities or attention differ
by more than the bounds that it prints.
"""

from __future__ import annotations

if __name__ == "__main__":  # before what may be missing is imported
    from heed_export import needs

    needs.check("heed_export.measure.evaluate", "numpy", "torch", "sentencepiece")

import argparse
import json
import pathlib
import sys
from typing import Sequence

import numpy as np

from .. import needs
from ..bundle import bundle
from ..decoding import decode, parity, text
from ..text import corpus
from . import metrics, served

LINES_EQUAL = 0.999  # share of lines whose tokens and text are the same


def outputs_of(path: pathlib.Path) -> list[str]:
    """Output texts of a file of JSON replies, or of plain lines."""
    content = path.read_text(encoding="utf-8")
    if content.lstrip()[:1] in ("{", "["):
        return [o.text for o in served.parse(content)]
    return corpus.read_lines(path)


def quality(task: str, outputs: Sequence[str], references: Sequence[str]) -> dict:
    """The task's metrics. Raises ValueError when the numbers of lines differ."""
    if len(outputs) != len(references):
        raise ValueError(f"{len(outputs)} outputs but {len(references)} references")
    found = metrics.for_task(task, outputs, references)
    if not found:
        raise ValueError("sacrebleu is not installed: python3 -m pip install sacrebleu")
    return {"lines": len(outputs), **{name: round(value, 4) for name, value in found.items()}}


def compare(source: bundle.Bundle, texts: Sequence[str], replies: Sequence[served.Output]) -> dict:
    """How far the served segments are from PyTorch's greedy decoding of the same bytes of the texts.

    `largest_difference` is over the segments whose tokens agree: past a token that differs there is nothing to compare.
    """
    if len(texts) != len(replies):
        raise ValueError(f"{len(replies)} replies but {len(texts)} texts")
    model, words = decode.load(source), text.Text(source)
    work = []  # (line, segment, ids as Python tokenises them, its text)
    for line, reply in enumerate(replies):
        raw = texts[line].encode()
        cuts = [(s, raw[s.begin : s.end].decode()) for s in reply.segments]
        work += [(line, s, words.encode(cut), cut) for s, cut in cuts]
    copies = [words.extended(cut) for *_, cut in work] if words.copies else None
    expected = decode.greedy(model, [ids for _, _, ids, _ in work], attention=True, copies=copies)
    size, unk = (source.spec["target"][name] for name in ("size", "unk_id"))
    different = {line for line, reply in enumerate(replies) if reply.error}
    tokenised_differently = 0
    largest = {"log_probability": 0.0, "weight": 0.0, "energy": 0.0}
    compared = {name: 0 for name in largest}
    for (line, segment, ids, cut), want in zip(work, expected):
        tokenised_differently += ids != segment.source_ids
        tokens = [t if t < size else unk for t in want.tokens]  # a reply has no ids of the source's own words
        if segment.tokens != tokens or segment.text != words.decode(want.tokens, cut):
            different.add(line)
            continue
        pairs = {"log_probability": (segment.log_probabilities, want.log_probabilities)}
        if "weights" in segment.attention:
            pairs["weight"] = (segment.attention["weights"], want.weights)
        if "energies" in segment.attention:
            pairs["energy"] = (segment.attention["energies"], want.energies)
        for name, (got, wanted) in pairs.items():
            largest[name] = max(largest[name], float(np.abs(np.asarray(got) - np.asarray(wanted)).max()))
            compared[name] += int(np.asarray(got).size)
    return {
        "lines": len(texts),
        "lines_equal": len(texts) - len(different),
        "share_equal": round(1 - len(different) / max(1, len(texts)), 6),
        "segments": len(work),
        "lines_of_several_segments": sum(len(r.segments) > 1 for r in replies),
        "segments_tokenised_differently": tokenised_differently,
        "tokens": sum(len(s.tokens) for _, s, *_ in work),
        "largest_difference": largest,
        "numbers_compared": compared,
        "lines_different": sorted(different)[:20],
    }


def within_bounds(report: dict) -> bool:
    """Whether a report of compare() is parity."""
    largest = report["largest_difference"]
    return report["share_equal"] >= LINES_EQUAL and all(largest[n] <= parity.TOLERANCE[n] for n in largest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("quality", help="metrics against references")
    one.add_argument("--task", choices=["translate", "summarize"], required=True)
    one.add_argument("--served", type=pathlib.Path, required=True, help="outputs: JSON replies, or a line each")
    one.add_argument("--references", type=pathlib.Path, required=True, help="a line each")
    two = commands.add_parser("parity", help="differences from PyTorch's greedy decoding")
    two.add_argument("--bundle", type=pathlib.Path, required=True)
    two.add_argument("--served", type=pathlib.Path, required=True, help="JSON replies, with attention of pieces")
    two.add_argument("--texts", type=pathlib.Path, required=True, help="the texts that were sent, a line each")
    arguments = parser.parse_args()
    if arguments.command == "quality":
        if arguments.task == "translate":
            needs.check("heed_export.measure.evaluate quality", "sacrebleu")
        outputs = outputs_of(arguments.served)
        print(json.dumps(quality(arguments.task, outputs, corpus.read_lines(arguments.references))))
        return
    replies = served.parse(arguments.served.read_text(encoding="utf-8"))
    report = compare(bundle.read(arguments.bundle), corpus.read_lines(arguments.texts), replies)
    if not report["numbers_compared"]["weight"]:
        parser.error("the replies carry no attention of pieces: ask for it with --attention --energies")
    report["bounds"] = {"share_equal": LINES_EQUAL, **parity.TOLERANCE}
    print(json.dumps(report, indent=1))
    sys.exit(0 if within_bounds(report) else 1)


if __name__ == "__main__":
    main()
