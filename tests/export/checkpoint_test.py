#!/usr/bin/python3
"""Checkpoints as torch.save writes them, damaged ones and hostile ones. Needs no PyTorch: the files are made here, as
torch/serialization.py lays them out; tests/data/opennmt_py holds real ones."""

import argparse
import collections
import io
import json
import os
import pathlib
import pickle
import struct
import sys
import tempfile
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import presets  # noqa: F401  (sets the import path)
from heed_export.reading import checkpoint, pickles
from torch_files import Call, Storage, legacy, tensor, zipped


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def load(self, data: bytes, name: str = "model.pt"):
        path = self.folder / name
        path.write_bytes(data)
        kind = {".pt": checkpoint.load_torch, ".npz": checkpoint.load_npz, ".safetensors": checkpoint.load_safetensors}
        return kind[path.suffix](path)

    def refused(self, message: str, data: bytes, name: str = "model.pt"):
        with self.assertRaises(checkpoint.CheckpointError) as caught:
            self.load(data, name)
        said = str(caught.exception)
        self.assertRegex(said, message)
        self.assertTrue(said.startswith(str(self.folder / name)), said)
        self.assertNotIn("\n", said)


class Torch(Files):
    def test_tensors_of_every_type_and_layout_are_read(self):
        floats = np.arange(12, dtype="<f4")
        for make in (zipped, legacy):
            found = self.load(
                make(
                    {
                        "plain": tensor(Storage("0", floats), (3, 4)),
                        "turned": tensor(Storage("0", floats), (4, 3), (1, 4)),
                        "part": tensor(Storage("0", floats), (2,), (1,), 5),
                        "half": tensor(Storage("1", np.array([1.5, -2], "<f2"), "Half"), (2,)),
                        "brain": tensor(Storage("2", np.array([0x3FC0, 0xC000], "<u2"), "BFloat16"), (2,)),
                        "double": tensor(Storage("3", np.array([0.1], "<f8"), "Double"), (1,)),
                        "count": tensor(Storage("4", np.array([7], "<i8"), "Long"), ()),
                        "empty": tensor(Storage("5", np.zeros(0, "<f4")), (0, 4)),
                        "parameter": Call(
                            "torch._utils._rebuild_parameter", tensor(Storage("0", floats), (12,)), True, None
                        ),
                    }
                )
            )
            with self.subTest(make.__name__):
                np.testing.assert_array_equal(floats.reshape(3, 4), found["plain"])
                np.testing.assert_array_equal(floats.reshape(3, 4).T, found["turned"])
                np.testing.assert_array_equal([5, 6], found["part"])
                for name in ("half", "brain"):
                    np.testing.assert_array_equal([1.5, -2], found[name])
                    self.assertEqual(np.float32, found[name].dtype)
                self.assertEqual((0.1, 7, (0, 4)), (found["double"][0], int(found["count"]), found["empty"].shape))
                np.testing.assert_array_equal(floats, found["parameter"])
                self.assertTrue(np.shares_memory(found["plain"], found["turned"]), "tied weights stay tied")

    def test_options_and_vocabularies_come_as_what_they_hold(self):
        value = {
            "opt": argparse.Namespace(rnn_size=5, name="x"),
            "vocab": [
                (
                    "src",
                    Call(
                        "torchtext.vocab.Vocab",
                        state={
                            "itos": ["a", "b"],
                            "stoi": collections.defaultdict(int, {"a": 0, "b": 1}),
                            "freqs": collections.Counter("aab"),
                        },
                    ),
                )
            ],
            "order": collections.OrderedDict(b=1, a=2),
            "array": np.array([[1.5, 2]]),
            "number": np.float64(3),
            "set": {1, 2},
        }
        for make in (zipped, legacy):
            found = self.load(make(value))
            self.assertEqual((5, "x"), (found["opt"].rnn_size, found["opt"].get("name")))
            name, vocab = found["vocab"][0]
            self.assertEqual(
                ("src", ["a", "b"], {"a": 0, "b": 1}, {"a": 2, "b": 1}), (name, vocab.itos, vocab.stoi, vocab.freqs)
            )
            self.assertEqual((["b", "a"], 3, {1, 2}), (list(found["order"]), found["number"], found["set"]))
            np.testing.assert_array_equal([[1.5, 2]], found["array"])

    def test_a_pickle_that_would_run_code_runs_nothing(self):
        mark = self.folder / "ran"
        for function, arguments in (
            ("os.system", (f"touch {mark}",)),
            ("posix.system", (f"touch {mark}",)),
            ("builtins.eval", (f"open({str(mark)!r}, 'w')",)),
            ("builtins.exec", (f"open({str(mark)!r}, 'w')",)),
            ("builtins.getattr", ("x", "y")),
            ("builtins.__import__", ("os",)),
            ("subprocess.Popen", (["touch", str(mark)],)),
            ("pickle.loads", (b"",)),
            ("importlib.import_module", ("os",)),
            ("functools.reduce", (1,)),
            ("numpy.load", (str(mark),)),
            ("operator.attrgetter", ("x",)),
            ("torchevil.run", ()),
        ):
            for make in (zipped, legacy):
                with self.subTest(function):
                    self.refused(
                        "asks for " + function.replace(".", r"\."), make({"model": Call(function, *arguments)})
                    )
        self.assertFalse(mark.exists())

    def test_classes_of_toolkits_are_not_imported(self):
        found = self.load(
            zipped({"optim": Call("torch.hub.load", "somebody/model"), "m": Call("onmt.Optim.Optim", state={"lr": 1})})
        )
        self.assertIsInstance(found["optim"], pickles.StandIn)
        self.assertEqual(1, found["m"].lr)
        self.assertNotIn("torch", sys.modules)
        self.assertNotIn("onmt", sys.modules)

    def test_what_lightning_keeps_beside_the_weights_does_not_keep_them_from_being_read(self):
        for module in ("pytorch_lightning", "lightning"):
            other = Call(f"{module}.utilities.parsing.AttributeDict", state={"lr": 1})
            found = self.load(zipped({"hyper_parameters": other, "state_dict": {"w": tensor(Storage("0", np.ones(2, "<f4")), (2,))}}))
            self.assertEqual([1, 1], found["state_dict"]["w"].tolist())

    def test_truncated_files_are_refused_wherever_they_end(self):
        value = {"w": tensor(Storage("0", np.arange(64, dtype="<f4")), (8, 8)), "opt": argparse.Namespace(a=1)}
        for make in (zipped, legacy):
            data = make(value)
            for length in [0, 1, 3, 4, *range(5, len(data), 7), len(data) - 1]:
                with self.subTest(f"{make.__name__} {length}"), self.assertRaises(checkpoint.CheckpointError) as caught:
                    self.load(data[:length])
                self.assertNotIn("\n", str(caught.exception))

    def test_changed_bytes_never_do_worse_than_an_error(self):
        value = {
            "w": tensor(Storage("0", np.arange(6, dtype="<f4")), (2, 3)),
            "opt": argparse.Namespace(a=1, b=[1, (2, "x")]),
        }
        rng = np.random.default_rng(5)
        for make in (zipped, legacy):
            data = make(value)
            for _ in range(400):
                changed = bytearray(data)
                for at in rng.integers(0, len(data), 3):
                    changed[at] = rng.integers(256)
                try:
                    self.load(bytes(changed))
                except checkpoint.CheckpointError as error:
                    self.assertNotIn("\n", str(error))

    def test_tensors_beyond_their_data_are_refused(self):
        four = np.arange(4, dtype="<f4")
        for shape, strides, offset in (
            ((5,), (1,), 0),
            ((2, 2), (3, 1), 0),
            ((4,), (1,), 1),
            ((1 << 40,), (0,), 0),
            ((3, 3), (1, 0), 0),
            ((-1,), (1,), 0),
            ((2,), (-1,), 3),
            ((1 << 60, 1 << 60), (1, 1), 0),
        ):
            for make in (zipped, legacy):
                with self.subTest(shape):
                    self.refused("tensor of ", make({"w": tensor(Storage("0", four), shape, strides, offset)}))

    def test_storages_that_claim_more_than_the_file_holds_are_refused(self):
        for make in (zipped, legacy):
            self.refused(
                "more than the file has bytes",
                make({"w": tensor(Storage("0", np.zeros(1, "<f4"), numel=1 << 40), (1,))}),
            )
        self.refused(
            "storage 0 has 4 bytes, expected 8", zipped({"w": tensor(Storage("0", np.zeros(1, "<f4"), numel=2), (1,))})
        )

    def test_giant_allocations_asked_of_the_unpickler_are_refused(self):
        head = legacy({})[: -len(pickle.dumps({}, 2)) - len(pickle.dumps([], 2))]
        for body in (
            b"\x80\x05" + pickle.BYTEARRAY8 + struct.pack("<Q", 1 << 40) + b".",
            b"\x80\x05" + pickle.BINBYTES8 + struct.pack("<Q", 1 << 40) + b".",
            b"\x80\x05" + pickle.LONG4 + struct.pack("<i", (1 << 31) - 1) + b".",
            b"\x80\x05]" + pickle.LONG_BINPUT + struct.pack("<I", (1 << 32) - 1) + b"0N.",
            b"\x80\x05c__builtin__\nbytes\n" + pickle.BININT + struct.pack("<i", (1 << 31) - 1) + b"\x85R.",
            b"\x80\x05c__builtin__\nbytearray\n" + pickle.BININT + struct.pack("<i", (1 << 31) - 1) + b"\x85R.",
            b"\x80\x05" + b"(" * 100000 + b"t" * 100000 + b".",
        ):
            with self.subTest(body[:12]):
                try:
                    self.load(head + body)
                except checkpoint.CheckpointError as error:
                    self.assertNotIn("\n", str(error))

    def test_other_files_are_refused_by_what_they_are(self):
        self.refused("neither a zip archive nor a pickle", b"hello")
        self.refused("is no file of torch.save", pickle.dumps([1, 2]))
        other = io.BytesIO()
        with zipfile.ZipFile(other, "w") as archive:
            archive.writestr("readme.txt", "hello")
        self.refused("without the one data.pkl", other.getvalue())
        self.refused("compressed entries", zipped({"a": 1}, compression=zipfile.ZIP_DEFLATED))
        self.refused("big-endian", zipped({"a": 1}, byteorder="big"))
        with self.assertRaisesRegex(checkpoint.CheckpointError, "does not exist"):
            checkpoint.load_torch(self.folder / "nowhere.pt")
        with self.assertRaisesRegex(checkpoint.CheckpointError, "is no file"):
            checkpoint.load_torch(self.folder)
        os.mkfifo(self.folder / "pipe")
        with self.assertRaisesRegex(checkpoint.CheckpointError, "is no file"):
            checkpoint.load_torch(self.folder / "pipe")


