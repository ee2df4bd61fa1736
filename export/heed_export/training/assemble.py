"""From a trained work folder to a bundle.

What a bundle says about itself comes from the recipe's `export` section and from the documents in the folder named
like the recipe (LICENSE, NOTICE, README.md, parity.txt): texts with {{NAME}} where a fact goes.
"""

from __future__ import annotations

import json
import math
import pathlib
import re
from dataclasses import dataclass, field

from ..bundle import bundle, publish, spdx
from ..decoding import decode, parity, text
from ..measure import kept, metrics, served
from ..networks import models
from ..text import corpus
from ..text import language_tag
from . import programs, train

WORDS = "words.json"  # the vocabulary of a recipe whose unit is words
DOCUMENTS = ("LICENSE", "NOTICE", "README.md")
_CONTRIBUTOR = re.compile(r"#\d+ \(([^)]*)\)")


@dataclass
class ExportOptions:
    """A recipe's `export` section: what model.json says beside the programs."""

    version: str
    source_language: str
    target_language: str
    segmentation: str  # sentence | none
    description: str
    license: str  # SPDX expression
    beam_size: int = 1  # of a request that asks for none
    length_alpha: float = 1.0  # used with more than one beam
    max_source_tokens: int = 512
    bf16: bool = True
    least_share: float | None = None  # calibrate.Options; none: what the validation text says
    # Files under the data folder whose "#ID (NAME)" contributors NOTICE names.
    attribution: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """What to make a bundle of."""

    name: str
    task: str
    options: ExportOptions
    recipe: pathlib.Path
    data: pathlib.Path
    work: pathlib.Path
    test: list[tuple[str, str]]  # pairs to measure quality on; may be empty
    quality: bool = True  # False: the card says nothing of it
    requests: bool = False  # Korean requests: the card says what of kept.py's sentences comes back


def load_model(checkpoint: pathlib.Path) -> tuple[models.Seq2Seq, float]:
    """The model of a `best.pt`, and its validation loss (nats per target position)."""
    kept = train.load(checkpoint)
    model = models.build(models.ModelOptions(**kept["options"]))
    model.load_state_dict(kept["model"])
    return model.eval(), float(kept["nll"])


def _vocabulary(m: models.ModelOptions, size: int, file: str, is_source: bool) -> dict:
    side = {"size": size, "unk_id": corpus.UNK, "bos_id": corpus.BOS, "eos_id": corpus.EOS}
    if is_source and m.source_eos:
        side["add_eos"] = True
    if m.unit == "words":
        return {**side, "words": {}, "pieces": WORDS, "lowercase": True}
    return {**side, "sentencepiece": {"file": file}}


def make_spec(name: str, task: str, o: ExportOptions, m: models.ModelOptions, p: programs.Programs) -> dict:
    """The ModelSpec, as JSON."""
    source, target = ("joint.spm", "joint.spm") if m.joint else ("source.spm", "target.spm")
    return {
        "format_version": 2,
        "name": name,
        "version": o.version,
        "task": publish.TASKS[task],
        "source_language": publish.checked("source_language", o.source_language, language_tag.canonical),
        "target_language": publish.checked("target_language", o.target_language, language_tag.canonical),
        "description": o.description,
        "license": publish.checked("license", o.license, spdx.canonical),
        "segmentation": f"SEGMENTATION_{o.segmentation.upper()}",
        "source": _vocabulary(m, m.src_pieces, source, is_source=True),
        "target": _vocabulary(m, m.tgt_pieces, target, is_source=False),
        "encoder": p.encoder,
        "init": p.init,
        "step": p.step,
        "search": {"beam_size": o.beam_size, "average": {"alpha": o.length_alpha}, "max_length_a": 2, "max_length_b": 20},
        "limits": {"max_source_tokens": o.max_source_tokens},
    }


def tokenizers(work: pathlib.Path, m: models.ModelOptions) -> dict[str, bytes]:
    """The files that training of the tokenisers left, under the names that make_spec gives them."""
    if m.unit == "words":
        return {WORDS: (work / WORDS).read_bytes()}
    return {f"{s}.spm": (work / f"{s}.model").read_bytes() for s in (["joint"] if m.joint else ["source", "target"])}


def contributors(files: list[pathlib.Path]) -> list[str]:
    """Everybody named in Tatoeba attribution files, once, sorted without regard to case."""
    names: set[str] = set()
    for file in files:
        names.update(_CONTRIBUTOR.findall(file.read_text(encoding="utf-8")))
    return sorted(names, key=lambda n: (n.lower(), n))


def fill(template: str, facts: dict[str, str]) -> str:
    """The template with each {{NAME}} replaced. Raises KeyError for a fact that is not there."""
    return re.sub(r"\{\{(\w+)\}\}", lambda m: facts[m[1]], template)


def wrap_names(names: list[str], indent: str = "  ", width: int = 118) -> str:
    """Names as indented lines, separated by commas; a name is never broken (spaces may be part of it)."""
    lines = [indent]
    for i, name in enumerate(names):
        item = name + ("," if i + 1 < len(names) else "")
        if len(lines[-1]) + 1 + len(item) > width and lines[-1] != indent:
            lines.append(indent)
        lines[-1] += item if lines[-1] == indent else f" {item}"
    return "\n".join(lines)


