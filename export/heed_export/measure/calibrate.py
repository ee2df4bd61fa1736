"""How far a bundle's outputs are to be believed: texts with references through a server, a logistic regression from
log-probabilities to being right, checked on texts that it was not fitted on, and written into the bundle (model.json's
`confidence` and `source_scripts`) and its model card.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import tempfile
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence

import numpy as np

from ..bundle import bundle
from ..reading import files
from ..reading.shown import quoted, say
from ..text import scripts
from . import confidence, measuring, metrics, served
from .confidence import Fit, Row
from .measuring import Set
from .serving import Server

NAME = "calibrate"
HELP = "measures how likely a bundle's outputs are right, and writes into it how to tell"
HEADING = "## Confidence"
DOUBTFUL = 0.3
CHRF = 60.0
# A source is called foreign where it has less than a third of what all but so few of the fitted lines have: text of the
# language with more names and code than those is none, and another language has next to nothing.
FEW = 0.005
PART = 1 / 3


@dataclass(frozen=True)
class Judge:
    """What counts as right: in words, and of an output and its reference."""

    words: str
    right: Callable[[str, str], bool]


@dataclass
class Options:
    """How to calibrate. `right`: "exact", "chrF:60" or none, the task's own; `scripts`: those of the sources, or the
    language's; `least_share`: the bound below which a source is called foreign, or what the fitted lines say."""

    right: str | None = None
    doubtful: float = DOUBTFUL
    scripts: Sequence[str] = ()
    least_share: float | None = None


@dataclass
class Checked:
    """What came of a calibration on texts that it was not fitted on."""

    name: str
    lines: int
    by: str
    segments: list[Row]
    tokens: list[Row]
    low: float  # share of lines whose source is called foreign


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("bundle", type=pathlib.Path, metavar="BUNDLE", help="the bundle's folder; it is written again")
    parser.add_argument("--test", required=True, type=pathlib.Path, metavar="FILE", help="source texts to check it on")
    parser.add_argument("--reference", required=True, type=pathlib.Path, metavar="FILE", help="their references")
    parser.add_argument(
        "--fit", type=pathlib.Path, metavar="FILE", help="source texts to fit it on; default: every other line of --test"
    )
    parser.add_argument("--fit-reference", type=pathlib.Path, metavar="FILE", help="their references")
    parser.add_argument("--test-set", metavar="NAME", help="the test set's name; default: --test's folder and stem")
    parser.add_argument("--fit-set", metavar="NAME", help="that of the other; default: --fit's folder and stem")
    parser.add_argument(
        "--right",
        metavar="exact|chrF:N",
        help="what counts as right: the reference's very words, or a sentence chrF of at least N; default: exact for a "
        f"summariser, chrF:{CHRF:g} for a translator",
    )
    parser.add_argument(
        "--doubtful", type=float, default=DOUBTFUL, metavar="P", help=f"less is doubtful, 0 to 1; default: {DOUBTFUL}"
    )
    parser.add_argument(
        "--scripts", metavar="CODES", help="ISO 15924 codes of what sources are written in; default: by their language"
    )
    parser.add_argument(
        "--least-share", type=float, metavar="SHARE", help="a source with less of it in these scripts is called foreign, above "
        "0 and at most 1; default: a third of what nearly all of the fitted lines have",
    )
    measuring.add_output_arguments(parser)


def judge(right: str | None, task: str) -> Judge:
    """Of --right. Raises ValueError for what it may not be."""
    right = right or ("exact" if task == "summarize" else f"chrF:{CHRF:g}")
    if right == "exact":
        return Judge("the reference's very words", lambda output, reference: output.split() == reference.split())
    kind, _, number = right.partition(":")
    try:
        least = float(number)
    except ValueError:
        least = -1.0
    if kind != "chrF" or not 0 < least <= 100:
        raise ValueError(f"--right is {quoted(right)}; it must be exact, or chrF:N with N above 0 and at most 100")
    return Judge(
        f"a sentence chrF of {least:g} or more against the reference",
        lambda output, reference: metrics.sentence_chrf(output, reference) >= least,
    )


@dataclass
class Lines:
    """A set's lines that are one segment with an output: the replies, the references, and which outputs are right."""

    segments: list[served.Segment]
    references: list[str]
    right: np.ndarray
    coverage: list[float | None]  # of all lines: the least of its segments
    by: str


