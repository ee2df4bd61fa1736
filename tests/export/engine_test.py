#!/usr/bin/python3
"""Every architecture of the recipe with random weights: PyTorch's greedy decoding, held against heed-server's engine.

Usage: engine_test.py HEED_SERVER [unittest arguments].
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import support
from heed_export.bundle import bundle
from heed_export.decoding import decode, parity

SERVER = pathlib.Path(sys.argv.pop(1))
SOURCES = [[3, 4, 5, 6, 7, 8, 2], [9, 2], [11, 4, 13, 4, 2], [14, 15, 16, 17, 18, 2]]
SPECIALS = {"unk_id": 0, "bos_id": 1, "eos_id": 2}


def write(arch: str, folder: pathlib.Path) -> None:
    """A bundle of the architecture whose texts are ids, and whose parity.json is what PyTorch says."""
    made = support.tiny_bundle(arch)
    attends = [op["name"] for op in made.spec["step"]["ops"] if "attend" in op]
    copies = support.copies(arch, SOURCES)
    found = decode.greedy(decode.load(made), SOURCES, batch=1, attention=True, copies=copies)
    cases = []
    for at, (source, want) in enumerate(zip(SOURCES, found)):
        case = {"source_ids": source, "target_ids": want.tokens, "log_probabilities": want.log_probabilities}
        case["finish"] = "eos" if want.tokens[-1] == 2 else "length"
        if copies:
            case["copy_ids"] = copies[at]
        if attends:
            matrices = {"weights": want.weights.tolist(), "energies": want.energies.tolist()}
            case["attentions"] = [{"attend": attends[-1], "head": 0, **matrices}]
        cases.append(case)
    proof = {
        "format_version": 2,
        "reference": "PyTorch",
        "search": {"beam_size": 1, "max_length_a": 2, "max_length_b": 20},
        "tolerance": parity.TOLERANCE,
        "cases": cases,
    }
    files = {"LICENSE": b"CC0-1.0\n", "README.md": b"# Tiny\n", parity.FILE: json.dumps(proof).encode()}
    for side in ("source", "target"):
        size = made.spec[side]["size"]
        pieces = ["<unk>", "<s>", "</s>", *(f"{side}{i}" for i in range(3, size))]
        files[f"{side}.json"] = json.dumps(pieces).encode()
        made.spec[side] = {"size": size, **SPECIALS, "pretokenized": {}, "pieces": f"{side}.json"}
    bundle.write(folder, made.spec, made.tensors, files, bf16=False)


class Engine(unittest.TestCase):
    def test_the_engine_says_what_pytorch_says(self):
        for arch in support.ARCHITECTURES:
            with self.subTest(arch), tempfile.TemporaryDirectory() as folder:
                write(arch, pathlib.Path(folder) / "tiny")
                call = [SERVER, "verify", pathlib.Path(folder) / "tiny", "--json"]
                done = subprocess.run([str(c) for c in call], capture_output=True, text=True, timeout=60)
                self.assertEqual(0, done.returncode, done.stdout + done.stderr)
                values = json.loads(done.stdout)["values"]
                self.assertIn("log_probability", values)
                attention = {"lstm": set(), "student": {"attention2"}}.get(arch, {"attention"})
                self.assertLessEqual({f"{a}.{part}" for a in attention for part in ("weights", "energies")}, set(values))


if __name__ == "__main__":
    unittest.main()
