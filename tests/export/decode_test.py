#!/usr/bin/python3
import unittest

import numpy as np

import support
from heed_export.decoding import decode, interpret
from heed_export.text import corpus

SOURCES = [[3, 4, 5, 6, 7, 8, 2], [9, 2], [11, 12, 13, 2], [14, 15, 16, 17, 18, 2], [3, 3, 2], [10, 2]]


def rescored(arch, model, source, tokens):
    """The training model's log-probability of each token under teacher forcing."""
    fed = [corpus.BOS, *(t if t < model.options.tgt_pieces else corpus.UNK for t in tokens[:-1])]
    rows = support.trained_log_probabilities(model, source, support.extended(arch, source), fed)
    return rows[range(len(tokens)), tokens]


def greedy(arch, model, **more):
    return decode.greedy(model, SOURCES, copies=support.copies(arch, SOURCES), **more)


class Greedy(unittest.TestCase):
    def test_log_probabilities_equal_teacher_forced_rescoring(self):
        for arch in support.ARCHITECTURES:
            trained = support.tiny_model(arch)
            model = decode.load(support.tiny_bundle(arch, model=trained))
            for source, found in zip(SOURCES, greedy(arch, model)):
                want = rescored(arch, trained, source, found.tokens)
                np.testing.assert_allclose(want, found.log_probabilities, atol=1e-5, err_msg=arch)

    def test_each_token_is_the_likeliest_by_the_programs(self):
        for arch in support.ARCHITECTURES:
            source = support.tiny_bundle(arch)
            run, model = support.Interpreter(source), decode.load(source)
            for ids, found in zip(SOURCES, greedy(arch, model, attention=True)):
                run.start(ids, support.extended(arch, ids))
                before = corpus.BOS
                for t, token in enumerate(found.tokens):
                    values = run.step(before)
                    self.assertAlmostEqual(values["prediction"].max(), values["prediction"][token], places=5)
                    if "attention.weights" in values:
                        np.testing.assert_allclose(values["attention.weights"], found.weights[t], atol=1e-5)
                        np.testing.assert_allclose(values["attention.energies"], found.energies[t], atol=1e-4)
                    elif "attention2.weights" in values:
                        np.testing.assert_allclose(values["attention2.weights"][0], found.weights[t], atol=1e-5)
                        np.testing.assert_allclose(values["attention2.energies"][0], found.energies[t], atol=1e-4)
                    else:
                        self.assertIsNone(found.weights)
                    before = token

    def test_rows_do_not_depend_on_their_batch(self):
        for arch in support.ARCHITECTURES:
            model = decode.load(support.tiny_bundle(arch))
            alone = greedy(arch, model, batch=1, attention=True)
            for batch in (2, 6):
                together = greedy(arch, model, batch=batch, attention=True)
                for a, b in zip(alone, together):
                    self.assertEqual(a.tokens, b.tokens)
                    np.testing.assert_allclose(a.log_probabilities, b.log_probabilities, atol=1e-5)
                    if a.weights is not None:
                        self.assertEqual(a.weights.shape, b.weights.shape)
                        np.testing.assert_allclose(a.weights, b.weights, atol=1e-6)

    def test_a_hypothesis_ends_with_eos_or_at_its_own_limit(self):
        lengths = set()
        for arch in support.ARCHITECTURES:
            model = decode.load(support.tiny_bundle(arch))
            for source, found in zip(SOURCES, greedy(arch, model)):
                self.assertNotIn(corpus.EOS, found.tokens[:-1])
                if found.tokens[-1] != corpus.EOS:
                    self.assertEqual(2 * len(source) + 20, len(found.tokens))
                self.assertEqual(len(found.tokens), len(found.log_probabilities))
                lengths.add(len(found.tokens))
        self.assertGreater(len(lengths), 2, "the test needs hypotheses of different lengths")

    def test_weights_sum_to_one_over_the_rows_own_source(self):
        model = decode.load(support.tiny_bundle("luong-lstm"))
        for source, found in zip(SOURCES, decode.greedy(model, SOURCES, attention=True)):
            self.assertEqual((len(found.tokens), len(source)), found.weights.shape)
            np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-6)


