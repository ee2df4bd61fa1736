#!/usr/bin/python3
import unittest

import numpy as np
import torch

import support
from heed_export import data, decode

SOURCES = [[3, 4, 5, 6, 7, 8, 2], [9, 2], [11, 12, 13, 2], [14, 15, 16, 17, 18, 2], [3, 3, 2], [10, 2]]


@torch.no_grad()
def rescored(model, source, tokens):
    """The training model's log-probability of each token under teacher forcing."""
    fed = torch.tensor([[data.BOS, *tokens[:-1]]])
    logits = model(torch.tensor([source]), torch.tensor([len(source)]), fed)[:, 0]
    return torch.log_softmax(logits, -1)[range(len(tokens)), tokens].numpy()


class Greedy(unittest.TestCase):
    def test_log_probabilities_equal_teacher_forced_rescoring(self):
        for arch in support.ARCHITECTURES:
            trained = support.tiny_model(arch)
            model = decode.Model(support.tiny_bundle(arch, model=trained))
            for source, found in zip(SOURCES, decode.greedy(model, SOURCES)):
                want = rescored(trained, source, found.tokens)
                np.testing.assert_allclose(want, found.log_probabilities, atol=1e-5, err_msg=arch)

    def test_each_token_is_the_likeliest_by_the_programs(self):
        for arch in support.ARCHITECTURES:
            source = support.tiny_bundle(arch)
            run, model = support.Interpreter(source), decode.Model(source)
            for ids, found in zip(SOURCES, decode.greedy(model, SOURCES, attention=True)):
                run.start(ids)
                before = data.BOS
                for t, token in enumerate(found.tokens):
                    values = run.step(before)
                    self.assertAlmostEqual(values["prediction"].max(), values["prediction"][token], places=5)
                    np.testing.assert_allclose(values["attention.weights"], found.weights[t], atol=1e-5)
                    np.testing.assert_allclose(values["attention.energies"], found.energies[t], atol=1e-4)
                    before = token

    def test_rows_do_not_depend_on_their_batch(self):
        for arch in support.ARCHITECTURES:
            model = decode.Model(support.tiny_bundle(arch))
            alone = decode.greedy(model, SOURCES, batch=1, attention=True)
            for batch in (2, 6):
                together = decode.greedy(model, SOURCES, batch=batch, attention=True)
                for a, b in zip(alone, together):
                    self.assertEqual(a.tokens, b.tokens)
                    self.assertEqual(a.weights.shape, b.weights.shape)
                    np.testing.assert_allclose(a.log_probabilities, b.log_probabilities, atol=1e-5)
                    np.testing.assert_allclose(a.weights, b.weights, atol=1e-6)

    def test_a_hypothesis_ends_with_eos_or_at_its_own_limit(self):
        lengths = set()
        for arch in support.ARCHITECTURES:
            model = decode.Model(support.tiny_bundle(arch))
            for source, found in zip(SOURCES, decode.greedy(model, SOURCES)):
                self.assertNotIn(data.EOS, found.tokens[:-1])
                if found.tokens[-1] != data.EOS:
                    self.assertEqual(2 * len(source) + 20, len(found.tokens))
                self.assertEqual(len(found.tokens), len(found.log_probabilities))
                lengths.add(len(found.tokens))
        self.assertGreater(len(lengths), 2, "the test needs hypotheses of different lengths")

    def test_weights_sum_to_one_over_the_rows_own_source(self):
        model = decode.Model(support.tiny_bundle("luong-lstm"))
        for source, found in zip(SOURCES, decode.greedy(model, SOURCES, attention=True)):
            self.assertEqual((len(found.tokens), len(source)), found.weights.shape)
            np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-6)


class Beam(unittest.TestCase):
    def test_beam_of_one_is_greedy(self):
        for arch in support.ARCHITECTURES:
            model = decode.Model(support.tiny_bundle(arch))
            want = [d.tokens for d in decode.greedy(model, SOURCES)]
            self.assertEqual(want, [n[0].tokens for n in decode.beam(model, SOURCES, 1)])

    def test_every_hypothesis_has_the_score_that_rescoring_gives(self):
        for arch in support.ARCHITECTURES:
            trained = support.tiny_model(arch)
            model = decode.Model(support.tiny_bundle(arch, model=trained))
            for source, found in zip(SOURCES, decode.beam(model, SOURCES, 4, alpha=0.7)):
                self.assertEqual(4, len(found))
                self.assertEqual(4, len({tuple(h.tokens) for h in found}))
                self.assertEqual(sorted((h.score for h in found), reverse=True), [h.score for h in found])
                for hypothesis in found:
                    want = rescored(trained, source, hypothesis.tokens)
                    np.testing.assert_allclose(want, hypothesis.log_probabilities, atol=1e-5)
                    self.assertAlmostEqual(float(want.sum()) / len(want) ** 0.7, hypothesis.score, places=4)

    def test_texts_do_not_depend_on_their_batch(self):
        model = decode.Model(support.tiny_bundle("luong-lstm"))
        alone = [[h.tokens for h in n] for n in decode.beam(model, SOURCES, 3, batch=1)]
        self.assertEqual(alone, [[h.tokens for h in n] for n in decode.beam(model, SOURCES, 3, batch=6)])


class Foreign(unittest.TestCase):
    def test_a_program_of_another_shape_is_refused(self):
        source = support.tiny_bundle("luong-lstm")
        source.spec["step"]["ops"] = source.spec["step"]["ops"][::-1]
        with self.assertRaisesRegex(ValueError, "no PyTorch decoder"):
            decode.Model(source)


if __name__ == "__main__":
    unittest.main()
