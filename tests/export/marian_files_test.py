#!/usr/bin/python3
"""What the Marian importer reads, on files that are damaged or hostile: containers, shortlists, vocabularies, YAML.

Usage: marian_files_test.py
"""

import contextlib
import pathlib
import random
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import yaml
import presets
from heed_export.importers import marian
from heed_export.marian import containers
from heed_export.model import int8, vocabulary
from heed_export.reading import checkpoint, spm_file, yaml_file
from in_a_folder import InAFolder
from reference import marian_student as student_oracle

DATA = presets.ROOT / "tests/data/marian"
FLOAT, INT8 = "model.enxx.float32.bin", "model.enxx.intgemm.alphas.bin"
SPM, LEX = "vocab.enxx.spm", "lex.50.50.enxx.s2t.bin"


def item(name: str, kind: int, shape: tuple, data: bytes) -> tuple:
    return name.encode() + b"\0", kind, shape, data


def container(*items: tuple, version: int = 1, padding: int = 0, tail: bytes = b"") -> bytes:
    head = struct.pack("<QQ", version, len(items))
    for name, kind, shape, data in items:
        head += struct.pack("<4Q", len(name), kind, len(shape), len(data))
    head += b"".join(i[0] for i in items) + b"".join(struct.pack(f"<{len(i[2])}i", *i[2]) for i in items)
    return head + struct.pack("<Q", padding) + bytes(padding) + b"".join(i[3] for i in items) + tail


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


