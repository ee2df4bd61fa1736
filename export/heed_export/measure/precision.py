"""What each precision costs a bundle: a test set through a server in float32, bfloat16 and int8, scored, and written
into the bundle as advice (model.json's `precision`) and as a table of its model card.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import tempfile
from dataclasses import dataclass, field
from typing import Mapping, Sequence

from .. import needs
from ..bundle import bundle
from ..reading import files
from ..reading.shown import say
from . import measuring, metrics
from .serving import Server

NAME = "precision"
HELP = "measures a bundle in float32, bfloat16 and int8 on a test set, and writes into it which of them to serve it in"
# From the least to the most rounded. What is recommended loses at most so much of these against float32.
PRECISIONS = ("float32", "bfloat16", "int8")
MAX_LOSS = {"BLEU": 0.2, "exact match %": 0.5}
HEADING = "## Precision"


@dataclass
class Run:
    """One pass over the test set. `same_lines` is the share of lines whose output is float32's without a shortlist."""

    precision: str
    shortlist: bool
    metrics: dict[str, float]
    same_lines: float


@dataclass
class Measured:
    """All passes, what measured them ("heed-server 0.1.0, AVX512_CORE_AMX"), and a line for each precision left out."""

    runs: list[Run] = field(default_factory=list)
    by: str = ""
    left_out: list[str] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("bundle", type=pathlib.Path, metavar="BUNDLE", help="the bundle's folder; it is written again")
    parser.add_argument("--test", required=True, type=pathlib.Path, metavar="FILE", help="source texts, a line each")
    parser.add_argument("--reference", required=True, type=pathlib.Path, metavar="FILE", help="references, a line each")
    parser.add_argument("--test-set", metavar="NAME", help="the test set's name; default: --test's folder and stem")
    measuring.add_output_arguments(parser)


def _lacks(error: RuntimeError, precision: str) -> str:
    """What the machine lacks, where that kept the server from starting. Raises ValueError where it was something
    else."""
    found = re.search(rf"\b{precision} needs [^\n]*", str(error))
    if found is None:
        raise ValueError(measuring.last_line(error)) from error
    return found[0]


def _ask(server: Server, spec: Mapping, test: pathlib.Path, shortlist: bool) -> list[str]:
    """The outputs for the test set. Raises ValueError unless every line has one."""
    flags = [f"--shortlist={str(shortlist).lower()}"] if "shortlist" in spec else []
    return [reply.text for reply in measuring.ask(server, spec, test, *flags)]


def _passes(server: Server, precision: str, spec: Mapping, test: pathlib.Path) -> list[tuple[bool, list[str]]]:
    """(with shortlist, outputs) of each pass through a server that was told this precision. Raises RuntimeError where
    that is one which the machine has not in full."""
    notes, loaded = server.log("precision"), server.log("model_loaded")[0]
    if notes:
        raise RuntimeError(notes[0]["reason"])
    if loaded["precision"] != precision:
        raise ValueError(f"the server was told {precision} and took {loaded['precision']}")
    shortlists = (False, True) if "shortlist" in spec else (False,)
    return [(shortlist, _ask(server, spec, test, shortlist)) for shortlist in shortlists]


def measure(
    folder: pathlib.Path, spec: Mapping, test: pathlib.Path, references: Sequence[str], build: pathlib.Path
) -> Measured:
    """Serves the bundle in each precision that this machine has in full, without and with its shortlist. Raises
    ValueError where that fails."""
    found = Measured()
    base: list[str] = []
    for precision in PRECISIONS:
        with tempfile.TemporaryDirectory() as models:
            (pathlib.Path(models) / "bundle").symlink_to(folder, target_is_directory=True)
            try:
                with Server(build, pathlib.Path(models), f"--precision={precision}") as server:
                    passes = _passes(server, precision, spec, test)
                    found.by = measuring.measured_by(server)
            except RuntimeError as error:
                found.left_out.append(f"{precision}: {_lacks(error, precision)}")
                continue
        for shortlist, outputs in passes:
            base = base or outputs
            scores = metrics.for_task(measuring.task(spec), outputs, references)
            same = sum(a == b for a, b in zip(base, outputs, strict=True)) / len(base)
            found.runs.append(Run(precision, shortlist, scores, same))
            say(_line(found.runs[-1]))
    return found