def _serve(folder: pathlib.Path, spec: Mapping, given: Set, right: Judge, build: pathlib.Path) -> Lines:
    """Serves a copy of the bundle with this model.json and sends it the set, with the model's own search."""
    with tempfile.TemporaryDirectory() as scratch:
        models, texts = pathlib.Path(scratch) / "models", pathlib.Path(scratch) / "texts"
        shutil.copytree(folder, models / "trial")
        bundle.replace(models / "trial", {bundle.MODEL: bundle.dumps_spec(dict(spec))})
        texts.write_text("".join(f"{line}\n" for line in given.sources), encoding="utf-8")
        try:
            with Server(build, models) as server:
                replies, by = measuring.ask(server, spec, texts), measuring.measured_by(server)
        except RuntimeError as error:
            raise ValueError(measuring.last_line(error)) from error
    if len(replies) != len(given.sources):
        raise ValueError(f"{given.name}: {len(given.sources)} lines came to {len(replies)} outputs")
    kept = [(r.segments[0], ref) for r, ref in zip(replies, given.references) if len(r.segments) == 1]
    shares = [[s.coverage for s in r.segments if s.coverage is not None] for r in replies]
    return Lines(
        [segment for segment, _ in kept],
        [reference for _, reference in kept],
        np.array([right.right(segment.text, reference) for segment, reference in kept], dtype=bool),
        [min(of, default=None) for of in shares],
        by,
    )


def _token_rights(lines: Lines) -> list[list[bool | None]]:
    """Of each line whether each token is right; None for specials and what has no bytes."""
    rights = []
    for segment, reference in zip(lines.segments, lines.references):
        of = confidence.right_tokens(segment.text, segment.spans, reference)
        rights.append([None if special else right for special, right in zip(segment.special, of)])
    return rights


def fit(lines: Lines) -> tuple[Fit, Fit, int]:
    """Of segments and of tokens, and on how many lines. What is not whole or says nothing is left out: the server does
    not ask the fit about it."""
    whole = [i for i, s in enumerate(lines.segments) if s.finish == "EOS" and not all(s.special)]
    if not whole:
        raise ValueError("there is nothing to fit on: no line has one segment with an output that is whole")
    rights = _token_rights(lines)
    segments = [confidence.of_segment(s.log_probabilities, len(s.source_ids)) for s in lines.segments]
    tokens, right = [], []
    for i in whole:
        for features, is_right in zip(confidence.of_tokens(lines.segments[i].log_probabilities), rights[i]):
            if is_right is not None:
                tokens.append(features)
                right.append(is_right)
    return (
        confidence.fit(np.array([segments[i] for i in whole]), lines.right[whole]),
        confidence.fit(np.array(tokens).reshape(-1, len(confidence.TOKEN_FEATURES)), np.array(right, dtype=bool)),
        len(whole),
    )


def least_share(lines: Lines, names: Sequence[str], name: str) -> float:
    """SourceScripts.least_share. Raises ValueError where too many lines are in other scripts themselves."""
    shares = sorted(share for share in lines.coverage if share is not None)
    typical = shares[int(len(shares) * FEW)] if shares else 0.0
    if typical <= 0:
        raise ValueError(
            f"--scripts: {100 * FEW:g} % of the lines of {name} or more have nothing in {', '.join(names)}, "
            "so that no bound tells them from foreign ones"
        )
    return max(int(1000 * typical * PART), 1) / 1000


def check(lines: Lines, name: str, doubtful: float, least: float) -> Checked:
    """What the server said against what was right."""
    said = np.array([segment.confidence for segment in lines.segments], dtype=np.float64)
    tokens = [
        (token_said, is_right)
        for segment, rights in zip(lines.segments, _token_rights(lines))
        for token_said, is_right in zip(segment.token_confidences, rights)
        if is_right is not None and token_said is not None
    ]
    told = np.array([t for t, _ in tokens], dtype=np.float64)
    low = [share is not None and share < least for share in lines.coverage]
    return Checked(
        name,
        len(said),
        lines.by,
        confidence.reliability(said, lines.right, doubtful),
        confidence.reliability(told, np.array([r for _, r in tokens], dtype=bool), doubtful),
        sum(low) / len(low),
    )


def calibrate(
    folder: pathlib.Path, spec: Mapping, fitted: Set, checked: Set, options: Options, build: pathlib.Path
) -> tuple[dict, Checked]:
    """model.json's `confidence` and `source_scripts`, fitted on one set, and how they do on the other, through a server
    that has them. Raises ValueError where it cannot be done, or does not hold."""
    right = judge(options.right, measuring.task(spec))
    names = list(options.scripts) or scripts.of(spec["source_language"])
    if names is None:
        raise ValueError(
            f"--scripts: what {quoted(spec['source_language'])} is written in is not known here; it must be ISO 15924 "
            'codes, like "Latn"'
        )
    bare = {k: v for k, v in spec.items() if k != "confidence"}
    trial = {**bare, "source_scripts": {"scripts": names, "least_share": 0}}
    lines = _serve(folder, trial, fitted, right, build)
    segment, token, count = fit(lines)
    told = {
        "confidence": {
            "right": right.words,
            "fitted_on": fitted.name,
            "lines": count,
            "segment": segment.spec(confidence.SEGMENT_FEATURES),
            "token": token.spec(confidence.TOKEN_FEATURES),
            "doubtful": options.doubtful,
        },
        "source_scripts": {
            "scripts": names,
            "least_share": options.least_share or least_share(lines, names, fitted.name),
        },
    }
    lines = _serve(folder, {**spec, **told}, checked, right, build)
    if not lines.segments:
        raise ValueError(f"{checked.name}: no line has one segment with an output")
    found = check(lines, checked.name, options.doubtful, told["source_scripts"]["least_share"])
    return told, found


