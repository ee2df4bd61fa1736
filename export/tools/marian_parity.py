#!/usr/bin/python3
"""Imports Marian students, serves them, and counts on how many lines they say what Marian itself says, or fxtranslate.

    export/tools/marian_parity.py FOLDER --build build/release --marian [--oracle]

FOLDER holds one model in one or more containers, `model.PAIR.KIND.bin` (KIND: float32, intgemm.alphas), its vocabulary
`*vocab.PAIR.spm`, perhaps `lex.*.s2t.bin`, and sentences `lines.src`. tests/data/marian/make.py makes such folders, one of
the size that Firefox ships among them. float32 containers are served in float32, int8 ones in int8. --marian asks Marian,
npm's @browsermt/bergamot-translator 0.4.9 under node, by export/tools/marian_wasm.cjs: of each container, and where there
is a shortlist with it as well. Answers that lie in FOLDER are read too: `marian.KIND.hyp`, `fxtranslate.KIND.hyp`, with a
shortlist `SAID.KIND.shortlist.hyp`. Of each:

- the text of heed's answers (greedy, through heed-server) equals the line, byte by byte. fxtranslate leaves out <unk>, so
  it may be said and is left out here, and ends four tokens later, so heed is asked to;
- with --oracle, for int8 and where a line of Marian's differs, heed's tokens equal those of the float64 oracle on the same weights and source ids;
- with KIND.alignment.jsonl ({"source_ids", "target_ids" without </s>, "alignment": rows, </s> included}; a line each of
  the first lines), the largest difference from heed's rows: head 0 of the last layer, which Marian calls the alignment.

Marian's int8 is asked for with exact sums, as Firefox has them; --own asks for those that the package brings, which cuts
them as x86 before VNNI does. fxtranslate's products of int8 are not exact on AVX2 (docs/importing/marian.md), so its lines
and those of --own are counted and no more.

Exit code 1 when something differs that should not: a float32 line of fxtranslate's; a line of Marian's or a token of the
oracle's where the oracle's margin is at least 1e-3, for int8 0.3, since what lies between two int8 numbers may be rounded
either way; an alignment by more than 1e-4.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from heed_export import cli  # noqa: E402
from heed_export.importers import marian  # noqa: E402
from heed_export.measure import served, serving  # noqa: E402
from reference import marian_student, trace  # noqa: E402

MARGIN, INT8_MARGIN, ALIGNMENT = 1e-3, 0.3, 1e-4
UNKNOWN = " \u2047 "  # how SentencePiece writes <unk>
HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = "@browsermt/bergamot-translator"
VERSION = "0.4.9"
OWN = "marian with its own products"


def only(folder: pathlib.Path, pattern: str) -> pathlib.Path | None:
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        raise SystemExit(f"{folder}: holds {len(found)} files like {pattern}, expected one")
    return found[0] if found else None


def lines_of(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


class Run:
    """A container, `kind`, with or without a shortlist: heed's answers are compared with the lines that others, `said`,
    have of the same."""

    def __init__(self, folder: pathlib.Path, said: str, kind: str, lexicon: pathlib.Path | None):
        self.folder, self.said, self.kind, self.lexicon = folder, said, kind, lexicon
        self.name = kind + (".shortlist" if lexicon else "")
        self.int8 = kind != "float32"
        self.margin = INT8_MARGIN if self.int8 else MARGIN
        self.model = only(folder, f"model.*.{kind}.bin")
        shared = only(folder, "vocab.*spm")
        self.vocabularies = [shared] if shared else [only(folder, "srcvocab.*spm"), only(folder, "trgvocab.*spm")]
        self.failed = False

    def ask_marian(self, package: pathlib.Path, *flags: str) -> list[str]:
        command = ["node", HERE / "marian_wasm.cjs", package, self.model, ",".join(map(str, self.vocabularies))]
        command += [self.folder / "lines.src", *(["--shortlist", self.lexicon] if self.lexicon else []), *flags]
        asked = subprocess.run(command, capture_output=True, encoding="utf-8")
        if asked.returncode != 0:
            raise SystemExit(asked.stderr)
        return lines_of(asked.stdout)

    def serve(self, build: pathlib.Path) -> list[served.Output]:
        with tempfile.TemporaryDirectory() as place:
            arguments = ["marian", self.model, "--vocabs", *self.vocabularies, "--license", "CC0-1.0"]
            arguments += ["--out", f"{place}/models/m", "--no-verify"]
            arguments += ["--segmentation", "none", "--source-language", "mul", "--target-language", "mul"]
            flags = ["--attention", "--unit=pieces"]
            if self.said == "fxtranslate":
                arguments += ["--allow-unk"]
                flags += ["--max_length_a=2", "--max_length_b=4"]
            if self.lexicon:
                arguments += ["--shortlist", self.lexicon]
            if cli.main([str(a) for a in arguments]) != 0:
                raise SystemExit(1)
            precision = "int8" if self.int8 else "float32"
            with serving.Server(build, pathlib.Path(place) / "models", f"--precision={precision}") as server:
                return served.parse(server.ask("translate", "m", self.folder / "lines.src", *flags))

    def oracle(self):
        files = marian.load(self.model, self.vocabularies, self.lexicon)
        model = marian_student.Student(files.weights.arrays, files.options)
        if self.lexicon:
            model = marian_student.Shortlisted(model, files.shortlist, len(files.target), files.shared)
        return model, files.target.eos, None if self.said == "fxtranslate" else files.target.unk

    def measure(self, said: list[str], build: pathlib.Path, with_oracle: bool) -> None:
        answers = self.serve(build)
        if len(said) != len(answers):
            raise SystemExit(f"{self.said}, {self.name}: has {len(said)} lines, lines.src {len(answers)}")
        other = [i for i, (answer, line) in enumerate(zip(answers, said)) if not self.alike(answer, line)]
        tokens = sum(len(segment.tokens) for answer in answers for segment in answer.segments)
        print(f"{self.name}: {len(said) - len(other)} of {len(said)} lines as {self.said} says them, {tokens} tokens")
        for i in other[:5]:
            print(f"  line {i + 1}: {'heed':{len(self.said)}} {answers[i].text!r}\n  line {i + 1}: {self.said} {said[i]!r}")
        if self.said == "fxtranslate":
            self.failed |= bool(other) and not self.int8
        if with_oracle or self.int8 and self.said != OWN or other and self.said == "marian":
            margins = self.against_oracle(answers)
            if self.said == "marian":
                self.failed |= any(margins[i] >= self.margin for i in other)
        alignment = self.folder / f"{self.kind}.alignment.jsonl"
        if alignment.is_file() and not self.lexicon and self.said == "fxtranslate":
            self.against_alignment(answers, lines_of(alignment.read_text(encoding="utf-8")))

    def alike(self, answer: served.Output, line: str) -> bool:
        if self.said == "fxtranslate":
            return answer.text.replace(UNKNOWN, "") == line
        return answer.text == line

    def against_oracle(self, answers: list[served.Output]) -> list[float]:
        """The oracle's smallest margin on each line."""
        model, eos, unk = self.oracle()
        equal, ties, largest, margins = 0, 0, 0.0, []
        more = 4 if self.said == "fxtranslate" else 0
        for number, answer in enumerate(answers, start=1):
            (segment,) = answer.segments
            ids = segment.source_ids
            found = trace.greedy(model, ids, None, eos, 2 * len(ids) + more, banned=unk)
            margins.append(min(found.margins))
            if found.tokens == segment.tokens:
                equal += 1
                difference = np.subtract(found.log_probabilities, segment.log_probabilities)
                largest = max(largest, float(np.max(np.abs(difference), initial=0)))
                continue
            pairs = list(zip(found.tokens, segment.tokens))
            first = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs) - 1)
            if found.margins[first] < self.margin:
                ties += 1
            else:
                self.failed = True
                print(f"  line {number}: token {first} differs, the oracle's margin is {found.margins[first]:.4f}")
        print(
            f"{self.name}: {equal} of {len(answers)} lines token by token as the float64 oracle ({ties} more differ "
            f"first where its margin is below {self.margin}); largest difference of a log-probability {largest:.1e}"
        )
        return margins

    def against_alignment(self, answers: list[served.Output], lines: list[str]) -> None:
        largest, same = 0.0, 0
        for answer, line in zip(answers, lines):
            wanted, (segment,) = json.loads(line), answer.segments
            same += wanted["source_ids"] == segment.source_ids and wanted["target_ids"] == segment.tokens[:-1]
            rows, own = np.array(wanted["alignment"]), segment.attention["weights"]
            largest = max(largest, float(np.abs(rows - own).max()) if rows.shape == own.shape else np.inf)
        print(
            f"{self.name}: alignment of {len(lines)} lines, {same} with the same ids: largest difference {largest:.1e}"
        )
        self.failed |= largest > ALIGNMENT or same != len(lines)


