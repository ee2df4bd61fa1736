#!/usr/bin/python3
"""The Marian importer: what it refuses, whole models of either kind, and a student against fxtranslate.

Usage: marian_test.py [BUILD]; without a build folder what needs a server is skipped. tests/data/marian/make.py made the
student and let fxtranslate translate with it.
"""

import contextlib
import importlib.util
import io
import json
import pathlib
import re
import shutil
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import presets
from heed_export import cli
from heed_export.bundle import bundle, certificate
from heed_export.importers import importer, marian
from heed_export.marian import cache, containers
from heed_export.measure import served, serving
from heed_export.reading import checkpoint
from heed_export.model.int8 import Int8
from in_a_folder import InAFolder
from presets import marian as shapes
from reference import marian as oracle
from reference import marian_student as student_oracle
from reference import trace

DATA = presets.ROOT / "tests/data/marian"
FLOAT, INT8, SPM, LEX = (
    "model.enxx.float32.bin",
    "model.enxx.intgemm.alphas.bin",
    "vocab.enxx.spm",
    "lex.50.50.enxx.s2t.bin",
)
BUILD: list[pathlib.Path] = []  # of CMake, or none
HAS_VNNI = re.search(r"\b(avx_vnni|avx512_vnni)\b", pathlib.Path("/proc/cpuinfo").read_text()) is not None
SPEC = importlib.util.spec_from_file_location("make", DATA / "make.py")
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)


def verified() -> list:
    """The flags by which the bundle is proved by the server of this build, where there is one."""
    return ["--heed-server", BUILD[0] / "server/heed-server"] if BUILD else ["--no-verify"]


def without_alphas(data: bytes) -> bytes:
    """A container without its QuantMultA."""
    _, count = struct.unpack_from("<2Q", data)
    heads, at = [struct.unpack_from("<4Q", data, 16 + 32 * i) for i in range(count)], 16 + 32 * count

    def take(size: int) -> bytes:
        nonlocal at
        at += size
        return data[at - size : at]

    names = [take(head[0]) for head in heads]
    shapes = [take(4 * head[2]) for head in heads]
    take(8 + struct.unpack_from("<Q", data, at)[0])
    items = list(zip(heads, names, shapes, [take(head[3]) for head in heads]))
    items = [item for item in items if not item[1].endswith(b"_QuantMultA\0")]
    made = struct.pack("<2Q", 1, len(items)) + b"".join(struct.pack("<4Q", *item[0]) for item in items)
    made += b"".join(item[1] for item in items) + b"".join(item[2] for item in items)
    return made + struct.pack("<Q", 0) + b"".join(item[3] for item in items)


