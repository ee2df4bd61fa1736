#!/usr/bin/python3
"""From text files to a bundle: the whole command, on a corpus of a few hundred made-up lines."""
import contextlib
import hashlib
import io
import json
import pathlib
import random
import sys
import tempfile
import unittest
from unittest import mock

import numpy as np

import support
from heed_export.bundle import bundle
from heed_export.decoding import decode, text
from heed_export.training import assemble, recipe

SYLLABLES = ["가", "나", "다", "라", "마", "바", "사", "아", "자", "차"]
ATTRIBUTION = "Go.\t가.\tCC-BY 2.0 (France) Attribution: tatoeba.org #1 (Bea) & #2 (al fo)\n"
RECIPE = {
    "name": "tiny-ko",
    "task": "summarize",
    "corpora": {"train": ["tiny/train"], "valid": ["tiny/valid"], "test": ["tiny/valid"]},
    "max_pieces": 40,
    "model": {
        "arch": "bahdanau-gru", "src_pieces": 30, "tgt_pieces": 30, "joint": True, "embedding": 8, "attention": 8,
        "encoder_hidden": 6, "encoder_layers": 1, "decoder_hidden": 10,
    },
    "train": {"epochs": 2, "positions": 200, "warmup": 5},
    "export": {
        "version": "0.1", "source_language": "ko", "target_language": "ko", "segmentation": "none",
        "description": "Tiny.", "license": "CC0-1.0", "attribution": ["tiny/attribution.txt"],
    },
}
DOCUMENTS = {
    "LICENSE": "Do what you like.\n",
    "NOTICE": "Thanks to\n{{contributors}}\n",
    "README.md": "# {{name}} {{version}}\n{{parameters}} {{storage}} {{valid_ppl}} {{epochs}}\n{{quality}}\n",
    "parity.txt": "가나 다라\n바\n",
}


