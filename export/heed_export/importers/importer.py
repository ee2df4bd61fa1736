"""What the importers of all toolkits share: the flags, the parity cases, and the way from an imported model to a
bundle.

A toolkit's module has `NAME` ("opennmt-py"), `HELP` (one line: which files it reads), `USAGE` (what it cannot do without, of
its own arguments: a line for each way to call it), `add_arguments(parser)` and
`read(args) -> Imported`, and `NEEDS` where it wants more than NumPy (keys of needs.PACKAGES); cli.py makes a sub-command
of it. One that has `run(args)` does more than `run` below. Reading raises CheckpointError, building BuildError; both
end the command with one line.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from ..bundle import bundle, certificate, publish, spdx
from ..model import vocabulary
from ..reading import checkpoint
from ..text import language_tag
from . import cases as proof_cases
from ..model.builder import Model
from ..model.int8 import Int8
from ..reading.shown import quoted, say

ROOT = pathlib.Path(__file__).resolve().parents[3]
USAGE = "--license SPDX --out FOLDER [OPTIONS]"
# Of toolkits whose files do not say them.
LANGUAGES = "--source-language TAG {--target-language TAG | --summarize}"
REFERENCE = "heed's float64 reference (export/reference), one source at a time"
_MAX_CASE_TOKENS = 40
# An engine rounds after every operation: 4 to 8 times as far off as one change of the weights (measured); and room.
_ROUNDING = 16
# What is rounded to int8 the other way does this to a small model's values at times, if not to these cases (measured).
_LEAST = {"log_probability": 0.05, "weight": 0.02, "energy": 0.1, "context": 0.1, "margin": 0.1}
_TRIES = 4
# How far off what an engine rounds to int8 may be, of the largest of its row.
FLOAT_ERROR = _ROUNDING * 2.0**-24


@dataclass
class Imported:
    """A model read from a toolkit's files. `trace(source_ids, max_length)` is the oracle: it decodes greedily and
    returns a reference.trace.Trace. `origin` is one line for the model card."""

    model: Model
    toolkit: str
    trace: Callable[[list[int], int], Any] | None
    origin: str = ""
    segmentation: str | None = None  # none | sentence; default: none where the caller tokenises, else sentence
    source_language: str | None = None  # where the toolkit's own files say so
    target_language: str | None = None
    copies: bool = False
    shortlist: bool = False  # the cases were decoded with the model's shortlist
    # Scores a Trace's tokens again with weights that `moved` gives; None: the standard tolerances hold.
    moved: Callable[[Any], Any] | None = None
    # The oracle rounds what it multiplies to int8, and `moved` moves that by FLOAT_ERROR, at random each time.
    rounded: bool = False
    notes: Sequence[str] = ()  # lines for people, said of the import
    reference: str = REFERENCE  # who the oracle is, for parity.json


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """--out, --license and what else every toolkit takes."""
    group = parser.add_argument_group("the bundle")
    group.add_argument("--out", required=True, type=pathlib.Path, metavar="FOLDER", help="required: where the bundle is written")
    group.add_argument(
        "--force", action="store_true", help="replace the bundle at --out, though it is another model's"
    )
    group.add_argument("--license", required=True, metavar="SPDX", help="required: licence of the weights, as an SPDX expression")
    group.add_argument(
        "--license-file", type=pathlib.Path, metavar="FILE", help="its text; default: one line that names it"
    )
    group.add_argument(
        "--readme", type=pathlib.Path, metavar="FILE", help="the model card; default: one made of the facts"
    )
    group.add_argument("--name", help="name that requests select the model by; default: the folder's name")
    group.add_argument("--version", default="1", help="default: 1")
    group.add_argument(
        "--source-language", metavar="TAG", help="BCP 47, like de; required where the model's files do not say it"
    )
    group.add_argument(
        "--target-language", metavar="TAG", help="BCP 47; required likewise, but a summariser's is the source's"
    )
    group.add_argument("--summarize", action="store_true", help="the model summarises (default: it translates)")
    group.add_argument(
        "--segmentation",
        choices=["none", "sentence"],
        help="whether a text is one segment or is cut into sentences; default: none where the caller tokenises",
    )
    group.add_argument(
        "--too-long",
        choices=["error", "truncate", "split"],
        help="what becomes of a sentence of more tokens than the model takes, unless a request says; default: as its "
        "toolkit does (Firefox's students: split), else error",
    )
    group.add_argument(
        "--sentence-lists",
        type=pathlib.Path,
        metavar="FILE.json",
        help="abbreviations and the like that its sentences are cut by: sentence_lists of docs/bundle.md",
    )
    group.add_argument("--description", default="", help="one line for people")
    group = parser.add_argument_group("parity.json")
    group.add_argument(
        "--cases",
        type=pathlib.Path,
        metavar="FILE",
        help="sources to prove parity on: a sentence a line, as pieces separated by spaces (for SentencePiece those of "
        "spm_encode --output_format=piece); default: a few random ones of the vocabulary",
    )
    group.add_argument(
        "--most-unknown",
        type=_share,
        default=proof_cases.MOST_UNKNOWN,
        metavar="SHARE",
        help="the share, 0 to 1, of the cases' pieces that may be unknown to the source vocabulary, and of a vocabulary's "
        "pieces that its tokenizer makes of no text; over it nothing is written (default: %(default)s)",
    )
    group.add_argument(
        "--heed-server",
        metavar="PROGRAM",
        help="runs the proof on the bundle before it is written; default: the one on PATH or below build/",
    )
    group.add_argument("--no-verify", action="store_true", help="do not look for a heed-server")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"is {text}, expected 0 to 1")
    return value


def add_tokenizer_arguments(parser: argparse.ArgumentParser, configured: str | None = None) -> None:
    """How text becomes pieces, for toolkits whose files do not say it: tokenizers() reads them. `configured` names the
    file that does say it, where there is one; then --tokenizer is None unless given."""
    says = f"{configured} says it" if configured else "the model's files do not say it"
    group = parser.add_argument_group(f"tokenisation ({says})")
    default = f"default: as {configured} says" if configured else "pretokenized (default)"
    group.add_argument(
        "--tokenizer",
        default=None if configured else "pretokenized",
        choices=["pretokenized", "words", "characters", "bpe", "sentencepiece", "opennmt"],
        help=f"{default}; with pretokenized callers send pieces separated by spaces",
    )
    group.add_argument("--lowercase", action="store_true", help="the model knows lower-case text only")
    group.add_argument("--source-merges", type=pathlib.Path, metavar="FILE", help="bpe, opennmt: subword-nmt's merges")
    group.add_argument("--target-merges", type=pathlib.Path, metavar="FILE", help="default: the source's")
    group.add_argument("--bpe-separator", metavar="MARK", help="bpe: default @@")
    for side in ("source", "target"):
        group.add_argument(
            f"--{side}-bpe-vocabulary",
            type=pathlib.Path,
            metavar="FILE",
            help="bpe: subword-nmt's --vocabulary that this side's text was cut with, a piece and its count a line",
        )
    group.add_argument(
        "--bpe-vocabulary-threshold",
        type=int,
        metavar="N",
        help="bpe: its --vocabulary-threshold, the least count of a piece that counts (default: all do)",
    )
    group.add_argument("--source-spm", type=pathlib.Path, metavar="FILE", help="sentencepiece: the source's model")
    group.add_argument("--target-spm", type=pathlib.Path, metavar="FILE", help="default: the source's")
    group.add_argument("--space-piece", metavar="PIECE", help="characters: the piece that stands for a space")
    group.add_argument("--opennmt-mode", choices=["space", "conservative", "aggressive"], help="opennmt: its --mode")
    group.add_argument(
        "--joiner", nargs="?", const="￭", metavar="MARK", help="opennmt: joiner_annotate (default mark ￭)"
    )
    group.add_argument(
        "--spacer", nargs="?", const="▁", metavar="MARK", help="opennmt: spacer_annotate (default mark ▁)"
    )


def tokenizers(args: argparse.Namespace) -> tuple[vocabulary.Tokenizer, vocabulary.Tokenizer]:
    """The source's and the target's. Raises CheckpointError for flags that do not go together."""
    kind = args.tokenizer
    own = {
        "source_merges": ("bpe", "opennmt"),
        "target_merges": ("bpe", "opennmt"),
        "bpe_separator": ("bpe",),
        "source_bpe_vocabulary": ("bpe",),
        "target_bpe_vocabulary": ("bpe",),
        "bpe_vocabulary_threshold": ("bpe",),
        "source_spm": ("sentencepiece",),
        "target_spm": ("sentencepiece",),
        "space_piece": ("characters",),
        "opennmt_mode": ("opennmt",),
        "joiner": ("opennmt",),
        "spacer": ("opennmt",),
    }
    for name, kinds in own.items():
        if getattr(args, name) is not None and kind not in kinds:
            raise checkpoint.CheckpointError(
                f"--{name.replace('_', '-')}: goes with --tokenizer {' or '.join(kinds)}, not {kind}"
            )

    def content(side: str, what: str, required: bool) -> bytes | None:
        path = getattr(args, f"{side}_{what}") or getattr(args, f"source_{what}")
        if path is None and required:
            raise checkpoint.CheckpointError(f"--tokenizer {kind}: needs --source-{what}")
        return None if path is None else checkpoint.read_bytes(path)

    def make(side: str) -> vocabulary.Tokenizer:
        if kind == "bpe":
            path = getattr(args, f"{side}_bpe_vocabulary")
            allowed = None if path is None else read_bpe_vocabulary(path, args.bpe_vocabulary_threshold)
            return vocabulary.bpe(content(side, "merges", True), args.bpe_separator, allowed)
        if kind == "sentencepiece":
            return vocabulary.sentencepiece(content(side, "spm", True))
        if kind == "characters":
            return vocabulary.characters(args.space_piece)
        if kind == "opennmt":
            if args.opennmt_mode is None or (args.joiner is None) == (args.spacer is None):
                raise checkpoint.CheckpointError("--tokenizer opennmt: needs --opennmt-mode, and --joiner or --spacer")
            return vocabulary.opennmt(
                args.opennmt_mode, args.joiner or args.spacer, args.joiner is not None, content(side, "merges", False)
            )
        return vocabulary.words() if kind == "words" else vocabulary.pretokenized()

    if args.bpe_vocabulary_threshold is not None and not (args.source_bpe_vocabulary or args.target_bpe_vocabulary):
        raise checkpoint.CheckpointError("--bpe-vocabulary-threshold: needs --source-bpe-vocabulary or --target-")
    return make("source"), make("target")


def read_bpe_vocabulary(path: pathlib.Path, threshold: int | None) -> frozenset[str]:
    """subword_nmt/apply_bpe.py, read_vocabulary: the pieces whose count is `threshold` or more. Raises
    CheckpointError."""
    found = set()
    for number, line in enumerate(checkpoint.read_lines(path), start=1):
        piece, space, count = line.strip("\r\n ").rpartition(" ")
        if not space or " " in piece or not count.lstrip("+-").isdecimal() or len(count) > 20:
            raise checkpoint.CheckpointError(f"{path}:{number}: {quoted(line, 60)} is no piece and its count")
        if threshold is None or int(count) >= threshold:
            found.add(piece)
    if not found:
        raise checkpoint.CheckpointError(f"{path}: has no piece of a count of {threshold} or more")
    return frozenset(found)


def moved(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights, each moved at random by at most half a unit of float32's last place: for `Imported.moved`. Those of
    int8 are exact and stay."""
    rng = np.random.default_rng(2)

    def one(values: np.ndarray | Int8) -> np.ndarray | Int8:
        if isinstance(values, Int8):
            return values
        return np.asarray(values, np.float64) * (1 + rng.uniform(-(2.0**-24), 2.0**-24, values.shape))

    return {name: one(values) for name, values in arrays.items()}


