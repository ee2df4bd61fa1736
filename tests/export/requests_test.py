#!/usr/bin/python3
"""Korean by rule: variants of request pairs to train on, and sentences to test what an output keeps."""
import contextlib
import hashlib
import io
import pathlib
import random
import re
import sys
import tempfile
import unittest
from dataclasses import replace
from unittest import mock

import support  # noqa: F401  (sets the import path)
from heed_export.measure import kept, served, test_sets
from heed_export.text import hangul
from heed_export.training import documentation, korean_requests

PAIRS = [
    ("거실 전등 좀 꺼줘", "거실 전등 끄기"),
    ("거실에 전등을 켜줄래", "거실 전등 켜기"),
    ("전등이 몇 개니", "전등 개수"),
    ("내일 일곱시에 회의를 잡아줘", "내일 일곱시 회의 잡기"),
    ("회의가 언제니", "회의 시간"),
    ("어제 보낸 메일을 지워줘", "어제 보낸 메일 지우기"),
    ("메일이 왔니", "메일 왔는지"),
    ("보일러 온도 이십이도로 맞춰줘", "보일러 온도 이십이도로 맞추기"),
] * 4


class Hangul(unittest.TestCase):
    def test_numbers_in_words(self):
        said = {22: "이십이", 10: "십", 100: "백", 305: "삼백오", 10_000: "만", 15_000: "만오천", 230_000: "이십삼만"}
        self.assertEqual(said, {n: hangul.sino(n) for n in said})
        said = {1: "한", 7: "일곱", 11: "열한", 20: "스무", 21: "스물한", 59: "쉰아홉"}
        self.assertEqual(said, {n: hangul.native(n) for n in said})

    def test_particles_agree_with_the_end_of_the_word(self):
        for word, particle, want in (
            ("전등", "가", "전등이"), ("회의", "을", "회의를"), ("서울", "으로", "서울로"), ("집", "로", "집으로"),
            ("TV", "은", "TV는"), ("7", "이랑", "7이랑"), ("VPN", "를", "VPN을"), ("집", "에서", "집에서"),
        ):  # fmt: skip
            self.assertEqual(want, hangul.with_particle(word, particle))


class Variants(unittest.TestCase):
    def setUp(self):
        self.rule = korean_requests.Variants(PAIRS)
        rng = random.Random(1)
        self.made = [(pair, self.rule.variant(pair, rng)) for pair in PAIRS * 40]

    def test_what_the_target_has_of_digits_and_latin_letters_the_source_has(self):
        seen = 0
        for _, (source, target) in self.made:
            for word in re.findall(r"\d+|[A-Za-z]+", target):
                self.assertIn(word, source)
                seen += 1
            self.assertNotRegex(target, r"[?!~]$")
        self.assertGreater(seen, 200)

    def test_a_prohibition_is_one_on_both_sides(self):
        forbidden = [(s, t) for _, (s, t) in self.made if t.endswith("지 않기")]
        self.assertGreater(len(forbidden), 20)
        for source, target in forbidden:
            self.assertRegex(source, re.escape(target.split()[-2][:-1]) + "(지|면|으면)")

    def test_numbers_change_their_spelling_and_value(self):
        times = {t.split("회의")[0] for (s, _), (_, t) in self.made if "일곱시" in s}
        self.assertTrue(any(re.search(r"\d+시", t) for t in times), times)
        self.assertTrue(any(re.search(r"(?:여덟|아홉|열|한|두|세|네)\S*시", t) for t in times), times)

    def test_the_same_state_gives_the_same_variant(self):
        a, b = ([self.rule.variant(p, rng) for p in PAIRS] for rng in (random.Random(7), random.Random(7)))
        self.assertEqual(a, b)


class Documentation(unittest.TestCase):
    def test_numbers_and_identifiers_are_replaced_on_both_sides_alike(self):
        pairs = [
            ("os.path.join()은 3개의 인자를 받습니다.", "os.path.join() takes 3 arguments."),
            ("config_file.py를 /etc/app.conf에 복사합니다.", "Copy config_file.py to /etc/app.conf."),
            ("버전 3.14에서 --no-cache가 추가되었습니다.", "--no-cache was added in version 3.14."),
            ("1024바이트", "1024 bytes"), ("두 번", "twice"),
        ]  # fmt: skip
        rule, rng, changed = documentation.Variants(pairs), random.Random(3), 0
        for pair in pairs * 20:
            source, target = rule.variant(pair, rng)
            changed += (source, target) != pair
            self.assertEqual(sorted(kept.identifiers(source)), sorted(kept.identifiers(target)), (source, target))
            self.assertEqual(sorted(kept.numbers(source)), sorted(kept.numbers(target)))
        self.assertGreater(changed, 50)
        self.assertEqual(pairs[-1], rule.variant(pairs[-1], rng))

    def test_others_are_of_the_same_make(self):
        rng = random.Random(1)
        for like, want in (
            ("os.path.join()", r"[a-z]+\.[a-z]+\.[a-z]+\(\)"), ("MAX_SIZE", "[A-Z]+_[A-Z]+"), ("camelCase", "[a-z]+[A-Z][a-z]*"),
            ("file.py", r"[a-z]+\.[a-z]+"), ("--dry-run", "--[a-z]+-[a-z]+"), ("utf8", r"[a-z]+\d"),
        ):  # fmt: skip
            self.assertRegex(documentation.identifier(like, rng), f"^{want}$")
        self.assertRegex(documentation.number("3.14", rng), r"^\d\.\d\d$")


