#!/usr/bin/python3
"""Files that say little and would make much, and files whose text a terminal would obey. Each input is a little over a
bound of heed's, which the test may lower; none of them is more than Python itself takes in its stride."""

import argparse
import io
import json
import pathlib
import pickle
import struct
import subprocess
import sys
import unittest
import zipfile
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import presets
from heed_export.importers import joeynmt, pytorch
from heed_export.reading import arrays, checkpoint, files, pickles, shown, stand_ins, yaml_file
from in_a_folder import InAFolder
from torch_files import Call, Global, Storage, Writer, legacy, tensor, zipped

OBEYED = "a\x1b[31mred\x07\x9b2J\u202eback\u2028\nnext"  # C0, C1, a mark of direction, line ends


def doubled(levels: int) -> tuple:
    """A tuple that stands for 2 ** levels values, in `levels` tuples."""
    value: tuple = (1, 1)
    for _ in range(levels - 1):
        value = (value, value)
    return value


def nested(levels: int) -> list:
    value: list = []
    for _ in range(levels - 1):
        value = [value]
    return value


def pickled(value) -> bytes:
    out = io.BytesIO()
    Writer(out, legacy=False).dump(value)
    return out.getvalue()


class Pickles(unittest.TestCase):
    def refused(self, message: str, data: bytes):
        with self.assertRaisesRegex(stand_ins.RefusedPickle, message) as caught:
            pickles.loads(data)
        self.assertTrue(str(caught.exception).isprintable())

    def test_values_repeated_past_the_bound_are_refused(self):
        with mock.patch.object(pickles, "MAX_WRITTEN", 1000):
            self.refused("repeats its own values until they are more than 1000", pickled({"opt": doubled(10)}))
            self.refused("repeats its own values", pickled(argparse.Namespace(arch=[doubled(10)])))
            pickles.loads(pickled(doubled(8)))

    def test_the_bound_holds_as_it_is(self):
        levels = pickles.MAX_WRITTEN.bit_length()
        self.assertEqual(2, len(pickles.loads(pickled(doubled(20)))))
        self.refused("repeats its own values", pickled(doubled(levels)))

    def test_values_nested_past_the_bound_are_refused(self):
        pickles.loads(pickled(nested(pickles.MAX_DEPTH - 1)))
        self.refused(f"nested deeper than {pickles.MAX_DEPTH}", pickled(nested(pickles.MAX_DEPTH + 1)))

    def test_a_list_in_itself_is_refused_and_objects_may_refer_to_one_another(self):
        self.refused("a list that holds itself", b"\x80\x02]q\x00h\x00a.")
        field = argparse.Namespace(name="src")
        field.self = [field]
        self.assertEqual("src", pickles.loads(pickled(field)).self[0].self[0].name)

    def test_keys_are_text_numbers_and_short_tuples_of_them(self):
        good = {"a": 1, b"b": 2, 3: 4, 1.5: 5, None: 6, True: 7, ("x", 1): 8}
        self.assertEqual(good, pickles.loads(pickled(good)))
        deep = doubled(3)
        for value in ({deep: 1}, {deep: 1, "b": 2}, {deep}, frozenset([deep]), {(deep, 1): 2}):
            for protocol in range(2, 6):
                with self.subTest(value=value, protocol=protocol):
                    self.refused("a key that is a tuple of 2", pickle.dumps(value, protocol))
        for function in ("set", "frozenset", "dict"):
            items = [(deep, 1)] if function == "dict" else [deep]
            self.refused("a key that is a tuple of 2", pickled(Call(f"builtins.{function}", items)))
        for function in ("OrderedDict", "Counter"):
            self.refused("a key that is a tuple of 2", pickled(Call(f"collections.{function}", [(deep, 1)])))
        self.refused("a key that is a tuple of 9", pickled({tuple(range(9)): 1}))
        self.refused("a key that is a number of 65 bits, the bound is 64", pickled({1 << 64: 1}))
        self.refused("a key that is a frozenset", pickle.dumps({frozenset([1]): 1}, 4))
        with mock.patch.object(pickles, "MAX_TUPLE_KEYS", 3):
            self.refused("a tuple of 2, the bounds are 8 plain parts and 3", pickled({(i, 0): 1 for i in range(4)}))

    def test_values_made_are_counted_and_copies_with_them(self):
        with mock.patch.object(pickles, "MAX_VALUES", 1000):
            pickles.loads(pickled(list(range(100))))
            self.refused("makes more than 1000 values", pickled(list(range(1000))))
            many = list(range(100))
            for copy in ("builtins.list", "builtins.tuple", "builtins.set", "collections.Counter"):
                given = dict.fromkeys(many) if copy.endswith("Counter") else many
                self.refused("makes more than 1000 values", pickled([Call(copy, given) for _ in range(10)]))
            state = {str(i): 0 for i in range(100)}
            self.refused("makes more than", pickled([Call("onmt.Optim", state=state) for _ in range(10)]))
            text = "x" * 6400
            self.refused("makes more than", pickled([Call("_codecs.encode", text, "latin1") for _ in range(11)]))

    def test_classes_are_counted(self):
        with mock.patch.object(pickles, "MAX_CLASSES", 3):
            self.refused("names more than 3 classes", pickled([Global(f"onmt.C{i}") for i in range(4)]))

    def test_nothing_but_stand_ins_takes_attributes(self):
        function = b"\x80\x02c_codecs\nencode\n"
        self.refused("gives attributes to a function", function + b"}X\x01\x00\x00\x00aK\x01sb.")
        self.refused("gives attributes to a function", function + b"N}X\x01\x00\x00\x00aK\x01s\x86b.")
        found = pickles.loads(pickled(Call("onmt.Vocab", state={"get": 1, "stoi": {}})))
        self.assertEqual({}, found.get("stoi"), "an attribute does not take a method's place")

    def test_what_a_pickle_says_is_quoted_in_a_line(self):
        self.refused(r"asks for os\.a\\x1b\[31m", b"\x80\x02cos\na\x1b[31m\n.")
        self.refused("encodes text as '\\(\\(\\(1, 1\\)", pickled(Call("_codecs.encode", "a", doubled(3))))