class Recipe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.root = root = pathlib.Path(temporary.name)
        (root / "data/tiny").mkdir(parents=True)
        rng = random.Random(1)
        for split, count in (("train", 300), ("valid", 30)):
            words = [["".join(rng.choices(SYLLABLES, k=2)) for _ in range(rng.randrange(1, 4))] for _ in range(count)]
            for side, end in (("src", " 줘\n"), ("tgt", "\n")):
                lines = "".join(" ".join(w) + end for w in words)
                (root / f"data/tiny/{split}.{side}").write_text(lines, encoding="utf-8")
        (root / "data/tiny/attribution.txt").write_text(ATTRIBUTION, encoding="utf-8")
        (root / "tiny-ko.json").write_text(json.dumps(RECIPE), encoding="utf-8")
        (root / "tiny-ko").mkdir()
        for name, content in DOCUMENTS.items():
            (root / "tiny-ko" / name).write_text(content, encoding="utf-8")
        cls.run_command()

    @classmethod
    def run_command(cls, *more: str) -> str:
        where = ["--data", "data", "--work", "work", "--bundle", "models/tiny-ko"]
        where = [w if w.startswith("--") else str(cls.root / w) for w in where]
        printed = io.StringIO()
        with mock.patch.object(sys, "argv", ["recipe", str(cls.root / "tiny-ko.json"), *where, *more]):
            with contextlib.redirect_stdout(printed), mock.patch.object(recipe.calibrate, "measure") as cls.measure:
                recipe.main()
        return printed.getvalue()

    def test_the_sums_list_every_other_file_sorted_by_name(self):
        folder = self.root / "models/tiny-ko"
        lines = (folder / "SHA256SUMS").read_text().splitlines()
        names = [line.split("  ")[1] for line in lines]
        self.assertEqual(sorted(p.name for p in folder.iterdir() if p.name != "SHA256SUMS"), names)
        for line in lines:
            digest, name = line.split("  ")
            self.assertEqual(hashlib.sha256((folder / name).read_bytes()).hexdigest(), digest)
        expected = ["LICENSE", "NOTICE", "README.md", "joint.spm", "model.json", "parity.json", "weights.safetensors"]
        self.assertEqual(expected, names)

    def test_the_bundle_is_calibrated_on_valid_and_checked_on_test(self):
        lines = (self.root / "data/tiny/valid.src").read_text(encoding="utf-8").splitlines()
        self.run_command("--no-train")
        (folder, (fitted, checked), _), _ = self.measure.call_args
        self.assertEqual((self.root / "models/tiny-ko", "tiny/valid", lines), (folder, fitted.name, fitted.sources))
        self.assertEqual(len(lines), len(checked.references))
        self.run_command("--no-train", "--no-calibrate")
        self.measure.assert_not_called()
        printed = io.StringIO()
        with mock.patch.object(recipe.calibrate, "measure", side_effect=ValueError("no build")):
            with contextlib.redirect_stdout(printed):
                recipe.calibrated(recipe.read(self.root / "tiny-ko.json"), self.root / "data", folder)
        self.assertEqual("not calibrated: no build\n", printed.getvalue())

    def test_documents_carry_the_facts(self):
        made = bundle.read(self.root / "models/tiny-ko")
        self.assertEqual(b"Thanks to\n  al fo, Bea\n", made.files["NOTICE"])
        card = made.files["README.md"].decode()
        self.assertIn("# tiny-ko 0.1", card)
        self.assertIn(f"{sum(t.size for t in made.tensors.values()):,}", card)
        self.assertRegex(card, r"\| greedy \| \d+\.\d+ \| \d")
        self.assertRegex(card, r"\| beam 5, length alpha 1 \| ")

    def test_parity_holds_what_the_stored_weights_give(self):
        made = bundle.read(self.root / "models/tiny-ko")
        parity = json.loads(made.files["parity.json"])
        self.assertEqual(["가나 다라", "바"], [case["text"] for case in parity["cases"]])
        words = text.Text(made)
        found = decode.greedy(decode.Model(made), [case["source_ids"] for case in parity["cases"]], attention=True)
        for case, got in zip(parity["cases"], found):
            self.assertEqual(words.encode(case["text"]), case["source_ids"])
            self.assertEqual(2, case["source_ids"][-1])
            self.assertEqual(got.tokens, case["target_ids"])
            self.assertEqual(words.decode(got.tokens), case["output"])
            self.assertEqual("eos" if got.tokens[-1] == 2 else "length", case["finish"])
            attention, tolerance = case["attentions"][0], parity["tolerance"]
            self.assertEqual("attention", attention["attend"])
            for values, want, name in (
                (got.log_probabilities, case["log_probabilities"], "log_probability"),
                (got.weights, attention["weights"], "weight"),
                (got.energies, attention["energies"], "energy"),
            ):
                np.testing.assert_allclose(values, want, rtol=0, atol=tolerance[name])

    def test_matrices_are_stored_rounded_and_vectors_in_full(self):
        made = bundle.read(self.root / "models/tiny-ko")
        model, _ = assemble.load_model(self.root / "work/best.pt")
        table = model.tgt_embed.weight.detach()
        np.testing.assert_array_equal(table.bfloat16().float().numpy(), made.tensors["embedding"])
        np.testing.assert_array_equal(model.out_bias.detach().numpy(), made.tensors["output.bias"])

    def test_exporting_again_replaces_the_bundle_by_the_same_one(self):
        folder = self.root / "models/tiny-ko"
        before = bundle.read(folder).digest
        (folder / "stray").write_text("left over")
        self.assertIn(before, self.run_command("--no-train"))
        self.assertEqual(before, bundle.read(folder).digest)
        self.assertEqual(["tiny-ko"], [p.name for p in folder.parent.iterdir()])

    def test_a_changed_or_unlisted_file_is_refused_by_name(self):
        folder = self.root / "models/tiny-ko"
        self.addCleanup(self.run_command, "--no-train")
        (folder / "stray").write_text("x")
        with self.assertRaisesRegex(ValueError, "stray"):
            bundle.read(folder)
        (folder / "stray").unlink()
        (folder / "NOTICE").write_text("x")
        with self.assertRaisesRegex(ValueError, "NOTICE"):
            bundle.read(folder)

    def test_a_recipe_with_an_unknown_field_is_refused_by_name(self):
        wrong = {**RECIPE, "train": {**RECIPE["train"], "epoch": 3}}
        path = self.root / "wrong.json"
        path.write_text(json.dumps(wrong), encoding="utf-8")
        with self.assertRaisesRegex(TypeError, "epoch"):
            recipe.read(path)


