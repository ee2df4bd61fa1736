"""How fast PyTorch decodes a bundle greedily: the peer of heed's own benchmark.

    python3 -m heed_export.measure.bench_torch --bundle models/pydocs-ko-en --texts test.src

One thread, float32, padded batches of sentences sorted by length, each with and without dropping rows that have ended.
Only tokens are computed: no log-probabilities, no attention kept. Counted are target tokens, </s> included; the time is
encoding and decoding, not loading or tokenising. Prints JSON.
"""

from __future__ import annotations

if __name__ == "__main__":  # before what may be missing is imported
    from heed_export import needs

    needs.check("heed_export.measure.bench_torch", "numpy", "torch", "sentencepiece")

import argparse
import json
import pathlib
import platform
import statistics
import time

import torch

from ..bundle import bundle
from ..decoding import decode, text
from ..text import corpus


def measure(
    model: decode.Model, sources: list[list[int]], copies: list[list[int]] | None, batch: int, repeats: int, drop: bool
) -> dict:
    """Tokens per second over `repeats` runs, after one that is not counted."""
    first = max(batch, 8)
    decode.greedy(model, sources[:first], batch, scores=False, drop=drop, copies=copies and copies[:first])
    rates, tokens = [], 0
    for _ in range(repeats):
        started = time.perf_counter()
        found = decode.greedy(model, sources, batch, scores=False, drop=drop, copies=copies)
        took = time.perf_counter() - started
        tokens = sum(len(d.tokens) for d in found)
        rates.append(tokens / took)
    return {
        "batch": batch,
        "finished_rows": "dropped" if drop else "kept",
        "sentences": len(sources),
        "tokens": tokens,
        "tokens_per_s": round(statistics.median(rates), 1),
        "tokens_per_s_best": round(max(rates), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=pathlib.Path, required=True)
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="source sentences, a line each")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--sentences", type=int, default=1024, help="taken evenly; batch 1 takes an eighth")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    source = bundle.read(arguments.bundle)
    model, words = decode.load(source), text.Text(source)
    lines = corpus.read_lines(arguments.texts)
    results = []
    for batch in arguments.batch:
        wanted = min(len(lines), arguments.sentences // (8 if batch == 1 else 1))
        taken = [lines[i * len(lines) // wanted] for i in range(wanted)]
        sources = [words.encode(line) for line in taken]
        copies = [words.extended(line) for line in taken] if words.copies else None
        for drop in (False, True) if batch > 1 else (False,):
            results.append(measure(model, sources, copies, batch, arguments.repeats, drop))
    report = {
        "what": "PyTorch, greedy, float32",
        "torch": torch.__version__,
        "threads": arguments.threads,
        "machine": platform.machine(),
        "bundle": source.spec["name"],
        "digest": source.digest,
        "results": results,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