def export(*arguments) -> tuple[int, str, str]:
    """heed-export marian: its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(["marian", *map(str, arguments)])
    return code, out.getvalue(), err.getvalue()


class Options(InAFolder):
    GOOD = {**shapes.DEFAULTS, "type": "s2s", "dim-vocabs": [23, 29]}
    STUDENT = {**shapes.STUDENT, "dim-vocabs": [29, 29]}

    def test_what_training_leaves_behind_is_not_in_the_way(self):
        more = {"bert-train-type-embeddings": True, "char-stride": 5, "ulr-dim-emb": 0, "transformer-flat": True}
        marian.check_options({**self.GOOD, **more, "unheard-of": False}, "m.bin")
        marian.check_options({**self.STUDENT, **more, "input-types": ["sequence", "sequence"]}, "m.bin")

    def test_what_is_not_covered_is_refused_by_name(self):
        for base, message, changes in (
            (self.GOOD, "type=multi-s2s is not supported, only s2s", {"type": "multi-s2s"}),
            (self.GOOD, "type=None is not supported", {"type": None}),
            (self.GOOD, "write from right to left are not supported: right-left=True", {"right-left": True}),
            (self.GOOD, "factored vocabularies are not supported: lemma-dim-emb=8", {"lemma-dim-emb": 8}),
            (self.GOOD, "inputs beside one text are not supported: input-types=", {"input-types": ["class"]}),
            (self.GOOD, "2 sources are not supported: dim-vocabs=", {"dim-vocabs": [3, 4, 5]}),
            (self.GOOD, "dim-vocabs=.*, expected the sizes", {"dim-vocabs": [3, -4]}),
            (self.GOOD, "option dec-high-context=repeat is not known", {"dec-high-context": "repeat"}),
            (self.STUDENT, "Transformer decoders are not supported: transformer-decoder-autoreg=self-attention",
             {"transformer-decoder-autoreg": "self-attention"}),
            (self.STUDENT, "transformer-decoder-autoreg=average-attention",
             {"transformer-decoder-autoreg": "average-attention"}),
            (self.STUDENT, "that is not supported: transformer-train-position-embeddings=True",
             {"transformer-train-position-embeddings": True}),
        ):  # fmt: skip
            with self.subTest(message):
                self.refused("m.bin: .*" + message, marian.check_options, {**base, **changes}, "m.bin")
        self.refused("m.bin: special:model.yml is no mapping", marian.check_options, ["a"], "m.bin")

    def built(self, options: dict, arrays: dict) -> None:
        checked = marian.check_options({"dim-vocabs": [23, 29], **options}, "m.bin")
        marian.build(checked, checkpoint.Weights(arrays, "m.bin"), *shapes.vocabularies(options))

    def test_what_building_finds_is_refused_by_name(self):
        rng = np.random.default_rng(1)
        arrays = shapes.s2s_weights(rng, self.GOOD)
        for message, changes in (
            ("mlstm cells are not supported: dec-cell=mlstm", {"dec-cell": "mlstm"}),
            ("sru cells are not supported: enc-cell=sru", {"enc-cell": "sru"}),
            ("enc-type=convolutional is not supported", {"enc-type": "convolutional"}),
            ("enc-depth=0, expected 1 to 100", {"enc-depth": 0}),
            ("dec-cell-base-depth=x, expected 1 to 100", {"dec-cell-base-depth": "x"}),
            ("tensor encoder_bi_l2_cell1_b is missing", {"enc-depth": 2}),
            ("tensor decoder_att_gamma1 is missing|gamma2 is missing", {"layer-normalization": True}),
            ("layer-normalization with enc-cell=tanh is not", {"layer-normalization": True, "enc-cell": "tanh"}),
        ):
            with self.subTest(message):
                self.refused(message, self.built, {**self.GOOD, **changes}, arrays)
        self.refused(
            "tensor unheard_of has no place", self.built, self.GOOD, {**arrays, "unheard_of": arrays["encoder_bi_b"]}
        )
        student = shapes.student_weights(rng, self.STUDENT)
        for message, changes in (
            ("transformer-ffn-activation=swish is not supported, only relu", {"transformer-ffn-activation": "swish"}),
            ("transformer-postprocess=dax: operation 'x' is not supported", {"transformer-postprocess": "dax"}),
            ("transformer-heads=0, expected 1", {"transformer-heads": 0}),
            ("transformer-tied-layers=.1., expected 2 numbers", {"transformer-tied-layers": [1]}),
            ("transformer-guided-alignment-layer=7, expected last", {"transformer-guided-alignment-layer": 7}),
            ("tensor decoder_l3_rnn_W(f)? is missing", {"dec-depth": 3}),
        ):
            with self.subTest(message):
                self.refused(message, self.built, {**self.STUDENT, **changes}, student)

    def test_a_matrix_of_another_shape_is_one_line(self):
        arrays = shapes.s2s_weights(np.random.default_rng(1), self.GOOD)
        for name in ("decoder_cell1_U", "decoder_Wc_att", "decoder_ff_logit_l2_Wt", "encoder_Wemb"):
            with self.subTest(name), self.assertRaises(ValueError) as caught:
                self.built(self.GOOD, {**arrays, name: arrays[name][:-1, :-1]})
            self.assertNotIn("\n", str(caught.exception))


class Tolerances(unittest.TestCase):
    """What a certificate allows: the standard, unless the weights' last bit moves the values by more."""

    def found(self, change: float) -> dict[str, float]:
        def case(more: float) -> trace.Trace:
            attended = trace.Attended(np.full((1, 2), 0.5), np.zeros((1, 2)), np.array([2.0 + more, 0.5]))
            step = trace.StepValues(np.zeros(3), {"attention": attended})
            return trace.Trace([2, 0], [0], [-1.0], [1.0], [step], True)

        return importer.tolerance([certificate.Case(case(0))], lambda _: case(change))

    def test_grow_where_float32_cannot_be_nearer_and_nowhere_else(self):
        self.assertEqual({}, self.found(0))
        self.assertEqual({}, self.found(1e-6))
        self.assertEqual({"context": 1.6e-5}, self.found(2e-6))  # 16 times 1e-6 of 2

    def test_moved_weights_round_to_the_same_or_the_next_float(self):
        values = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
        other = importer.moved({"w": values})["w"]
        self.assertTrue((other != values).all())
        self.assertLessEqual(np.abs(other / values - 1).max(), 2.0**-24)

    def test_the_fixture_needs_none(self):
        files = marian.load(DATA / FLOAT, [DATA / SPM])
        own = marian._Oracle(files)
        cases = [certificate.Case(own.trace([5, 6, 7, 9, 30, 0], 40))]
        self.assertEqual({}, importer.tolerance(cases, own.moved))


