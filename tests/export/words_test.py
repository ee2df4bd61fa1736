#!/usr/bin/python3
"""Word vocabularies, extended ids, and the loss of a model that copies."""
import json
import pathlib
import tempfile
import unittest

import numpy as np

import support
from heed_export.networks import data
from heed_export.text import corpus
from heed_export.text import words


class Words(unittest.TestCase):
    def setUp(self):
        self.words = words.Words([*words.SPECIALS, "the", "dog", "."])

    def test_punctuation_stands_apart_and_case_stays(self):
        self.assertEqual("It ' s US $ 1 , 000 : a 5S", words.split("It's US$1,000: a  5S\u00a0"))
        self.assertEqual("_ 가다 é", words.split("_가다 é"))

    def test_unknown_words_are_unk_and_a_special_s_spelling_is_no_special(self):
        self.assertEqual([[3, 4, 0, 5], [0, 0]], self.words.encode(["The DOG ran .", "<s> </s>"]))

    def test_extended_ids_number_the_sources_unknown_words_as_they_first_occur(self):
        source, target = self.words.extended("Rex saw the Cat , rex !", "Cat the REX mouse .")
        self.assertEqual([6, 7, 3, 8, 9, 6, 10], source)
        self.assertEqual([8, 3, 6, 0, 5], target)

    def test_the_most_frequent_words_are_kept_and_written_once(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "words.json"
            made = words.train(["b a c", "A b", "d"], path, 6)
            self.assertEqual(["<unk>", "<s>", "</s>", "a", "b", "c"], made.pieces)
            self.assertEqual(made.pieces, json.loads(path.read_text()))
            self.assertEqual(made.pieces, words.train(["other"], path, 6).pieces)

    def test_pairs_carry_extended_ids_only_for_a_model_that_copies(self):
        texts = [("the cat", "cat"), ("", "dog"), ("the the the dog", "dog")]
        self.assertEqual([data.Pair([3, 0], [0], [3, 6], [6])], data.encode_words(texts, self.words, 3, copy=True))
        self.assertEqual([data.Pair([3, 0], [0])], data.encode_words(texts, self.words, 3, copy=False))


class Mixture(unittest.TestCase):
    def test_the_loss_is_the_negative_log_probability_that_the_program_gives_the_targets(self):
        model = support.tiny_model("pointer-generator")
        run = support.Interpreter(support.tiny_bundle("pointer-generator", model=model))
        pairs = [
            # Copied alone; copied and generated; generated alone; neither the vocabulary's nor the source's.
            data.Pair([5, 0, 3, 0, 0], [0, 3, 7, 0], [5, 21, 3, 22, 21], [22, 3, 7, 0]),
            data.Pair([5, 9], [4], [5, 9], [4]),
        ]
        loss, count = model.loss(data.make_batch(pairs, source_eos=False), 0.0)
        want = 0.0
        for pair in pairs:
            run.start(pair.src, pair.src_copy)
            before = corpus.BOS
            for fed, target in zip([*pair.tgt, corpus.EOS], [*pair.tgt_copy, corpus.EOS]):
                want -= run.step(before)["prediction"][target]
                before = fed
        self.assertEqual(7, count)
        np.testing.assert_allclose(loss.item(), want, rtol=1e-5)


if __name__ == "__main__":
    unittest.main()
