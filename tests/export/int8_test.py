#!/usr/bin/python3
"""int8 weights: as they are kept, stored and read, which of Marian's stay so, and how the oracle multiplies them.

Usage: int8_test.py
"""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import presets
from heed_export.bundle import certificate, safetensors
from heed_export.importers import importer, marian
from heed_export.marian import containers, intgemm
from heed_export.model import builder
from heed_export.model.int8 import Int8, floats, stacked
from heed_export.model.values import Tensors
from heed_export.model.vocabulary import Vocabulary
from reference import int8 as oracle
from reference import marian_student, trace

DATA = presets.ROOT / "tests/data/marian"
FLOAT, INT8, SPM = (DATA / n for n in ("model.enxx.float32.bin", "model.enxx.intgemm.alphas.bin", "vocab.enxx.spm"))
NUMBERS = np.array([[1, -2, 3], [127, -127, 0]], np.int8)


class Matrices(unittest.TestCase):
    def test_stand_for_their_numbers_times_the_scale_of_the_row(self):
        np.testing.assert_array_equal([[0.5, -1, 1.5], [254, -254, 0]], Int8(NUMBERS, [0.5, 2]).floats())
        np.testing.assert_array_equal(NUMBERS.T * np.float32(0.5), Int8(NUMBERS, 0.5).T.floats())
        with self.assertRaisesRegex(ValueError, "a scale a row cannot be transposed"):
            _ = Int8(NUMBERS, [0.5, 2]).T

    def test_what_a_bundle_cannot_hold_is_refused(self):
        minus = np.full((2, 3), -128, np.int8)
        for message, arguments in (
            ("holds -128, expected -127 to 127", (minus, 1)),
            ("is int8 of 1 dimensions, expected int8 of 2", (NUMBERS[0], 1)),
            ("is float32 of 2 dimensions, expected int8", (NUMBERS.astype(np.float32), 1)),
            ("has 3 scales, expected 1 or 2, one a row", (NUMBERS, [1, 1, 1])),
            ("has a scale of 0, expected 1e-30 to 1e\\+30", (NUMBERS, 0)),
            ("has a scale of nan, expected", (NUMBERS, [1, np.nan])),
            ("has an activation scale of -1, expected", (NUMBERS, 1, (-1.0,))),
            ("has an activation scale of inf, expected", (NUMBERS, 1, (np.inf,))),
            ("has 3 activation scales, expected 1 to 4, a divisor of 2", (NUMBERS, 1, (1.0, 1.0, 1.0))),
        ):
            with self.subTest(message), self.assertRaisesRegex(ValueError, message):
                Int8(*arguments)

    def test_stacked_keep_a_scale_a_row_and_an_activation_scale_each(self):
        a, b = Int8(NUMBERS, 0.5, (0.25,)), Int8(NUMBERS, 2, (0.125,))
        both = stacked([a, b])
        self.assertEqual((0.25, 0.125), both.activation_scales)
        np.testing.assert_array_equal([0.5, 0.5, 2, 2], both.scales)
        np.testing.assert_array_equal(np.concatenate([a.floats(), b.floats()]), both.floats())
        self.assertEqual((0.25,), stacked([a, Int8(NUMBERS, 2, (0.25,))]).activation_scales, "one that both have")
        self.assertEqual((), stacked([a, Int8(NUMBERS, 2)]).activation_scales, "none where one has none")
        self.assertIsInstance(stacked([a, b.floats()]), np.ndarray)


class Files(unittest.TestCase):
    def test_what_is_written_is_read_back(self):
        rows, one = Int8(NUMBERS, [0.5, 2], (0.25, 0.125)), Int8(NUMBERS.T, 0.5)
        vector = np.arange(3, dtype=np.float32)
        data = safetensors.dumps({"rows": rows, "vector": vector, "one": one})
        back = safetensors.loads(data)
        self.assertEqual({"rows", "vector", "one"}, set(back))
        np.testing.assert_array_equal(vector, back["vector"])
        for name, wanted in (("rows", rows), ("one", one)):
            self.assertTrue(back[name].same(wanted), name)
        self.assertEqual((), back["one"].scales.shape)
        # Floats first, so that they are aligned; a byte an element.
        self.assertLess(data.index(b'"one.scales"'), data.index(b'"dtype":"I8"'))
        self.assertEqual(12 + 4 * (2 + 2 + 1) + 6 + 6, len(data) - 8 - int.from_bytes(data[:8], "little"))

    def test_a_name_that_the_scales_need_is_not_to_be_had(self):
        with self.assertRaisesRegex(ValueError, "w.scales is a tensor, but w is int8"):
            safetensors.dumps({"w": Int8(NUMBERS, 1), "w.scales": np.ones(2, np.float32)})

    def test_int8_without_scales_is_refused_by_name(self):
        data = safetensors.dumps({"w": Int8(NUMBERS, 1)}).replace(b"w.scales", b"w.scalez")
        with self.assertRaisesRegex(ValueError, "w: is int8, but there is no w.scales"):
            safetensors.loads(data)

    def test_a_table_that_is_also_the_output_is_stored_once(self):
        m = builder.Model(*(Vocabulary(pieces=list("abc"), unk=0, eos=1) for _ in range(2)))
        table = Int8(np.ones((3, 4), np.int8), 0.5, (0.25,))
        memory = m.encoder.embed("x", table)
        first = m.init.pool("first", memory, "last")
        h = m.step.previous("h", first)
        m.step.linear("h", [h, m.step.embed("e", table)], np.ones((4, 8), np.float32))
        m.step.output("out", h, Int8(np.ones((3, 4), np.int8), [0.5] * 3, (0.25,)))
        kept = [n for n, values in m.tensors.by_name.items() if isinstance(values, Int8)]
        self.assertEqual(1, len(kept))

    def test_equal_numbers_of_another_scale_are_another_tensor(self):
        tensors = Tensors()
        names = [tensors.put("p", f"w{i}", Int8(NUMBERS, 0.5 * (i + 1))) for i in range(2)]
        self.assertEqual(["w0", "w1"], names)