def tolerance(
    cases: Sequence[certificate.Case], again: Callable[[Any], Any], rounded: bool = False
) -> dict[str, float]:
    """The tolerances that a model needs beyond certificate.TOLERANCE, empty for most: of a deep or ill-conditioned one,
    since float32 itself cannot be nearer, _ROUNDING times what moving the weights' last bit does to its values; of one
    that rounds to int8 (`rounded`), where float32 decides which way some of it is rounded, twice the most that some
    such decisions did to its values, and at least what they do to some model."""
    tries, factor = (_TRIES, 2) if rounded else (1, _ROUNDING)
    found = dict.fromkeys(("log_probability", "weight", "energy", "context"), 0.0)

    def compare(kind: str, a: Any, b: Any) -> None:
        a, b = np.asarray(a), np.asarray(b)
        finite = np.isfinite(a) & np.isfinite(b)
        error = np.abs(a - b)[finite] / np.maximum(1, np.abs(a[finite]))
        found[kind] = max(found[kind], float(error.max(initial=0)))

    for case, other in ((case, again(case.trace)) for case in cases for _ in range(tries)):
        compare("log_probability", case.trace.log_probabilities, other.log_probabilities)
        for one, two in zip(case.trace.steps, other.steps):
            for name, attended in one.attentions.items():
                compare("weight", attended.weights, two.attentions[name].weights)
                compare("energy", attended.energies, two.attentions[name].energies)
                compare("context", attended.context, two.attentions[name].context)
    wide = {kind: float(f"{factor * value:.1e}") for kind, value in found.items()}
    if rounded:  # both of two tokens may be off
        wide["margin"] = 2 * wide["log_probability"]
        wide = {kind: max(value, _LEAST[kind]) for kind, value in wide.items()}
    return {kind: min(value, 1.0) for kind, value in wide.items() if value > certificate.TOLERANCE[kind]}


