#!/usr/bin/python3
"""heed-export fairseq on checkpoints that fairseq wrote (tests/data/fairseq/make.py), served: what heed says is what
fairseq said, scores included. Usage: fairseq_test.py HEED_SERVER HEED [unittest arguments]."""

import contextlib
import io
import math
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "export"), str(ROOT / "tests/export")]

from heed_export import cli
from heed_export.importers import fairseq
from heed_export.reading.checkpoint import CheckpointError
from serving import Served

DATA = ROOT / "tests/data/fairseq"
MODELS = ("bidirectional", "shared", "no-attention")
SERVER, HEED = sys.argv[1:3]
COMMON = ("--license", "CC0-1.0", "--source-language", "en", "--target-language", "en", "--tokenizer", "words",
          "--segmentation", "none")  # fmt: skip


def export(model: str, *arguments) -> tuple[int, str]:
    """heed-export fairseq: its exit code and what it said of an error."""
    out, err = io.StringIO(), io.StringIO()
    dicts = [
        f"--{side}-dict={DATA / model / f'dict.{lang}.txt'}" for side, lang in (("source", "src"), ("target", "tgt"))
    ]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(["fairseq", str(DATA / model / "model.pt"), *dicts, *map(str, arguments), *COMMON])
    return code, err.getvalue()


class Fairseq(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_the_server_says_what_fairseq_said(self):
        models = self.folder / "models"
        for model in MODELS:
            code, said = export(model, "--out", models / model, "--heed-server", SERVER)
            self.assertEqual((0, ""), (code, said))
        lines = (DATA / "test.src").read_text().splitlines()
        with Served(SERVER, HEED, models) as served:
            for model in MODELS:
                for beam in (1, 5):
                    rows = [r.split("\t") for r in (DATA / model / f"beam{beam}.tsv").read_text().splitlines()]
                    found = served.translate([lines[int(i)] for i, _, _ in rows], model, f"--beam_size={beam}")
                    with self.subTest(model, beam=beam):
                        self.assertEqual([text for _, _, text in rows], [output["text"] for output in found])
                        for (_, score, _), output in zip(rows, found):
                            best = output["segments"][0]["hypotheses"][0]
                            # fairseq-generate prints scores to base 2.
                            self.assertAlmostEqual(float(score) * math.log(2), best["score"], delta=1e-4)

    def test_dictionaries(self):
        file = self.folder / "dict.txt"
        file.write_text("a 3\nb c 2\n<unk> 1 #fairseq:overwrite\n\u2028 1\nmadeupword0000 0\n")
        self.assertEqual(
            ["<s>", "<pad>", "</s>", "<unk>", "a", "b c", "<unk>", "\u2028", "madeupword0000"],
            fairseq.read_dictionary(file),
        )
        # Of SentencePiece's .vocab, as many make them; int() takes each of these counts. The line is stripped first.
        file.write_text("re -0\r\nta -1\r\nto +2 \nka 1153 #fairseq:overwrite \n\u3000 1\u3000\n", newline="")
        self.assertEqual(["re", "ta", "to", "ka", "\u3000"], fairseq.read_dictionary(file)[4:])
        file.write_text("a 3\nb 2\na 1 #fairseq:overwrite\n")
        self.assertEqual(["<overwritten 4>", "b", "a"], fairseq.read_dictionary(file)[4:])
        file.write_text("<unk>\t0\n\u2581a\t-3.2\n")
        with self.assertRaisesRegex(CheckpointError, r"dict.txt: is SentencePiece's .vocab, a piece and its score"):
            fairseq.read_dictionary(file)
        file.write_text("a 3\nb\n")
        with self.assertRaisesRegex(CheckpointError, r"dict.txt:2: 'b' is no token and its count"):
            fairseq.read_dictionary(file)

    def test_what_is_not_supported_is_refused_by_name(self):
        path = pathlib.Path("model.pt")
        for arguments, message in (
            ({"arch": "transformer"}, "arch=transformer is not supported"),
            ({"arch": "lstm_lm"}, "arch=lstm_lm is not supported"),
            ({"arch": "lstm", "criterion": "adaptive_loss"}, "criterion=adaptive_loss is not supported"),
            ({"arch": "lstm", "encoder_layers": 2, "decoder_layers": 1}, "decoder_layers=1, expected 2"),
        ):
            with self.subTest(message), self.assertRaisesRegex(CheckpointError, message):
                fairseq.read_options(arguments, path)
        with self.assertRaisesRegex(CheckpointError, "holds no model"):
            fairseq.read_arguments({"args": None}, path)

    def test_flags_are_read_as_fairseq_does(self):
        for value, want in (("1", True), ("True", True), (True, True), ("0", False), ("False", False), (False, False)):
            options = fairseq.read_options({"arch": "lstm", "decoder_attention": value}, pathlib.Path("m"))
            self.assertEqual(want, options.attention, value)

    def test_another_models_dictionary_is_one_line(self):
        (self.folder / "d").write_text("a 1\n")
        code, said = export("shared", "--out", self.folder / "m", "--no-verify", "--target-dict", self.folder / "d")
        self.assertEqual((1, 1), (code, said.count("\n")), said)
        self.assertIn("expected [", said)
        self.assertFalse((self.folder / "m").exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