class Search(InAFolder):
    def test_defaults_are_the_decoders(self):
        found = marian.read_search(self.folder / "model.npz")
        self.assertEqual(
            (12, 3.0, "UNKNOWN_POLICY_BAN"), (found["beam_size"], found["max_length_a"], found["unknowns"])
        )

    def test_what_stands_beside_the_model(self):
        self.put(
            "model.npz.decoder.yml",
            "beam-size: 6\nnormalize: 0.6\nword-penalty: 0.1\nallow-unk: true\nmodels:\n  - m\n",
        )
        found = marian.read_search(self.folder / "model.npz")
        self.assertEqual((6, {"alpha": 0.6}, 0.1), tuple(found[n] for n in ("beam_size", "average", "word_penalty")))
        self.assertNotIn("unknowns", found)
        self.put("model.npz.decoder.yml", "beam-size: 100000\n")
        self.refused("beam-size=100000, expected 1 to 1024", marian.read_search, self.folder / "model.npz")


class Npz(InAFolder):
    """Models of train's time: .npz with the options inside."""

    def model(self, kind: str, **changes) -> pathlib.Path:
        options = {**shapes.DEFAULTS, "type": kind, "dim-vocabs": [23, 29], **changes}
        self.arrays = shapes.s2s_weights(np.random.default_rng(3), options)
        self.options = options
        text = "".join(f"{k}: {json.dumps(v)}\n" for k, v in options.items()).encode() + b"\0"
        path = self.folder / "model.npz"
        np.savez(path, **{"special:model.yml": np.frombuffer(text, np.int8)}, **self.arrays)
        for side, size in (("source", 23), ("target", 29)):
            self.put(side + ".yml", '"</s>": 0\n"<unk>": 1\n' + "".join(f"w{i}: {i}\n" for i in range(2, size)))
        return path

    def test_becomes_a_bundle_whose_certificate_is_the_oracles(self):
        path = self.model("s2s", **{"enc-depth": 2, "skip": True})
        code, out, err = export(
            path, "--vocabs", self.folder / "source.yml", self.folder / "target.yml", "--license", "MIT",
            "--source-language", "de", "--target-language", "en", "--out", self.folder / "mine",
            *verified(),
        )  # fmt: skip
        self.assertEqual((0, ""), (code, err))
        if BUILD:
            self.assertIn("agrees", out)
        proof = json.loads((self.folder / "mine/parity.json").read_text())
        reference = oracle.S2S(self.arrays, self.options)
        for case in proof["cases"]:
            again = trace.greedy(reference, case["source_ids"], None, 0, 40)
            self.assertEqual(again.tokens, case["target_ids"])
            np.testing.assert_allclose(again.log_probabilities, case["log_probabilities"], atol=1e-6)
        spec = json.loads((self.folder / "mine/model.json").read_text())
        self.assertEqual("BEAM_POLICY_SHRINK", spec["search"]["beam_policy"])
        self.assertEqual((12, True), (spec["search"]["beam_size"], spec["step"]["start_zero"]))

    def test_an_error_is_one_line_and_leaves_nothing(self):
        path = self.model("s2s", **{"right-left": True})
        before = sorted(self.folder.rglob("*"))
        flags = ["--license", "MIT", "--no-verify", "--source-language", "de", "--target-language", "en"]
        code, out, err = export(path, "--vocabs", self.folder / "source.yml", *flags, "--out", self.folder / "mine")
        self.assertEqual((1, ""), (code, out))
        self.assertRegex(
            err, r"\Aheed-export marian: .*model.npz: models that write from right .*: right-left=True\n\Z"
        )
        self.assertEqual(before, sorted(self.folder.rglob("*")))

    def test_without_its_options_it_is_no_model(self):
        np.savez(self.folder / "m.npz", a=np.zeros(3, np.float32))
        self.refused("m.npz: holds no special:model.yml", marian.read_model, self.folder / "m.npz")

    def test_pickles_inside_are_refused(self):
        np.savez(self.folder / "m.npz", a=np.array([{"x": 1}], object))
        self.refused(r"m.npz: a.npy: is an array of '\|O'", marian.read_model, self.folder / "m.npz")


