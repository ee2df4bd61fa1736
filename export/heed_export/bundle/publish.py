"""A built model and what people must know of it, written as a bundle folder: model.json, weights, tokenisers, LICENSE,
README.md, parity.json, SHA256SUMS. The folder appears whole or not at all.
"""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from dataclasses import dataclass
from typing import Callable

from ..text import language_tag
from . import bundle, certificate, spdx
from ..model import fields
from ..model.builder import Model
from ..model.int8 import Int8
from ..reading.shown import escaped, quoted

TASKS = {"translate": "TASK_TRANSLATE", "summarize": "TASK_SUMMARIZE"}
SEGMENTATIONS = {"sentence": "SEGMENTATION_SENTENCE", "none": "SEGMENTATION_NONE"}


def checked(field: str, value: str, canonical: Callable[[str], str]) -> str:
    """The value as `canonical` (of spdx.py or language_tag.py) writes it. Raises ValueError, which names the field."""
    try:
        return canonical(value)
    except ValueError as error:
        raise ValueError(f"{field} is {quoted(value)}: {error}") from None


@dataclass
class Card:
    """What a bundle says of itself beside the programs. `license` is an SPDX expression and the languages are BCP 47 tags,
    in the case that they are usually written in, whatever was given; `license_text` the LICENSE file (generated from the
    expression when empty); `readme` the model card (generated when empty); `origin` one line on where the weights come
    from. Raises ValueError, naming the field, for an expression or a tag that is none."""

    name: str
    license: str
    source_language: str
    target_language: str
    version: str = "1"
    task: str = "translate"
    segmentation: str = "sentence"
    description: str = ""
    license_text: str = ""
    readme: str = ""
    origin: str = ""
    sentence_lists: dict | None = None  # SentenceLists of model.proto, by field name
    too_long: str | None = None  # error | truncate | split; none: as the model's toolkit does

    def __post_init__(self) -> None:
        self.license = checked("license", self.license, spdx.canonical)
        self.source_language = checked("source_language", self.source_language, language_tag.canonical)
        self.target_language = checked("target_language", self.target_language, language_tag.canonical)
        if self.sentence_lists is not None:
            if self.segmentation != "sentence":
                raise ValueError("sentence_lists are of no use where texts are not cut into sentences")
            fields.check(fields.SENTENCE_LISTS, self.sentence_lists, "sentence_lists")


def spec_of(model: Model, card: Card, files: dict[str, bytes]) -> dict:
    """The whole ModelSpec; the files that it names go into `files`. Raises ValueError (BuildError) for what is
    missing."""
    spec = model.spec(files)
    if card.too_long is not None:
        spec["limits"] = {**spec.get("limits", {}), "too_long": f"TOO_LONG_POLICY_{card.too_long.upper()}"}
    if card.sentence_lists is not None:
        spec["sentence_lists"] = card.sentence_lists
    return {"format_version": spec.pop("format_version"), **head(card), **spec}


def head(card: Card) -> dict:
    """What a ModelSpec says beside the programs."""
    return {
        "name": card.name,
        "version": card.version,
        "task": TASKS[card.task],
        "source_language": card.source_language,
        "target_language": card.target_language,
        **({"description": card.description} if card.description else {}),
        "license": card.license,
        "segmentation": SEGMENTATIONS[card.segmentation],
    }


def license_text(card: Card) -> str:
    """The LICENSE file's text."""
    return card.license_text or (
        f"SPDX-License-Identifier: {card.license}\n\n"
        f"The weights of this model are under {card.license}; its text is at https://spdx.org/licenses/.\n"
    )


def readme_text(model: Model, card: Card, proof: certificate.Certificate | None) -> str:
    """A model card made of what is known."""
    parameters = sum(v.size for v in model.tensors.by_name.values())
    int8 = sum(v.size for v in model.tensors.by_name.values() if isinstance(v, Int8))
    attends = ", ".join(model.attends()) or "none"
    lines = [
        f"# {card.name} {card.version}",
        "",
        card.description or f"A model from {card.source_language} to {card.target_language} ({card.task}).",
        "",
        "| | |",
        "|---|---|",
        f"| licence | {card.license} |",
        *([f"| origin | {escaped(card.origin)} |"] if card.origin else []),
        f"| parameters | {parameters:,} |",
        *([f"| int8 | {int8:,} of them, as their file has them |"] if int8 else []),
        f"| source pieces | {len(model.source):,}, {model.source.tokenizer.kind} |",
        f"| target pieces | {len(model.target):,}, {model.target.tokenizer.kind} |",
        f"| attention | {attends} |",
    ]
    if proof is not None:
        of = f" of {escaped(proof.toolkit)}" if proof.toolkit else ""
        lines += [
            "",
            f"`parity.json`: {len(proof.cases)} cases{of}, by {proof.reference}; {100 * proof.unknown_share:.3g} % of their "
            "source pieces are unknown.",
            "`heed-server verify` runs them.",
        ]
        if proof.measured:
            m = proof.measured
            lines += [
                f"Largest errors of {m.get('by', 'heed-server')} ({m.get('precision', '?')}, "
                f"{m.get('instruction_set', '?')}) where this bundle was made:",
                "",
                "| value | error |",
                "|---|---|",
                *[f"| {name} | {error:.1e} |" for name, error in m.get("values", {}).items()],
            ]
    return "\n".join(lines) + "\n"


def publish(
    model: Model,
    folder: pathlib.Path,
    card: Card,
    proof: certificate.Certificate | None = None,
    server: pathlib.Path | None = None,
) -> str:
    """Writes the bundle (replacing one that is there) and returns its digest.

    With `proof` it holds parity.json; with `server` as well, heed-server first runs that file on the bundle, its errors
    are stored there, and a bundle that it does not confirm is not written; without `proof`, one that it does not load.
    Raises ValueError; then nothing is left behind. Without `server` nothing was checked but shapes.
    """
    files: dict[str, bytes] = {}
    spec = spec_of(model, card, files)
    tensors = model.tensors.by_name
    files["LICENSE"] = license_text(card).encode()

    def write(place: pathlib.Path) -> str:
        files["README.md"] = (card.readme or readme_text(model, card, proof)).encode()
        if proof is not None:
            files[certificate.FILE] = certificate.dumps(proof)
        return bundle.write(place, spec, tensors, files, bf16=False)

    folder = pathlib.Path(folder)
    made = [p for p in (folder.parent, *folder.parent.parents) if not p.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        if server is not None:
            with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as there:
                trial = pathlib.Path(there) / folder.name
                write(trial)
                if proof is None:
                    certificate.check_loads(server, trial)
                else:
                    proof.measured = certificate.verify(server, trial, proof.precision)
        return write(folder)
    except BaseException:
        shutil.rmtree(folder.parent / f".{folder.name}.part", ignore_errors=True)
        for parent in made:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        raise
