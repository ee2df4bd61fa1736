#!/usr/bin/python3
"""The OpenNMT-py importer against the toolkit itself: models that it trained (tests/data/opennmt_py), and its own
output.

Usage: opennmt_py_test.py [HEED_SERVER HEED]; without the programs what needs a server is skipped.
"""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import presets
from heed_export import cli
from heed_export.bundle import bundle
from heed_export.importers import opennmt_py
from heed_export.reading import checkpoint
from heed_export.importers.opennmt_py import BOS, EOS, PAD, UNK, Options
from heed_export.model.vocabulary import pretokenized
from heed_export.reading.stand_ins import StandIn
from presets import opennmt_py as shapes
from reference import trace
from serving import Served
from torch_files import Call, Storage, legacy, tensor, zipped

DATA = presets.ROOT / "tests/data/opennmt_py"
FIXTURES = sorted(p.name for p in DATA.iterdir() if p.is_dir())
PROGRAMS: list[str] = []
COMMON = ["--license", "Apache-2.0", "--source-language", "en", "--target-language", "de", "--no-verify"]


def lines(name: str, file: str) -> list[str]:
    return (DATA / name / file).read_text(encoding="utf-8").splitlines()


def version_of(name: str) -> str:
    """The toolkit's version that made a fixture."""
    return {"v2": "2.3.0", "v3": "3.5.1"}[name.split("-")[0]]


