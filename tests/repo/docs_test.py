#!/usr/bin/python3
"""Holds the documentation to the tree: links lead somewhere, named files and make targets exist."""
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# `engine/run`, `scripts/install-deps`, `docs/errors.md`: a code span that starts with one of the tree's folders.
PATH = re.compile(r"`((?:\.ci|bench|client|cmake|deploy|docs|engine|export|models|proto|scripts|server|tests)/[^`\s*{}<>:|]*)`")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def documents():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split()
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in listed if (ROOT / name).exists()}


def anchors(text):
    """The anchors that GitHub gives a page's headings."""
    found = set()
    for heading in re.findall(r"^#+ +(.*?) *$", FENCE.sub("", text), re.M):
        plain = re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


class Docs(unittest.TestCase):
    def test_there_are_documents_to_check(self):
        self.assertIn("README.md", documents())

    def test_links_lead_somewhere(self):
        pages, broken = documents(), []
        for name, text in pages.items():
            for target in LINK.findall(FENCE.sub("", text)):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                place = (ROOT / name).parent / path if path else ROOT / name
                if not place.exists():
                    broken.append(f"{name}: {target}")
                elif anchor and place.suffix == ".md" and anchor not in anchors(place.read_text(encoding="utf-8")):
                    broken.append(f"{name}: {target} (no such heading)")
        self.assertEqual([], broken)

    def test_named_files_and_folders_exist(self):
        missing = [f"{name}: `{path}`" for name, text in documents().items() if name != "CHANGELOG.md"
                   for path in PATH.findall(FENCE.sub("", text))
                   if not (ROOT / path).exists() and not re.search(r"[A-Z]{3}", path)]
        self.assertEqual([], missing)

    def test_make_targets_exist(self):
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
        wrong = [f"{name}: make {target}" for name, text in documents().items()
                 for target in re.findall(r"(?:`|^\$? ?)make ([a-z-]+)", text, re.M) if target not in targets]
        self.assertEqual([], wrong)

    def test_make_clean_leaves_what_the_docs_put_into_out(self):
        # Not as a part of the make that may run this test.
        outside = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
        said = subprocess.run(["make", "-n", "clean"], cwd=ROOT, env=outside, check=True, capture_output=True, text=True)
        self.assertEqual("rm -rf build", said.stdout.strip())

    def test_imported_models_go_into_a_folder_of_their_own(self):
        # In models/ a second translator makes `heed translate` without --model ambiguous.
        wrong = [f"{name}: {line}" for name, text in documents().items() for line in text.splitlines()
                 if re.search(r"--out[ =]models/|verify models/mine|beside those in `models`", line)]
        self.assertEqual([], wrong)

    def test_each_program_knows_the_others_variables(self):
        def named(path, pattern):
            return set(re.findall(pattern, (ROOT / path).read_text(encoding="utf-8")))

        server = {"HEED_" + flag.upper() for flag in named("docs/flags.md", r"(?m)^\| `--([a-z_]+)`")}
        missing = server ^ named("client/cli/variables.cc", r'"(HEED_[A-Z_]+)"')
        self.assertEqual(set(), missing, "kOfTheServer of client/cli/variables.cc has one for each flag of heed-server")
        client = {name for row in re.findall(r"(?m)^\| `--.*$", (ROOT / "docs/client.md").read_text(encoding="utf-8"))
                  for name in re.findall(r"`(HEED_[A-Z_]+)`", row.split("(")[0])}
        self.assertIn("HEED_TLS_CLIENT_KEY", client)
        listed = named("server/config/flags.cc", r'"(HEED_[A-Z_]+)"')
        self.assertEqual(set(), (client - server) ^ listed, "UnknownServerVariables of server/config/flags.cc")

    def test_what_is_written_of_fields_is_what_the_protos_say(self):
        # The table of docs/bundle.md, and the bounds that heed_export holds its files to.
        said = subprocess.run([ROOT / "scripts/search-fields", "--check"], capture_output=True, text=True)
        self.assertEqual("", said.stdout + said.stderr)
        page = documents()["docs/bundle.md"]
        search = (ROOT / "proto/heed/v1/search.proto").read_text(encoding="utf-8")
        message = re.search(r"^message SearchOptions \{(.*?)^\}", search, re.M | re.S)[1]
        fields = re.findall(r"^ +(?:optional |repeated )?\w+ (\w+) = \d+ \[", message, re.M)
        self.assertGreater(len(fields), 25)
        self.assertEqual([], [f for f in fields if f"| `{f}` |" not in page])

    def test_the_readme_lists_the_metrics_that_there_are(self):
        counted = set()
        for path in (ROOT / "server/metrics").glob("*.cc"):
            counted |= set(re.findall(r'"(heed_[a-z_]+)"', path.read_text(encoding="utf-8")))
        listed = set(re.findall(r"^\| `(heed_[a-z_]+)`", documents()["README.md"], re.M))
        self.assertEqual(counted, listed)


if __name__ == "__main__":
    unittest.main()