def quality(source: bundle.Bundle, task: str, test: list[tuple[str, str]], alpha: float) -> str:
    """A Markdown table of the stored weights' quality on `test`, greedy and with beam 5."""
    model, words = decode.load(source), text.Text(source)
    ids = [words.encode(s) for s, _ in test]
    copies = [words.extended(s) for s, _ in test] if words.copies else None
    found = {"greedy": decode.greedy(model, ids, copies=copies)}
    print("quality: greedy done, beam 5 next", flush=True)
    found[f"beam 5, length alpha {alpha:g}"] = [n[0] for n in decode.beam(model, ids, 5, alpha, copies=copies)]
    lowercase = str.lower if source.spec["target"].get("lowercase") else str
    rows = {}
    for name, hypotheses in found.items():
        outputs = [lowercase(words.decode(h.tokens, s)) for h, (s, _) in zip(hypotheses, test)]
        rows[name] = metrics.for_task(task, outputs, [lowercase(t) for _, t in test])
    names = list(next(iter(rows.values())))
    if not names:
        return "Not measured."
    lines = [f"| decoding | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    for name, values in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{v:.3f}" if v < 1 else f"{v:.1f}" for v in values.values()) + " |")
    return "\n".join(lines)


def keeping(source: bundle.Bundle) -> str:
    """A Markdown table of what greedy outputs keep of kept.py's requests and prohibitions."""
    model, words = decode.load(source), text.Text(source)
    lines = ["| sentences | of each | kept |", "|---|---|---|"]
    stammering = total = 0
    for name, made in (("requests", kept.requests(300, kept.SEED)), ("prohibitions", kept.prohibitions(200, kept.SEED))):
        ids = [words.encode(s) for s, _ in made]
        copies = [words.extended(s) for s, _ in made] if words.copies else None
        outputs = []
        for (line, _), source_ids, found in zip(made, ids, decode.greedy(model, ids, copies=copies)):
            said = words.decode(found.tokens, line)
            outputs.append(served.Output(said, [served.Segment(0, 0, source_ids, found.tokens, [], said, [], {})]))
        measured = kept.measure([s for s, _ in made], [k for _, k in made], outputs)
        stammering, total = stammering + measured["outputs_that_stammer"], total + len(made)
        for kind, label in (("numbers", "numbers"), ("words", "Latin words and names"), ("negations", "negation")):
            if kind in measured:
                m = measured[kind]
                lines.append(f"| {len(made)} {name} | {label} | {m['kept']} of {m['of']}: {100 * m['share']:.1f} % |")
    lines.append(f"| {total}, both | outputs that say the same pieces three times in a row | {stammering} |")
    return "\n".join(lines)


def _training_facts(work: pathlib.Path) -> dict[str, str]:
    log = [json.loads(line) for line in (work / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    best = min(log, key=lambda entry: entry["valid_nll"])
    return {
        "epochs": str(len(log)),
        "best_epoch": str(best["epoch"]),
        "minutes": str(round(sum(entry["seconds"] for entry in log) / 60)),
    }


def make(job: Job, folder: pathlib.Path) -> str:
    """Writes the bundle and returns its digest. parity.json and the card speak of the weights as stored, rounded.

    A recipe without a folder of documents is for comparisons: its bundle says so, and its parity set is of test lines.
    """
    o = job.options
    model, nll = load_model(job.work / "best.pt")
    p = programs.make(model)
    spec = make_spec(job.name, job.task, o, model.options, p)
    files = tokenizers(job.work, model.options)
    stored = bundle.stored(spec, p.tensors, files, o.bf16)
    documents = job.recipe.with_suffix("")
    print("parity", flush=True)
    given = documents / "parity.txt"
    texts = corpus.read_lines(given) if documents.is_dir() else [s for s, _ in job.test[:: len(job.test) // 4 or 1]]
    files[parity.FILE] = parity.make(stored, texts)
    if not documents.is_dir():
        said = f"# {job.name} {o.version}\n\n{o.description}\n\nMade for a comparison, not to be passed on.\n"
        files |= {"README.md": said.encode(), "LICENSE": f"{o.license}\n".encode()}
        return bundle.write(folder, spec, p.tensors, files, o.bf16)
    facts = {
        "name": job.name,
        "version": o.version,
        "license": o.license,
        "parameters": f"{sum(v.size for v in p.tensors.values()):,}",
        "storage": "bfloat16 (matrices) and float32 (vectors)" if o.bf16 else "float32",
        "source_pieces": f"{model.options.src_pieces:,}",
        "target_pieces": f"{model.options.tgt_pieces:,}",
        "valid_ppl": f"{math.exp(nll):.2f}",
        "quality": quality(stored, job.task, job.test, o.length_alpha) if job.test and job.quality else "Not measured.",
        "kept": keeping(stored) if job.requests and job.quality else "Not measured.",
        "contributors": wrap_names(contributors([job.data / a for a in o.attribution])),
        "recipe": job.recipe.read_text(encoding="utf-8").strip(),
        **_training_facts(job.work),
    }
    for name in DOCUMENTS:
        files[name] = fill((documents / name).read_text(encoding="utf-8"), facts).encode()
    return bundle.write(folder, spec, p.tensors, files, o.bf16)
