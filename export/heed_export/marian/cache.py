"""Folders of Firefox's models: which files of a folder are one model, which models a whole cache holds, and what Mozilla's
records.json says of their files.

A cache is what fxtranslate keeps (`SRC-TRG/model.esen.intgemm.alphas.bin` and so on), Mozilla's repository of models
(`ARCHITECTURE/esen/...`, gzip) or any folders like these, a model or several pairs' in each; files may be packed (.gz,
.zst). records.json is Remote Settings' answer for the collection translations-models-v2, a record a file.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import pathlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import Callable

from ..bundle import publish, spdx
from ..reading import packed
from ..reading.files import CheckpointError, read_json
from ..reading.shown import say, say_failure, shown
from ..text import language_tag

RECORDS = "records.json"
_MAX_RECORDS_BYTES = 64 << 20
_DEPTH = 3  # folders below the cache: SRC-TRG/ARCHITECTURE, and one more
_CODE = re.compile(r"model\.([a-z]{2})([a-z]{2})\.")


@dataclass(frozen=True)
class Found:
    """The files of one model and what they are said to be: `source`, `target` are languages or None; `architecture` is what
    records say, `place` what the names of folders say beside the languages, `kind` what the model's name does
    (intgemm.alphas), each "" where there is nothing."""

    model: pathlib.Path
    vocabularies: tuple[pathlib.Path, ...]
    shortlist: pathlib.Path | None = None
    source: str | None = None
    target: str | None = None
    architecture: str = ""
    place: str = ""
    kind: str = ""
    notes: tuple[str, ...] = ()


def languages(name: str) -> tuple[str | None, str | None]:
    """What the name of a model of Firefox's says: model.esen.intgemm.alphas.bin."""
    found = _CODE.match(name)
    return (found.group(1), found.group(2)) if found else (None, None)


def _code(name: str) -> str:
    return "".join(side or "" for side in languages(name))


def _candidates(
    folder: pathlib.Path, name: str
) -> tuple[pathlib.Path, list[tuple[pathlib.Path, ...]], pathlib.Path | None]:
    """The model called `name` in a folder ("": the only one), the vocabularies that it may have, and its shortlist."""
    # A file that lies unpacked as well is read so.
    present = sorted(folder.iterdir(), key=lambda p: (p.suffix.lower() not in packed.SUFFIXES, p.name))
    by_name = {packed.plain_name(p): p for p in present if p.is_file() and not p.name.startswith(".")}
    dot = f".{_code(name)}" if _code(name) else ""

    def only(pattern: str, required: bool) -> pathlib.Path | None:
        found = sorted(fnmatch.filter(by_name, pattern))
        if len(found) > 1 or required and not found:
            raise CheckpointError(f"{folder}: holds {len(found)} files like {pattern}, expected one: name the files")
        return by_name[found[0]] if found else None

    model = by_name[name] if name else only("model.*bin", True)
    shared = only(f"vocab{dot}.*spm", False)
    own = [only(f"{side}vocab{dot}.*spm", shared is None) for side in ("src", "trg")]
    vocabularies = [(shared,)] if shared else []
    return model, vocabularies + ([tuple(own)] if all(own) else []), only(f"lex.*{dot}.s2t.bin", False)


def find_files(folder: pathlib.Path) -> tuple[pathlib.Path, tuple[pathlib.Path, ...], pathlib.Path | None]:
    """Model, vocabularies and shortlist of the one model in a folder: model.PAIR.*.bin, vocab.PAIR.spm (or srcvocab and
    trgvocab), lex.*.PAIR.s2t.bin. Raises CheckpointError."""
    model, vocabularies, shortlist = _candidates(folder, "")
    return model, vocabularies[0], shortlist