class Containers(InAFolder):
    def read(self, *items: tuple, **more) -> containers.Contents:
        return containers.read(container(*items, **more), "m.bin")

    def test_float32_float16_and_text(self):
        values = np.arange(6, dtype=np.float32).reshape(2, 3)
        text = b"type: s2s\n\0"
        found = self.read(
            item("a", 0x404, (2, 3), values.tobytes() + bytes(100)),
            item("b", 0x402, (2, 3), values.astype("<f2").tobytes()),
            item("special:model.yml", 0x101, (len(text),), text),
            padding=13,
        )
        for name in "ab":
            np.testing.assert_array_equal(values, found.tensors[name])
            self.assertEqual(np.float32, found.tensors[name].dtype)
        self.assertEqual("type: s2s\n", found.config)

    def test_intgemm8_lies_transposed_but_for_embeddings(self):
        values = np.array([[1, -2, 3], [127, -127, 0]], np.int8)  # [in, out]
        for name, stored in (("encoder_l1_ffn_W1", values.T), ("Wemb", values), ("decoder_Wemb", values)):
            for kind in (0x4101, 0x10001):
                found = self.read(
                    item(name, kind, (2, 3), stored.tobytes() + floats(4.0)),
                    item(name + "_QuantMultA", 0x404, (1, 1), floats(21.5)),
                )
                kept = found.tensors[name]
                np.testing.assert_array_equal(values, kept.numbers)
                np.testing.assert_array_equal(values / np.float32(4), kept.floats())
                self.assertEqual((0.25, ()), (kept.scales, kept.activation_scales))
                self.assertEqual({name: 21.5}, found.alphas)

    def test_an_alpha_that_is_called_wemb_is_int8_too(self):
        found = self.read(item("decoder_Wemb_QuantMultA", 0x4101, (1, 1), b"\x7f" + floats(4.0)))
        self.assertEqual(({"decoder_Wemb": 31.75}, {}), (found.alphas, found.tensors))

    def test_the_fixture_in_both_containers_holds_the_same_model(self):
        wide, narrow = (containers.read((DATA / n).read_bytes(), n) for n in (FLOAT, INT8))
        self.assertEqual(wide.config, narrow.config)
        self.assertEqual(set(wide.tensors), set(narrow.tensors))
        matrices = {n for n, values in narrow.tensors.items() if isinstance(values, int8.Int8)}
        self.assertEqual({n for n in wide.tensors if ("_W" in n and "_ln_" not in n) or n == "Wemb"}, matrices)
        self.assertEqual(matrices - {"Wemb"} | {"none"}, set(narrow.alphas))
        for name, values in wide.tensors.items():
            step = np.abs(values).max() / 127 if name in matrices else 0
            self.assertLessEqual(np.abs(values - int8.floats(narrow.tensors[name])).max(), 0.51 * step, name)

    def test_what_is_wrong_with_one_item_is_said_with_its_name(self):
        one = floats(1)
        for message, items in (
            (r"item 0 \(a\): 4 bytes, expected at least 24 for shape \[2, 3\]", [item("a", 0x404, (2, 3), one)]),
            (r"item 0 \(a\): holds a value that is not finite", [item("a", 0x404, (1,), floats(float("nan")))]),
            (r"item 0 \(a\): shape is \[-1, 3\], expected nothing below 0", [item("a", 0x404, (-1, 3), one)]),
            (r"item 0 \(a\): 4 bytes, expected at least \d{19,} for", [item("a", 0x404, (2**31 - 1, 2**31 - 1), one)]),
            (r"item 0 \(a\): rank is 5, expected 1 to 4", [item("a", 0x404, (1,) * 5, one)]),
            (r"item 0 \(a\): rank is 0, expected 1 to 4", [item("a", 0x404, (), one)]),
            (r"item 1: there are two called a", [item("a", 0x404, (1,), one)] * 2),
            (r"item 0: the name is not .* ASCII", [item("\x01é", 0x404, (1,), one)]),
            (r"item 0: the name is not", [(b"a", 0x404, (1,), one)]),
            (r"item 0: the name is not", [(b"", 0x404, (1,), one)]),
            (r"\(a\): weights of type 0x999 are not supported", [item("a", 0x999, (1,), one)]),
            (r"\(a\): weights of type packed8avx512 .* are not supported", [item("a", 0x2801, (1,), one)]),
            (r"\(a\): weights of type intgemm16 are not supported", [item("a", 0x4102, (1,), one)]),
            (r"\(a\): is int8 without a multiplier", [item("a", 0x101, (1,), one)]),
            (r"\(a\): 2 bytes, expected at least 6", [item("a", 0x4101, (1, 2), b"\1\2")]),
            (r"\(a\): the multiplier is 0, expected", [item("a", 0x4101, (1, 1), b"\1" + floats(0))]),
            (r"\(a\): the multiplier is -2, expected", [item("a", 0x4101, (1, 1), b"\1" + floats(-2))]),
            (r"\(a\): the multiplier is 1e-31, expected", [item("a", 0x4101, (1, 1), b"\1" + floats(1e-31))]),
            (r"\(a\): holds -128, expected -127 to 127", [item("a", 0x4101, (1, 1), b"\x80" + one)]),
            (r"a_QuantMultA\): the activations' multiplier is 0, expected a number from 1e-30 to 1e\+30",
             [item("a_QuantMultA", 0x404, (1, 1), floats(0))]),
            (r"\(a\): the multiplier is nan, expected", [item("a", 0x4101, (1, 1), b"\1" + floats(float("nan")))]),
            (r"\(a\): intgemm8 of rank 1, expected 2", [item("a", 0x4101, (1,), b"\1" + one)]),
            (r"a_QuantMultA\): shape is \[2\], expected one", [item("a_QuantMultA", 0x404, (2,), floats(1, 2))]),
            (r"special:model.yml\): is not UTF-8 at byte 1", [item("special:model.yml", 0x101, (2,), b"a\xff")]),
        ):
            with self.subTest(message):
                self.refused("m.bin: " + message if message.startswith("item") else message, self.read, *items)

    def test_what_is_wrong_with_the_file(self):
        whole = item("a", 0x404, (1,), floats(1))
        self.refused("m.bin: container version is 3, expected 1", lambda: self.read(whole, version=3))
        self.refused("m.bin: is encrypted", lambda: self.read(whole, version=2))
        self.refused("m.bin: 7 bytes follow the last item", lambda: self.read(whole, tail=b"1234567"))
        self.refused("m.bin: has 0 items", self.read)
        for count in (100_001, 1 << 63):
            self.refused(f"has {count} items", containers.read, struct.pack("<QQ", 1, count), "m.bin")
        self.refused("m.bin: cut off: the header needs 16 bytes at offset 0, 0 are left", containers.read, b"", "m.bin")
        # Lengths beyond the file: of a name, of data, of the padding.
        good = bytearray(container(whole))
        for at in (16, 40, len(good) - 12):
            bad = bytes(good[:at]) + struct.pack("<Q", 1 << 62) + bytes(good[at + 8 :])
            self.refused("cut off", containers.read, bad, "m.bin")

    def test_a_file_cut_anywhere_is_refused(self):
        data = container(item("a", 0x404, (1, 2), floats(1, 2)), item("Wemb", 0x4101, (1, 3), b"\1\2\3" + floats(1)))
        for length in range(len(data)):
            self.refused("m.bin: ", containers.read, data[:length], "m.bin")

    def test_any_damage_gives_a_model_or_one_line(self):
        data, rng = (DATA / INT8).read_bytes(), np.random.default_rng(1)
        refusals = 0
        for _ in range(400):
            bad = bytearray(data)
            for at in rng.integers(0, 6000, 3):  # the headers, names and shapes
                bad[at] = rng.integers(256)
            try:
                containers.read(bytes(bad), "m.bin")
            except checkpoint.CheckpointError as error:
                refusals += 1
                self.assertNotIn("\n", str(error))
        self.assertGreater(refusals, 200)


