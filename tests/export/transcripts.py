"""The transcripts of docs/importing: their commands are run and print what the pages say. Numbers, digests, places and
shades may differ between processors and are not compared.

A page has two ```console blocks: what is done before there is a server, and what is asked of one that serves `out`.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from serving import Served

ROOT = pathlib.Path(__file__).resolve().parents[2]


def words(output: str) -> list[list[str]]:
    """Per line the words, without numbers, digests, places, instruction sets, shades and blank lines."""
    output = re.sub(r"digest \w+|AVX\w*|cases\[.*|\(\w+(\.\w+)?\)|\d\.?\d*e-\d+|[\d█▓▒░]+", " ", output)
    return [line.split() for line in output.splitlines() if line.strip()]


def _check(case: unittest.TestCase, block: str, folder: pathlib.Path, environment: dict) -> None:
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, output = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*\n)(.*)", part, re.S).groups()
        run = subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        with case.subTest(command):
            case.assertEqual(("", 0), (run.stderr, run.returncode))
            case.assertEqual(words(output), words(run.stdout))


def check_page(case: unittest.TestCase, page: str, server: pathlib.Path | str, heed: pathlib.Path | str) -> None:
    """Runs docs/importing/PAGE in an empty folder in which `tests` is the repository's, with the three programs in the
    PATH."""
    text = (ROOT / "docs/importing" / page).read_text(encoding="utf-8")
    before, asked = re.findall(r"^```console\n(.*?)^```", text, re.M | re.S)
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        (folder / "tests").symlink_to(ROOT / "tests")
        programs = folder / "bin"
        programs.mkdir()
        for name, path in (("heed-server", server), ("heed", heed), ("heed-export", ROOT / "export/heed-export")):
            (programs / name).symlink_to(pathlib.Path(path).resolve())
        environment = dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}", LC_ALL="C.UTF-8")
        _check(case, before, folder, environment)
        with Served(server, heed, folder / "out") as served:
            _check(case, asked, folder, {**environment, "HEED_ADDRESS": served.environment["HEED_ADDRESS"]})