class Kept(unittest.TestCase):
    """Which of Marian's weights stay int8, and what is said."""

    OPTIONS = {"type": "transformer", "dec-cell": "ssru", "tied-embeddings-all": True}

    def kept(self, alphas: dict, options: dict | None = None, dequantise: bool = False) -> intgemm.Kept:
        square = np.ones((2, 2), np.int8)
        arrays = {
            "Wemb": Int8(NUMBERS, 0.5),
            "encoder_l1_self_Wq": Int8(square, 2),
            "encoder_l1_self_Wk": Int8(square, 2),
            "encoder_l1_self_bq": np.ones((1, 2), np.float32),
        }
        scale = {"Wemb": 2.0, "encoder_l1_self_Wq": 0.5, "encoder_l1_self_Wk": 0.5}
        contents = containers.Contents(
            arrays,
            alphas={name: np.float32(alpha) for name, alpha in alphas.items()},
            multipliers={name: np.float32(multiplier) for name, multiplier in scale.items()},
        )
        return intgemm.kept(contents, options or self.OPTIONS, pathlib.Path("m.bin"), dequantise)

    ALPHAS = {"none": 4.0, "encoder_l1_self_Wq": 8.0, "encoder_l1_self_Wk": 16.0}

    def test_alphas_become_activation_scales(self):
        kept = self.kept(self.ALPHAS)
        self.assertEqual(([], True), (kept.notes, kept.exact))
        self.assertEqual((0.25,), kept.arrays["Wemb"].activation_scales)
        self.assertEqual((0.125,), kept.arrays["encoder_l1_self_Wq"].activation_scales)
        own = self.kept({**self.ALPHAS, "Wemb": 2.0}).arrays["Wemb"]
        self.assertEqual((0.5,), own.activation_scales, "its own goes before none's")

    def test_what_has_no_alpha_is_said_in_one_line(self):
        kept = self.kept({"none": 4.0})
        self.assertEqual((), kept.arrays["encoder_l1_self_Wq"].activation_scales)
        (note,) = kept.notes
        self.assertRegex(note, r"\Am.bin: encoder_l1_self_Wk and 1 more of 3 int8 weights have no alpha, so .* row by")
        self.assertFalse(kept.exact)
        self.assertRegex(self.kept({}).notes[0], "Wemb and 2 more of 3")

    def test_a_table_alone_needs_none(self):
        options = {**self.OPTIONS, "tied-embeddings-all": False}
        self.assertEqual([], self.kept(self.ALPHAS, options).notes)

    def test_floats_where_they_are_asked_for_or_the_model_is_another(self):
        for options, flag, said in (
            (self.OPTIONS, True, "m.bin: 3 int8 weights become float32"),
            ({**self.OPTIONS, "dec-cell": "gru"}, False, "become float32, for they are int8's in Transformers with SSRU"),
            ({**self.OPTIONS, "type": "s2s"}, False, "become float32, for"),
        ):
            kept = self.kept(self.ALPHAS, options, flag)
            self.assertFalse(any(isinstance(values, Int8) for values in kept.arrays.values()))
            np.testing.assert_array_equal(NUMBERS * np.float32(0.5), kept.arrays["Wemb"])
            self.assertIn(said, kept.notes[0])
            self.assertFalse(kept.exact)

    def test_scales_and_biases_are_such_that_the_engine_rounds_as_marian_does(self):
        f = np.float32
        contents = containers.read(INT8.read_bytes(), "m.bin")
        files = marian.load(INT8, [SPM])
        pairs = 0
        for name, weight in files.weights.arrays.items():
            if not isinstance(weight, Int8) or name == "Wemb":
                continue
            alpha, q = contents.alphas[name], contents.multipliers[name]
            factor = f(weight.activation_scales[0]) * weight.scales[()]
            self.assertEqual(f(1) / (alpha * q), factor, name)
            np.testing.assert_allclose(weight.activation_scales[0] * alpha, 1, rtol=3e-7)
            np.testing.assert_allclose(weight.scales * q, 1, rtol=3e-7)
            bias = name.replace("_W", "_b")
            if bias not in contents.tensors:
                continue
            # Marian's prepared bias, and the engine's.
            sums = weight.numbers.sum(0, dtype=np.int64)
            wanted = sums.astype(f) * (f(-1) * (f(127) / alpha * (f(127) / q)) / f(127)) + contents.tensors[bias]
            ours = files.weights.arrays[bias] - (127 * sums).astype(f) * factor
            np.testing.assert_array_equal(wanted, ours, name)
            np.testing.assert_allclose(files.weights.arrays[bias], contents.tensors[bias], atol=1e-5)
            pairs += 1
        self.assertGreater(pairs, 20)

    def test_the_fixture_is_a_quarter_of_its_floats(self):
        sizes = {}
        for dequantise in (False, True):
            files = marian.load(INT8, [SPM], dequantise=dequantise)
            model = marian.build(files.options, files.weights, files.source, files.target)
            tensors = model.tensors.by_name
            sizes[dequantise] = len(safetensors.dumps(tensors))
            matrices = {n for n, v in tensors.items() if v.ndim == 2}
            self.assertEqual(
                set() if dequantise else matrices, {n for n, v in tensors.items() if isinstance(v, Int8)}
            )
        self.assertLess(sizes[False], 0.4 * sizes[True])  # vectors stay floats, and are a tenth of so small a model


