"""heed-export upgrade: a bundle of format version 1 in the form of version 2, the one that is written today.

What differs is how `search` says which outputs of different lengths compare how: version 1 in `length_normalization`,
`length_alpha` and `length_beta`, version 2 in the messages of heed.v1.SearchOptions (docs/bundle.md). Servers read both.
"""

from __future__ import annotations

import argparse
import json
import pathlib

from ..model import fields
from ..reading.shown import say
from . import bundle

NAME = "upgrade"
HELP = "rewrites a bundle of format version 1 as version 2; weights, tokenisers and proof stay as they are"
VERSION = 2
_KIND = "LENGTH_NORMALIZATION_"


def search_of_version_1(search: dict) -> dict:
    """`search` of a model.json or parity.json of version 1 in the form of version 2. Raises ValueError where it is out of
    its bounds."""
    new = dict(search)
    kind = new.pop("length_normalization", _KIND + "UNSPECIFIED").removeprefix(_KIND)
    alpha, beta = new.pop("length_alpha", 0), new.pop("length_beta", 5)
    if kind == "GNMT":
        new["gnmt"] = {"alpha": alpha, "beta": beta}
    elif kind == "POWER" or (kind == "UNSPECIFIED" and alpha > 0):
        new["average"] = {"alpha": alpha}
    elif kind == "NONE":
        new["none"] = {}
    elif kind != "UNSPECIFIED":
        raise ValueError(f"search.length_normalization is {_KIND}{kind}, expected a known LengthNormalization")
    fields.check(fields.SEARCH, new, "search")
    return new


def upgraded(spec: dict) -> dict:
    """A model.json of any version as one of version 2. Raises ValueError for a version that there is not."""
    version = spec.get("format_version")
    if version == VERSION:
        return spec
    if version != 1:
        raise ValueError(f"{bundle.MODEL}: format_version is {version!r}, expected 1 to {VERSION}")
    new = {**spec, "format_version": VERSION}
    if "search" in spec:
        new["search"] = search_of_version_1(spec["search"])
    return new


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, and --debug."""
    parser.add_argument("bundle", type=pathlib.Path, metavar="FOLDER", nargs="+", help="a bundle, which is replaced")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")


def run(args: argparse.Namespace) -> None:
    """Rewrites each; says what each was and is. Raises ValueError for a folder that is no whole bundle."""
    for folder in args.bundle:
        before = bundle.read(folder)  # its sums hold
        spec = json.loads((folder / bundle.MODEL).read_bytes())
        new = upgraded(spec)
        if new == spec:
            say(f"{folder}: is of format version {VERSION} already")
            continue
        digest = bundle.replace(folder, {bundle.MODEL: bundle.dumps_spec(new)})
        say(f"{folder}: format version {spec['format_version']} to {VERSION}, digest {before.digest[:12]} to {digest[:12]}")
