"""Where each test set comes from that a number in this repository was measured on, how its lines were made, and whether the
files that are here are those. Fetches nothing.

    python3 -m heed_export.measure.test_sets                # what they are
    python3 -m heed_export.measure.test_sets --data DATA    # the same, and each file of DATA against its SHA-256; 1 if one differs

DATA/NAME/test.src and DATA/NAME/test.tgt are aligned by line, UTF-8, a sentence a line. None of this text is in the
repository.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class TestSet:
    """A test set: its folder below DATA, lines, SHA-256 of test.src and test.tgt, origin, making, licence, what uses it."""

    name: str
    lines: int
    source: str
    target: str
    origin: str
    made: str
    license: str
    used: str


TEST_SETS = (
    TestSet(
        "pydocs-ko-en",
        3109,
        "8ee6287522d5cff410f561acca926d63bae54080e5a5f194ca965f7e74aaf1be",
        "94d246de51ff2813cb461ddbb85d3c46400434325cd79cc7cb03e0aacb0e621d",
        "github.com/python/python-docs-ko, branches 3.13, 3.9 and 3.8",
        "Of the .po files, fuzzy and empty entries left out: msgstr as source, msgid as target, markup stripped, cut into sentences "
        "where both sides have as many, 2 to 50 words, at least 35 % of the letters Hangul, each English sentence once (lower case). "
        "Split by a hash of the .po file's path, so that no document is in two splits.",
        "PSF-2.0",
        "models/pydocs-ko-en, docs/attention.md, bench/README.md",
    ),
    TestSet(
        "techdocs-ko-en",
        1009,
        "8686c16e2183ad6934a0820bd88f1b85a06752a04dbb4002f2129da17b16daef",
        "f505672518396baac33a401710eceb4ec578b59923234d6c5fa4375c16f772d3",
        "the translated documentation and catalogues of 45 free projects, among them github.com/tensorflow/docs-l10n, "
        "tldr-pages/tldr, MicrosoftDocs/cpp-docs.ko-kr (human translations), reactjs/ko.react.dev, withastro/docs and webpack.kr",
        "Blocks of both languages aligned by kind, length and shared code; markup stripped; what has unequal numbers or identifiers "
        "left out; whole documents, in the order of their names' SHA-1, until 1,000 lines.",
        "CC-BY-4.0, MIT, BSD and Apache-2.0, by project",
        "export/recipes/techdocs-ko-en.json",
    ),
    TestSet(
        "tatoeba-ko-en",
        328,
        "17e4f6d4c52c99a3c7dae44ecbb7d22ed8be0f27da2a8b20bb3be7677c890fdd",
        "3dd935bc4ca04cad9b20e9bd17a814357cd2ef59fefe7faafb5adda6644e1805",
        "tatoeba.org, in the Korean-English selection of manythings.org/anki (github.com/nate-koser/kor-eng-translator, kor.txt)",
        "3,798 lines, split at random by the English sentence.",
        "CC-BY-2.0-FR, each sentence by its contributor",
        "nothing yet but training, whose text it is split from",
    ),
    TestSet(
        "sae4k-ko",
        1000,
        "c50ab8430c9c6349782b0eac53c875d67cafaabd21d80ac8570bc3c130c04c18",
        "7d659c0b76d8a05d768e9caf9599a728fe6de2224dfcc0a37bb4bc76f3e2ca41",
        "github.com/warnikchow/sae4k, data/sae4k_v1.txt (Cho et al. 2020, Findings of EMNLP)",
        "30,836 lines, each source once, shuffled; 1,000 of them.",
        "CC-BY-SA-4.0",
        "models/sae4k-ko",
    ),
    TestSet(
        "sentcomp-en",
        1000,
        "2fb663eb9e4f8c01142ad68155acc2c38bb78cba77694cc379e50616f4f3f98c",
        "95addb4551a92525d4ed24abbaae133f2e197bd6bf3c366d7888d8e10b32df4c",
        "github.com/google-research-datasets/sentence-compression, its 10,000 evaluation pairs (Filippova and Altun 2013)",
        "The first 1,000.",
        "none stated: for measuring alone",
        "docs/attention.md",
    ),
)

# Made here, by rule: python3 -m heed_export.measure.kept make KIND
MADE = (
    ("requests", "300 Korean requests with numbers, Latin words and names, of kept.py's templates"),
    ("prohibitions", "200 Korean prohibitions, of kept.py's templates"),
    ("sentences", "lines with numbers or identifiers of the test sets above, by kept.py"),
)


def difference(test_set: TestSet, data: pathlib.Path) -> str:
    """What is wrong with the files below `data`; empty when they are the test set's."""
    for name, want in (("test.src", test_set.source), ("test.tgt", test_set.target)):
        path = data / test_set.name / name
        if not path.is_file():
            return f"{path} is not there"
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != want:
            return f"{path} has SHA-256 {found}, not {want}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, help="folder that the test sets' folders are in")
    arguments = parser.parse_args()
    wrong = 0
    for t in TEST_SETS:
        print(f"{t.name}: {t.lines:,} lines\n  from: {t.origin}\n  made: {t.made}\n  licence: {t.license}\n  used by: {t.used}")
        print(f"  SHA-256: test.src {t.source}\n           test.tgt {t.target}")
        if arguments.data:
            found = difference(t, arguments.data)
            wrong += bool(found)
            print(f"  here: {found or 'the same'}")
    for name, what in MADE:
        print(f"{name}: {what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