class Oracle(unittest.TestCase):
    X = np.array([[0.1, -0.375, 0.125], [100, -100, 0.2]])

    def test_rounds_half_to_even_cuts_and_adds_integers(self):
        w = oracle.Weights({"w": Int8(NUMBERS.T, 0.5, (0.25,))})  # [in, out]
        # 0.1 -> 0, -1.5 -> -2, 0.5 -> 0; 400 -> 127, 0.8 -> 1.
        q = np.array([[0, -2, 0], [127, -127, 1]])
        np.testing.assert_array_equal(q @ NUMBERS.T * 0.125, w.product(self.X, "w"))
        np.testing.assert_array_equal(q @ NUMBERS.T * 0.125, oracle.product(w, self.X, "w"))
        w = oracle.Weights({"w": Int8(NUMBERS, 0.5, (0.25,))})
        np.testing.assert_array_equal(q @ NUMBERS.T * 0.125, w.product(self.X, "w", transposed=True))

    def test_without_an_activation_scale_nothing_is_rounded(self):
        w = oracle.Weights({"w": Int8(NUMBERS.T, 0.5)})
        np.testing.assert_allclose(self.X @ (NUMBERS.T * 0.5), w.product(self.X, "w"), rtol=1e-15)

    def test_floats_are_floats(self):
        w = oracle.Weights({"w": NUMBERS.T.astype(np.float32)})
        np.testing.assert_array_equal(self.X @ NUMBERS.T, w.product(self.X, "w"))

    def test_jitter_moves_what_is_rounded_by_a_step_at_most(self):
        still, moving = (oracle.Weights({"w": Int8(NUMBERS.T, 1, (0.25,))}, jitter) for jitter in (0.0, 1e-3))
        x = np.array([[0.1, 0.375, 10]])  # the second lies between two numbers
        seen = {tuple(moving.product(x, "w")[0]) for _ in range(50)}
        self.assertEqual({tuple(x) for x in (0.25 * np.array([[0, 1, 40], [0, 2, 40]]) @ NUMBERS.T)}, seen)
        self.assertIn(tuple(still.product(x, "w")[0]), seen)

    def test_a_student_of_int8_is_near_the_same_of_floats_but_not_it(self):
        traces = []
        for dequantise in (False, True):
            files = marian.load(INT8, [SPM], dequantise=dequantise)
            model = marian_student.Student(files.weights.arrays, files.options)
            traces.append(trace.greedy(model, [5, 6, 7, 9, 30, 0], None, 0, 40))
        one, two = (np.array(t.log_probabilities[:4]) for t in traces)
        self.assertLess(np.abs(one - two).max(), 0.5)
        self.assertGreater(np.abs(one - two).max(), 1e-4)

    def test_the_tolerance_of_what_is_rounded_is_what_rounding_the_other_way_does(self):
        files = marian.load(INT8, [SPM])
        own = marian._Oracle(files)
        self.assertTrue(files.int8_exact)
        rng = np.random.default_rng(1)
        cases = [certificate.Case(own.trace([*rng.integers(2, 80, 12).tolist(), 0], 40)) for _ in range(4)]
        wide = importer.tolerance(cases, own.moved, True)
        self.assertEqual(set(importer._LEAST), set(wide))
        self.assertTrue(all(wide[kind] >= least for kind, least in importer._LEAST.items()))
        self.assertGreater(wide["log_probability"], importer._LEAST["log_probability"])
        self.assertEqual(min(2 * wide["log_probability"], 1), wide["margin"])
        still = [certificate.Case(own.trace([0], 1))]
        self.assertEqual(importer._LEAST, importer.tolerance(still, lambda case: case, True))
        self.assertFalse(marian.load(FLOAT, [SPM]).int8_exact)


class Floats(unittest.TestCase):
    def test_of_an_array_are_itself(self):
        values = np.ones(3, np.float32)
        self.assertIs(values, floats(values))


if __name__ == "__main__":
    unittest.main()
