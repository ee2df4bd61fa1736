#!/usr/bin/python3
"""heed-export marian --all: whole caches of Firefox's models, packed or not, and what records.json says of them.

Usage: marian_cache_test.py
"""

import gzip
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import presets
from heed_export.importers import cases, importer
from heed_export.reading import packed
from in_a_folder import InAFolder, command

DATA = presets.ROOT / "tests/data/marian"
FLOAT, INT8 = "model.enxx.float32.bin", "model.enxx.intgemm.alphas.bin"
SPM, LEX = "vocab.enxx.spm", "lex.50.50.enxx.s2t.bin"


def zst(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q"], input=data, capture_output=True, check=True).stdout


class Packed(InAFolder):
    """.gz and .zst, of any file of a model."""

    def test_is_read_as_what_it_holds(self):
        for name, data in (("a.gz", gzip.compress(b"one")), ("b.zst", zst(b"one")), ("c.bin", b"one")):
            self.assertEqual(b"one", packed.read(self.put(name, data)))
        self.assertEqual(["m.bin", "m.bin", "m.bin"], [packed.plain_name(pathlib.Path("m.bin" + s)) for s in ("", ".gz", ".ZST")])

    def test_what_unpacks_to_too_much_is_refused_before_it_is_in_memory(self):
        zeros = bytes(8 << 20)
        for path in (self.put("a.gz", gzip.compress(zeros)), self.put("b.zst", zst(zeros))):
            self.assertLess(path.stat().st_size, 20_000)
            self.refused(rf"{path.name}: unpacks to more than 1000 bytes\Z", packed.read, path, 1000)
            with unittest.mock.patch.object(packed, "MAX_UNPACKED_BYTES", 4 << 20):
                self.refused(rf"{path.name}: unpacks to more than 4194304 bytes\Z", packed.read, path)

    def test_what_is_damaged_is_one_line(self):
        for name, whole, kind in (("a.gz", gzip.compress(b"one" * 99), "gzip"), ("b.zst", zst(b"one" * 99), "zstd")):
            for data in (whole[:-3], b"two" + whole):
                with self.subTest(name, data=data[:8]):
                    self.refused(f"{name}: is no {kind} file, or is damaged", packed.read, self.put(name, data))
            self.refused(f"no{name}: does not exist", packed.read, self.folder / f"no{name}")
            self.folder.joinpath("of" + name).mkdir()
            self.refused(f"of{name}: is no file", packed.read, self.folder / f"of{name}")

    def test_without_the_program_it_is_said(self):
        path = self.put("b.zst", zst(b"one"))
        with unittest.mock.patch.object(packed.shutil, "which", return_value=None):
            self.refused(r"b.zst: needs the program zstd \(apt-get install zstd\)", packed.read, path)


class Caches(InAFolder):
    """heed-export marian CACHE --all."""

    def setUp(self):
        super().setUp()
        self.cache, self.out = self.folder / "cache", self.folder / "models"
        # What is proved of each is marian_test.py's; here one case of few tokens will do.
        self.enterContext(unittest.mock.patch.object(cases, "_RANDOM_LENGTHS", (1,)))
        self.enterContext(unittest.mock.patch.object(importer, "_MAX_CASE_TOKENS", 2))

    def lay(self, place: str, code: str = "enxx", model: str = FLOAT, suffix: str = "", leave_out: str = "") -> None:
        """The fixture's files as a model of the pair `code` in a folder of the cache."""
        folder = self.cache / place
        folder.mkdir(parents=True, exist_ok=True)
        pack = {"": bytes, ".gz": gzip.compress, ".zst": zst}[suffix]
        for name in (model, SPM, LEX):
            if name != leave_out:
                data = (DATA / name).read_bytes()
                (folder / (name.replace("enxx", code) + suffix)).write_bytes(pack(data))

    def record(self, file: str, code: str, source: str, target: str, architecture: str, **changes) -> dict:
        data = (DATA / file).read_bytes()
        return {
            "name": file.replace("enxx", code), "fileType": "model", "sourceLanguage": source, "targetLanguage": target,
            "architecture": architecture, "version": "3.0", "decompressedHash": hashlib.sha256(data).hexdigest(),
            "decompressedSize": len(data), **changes,
        }  # fmt: skip

    def records(self, *records: dict) -> None:
        (self.cache / "records.json").write_text(json.dumps({"data": [*records, {"unrelated": 1}, 7]}))

    def run_all(self, *more: str) -> tuple[int, list[str], list[str]]:
        flags = ["--all", "--license", "MPL-2.0", "--no-verify", "--out", self.out, *more]
        code, out, err = command("marian", self.cache, *flags)
        return code, out.splitlines(), err.splitlines()

    def bundles(self) -> dict[str, tuple[str, str]]:
        """The languages of what was written, by name."""
        specs = {p.parent.name: json.loads(p.read_text()) for p in self.out.glob("*/model.json")}
        for name, spec in specs.items():
            self.assertEqual(name, spec["name"])
        return {n: (s["source_language"], s["target_language"]) for n, s in sorted(specs.items())}

    def test_every_model_becomes_a_bundle_of_its_pairs_name(self):
        self.lay("en-de", "ende")
        self.lay("zh-Hans-en", "zhen", suffix=".zst")
        self.lay("en-pt-BR", "enpt", suffix=".gz")
        (self.cache / "en-de/.lex.50.50.ende.s2t.bin.download").write_bytes(b"")
        code, out, err = self.run_all()
        self.assertEqual((0, []), (code, err))
        self.assertEqual(f"{self.out}: 3 of 3 models imported", out[-1])
        self.assertEqual({"en-de": ("en", "de"), "en-pt-br": ("en", "pt-BR"), "zh-hans-en": ("zh-Hans", "en")}, self.bundles())
        spec = json.loads((self.out / "zh-hans-en/model.json").read_text())
        self.assertEqual((DATA / LEX).read_bytes(), (self.out / "zh-hans-en" / spec["shortlist"]["file"]).read_bytes())
        self.assertEqual((0, []), self.run_all()[::2], "a second time they are replaced")

    def test_variants_of_a_pair_are_told_apart_by_architecture_wherever_it_stands(self):
        for tiny, base in (("en-ko/tiny", "en-ko/base-memory"), ("tiny/enko", "base-memory/enko"),
                           ("en-ko-tiny", "en-ko.base-memory")):  # fmt: skip
            with self.subTest(tiny):
                self.lay(tiny, "enko")
                self.lay(base, "enko", INT8)
                self.lay("en-de", "ende")
                self.assertEqual((0, []), self.run_all()[::2])
                self.assertEqual(["en-de", "en-ko-base-memory", "en-ko-tiny"], list(self.bundles()))
                for folder in (self.cache, self.out):
                    shutil.rmtree(folder)

    def test_pairs_may_share_a_folder(self):
        self.lay("", "ende")
        self.lay("", "deen")
        self.assertEqual((0, []), self.run_all()[::2])
        self.assertEqual({"de-en": ("de", "en"), "en-de": ("en", "de")}, self.bundles())

    def test_records_say_languages_and_architectures_and_hold_the_files_to_their_hashes(self):
        self.lay("a", "zhen")
        self.lay("b", "zhen", INT8, ".zst")
        self.lay("en-de", "ende")
        names = ((FLOAT, "tiny"), (INT8, "base"), (SPM, "tiny"), (SPM, "base"), (LEX, "tiny"), (LEX, "base"))
        zh = [self.record(name, "zhen", "zh-Hans", "en", of) for name, of in names]
        # Both variants' models have one name.
        for folder, name in (("a", FLOAT), ("b", INT8 + ".zst")):
            path = self.cache / folder / name.replace("enxx", "zhen")
            path.rename(path.with_name("model.zhen.bin" + (".zst" if name.endswith(".zst") else "")))
        for record in zh[:2]:
            record["name"] = "model.zhen.bin"
        de = [self.record(name, "ende", "en", "de", "base") for name in (SPM, LEX)]
        self.records(*zh, *de, self.record(FLOAT, "ende", "en", "de", "base", decompressedHash="ab" * 32))
        code, out, err = self.run_all()
        self.assertEqual(1, code)
        self.assertEqual(["zh-hans-en-base", "zh-hans-en-tiny"], list(self.bundles()))
        self.assertRegex(err[0], rf"\Aen-de: .*model.ende.float32.bin: its SHA-256 is \w{{64}}, .*records.json has {'ab' * 32}\Z")
        self.assertEqual("heed-export marian: 1 of 3 models were not imported: en-de", err[1])

    def test_a_file_of_the_other_variant_is_noticed(self):
        self.lay("en-de", "ende")
        self.records(*(self.record(n, "ende", "en", "de", of) for n, of in ((FLOAT, "tiny"), (SPM, "base"), (LEX, "tiny"))))
        code, _, err = self.run_all()
        self.assertEqual(1, code)
        self.assertRegex(err[0], r"vocab.ende.spm: the folder mixes files of two models, by .*records.json: tiny and base\Z")

    def test_a_file_that_records_do_not_name_is_said(self):
        self.lay("en-de", "ende")
        self.records()
        code, out, err = self.run_all()
        self.assertEqual((0, []), (code, err))
        self.assertEqual(3, sum("so its hash was not checked" in line for line in out))

    def test_one_folder_alone_is_held_to_the_records_beside_it(self):
        self.lay("zh-Hans-en", "zhen")
        self.records(self.record(FLOAT, "zhen", "zh-Hans", "en", "tiny", decompressedHash="cd" * 32))
        flags = ["--license", "MPL-2.0", "--no-verify", "--out", self.out / "m"]
        code, _, err = command("marian", self.cache / "zh-Hans-en", *flags)
        self.assertEqual(1, code)
        self.assertRegex(err, r"model.zhen.float32.bin: its SHA-256 is")
        self.records()
        self.assertEqual(0, command("marian", self.cache / "zh-Hans-en", *flags)[0])
        self.assertEqual(("zh-Hans", "en"), tuple(json.loads((self.out / "m/model.json").read_text())[f"{s}_language"] for s in ("source", "target")))

    def test_what_fails_is_named_and_the_others_are_done(self):
        self.lay("de-en", "deen")
        self.lay("en-de", "ende", leave_out=SPM)
        self.lay("en-fr", "enfr", leave_out=FLOAT)
        self.lay("en-es", "enes")
        (self.cache / "en-es" / FLOAT.replace("enxx", "enes")).write_bytes(b"no model")
        self.lay("en-it", "enpt")
        self.lay("en-ko/tiny", "enko")
        self.lay("en-ko/base", "enko")
        (self.cache / "en-ko/base" / SPM.replace("enxx", "enko")).unlink()
        (self.cache / "en-nl").mkdir()
        (self.cache / "notes").mkdir()
        code, out, err = self.run_all()
        self.assertEqual(1, code)
        self.assertEqual(["de-en", "en-ko-tiny"], list(self.bundles()))
        self.assertEqual(f"{self.out}: 2 of 8 models imported", out[-1])
        told = {line.split(": ")[0]: line for line in err[:-1]}
        for what, why in (
            ("en-de", r"holds 0 files like srcvocab.ende.\*spm, expected one"),
            ("en-es", r"model.enes.float32.bin: "),
            ("en-fr", r"holds 0 files like model.\*bin"),
            ("en-it", r"holds a model of enpt, and its name says en-it\Z"),
            ("en-ko/base", r"holds 0 files like srcvocab.enko.\*spm"),
            ("en-nl", r"holds 0 files like model.\*bin"),
        ):
            self.assertRegex(told.pop(what), why)
        self.assertEqual({}, told)
        self.assertRegex(err[-1], r"\Aheed-export marian: 6 of 8 models were not imported: ")

    def test_two_containers_in_one_folder_are_told_apart_by_their_names(self):
        self.lay("en-de", "ende")
        self.lay("en-de", "ende", INT8, ".gz")
        self.assertEqual((0, []), self.run_all()[::2])
        self.assertEqual(["en-de-float32", "en-de-intgemm.alphas"], list(self.bundles()))

    def test_of_both_kinds_of_vocabularies_a_model_gets_its_own(self):
        self.lay("en-de", "ende")
        for side in ("src", "trg"):
            shutil.copy(self.cache / "en-de/vocab.ende.spm", self.cache / f"en-de/{side}vocab.ende.spm")
        own = [self.record(SPM, "ende", "en", "de", "base", name=f"{side}vocab.ende.spm") for side in ("src", "trg")]
        self.records(self.record(FLOAT, "ende", "en", "de", "base"), self.record(SPM, "ende", "en", "de", "tiny"), *own)
        code, out, err = self.run_all()
        self.assertEqual((0, []), (code, err))
        self.assertEqual(1, sum("does not name it" in line for line in out), "the shortlist")

    def test_a_model_without_languages_is_refused(self):
        self.lay("anything", "ende")
        for path in (self.cache / "anything").iterdir():
            path.rename(path.with_name(path.name.replace(".ende", "")))
        self.assertRegex(self.run_all()[2][0], r"anything: .*: neither its name nor its folder's says the languages")

    def test_two_of_a_pair_that_nothing_tells_apart_are_refused(self):
        self.lay("en-de", "ende")
        self.lay("ende", "ende")
        code, _, err = self.run_all()
        self.assertEqual((1, {}), (code, self.bundles()))
        self.assertRegex(err[0], r"en-de: nothing tells it from another model of its pair\Z")

    def test_what_cannot_be_done_is_said_before_anything_is_read(self):
        self.lay("en-de", "ende")
        for flags, message in ((["--name", "x"], "--name: is one model's"), (["--vocabs", "v"], "--vocabs: is one model's"),
                               (["--target-language", "de"], "--target-language: is one model's")):  # fmt: skip
            self.assertRegex(self.run_all(*flags)[2][0], message)
        self.out.mkdir()
        (self.out / "SHA256SUMS").write_text("")
        self.assertRegex(self.run_all()[2][0], "--out: .*models is a bundle, and --all writes a folder of them")
        (self.out / "SHA256SUMS").unlink()
        shutil.rmtree(self.cache)
        self.assertRegex(self.run_all()[2][0], "cache: is no folder")
        self.cache.mkdir()
        self.assertRegex(self.run_all()[2][0], r"cache: holds no model \(model.\*bin\), nor do the folders in it")
        self.assertEqual([], list(self.out.iterdir()))


if __name__ == "__main__":
    unittest.main()