def make_certificate(
    imported: Imported, cases: pathlib.Path | None, most_unknown: float = proof_cases.MOST_UNKNOWN
) -> certificate.Certificate | None:
    """Runs the oracle on the cases. None for a model without one. Raises CheckpointError where more than `most_unknown` of
    their pieces are unknown, or of a vocabulary's pieces are none that its tokenizer makes: such a proof would agree, and
    the served model understand nothing."""
    proof_cases.check_vocabularies(imported.model, most_unknown)
    if imported.trace is None:
        return None
    sources = proof_cases.sources(imported.model, cases, with_text=not imported.copies)
    unknown = proof_cases.unknown_share(imported.model, sources, cases, most_unknown)
    kept = []
    for source in sources:
        trace = imported.trace(source.ids, _MAX_CASE_TOKENS, *([source.pieces] if imported.copies else []))
        kept.append(certificate.Case(trace, source.text, contexts=not kept, shortlist=imported.shortlist))
    return certificate.Certificate(
        tolerance=None if imported.moved is None else tolerance(kept, imported.moved, imported.rounded),
        precision="int8" if imported.rounded else "float32",
        reference=imported.reference,
        cases=kept,
        search={"beam_size": 1, "max_length_a": 0, "max_length_b": _MAX_CASE_TOKENS},
        toolkit=imported.toolkit,
        unknown_share=unknown,
    )


