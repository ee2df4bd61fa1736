#!/usr/bin/python3
"""The documentation's transcripts: every `$ command` of a ```console block is run, and prints what the page says.

Usage: transcripts_test.py BUILD [PAGE...]            checks them, those of these pages alone
       transcripts_test.py BUILD --update [PAGE...]   writes into the pages what the commands printed

Each page is followed as a reader would, in a folder that stands for a checkout: links to the repository's folders, and
an `out` of its own. heed-server, heed and heed-export are in the PATH, and heed finds a server of the models that ship, or,
below "With `heed-server --models=FOLDER` in another terminal", of that folder. What follows "Save this as `FILE`:" is
saved. Words must be the same and in the same places; numbers, digests, places, precisions, instruction sets and shades
differ between processors and are not compared.
"""
import argparse
import contextlib
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "export"))

from heed_export import cli  # noqa: E402
from heed_export.measure.serving import Server  # noqa: E402

BUILD, PAGES = None, []
COMMAND_SECONDS = 120

# Without them int8 has fewer bits, and both programs say so.
VNNI = {"docs/importing/marian.md"}
# Commands that are not run, by page and by what they begin with, each with the reason.
NOT_RUN = {}

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.M | re.S)
# A command, whose lines may be continued by a backslash, and its output.
COMMAND = re.compile(r"^\$ ((?:[^\n]*\\\n)*[^\n]*\n)((?:(?!\$ )[^\n]*\n)*)", re.M)
SERVED = re.compile(r"With `heed-server --models=(\S+)` in another\s+terminal")
SAVED = re.compile(r"Save this as `([^`]+)`[^\n]*:\n+\Z")

# A program of heed's, its command, and the rest of the line.
PROGRAM = re.compile(r"(?:^|[|;&] *|\$ )(?:\S*/)?(heed|heed-server|heed-export) ([a-z-]*)((?: [^|;&#\n]*)?)")
FLAG = re.compile(r"(?<!\S)\[?--([a-z][\w-]*)")