def install(folder: str) -> pathlib.Path:
    """Marian, from npm into a folder."""
    command = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", folder, f"{PACKAGE}@{VERSION}"]
    subprocess.run(command, check=True)
    return pathlib.Path(folder) / "node_modules" / PACKAGE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="CMake's folder with heed-server and heed")
    parser.add_argument("--marian", action="store_true", help="ask Marian itself; needs node, and npm unless --package")
    parser.add_argument("--own", action="store_true", help="with --marian: int8 with the package's own products, too")
    parser.add_argument(
        "--package",
        type=pathlib.Path,
        metavar="FOLDER",
        help=f"{PACKAGE} {VERSION} as npm installed it; default: it is installed into a temporary folder",
    )
    parser.add_argument("--oracle", action="store_true", help="the float64 oracle on float32 containers too (slow)")
    args = parser.parse_args()
    lexicon = only(args.folder, "lex.*.s2t.bin")
    failed = False

    def compare(run: Run, lines: list[str]) -> None:
        nonlocal failed
        run.measure(lines, args.build.resolve(), args.oracle)
        failed |= run.failed

    for path in sorted([*args.folder.glob("fxtranslate.*.hyp"), *args.folder.glob("marian.*.hyp")]):
        said, _, kind = path.name.removesuffix(".hyp").partition(".")
        shortlisted = kind.endswith(".shortlist")
        run = Run(args.folder, said, kind.removesuffix(".shortlist"), lexicon if shortlisted else None)
        if run.model is None:
            print(f"{path.name}: left out, there is no model.*.{run.kind}.bin")
            continue
        compare(run, lines_of(path.read_text(encoding="utf-8")))
    if args.marian:
        with tempfile.TemporaryDirectory() as place:
            package = args.package or install(place)
            for path in sorted(args.folder.glob("model.*.bin")):
                kind = path.name.split(".", 2)[2].removesuffix(".bin")
                for lex in (None, lexicon) if lexicon else (None,):
                    run = Run(args.folder, "marian", kind, lex)
                    compare(run, run.ask_marian(package))
                    if args.own and run.int8:
                        run = Run(args.folder, OWN, kind, lex)
                        compare(run, run.ask_marian(package, "--own"))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
