#!/usr/bin/python3
"""The comparisons' arithmetic, tables and plots; no server runs here."""
import json
import unittest
import xml.etree.ElementTree as xml

import support  # noqa: F401  (sets the import path)
from heed_export.measure import chart, compare, report, served


class Letters:
    """A tokeniser of single letters whose texts end with </s>, 0."""

    def encode(self, text):
        return [ord(c) for c in text] + [0]

    def source_text(self, ids):
        return "".join(map(chr, ids)).strip()  # as SentencePiece: space at either end goes


def output(text: str, shares: list[float] = ()) -> served.Output:
    return served.Output(text, [served.Segment(0, 1, [], [], [], text, list(shares), {})])


class Compare(unittest.TestCase):
    def test_buckets_hold_each_text_once_by_their_upper_bounds(self):
        self.assertEqual([[1, 3], [0], [2]], compare.by_bucket([9, 8, 999, 1], (8, 16, 1000)))

    def test_texts_of_a_length_encode_to_exactly_that_many_ids(self):
        found = compare.texts_of_length(Letters(), ["abc", "d efg", "hijkl"], 5, 10)
        self.assertEqual(["abcd", "hijk"], found)  # " efg" would be "efg"
        self.assertEqual(["abcd"], compare.texts_of_length(Letters(), ["abc", "d efg", "hijkl"], 5, 1))

    def test_where_an_outputs_words_come_from(self):
        sources, references = ["The Rex ran Far", "a b"], ["rex ran", "b"]
        outputs = [output("Rex <unk> blue", [0.5, 0.1, 0.0]), output("a", [1.0])]
        found = compare.copied(outputs, sources, references, {"the", "ran", "a", "b", "blue", "<unk>"})
        self.assertEqual(4, found["words"])
        self.assertAlmostEqual(0.4, found["copied"])
        self.assertAlmostEqual(2 / 4, found["in_source"])
        self.assertAlmostEqual(1 / 4, found["unk_pieces"])
        self.assertAlmostEqual(1 / 4, found["unknown"])  # rex
        self.assertAlmostEqual(1.0, found["unknown_right"])
        self.assertAlmostEqual(0.2, found["rouge_l"])  # 2 * 1 / (3 + 2), and 0

    def test_a_model_that_does_not_copy_has_no_share(self):
        self.assertEqual(0.0, compare.copied([output("a")], ["a"], ["a"], {"a"})["copied"])


class Served(unittest.TestCase):
    def test_copied_shares_are_of_the_tokens_that_are_text(self):
        tokens = [{"id": 5, "copiedFrom": {"share": 0.75}}, {"copiedFrom": {"gate": 0.5}}]
        tokens.append({"id": 2, "special": True, "copiedFrom": {"share": 0.5}})
        reply = {"result": {"output": {"segments": [{"hypotheses": [{"tokens": tokens}]}]}}}
        self.assertEqual([0.75, 0.0], served.parse(json.dumps(reply))[0].segments[0].copied_shares)


