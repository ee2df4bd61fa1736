#!/usr/bin/python3
"""heed-export calibrate: features, the regression, what counts as right, and a whole bundle through real servers.

Usage: calibrate_test.py [BUILD] [unittest arguments]; without a build folder what needs a server is skipped.
"""

import json
import math
import pathlib
import shutil
import sys
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import presets
from heed_export.measure import calibrate, confidence, metrics, served, serving
from heed_export.text import scripts
from in_a_folder import InAFolder, command

DATA = presets.ROOT / "tests/data/marian"
BUILD: list[pathlib.Path] = []  # of CMake, or none


class Features(unittest.TestCase):
    def test_of_a_segment_they_are_what_the_server_takes(self):
        found = confidence.of_segment([-0.5, -2, -0.25, -0.25], 2)
        np.testing.assert_allclose([-0.75, -2, math.log(4), math.log(2)], found)
        self.assertEqual(-100, confidence.of_segment([-math.inf], 1)[0])

    def test_of_a_token_its_neighbours_count(self):
        found = confidence.of_tokens([-1, -0.5, -0.25, -4, -0.25])
        np.testing.assert_allclose([-1, -0.5, -0.25, -4, -0.25], found[:, 0])
        np.testing.assert_allclose([-1, -1, -4, -4, -4], found[:, 1])
        np.testing.assert_allclose([-1.2] * 5, found[:, 2])


class Right(unittest.TestCase):
    def test_a_token_is_right_where_the_reference_has_its_words_as_often(self):
        text = "a set, a map"
        spans = [(0, 1), (2, 4), (4, 5), (5, 6), (7, 8), (9, 12), (12, 12)]
        self.assertEqual([True, True, True, True, False, True, None], confidence.right_tokens(text, spans, "the set, map a"))

    def test_a_piece_of_a_wrong_word_is_wrong_and_bytes_are_counted(self):
        self.assertEqual([True, False, False], confidence.right_tokens("거실 켜기", [(0, 6), (7, 10), (10, 13)], "거실 끄기"))
        self.assertEqual([False], confidence.right_tokens("ab()", [(0, 4)], "ab ("), "it reaches over a wrong word")

    def test_sentence_chrf_is_sacrebleus(self):
        for output, reference, expected in (
            ("Returns the string.", "Return a string.", 63.36226407659189),
            ("거실 제습기 끄기", "거실 제습기 켜기", 49.28571428571429),
            ("ab", "abc", 63.636363636363626),
            ("", "abc", 0),
            ("x", "abc", 0),
        ):
            self.assertAlmostEqual(expected, metrics.sentence_chrf(output, reference))

    def test_the_measure_is_the_tasks_own_or_given(self):
        exact = calibrate.judge(None, "summarize")
        self.assertTrue(exact.right("a  b", "a b"))
        self.assertFalse(exact.right("a b.", "a b"))
        near = calibrate.judge("chrF:63.5", "summarize")
        self.assertEqual("a sentence chrF of 63.5 or more against the reference", near.words)
        self.assertTrue(near.right("ab", "abc"))
        self.assertFalse(near.right("Returns the string.", "Return a string."))
        self.assertIn("chrF of 60 or more", calibrate.judge(None, "translate").words)
        for wrong in ("chrF", "chrF:0", "chrF:x", "chrF:nan", "bleu:30"):
            with self.assertRaisesRegex(ValueError, f"^--right is '{wrong}'; it must be exact, or chrF:N with N above 0"):
                calibrate.judge(wrong, "translate")