class Shortlists(InAFolder):
    def setUp(self):
        self.good = (DATA / LEX).read_bytes()

    def check(self, data: bytes, source: int = 80, target: int = 80) -> None:
        containers.check_shortlist(data, "lex.bin", source, target)

    def changed(self, at: int, form: str, value: int) -> bytes:
        """With a field changed, and the checksum made good."""
        data = bytearray(self.good)
        struct.pack_into(form, data, at, value)
        struct.pack_into("<Q", data, 8, containers._checksum(bytes(data[16:])))
        return bytes(data)

    def test_the_fixtures_is_good_and_everything_else_is_not(self):
        self.check(self.good)
        entries = (len(self.good) - 48 - 8 * 81) // 4
        for message, data in (
            ("does not start as", b"\0" + self.good[1:]),
            ("cut off: the header", self.good[:40]),
            ("bytes long, its header says", self.good[:-4]),
            ("bytes long, its header says", self.changed(40, "<Q", 1 << 62)),
            (f"has offsets for {2**64 - 2} source ids", self.changed(32, "<Q", (1 << 64) - 1)),
            ("first ids 4096, the target vocabulary has 80", self.changed(16, "<Q", 4096)),
            ("the checksum does not match", self.good[:-5] + b"\xff" + self.good[-4:]),
            ("the offsets do not rise", self.changed(48 + 8, "<Q", 1 << 40)),
            ("the offsets do not rise", self.changed(48, "<Q", 1)),
            ("lists target id 4294967295", self.changed(48 + 8 * 81 + 4 * (entries - 1), "<I", 2**32 - 1)),
        ):
            with self.subTest(message):
                self.refused("lex.bin: .*" + message, self.check, data)
        self.refused("has offsets for 80 source ids, the vocabulary has 79", self.check, self.good, 79)
        self.refused("lists target id 79, the vocabulary has 79", self.check, self.good, 80, 79)

    def test_candidates_by_hand(self):
        lists = {2: [40, 7], 3: [], 4: [41]}
        offsets, ids = [0], []
        for i in range(50):
            ids += lists.get(i, [])
            offsets.append(len(ids))
        body = struct.pack("<4Q", 3, 9, 51, len(ids)) + struct.pack("<51Q", *offsets) + struct.pack("<3I", *ids)
        found = student_oracle.candidates(bytes(16) + body, [2, 4, 0], 50)
        # 0 1 2 first; 2 4 0 themselves; 40 7 41 listed: seven, and 3 makes eight.
        self.assertEqual([0, 1, 2, 3, 4, 7, 40, 41], found.tolist())


