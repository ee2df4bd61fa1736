#!/usr/bin/python3
"""heed-export precision: what it recommends, where its table goes, and a whole bundle measured through real servers.

Usage: precision_test.py [BUILD] [unittest arguments]; without a build folder what needs a server is skipped.
"""

import hashlib
import json
import os
import pathlib
import shutil
import sys
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import presets
from heed_export.bundle import bundle, certificate
from heed_export.measure import measuring, precision
from heed_export.measure.precision import Measured, Run
from in_a_folder import InAFolder, command

DATA = presets.ROOT / "tests/data/marian"
BUILD: list[pathlib.Path] = []  # of CMake, or none


def passes(name: str, float32: float, **others: float) -> list[Run]:
    """Runs by precision ("int8", "float32_shortlist") with these values of a metric."""
    runs = {"float32": float32, **others}
    return [Run(p.split("_")[0], p.endswith("_shortlist"), {name: v, "chrF": 1.0}, 0.5) for p, v in runs.items()]


class Recommended(unittest.TestCase):
    def test_it_loses_at_most_two_tenths_of_bleu(self):
        for bfloat16, int8, expected in (
            (36.41, 36.41, ["int8", "bfloat16"]),
            (36.5, 36.21, ["int8", "bfloat16"]),
            (36.41, 36.2, ["bfloat16"]),
            (36.1, 36.45, ["int8"]),
            (36.1, 36.1, ["float32"]),
        ):
            self.assertEqual(expected, precision.recommended(passes("BLEU", 36.41, bfloat16=bfloat16, int8=int8)))

    def test_it_loses_at_most_half_a_point_of_exact_match(self):
        self.assertEqual(["int8"], precision.recommended(passes("exact match %", 47.6, int8=47.1)))
        self.assertEqual(["float32"], precision.recommended(passes("exact match %", 47.6, int8=47.0)))

    def test_with_a_shortlist_it_is_compared_with_float32_of_that_shortlist(self):
        runs = passes("BLEU", 36, float32_shortlist=35.5, int8=36, int8_shortlist=35.4)
        self.assertEqual(["int8"], precision.recommended(runs))
        runs = passes("BLEU", 36, float32_shortlist=35.5, int8=36, int8_shortlist=35.2)
        self.assertEqual(["float32"], precision.recommended(runs))

    def test_what_was_not_measured_is_not_recommended(self):
        self.assertEqual(["float32"], precision.recommended(passes("BLEU", 36)))


class Card(unittest.TestCase):
    SECTION = "## Precision\n\ntable"

    def test_the_section_comes_behind_quality_and_replaces_itself(self):
        before, after = "# a\n\n## Data\n\nb\n\n## Quality\n\n| c |\n\n### d\n\n", "## Training\n\n```\n e\n```\n"
        once = measuring.with_section(before + after, self.SECTION)
        self.assertEqual(f"{before}{self.SECTION}\n\n{after}", once)
        self.assertEqual(once, measuring.with_section(once, self.SECTION))
        self.assertIn("## Precision\n\nother\n\n## Training", measuring.with_section(once, "## Precision\n\nother"))

    def test_a_card_without_quality_gets_it_at_its_end(self):
        once = measuring.with_section("# a\n\nb", self.SECTION)
        self.assertEqual("# a\n\nb\n\n## Precision\n\ntable\n", once)
        self.assertEqual(once, measuring.with_section(once, self.SECTION))

    def test_the_table_has_a_row_a_pass(self):
        found = Measured(passes("BLEU", 36.7513, float32_shortlist=36.7, int8=36.6, int8_shortlist=36.5), "by us")
        told = precision.advice(found, "docs/test", 3109)
        text = precision.table(told)
        self.assertIn("On the 3,109 lines of docs/test, with the model's own search, through a server\n(by us):", text)
        self.assertIn("| float32 | 36.75 | 1 | 50.0 % |", text)
        self.assertIn("| int8, shortlist | 36.5 | 1 | 50.0 % |", text)
        self.assertEqual({"precision": "float32", "metrics": {"BLEU": 36.7513, "chrF": 1.0}, "same_lines": 0.5},
                         told["measured"][0])  # fmt: skip
        self.assertTrue(told["measured"][3]["shortlist"])


