#!/usr/bin/python3
"""The Nematus importer: its options, its dictionaries and their trap, damaged files, and a whole model.

Usage: nematus_test.py [BUILD]; without a build folder what needs a server is skipped.
"""

import contextlib
import importlib.util
import io
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import presets
from heed_export import cli
from heed_export.importers import nematus
from heed_export.model import vocabulary
from heed_export.reading import checkpoint
from in_a_folder import InAFolder
from presets import nematus as shapes
from reference import nematus as oracle
from reference import trace

BUILD: list[pathlib.Path] = []  # of CMake, or none
SPEC = importlib.util.spec_from_file_location("make", presets.ROOT / "tests/data/nematus/make.py")
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)
OPTIONS, MORE = make.OPTIONS, make.MORE


class Trained(InAFolder):
    def model(self, **changes) -> pathlib.Path:
        """model.npz with its options and dictionaries, as training leaves them."""
        self.options = {**OPTIONS, **changes}
        self.arrays = make.arrays(self.options)
        return make.write(self.folder, **changes)


class Options(InAFolder):
    def test_defaults_are_filled_in(self):
        found = nematus.check_options({**OPTIONS, **MORE, "enc_depth": 3}, "m.json")
        self.assertEqual(3, found["enc_depth_bidirectional"])
        self.assertEqual(2, found["dec_base_recurrence_transition_depth"])
        self.assertEqual(1, found["dec_high_recurrence_transition_depth"])

    def test_what_is_not_covered_is_refused_by_name(self):
        for message, changes in (
            ("TensorFlow version of Nematus are not supported: embedding_size=512", {"embedding_size": 512}),
            ("that layer is not supported: encoder=gru_local", {"encoder": "gru_local"}),
            ("that layer is not supported: decoder=gru", {"decoder": "gru"}),
            ("factored sources are not supported: factors=2", {"factors": 2}),
            ("fusion with a language model is not supported: deep_fusion_lm=lm.npz", {"deep_fusion_lm": "lm.npz"}),
            ("decoder of both GRU and LSTM layers is not supported: decoder=gru_cond, decoder_deep=lstm",
             {"dec_depth": 2, "decoder_deep": "lstm"}),
            ("layer normalisation inside an LSTM .* is not supported: layer_normalisation=True",
             {"encoder": "lstm", "layer_normalisation": True}),
            ("LSTM layers above the bidirectional ones .* not supported: enc_depth=3",
             {"encoder": "lstm", "enc_depth": 3, "enc_depth_bidirectional": 1}),
            ("a conditional layer without a cell .* not supported",
             {"dec_depth": 2, "decoder_deep": "gru_cond", "dec_high_recurrence_transition_depth": 1}),
            ("dim=None, expected a whole number from 1", {"dim": None}),
            ("dim_word=x, expected a whole number from 1", {"dim_word": "x"}),
            ("dec_base_recurrence_transition_depth=1, expected a whole number from 2",
             {"dec_base_recurrence_transition_depth": 1}),
            ("dropout_hidden=-1, expected a number from 0", {"dropout_hidden": -1}),
        ):  # fmt: skip
            with self.subTest(message):
                self.refused("m.json: .*" + message, nematus.check_options, {**OPTIONS, **changes}, "m.json")
        self.refused("m.json: is no JSON object", nematus.check_options, [1], "m.json")


class Dictionaries(InAFolder):
    def read(self, text: bytes | str, size: int = 5) -> vocabulary.Vocabulary:
        return nematus.read_dictionary(self.put("d.json", text), size)

    def test_id_0_ends_a_sentence_whatever_the_file_says(self):
        for words in ({"eos": 0, "UNK": 1, "a": 2}, {"UNK": 1, "a": 2}, {"a": 2}, {"the": 0, "UNK": 1, "a": 2}):
            v = self.read(json.dumps(words), 3)
            self.assertEqual((0, 1, ["<eos>", "UNK", "a"]), (v.eos, v.unk, v.pieces), words)

    def test_the_word_eos_of_the_corpus_is_a_word(self):
        v = self.read('{"UNK": 1, "a": 2, "eos": 3, "b": 4}')
        self.assertEqual(["<eos>", "UNK", "a", "eos", "b"], v.pieces)
        v.add_eos = True
        self.assertEqual([2, 3, 0], v.ids(["a", "eos"]))

    def test_ids_that_no_word_has_are_never_made_from_text(self):
        v = self.read('{"eos": 0, "UNK": 1, "a": 2, "b": 4, "past the model": 9}')
        self.assertEqual(((3,), "<unused 3>"), (v.special, v.pieces[3]))
        self.assertEqual([1], v.ids(["<unused 3>"]))

    def test_what_is_wrong_is_one_line(self):
        for text, message in (
            (b"\x80\x02}q\x00", "is not UTF-8 at byte 0 .a pickled dictionary"),
            ("{", "line 1: "),
            ("[1]", "is no mapping of tokens to ids"),
            ("[" * 100_000, "is nested too deeply"),
            ('{"a": 2, "b": 2}', "id 2 is given to 'a' and to 'b'"),
            ('{"a": 2.5}', "token 'a' has id 2.5, expected a whole number"),
            ('{"a": true}', "token 'a' has id True"),
            ('{"a": -1}', "token 'a' has id -1"),
        ):
            with self.subTest(text[:40]):
                self.refused("d.json: .*" + message, self.read, text)