class TestSets(unittest.TestCase):
    def test_files_that_are_not_the_test_set_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            data = pathlib.Path(folder)
            (data / "mine").mkdir()
            (data / "mine/test.src").write_bytes(b"x\n")
            (data / "mine/test.tgt").write_bytes(b"y\n")
            right = [hashlib.sha256(x).hexdigest() for x in (b"x\n", b"y\n")]
            mine = replace(test_sets.TEST_SETS[0], name="mine", source=right[0], target=right[1])
            self.assertEqual("", test_sets.difference(mine, data))
            self.assertIn("mine/test.tgt has SHA-256 ", test_sets.difference(replace(mine, target="0"), data))
            self.assertIn("test.src is not there", test_sets.difference(replace(mine, name="other"), data))
            printed = io.StringIO()
            with mock.patch.object(sys, "argv", ["test_sets", "--data", folder]), contextlib.redirect_stdout(printed):
                self.assertEqual(1, test_sets.main())
            self.assertIn("sae4k-ko: 1,000 lines", printed.getvalue())


def output(text: str, tokens: list[int], source: list[int]) -> served.Output:
    return served.Output(text, [served.Segment(0, 0, source, tokens, [], text, [], {})])


class Kept(unittest.TestCase):
    def test_the_tests_words_are_none_that_variants_are_made_of(self):
        self.assertFalse(set(kept.LATIN) & set(korean_requests.LATIN))

    def test_sentences_differ_and_hold_what_is_to_be_kept(self):
        made = kept.requests(300, 1)
        self.assertEqual(300, len({text for text, _ in made}))
        for text, words in made:
            self.assertTrue(words)
            for word in words:
                self.assertIn(word, text)
        made = kept.prohibitions(200, 1)
        self.assertEqual(200, len({text for text, _ in made}))
        for text, words in made:
            self.assertEqual([kept.NEGATION], words)
            self.assertRegex(text, "지 ?(마|말|않)|면 안")
        with self.assertRaisesRegex(ValueError, "different sentences, not 20000"):
            kept.prohibitions(20_000, 1)

    def test_identifiers_and_numbers(self):
        text = "os.path.join()은 3.14와 --name, file_name.py, camelCase와 UTF-8을 /etc/hosts에서 2개 읽습니다."
        identifiers = ["os.path.join()", "--name", "file_name.py", "camelCase", "UTF-8", "/etc/hosts"]
        self.assertEqual(identifiers, kept.identifiers(text))
        self.assertEqual(["3.14", "2"], kept.numbers(text))
        self.assertEqual([("7개", ["7"]), (text, ["3.14", "2", *identifiers])], kept.sentences(["없다", "7개", text], 5))

    def test_measure_counts_what_was_lost_and_what_is_wrong(self):
        sources = ["TV를 7시에 켜 줘", "그 링크는 누르지 마", "하하하 웃어"]
        outputs = [
            output("TV 8시 켜기", [9, 8], [1]),
            output("그 링크 누르지 않기", [4, 5, 4, 5, 4, 5], [4, 5]),
            output("하하하 blorp", [6, 6, 6], [6, 6, 6]),
        ]
        found = kept.measure(sources, [["TV", "7"], [kept.NEGATION], []], outputs, {"켜기", "시"})
        self.assertEqual({"kept": 0, "of": 1, "share": 0.0}, found["numbers"])
        self.assertEqual({"kept": 1, "of": 1, "share": 1.0}, found["words"])
        self.assertEqual({"kept": 1, "of": 1, "share": 1.0}, found["negations"])
        self.assertEqual((3, 2), (found["lines"], found["lines_that_keep_all"]))
        self.assertEqual(["TV를 7시에 켜 줘 -> TV 8시 켜기 (7)"], found["lost"])
        self.assertEqual(1, found["outputs_that_stammer"])
        self.assertIn("blorp", str(found["strange"]))
        with self.assertRaisesRegex(ValueError, "3 sources, 1 lines of what to keep, 3 outputs"):
            kept.measure(sources, [[]], outputs)


if __name__ == "__main__":
    unittest.main()