class Replace(InAFolder):
    def test_the_other_files_stay_byte_for_byte_and_the_sums_are_right(self):
        folder = self.folder / "m"
        folder.mkdir()
        for name, data in (("model.json", b"{}"), ("weights.safetensors", b"\x00\xff"), ("README.md", b"old")):
            (folder / name).write_bytes(data)
        sums = "".join(
            f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in sorted(folder.iterdir())
        )
        (folder / "SHA256SUMS").write_text(sums)
        digest = bundle.replace(folder, {"README.md": b"new"})
        self.assertEqual(["m"], [p.name for p in self.folder.iterdir()])
        self.assertEqual(b"\x00\xff", (folder / "weights.safetensors").read_bytes())
        self.assertEqual(b"new", (folder / "README.md").read_bytes())
        new = (folder / "SHA256SUMS").read_bytes()
        self.assertEqual(digest, hashlib.sha256(new).hexdigest())
        self.assertIn(f"{hashlib.sha256(b'new').hexdigest()}  README.md\n", new.decode())
        self.assertEqual(3, new.count(b"\n"))


class Faults(InAFolder):
    def setUp(self):
        super().setUp()
        self.test = self.put("t.src", "a\nb\n")
        self.flags = ("--test", self.test, "--reference", self.put("t.ref", "a\nb\n"))

    def line(self, *arguments) -> str:
        code, _, err = command("precision", *arguments)
        self.assertEqual(1, code)
        self.assertEqual(1, err.count("\n"), err)
        return err.removeprefix("heed-export precision: ").strip()

    def test_each_is_one_line(self):
        self.assertEqual(f"{self.folder}: is no bundle", self.line(self.folder, *self.flags))
        self.put("SHA256SUMS", "")
        build = ("--build", self.folder)
        self.assertIn("has no heed-server and heed: make build", self.line(self.folder, *self.flags, *build))
        (self.folder / "server").mkdir()
        (self.folder / "server/heed-server").write_text("")
        short = ("--test", self.test, "--reference", self.put("short.ref", "a\n"))
        self.assertRegex(self.line(self.folder, *short, *build), "t.src has 2 lines and .*short.ref 1")
        named = (*self.flags, *build, "--test-set", "a\nb")
        self.assertIn("--test-set: 'a\\nb' must be 1 to 200 printable bytes", self.line(self.folder, *named))
        self.assertIn("t.none: does not exist", self.line(self.folder, *self.flags, *build, "--test", "t.none"))
        self.put("model.json", '{"task": "TASK_TRANSLATE"}')
        with unittest.mock.patch.object(precision.needs.importlib.util, "find_spec", return_value=None):
            line = self.line(self.folder, *self.flags, *build)
        self.assertRegex(line, r"^needs sacrebleu, which \S+ lacks: .*pip install sacrebleu$")

    def test_a_precision_that_is_there_but_fails_is_a_fault(self):
        lacking = RuntimeError('{"event":"x"}\nheed-server: model m 1 cannot ...: bfloat16 needs AVX512_BF16, which')
        self.assertEqual("bfloat16 needs AVX512_BF16, which", precision._lacks(lacking, "bfloat16"))
        with self.assertRaisesRegex(ValueError, "^heed-server: memory: too little$"):
            precision._lacks(RuntimeError("log\nheed-server: memory: too little\n"), "bfloat16")


