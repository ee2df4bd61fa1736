"""Measures through the server what docs/attention.md shows, and writes it as JSON.

    python3 -m heed_export.measure.compare attention --build build/release --models COMPARED --data DATA --out attention.json
    python3 -m heed_export.measure.compare copying --build build/release --models COMPARED --data DATA --out copying.json

COMPARED is a folder of the bundles that the recipes pydocs-ko-en-{noattention,attention,student} (attention) or
sentcomp-en-{generator,pointer} (copying) make; DATA is the folder of the recipes' corpora. `heed_export.measure.report` turns
the files into tables and plots. Needs sacrebleu for `attention`.
"""

from __future__ import annotations

if __name__ == "__main__":  # before what may be missing is imported
    from heed_export import needs

    needs.check("heed_export.measure.compare", "numpy", "sentencepiece")

import argparse
import json
import pathlib
import statistics
import tempfile
from typing import Iterator, Sequence

from .. import needs
from ..bundle import bundle
from ..decoding import text
from ..text import corpus
from ..text import words
from . import metrics, served
from .serving import Server

THREE = {
    "noattention": "pydocs-ko-en-noattention",
    "attention": "pydocs-ko-en-attention",
    "student": "pydocs-ko-en-student",
}
BUCKETS = (8, 16, 24, 32, 48, 1000)  # of source pieces, </s> included: most of each
LENGTHS = (8, 16, 32, 64, 128, 250)  # of source pieces, for speed


def write_lines(path: pathlib.Path, lines: Sequence[str]) -> pathlib.Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def by_bucket(lengths: Sequence[int], bounds: Sequence[int] = BUCKETS) -> list[list[int]]:
    """Indices of the texts of each bucket: (0, bounds[0]], (bounds[0], bounds[1]], ..."""
    below = (0, *bounds[:-1])
    return [[i for i, n in enumerate(lengths) if low < n <= high] for low, high in zip(below, bounds)]


def quality(outputs: list[served.Output], references: list[str], buckets: list[list[int]]) -> dict:
    """BLEU and chrF of all lines, BLEU of each bucket's, and how long the outputs are beside the references."""
    texts = [o.text for o in outputs]
    bleu, chrf = metrics.bleu_chrf(texts, references)
    rows = []
    for bucket in buckets:
        some, wanted = [texts[i] for i in bucket], [references[i] for i in bucket]
        ratio = sum(len(t.split()) for t in some) / max(1, sum(len(t.split()) for t in wanted))
        rows.append({"lines": len(bucket), "bleu": metrics.bleu(some, wanted), "length_ratio": ratio})
    return {"bleu": bleu, "chrf": chrf, "buckets": rows}


def texts_of_length(tokenizer: text.Text, lines: Sequence[str], length: int, count: int) -> list[str]:
    """Up to `count` texts that encode to exactly `length` ids, cut from the lines put end to end."""
    found: list[str] = []
    specials = len(tokenizer.encode(""))
    stream: list[int] = []
    for line in lines:
        stream += tokenizer.encode(line)[: -specials or None]
        while len(stream) >= length and len(found) < count:
            candidate = tokenizer.source_text(stream[: length - specials])
            stream = stream[length - specials :]
            if len(tokenizer.encode(candidate)) == length:
                found.append(candidate)
        if len(found) == count:
            break
    return found


def speed(server: Server, names: dict[str, str], texts: pathlib.Path, length: int, clients: int, requests: int) -> dict:
    """Of each model by its key, medians of three rounds: processor time a sentence, target tokens a second of that.

    Outputs have `length` tokens, as the sources have, whatever the model would say.
    """
    flags = [f"--concurrency={clients}", f"--connections={clients}", f"--requests={requests}", f"--length={length}"]
    rounds: dict[str, list[tuple[float, float, float]]] = {key: [] for key in names}
    for _ in range(3):
        for key, name in names.items():
            before = server.cpu_seconds()
            found = server.bench(name, texts, *flags)
            used = server.cpu_seconds() - before
            rounds[key].append((used / requests, found["tokens"] / used, found["latency"]["p50_ms"]))
    return {
        key: {
            "cpu_ms_per_sentence": 1e3 * statistics.median(r[0] for r in values),
            "tokens_per_cpu_s": statistics.median(r[1] for r in values),
            "ms_p50": statistics.median(r[2] for r in values),
        }
        for key, values in rounds.items()
    }