class Torch(InAFolder):
    def load(self, value, make=zipped):
        return checkpoint.load_torch(self.put("m.pt", make(value) if not isinstance(value, bytes) else value))

    def test_shapes_and_keys_are_held_to_their_bounds_and_quoted_shortly(self):
        four = np.arange(4, dtype="<f4")
        for shape in ((1,) * 33, tuple(range(1000)), (doubled(5),)):
            for make in (zipped, legacy):
                value = {"w": tensor(Storage("0", four), shape, shape)}
                self.refused(r"impossible shape .{1,200}\Z", self.load, value, make)
        storage = Storage("0", four)
        storage.key = doubled(5)  # type: ignore[assignment]
        out = io.BytesIO()
        Writer(out, legacy=False).dump({"w": tensor(storage, (4,))})
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("archive/data.pkl", out.getvalue())
        self.refused("a storage whose key is '\\(\\(", self.load, archive.getvalue())

    def test_arrays_that_name_the_same_bytes_are_no_more_than_the_file(self):
        state = (1, (1000,), Call("numpy.dtype", "f8"), False, bytes(8000))

        def arrays_of(count: int) -> list:
            return [Call("numpy.ndarray", state=state) for _ in range(count)]

        self.assertEqual(1000, len(self.load({"a": arrays_of(1)})["a"][0]))
        for make in (zipped, legacy):
            self.refused("arrays of more than [0-9]+ bytes", self.load, {"a": arrays_of(4)}, make)

    def test_a_rebuilt_tensor_calls_nothing_else(self):
        name = "torch._tensor._rebuild_from_type_v2"
        self.refused("not made of a storage", self.load, {"w": Call(name, Global("builtins.list"), None, ([1],))})

    def test_weights_are_arrays(self):
        for values in ({"w": doubled(5)}, {3: np.zeros(1)}):
            with self.assertRaisesRegex(checkpoint.CheckpointError, r"^m.pt: tensor (w|3) is .*, expected numbers$"):
                checkpoint.Weights(values, "m.pt")