class Files(Trained):
    def test_what_training_leaves_is_read(self):
        files = nematus.load(self.model())
        self.assertEqual(set(self.arrays), set(files.weights.arrays))
        self.assertEqual((23, 29, True), (len(files.source), len(files.target), files.source.add_eos))
        model = nematus.build(files.options, files.weights, files.source, files.target)
        self.assertEqual([], files.weights.unused())
        self.assertEqual(5, model.search["beam_size"])

    def test_what_is_wrong_is_one_line(self):
        path = self.model()
        good = path.read_bytes()
        for length in (0, 10, 100, len(good) // 2, len(good) - 1):
            path.write_bytes(good[:length])
            self.refused("model.npz: ", nematus.load, path)
        path.write_bytes(good)
        (self.folder / "vocab.en.json").unlink()
        with self.assertRaisesRegex((OSError, checkpoint.CheckpointError), "vocab.en.json"):
            nematus.load(path)
        self.put("model.npz.json", json.dumps(OPTIONS))
        self.refused("names no dictionaries: give them", nematus.load, path)
        self.put("model.npz.json", "{")
        self.refused("model.npz.json: line 1", nematus.load, path)
        self.put("model.npz.json", "[" * 100_000)
        self.refused("model.npz.json: is nested too deeply", nematus.load, path)

    def built(self, **arrays) -> None:
        options = nematus.check_options(OPTIONS, "m.json")
        given = {n: v for n, v in {**self.arrays, **arrays}.items() if v is not None}
        nematus.build(options, checkpoint.Weights(given, "m.npz"), *shapes.vocabularies(False))

    def test_weights_that_do_not_fit_are_one_line(self):
        self.model()
        self.built()
        self.refused("m.npz: tensor decoder_Wc_att is missing", lambda: self.built(decoder_Wc_att=None))
        self.refused("m.npz: tensor Wemb1 has no place", lambda: self.built(Wemb1=self.arrays["Wemb"]))
        for name in ("decoder_U", "decoder_Wc_att", "ff_logit_W", "Wemb", "encoder_Wx", "decoder_b_nl"):
            smaller = self.arrays[name][tuple(slice(0, n - 1) for n in self.arrays[name].shape)]
            with self.subTest(name), self.assertRaises(ValueError) as caught:
                self.built(**{name: smaller})
            self.assertNotIn("\n", str(caught.exception))


class Command(Trained):
    def export(self, *arguments) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        flags = ["--heed-server", BUILD[0] / "server/heed-server"] if BUILD else ["--no-verify"]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            given = [*arguments, *flags, "--license", "MIT", "--source-language", "de", "--target-language", "en"]
            code = cli.main(["nematus", *map(str, given)])
        return code, out.getvalue(), err.getvalue()

    def test_a_whole_model(self):
        path = self.model(layer_normalisation=True, enc_depth=2, dec_depth=2, dec_base_recurrence_transition_depth=3)
        cases = self.put("cases.txt", "das eos s unheard w11\nw1 w2\n")
        code, out, err = self.export(path, "--out", self.folder / "mine", "--cases", cases)
        self.assertEqual((0, ""), (code, err))
        if BUILD:
            self.assertIn("2 cases (14.3 % of their pieces unknown), heed-server", out)
        proof = json.loads((self.folder / "mine/parity.json").read_text())
        self.assertEqual([3, 2, 6, 1, 19, 0], proof["cases"][0]["source_ids"])
        reference = oracle.Nematus(self.arrays, self.options)
        for case in proof["cases"]:
            again = trace.greedy(reference, case["source_ids"], None, 0, 40)
            self.assertEqual(again.tokens, case["target_ids"])
            np.testing.assert_allclose(again.log_probabilities, case["log_probabilities"], atol=1e-6)
        spec = json.loads((self.folder / "mine/model.json").read_text())
        self.assertEqual((5, 200), (spec["search"]["beam_size"], spec["search"]["max_length_b"]))

    def test_an_error_leaves_nothing(self):
        path = self.model()
        self.put("model.npz.json", json.dumps({**self.options, "factors": 2}))
        before = sorted(self.folder.rglob("*"))
        code, out, err = self.export(path, "--out", self.folder / "mine")
        self.assertEqual((1, ""), (code, out))
        self.assertRegex(err, r"\Aheed-export nematus: .*factored sources are not supported: factors=2\n\Z")
        self.assertEqual(before, sorted(self.folder.rglob("*")))


if __name__ == "__main__":
    BUILD = [pathlib.Path(p).resolve() for p in sys.argv[1:2]]
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