def _cells(row: Row, total: int) -> list[str]:
    which = f"below {row.threshold:g}, doubtful" if row.below else f"{row.threshold:g} and more"
    return [which, *(f"{100 * share:.1f} %" for share in (row.count / total, row.said, row.right))]


def _table(rows: Sequence[Row], of: str) -> list[str]:
    total = next(row.count for row in rows if row.threshold == 0)
    cells = [["confidence", of, "right, as it says", "right"], ["---"] * 4, *(_cells(row, total) for row in rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def section(told: Mapping, found: Checked) -> str:
    """The model card's section."""
    of, least = told["confidence"], told["source_scripts"]["least_share"]
    names = ", ".join(told["source_scripts"]["scripts"])
    return "\n".join(
        [
            HEADING,
            "",
            f"How likely an output is right: {of['right']}.",
            f"Fitted on {of['lines']:,} lines of {of['fitted_on']}, checked on {found.lines:,} lines of {found.name},",
            f"with the model's own search, through a server ({found.by}):",
            "",
            *_table(found.segments, "lines"),
            "",
            "Its tokens, right where the reference has their words:",
            "",
            *_table(found.tokens, "tokens"),
            "",
            f"A source is called foreign to the model where less than {100 * least:.1f} % of its pieces with letters are",
            f"known and in {names}: {100 * found.low:.2f} % of the lines of {found.name} are.",
        ]
    )


def faults(found: Checked) -> list[str]:
    """Where what is said and what is right are too far apart."""
    return [
        f"of {row.count:,} {kind} at {row.threshold:g} and more {100 * row.right:.1f} % are right, it says "
        f"{100 * row.said:.1f} %: more than {100 * row.allowed:.1f} points apart"
        for kind, rows in (("lines", found.segments), ("tokens", found.tokens))
        for row in rows
        if not row.below and not row.holds
    ]


def _set(texts: pathlib.Path, references: pathlib.Path, name: str | None, flag: str) -> Set:
    return measuring.read_set(texts, references, name, flag, most=180)  # halves() says which half behind it


def halves(whole: Set) -> tuple[Set, Set]:
    """Every other line, from the first on and from the second on. Raises ValueError for a single line."""
    if len(whole.sources) < 2:
        raise ValueError(f"{whole.name} has one line; fitting and checking need one each")
    odd, even = ((whole.sources[i::2], whole.references[i::2]) for i in (0, 1))
    return Set(f"{whole.name}, odd lines", *odd), Set(f"{whole.name}, even lines", *even)


def measure(
    folder: pathlib.Path,
    sets: tuple[Set, Set],
    options: Options,
    build: pathlib.Path | None = None,
    dry_run: bool = False,
) -> None:
    """Calibrates a bundle on the first of the sets, checks on the second, prints what was found and writes it. Raises
    ValueError; then nothing is written."""
    build = measuring.programs(build)
    spec = files.read_json(folder / bundle.MODEL)
    told, found = calibrate(folder.resolve(), spec, *sets, options, build)
    for line in section(told, found).split("\n")[2:]:
        say(line)
    wrong = faults(found)
    if wrong:
        raise ValueError(wrong[0])
    if not dry_run:
        digest = measuring.write(folder.resolve(), spec, told, section(told, found))
        say(f"{folder}: written with its confidence, digest {digest[:12]}")


def run(args: argparse.Namespace) -> None:
    """Measures and writes; prints what was done. Raises ValueError, for what is missing or does not hold; then nothing
    is written."""
    measuring.check_bundle(args.bundle)
    if not 0 <= args.doubtful <= 1:
        raise ValueError(f"--doubtful is {args.doubtful}; it must be 0 to 1")
    if args.least_share is not None and not 0 < args.least_share <= 1:
        raise ValueError(f"--least-share is {args.least_share}; it must be above 0 and at most 1")
    if (args.fit is None) != (args.fit_reference is None):
        raise ValueError("--fit and --fit-reference go together")
    spec = files.read_json(args.bundle / bundle.MODEL)
    judge(args.right, measuring.task(spec))
    checked = _set(args.test, args.reference, args.test_set, "--test-set")
    if args.fit is None:
        sets = halves(checked)
    else:
        sets = (_set(args.fit, args.fit_reference, args.fit_set, "--fit-set"), checked)
    names = [code.strip() for code in (args.scripts or "").split(",") if code.strip()]
    measure(args.bundle, sets, Options(args.right, args.doubtful, names, args.least_share), args.build, args.dry_run)
