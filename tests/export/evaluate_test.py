#!/usr/bin/python3
import copy
import json
import unittest
import unittest.mock

import support
from heed_export.bundle import bundle
from heed_export.decoding import decode
from heed_export.measure import evaluate, metrics, served
from heed_export.text import corpus


class FakeText:
    """Stands for a bundle's tokenisers: a piece a character, `a` is 3."""

    copies = False

    def __init__(self, _):
        pass

    def encode(self, text):
        return [3 + ord(c) - ord("a") for c in text] + [corpus.EOS]

    def decode(self, tokens, _=""):
        return " ".join(str(t) for t in tokens if t != corpus.EOS)


def reply_of(source: bundle.Bundle, texts: list[str], cut: int) -> dict:
    """A response as the server would give it, each text cut into segments of `cut` characters; in camelCase."""
    words, model = FakeText(source), decode.Model(source)
    results = []
    for text in texts:
        segments = []
        for begin in range(0, len(text), cut):
            ids = words.encode(text[begin : begin + cut])
            found = decode.greedy(model, [ids], attention=True)[0]
            dense = {"rows": len(found.tokens), "columns": len(ids), "values": found.weights.ravel().tolist()}
            folded = {"component": "ATTENTION_COMPONENT_WEIGHTS", "unit": "ATTENTION_UNIT_WORDS", "dense": {"rows": 0}}
            attention = {"component": "ATTENTION_COMPONENT_WEIGHTS", "unit": "ATTENTION_UNIT_PIECES", "dense": dense}
            tokens = [{"id": t, "logProbability": p} for t, p in zip(found.tokens, found.log_probabilities)]
            hypothesis = {"text": words.decode(found.tokens), "tokens": tokens, "attentions": [folded, attention]}
            segment = {"end": min(len(text), begin + cut), "sourceTokens": [{"id": i} for i in ids]}
            segments.append({**segment, "hypotheses": [hypothesis], **({"begin": begin} if begin else {})})
        whole = " ".join(s["hypotheses"][0]["text"] for s in segments)
        results.append({"output": {"text": whole, "segments": segments}})
    return {"results": results}


class Parity(unittest.TestCase):
    TEXTS = ["abcde", "fg", "hijklmno"]

    def setUp(self):
        patched = unittest.mock.patch.object(evaluate.text, "Text", FakeText)
        patched.start()
        self.addCleanup(patched.stop)
        self.bundle = support.tiny_bundle("bahdanau-gru")
        self.reply = reply_of(self.bundle, self.TEXTS, cut=5)

    def compare(self, reply: dict) -> dict:
        return evaluate.compare(self.bundle, self.TEXTS, served.parse(json.dumps(reply)))

    def test_replies_of_the_same_model_are_parity(self):
        report = self.compare(self.reply)
        self.assertTrue(evaluate.within_bounds(report), report)
        counts = ("lines", "lines_equal", "segments", "lines_of_several_segments")
        self.assertEqual((3, 3, 4, 1), tuple(report[k] for k in counts))
        self.assertEqual(0, report["segments_tokenised_differently"])
        self.assertGreater(report["numbers_compared"]["weight"], 50)
        self.assertEqual(0, report["numbers_compared"]["energy"])

    def test_a_wrong_token_counts_against_its_line(self):
        self.reply["results"][1]["output"]["segments"][0]["hypotheses"][0]["tokens"][0]["id"] += 1
        report = self.compare(self.reply)
        self.assertEqual([1], report["lines_different"])
        self.assertFalse(evaluate.within_bounds(report))

    def test_a_wrong_log_probability_or_weight_is_seen(self):
        for change in ("logProbability", "weight"):
            reply = copy.deepcopy(self.reply)
            hypothesis = reply["results"][2]["output"]["segments"][1]["hypotheses"][0]
            if change == "weight":
                hypothesis["attentions"][1]["dense"]["values"][0] += 1e-3
            else:
                hypothesis["tokens"][0]["logProbability"] += 1e-3
            self.assertFalse(evaluate.within_bounds(self.compare(reply)), change)

    def test_an_error_counts_against_its_line_and_a_missing_reply_is_refused(self):
        self.reply["results"][0] = {"error": {"code": 11, "message": "too long"}}
        self.assertEqual([0], self.compare(self.reply)["lines_different"])
        del self.reply["results"][0]
        with self.assertRaisesRegex(ValueError, "2 replies but 3 texts"):
            self.compare(self.reply)


class Served(unittest.TestCase):
    def test_a_stream_of_values_in_either_spelling_is_read_in_order(self):
        one = '{"results": [{"output": {"text": "a"}}, {"error": {"message": "m"}}]}'
        segments = '[{"source_tokens": [{"piece": "x"}], "hypotheses": [{"text": "b"}]}, {"begin": 3}]'
        two = '{"output": {"text": "b", "segments": %s}}' % segments
        three = '{"source": "s", "result": {"output": {"text": "c"}}, "model": {"name": "n"}}'
        found = served.parse(one + "\n" + two + "\n" + three + "\n")
        self.assertEqual([("a", ""), ("", "m"), ("b", ""), ("c", "")], [(o.text, o.error) for o in found])
        self.assertEqual([[0]], [s.source_ids for s in found[2].segments])


class Metrics(unittest.TestCase):
    def test_rouge_l_is_f1_of_the_longest_common_subsequence(self):
        self.assertAlmostEqual(2 * 2 / (3 + 4), metrics.rouge_l(["a x c"], ["a b c d"]))
        self.assertAlmostEqual(0.5, metrics.rouge_l(["a b", ""], ["a b", "c"]))

    def test_exact_match_ignores_spacing_alone(self):
        self.assertEqual(50.0, metrics.exact_match(["a  b ", "a b c"], ["a b", "a b"]))

    def test_outputs_and_references_must_be_as_many(self):
        with self.assertRaisesRegex(ValueError, "1 outputs but 2 references"):
            evaluate.quality("summarize", ["a"], ["a", "b"])


if __name__ == "__main__":
    unittest.main()
