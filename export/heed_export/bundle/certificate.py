"""parity.json of an imported model: what an independent oracle (export/reference) says to a few sources, and how far
the engine was from it where the bundle was made. `heed-server verify FOLDER` holds any machine to it.

The form is that of proto/heed/model/v1/parity.proto; `dumps` takes the oracle's Traces (export/reference/trace.py) by their attributes alone.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from ..model import fields

FILE = "parity.json"
FORMAT_VERSION = 2
TOLERANCE = {"log_probability": 1e-4, "weight": 1e-5, "energy": 1e-4, "context": 1e-5, "margin": 1e-3}
VERIFY_SECONDS = 600


@dataclass
class Case:
    """A Trace to be kept. With `text`, tokenising it must give the source ids, and detokenising the target ids
    `output`. `contexts` keeps the context vectors as well, which are large. `shortlist`: the model's shortlist
    applies."""

    trace: Any
    text: str | None = None
    output: str | None = None
    contexts: bool = False
    shortlist: bool = False


@dataclass
class Certificate:
    """What parity.json says. `search` holds the SearchOptions that the cases were decoded with (greedy ones)."""

    reference: str  # who computed this, at what precision
    cases: Sequence[Case]
    search: dict
    toolkit: str | None = None
    measured: dict | None = None
    tolerance: dict | None = None  # what is wider than in TOLERANCE, by the same names
    precision: str = "float32"  # whose tolerances these are: int8 where the reference rounds to it
    unknown_share: float = 0.0  # of the cases' source pieces, specials left out: those that the vocabulary lacks


def _rounded(values) -> list | float:
    """Eight significant digits: well under the tolerances. Raises ValueError for a number that JSON has not."""
    if isinstance(values, (list, tuple, np.ndarray)):
        return [_rounded(v) for v in values]
    if not np.isfinite(values):
        raise ValueError(f"the oracle gave {values}, which is no finite number")
    return float(f"{float(values):.8g}")


def _attentions(case: Case) -> list[dict]:
    """One entry an attention and head: a row per target id."""
    steps = case.trace.steps
    found = []
    for name, first in steps[0].attentions.items() if steps else ():
        rows = [step.attentions[name] for step in steps]
        for head in range(len(first.weights)):
            entry = {"attend": name, "head": head, "weights": _rounded([r.weights[head] for r in rows])}
            if first.energies is not None:
                entry["energies"] = _rounded([r.energies[head] for r in rows])
            if head == 0 and case.contexts and first.context is not None:
                entry["contexts"] = _rounded([r.context for r in rows])
            found.append(entry)
    return found


def _case(case: Case) -> dict:
    trace = case.trace
    entry: dict = {} if case.text is None else {"text": case.text}
    entry["source_ids"] = [int(i) for i in trace.source_ids]
    entry["target_ids"] = [int(i) for i in trace.tokens]
    if case.output is not None:
        entry["output"] = case.output
    entry["log_probabilities"] = _rounded(trace.log_probabilities)
    # A distribution over one piece, or one whose second best is impossible, is no tie at any tolerance.
    entry["margins"] = _rounded(np.minimum(trace.margins, 1e6))
    entry["finish"] = "eos" if trace.ended else "length"
    if trace.copy_ids is not None:
        entry["copy_ids"] = [int(i) for i in trace.copy_ids]
        entry["copy_gates"] = _rounded([step.copy_gate for step in trace.steps])
    if case.shortlist:
        entry["shortlist"] = True
    entry["attentions"] = _attentions(case)
    return entry


def dumps(certificate: Certificate) -> bytes:
    """The file's bytes. Raises ValueError where the oracle gave a number that is not finite."""
    head: dict = {"format_version": FORMAT_VERSION, "reference": certificate.reference}
    if certificate.toolkit:
        head["toolkit"] = certificate.toolkit
    if certificate.precision != "float32":
        head["precision"] = certificate.precision
    head["unknown_share"] = _rounded(certificate.unknown_share)
    head["search"] = dict(certificate.search)
    head["tolerance"] = {**TOLERANCE, **(certificate.tolerance or {})}
    if certificate.measured:
        head["measured"] = certificate.measured
    return document(head, [_case(case) for case in certificate.cases])


def document(head: dict, cases: Sequence[dict]) -> bytes:
    """The bytes of a Parity (parity.proto) of these fields and these cases. Raises ValueError where its rules do not allow
    them."""
    fields.check(fields.PARITY, {**head, "cases": list(cases)})
    # A case a line: the file stays small and its changes readable.
    lines = ",\n  ".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases)
    body = json.dumps(head, indent=1, ensure_ascii=False)[:-2]
    return f'{body},\n "cases": [\n  {lines}\n ]\n}}\n'.encode()


def find_server(given: str | None, root: pathlib.Path) -> pathlib.Path | None:
    """The heed-server to measure with: the one given, the one on PATH, the newest below root/build or, of a checkout that
    one stands in, ./build; or None. Raises ValueError if the one given is not there."""
    if given:
        found = shutil.which(given)
        if found is None:
            raise ValueError(f"--heed-server: {given} is no program")
        return pathlib.Path(found)
    on_path = shutil.which("heed-server")
    if on_path:
        return pathlib.Path(on_path)
    built = [p for top in (root, pathlib.Path.cwd()) for p in top.glob("build/*/server/heed-server") if p.is_file()]
    return max(built, key=lambda p: p.stat().st_mtime, default=None)


def check_loads(server: pathlib.Path, folder: pathlib.Path) -> None:
    """Has heed-server load a bundle without parity.json. Raises ValueError with its line where it does not."""
    run = subprocess.run([str(server), "verify", str(folder)], capture_output=True, text=True, timeout=VERIFY_SECONDS)
    lines = (run.stderr.strip() or run.stdout.strip() or f"exit code {run.returncode}").splitlines()
    if f"{FILE}: the bundle has none" not in run.stderr:
        raise ValueError(f"heed-server does not load it: {lines[-1]}")


def verify(server: pathlib.Path, folder: pathlib.Path, precision: str = "float32") -> dict:
    """What `heed-server verify FOLDER --json` measured in this precision, as parity.json's `measured`. Raises
    ValueError with one line where the bundle is refused or the engine is further from the certificate than it may
    be."""
    command = [str(server), "verify", str(folder), f"--precision={precision}", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=VERIFY_SECONDS)
    try:
        report = json.loads(run.stdout)
    except json.JSONDecodeError:
        lines = (run.stderr.strip() or run.stdout.strip() or f"exit code {run.returncode}").splitlines()
        raise ValueError(f"heed-server verify: {lines[-1]}") from None
    if not report["ok"]:
        beyond = [
            f"{name}: error {error}, tolerance {report['tolerances'][name]:g}, at {report['where'].get(name)}"
            for name, error in report["values"].items()
            if error is None or error > report["tolerances"][name]
        ]
        first = (report["faults"] + beyond)[0]
        raise ValueError(f"heed-server verify: {first}")
    return {name: report[name] for name in ("by", "precision", "instruction_set", "values")}