class Records:
    """A records.json, or none."""

    def __init__(self, path: pathlib.Path | None):
        self.path = path
        self._by_name: dict[str, list[dict]] = {}
        if path is None:
            return
        found = read_json(path, _MAX_RECORDS_BYTES)
        records = found.get("data") if isinstance(found, dict) else found
        if not isinstance(records, list):
            raise CheckpointError(f"{path}: has no list of records (data)")
        for record in records:
            if isinstance(record, dict) and isinstance(record.get("name"), str):
                self._by_name.setdefault(record["name"], []).append(record)

    def of(self, path: pathlib.Path) -> list[dict]:
        """The records that this file is of, by its name and what it holds: none where records.json knows no such name.
        Raises CheckpointError where what it holds is nothing that records.json knows."""
        named = self._by_name.get(packed.plain_name(path), [])
        hashes = [record.get("decompressedHash") for record in named]
        if not any(hashes):
            return named
        sizes = [r["decompressedSize"] for r in named if type(r.get("decompressedSize")) is int]
        bounded = len(sizes) == len(named) and path.suffix.lower() in packed.SUFFIXES
        data = packed.read(path, max(sizes)) if bounded else packed.read(path)
        digest = hashlib.sha256(data).hexdigest()
        found = [r for r in named if r.get("decompressedHash") in (digest, None)]
        if not found:
            wanted = " or ".join(shown(h, 64) for h in hashes[:2])
            raise CheckpointError(f"{path}: its SHA-256 is {digest}, {self.path} has {wanted}")
        return found


def _records_near(*folders: pathlib.Path) -> Records:
    return Records(next((f / RECORDS for f in folders if (f / RECORDS).is_file()), None))


def _said(records: list[dict], field: str) -> set[str]:
    return {r[field] for r in records if isinstance(r.get(field), str) and r[field]}


def _pair(name: str, code: str = "") -> tuple[str, str] | None:
    """Source and target that a folder's name says: en-es, zh-Hans-en, or esen as the files say it (`code`)."""
    parts = name.split("-")
    for i in range(1, len(parts)):
        try:
            pair = tuple(language_tag.canonical("-".join(side)) for side in (parts[:i], parts[i:]))
        except ValueError:
            continue
        # en-pt-br is from English, as enpt says, and not the English of Portugal.
        if not code or tuple(tag.split("-")[0] for tag in pair) == (code[:2], code[2:]):
            return pair
    return (code[:2], code[2:]) if code and name.lower() in (code, f"{code[:2]}-{code[2:]}") else None


def _from_place(
    folder: pathlib.Path, root: pathlib.Path, code: str, lenient: bool = False
) -> tuple[str | None, str | None, str]:
    """Source, target and a label that the names of a folder, and of those above it up to `root`, say. Unless `lenient`
    raises CheckpointError where one is another pair's."""
    source, target = (code[:2], code[2:]) if code else (None, None)
    label = []
    for part in folder.relative_to(root).parts or (folder.resolve().name,):
        pair = _pair(part, code)
        if pair is not None:
            source, target = pair
        elif folder != root:
            if code and not lenient and _pair(part):
                raise CheckpointError(f"{folder}: holds a model of {code}, and its name says {shown(part)}")
            label.append(re.sub(rf"^{code[:2]}-?{code[2:]}[-._]", "", part) if code else part)
    return source, target, "-".join(label)


def _checked(files: list[pathlib.Path], records: Records) -> tuple[list[list[dict]], set[str]]:
    """The records of each file, and the architectures that all may be of. Raises CheckpointError."""
    found = [records.of(path) for path in files]
    architectures: set[str] = set()
    for path, own in zip(files, found):
        said = _said(own, "architecture")
        if said and architectures and not said & architectures:
            of = " and ".join(", ".join(sorted(some)) for some in (architectures, said))
            raise CheckpointError(f"{path}: the folder mixes files of two models, by {records.path}: {of}")
        architectures = said & architectures if said and architectures else said or architectures
    return found, architectures


def describe(folder: pathlib.Path, root: pathlib.Path, name: str, records: Records) -> Found:
    """The model called `name` ("": the only one) of a folder at or below `root`, its files checked against the records.
    Raises CheckpointError."""
    model, choices, shortlist = _candidates(folder, name)
    name = packed.plain_name(model)
    source, target, place = _from_place(folder, root, _code(name))
    for vocabularies in choices:
        files = [model, *vocabularies, *([shortlist] if shortlist else [])]
        try:
            found, architectures = _checked(files, records)
            break
        except CheckpointError:
            if vocabularies is choices[-1]:
                raise
    notes = [
        f"{path.name}: {records.path} does not name it, so its hash was not checked"
        for path, own in zip(files, found)
        if records.path is not None and not own
    ]
    for side in ("source", "target"):
        said = _said(found[0], f"{side}Language")
        if len(said) == 1:
            source, target = (said.pop(), target) if side == "source" else (source, said.pop())
    kind = re.sub(r"^model\.([a-z]{4}\.)?|\.?bin$", "", name)
    architecture = architectures.pop() if len(architectures) == 1 else ""
    return Found(model, vocabularies, shortlist, source, target, architecture, place, kind, tuple(notes))