def _title(run: Run) -> str:
    return f"{run.precision}, shortlist" if run.shortlist else run.precision


def _line(run: Run) -> str:
    scores = ", ".join(f"{name} {value:.4g}" for name, value in run.metrics.items())
    return f"{_title(run)}: {scores}, {100 * run.same_lines:.1f} % of lines as in float32"


def recommended(runs: Sequence[Run]) -> list[str]:
    """What a server may take, best first: those within MAX_LOSS of float32, without a shortlist and with it. float32
    where there is none."""
    of = {(run.precision, run.shortlist): run.metrics for run in runs}

    def is_near(precision: str) -> bool:
        pairs = [(of["float32", s], scores) for (p, s), scores in of.items() if p == precision]
        losses = [(name, base[name] - scores[name]) for base, scores in pairs for name in MAX_LOSS if name in base]
        # Decimals of percentages are not exact: a loss of 0.5 is one of at most 0.5.
        return bool(losses) and all(loss <= MAX_LOSS[name] + 1e-9 for name, loss in losses)

    return [p for p in reversed(PRECISIONS[1:]) if is_near(p)] or ["float32"]


def advice(found: Measured, test_set: str, lines: int) -> dict:
    """model.json's `precision`."""
    measured = [
        {
            "precision": run.precision,
            **({"shortlist": True} if run.shortlist else {}),
            "metrics": {name: round(value, 4) for name, value in run.metrics.items()},
            "same_lines": round(run.same_lines, 4),
        }
        for run in found.runs
    ]
    head = {"recommended": recommended(found.runs), "test_set": test_set, "lines": lines, "by": found.by}
    return {**head, "measured": measured}


def table(told: Mapping) -> str:
    """The model card's section on advice()."""
    names = list(told["measured"][0]["metrics"])
    rows = [["precision", *names, "lines as in float32"], ["---"] * (len(names) + 2)]
    for entry in told["measured"]:
        title = entry["precision"] + (", shortlist" if entry.get("shortlist") else "")
        scores = [f"{entry['metrics'][name]:.4g}" for name in names]
        rows.append([title, *scores, f"{100 * entry['same_lines']:.1f} %"])
    return "\n".join(
        [
            HEADING,
            "",
            f"On the {told['lines']:,} lines of {told['test_set']}, with the model's own search, through a server",
            f"({told['by']}):",
            "",
            *(f"| {' | '.join(cells)} |" for cells in rows),
            "",
            f"A server that is told no precision takes the first of these that its machine has, else float32: "
            f"{', '.join(told['recommended'])}.",
        ]
    )


def run(args: argparse.Namespace) -> None:
    """Measures and writes; prints what was done. Raises ValueError, for what is missing; then nothing is written."""
    measuring.check_bundle(args.bundle)
    folder, build = args.bundle.resolve(), measuring.programs(args.build)
    test = measuring.read_set(args.test, args.reference, args.test_set, "--test-set")
    spec = files.read_json(folder / bundle.MODEL)
    lacking = needs.missing("sacrebleu") if spec.get("task") == "TASK_TRANSLATE" else ""
    if lacking:
        raise ValueError(lacking)
    found = measure(folder, spec, args.test, test.references, build)
    told = advice(found, test.name, len(test.references))
    for line in found.left_out:
        say(f"left out: {line}")
    say(f"recommended: {', '.join(told['recommended'])}")
    if args.dry_run:
        return
    digest = measuring.write(folder, spec, {"precision": told}, table(told))
    say(f"{args.bundle}: written with its precision measured, digest {digest[:12]}")