class Vocabularies(InAFolder):
    def read(self, name: str, text: bytes | str, size: int = 5, tokenizer=None) -> vocabulary.Vocabulary:
        return marian.read_vocabulary(self.put(name, text), size, tokenizer)

    def test_a_token_a_line(self):
        v = self.read("v.txt", "</s>\n<unk>\na\nb@@\nc\n")
        self.assertEqual((["</s>", "<unk>", "a", "b@@", "c"], 0, 1, ()), (v.pieces, v.eos, v.unk, v.special))

    def test_yaml_keys_are_words_whatever_they_look_like(self):
        v = self.read("v.yml", '"</s>": 0\n"<unk>": 1\nno: 2\n"a\\"b": 3\n1: 4\n')
        self.assertEqual(["</s>", "<unk>", "no", 'a"b', "1"], v.pieces)

    def test_json_with_nematus_names_and_free_ids(self):
        v = self.read("v.json", '{"eos": 0, "UNK": 1, "a": 2, "c": 4}')
        self.assertEqual((0, 1, (3,)), (v.eos, v.unk, v.special))
        self.assertEqual(["eos", "UNK", "a", "<unused 3>", "c"], v.pieces)

    def test_the_word_eos_of_the_corpus_took_the_entry_of_id_0(self):
        v = self.read("v.json", '{"UNK": 1, "a": 2, "eos": 3, "b": 4}')
        self.assertEqual((0, ["</s>", "UNK", "a", "eos", "b"], ()), (v.eos, v.pieces, v.special))

    def test_ids_past_the_model_are_left_out(self):
        self.assertEqual(["</s>", "<unk>"], self.read("v.json", '{"</s>": 0, "<unk>": 1, "rare": 2}', 2).pieces)

    def test_what_is_wrong_is_one_line(self):
        for name, text, message in (
            ("v.txt", "</s>\n<unk>\n\na\n", "line 3 is empty"),
            ("v.txt", "</s>\n<unk>\n</s>\n", "line 3: '</s>' stands twice"),
            ("v.txt", "a\nb\n", "has no entry for </s>"),
            ("v.txt", b"a\n\xff\n", "is not UTF-8 at byte 2"),
            ("v.json", '{"</s>": 0, "<unk>": 1, "a": 2, "b": 2}', "id 2 is given to 'a' and to 'b'"),
            ("v.json", '{"</s>": 0, "<unk>": 1, "a": "2"}', "token 'a' has id 2, expected a whole number"),
            ("v.json", '{"</s>": 0, "<unk>": 1, "a": -2}', "token 'a' has id -2"),
            ("v.json", '{"</s>": 0,', "line 1: "),
            ("v.json", "[" * 100_000, "nested too deeply|is no mapping|line 1: "),
            ("v.yml", "- a\n- b\n", "is no mapping of tokens to ids"),
            ("v.fsv", "x", "factored vocabularies are not supported"),
            ("v.spm", "x" * 100, "is no SentencePiece model"),
            ("v.spm", b"", "is no SentencePiece model"),
        ):
            with self.subTest(name, text=text[:40]):
                self.refused(message, self.read, name, text)

    def test_sentencepiece(self):
        data = (DATA / SPM).read_bytes()
        v = self.read("v.spm", data, 80)
        self.assertEqual((80, 0, 1, None, "sentencepiece"), (len(v), v.eos, v.unk, v.pieces, v.tokenizer.kind))
        self.refused(r"has 80 pieces, the model has 81 \(dim-vocabs\)", self.read, "v.spm", data, 81)
        for length in range(len(data)):
            with contextlib.suppress(checkpoint.CheckpointError):
                spm_file.read(data[:length], "v.spm")
        rng = np.random.default_rng(1)
        for _ in range(300):
            bad = bytearray(data)
            bad[rng.integers(len(bad))] = rng.integers(256)
            with contextlib.suppress(checkpoint.CheckpointError):
                spm_file.read(bytes(bad), "v.spm")