class Report(unittest.TestCase):
    FOUND = {
        "bounds": [8, 16, 1000],
        "models": {
            key: {
                "parameters": 1234567,
                "quality": {
                    "beam 1": {
                        "bleu": bleu,
                        "chrf": 40.0,
                        "buckets": [{"lines": n, "bleu": bleu + n, "length_ratio": 0.9} for n in (1, 2, 3)],
                    }
                },
            }
            for key, bleu in (("noattention", 5.0), ("attention", 30.0), ("student", 31.0))
        },
        "speed": [
            {
                "source_length": n,
                "clients": 1,
                "models": {
                    key: {"cpu_ms_per_sentence": 2.0 * n, "tokens_per_cpu_s": 500.0 * n, "ms_p50": 1.0}
                    for key in compare.THREE
                },
            }
            for n in (8, 16)
        ],
    }

    def test_tables_hold_every_number(self):
        text = "\n".join(report.attention_tables(self.FOUND).values())
        self.assertIn("| no attention | 1,234,567 | 5.00 | 40.0 |", text)
        self.assertIn("| 9-16 | 2 | 7.00 | 32.00 | 33.00 | 0.90 | 0.90 | 0.90 |", text)
        self.assertIn("| 17+ | 3 |", text)
        self.assertIn("| 16 | 32.00 | 32.00 | 32.00 | 8,000 | 8,000 | 8,000 |", text)

    def test_charts_have_a_line_a_model_and_a_point_a_value(self):
        charts = report.attention_charts(self.FOUND)
        self.assertEqual({"bleu-by-length.svg", "speed-by-length-1.svg"}, set(charts))
        for drawn, points in ((charts["bleu-by-length.svg"], 9), (charts["speed-by-length-1.svg"], 6)):
            root = xml.fromstring(chart.svg(drawn))
            tags = [e.tag.split("}")[1] for e in root.iter()]
            self.assertEqual(3, tags.count("polyline"))
            self.assertEqual(points, tags.count("circle"))

    def test_the_copying_table_is_in_percent(self):
        run = {"rouge_l": 0.5, "copied": 0.25, "in_source": 1, "unk_pieces": 0, "unknown": 0.125, "unknown_right": 1}
        text = report.copying_tables({"runs": {"pointer": run}, "reference_words_unknown": 0.155})["copying"]
        self.assertIn("| pointer | 0.500 | 25.0 % | 100.0 % | 0.0 % | 12.5 % | 100.0 % |", text)
        self.assertIn("15.5 %", text)


    def test_a_page_takes_its_tables_between_its_marks_and_keeps_the_rest(self):
        page = "# A\n<!-- measured: x -->\nold\n<!-- end -->\nmiddle\n<!-- measured: y -->\n<!-- end -->\nlast\n"
        filled = report.fill(page, {"y": "| 2 |", "x": "| 1 |"})
        want = "# A\n<!-- measured: x -->\n\n| 1 |\n\n<!-- end -->\nmiddle\n"
        self.assertEqual(want + "<!-- measured: y -->\n\n| 2 |\n\n<!-- end -->\nlast\n", filled)
        self.assertEqual(filled, report.fill(filled, {"x": "| 1 |"}))
        with self.assertRaisesRegex(ValueError, "measured: z"):
            report.fill(page, {"z": ""})


class Chart(unittest.TestCase):
    def test_ticks_are_round_and_enclose_the_values(self):
        self.assertEqual([0, 10, 20, 30, 40], chart.ticks(3.0, 38.5, False))
        self.assertEqual([100, 200, 500, 1000, 2000], chart.ticks(150, 1200, True))

    def test_greater_values_stand_higher_and_missing_ones_nowhere(self):
        drawn = chart.Chart("t <1>", "x", "y", ["a", "b", "c"], [chart.Series("s & t", [1.0, None, 3.0])])
        circles = [e for e in xml.fromstring(chart.svg(drawn)).iter() if e.tag.endswith("circle")]
        self.assertEqual(2, len(circles))
        self.assertGreater(float(circles[0].get("cy")), float(circles[1].get("cy")))
        self.assertLess(float(circles[0].get("cx")), float(circles[1].get("cx")))

    def test_names_at_the_lines_ends_do_not_overlap(self):
        drawn = chart.Chart("t", "x", "y", ["a"], [chart.Series(n, [v]) for n, v in (("p", 1.0), ("q", 1.0))])
        texts = [e for e in xml.fromstring(chart.svg(drawn)).iter() if e.tag.endswith("text") and e.text in ("p", "q")]
        self.assertGreaterEqual(abs(float(texts[0].get("y")) - float(texts[1].get("y"))), 17)

    def test_a_chart_without_values_is_refused(self):
        with self.assertRaisesRegex(ValueError, "no value"):
            chart.svg(chart.Chart("t", "x", "y", ["a"], [chart.Series("s", [None])]))


if __name__ == "__main__":
    unittest.main()