class Arrays(InAFolder):
    def npz(self, kind: int, name: str = "w.npy", header: bytes | None = None) -> pathlib.Path:
        body = io.BytesIO()
        np.save(body, np.arange(4.0))
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", kind) as archive:
            archive.writestr(name, header or body.getvalue())
        return self.put("m.npz", out.getvalue())

    def test_archives_are_packed_by_what_can_be_bounded(self):
        for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            self.assertEqual(4, len(checkpoint.load_npz(self.npz(kind))["w"]))
        for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            self.refused(f"w.npy: is packed by method {kind}, expected 0 or 8", checkpoint.load_npz, self.npz(kind))

    def test_arrays_of_too_many_axes_are_refused(self):
        header = repr({"descr": "<f4", "fortran_order": False, "shape": (1,) * 33}).encode()
        data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(4)
        self.refused("at most 32 sizes", checkpoint.load_npz, self.npz(zipfile.ZIP_STORED, header=data))

    def safetensors(self, header) -> pathlib.Path:
        text = json.dumps(header).encode()
        return self.put("m.safetensors", struct.pack("<Q", len(text)) + text + bytes(8))

    def test_safetensors_share_no_bytes(self):
        about = {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}
        self.assertEqual(4, len(checkpoint.load_safetensors(self.safetensors({"a": about}))["a"]))
        both = self.safetensors({"a": about, "b": about})
        self.refused("tensor b: the tensors overlap: they take more than 8 bytes", checkpoint.load_safetensors, both)

    def test_safetensors_headers_and_shapes_are_bounded(self):
        about = {"dtype": "F16", "shape": [1] * 33, "data_offsets": [0, 2]}
        self.refused("does not fit its place", checkpoint.load_safetensors, self.safetensors({"a": about}))
        with mock.patch.object(arrays, "_MAX_SAFETENSORS_HEADER", 40):
            path = self.safetensors({"a": about})
            self.refused("a header of .* bytes, the bound is 40", checkpoint.load_safetensors, path)

    def test_files_are_as_large_as_their_kind_may_be(self):
        path = self.put("config.yaml", "a: b\n")
        self.refused("has 5 bytes, the bound is 4", files.read_text, path, 4)
        with open(self.folder / "sparse.yaml", "wb") as file:
            file.truncate(yaml_file.MAX_BYTES + 1)
        self.refused("has 1048577 bytes, the bound is 1048576", joeynmt.load_config, self.folder / "sparse.yaml")

    def test_numbers_of_thousands_of_digits_name_the_file(self):
        path = self.put("v.json", '{"a": ' + "9" * 5000 + "}")
        self.refused(r"v\.json: ", pytorch.read_vocabulary, path)
        self.refused(r"v\.json: is nested too deeply", pytorch.read_vocabulary, self.put("v.json", "[" * 100000))
        nested_id = self.put("v.json", '{"a": ' + "[" * 500 + "]" * 500 + "}")
        self.refused("token 'a' has id .*, expected a whole number", pytorch.read_vocabulary, nested_id)


class Yaml(InAFolder):
    def levels(self, first: str, each: str, last: int) -> pathlib.Path:
        """Levels of nine aliases of the level before."""
        lines = [first] + [each.format(i, i - 1, ", ".join([f"*a{i - 1}"] * 9)) for i in range(1, last + 1)]
        return self.put("config.yaml", "\n".join(lines) + "\n")

    def test_aliases_and_merges_are_counted_before_they_are_made(self):
        for first, each in (("b0: &a0 [x]", "b{0}: &a{0} [{2}]"), ("b0: &a0 {x: y}", "b{0}: &a{0} {{<<: [{2}]}}")):
            self.assertIn("b2", joeynmt.load_config(self.levels(first, each, 2)))
            path = self.levels(first, each, 5)  # 9 ** 5 is not much, and more than the bound
            self.refused("has more than 100000 values, its aliases written out", joeynmt.load_config, path)

    def test_deep_and_circular_documents_are_refused(self):
        self.refused("is nested deeper than 50", joeynmt.load_config, self.put("c.yaml", "a: " + "[" * 60 + "]" * 60))
        self.refused("holds itself", joeynmt.load_config, self.put("c.yaml", "a: &x [*x]\n"))
        self.refused("nested deeper", joeynmt.load_config, self.put("c.yaml", "a: " + "[" * 5000))

    def test_numbers_are_short(self):
        for number in ("9" * 101, "1:" * 100 + "1", "0x" + "f" * 100):
            self.refused("digits, the bound is 100", joeynmt.load_config, self.put("c.yaml", f"a: {number}\n"))
        self.assertEqual({"a": "9" * 101}, yaml_file.parse("a: " + "9" * 101, "m.yml"))

    def test_options_of_another_kind_are_named(self):
        path = self.put("config.yaml", "")
        for section, message in (
            ("encoder: {num_layers: [1]}", r"model\.encoder\.num_layers=\[1\], expected 1 to 100"),
            ("encoder: {num_layers: .inf}", r"num_layers=inf, expected 1 to 100"),
            ("encoder: {num_layers: 1000000000}", "num_layers=1000000000, expected 1 to 100"),
            ("decoder: {init_hidden: [[a], b]}", r"init_hidden=\[\['a'\], 'b'\] is not supported"),
        ):
            path.write_text(f"model: {{{section}}}\n")
            self.refused(message, lambda: joeynmt.read_options(joeynmt.load_config(path), path))

    def test_a_configuration_names_no_file_elsewhere(self):
        outside, inside = self.put("secret", "x"), self.folder / "run"
        inside.mkdir()
        config = inside / "config.yaml"
        for name in (str(outside), "../secret", ".ssh/secret", 3, ["a"], "a\0b", "..", "/"):
            self.assertIsNone(joeynmt._beside(config, name), name)
        (inside / "secret").write_text("y")
        self.assertEqual(inside / "secret", joeynmt._beside(config, str(outside)))

    def test_a_line_of_spaces_takes_no_time(self):
        code = "from heed_export.reading import yaml_file; yaml_file.parse('a' + ' ' * 300000 + 'b', 'm.yml')"
        subprocess.run([sys.executable, "-c", code], cwd=presets.ROOT / "export", check=True, timeout=60)


