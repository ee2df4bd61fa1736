"""Files with lines and what stands in them: ends of lines, scores, counts, pieces that no text becomes; and proofs that
say nothing. The first argument is a heed-server."""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import presets
from heed_export import cli
from heed_export.bundle import bundle
from heed_export.importers import cases, importer, joeynmt, marian, nematus, pytorch
from heed_export.model.vocabulary import Vocabulary, bpe, characters, opennmt, sentencepiece, words
from heed_export.reading import spm_file
from heed_export.reading.checkpoint import CheckpointError, read_lines
from in_a_folder import InAFolder, command

SERVER = sys.argv[1] if len(sys.argv) > 1 else None
DATA = presets.ROOT / "tests/data"
MADE = DATA / "pytorch"
SPECIALS = {"unk": "<unk>", "pad": "<pad>", "bos": "<s>", "eos": "</s>"}


class VocabularyFiles(InAFolder):
    def imported(self, name: str, *flags, describe="bentrevett.py", source=None, target=None):
        """Exit code and error of heed-export pytorch; the bundle is self.folder / name."""
        example = describe if isinstance(describe, pathlib.Path) else presets.ROOT / "export/examples" / describe
        given = ["pytorch", example, MADE / "model.pt", "--license=CC0-1.0", "--source-language=de", *flags]
        given += ["--target-language=en", "--source-vocabulary", source or MADE / "src.txt"]
        if not any("heed-server" in str(flag) for flag in flags):
            given += ["--no-verify"]
        given += ["--target-vocabulary", target or MADE / "tgt.txt", "--out", self.folder / name, "--name=m"]
        self.addCleanup(lambda path=str(example.resolve().parent): path in sys.path and sys.path.remove(path))
        code, self.said, error = command(*given)
        return code, error

    def digest(self, name: str) -> str:
        return bundle.read(self.folder / name).digest

    def crlf(self, name: str, data: bytes) -> pathlib.Path:
        return self.put(name, b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))

    def test_lines_that_end_in_cr_lf_are_those_that_end_in_lf(self):
        source, target = (self.crlf(n, (MADE / n).read_bytes()) for n in ("src.txt", "tgt.txt"))
        self.assertEqual((0, ""), self.imported("lf"))
        self.assertEqual((0, ""), self.imported("crlf", source=source, target=target))
        self.assertEqual(self.digest("lf"), self.digest("crlf"))
        lines = (MADE / "src.txt").read_text(encoding="utf-8").split("\n")[:-1]
        self.assertEqual(lines, read_lines(self.put("cr", "".join(f"{line}\r" for line in lines))))
        self.assertEqual(["a\u2028", "\x85", "b"], read_lines(self.put("others", "a\u2028\r\n\x85\nb")))
        found = joeynmt.read_vocabulary(self.crlf("j", b"<unk>\na\n"), SPECIALS)
        self.assertEqual(["<unk>", "<pad>", "<s>", "</s>", "a"], found)
        for name, text in (
            ("m.txt", b"</s>\n<unk>\na\n"),
            ("m.json", b'{"</s>": 0,\n"<unk>": 1, "a": 2}\n'),
            ("m.yml", b"</s>: 0\n<unk>: 1\na: 2\n"),
        ):
            self.assertEqual(["</s>", "<unk>", "a"], marian.read_vocabulary(self.crlf(name, text), 3).pieces, name)
        found = nematus.read_dictionary(self.crlf("n", b'{"eos": 0,\n"UNK": 1, "a": 2}\n'), 3)
        self.assertEqual(["<eos>", "UNK", "a"], found.pieces)

    def test_a_byte_order_mark_before_merges_hides_no_version(self):
        merges = b"#version: 0.2\na b\n"
        for made in (bpe(b"\xef\xbb\xbf" + merges), opennmt("space", "@", True, b"\xef\xbb\xbf" + merges)):
            self.assertEqual({"merges": merges}, made.files)

    def test_sentencepieces_own_vocab_is_read_or_refused(self):
        lines = (MADE / "src.txt").read_text(encoding="utf-8").split("\n")[:-1]
        scored = self.put("s.vocab", "".join(f"{line}\t{-i if i % 2 else -i - 0.25}\n" for i, line in enumerate(lines)))
        self.assertEqual(lines, pytorch.read_vocabulary(scored))
        self.refused("s.vocab: is SentencePiece's .vocab, .*; expected a token a line", joeynmt.read_vocabulary, scored, SPECIALS)
        self.refused("s.vocab: is SentencePiece's .vocab", marian.read_vocabulary, scored, 40)
        counted = self.put("c.txt", "<unk>\t9\nthe\t17\n")
        for read in (pytorch.read_vocabulary, lambda p: joeynmt.read_vocabulary(p, SPECIALS)):
            self.refused(r"c.txt:1: '<unk>\\t9' has a TAB in it", read, counted)
        self.assertEqual(["\t", " "], pytorch.read_vocabulary(self.put("tab.txt", "\t\n \n")))

    def test_a_vocabulary_that_no_text_becomes_is_refused_whatever_the_proof_says(self):
        lines = (MADE / "src.txt").read_text(encoding="utf-8").split("\n")[:-1]
        source = self.put("src.json", json.dumps([line + "\r" for line in lines]))
        code, error = self.imported("mine", source=source)
        self.assertEqual(1, code)
        self.assertRegex(error, r"source vocabulary: of \d+ pieces \d+ are none that the tokenizer pretokenized, lower-cased, ")
        self.assertFalse((self.folder / "mine").exists())
        code, error = self.imported("target", target=self.put("t.json", json.dumps([f"{i} x" for i in range(32)])))
        self.assertIn("target vocabulary: of ", error)
        self.assertEqual((0, ""), self.imported("mine", "--most-unknown=1", source=source))
        self.assertEqual(1.0, json.loads(bundle.read(self.folder / "mine").files["parity.json"])["unknown_share"])
        self.assertIn("100 % of their pieces unknown", self.said)

    def test_a_proof_on_unknown_pieces_is_refused_and_a_certificate_states_their_share(self):
        lines = (MADE / "src.txt").read_text(encoding="utf-8").split("\n")[4:8]
        unknown = self.put("unknown", "nobody knows these\n")
        code, error = self.imported("mine", "--cases", unknown)
        self.assertEqual(1, code)
        self.assertRegex(error, r"unknown: of 3 pieces 3 are unknown to the source vocabulary, so that nothing would be proved")
        self.assertEqual((0, ""), self.imported("mine", "--cases", self.put("some", f"{lines[0]} {lines[1]} {lines[2]} nobody\r\n")))
        made = bundle.read(self.folder / "mine").files
        self.assertEqual(0.25, json.loads(made["parity.json"])["unknown_share"])
        self.assertIn(b"25 % of their source pieces are unknown", made["README.md"])
        self.assertIn("(25 % of their pieces unknown)", self.said)

    def test_random_cases_have_the_text_that_becomes_them(self):
        self.assertEqual((0, ""), self.imported("mine"))
        proof = json.loads(bundle.read(self.folder / "mine").files["parity.json"])
        self.assertEqual(0, proof["unknown_share"])
        pieces = read_lines(MADE / "src.txt")
        for case in proof["cases"]:
            self.assertEqual([pieces[i] for i in case["source_ids"] if pieces[i] not in ("<sos>", "<eos>")], case["text"].split(" "))

    def test_which_pieces_a_tokenizer_makes(self):
        merges = b"#version: 0.2\na b\nab c</w>\na b</w>\n"
        model = (DATA / "text/unigram.model").read_bytes()
        for tokenizer, made, unmade in (
            (words(), ["a", "\x1c"], ["a b", "a\r", "\u3000", ""]),
            (bpe(merges), ["a@@", "\u00a0@@"], ["a\r", "a b"]),
            (characters("<sp>"), ["a", "<sp>", "\r"], ["a\r", "ab"]),
            (opennmt("space", "@", True), ["a@"], ["a\t-3"]),
            (sentencepiece(model), ["\u2581string"], ["\u2581string\r", "a\t-3"]),
        ):
            with self.subTest(tokenizer.kind):
                side = Vocabulary(unk=0, eos=1, pieces=["<unk>", "</s>", *made, *unmade], tokenizer=tokenizer)
                other = Vocabulary(unk=0, eos=1, pieces=["<unk>", "</s>"])
                self.assertEqual(unmade, [side.pieces[i] for i in side.unmade(other)])
        side = Vocabulary(unk=0, pieces=["<unk>", "a", "A", "a"], tokenizer=words(), lowercase=True)
        self.assertEqual([2, 3], side.unmade(side))

    def test_marian_takes_cases_for_a_sentencepiece_model(self):
        place, own = self.folder / "files", DATA / "marian"
        place.mkdir()
        for name in ("model.enxx.float32.bin", "vocab.enxx.spm"):
            shutil.copy(own / name, place)
        pieces = spm_file.read((own / "vocab.enxx.spm").read_bytes(), "v").pieces
        some = [piece for piece in pieces if piece[0] == "▁"][:2] + [piece for piece in pieces if piece[0] not in "▁<"][:2]
        flags = ["--license=CC0-1.0", "--no-verify", "--target-language=en", "--out", self.folder / "mine"]
        code, _, error = command("marian", place, *flags, "--cases", self.put("cases", " ".join(some) + "\n"))
        self.assertEqual((0, ""), (code, error))
        case = json.loads(bundle.read(self.folder / "mine").files["parity.json"])["cases"][0]
        self.assertEqual(some, [pieces[i] for i in case["source_ids"][:-1]])
        code, _, error = command("marian", place, *flags, "--cases", self.put("plain", "Nobody here forgets\n"))
        self.assertEqual(1, code)
        self.assertRegex(error, "plain: has no ▁ in it, so it is text; expected pieces, as spm_encode")
        code, _, error = command("marian", place, *flags, "--cases", self.put("other", f"{some[0]} ▁漢 漢\n"))
        self.assertRegex(error, "of 3 pieces 2 are unknown .* as the tokenizer sentencepiece spells them")

    def test_a_vocabulary_threshold_forbids_what_only_the_other_side_has(self):
        merges = self.put("merges", "#version: 0.2\nd e\nde r</w>\nh u\nhu n\nhun d</w>\n")
        self.put("voc", "de@@ 7\r\nr 9\r\nhund 50\r\nder 49\r\n")
        allowed = importer.read_bpe_vocabulary(self.folder / "voc", 50)
        self.assertEqual({"hund"}, allowed)
        self.assertEqual({"de@@", "r", "hund", "der"}, importer.read_bpe_vocabulary(self.folder / "voc", None))
        pieces = ["<unk>", "</s>", "der", "de@@", "r", "hund", "x"]
        side = Vocabulary(unk=0, eos=1, pieces=pieces, tokenizer=bpe(merges.read_bytes(), None, frozenset({"de@@", "r", "hund"})))
        spec = side.spec("source", {})
        self.assertTrue(spec["bpe"]["split_unknown"])
        self.assertEqual([2], spec["special_ids"], "der is the other side's; x no merge made")
        self.assertNotIn("special_ids", side.spec("target", {}), "what a model says is text")
        self.refused("voc:1: 'de@@' is no piece and its count", importer.read_bpe_vocabulary, self.put("voc", "de@@\n"), None)
        parser = cli.make_parser()
        common = ["fairseq", "f.pt", "--license=MIT", "--out=m"]
        args = parser.parse_args([*common, "--bpe-vocabulary-threshold=50", "--tokenizer=bpe"])
        self.refused("--bpe-vocabulary-threshold: needs", importer.tokenizers, args)
        args = parser.parse_args([*common, f"--source-bpe-vocabulary={self.folder / 'voc'}"])
        self.refused("--source-bpe-vocabulary: goes with --tokenizer bpe, not pretokenized", importer.tokenizers, args)

    def test_a_model_without_an_oracle_is_loaded_before_it_is_written(self):
        text = (presets.ROOT / "export/examples/bentrevett.py").read_text(encoding="utf-8").split("def oracle")[0]
        good = self.put("good_description.py", text)
        bad = self.put("bad_description.py", text.replace("eos=EOS", "eos=0"))
        self.assertNotEqual(good.read_text(), bad.read_text())
        code, error = self.imported("bad", describe=bad)
        self.assertEqual(1, code)
        self.assertRegex(error, "vocabulary: eos is id 0, the unknown piece, which is text")
        if SERVER is None:
            self.skipTest("no heed-server given")
        self.assertEqual((0, ""), self.imported("good", f"--heed-server={SERVER}", describe=good))
        self.assertIn("there is no oracle for this model, heed-server loads it", self.said)
        # What only the server sees: a piece of more than 64 KiB.
        pieces = read_lines(MADE / "src.txt")
        long = self.put("long.json", json.dumps([*pieces[:-1], "x" * 70000]))
        code, error = self.imported("long", f"--heed-server={SERVER}", describe=good, source=long)
        self.assertEqual(1, code, self.said)
        self.assertIn("heed-server does not load it: ", error)
        self.assertFalse((self.folder / "long").exists())

    def test_joeynmt_cuts_into_what_its_vocabulary_has(self):
        model = (DATA / "text/unigram.model").read_bytes()
        pieces = spm_file.read(model, "m").pieces
        self.assertEqual(model, spm_file.restricted(model, frozenset(pieces), "m"))
        less = spm_file.restricted(model, frozenset(pieces) - {"\u2581string", "s"}, "m")
        self.assertEqual(pieces, spm_file.read(less, "m").pieces)
        self.assertEqual(2, len(less) - len(model), "of one piece the type; a character is always one")
        self.assertIn("\u2581string".encode() + less.split("\u2581string".encode(), 1)[1][:5] + b"\x18\x05", less)
        self.put("codes", "#version: 0.2\na b\n")
        self.put("spm", model)
        args = cli.make_parser().parse_args(["joeynmt", "f.ckpt", "--license=MIT", "--out=m"])
        for version, split in (("2.3.0", True), ("1.5", None)):
            config = {"joeynmt_version": version}
            side = {"level": "bpe", "tokenizer_type": "subword-nmt", "tokenizer_cfg": {"codes": "codes"}}
            made, _ = joeynmt._tokenizer(args, config, side, self.folder / "config.yaml", "source", ["a@@", "b"])
            self.assertEqual(split, made.fields.get("split_unknown"), version)
            side = {"level": "bpe", "tokenizer_type": "sentencepiece", "tokenizer_cfg": {"model_file": "spm"}}
            made, _ = joeynmt._tokenizer(args, config, side, self.folder / "config.yaml", "source", pieces[:5])
            self.assertEqual(split is None, made.files["file"] == model, version)

    def test_a_sentencepiece_model_of_words_or_characters_is_named(self):
        model = (DATA / "text/unigram.model").read_bytes()
        for kind, name in ((3, "word"), (4, "char")):
            changed = model + b"\x12\x02\x18" + bytes([kind])  # a later trainer_spec is merged into the first
            with self.assertRaisesRegex(CheckpointError, f"is a SentencePiece model of type {name}, expected unigram or bpe"):
                Vocabulary(unk=0, eos=2, size=380, tokenizer=sentencepiece(changed)).check("source")

    def test_what_a_command_needs_stands_in_its_usage_without_brackets(self):
        for toolkit, needed in (
            ("pytorch", ["--source-vocabulary FILE", "--target-vocabulary FILE", "--source-language TAG", "{--target-language TAG |"]),
            ("opennmt-py", ["MODEL.pt", "--source-language TAG"]),
            ("nematus", ["MODEL.npz", "--source-language TAG"]),
            ("marian", ["marian FOLDER --license", "MODEL --vocabs FILE [FILE]"]),
            ("joeynmt", ["FILE.ckpt"]),
            ("fairseq", ["FILE.pt"]),
        ):
            with self.subTest(toolkit), self.assertRaises(SystemExit) as ended:
                command(toolkit, "--no-such-flag")
            self.assertEqual(2, ended.exception.code)
            parser = next(a for a in cli.make_parser()._actions if a.choices).choices[toolkit]
            usage = " ".join(parser.format_usage().split())
            for part in (*needed, "--license SPDX", "--out FOLDER", "[OPTIONS]"):
                self.assertIn(part, usage)
            required = [a for a in parser._actions if a.option_strings and a.required]
            for action in required:
                self.assertRegex(usage, rf"(?<!\[){action.option_strings[0]} ")
                self.assertRegex(action.help, r"\Arequired: ")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