def _registered(side: str, imported: Imported) -> str | None:
    """The language that the model's files say; und where that is none, with a note."""
    said = getattr(imported, f"{side}_language")
    try:
        return said and language_tag.canonical(said)
    except ValueError:
        note = f"{side} language: und (undetermined), since {said!r}, as its files say, is no BCP 47 tag; --{side}-language says it"
        imported.notes = [*imported.notes, note]
        return "und"


def _sentence_lists(path: pathlib.Path | None) -> dict | None:
    if path is None:
        return None
    try:
        lists = json.loads(checkpoint.read_bytes(path).decode("utf-8"))
    except ValueError as error:
        raise checkpoint.CheckpointError(f"--sentence-lists: {path} is no JSON: {error}") from None
    if not isinstance(lists, dict):
        raise checkpoint.CheckpointError(f"--sentence-lists: {path} holds no object, but {type(lists).__name__}")
    return lists


def _card(args: argparse.Namespace, imported: Imported) -> publish.Card:
    def text(path: pathlib.Path | None) -> str:
        return "" if path is None else checkpoint.read_bytes(path).decode("utf-8", "replace")

    name = args.name or args.out.resolve().name.lower()
    for flag, value in (("--name", name), ("--version", args.version)):
        if not re.fullmatch(r"[a-z0-9._-]{1,64}", value):
            raise checkpoint.CheckpointError(f"{flag}: {value!r} must be 1 to 64 of a-z 0-9 . _ -")
    source = args.source_language or _registered("source", imported)
    target = args.target_language or (source if args.summarize else _registered("target", imported))
    for flag, value in (("--source-language", source), ("--target-language", target)):
        if not value:
            raise checkpoint.CheckpointError(f"{flag}: is missing, and the model's files do not say it")
        publish.checked(flag, value, language_tag.canonical)
    plain = imported.model.source.tokenizer.kind == "pretokenized"
    segmentation = args.segmentation or imported.segmentation or ("none" if plain else "sentence")
    return publish.Card(
        name=name,
        version=args.version,
        license=args.license,
        license_text=text(args.license_file),
        readme=text(args.readme),
        source_language=source,
        target_language=target,
        task="summarize" if args.summarize else "translate",
        segmentation=segmentation,
        description=args.description,
        origin=imported.origin,
        too_long=args.too_long,
        sentence_lists=_sentence_lists(args.sentence_lists),
    )


