#!/usr/bin/python3
"""heed-export joeynmt on checkpoints that JoeyNMT wrote (tests/data/joeynmt/make.py), served: what heed says is what
JoeyNMT said. Usage: joeynmt_test.py HEED_SERVER HEED [unittest arguments]."""

import contextlib
import io
import pathlib
import shutil
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "export"), str(ROOT / "tests/export")]

import numpy as np
from heed_export import cli
from heed_export.bundle import bundle
from heed_export.importers import joeynmt
from serving import Served

DATA = ROOT / "tests/data/joeynmt"
MODELS = ("gru-bahdanau-last", "lstm-luong-bridge-char", "gru-lstm-zero-bpe")
SERVER, HEED = sys.argv[1:3]


def export(*arguments) -> tuple[int, str]:
    """heed-export joeynmt: its exit code and what it said of an error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(["joeynmt", *map(str, arguments)])
    return code, err.getvalue()


COMMON = ("--license", "CC0-1.0", "--source-language", "en", "--target-language", "en", "--segmentation", "none")


class JoeyNmt(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def copy(self, model: str) -> pathlib.Path:
        place = self.folder / "joey"
        shutil.copytree(DATA / model, place)
        return place

    def refused(self, message: str, place: pathlib.Path, *more) -> None:
        code, said = export(place / "best.ckpt", "--out", self.folder / "models/m", "--no-verify", *COMMON, *more)
        self.assertEqual((1, 1), (code, said.count("\n")), said)
        self.assertIn(message, said)
        self.assertFalse((self.folder / "models").exists(), "something was left behind")

    def test_the_server_says_what_joeynmt_said(self):
        models = self.folder / "models"
        for model in MODELS:
            code, said = export(DATA / model / "best.ckpt", "--out", models / model, "--heed-server", SERVER, *COMMON)
            self.assertEqual((0, ""), (code, said))
        lines = (DATA / "test.src").read_text().splitlines()
        with Served(SERVER, HEED, models) as served:
            for model in MODELS:
                for beam in (1, 5):
                    with self.subTest(model, beam=beam):
                        want = (DATA / model / f"beam{beam}.hyp").read_text().splitlines()
                        found = served.translate(lines, model, f"--beam_size={beam}")
                        self.assertEqual(want, [output["text"] for output in found])

    def test_what_the_configuration_says_is_in_the_bundle(self):
        export(DATA / "lstm-luong-bridge-char/best.ckpt", "--out", self.folder / "m", "--no-verify", *COMMON)
        spec = bundle.read(self.folder / "m").spec
        self.assertTrue(spec["source"]["lowercase"])
        self.assertEqual({"space": "▁"}, spec["source"]["characters"])
        self.assertEqual([2, 1], spec["search"]["banned_ids"])
        self.assertEqual(40, spec["search"]["max_length_b"])

    def test_configurations_before_2_0(self):
        old = {
            "data": {"src": "de", "trg": "en", "level": "word", "lowercase": True},
            "testing": {"beam_size": 5, "alpha": 1.0},
            "training": {"max_output_length": 31},
            "model": {"encoder": {"rnn_type": "lstm"}, "decoder": {"rnn_type": "lstm", "attention": "luong"}},
        }
        place = pathlib.Path("config.yaml")
        self.assertEqual("lstm", joeynmt.read_options(old, place).decoder_type)
        vocabulary = joeynmt.Vocabulary(unk=0, special=[1], bos=2, eos=3, pieces=["<unk>", "<pad>", "<s>", "</s>", "a"])
        found = joeynmt.search_defaults(old, place, vocabulary)
        self.assertEqual((5, 1.0, 31), (found["beam_size"], found["gnmt"]["alpha"], found["max_length_b"]))
        self.assertNotIn("banned_ids", found)
        self.assertEqual("BEAM_STOP_BEST_ENDS", found["beam_stop"])

    def test_special_tokens_come_first_where_the_file_lacks_them(self):
        file = self.folder / "vocab.txt"
        file.write_text("a\nb\n\u2028\na\n")  # a line separator is a token, and no token stands twice
        specials = {"unk": "<unk>", "pad": "<pad>", "bos": "<s>", "eos": "</s>"}
        self.assertEqual(["<unk>", "<pad>", "<s>", "</s>", "a", "b", "\u2028"], joeynmt.read_vocabulary(file, specials))

    def test_what_is_not_supported_is_refused_by_name(self):
        place = self.copy("gru-bahdanau-last")
        text = (place / "config.yaml").read_text()
        for old, new, message in (
            ('type: "recurrent", rnn_type: "gru"', 'type: "transformer", rnn_type: "gru"',
             "model.encoder.type=transformer is not supported"),
            ("bidirectional: True", "bidirectional: False", "model.encoder.bidirectional=False is not supported"),
            ('attention: "bahdanau"', 'attention: "dot"', "model.decoder.attention=dot is not supported"),
            ('level: "word"', 'level: "word", normalize: True', "data normalize=True is not supported"),
            ("model:", "model: 3\nx:", "model is no mapping"),
            ("name:", "{", "is no YAML"),
        ):  # fmt: skip
            self.assertIn(old, text)
            (place / "config.yaml").write_text(text.replace(old, new, 1))
            with self.subTest(new):
                self.refused(message, place)

    def test_damaged_files_are_one_line(self):
        place = self.copy("gru-bahdanau-last")
        data = (place / "best.ckpt").read_bytes()
        for damaged in (b"", data[:100], data[: len(data) // 2], b"\0" * 64):
            (place / "best.ckpt").write_bytes(damaged)
            self.refused("best.ckpt", place)
        (place / "best.ckpt").write_bytes(data)
        vocabulary = (place / "trg_vocab.txt").read_text()
        (place / "trg_vocab.txt").write_text(vocabulary + "one too many\n")
        self.refused("expected [", place)
        (place / "trg_vocab.txt").unlink()
        self.refused("trg_vocab.txt", place)

    def test_a_tensor_that_is_missing_or_left_over_is_named(self):
        options = joeynmt.Options()
        vocabulary = joeynmt.Vocabulary(unk=0, special=[1], bos=2, eos=3, pieces=["<unk>", "<pad>", "<s>", "</s>"])
        arrays = {"src_embed.lut.weight": np.zeros((4, 3), np.float32)}
        with self.assertRaisesRegex(ValueError, "encoder.rnn.weight_ih_l0"):
            joeynmt.build(options, joeynmt.Weights(arrays, "x"), vocabulary, vocabulary)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