def _speeds(server: Server, names: dict[str, str], tokenizer: text.Text, lines: Sequence[str]) -> Iterator[dict]:
    with tempfile.TemporaryDirectory() as folder:
        for length in LENGTHS:
            texts = texts_of_length(tokenizer, lines, length, 64)
            path = write_lines(pathlib.Path(folder) / f"{length}.src", texts)
            for clients, requests in ((1, max(8, 1600 // length)), (32, max(128, 12800 // length))):
                found = speed(server, names, path, length, clients, requests)
                print(f"speed: {length} pieces, {clients} callers: {found}", flush=True)
                yield {"source_length": length, "clients": clients, "models": found}


def attention(build: pathlib.Path, models: pathlib.Path, root: pathlib.Path, with_speed: bool) -> dict:
    """The three translators: quality and speed by source length."""
    names = {key: name for key, name in THREE.items() if (models / name).is_dir()}
    bundles = {key: bundle.read(models / name) for key, name in names.items()}
    tokenizer = text.Text(next(iter(bundles.values())))
    pairs = corpus.read_parallel([root / "pydocs-ko-en/test.src"], [root / "pydocs-ko-en/test.tgt"])
    sources, references = [p[0] for p in pairs], [p[1] for p in pairs]
    buckets = by_bucket([len(tokenizer.encode(s)) for s in sources])
    report: dict = {"bounds": BUCKETS, "models": {}, "speed": []}
    with Server(build, models) as server:
        for key, name in names.items():
            entry = {"parameters": sum(t.size for t in bundles[key].tensors.values()), "quality": {}}
            for beam in (1, 5):
                replies = server.ask("translate", name, root / "pydocs-ko-en/test.src", f"--beam_size={beam}")
                entry["quality"][f"beam {beam}"] = quality(served.parse(replies), references, buckets)
                print(f"{key}, beam {beam}: {entry['quality'][f'beam {beam}']}", flush=True)
            report["models"][key] = entry
        if with_speed:
            report["speed"] = list(_speeds(server, names, tokenizer, sources))
    return report


def copied(outputs: list[served.Output], sources: list[str], references: list[str], known: set[str]) -> dict:
    """ROUGE-L against the references, and where the outputs' words come from; all in lower case.

    `copied` is the mean over output tokens of the part of a token's probability that copying gave it, 0 for a model
    that does not copy; `in_source`, `unknown` and `unknown_right` are shares of the output's words: those that stand in
    the source, those that no vocabulary holds, and of these the ones that stand in the reference too.
    """
    texts = [o.text.lower() for o in outputs]
    total = in_source = unknown = right = 0
    for output, source, reference in zip(texts, sources, references):
        have, want = set(source.lower().split()), set(reference.lower().split())
        for word in output.split():
            total += 1
            in_source += word in have
            if word not in known:
                unknown += 1
                right += word in want
    shares = [share for o in outputs for s in o.segments for share in s.copied_shares]
    return {
        "rouge_l": metrics.rouge_l(texts, [r.lower() for r in references]),
        "words": total,
        "copied": sum(shares) / len(shares) if shares else 0.0,
        "in_source": in_source / max(1, total),
        "unknown": unknown / max(1, total),
        "unknown_right": right / max(1, unknown),
        "unk_pieces": sum(t.split().count(words.SPECIALS[corpus.UNK]) for t in texts) / max(1, total),
    }


def copying(build: pathlib.Path, models: pathlib.Path, root: pathlib.Path) -> dict:
    """The pointer-generator, the same without its pointer, and that with its unknown words replaced by attention."""
    pairs = corpus.read_parallel([root / "sentcomp-en/test.src"], [root / "sentcomp-en/test.tgt"])
    sources, references = ([words.split(p[side]) for p in pairs] for side in (0, 1))
    known = set(json.loads((models / "sentcomp-en-pointer" / "words.json").read_text(encoding="utf-8")))
    runs = {
        "generator": ("sentcomp-en-generator", ()),
        "generator, unknowns replaced": ("sentcomp-en-generator", ("--replace_unknowns",)),
        "pointer-generator": ("sentcomp-en-pointer", ()),
    }
    report: dict = {"reference_words_unknown": 0.0, "runs": {}}
    wanted = [w for r in references for w in r.lower().split()]
    report["reference_words_unknown"] = sum(w not in known for w in wanted) / len(wanted)
    with tempfile.TemporaryDirectory() as folder, Server(build, models) as server:
        path = write_lines(pathlib.Path(folder) / "test.src", sources)
        for name, (model, flags) in runs.items():
            for beam in (1, 4):
                replies = server.ask("summarize", model, path, f"--beam_size={beam}", *flags)
                found = copied(served.parse(replies), sources, references, known)
                report["runs"][f"{name}, beam {beam}"] = found
                print(f"{name}, beam {beam}: {found}", flush=True)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["attention", "copying"])
    parser.add_argument("--build", type=pathlib.Path, required=True, help="CMake's build folder")
    parser.add_argument("--models", type=pathlib.Path, required=True, help="folder of the compared bundles")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of the recipes' corpora")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON file to write")
    parser.add_argument("--no-speed", action="store_true", help="attention: measure quality alone")
    arguments = parser.parse_args()
    if arguments.what == "attention":
        needs.check("heed_export.measure.compare attention", "sacrebleu")
    where = (arguments.build, arguments.models, arguments.data)
    found = attention(*where, not arguments.no_speed) if arguments.what == "attention" else copying(*where)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