class Npz(Files):
    def saved(self, save=np.savez, **arrays) -> bytes:
        out = io.BytesIO()
        save(out, **arrays)
        return out.getvalue()

    def test_arrays_are_read(self):
        for save in (np.savez, np.savez_compressed):
            found = self.load(
                self.saved(
                    save,
                    a=np.arange(6.0).reshape(2, 3),
                    b=np.array([1], "<f4"),
                    t=np.array("yes"),
                    f=np.asfortranarray(np.arange(6).reshape(3, 2)),
                ),
                "m.npz",
            )
            np.testing.assert_array_equal(np.arange(6.0).reshape(2, 3), found["a"])
            np.testing.assert_array_equal(np.arange(6).reshape(3, 2), found["f"])
            self.assertEqual("yes", str(found["t"]))

    def test_pickled_arrays_are_refused(self):
        data = self.saved(w=np.array([{"a": 1}], dtype=object))
        self.refused(r"w\.npy: is an array of '\|O', expected numbers or text", data, "m.npz")

    def test_a_zip_bomb_is_refused_before_it_grows(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("w.npy", "w") as entry:
                for _ in range(100):
                    entry.write(bytes(1 << 20))
        self.refused("a zip bomb", out.getvalue(), "m.npz")

    def test_damaged_files_are_refused(self):
        data = self.saved(w=np.arange(100.0))
        for length in range(0, len(data), 37):
            with self.assertRaises(checkpoint.CheckpointError):
                self.load(data[:length], "m.npz")
        out = io.BytesIO()
        body = io.BytesIO()
        np.save(body, np.arange(100.0))
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("w.npy", body.getvalue().replace(b"(100,)", b"(900,)"))
        self.refused(r"w\.npy: has 800 bytes, expected those of \[900\]", out.getvalue(), "m.npz")


class Safetensors(Files):
    def file(self, header: dict | bytes, body: bytes) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + body

    def test_tensors_are_read_and_widened(self):
        about = {
            "a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},
            "b": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [4, 8]},
            "c": {"dtype": "F32", "shape": [], "data_offsets": [8, 12]},
            "__metadata__": {"x": "y"},
        }
        body = (
            np.array([1.5, -2], "<f2").tobytes()
            + np.array([0x3FC0, 0xC000], "<u2").tobytes()
            + np.array(4, "<f4").tobytes()
        )
        found = self.load(self.file(about, body), "m.safetensors")
        np.testing.assert_array_equal([1.5, -2], found["a"])
        np.testing.assert_array_equal([[1.5, -2]], found["b"])
        self.assertEqual(4, found["c"])

    def test_damaged_files_are_refused(self):
        good = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        for message, header in (
            ("tensor a: cannot be read", {"a": {**good, "dtype": "F31"}}),
            ("does not fit its place", {"a": {**good, "shape": [3]}}),
            ("does not fit its place", {"a": {**good, "data_offsets": [4, 12]}}),
            ("does not fit its place", {"a": {**good, "data_offsets": [8, 0]}}),
            ("does not fit its place", {"a": {**good, "shape": [1 << 60, 1 << 60]}}),
            ("cannot be read", {"a": {**good, "data_offsets": [0]}}),
            ("cannot be read", {"a": 3}),
            ("no object", b"[1]"),
            (":", b"{" * 100000),
            ("codec", b"\xff\xff"),
        ):
            with self.subTest(header=str(header)[:60]):
                self.refused(message, self.file(header, bytes(8)), "m.safetensors")
        self.refused("truncated", b"123", "m.safetensors")
        self.refused("truncated", struct.pack("<Q", 1 << 50) + b"{}", "m.safetensors")


class Asked(unittest.TestCase):
    def test_missing_and_misshapen_tensors_are_named(self):
        w = checkpoint.Weights({"a": np.zeros((2, 3)), "b": np.zeros(1)}, "model.pt")
        with self.assertRaisesRegex(checkpoint.CheckpointError, r"^model.pt: tensor c is missing$"):
            w["c"]
        with self.assertRaisesRegex(checkpoint.CheckpointError, r"^model.pt: tensor a is \[2, 3\], expected \[n,4\]$"):
            w.shaped("a", None, 4)
        self.assertEqual(["b"], w.unused())


if __name__ == "__main__":
    unittest.main()