class Yaml(unittest.TestCase):
    def test_what_marian_writes(self):
        text = "a: 1\nb:\n  - x\n  - 2.5\nc: []\nd: \"\"\ne: 'it''s'  # why\nf:\n- no\n"
        self.assertEqual(
            {"a": 1, "b": ["x", 2.5], "c": [], "d": "", "e": "it's", "f": [False]}, yaml_file.parse(text, "f")
        )
        self.assertEqual({"a": [1, {"b": [2]}]}, yaml_file.parse("{a: [1, {b: [2]}]}", "f"))
        self.assertIsNone(yaml_file.parse("# nothing\n", "f"))
        self.assertEqual({"ä\u2028": 1}, yaml_file.parse('"\\xe4\\L": 1\n', "f"))
        self.assertEqual({"a": "0x1F", "b": "1_0", "c": "2001-01-01", "d": "1:30"},
                         yaml_file.parse("a: 0x1F\nb: 1_0\nc: 2001-01-01\nd: 1:30\n", "f"))

    def test_keys_are_the_characters_that_yaml_cpp_writes(self):
        """As yaml-cpp 0.7 writes them, plain: it knows line feed and carriage return alone as ends of lines, and no blank but
        space and tab."""
        plain = ["\u3000", "\u00a0", "\u2028", "\u2029", "\x85", "a\u2028b", "\u2003x\u2003", "\r", "\u200b", "▁", "<<", "=", "no",
                 "1", "1_0", "0x1F", "1e3", ".", "-a", "a#b", "a:b", "\uffff", "\U0010fffd"]
        quoted = {"~": "~", "null": "null", "\\xfeff": "\xfeff"}  # as it quotes what could be taken otherwise
        text = "".join(f"{key}: {i}\n" for i, key in enumerate(plain)) + "".join(f'"{key}": 7\n' for key in quoted)
        want = {key: i for i, key in enumerate(plain)} | {key.replace("\\xfeff", "\xfeff"): 7 for key in quoted}
        self.assertEqual(want, yaml_file.parse(text, "f"))
        self.assertEqual({"a": 1, "b": 2}, yaml_file.parse("a: 1\r\nb: 2\r\n", "f"))

    def test_keys_are_the_characters_that_pyyaml_writes(self):
        keys = ["\u3000", "\u00a0", "\u2028", "a\u2028b", "\ufeff", "~", "null", "no", "1", "1.5", "<<", "=", "? x", "- x", "x: y", "#",
                "'", '"', "a" * 2000, "\n", "\t", " a ", ""]
        vocabulary = {key: i for i, key in enumerate(keys)}
        for dumper in (yaml.SafeDumper, getattr(yaml, "CSafeDumper", yaml.SafeDumper)):
            for unicode in (False, True):
                with self.subTest(dumper=dumper, unicode=unicode):
                    text = yaml.dump(vocabulary, Dumper=dumper, allow_unicode=unicode, sort_keys=False)
                    self.assertEqual(vocabulary, yaml_file.parse(text, "f"))

    def test_words_of_odd_characters_come_back_from_pyyaml(self):
        rng = random.Random(1)
        odd = "\u3000\u00a0\u2028\u2029\u0085\t~!#&*-=[]{}:'\",?|\x7f\ufeff\uffff\x1b\U0010fffd"
        words = {"".join(rng.choices(odd, k=rng.randint(1, 4))): i for i in range(1000)}
        for style in ({}, {"default_flow_style": True}):
            for unicode in (False, True):
                with self.subTest(style, unicode=unicode):
                    text = yaml.safe_dump(words, allow_unicode=unicode, **style)
                    self.assertEqual(words, yaml_file.parse(text, "f"))
        self.assertEqual({"\u2028": 1}, yaml_file.parse('{"\u2028": 1}', "f"))  # no line feed at all

    def test_what_it_refuses(self):
        for text, message in (
            ("a: &x 1\n", "f: line 1: anchors and aliases are not read"),
            ("a: 1\na: 2\n", "line 2: the key a stands twice"),
            ("a: 1\n  b: 2\n", "line 2"),
            ("a: [1, 2\n", "line 2: is no YAML: "),
            ("a: " + "[" * 1000 + "\n", "line 1: is nested deeper than 20"),
            ("".join(" " * i + f"k{i}:\n" for i in range(500)), "nested deeper than 20"),
            ("a: !!int 1\n", "line 1: the tag tag:yaml.org,2002:int is not read"),
            ("? [a]\n: 1\n", "line 1: a key is no plain text"),
            ("a: *x\n", "line 1: "),
            ("a: 1\n---\nb: 2\n", "more than one document"),
        ):
            with self.subTest(text[:30]), self.assertRaisesRegex(checkpoint.CheckpointError, message):
                yaml_file.parse(text, "f")


if __name__ == "__main__":
    unittest.main()