def _cases(proof: certificate.Certificate) -> str:
    share = f" ({100 * proof.unknown_share:.3g} % of their pieces unknown)" if proof.unknown_share else ""
    return f"{len(proof.cases)} cases{share}"


def run(args: argparse.Namespace, read: Callable[[argparse.Namespace], Imported]) -> None:
    """Reads, proves and writes; prints what was done."""
    out: pathlib.Path = args.out
    if out.exists() and not (out / "SHA256SUMS").is_file():
        raise checkpoint.CheckpointError(f"--out: {out} exists and is no bundle")
    # Before hours of reading, not after.
    publish.checked("--license", args.license, spdx.canonical)
    for flag, value in (("--source-language", args.source_language), ("--target-language", args.target_language)):
        if value:
            publish.checked(flag, value, language_tag.canonical)
    server = None if args.no_verify else certificate.find_server(args.heed_server, ROOT)
    imported = read(args)
    card = _card(args, imported)
    if not args.force:
        try:
            bundle.check_place(out, publish.head(card), imported.toolkit)
        except ValueError as error:
            raise checkpoint.CheckpointError(f"--out: {error}; give another folder, or --force") from None
    proof = make_certificate(imported, args.cases, args.most_unknown)
    digest = publish.publish(imported.model, out, card, proof, server)
    say(f"{out}: {card.name} {card.version}, from {imported.toolkit}, digest {digest[:12]}")
    for note in imported.notes:
        say(note)
    wide = (proof.tolerance if proof else None) or {}
    if imported.rounded and wide:
        values = ", ".join(f"{kind} {value:g}" for kind, value in wide.items())
        say(f"tolerances: {values}, since what lies between two int8 numbers may be rounded either way")
    for kind, value in () if imported.rounded else wide.items():
        standard = certificate.TOLERANCE[kind]
        say(f"tolerance of {kind}: {value:g} instead of {standard:g}, since float32 cannot tell these weights nearer")
    if proof is None:
        loads = ", heed-server loads it" if server else ""
        say(f"parity: not proved, there is no oracle for this model{loads}")
    elif proof.measured is None:
        say(f"parity: {_cases(proof)}; not measured, no heed-server found (heed-server verify {out} does it)")
    else:
        worst = max(proof.measured["values"].items(), key=lambda item: item[1])
        say(
            f"parity: {_cases(proof)}, {proof.measured['by']} agrees; largest error "
            f"{worst[1]:.1e} ({worst[0]})"
        )