def one(folder: pathlib.Path) -> Found:
    """The one model of a folder, which a records.json in it or beside it may describe. Raises CheckpointError."""
    return describe(folder, folder, "", _records_near(folder, folder.resolve().parent))


def places(cache: pathlib.Path) -> list[tuple[pathlib.Path, str]]:
    """Folders of the cache that hold models, with each model's name, unpacked; or that ought to hold one, with ""."""
    found: list[tuple[pathlib.Path, str]] = []

    def visit(folder: pathlib.Path, depth: int) -> None:
        before = len(found)
        try:
            below = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
        except OSError:  # said when its turn comes
            found.append((folder, ""))
            return
        names = {packed.plain_name(p) for p in below if p.is_file()}
        found.extend((folder, name) for name in sorted(fnmatch.filter(names, "model.*bin")))
        for path in below:
            if depth < _DEPTH and path.is_dir():
                visit(path, depth + 1)
        # What a download left unfinished.
        if len(found) == before and (fnmatch.filter(names, "*vocab.*spm") or _pair(folder.name)):
            found.append((folder, ""))

    if not cache.is_dir():
        raise CheckpointError(f"{cache}: is no folder")
    visit(cache, 0)
    return found


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.")


def _pair_name(*sides: str | None) -> str:
    return _slug("-".join(side for side in sides if side))


def named(models: list[Found], failed: list[str]) -> list[str]:
    """A name for each: SRC-TRG, and where a pair has several models, those that `failed` to be read among them, what tells
    them apart behind it, the architecture first. A name that two would have is "" for both."""
    pairs = [_pair_name(m.source, m.target) for m in models]
    several = Counter(pairs + failed)
    names = ["" if several[pair] > 1 or not pair else pair for pair in pairs]
    for labels in (
        [m.architecture or m.place for m in models],
        [f"{m.architecture}-{m.place}" for m in models],
        [f"{m.architecture}-{m.place}-{m.kind}" for m in models],
    ):
        longer = [name or _slug(f"{pair}-{label.strip('-')}") for name, pair, label in zip(names, pairs, labels)]
        used = Counter(longer)
        names = [name if used[name] == 1 else "" for name in longer]
    return names


def import_all(args: argparse.Namespace, import_one: Callable[[argparse.Namespace, Found], None]) -> None:
    """Imports every model of the cache args.model into a folder of its own below args.out; goes on where one cannot be,
    and says of each why. Raises CheckpointError at the end where that was so."""
    for flag in ("vocabs", "shortlist", "name", "cases", "source_language", "target_language"):
        if getattr(args, flag) is not None:
            raise CheckpointError(f"--{flag.replace('_', '-')}: is one model's, and --all imports many")
    if (args.out / "SHA256SUMS").exists():
        raise CheckpointError(f"--out: {args.out} is a bundle, and --all writes a folder of them")
    publish.checked("--license", args.license, spdx.canonical)  # once, not of each
    records = _records_near(args.model)
    models: list[Found] = []
    failed: list[str] = []
    pairs_failed: list[str] = []

    def fails(what: str, error: Exception) -> None:
        failed.append(what)
        say_failure(what, error, args.debug)

    for folder, model in places(args.model):
        try:
            models.append(describe(folder, args.model, model, records if records.path else _records_near(folder)))
        except Exception as error:
            fails(_below(folder, args.model), error)
            pairs_failed.append(_pair_name(*_from_place(folder, args.model, _code(model), lenient=True)[:2]))
    if not models and not failed:
        raise CheckpointError(f"{args.model}: holds no model (model.*bin), nor do the folders in it")
    for model, name in zip(models, named(models, pairs_failed)):
        try:
            if not (model.source and model.target):
                raise CheckpointError(f"{model.model}: neither its name nor its folder's says the languages, like esen or es-en")
            if not name:
                raise CheckpointError(f"{model.model.parent}: nothing tells it from another model of its pair")
            import_one(argparse.Namespace(**{**vars(args), "out": args.out / name, "name": name}), model)
        except Exception as error:
            fails(name or _below(model.model.parent, args.model), error)
    total = len(models) + len(pairs_failed)
    say(f"{args.out}: {total - len(failed)} of {total} models imported")
    if failed:
        raise CheckpointError(f"{len(failed)} of {total} models were not imported: {', '.join(failed)}")


def _below(folder: pathlib.Path, root: pathlib.Path) -> str:
    return shown(str(folder.relative_to(root)))