class Shown(unittest.TestCase):
    def test_values_are_shown_in_a_bounded_line_whatever_they_are(self):
        deep: list = []
        deep.append(deep)
        large = (doubled(60), deep, "x" * 10**6, 1 << 10**6, {"a": doubled(60)}, [""] * 10**6)
        for value in (*large, OBEYED, "\udc80", set):
            found = shown.shown(value, 50)
            self.assertLessEqual(len(found), 50)
            self.assertTrue(found.isprintable(), found)
        self.assertEqual("[1, 'a', None, (2.5), {'b': True}]", shown.shown([1, "a", None, (2.5,), {"b": True}]))
        self.assertEqual("'it\\'s'", shown.quoted("it's"))

    def test_a_line_holds_nothing_that_a_terminal_obeys(self):
        out = io.StringIO()
        shown.say(OBEYED + "한국어 ünïcode" + "x" * 2000, out)
        self.assertEqual(1, out.getvalue().count("\n"))
        self.assertTrue(out.getvalue()[:-1].isprintable())
        self.assertIn(r"a\x1b[31mred\x07\x9b2J\u202eback\u2028\nnext한국어 ünïcode", out.getvalue())
        self.assertLessEqual(len(out.getvalue()), shown.MAX_LINE + 1)


class Command(InAFolder):
    """Every toolkit's command, with text that a terminal would obey in all that a message may quote."""

    def run_(self, *arguments) -> str:
        command = [str(presets.ROOT / "export/heed-export"), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, timeout=120)
        said = done.stderr.decode("utf-8")
        self.assertIn(done.returncode, (1, 2), said)
        self.assertEqual(b"", done.stdout)
        return said

    def said(self, message: str, toolkit: str, *arguments, more: tuple = ()):
        out = ("--out", self.folder / "out", "--license", "MIT", "--no-verify", *more)
        line = self.run_(toolkit, *arguments, *out)
        self.assertRegex(line, message)
        self.assertTrue(line.endswith("\n") and line[:-1].isprintable(), line)
        self.assertLess(len(line), 1100)

    def test_opennmt_py(self):
        vocabulary = {"src": ["<unk>"], "tgt": ["<unk>", "</s>", "<s>"], "data_task": "seq2seq"}
        for opt in ({"rnn_type": OBEYED}, {"rnn_type": [OBEYED]}, {"encoder_type": OBEYED * 1000}):
            value = {"opt": argparse.Namespace(**opt), "vocab": vocabulary, "model": {}, "generator": {}}
            self.said("_type", "opennmt-py", self.put("m.pt", zipped(value)))
        value = {"opt": argparse.Namespace(), "vocab": {**vocabulary, "decoder_start_token": OBEYED}, "model": {}}
        self.said("decoder_start_token", "opennmt-py", self.put("m.pt", zipped({**value, "generator": {}})))

    def test_fairseq(self):
        for arch in (OBEYED, [OBEYED], doubled(20)):
            value = {"args": argparse.Namespace(arch=arch), "model": {}}
            self.said("arch=.* is not supported", "fairseq", self.put("m.pt", zipped(value)))
        for language in (OBEYED, "../x", doubled(20)):
            value = {"args": argparse.Namespace(arch="lstm", source_lang=language), "model": {}}
            self.said("source_lang is '", "fairseq", self.put("m.pt", zipped(value)))

    def test_a_pickle_over_the_bound_is_one_line_in_time(self):
        value = {"args": argparse.Namespace(arch=doubled(pickles.MAX_WRITTEN.bit_length())), "model": {}}
        self.said("repeats its own values", "fairseq", self.put("m.pt", zipped(value)))

    def test_joeynmt(self):
        checkpoint_file = self.put("m.ckpt", zipped({"model_state": {}}))
        for config in (
            {"model": {"encoder": {"rnn_type": OBEYED}}},
            {"model": {"encoder": {"rnn_type": [OBEYED]}}},
            {"model": {}, "data": {"special_symbols": {"unk_token": [OBEYED]}}},
        ):
            self.put("config.yaml", json.dumps(config))
            self.said("rnn_type=|unk_token=", "joeynmt", checkpoint_file)
        self.put("config.yaml", f"a: [\x9b\n{OBEYED}")
        self.said("is no YAML", "joeynmt", checkpoint_file)

    def npz(self, **arrays_) -> pathlib.Path:
        out = io.BytesIO()
        np.savez(out, **arrays_)
        return self.put("m.npz", out.getvalue())

    def test_marian(self):
        vocabulary = self.put("v.txt", "</s>\n<unk>\n")
        for options in ('type: "\x1b[31m\x9b"', f'type: "{OBEYED}"', f'type: s2s\n"{OBEYED}": 1', f'type: s2s\nulr: "{OBEYED}"'):
            model = self.npz(**{"special:model.yml": np.frombuffer(options.encode() + b"\0", np.int8)})
            self.said("special:model.yml|is not|option", "marian", model, "--vocabs", vocabulary)

    def test_marians_vocabularies_are_no_larger_than_its_tensors(self):
        options = np.frombuffer(b"type: s2s\ndim-vocabs: [16777215, 2]\n\0", np.int8)
        model = self.npz(**{"special:model.yml": options, "Wemb": np.zeros((2, 2), "f4")})
        message = r"dim-vocabs=\[16777215, 2\], but no tensor has more than 2 rows"
        self.said(message, "marian", model, "--vocabs", self.put("v.txt", "</s>\n<unk>\n"))

    def test_nematus(self):
        model = self.npz(Wemb=np.zeros((2, 2), "f4"))
        for options in ({"encoder": OBEYED}, {"encoder": [OBEYED]}, {"dim": OBEYED}, {"embedding_size": OBEYED}):
            self.put("m.npz.json", json.dumps(options))
            self.said("encoder=|dim=|embedding_size=", "nematus", model)

    def test_pytorch_and_names_of_files_and_of_tensors(self):
        describe = self.put("d.py", "def describe(weights, source, target): weights.finish('this model')\n")
        vocabulary = self.put("v.txt", "a\n")
        common = ("--source-vocabulary", vocabulary, "--target-vocabulary", vocabulary)
        weights = self.put("m.pt", zipped({OBEYED: tensor(Storage("0", np.zeros(1, "<f4")), (1,))}))
        self.said(r"tensor a\\x1b\[31m.* has no place", "pytorch", describe, weights, more=common)
        odd = self.put(OBEYED.replace("/", "") + ".pt", b"nothing")
        self.said(r"\\nnext\.pt: is no file of torch\.save", "pytorch", describe, odd, more=common)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(OBEYED + ".npy", b"nothing")
        self.said("is no array", "pytorch", describe, self.put("w.npz", archive.getvalue()), more=common)
        header = json.dumps({OBEYED: 3}).encode()
        data = struct.pack("<Q", len(header)) + header
        self.said("cannot be read", "pytorch", describe, self.put("w.safetensors", data), more=common)

    def test_a_wrong_command_line_and_a_traceback_are_escaped_too(self):
        for arguments in (("fairseq", "m.pt", "--out", "x", "--license", "MIT", OBEYED), (OBEYED,)):
            said = self.run_(*arguments)
            self.assertTrue(said.replace("\n", "").isprintable(), said)
            self.assertIn(r"\x1b", said)
        odd = self.folder / f"{OBEYED}.pt"
        said = self.run_("fairseq", odd, "--out", self.folder / "o", "--license", "MIT", "--no-verify", "--debug")
        self.assertIn("Traceback", said)
        self.assertTrue(said.replace("\n", "").isprintable(), said)


if __name__ == "__main__":
    unittest.main()