class Students(InAFolder):
    """The fixture: what fxtranslate said, through a server of ours."""

    def lay(self, model: str, *more: str, separate: bool = False) -> pathlib.Path:
        """A folder as Firefox Translations has them; `separate`: with two vocabularies, as for Chinese and Japanese."""
        place = self.folder / "downloaded"
        place.mkdir()
        for name in (model, *more):
            shutil.copy(DATA / name, place / name)
        pieces = (DATA / SPM).read_bytes()
        if separate:
            (place / "srcvocab.enxx.spm").write_bytes(pieces)
            (place / "trgvocab.enxx.spm").write_bytes(pieces + make.ANOTHER)
        else:
            (place / SPM).write_bytes(pieces)
        return place

    def export(self, place: pathlib.Path, name: str, *flags: str) -> dict:
        code, self.printed, err = export(
            place, "--license", "CC0-1.0", "--out", self.folder / "models" / name, "--target-language", "de",
            *flags, *verified(),
        )  # fmt: skip
        self.assertEqual((0, ""), (code, err))
        return json.loads((self.folder / "models" / name / "model.json").read_text())

    def test_a_folder_of_two_models_is_ambiguous(self):
        self.refused(r"holds 2 files like model.\*bin, expected one", cache.find_files, DATA)

    def test_the_bundle_of_a_folder(self):
        spec = self.export(self.lay(FLOAT, LEX), "mine")
        self.assertEqual(("en", "TASK_TRANSLATE"), (spec["source_language"], spec["task"]))
        self.assertEqual(
            (DATA / LEX).read_bytes(), (self.folder / "models/mine" / spec["shortlist"]["file"]).read_bytes()
        )
        search = {n: v for n, v in spec["search"].items() if n != "attend"}
        self.assertEqual("UNKNOWN_POLICY_BAN", search.pop("unknowns"))
        self.assertEqual({"beam_size": 1, "max_length_a": 2, "max_length_b": 0, "max_length_rounds_up": True}, search)
        self.assertEqual({"max_source_tokens": 128, "too_long": "TOO_LONG_POLICY_SPLIT"}, spec["limits"])
        self.assertTrue(spec["source"]["add_eos"])
        self.assertNotIn("precision", spec)

    def test_unknown_pieces_may_be_said_where_that_is_asked_for(self):
        self.assertNotIn("unknowns", self.export(self.lay(FLOAT), "mine", "--allow-unk")["search"])

    def test_the_bundle_of_int8_weights(self):
        spec = self.export(self.lay(INT8), "mine")
        self.assertEqual({"recommended": ["int8"]}, spec["precision"])
        proof = json.loads((self.folder / "models/mine/parity.json").read_text())
        self.assertEqual("int8", proof["precision"])
        self.assertRegex(self.printed, "tolerances: log_probability .*, since what lies between two int8 numbers may be")
        kept = bundle.read(self.folder / "models/mine").tensors
        self.assertTrue(all(isinstance(values, Int8) for values in kept.values() if values.ndim == 2))
        self.assertTrue(all(v.activation_scales for v in kept.values() if v.ndim == 2))
        if BUILD:
            self.assertEqual("int8", proof["measured"]["precision"])
            self.assertIn("agrees", self.printed)

    def test_int8_without_alphas_is_said_and_proved(self):
        place = self.lay(INT8)
        path = place / INT8
        data = path.read_bytes()
        # Where nothing is called so, the alphas are tensors that no product has.
        contents = containers.read(data, INT8)
        self.assertTrue(contents.alphas)
        path.write_bytes(without_alphas(data))
        spec = self.export(place, "mine")
        self.assertRegex(self.printed, rf"\n{INT8}: Wemb and \d+ more of \d+ int8 weights have no alpha, so what they are")
        proof = json.loads((self.folder / "models/mine/parity.json").read_text())
        self.assertNotIn("precision", proof)
        self.assertEqual({"recommended": ["int8"]}, spec["precision"])
        kept = bundle.read(self.folder / "models/mine").tensors
        self.assertEqual([], [n for n, v in kept.items() if isinstance(v, Int8) and v.activation_scales])
        if BUILD:
            self.assertIn("agrees", self.printed)

    def test_int8_becomes_float32_where_that_is_asked_for(self):
        spec = self.export(self.lay(INT8), "mine", "--dequantise")
        self.assertNotIn("precision", spec)
        self.assertRegex(self.printed, r"int8 weights become float32$|int8 weights become float32\n")
        kept = bundle.read(self.folder / "models/mine").tensors
        self.assertFalse(any(isinstance(values, Int8) for values in kept.values()))

    def test_a_tokenizer_beside_sentencepiece_is_refused(self):
        code, _, err = export(self.lay(FLOAT), "--license", "MIT", "--tokenizer", "words", "--out", self.folder / "m")
        self.assertEqual(1, code)
        self.assertRegex(err, r"--tokenizer words: .*vocab.enxx.spm is SentencePiece's and cuts by itself\n\Z")

    def test_the_bundle_of_two_vocabularies(self):
        spec = self.export(self.lay(FLOAT, LEX, separate=True), "mine")
        self.assertTrue(spec["shortlist"]["separate_vocabularies"])
        self.assertNotEqual(spec["source"]["sentencepiece"], spec["target"]["sentencepiece"])

    def answers(self, precision: str, *asked: tuple[str, ...]) -> list[list[served.Output]]:
        """What the server says of the lines, asked with each of these lists of flags."""
        if not BUILD:
            self.skipTest("no build folder given")
        with serving.Server(BUILD[0], self.folder / "models", f"--precision={precision}") as server:
            flags = ("--attention", "--unit=pieces")
            found = [served.parse(server.ask("translate", "mine", DATA / "lines.src", *flags, *own)) for own in asked]
        for answers in found:
            self.assertEqual(len((DATA / "lines.src").read_text().splitlines()), len(answers))
        return found

    def said(self, by: str, kind: str, answers: list[served.Output]) -> None:
        self.assertEqual((DATA / f"{by}.{kind}.hyp").read_text().splitlines(), [answer.text for answer in answers])

    def compared(self, kind: str, model: str, *more: str, separate: bool = False, flags: tuple = ()) -> None:
        """The server's answers against Marian's own text (export/tools/marian_wasm.cjs, @browsermt/bergamot-translator
        0.4.9, node 20), fxtranslate's, which follows other rules of search, and the oracle on the same ids."""
        place = self.lay(model, *more, separate=separate)
        self.export(place, "mine", *flags)
        answers, longer = self.answers("float32", (), ("--unknowns=allow", "--max_length_a=2", "--max_length_b=4"))
        files = marian.load(*cache.find_files(place), dequantise=True)
        self.as_the_oracle(files, answers, bool(more), 1e-4, 1e-5)
        if kind:
            self.said("marian", kind, answers)
            self.said("fxtranslate", kind, longer)

    def as_the_oracle(
        self, files: marian.Files, answers: list[served.Output], shortlist: bool, log_p: float, weight: float
    ) -> None:
        reference = student_oracle.Student(files.weights.arrays, files.options)
        if shortlist:
            reference = student_oracle.Shortlisted(reference, files.shortlist, 80, files.shared)
        for line, answer in zip((DATA / "lines.src").read_text().splitlines(), answers):
            with self.subTest(line):
                self.assertEqual("", answer.error)
                (segment,) = answer.segments
                ids = segment.source_ids
                found = trace.greedy(reference, ids, None, 0, 2 * len(ids), banned=files.target.unk)
                self.assertEqual(found.tokens, segment.tokens)
                np.testing.assert_allclose(segment.log_probabilities, found.log_probabilities, atol=log_p)
                rows = [step.attentions["attention2"].weights[0] for step in found.steps]
                np.testing.assert_allclose(segment.attention["weights"], rows, atol=weight)

    def test_what_is_longer_than_marians_max_length_break_is_parted(self):
        if not BUILD:
            self.skipTest("no build folder given")
        self.export(self.lay(FLOAT), "mine")
        path = self.put("long", "the old miller counts seven lanterns, and my neighbour reads every letter, " * 9 + "\n")
        with serving.Server(BUILD[0], self.folder / "models") as server:
            (answer,) = served.parse(server.ask("translate", "mine", path, "--attention", "--unit=pieces"))
        self.assertEqual("", answer.error)
        self.assertGreater(len(answer.segments), 1)
        self.assertLessEqual(max(len(segment.source_ids) for segment in answer.segments), 128)

    def test_float32_says_what_marian_says_and_fxtranslate(self):
        self.compared("float32", FLOAT)

    def test_with_a_shortlist_it_says_what_they_say(self):
        self.compared("float32.shortlist", FLOAT, LEX)

    def test_with_two_vocabularies_source_ids_are_no_candidates(self):
        self.compared("float32.separate", FLOAT, LEX, separate=True)

    def test_widened_int8_says_what_the_oracle_says_of_the_same_weights(self):
        self.compared("", INT8, flags=("--dequantise",))

    def as_marian(self, kind: str, *more: str) -> None:
        """int8 as Marian's own with exact integer products."""
        place = self.lay(INT8, *more)
        self.export(place, "mine")
        (answers,) = self.answers("int8", ())
        if not HAS_VNNI:
            leave_out(self, "int8 has 7 bits without VNNI")
        self.said("marian", kind, answers)
        self.as_the_oracle(marian.load(*cache.find_files(place)), answers, bool(more), 0.1, 0.05)

    def test_int8_says_what_marian_says(self):
        self.as_marian("intgemm.alphas")

    def test_int8_with_a_shortlist_says_what_marian_says(self):
        self.as_marian("intgemm.alphas.shortlist", LEX)


def leave_out(test: unittest.TestCase, reason: str) -> None:
    """Skips it, with a line that scripts/run-tests repeats at its end."""
    print(f"skipped: {test.id()}: {reason}", flush=True)
    test.skipTest(reason)


if __name__ == "__main__":
    BUILD = [pathlib.Path(p).resolve() for p in sys.argv[1:2]]
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