class OfWords(unittest.TestCase):
    """A pointer-generator whose targets are the sources' last words, most of them unknown to the vocabulary."""

    def test_from_text_files_to_a_bundle_that_copies(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            rng = random.Random(2)
            for split, count in (("train", 200), ("valid", 20)):
                lines = [["".join(rng.choices("abcdefgh", k=4)) for _ in range(3)] for _ in range(count)]
                (root / f"{split}.src").write_text("".join(f"He saw {a}, {b} {c}.\n" for a, b, c in lines))
                (root / f"{split}.tgt").write_text("".join(f"{c}.\n" for _, _, c in lines))
            spec = {**RECIPE, "name": "copy", "corpora": {"train": ["train"], "valid": ["valid"], "test": ["valid"]}}
            spec["model"] = {
                "arch": "pointer-generator", "copy": True, "unit": "words", "joint": True, "source_eos": False,
                "src_pieces": 12, "tgt_pieces": 12, "embedding": 8, "encoder_hidden": 6, "encoder_layers": 1,
                "decoder_hidden": 10, "attention": 8,
            }
            spec["export"] = {k: v for k, v in RECIPE["export"].items() if k != "attribution"}
            (root / "copy.json").write_text(json.dumps(spec))
            where = [str(root / "copy.json"), "--data", folder, "--work", f"{folder}/w", "--bundle", f"{folder}/b/copy"]
            with mock.patch.object(sys, "argv", ["recipe", *where]), contextlib.redirect_stdout(io.StringIO()):
                recipe.main()
            made = bundle.read(root / "b/copy")
        self.assertEqual({"words.json", "parity.json", "README.md", "LICENSE"}, set(made.files))
        side = {"size": 12, "unk_id": 0, "bos_id": 1, "eos_id": 2}
        side |= {"words": {}, "pieces": "words.json", "lowercase": True}
        self.assertEqual(side, made.spec["source"])
        self.assertEqual(side, made.spec["target"])
        self.assertEqual("Xx y", text.Text(made).decode([12, 13, 2], "he saw Xx , y xx ."))
        for case in json.loads(made.files["parity.json"])["cases"]:
            self.assertEqual(len(case["source_ids"]), len(case["copy_ids"]))
            self.assertEqual(0, case["source_ids"][2])
            self.assertEqual(12, case["copy_ids"][2])


class OfPieces(unittest.TestCase):
    """The same of pieces: digits and syllables that the training text lacks are spelt by bytes, and copied."""

    def test_from_text_files_to_a_bundle_that_copies(self):
        spec = {**RECIPE, "name": "copy", "corpora": {"train": ["train"], "valid": ["valid"], "test": ["valid"]}}
        spec["model"] = {**RECIPE["model"], "copy": True, "src_pieces": 430, "tgt_pieces": 430}
        spec["export"] = {k: v for k, v in RECIPE["export"].items() if k != "attribution"}
        spec["variants"] = {"rule": "korean-requests", "share": 1.5}
        with self.assertRaisesRegex(ValueError, "tokenizer.byte_fallback must be true"):
            self.made(spec)
        spec["tokenizer"] = {"byte_fallback": True, "characters": ["latin"]}
        with self.assertRaisesRegex(ValueError, "tokenizer.characters has 'latin'; it must be of .'ascii', 'ks-x-1001'"):
            self.made(spec)
        spec["tokenizer"] = {"byte_fallback": True, "characters": ["ascii"], "variant_epochs": 1}
        made = self.made(spec)
        self.assertEqual({"generate", "gate", "attention", "gate_generates"}, set(made.spec["step"]["ops"][-1]["copy"]))
        words = text.Text(made)
        self.assertTrue(words.copies)
        for line in ("가나 7", "쀍 XYZ"):
            ids = words.encode(line)
            self.assertEqual(ids, words.extended(line))
            self.assertEqual(line, words.decode(ids, line))
        for case in json.loads(made.files["parity.json"])["cases"]:
            self.assertEqual(case["source_ids"], case["copy_ids"])

    def test_epochs_differ_and_each_is_always_the_same(self):
        spec = {**RECIPE, "variants": {"rule": "korean-requests", "share": 1.5}}
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "r.json"
            path.write_text(json.dumps(spec), encoding="utf-8")
            pairs = [("거실 불 좀 꺼줘", "거실 불 끄기"), ("오늘 일곱시에 깨워줘", "오늘 일곱시 깨우기")] * 20
            epochs = recipe.Epochs(recipe.read(path), pairs)
        second = epochs.texts(2)
        self.assertEqual(100, len(second))
        self.assertEqual(pairs, second[:40])
        self.assertNotEqual(second, epochs.texts(3))
        self.assertEqual(second, epochs.texts(2))

    def made(self, spec: dict) -> bundle.Bundle:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            rng = random.Random(3)
            for split, count in (("train", 120), ("valid", 10)):
                lines = ["".join(rng.choices(SYLLABLES, k=3)) for _ in range(count)]
                (root / f"{split}.src").write_text("".join(f"{line} 줘\n" for line in lines), encoding="utf-8")
                (root / f"{split}.tgt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            (root / "copy.json").write_text(json.dumps(spec))
            where = [str(root / "copy.json"), "--data", folder, "--work", f"{folder}/w", "--bundle", f"{folder}/b/copy"]
            with mock.patch.object(sys, "argv", ["recipe", *where]), contextlib.redirect_stdout(io.StringIO()):
                recipe.main()
            return bundle.read(root / "b/copy")


class Shipped(unittest.TestCase):
    def test_shipped_recipes_parse_and_their_documents_need_no_unknown_fact(self):
        folder = support.ROOT / "export/recipes"
        facts = {"name", "version", "license", "parameters", "storage", "source_pieces", "target_pieces", "valid_ppl"}
        facts |= {"quality", "kept", "contributors", "recipe", "epochs", "best_epoch", "minutes"}
        paths = sorted(folder.glob("*.json"))
        shipped = [p.stem for p in paths if p.with_suffix("").is_dir()]
        self.assertEqual(["pydocs-ko-en", "sae4k-ko"], shipped)
        for path in paths:
            self.assertEqual(path.stem, recipe.read(path).name)
            if path.stem not in shipped:
                continue  # for a comparison: documents of its own would say nothing
            for name in assemble.DOCUMENTS:
                template = (path.with_suffix("") / name).read_text(encoding="utf-8")
                assemble.fill(template, dict.fromkeys(facts, ""))


if __name__ == "__main__":
    unittest.main()