def export(*arguments: str) -> tuple[int, str, str]:
    """heed-export opennmt-py: its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(["opennmt-py", *map(str, arguments)])
    return code, out.getvalue(), err.getvalue()


class Oracle(unittest.TestCase):
    def test_the_reference_says_what_the_toolkit_said_with_its_score(self):
        self.assertGreaterEqual(len(FIXTURES), 7)
        for name in FIXTURES:
            options, weights, s, t = opennmt_py.read_checkpoint(DATA / name / "model.pt")
            source = opennmt_py.make_vocabulary(name, "source", s, pretokenized(), False)
            target = opennmt_py.make_vocabulary(name, "target", t, pretokenized(), False)
            run = opennmt_py.oracle(options, weights.arrays, source, target)
            for line, said in zip(lines(name, "source.txt"), lines(name, "greedy.txt")):
                words = line.split()
                most = int(1.25 * len(words) + 5) if name.startswith("v3") else 100
                found = run(source.ids(words), most, words)
                score = sum(found.log_probabilities) / (len(found.tokens) + 1 if name.startswith("v3") else 1)
                with self.subTest(name, line=line):
                    self.assertEqual(said.split("\t")[1], self.text(found, words, target))
                    self.assertAlmostEqual(float(said.split("\t")[0]), score, delta=2e-4)

    @staticmethod
    def text(found: trace.Trace, words: list[str], target) -> str:
        pieces = [i for i in found.tokens if i != target.eos]
        return " ".join(target.pieces[i] if i < len(target) else words[found.copy_ids.index(i)] for i in pieces)


class Layouts(unittest.TestCase):
    """One model in each layout of file that OpenNMT-py had."""

    OPTIONS = Options(encoder_type="brnn", copy_attn=False)

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "model.pt"
        wanted = shapes.shapes_of(self.OPTIONS, 1, 5, 6, len(shapes.SOURCE), len(shapes.TARGET))
        self.weights = presets.random_like(np.random.default_rng(1), wanted)

    def checkpoint(self, vocab, **opt) -> dict:
        store = {k: Storage(str(i), v) for i, (k, v) in enumerate(self.weights.items())}
        named = {k: tensor(s, s.values.shape) for k, s in store.items()}
        model = {k: v for k, v in named.items() if not k.startswith("generator.")}
        generator = {k[len("generator.") :]: v for k, v in named.items() if k.startswith("generator.")}
        options = {"encoder_type": "brnn", "rnn_type": "LSTM", "global_attention": "general", "input_feed": 1, **opt}
        return {
            "model": model,
            "generator": generator,
            "vocab": vocab,
            "opt": Call("argparse.Namespace", state=options),
            "optim": Call("onmt.Optim.Optim", state={"lr": 1.0}),
            "epoch": 3,
        }

    def vocab(self, pieces: list[str], unk: bool = True):
        stoi = {p: i for i, p in enumerate(pieces) if unk or i}
        return Call("torchtext.vocab.Vocab", state={"itos": ["wrong"], "stoi": stoi, "freqs": {}})

    def read(self, data: bytes):
        self.path.write_bytes(data)
        return opennmt_py.read_checkpoint(self.path)

    def check(self, data: bytes, layout: int):
        options, weights, source, target = self.read(data)
        self.assertEqual((shapes.SOURCE, shapes.TARGET, layout), (source, target, options.layout))
        self.assertEqual(set(self.weights), set(weights.arrays))
        for name, values in self.weights.items():
            np.testing.assert_array_equal(values, weights.arrays[name])

    def test_pairs_of_names_and_vocabs_of_2017(self):
        pairs = [("src", self.vocab(shapes.SOURCE, unk=False)), ("tgt", self.vocab(shapes.TARGET))]
        self.check(legacy(self.checkpoint(pairs)), 0)

    def test_fields_of_1_and_2(self):
        def field(pieces):
            return Call(
                "torchtext.data.field.Field",
                state={"vocab": self.vocab(pieces), "init_token": BOS, "tokenize": Call("functools.partial", "x")},
            )

        def multi(name, pieces):
            return Call("onmt.inputters.text_dataset.TextMultiField", state={"fields": [(name, field(pieces))]})

        both = {"src": shapes.SOURCE, "tgt": shapes.TARGET}
        self.check(zipped(self.checkpoint({n: multi(n, p) for n, p in both.items()})), 1)
        self.check(zipped(self.checkpoint({n: [(n, field(p))] for n, p in both.items()})), 1)
        self.check(zipped(self.checkpoint({n: [(n, multi(n, p))] for n, p in both.items()})), 1)

    def test_lists_of_3(self):
        self.check(zipped(self.checkpoint({"src": shapes.SOURCE, "tgt": shapes.TARGET, "data_task": "seq2seq"})), 3)

    def test_the_start_token_of_3(self):
        vocab = {"src": shapes.SOURCE, "tgt": shapes.TARGET, "decoder_start_token": EOS}
        self.assertEqual(EOS, self.read(zipped(self.checkpoint(vocab)))[0].start)
        with self.assertRaisesRegex(checkpoint.CheckpointError, "decoder_start_token 'x' is not in"):
            self.read(zipped(self.checkpoint({**vocab, "decoder_start_token": "x"})))

    def test_biases_of_one_row(self):
        for name in list(self.weights):
            if ".bias_" in name:
                self.weights[name] = self.weights[name][None]
        path = legacy(self.checkpoint([("src", self.vocab(shapes.SOURCE)), ("tgt", self.vocab(shapes.TARGET))]))
        _, weights, source, target = self.read(path)
        sides = [
            opennmt_py.make_vocabulary("x", s, p, pretokenized(), False)
            for s, p in (("source", source), ("target", target))
        ]
        model = opennmt_py.build(self.OPTIONS, weights, *sides)
        self.assertTrue(all(v.ndim == 1 for k, v in model.tensors.by_name.items() if "bias" in k))

    def test_features_are_refused(self):
        two = Call("onmt.inputters.text_dataset.TextMultiField", state={"fields": [("src", 1), ("src_feat_0", 2)]})
        for vocab in (
            [
                ("src", self.vocab(shapes.SOURCE)),
                ("tgt", self.vocab(shapes.TARGET)),
                ("src_feat_0", self.vocab(shapes.SOURCE)),
            ],
            {"src": two, "tgt": two},
            {"src": shapes.SOURCE, "tgt": shapes.TARGET, "src_feats": [shapes.SOURCE]},
        ):
            with self.assertRaisesRegex(
                checkpoint.CheckpointError, "word features are not supported: .* in the checkpoint"
            ):
                self.read(zipped(self.checkpoint(vocab)))

    def test_an_id_without_a_piece_gets_one_that_no_text_is(self):
        # As files of 2017 have it: some ids are nobody's.
        stoi = {"<unk>": 0, "<blank>": 1, "<s>": 2, "</s>": 3, "a": 4, "c": 6}
        vocab = StandIn()
        vocab.__setstate__({"stoi": stoi})
        pieces = opennmt_py._torchtext_pieces("m", "tgt", vocab)
        self.assertEqual(["<unk>", "<blank>", "<s>", "</s>", "a", "<unused 5>", "c"], pieces)
        for side, special in (("source", [1, 2, 3, 5]), ("target", [1, 5])):
            made = opennmt_py.make_vocabulary("m", side, pieces, pretokenized(), False)
            self.assertEqual(special, sorted(made.special), side)
            self.assertEqual([4, 0, 6], made.ids(["a", "<unused 5>", "c"]))

    def test_vocabularies_mostly_of_holes_or_without_what_is_needed_are_refused(self):
        def with_stoi(stoi):
            return [("src", Call("torchtext.vocab.Vocab", state={"stoi": stoi})), ("tgt", self.vocab(shapes.TARGET))]

        for stoi, message in (
            ({"a": 9}, "no piece for 8 of 10 ids"),
            ({"a": 1 << 40}, "gives 'a' the id"),
            ({"a": -1}, "gives 'a' the id -1"),
            ({}, "has no pieces"),
            ("x", "has no pieces"),
        ):
            with self.subTest(message), self.assertRaisesRegex(checkpoint.CheckpointError, message):
                self.read(zipped(self.checkpoint(with_stoi(stoi))))
        for vocab in (None, 3, [1, 2], {"src": 3, "tgt": 4}, [("src", 1)]):
            with self.subTest(vocab=vocab), self.assertRaises(checkpoint.CheckpointError):
                self.read(zipped(self.checkpoint(vocab)))
        with self.assertRaisesRegex(checkpoint.CheckpointError, "source vocabulary has no <unk>"):
            opennmt_py.make_vocabulary("m", "source", ["a"], pretokenized(), False)
        with self.assertRaisesRegex(checkpoint.CheckpointError, "target vocabulary has no </s>"):
            opennmt_py.make_vocabulary("m", "target", [UNK, PAD], pretokenized(), False)

    def test_options_that_heed_does_not_run_are_refused_by_name(self):
        for option, value, message in (
            ("rnn_type", "SRU", "SRU cells are not supported: rnn_type=SRU in the checkpoint"),
            ("encoder_type", "cnn", "the cnn encoder is not supported: encoder_type=cnn in the checkpoint"),
            ("encoder_type", "ggnn", "the ggnn encoder is not supported"),
            ("encoder_type", "transformer", "the transformer encoder is not supported"),
            ("decoder_type", "transformer", "the transformer decoder is not supported"),
            ("decoder_type", "cnn", "the cnn decoder is not supported"),
            ("model_type", "img", "img models are not supported"),
            ("model_task", "lm", "the task lm is not supported"),
            ("position_encoding", True, "positions added to embeddings are not supported: position_encoding=True"),
            ("lora_layers", ["linear"], "LoRA is not supported"),
            ("quant_layers", ["linear"], "a quantised model is not supported"),
            ("generator_function", "sparsemax", "a sparsemax generator is not supported: generator_function=sparsemax"),
            ("global_attention", "scaled", "the attention scaled is not supported"),
            ("global_attention_function", "entmax", "the attention function entmax is not supported"),
            ("context_gate", "x", "such a context gate is not supported: context_gate=x"),
            ("brnn_merge", "sum", "merging directions by sum is not supported: brnn_merge=sum"),
            ("rnn_type", 7, "option rnn_type is '7', expected str"),
        ):
            vocab = {"src": shapes.SOURCE, "tgt": shapes.TARGET}
            with self.subTest(option, value=value), self.assertRaisesRegex(checkpoint.CheckpointError, message):
                self.read(zipped(self.checkpoint(vocab, **{option: value})))
        with self.assertRaisesRegex(
            checkpoint.CheckpointError, "copying without input feeding is not supported: input_feed=0"
        ):
            self.read(zipped(self.checkpoint(vocab, copy_attn=True, input_feed=0)))


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_a_bundle_holds_the_model_its_words_and_the_proof(self):
        code, out, err = export(
            DATA / "v2-brnn-lstm-copy/model.pt",
            "--out",
            self.folder / "mine",
            *COMMON,
            "--cases",
            DATA / "v2-brnn-lstm-copy/source.txt",
        )
        self.assertEqual((0, ""), (code, err))
        self.assertIn("mine 1, from OpenNMT-py (1.x or 2.x)", out)
        made = bundle.read(self.folder / "mine")
        self.assertEqual({"pretokenized": {}}, {k: v for k, v in made.spec["source"].items() if k == "pretokenized"})
        self.assertEqual("prediction", made.spec["step"]["output"])
        self.assertEqual("BEAM_STOP_BEST_ENDED", made.spec["search"]["beam_stop"])
        self.assertIn(b"Apache-2.0", made.files["LICENSE"])
        proof = json.loads(made.files["parity.json"])
        self.assertEqual(40, len(proof["cases"]))
        self.assertEqual("b n165 b k i", proof["cases"][0]["text"])
        self.assertEqual({"attention", "copy_attention"}, {a["attend"] for a in proof["cases"][0]["attentions"]})
        self.assertEqual(len(proof["cases"][0]["target_ids"]), len(proof["cases"][0]["copy_gates"]))

    def test_safetensors_beside_the_checkpoint_are_found_and_missed(self):
        data = DATA / "v3-brnn-lstm-dot-safetensors"
        alone = self.folder / "model.pt"
        alone.write_bytes((data / "model.pt").read_bytes())
        code, _, err = export(alone, "--out", self.folder / "mine", *COMMON)
        self.assertEqual(1, code)
        self.assertRegex(
            err, r"^heed-export opennmt-py: .*model\.pt: holds no weights, and model\.safetensors is not beside it"
        )
        code, _, err = export(
            alone, "--safetensors", data / "model.safetensors", "--out", self.folder / "mine", *COMMON
        )
        self.assertEqual((0, ""), (code, err))
        (self.folder / "model.00.safetensors").write_bytes((data / "model.safetensors").read_bytes())
        code, _, err = export(alone, "--out", self.folder / "mine", *COMMON)
        self.assertEqual((0, ""), (code, err), "shards, as 3.5.1 loads them")

    def test_failures_are_one_line_and_leave_nothing(self):
        good = (DATA / "v3-rnn-gru-mlp/model.pt").read_bytes()
        bad = self.folder / "bad.pt"
        for data, message in (
            (good[: len(good) // 2], "is damaged|truncated"),
            (b"hello", "neither a zip archive nor a pickle"),
            (
                zipped({"model": Call("os.system", "touch /tmp/ran")}),
                r"asks for .*system, which is nothing that a checkpoint holds",
            ),
            (zipped({"a": 1}), "is no OpenNMT-py checkpoint"),
            (zipped({"dicts": {}, "opt": 1}), "files of early 2017 are not supported: dicts in the checkpoint"),
        ):
            bad.write_bytes(data)
            code, out, err = export(bad, "--out", self.folder / "deep" / "mine", *COMMON)
            with self.subTest(message):
                self.assertEqual((1, "", 1), (code, out, err.count("\n")))
                self.assertRegex(err, rf"^heed-export opennmt-py: {bad}: .*({message})")
                self.assertEqual(["bad.pt"], [p.name for p in self.folder.iterdir()])

    def test_flags_that_do_not_go_together_are_named(self):
        model = DATA / "v3-rnn-gru-mlp/model.pt"
        out = self.folder / "mine"
        for flags, message in (
            (["--tokenizer", "bpe"], "--tokenizer bpe: needs --source-merges"),
            (["--joiner"], "--joiner: goes with --tokenizer opennmt, not pretokenized"),
            (["--toolkit-version", "new"], "--toolkit-version: 'new' is no version"),
            (["--name", "A b"], "--name: 'A b' must be"),
            (["--cases", "/nowhere"], "/nowhere: does not exist"),
        ):
            code, _, err = export(model, "--out", out, *COMMON, *flags)
            self.assertEqual((1, False), (code, out.exists()))
            self.assertIn(message, err)
        out.mkdir()
        (out / "precious").write_text("x")
        code, _, err = export(model, "--out", out, *COMMON)
        self.assertEqual((1, ["precious"]), (code, [p.name for p in out.iterdir()]))
        self.assertIn("exists and is no bundle", err)

    def test_another_models_bundle_is_replaced_when_told_to(self):
        out, other = self.folder / "mine", ("--name", "other")
        model = DATA / "v3-rnn-gru-mlp/model.pt"
        self.assertEqual(0, export(model, "--out", out, *COMMON)[0])
        self.assertEqual(0, export(DATA / "v3-brnn-lstm-general/model.pt", "--out", out, *COMMON)[0], "a newer checkpoint")
        before = bundle.read(out).digest
        code, _, err = export(model, "--out", out, *COMMON, *other)
        self.assertEqual((1, before), (code, bundle.read(out).digest))
        self.assertEqual(
            f"heed-export opennmt-py: --out: {out} holds another model, mine (translate, en to de, from OpenNMT-py), and "
            "this is other (translate, en to de, from OpenNMT-py); give another folder, or --force\n", err
        )  # fmt: skip
        self.assertEqual(0, export(model, "--out", out, *COMMON, *other, "--force")[0])
        self.assertEqual("other", bundle.read(out).spec["name"])

    def test_weights_that_do_not_fit_are_named(self):
        options, weights, s, t = opennmt_py.read_checkpoint(DATA / "v3-rnn-gru-mlp/model.pt")
        sides = [
            opennmt_py.make_vocabulary("m", n, p, pretokenized(), False) for n, p in (("source", s), ("target", t))
        ]

        def build(changes: dict):
            arrays = {k: v for k, v in {**weights.arrays, **changes}.items() if v is not None}
            return opennmt_py.build(options, checkpoint.Weights(arrays, "m.pt"), *sides)

        for changes, message in (
            ({"decoder.attn.v.weight": None}, "m.pt: tensor decoder.attn.v.weight is missing"),
            (
                {"decoder.surprise.weight": np.zeros((1, 1))},
                "m.pt: tensor decoder.surprise.weight is in the checkpoint and no part",
            ),
            ({"decoder.attn.v.weight": np.zeros((1, 3))}, r"step.attention \(attend\): v is \[1,3\], expected \[18\]"),
            ({"decoder.rnn.weight_hh_l0": None}, "m.pt: tensor decoder.rnn.weight_hh_l0 is missing"),
            ({"encoder.rnn.weight_hh_l0": None}, "the encoder has 0 layers and the decoder 1"),
            ({"generator.weight": np.zeros((3, 18))}, r"step.prediction \(output\): weight is \[3,18\]"),
        ):
            with self.subTest(message), self.assertRaisesRegex(ValueError, message):
                build(changes)


class Through(unittest.TestCase):
    """The whole way: heed-export, heed-server, heed."""

    def setUp(self):
        if not PROGRAMS:
            self.skipTest("no heed-server and heed given")
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_the_server_says_what_the_toolkit_said_greedily_and_by_beam(self):
        for name in FIXTURES:
            code, out, err = export(
                DATA / name / "model.pt",
                "--out",
                self.folder / name,
                "--license",
                "Apache-2.0",
                "--source-language",
                "en",
                "--target-language",
                "de",
                "--heed-server",
                PROGRAMS[0],
                "--cases",
                DATA / name / "source.txt",
                "--toolkit-version",
                version_of(name),
            )
            self.assertEqual((0, ""), (code, err), name)
            self.assertIn("agrees", out)
        with Served(*PROGRAMS, self.folder) as served:
            for name in FIXTURES:
                source = lines(name, "source.txt")
                for file, flags in (("greedy.txt", ["--beam_size=1"]), ("beam.txt", [])):
                    said = served.translate(source, name, *flags)
                    for line, want, found in zip(source, lines(name, file), said):
                        with self.subTest(f"{name} {file}", line=line):
                            self.assertEqual(want.split("\t")[1], found["text"])


if __name__ == "__main__":
    PROGRAMS += sys.argv[1:3] if len(sys.argv) > 2 and not sys.argv[1].startswith("-") else []
    unittest.main(argv=sys.argv[:1] + sys.argv[1 + len(PROGRAMS) :])