class Beam(unittest.TestCase):
    def test_beam_of_one_is_greedy(self):
        for arch in support.ARCHITECTURES:
            model = decode.load(support.tiny_bundle(arch))
            want = [d.tokens for d in greedy(arch, model)]
            found = decode.beam(model, SOURCES, 1, copies=support.copies(arch, SOURCES))
            self.assertEqual(want, [n[0].tokens for n in found])

    def test_every_hypothesis_has_the_score_that_rescoring_gives(self):
        for arch in support.ARCHITECTURES:
            trained = support.tiny_model(arch)
            model = decode.load(support.tiny_bundle(arch, model=trained))
            copies = support.copies(arch, SOURCES)
            for source, found in zip(SOURCES, decode.beam(model, SOURCES, 4, alpha=0.7, copies=copies)):
                self.assertEqual(4, len(found))
                self.assertEqual(4, len({tuple(h.tokens) for h in found}))
                self.assertEqual(sorted((h.score for h in found), reverse=True), [h.score for h in found])
                for hypothesis in found:
                    want = rescored(arch, trained, source, hypothesis.tokens)
                    np.testing.assert_allclose(want, hypothesis.log_probabilities, atol=1e-5)
                    self.assertAlmostEqual(float(want.sum()) / len(want) ** 0.7, hypothesis.score, places=4)

    def test_texts_do_not_depend_on_their_batch(self):
        model = decode.load(support.tiny_bundle("luong-lstm"))
        alone = [[h.tokens for h in n] for n in decode.beam(model, SOURCES, 3, batch=1)]
        self.assertEqual(alone, [[h.tokens for h in n] for n in decode.beam(model, SOURCES, 3, batch=6)])


class Layouts(unittest.TestCase):
    def test_the_shipped_architectures_are_decoded_by_hand_written_steps_and_the_others_by_their_programs(self):
        kinds = {arch: type(decode.load(support.tiny_bundle(arch))) for arch in support.ARCHITECTURES}
        by_hand = {arch for arch, kind in kinds.items() if kind is decode.Model}
        self.assertEqual({"luong-lstm", "bahdanau-gru"}, by_hand)

    def test_both_ways_give_the_same(self):
        for arch in ("luong-lstm", "bahdanau-gru"):
            source = support.tiny_bundle(arch)
            found = [decode.greedy(m(source), SOURCES, attention=True) for m in (decode.Model, interpret.Model)]
            for a, b in zip(*found):
                self.assertEqual(a.tokens, b.tokens)
                np.testing.assert_allclose(a.log_probabilities, b.log_probabilities, atol=1e-5)
                np.testing.assert_allclose(a.weights, b.weights, atol=1e-6)
                np.testing.assert_allclose(a.energies, b.energies, atol=1e-5)

    def test_a_model_that_copies_needs_extended_ids(self):
        model = decode.load(support.tiny_bundle("pointer-generator"))
        with self.assertRaisesRegex(ValueError, "extended ids"):
            decode.greedy(model, SOURCES)

    def test_a_source_word_outside_the_vocabulary_can_come_out(self):
        model = decode.load(support.tiny_bundle("pointer-generator"))
        tokens = [t for d in greedy("pointer-generator", model) for t in d.tokens]
        self.assertGreater(max(tokens), 20)


class Foreign(unittest.TestCase):
    def test_an_op_that_no_recipe_has_is_refused(self):
        source = support.tiny_bundle("luong-lstm")
        source.spec["step"]["ops"].insert(1, {"name": "odd", "maxout": {"input": "target_embedding", "group": 2}})
        with self.assertRaisesRegex(ValueError, "odd: maxout"):
            decode.load(source)


if __name__ == "__main__":
    unittest.main()