class Whole(InAFolder):
    """A student whose texts are summaries, so that no sacrebleu is needed, measured against its own outputs."""

    LINES = (DATA / "lines.src").read_text(encoding="utf-8").splitlines()

    def setUp(self):
        super().setUp()
        if not BUILD:
            self.skipTest("no build folder given")
        files = self.folder / "student"
        files.mkdir()
        for name in ("model.enxx.float32.bin", "vocab.enxx.spm", "lex.50.50.enxx.s2t.bin"):
            shutil.copy(DATA / name, files)
        self.bundle = self.folder / "m"
        flags = ["--license=CC0-1.0", "--summarize", "--source-language=en", "--segmentation=none", "--no-verify",
                 "--too-long=error"]  # fmt: skip
        code, _, err = command("marian", files, f"--out={self.bundle}", *flags)
        self.assertEqual((0, ""), (code, err))
        self.test = self.put("lines.src", "".join(f"{line}\n" for line in self.LINES))

    def measure(self, *flags, references=None) -> tuple[int, str, str]:
        given = self.put("lines.ref", "".join(f"{line}\n" for line in references or self.LINES))
        return command("precision", self.bundle, "--test", self.test, "--reference", given, "--build", BUILD[0], *flags)

    def test_the_bundle_has_what_was_measured_and_loads(self):
        weights = (self.bundle / "weights.safetensors").read_bytes()
        code, out, err = self.measure("--test-set=lines")
        self.assertEqual((0, ""), (code, err))
        told = json.loads((self.bundle / "model.json").read_text())["precision"]
        runs = {(m["precision"], m.get("shortlist", False)): m for m in told["measured"]}
        self.assertEqual(("lines", len(self.LINES)), (told["test_set"], told["lines"]))
        self.assertRegex(told["by"], r"^heed-server [\d.]+, \w+$")
        self.assertEqual(1, runs["float32", False]["same_lines"])
        self.assertEqual({"exact match %", "ROUGE-L F1"}, set(runs["float32", True]["metrics"]))
        for name in ("bfloat16", "int8"):
            if f"left out: {name}: {name} needs" not in out:
                self.assertIn((name, True), runs)
        self.assertIn("| float32, shortlist |", (self.bundle / "README.md").read_text(encoding="utf-8"))
        self.assertEqual(weights, (self.bundle / "weights.safetensors").read_bytes())
        measured = certificate.verify(BUILD[0] / "server/heed-server", self.bundle)
        self.assertEqual("float32", measured["precision"])
        again = (self.bundle / "README.md").read_bytes()
        self.assertEqual(0, self.measure("--test-set=lines")[0])
        self.assertEqual(again, (self.bundle / "README.md").read_bytes())

    def test_what_the_machine_lacks_is_left_out_and_not_recommended(self):
        with unittest.mock.patch.dict(os.environ, {"ONEDNN_MAX_CPU_ISA": "AVX2"}):
            code, out, err = self.measure()
        self.assertEqual((0, ""), (code, err))
        self.assertIn("left out: bfloat16: bfloat16 needs AVX512_BF16, which is not there: products run on AVX2\n", out)
        self.assertIn("left out: int8: int8 needs VNNI, which is not there", out)
        told = json.loads((self.bundle / "model.json").read_text())["precision"]
        self.assertEqual(["float32"], told["recommended"])
        self.assertEqual({"float32"}, {m["precision"] for m in told["measured"]})

    def test_nothing_is_written_by_a_dry_run_or_where_a_line_has_no_output(self):
        before = {p.name: p.read_bytes() for p in self.bundle.iterdir()}
        code, out, _ = self.measure("--dry-run")
        self.assertEqual(0, code)
        self.assertIn("recommended: ", out)
        self.LINES = [*self.LINES, "a " * 20000]
        self.test = self.put("lines.src", "".join(f"{line}\n" for line in self.LINES))
        code, _, err = self.measure()
        self.assertEqual(1, code)
        self.assertIn("heed-export precision: heed ended with exit code", err)
        self.assertEqual(before, {p.name: p.read_bytes() for p in self.bundle.iterdir()})


if __name__ == "__main__":
    BUILD = [pathlib.Path(p).resolve() for p in sys.argv[1:2]]
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