class Regression(unittest.TestCase):
    def sample(self, count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, what is right, and how likely it was."""
        random = np.random.default_rng(seed)
        features = random.normal([-0.5, -2], [0.3, 1], (count, 2))
        likely = 1 / (1 + np.exp(-(2.5 + features @ [3.0, 0.5])))
        return features, random.random(count) < likely, likely

    def test_it_finds_the_weights_that_made_the_data(self):
        features, right, likely = self.sample(20000)
        found = confidence.logistic(features, right)
        self.assertAlmostEqual(2.5, found.bias, delta=0.1)
        np.testing.assert_allclose([3, 0.5], found.weights, atol=0.15)
        self.assertLess(np.abs(found(features) - likely).max(), 0.03)

    def test_what_it_says_holds_on_other_data_and_what_does_not_hold_shows(self):
        features, right, _ = self.sample(3000)
        found = confidence.fit(features, right)
        features, right, likely = self.sample(3000, seed=2)
        self.assertTrue(all(row.holds for row in confidence.reliability(found(features), right, 0.3)))
        self.assertFalse(all(row.holds for row in confidence.reliability(np.sqrt(likely), right, 0.3)))

    def test_where_the_logistic_is_off_the_curve_corrects_it(self):
        random = np.random.default_rng(3)
        features = random.uniform(-6, 0, (4000, 1))
        right = random.random(4000) < np.where(features[:, 0] > -1, 0.98, 0.2)  # a step is no logistic
        plain, whole = confidence.logistic(features, right), confidence.fit(features, right)
        near = np.array([[-0.2], [-5.0]])
        self.assertGreater(np.abs(plain(near) - [0.98, 0.2]).max(), 0.1)
        np.testing.assert_allclose([0.98, 0.2], whole(near), atol=0.06)
        points = np.array(whole.curve)
        self.assertTrue((np.diff(points[:, 0]) > 0).all() and (np.diff(points[:, 1]) >= 0).all())
        self.assertLessEqual(len(points), 64)
        self.assertEqual([], confidence.curve(np.linspace(0, 1, 74), np.ones(74, dtype=bool)), "too few")

    def test_the_curve_pools_neighbours_that_fall(self):
        said = np.repeat([0.1, 0.3, 0.5, 0.9], 100)
        right = np.concatenate([np.arange(100) < n for n in (5, 60, 40, 90)])
        self.assertEqual([(0.1, 0.05), (0.3, 0.5), (0.5, 0.5), (0.9, 0.9)], confidence.curve(said, right, 4))

    def test_all_right_or_one_value_give_a_fit_too(self):
        features = np.ones((50, 2))
        self.assertGreater(confidence.fit(features, np.ones(50, dtype=bool))(features).min(), 0.95)
        self.assertLess(confidence.fit(features, np.zeros(50, dtype=bool))(features).max(), 0.05)
        with self.assertRaisesRegex(ValueError, "there is nothing to fit on"):
            confidence.fit(np.ones((0, 2)), np.ones(0, dtype=bool))

    def test_rows_count_and_few_are_allowed_chance(self):
        said, right = np.array([0.05, 0.45, 0.95, 0.95]), np.array([False, True, True, False])
        rows = confidence.reliability(said, right, 0.3)
        self.assertEqual([(i / 10, False) for i in range(10)] + [(0.3, True)], [(r.threshold, r.below) for r in rows])
        self.assertEqual([4, 3, 3, 3, 3, 2, 2, 2, 2, 2, 1], [r.count for r in rows])
        self.assertAlmostEqual(0.95, rows[9].said)
        self.assertEqual((0.5, 0.0), (rows[9].right, rows[10].right))
        self.assertEqual(0.05, confidence.Row(0.5, False, 1000, 0.5, 0.5).allowed)
        self.assertAlmostEqual(0.1, confidence.Row(0.5, False, 100, 0.5, 0.5).allowed)


class Scripts(unittest.TestCase):
    def test_a_language_has_its_scripts_and_a_tag_may_name_one(self):
        self.assertEqual(["Hang"], scripts.of("ko"))
        self.assertEqual(["Hira", "Kana", "Hani"], scripts.of("ja-JP"))
        self.assertEqual(["Latn"], scripts.of("sr-Latn-RS"))
        self.assertEqual(["Hani"], scripts.of("zh-Hant"))
        self.assertIsNone(scripts.of("tlh"))

    def test_the_bound_is_a_third_of_what_nearly_all_lines_have(self):
        lines = calibrate.Lines([], [], np.array([]), [None, 0.0] + [0.601] * 400, "")
        self.assertEqual(0.2, calibrate.least_share(lines, ["Hang"], "x"))
        lines.coverage[:5] = [0.0] * 5
        with self.assertRaisesRegex(ValueError, "^--scripts: 0.5 % of the lines of x or more have nothing in Hang, so"):
            calibrate.least_share(lines, ["Hang"], "x")


class Faults(InAFolder):
    def line(self, *arguments) -> str:
        code, _, err = command("calibrate", *arguments)
        self.assertEqual(1, code)
        self.assertEqual(1, err.count("\n"), err)
        return err.removeprefix("heed-export calibrate: ").strip()

    def test_each_is_one_line(self):
        test = self.put("t.src", "a\nb\n")
        flags = ("--test", test, "--reference", self.put("t.ref", "a\nb\n"))
        self.assertEqual(f"{self.folder}: is no bundle", self.line(self.folder, *flags))
        self.put("SHA256SUMS", "")
        self.put("model.json", '{"task": "TASK_TRANSLATE", "source_language": "tlh"}')
        self.assertEqual("--doubtful is 1.5; it must be 0 to 1", self.line(self.folder, *flags, "--doubtful=1.5"))
        wrong = "--least-share is 0.0; it must be above 0 and at most 1"
        self.assertEqual(wrong, self.line(self.folder, *flags, "--least-share=0"))
        self.assertEqual("--fit and --fit-reference go together", self.line(self.folder, *flags, "--fit", test))
        self.assertIn("--right is 'ter'; it must be", self.line(self.folder, *flags, "--right=ter"))
        short = self.put("short.ref", "a\n")
        self.assertRegex(self.line(self.folder, "--test", test, "--reference", short), "t.src has 2 lines and .* 1")
        one = ("--test", self.put("one.src", "a\n"), "--reference", short)
        self.assertRegex(self.line(self.folder, *one), "one has one line; fitting and checking need one each$")
        self.assertIn("--test-set: 'a\\nb' must be 1 to 180", self.line(self.folder, *flags, "--test-set", "a\nb"))
        build = ("--build", self.folder)
        self.assertIn("has no heed-server and heed: make build", self.line(self.folder, *flags, *build))
        (self.folder / "server").mkdir()
        (self.folder / "server/heed-server").write_text("")
        self.assertRegex(self.line(self.folder, *flags, *build), "^--scripts: what 'tlh' is written in is not known here")

    def test_what_does_not_hold_is_named(self):
        row = confidence.Row(0.8, False, 1000, 0.9, 0.8)
        found = calibrate.Checked("x", 1000, "us", [row, confidence.Row(0.3, True, 9, 0.9, 0)], [], 0)
        self.assertEqual(
            ["of 1,000 lines at 0.8 and more 80.0 % are right, it says 90.0 %: more than 5.0 points apart"],
            calibrate.faults(found),
        )


class Whole(InAFolder):
    """A student whose texts are summaries, calibrated against its own outputs, every third of them spoilt."""

    def setUp(self):
        super().setUp()
        if not BUILD:
            self.skipTest("no build folder given")
        files = self.folder / "student"
        files.mkdir()
        for name in ("model.enxx.float32.bin", "vocab.enxx.spm", "lex.50.50.enxx.s2t.bin"):
            shutil.copy(DATA / name, files)
        self.models = self.folder / "models"
        self.bundle = self.models / "m"
        flags = ["--license=CC0-1.0", "--summarize", "--source-language=en", "--segmentation=none", "--no-verify"]
        code, _, err = command("marian", files, f"--out={self.bundle}", *flags)
        self.assertEqual((0, ""), (code, err))
        self.test = self.put("lines.src", (DATA / "lines.src").read_text(encoding="utf-8") * 4)

    def ask(self, texts: pathlib.Path) -> list[served.Output]:
        with serving.Server(BUILD[0], self.models) as server:
            return served.parse(server.ask("summarize", "m", texts))

    def fitted(self, told: dict, names) -> confidence.Fit:
        """What model.json says of a fit."""
        points = [(p.get("logistic", 0), p.get("probability", 0)) for p in told.get("curve", [])]
        return confidence.Fit(told["bias"], np.array([told[n] for n in names]), points)

    def test_the_bundle_says_how_likely_it_is_right_as_it_was_fitted(self):
        outputs = [reply.text for reply in self.ask(self.test)]
        self.assertIsNone(self.ask(self.test)[0].segments[0].confidence)
        spoilt = self.put("lines.ref", "".join(f"{o}{'' if i % 3 else ' x'}\n" for i, o in enumerate(outputs)))
        flags = ("--test", self.test, "--reference", spoilt, "--build", BUILD[0], "--test-set=lines", "--doubtful=0.5")
        before = {p.name: p.read_bytes() for p in self.bundle.iterdir()}
        code, out, err = command("calibrate", self.bundle, *flags, "--dry-run")
        self.assertEqual((0, ""), (code, err))
        self.assertEqual(before, {p.name: p.read_bytes() for p in self.bundle.iterdir()})
        code, out, err = command("calibrate", self.bundle, *flags)
        self.assertEqual((0, ""), (code, err))
        after = {p.name: p.read_bytes() for p in self.bundle.iterdir()}
        self.assertEqual({"model.json", "README.md", "SHA256SUMS"}, {n for n in after if after[n] != before[n]})
        spec = json.loads(after["model.json"])
        told = spec["confidence"]
        self.assertEqual(("the reference's very words", "lines, odd lines"), (told["right"], told["fitted_on"]))
        self.assertEqual(0.5, told["doubtful"])
        self.assertEqual(["Latn"], spec["source_scripts"]["scripts"])
        card = after["README.md"].decode()
        self.assertIn("\n## Confidence\n\nHow likely an output is right: the reference's very words.", card)
        self.assertIn(out.strip().split("\n")[0], card)

        replies = self.ask(self.put("asked.src", "The old miller repairs the harbour's bell at the river.\nВсё другое.\n"))
        segment = replies[0].segments[0]
        fitted = self.fitted(told["segment"], confidence.SEGMENT_FEATURES)
        expected = float(fitted(confidence.of_segment(segment.log_probabilities, len(segment.source_ids))))
        whole = segment.finish == "EOS" and not all(segment.special)
        self.assertAlmostEqual(expected if whole else 0, segment.confidence, places=5)
        fitted = self.fitted(told["token"], confidence.TOKEN_FEATURES)
        said = [fitted(features) for features in confidence.of_tokens(segment.log_probabilities)]
        for special, expected, token in zip(segment.special, said, segment.token_confidences):
            self.assertTrue(token is None if special else math.isclose(expected, token, abs_tol=1e-5))
        self.assertEqual((1, 0), (segment.coverage, replies[1].segments[0].coverage))

        self.assertEqual(0, command("calibrate", self.bundle, *flags)[0])
        self.assertEqual(after, {p.name: p.read_bytes() for p in self.bundle.iterdir()}, "it replaces itself")


if __name__ == "__main__":
    BUILD = [pathlib.Path(p).resolve() for p in sys.argv[1:2]]
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
