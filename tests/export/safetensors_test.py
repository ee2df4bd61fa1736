#!/usr/bin/python3
import json
import unittest

import numpy as np
import torch

import support  # noqa: F401  (sets the import path)
from heed_export.bundle import safetensors


def bits(value: int) -> np.ndarray:
    return np.array([value], dtype="<u4").view("<f4")


class Bf16(unittest.TestCase):
    def test_halfway_goes_to_the_even_neighbour(self):
        for value, expected in (
            (0x3F808000, 0x3F80),  # halfway, lower neighbour is even
            (0x3F818000, 0x3F82),  # halfway, upper neighbour is even
            (0x3F808001, 0x3F81),  # above halfway
            (0x3F807FFF, 0x3F80),  # below halfway
            (0xBF818000, 0xBF82),  # the sign plays no part
            (0x00000000, 0x0000),
            (0x80000000, 0x8000),
        ):
            self.assertEqual(expected, int(safetensors.to_bf16(bits(value))[0]), hex(value))

    def test_random_values_round_as_pytorch_rounds_them(self):
        values = np.random.default_rng(1).normal(size=10000).astype(np.float32)
        want = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
        np.testing.assert_array_equal(want, safetensors.from_bf16(safetensors.to_bf16(values)))

    def test_rounding_twice_changes_nothing(self):
        once = safetensors.from_bf16(safetensors.to_bf16(np.linspace(-3, 3, 1001, dtype=np.float32)))
        np.testing.assert_array_equal(once, safetensors.from_bf16(safetensors.to_bf16(once)))

    def test_values_that_are_not_finite_or_do_not_fit_are_refused(self):
        for value in (np.float32("nan"), np.float32("inf"), bits(0x7F7FFFFF)[0]):
            with self.assertRaises(ValueError):
                safetensors.to_bf16(np.array([value]))


class File(unittest.TestCase):
    def test_what_is_written_is_read_back(self):
        rng = np.random.default_rng(2)
        tensors = {"a": rng.normal(size=(3, 5)), "b": rng.normal(size=7)}
        tensors = {k: v.astype(np.float32) for k, v in tensors.items()}
        back = safetensors.loads(safetensors.dumps(tensors, {"a"}))
        self.assertEqual(["b", "a"], list(back), "F32 first, so that no tensor is misaligned")
        np.testing.assert_array_equal(tensors["b"], back["b"])
        self.assertEqual((3, 5), back["a"].shape)
        np.testing.assert_allclose(tensors["a"], back["a"], rtol=2**-8)

    def test_data_starts_aligned_and_has_no_gaps(self):
        data = safetensors.dumps({"x": np.zeros(3, np.float32), "y": np.zeros((2, 1), np.float32)}, {"y"})
        size = int.from_bytes(data[:8], "little")
        self.assertEqual(0, (8 + size) % 8)
        header = json.loads(data[8 : 8 + size])
        self.assertEqual({"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}, header["x"])
        self.assertEqual({"dtype": "BF16", "shape": [2, 1], "data_offsets": [12, 16]}, header["y"])
        self.assertEqual(8 + size + 16, len(data))

    def test_a_damaged_file_is_refused_by_name(self):
        data = safetensors.dumps({"weights": np.zeros(4, np.float32)})
        with self.assertRaisesRegex(ValueError, "weights"):
            safetensors.loads(data[:-1])
        with self.assertRaisesRegex(ValueError, "weights"):
            safetensors.loads(data.replace(b'"F32"', b'"F64"'))
        with self.assertRaisesRegex(ValueError, "header"):
            safetensors.loads((1 << 40).to_bytes(8, "little") + data[8:])
        with self.assertRaisesRegex(ValueError, "shorter"):
            safetensors.loads(b"1234")


if __name__ == "__main__":
    unittest.main()