def flags_of(program, command):
    """The flags that `program command --help` lists."""
    if program == "heed-export":
        commands_of = next(a for a in cli.make_parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
        said = [commands_of[command].format_help()] if command in commands_of else []
    else:
        path = BUILD / {"heed": "client/heed", "heed-server": "server/heed-server"}[program]
        calls = [[command]] if program == "heed" and command else [[]]
        calls += [["bench", "plot"]] if command == "bench" else []
        said = [subprocess.run([path, *c, "--help"], capture_output=True, text=True, timeout=60).stdout for c in calls]
    return {"help", "version"} | {plain(flag) for flag in FLAG.findall(re.sub("[,|]", " ", " ".join(said)))}


def plain(flag):
    """A flag as it is compared: heed and heed-server take both spellings."""
    return flag.replace("-", "_")


def documents():
    """All pages of the tree, by name."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split()
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in listed if (ROOT / name).exists()}


def commands(block):
    """(command, output, where the output stands) of each of a console block."""
    return [(m[1].rstrip("\n"), m[2], m.span(2)) for m in COMMAND.finditer(block)]


def reason_not_to_run(page, command):
    return next((why for begin, why in NOT_RUN.get(page, {}).items() if command.startswith(begin)), None)


def words(output):
    """What is compared: per line the words, without what differs between machines and runs, and without blank lines."""
    differs = r"digest \w+|AVX\w*|\b(float32|bfloat16|int8)\b|cases\[.*|\(\w+(\.\w+)?\)|\d\.?\d*e-\d+|[\d█▓▒░]+"
    return [line for line in (" ".join(re.sub(differs, " ", line).split()) for line in output.splitlines()) if line]


class Reader:
    """Follows pages in a folder of its own. Not thread-safe. Use as a context."""

    def __enter__(self):
        self._open = contextlib.ExitStack()
        self._folder = pathlib.Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        for path in ROOT.iterdir():
            if path.is_dir() and path.name not in ("out", ".git"):
                (self._folder / path.name).symlink_to(path)
        programs = self._folder / "out/bin"
        programs.mkdir(parents=True)
        python = pathlib.Path("/usr/bin/python3")
        for path in (BUILD / "server/heed-server", BUILD / "client/heed", ROOT / "export/heed-export", python):
            (programs / path.name).symlink_to(path)
        kept = {k: v for k, v in os.environ.items() if k not in ("COLORTERM", "COLUMNS", "VIRTUAL_ENV", "CONDA_PREFIX")}
        self._environment = kept | {"PATH": f"{programs}:{kept['PATH']}", "LC_ALL": "C.UTF-8",
                                    "PYTHONDONTWRITEBYTECODE": "1"}
        self._shipped = None
        return self

    def __exit__(self, *error):
        return self._open.__exit__(*error)

    def serve_shipped(self):
        if self._shipped is None:
            self._shipped = self._open.enter_context(Server(BUILD, BUILD / "models"))
        self._environment["HEED_ADDRESS"] = self._shipped.address

    def serve(self, folder):
        server = self._open.enter_context(Server(BUILD, self._folder / folder))
        self._environment["HEED_ADDRESS"] = server.address

    def save(self, name, text):
        place = self._folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def run(self, command):
        """What the command prints, errors included."""
        run = subprocess.run(["bash", "-c", command], cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMMAND_SECONDS)
        return run.stdout if run.returncode == 0 else f"{run.stdout}exit code {run.returncode}\n"

    def follow(self, page, text):
        """Does what the page says. Yields (command, output that it shows, where that stands, real output)."""
        self.serve_shipped()
        end = 0
        for fence in FENCE.finditer(text):
            between, end = text[end:fence.start()], fence.end()
            if served := SERVED.search(between):
                self.serve(served[1])
            if saved := SAVED.search(between):
                self.save(saved[1], fence[3])
            if fence[2] == "console":
                for command, shown, (begin, last) in commands(fence[3]):
                    if reason_not_to_run(page, command) is None:
                        yield command, shown, (fence.start(3) + begin, fence.start(3) + last), self.run(command)


class Transcripts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.reader = cls.enterClassContext(Reader())

    def test_every_command_with_a_prompt_is_in_a_block_that_is_run(self):
        stray = [f"{name}: {line}" for name, text in documents().items() for fence in FENCE.finditer(text)
                 if fence[2] != "console" or fence[1] for line in fence[3].splitlines() if re.match(r" *\$ ", line)]
        self.assertEqual([], stray, "transcripts are ```console blocks without indentation")

    def test_reasons_not_to_run_are_of_commands_that_there_are(self):
        pages = documents()
        there = [(name, command) for name in NOT_RUN for fence in FENCE.finditer(pages.get(name, ""))
                 for command, _, _ in commands(fence[3])]
        vain = [f"{name}: {begin}" for name, listed in NOT_RUN.items() for begin in listed
                if not any(page == name and command.startswith(begin) for page, command in there)]
        self.assertEqual([], vain)

    def test_flags_that_the_pages_give_exist(self):
        known, wrong = {}, []
        for page, text in documents().items():
            spans = [m[3] for m in FENCE.finditer(text)] + re.findall(r"`(heed[^`]*)`", FENCE.sub("", text))
            for line in re.sub(r"\\\n", " ", "\n".join(spans)).splitlines():
                for program, command, flags in PROGRAM.findall(line):
                    have = known.setdefault((program, command), flags_of(program, command))
                    wrong += [f"{page}: {program} {command} --{flag}" for flag in FLAG.findall(flags)
                              if not {plain(flag), plain(flag).removeprefix("no")} & have]
        self.assertGreater(len(known), 10)
        self.assertEqual([], wrong)

    def test_the_examples_of_help_are_answered(self):
        self.reader.serve_shipped()
        said = "".join(self.reader.run(f"heed {command} --help") for command in ("translate", "summarize"))
        found = [line.strip() for line in said.splitlines() if re.match(r"  heed \w+ .*'", line)]
        self.assertGreater(len(found), 2)
        for command in found:
            with self.subTest(command):
                self.assertRegex(self.reader.run(f"{command} >out/said && test -s out/said && echo fine"), "^fine$")

    def test_demo_tests_and_image_serve_what_ships_and_nothing_else(self):
        tracked = subprocess.run(["git", "ls-files", "models/*/model.json"], cwd=ROOT, check=True, capture_output=True,
                                 text=True).stdout.split()
        self.assertEqual({name.split("/")[1] for name in tracked}, set(os.listdir(BUILD / "models")))
        self.assertIn("--models=$BUILD/models", (ROOT / "scripts/demo").read_text())
        self.assertNotIn("COPY models", (ROOT / "Dockerfile").read_text())

    def test_commands_print_what_the_pages_say(self):
        found = 0
        for page, text in documents().items():
            if "```console\n" not in text or (PAGES and page not in PAGES):
                continue
            if page in VNNI and not re.search(r"\b(avx_vnni|avx512_vnni)\b", pathlib.Path("/proc/cpuinfo").read_text()):
                with self.subTest(page):
                    self.skipTest("this processor has no VNNI: int8 is not what the page shows")
                continue
            for command, shown, _, said in self.reader.follow(page, text):
                found += 1
                with self.subTest(page, command=command):
                    want, got = words(shown), words(said)
                    different = difflib.unified_diff(want, got, "page", "said", lineterm="")
                    self.assertEqual(want, got, "\n" + "\n".join(different))
        self.assertGreater(found, 1 if PAGES else 20)


def update():
    with Reader() as reader:
        for page, text in documents().items():
            if "```console\n" not in text or (PAGES and page not in PAGES):
                continue
            new, end = "", 0
            for command, shown, (begin, last), said in reader.follow(page, text):
                blank = "\n" if shown == "\n" or shown.endswith("\n\n") else ""
                said = "".join(line.rstrip() + "\n" for line in said.strip("\n").splitlines())
                new, end = new + text[end:begin] + said + blank, last
            if new + text[end:] != text:
                (ROOT / page).write_text(new + text[end:], encoding="utf-8")
                print(page)


if __name__ == "__main__":
    BUILD, arguments = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    PAGES = [a for a in arguments if not a.startswith("-")]
    if "--update" in arguments:
        update()
    else:
        unittest.main(argv=sys.argv[:1] + [a for a in arguments if a.startswith("-")])
