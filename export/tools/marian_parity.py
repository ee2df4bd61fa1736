#!/usr/bin/python3
"""Imports Marian students that fxtranslate has translated with, serves them, and counts on how many lines both agree.

    export/tools/marian_parity.py FOLDER --build build/release [--oracle]

FOLDER holds one model in one or more containers, `model.PAIR.KIND.bin` (KIND: float32, intgemm.alphas), its vocabulary
`*vocab.PAIR.spm`, perhaps `lex.*.s2t.bin`, sentences `lines.src`, and fxtranslate's answers `fxtranslate.KIND.hyp` and
`fxtranslate.KIND.shortlist.hyp`; tests/data/marian/make.py makes such folders. Of each file of answers:

- the text of heed's answers (greedy, through heed-server) equals the line of fxtranslate's, which leaves out <unk>;
- with --oracle, and always for int8 weights, heed's tokens equal those of the float64 oracle on the same weights and
  source ids. int8 is a comparison with the oracle alone: fxtranslate rounds activations to int8 as well, heed widens
  the weights and computes in float32, so texts differ where the model hesitates;
- with KIND.alignment.jsonl ({"source_ids", "target_ids" without </s>, "alignment": rows, </s> included}; a line each of
  the first lines), the largest difference from heed's rows: head 0 of the last layer, which Marian calls the alignment.

Exit code 1 when something differs that should not: a float32 line, a token of the oracle's where its margin is at least
1e-3, an alignment by more than 1e-4.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from heed_export import cli, marian, served, serving  # noqa: E402
from reference import marian_student, trace  # noqa: E402

MARGIN, ALIGNMENT = 1e-3, 1e-4
UNKNOWN = " \u2047 "  # how SentencePiece writes <unk>


def only(folder: pathlib.Path, pattern: str) -> pathlib.Path | None:
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        raise SystemExit(f"{folder}: holds {len(found)} files like {pattern}, expected one")
    return found[0] if found else None


class Run:
    """One file of answers: `kind` is the container's, `lexicon` the shortlist or None."""

    def __init__(self, folder: pathlib.Path, kind: str, lexicon: pathlib.Path | None):
        self.folder, self.kind, self.lexicon = folder, kind, lexicon
        self.name = kind + (".shortlist" if lexicon else "")
        self.model = only(folder, f"model.*.{kind}.bin")
        shared = only(folder, "vocab.*spm")
        self.vocabularies = [shared] if shared else [only(folder, "srcvocab.*spm"), only(folder, "trgvocab.*spm")]
        self.failed = False

    def serve(self, build: pathlib.Path) -> list[served.Output]:
        with tempfile.TemporaryDirectory() as place:
            arguments = ["marian", self.model, "--vocabs", *self.vocabularies, "--license", "CC0-1.0"]
            arguments += ["--out", f"{place}/models/m", "--heed-server", build / "server/heed-server"]
            arguments += ["--segmentation", "none", "--source-language", "mul", "--target-language", "mul"]
            if self.lexicon:
                arguments += ["--shortlist", self.lexicon]
            if cli.main([str(a) for a in arguments]) != 0:
                raise SystemExit(1)
            with serving.Server(build, pathlib.Path(place) / "models") as server:
                flags = ("--attention", "--unit=pieces")
                return served.parse(server.ask("translate", "m", self.folder / "lines.src", *flags))

    def oracle(self):
        files = marian.load(self.model, self.vocabularies, self.lexicon)
        model = marian_student.Student(files.weights.arrays, files.options)
        if self.lexicon:
            model = marian_student.Shortlisted(model, files.shortlist, len(files.target), files.shared)
        return model, files.target.eos

    def measure(self, build: pathlib.Path, with_oracle: bool) -> None:
        answers = self.serve(build)
        texts = [answer.text.replace(UNKNOWN, "") for answer in answers]
        said = (self.folder / f"fxtranslate.{self.name}.hyp").read_text(encoding="utf-8").splitlines()
        equal = [a == b for a, b in zip(texts, said)]
        tokens = [segment.tokens for answer in answers for segment in answer.segments]
        print(
            f"{self.name}: {sum(equal)} of {len(said)} lines as fxtranslate says them, {sum(map(len, tokens))} tokens"
        )
        if self.kind == "float32" and (len(texts) != len(said) or not all(equal)):
            self.failed = True
            for i in [i for i, same in enumerate(equal) if not same][:5]:
                print(f"  line {i + 1}: heed        {texts[i]!r}\n  line {i + 1}: fxtranslate {said[i]!r}")
        if with_oracle or self.kind != "float32":
            self.against_oracle(answers)
        alignment = self.folder / f"{self.kind}.alignment.jsonl"
        if alignment.is_file() and not self.lexicon:
            self.against_alignment(answers, alignment.read_text(encoding="utf-8").splitlines())

    def against_oracle(self, answers: list[served.Output]) -> None:
        model, eos = self.oracle()
        equal, ties, largest = 0, 0, 0.0
        for number, answer in enumerate(answers, start=1):
            (segment,) = answer.segments
            ids = segment.source_ids
            found = trace.greedy(model, ids, None, eos, min(2 * len(ids) + 4, 256))
            if found.tokens == segment.tokens:
                equal += 1
                difference = np.subtract(found.log_probabilities, segment.log_probabilities)
                largest = max(largest, float(np.max(np.abs(difference), initial=0)))
                continue
            pairs = list(zip(found.tokens, segment.tokens))
            first = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs) - 1)
            if found.margins[first] < MARGIN:
                ties += 1
            else:
                self.failed = True
                print(f"  line {number}: token {first} differs, the oracle's margin is {found.margins[first]:.4f}")
        print(
            f"{self.name}: {equal} of {len(answers)} lines token by token as the float64 oracle ({ties} more differ "
            f"first where its margin is below {MARGIN}); largest difference of a log-probability {largest:.1e}"
        )

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="CMake's folder with heed-server and heed")
    parser.add_argument("--oracle", action="store_true", help="the float64 oracle on float32 containers too (slow)")
    args = parser.parse_args()
    lexicon = only(args.folder, "lex.*.s2t.bin")
    failed = False
    for path in sorted(args.folder.glob("fxtranslate.*.hyp")):
        kind = path.name.removeprefix("fxtranslate.").removesuffix(".hyp")
        shortlisted = kind.endswith(".shortlist")
        run = Run(args.folder, kind.removesuffix(".shortlist"), lexicon if shortlisted else None)
        if run.model is None:
            print(f"{path.name}: left out, there is no model.*.{run.kind}.bin")
            continue
        run.measure(args.build.resolve(), args.oracle)
        failed |= run.failed
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
