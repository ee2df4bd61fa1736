"""What measures a bundle through a server shares (precision.py, calibrate.py): a set of texts with references, what the
server made of it, and where the findings go in the model card.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import subprocess
from dataclasses import dataclass
from typing import Mapping, Sequence

from ..bundle import bundle, publish
from ..importers import importer
from ..reading import files
from ..reading.shown import quoted
from . import served
from .serving import Server, find_build

CARD = "README.md"
# Sections of measurements stand behind these, the last of them that there is.
_BEFORE = ("## Precision", "## Quality")
_TASKS = {task: name for name, task in publish.TASKS.items()}


@dataclass(frozen=True)
class Set:
    """Texts and their references, by the name that people know them by."""

    name: str
    sources: Sequence[str]
    references: Sequence[str]


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags on what it is measured with and what becomes of the findings."""
    parser.add_argument(
        "--build", type=pathlib.Path, metavar="FOLDER", help="CMake's build folder; default: the newest below build/"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what was measured and write nothing")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")


def task(spec: Mapping) -> str:
    """"translate" or "summarize"."""
    return _TASKS[spec["task"]]


def check_bundle(folder: pathlib.Path) -> None:
    """Raises ValueError where there is no bundle."""
    if not (folder / bundle.SUMS).is_file():
        raise ValueError(f"{folder}: is no bundle")


def programs(build: pathlib.Path | None) -> pathlib.Path:
    """The build folder of --build, or the newest one. Raises ValueError where it has no programs."""
    build = build or find_build(importer.ROOT)
    if build is None or not (build / "server/heed-server").is_file():
        raise ValueError(f"--build: {build or 'no folder below build/'} has no heed-server and heed: make build")
    return build


def read_set(texts: pathlib.Path, references: pathlib.Path, name: str | None, flag: str, most: int = 200) -> Set:
    """A set from its files; the name is by default the texts' folder and stem. Raises ValueError for files that do not
    go together, and a name over `most` bytes."""
    sources, given = files.read_lines(texts), files.read_lines(references)
    if not sources or len(sources) != len(given):
        raise ValueError(f"{texts} has {len(sources)} lines and {references} {len(given)}")
    name = name or "/".join(texts.resolve().with_suffix("").parts[-2:])
    if not name.isprintable() or not 1 <= len(name.encode()) <= most:
        raise ValueError(f"{flag}: {quoted(name)} must be 1 to {most} printable bytes")
    return Set(name, sources, given)


def ask(server: Server, spec: Mapping, texts: pathlib.Path, *flags: str) -> list[served.Output]:
    """What a server with this bundle says to the texts, with the model's own search. Raises ValueError unless every line
    has an output."""
    try:
        return served.parse(server.ask(task(spec), spec["name"], texts, *flags))
    except subprocess.CalledProcessError as error:
        raise ValueError(f"heed ended with exit code {error.returncode}; what it said stands above") from None


def measured_by(server: Server) -> str:
    """"heed-server 0.1.0, AVX512_CORE_AMX"."""
    return f"heed-server {server.log('serving')[0]['version']}, {server.log('cores')[0]['instruction_set']}"


def last_line(error: RuntimeError) -> str:
    """Why a server did not start: its last word."""
    return str(error).strip().splitlines()[-1]


def with_section(card: str, section: str) -> str:
    """The model card with this section in place of one of its heading, else after `## Precision`, else after
    `## Quality`, else at its end."""
    own = section.split("\n", 1)[0]
    for heading, keeps in ((own, False), *((heading, True) for heading in _BEFORE)):
        there = re.search(rf"^{heading}\n.*?(?=^## |\Z)", card, re.M | re.S)
        if there:
            before = card[: there.end() if keeps else there.start()].rstrip("\n")
            after = card[there.end() :]
            return f"{before}\n\n{section}\n" + (f"\n{after}" if after else "")
    return card.rstrip("\n") + f"\n\n{section}\n"


def write(folder: pathlib.Path, spec: Mapping, told: Mapping, section: str) -> str:
    """Writes these fields into the bundle's model.json and the section into its card; returns the bundle's digest."""
    card = with_section(files.read_text(folder / CARD), section)
    return bundle.replace(folder, {bundle.MODEL: bundle.dumps_spec({**spec, **told}), CARD: card.encode()})
