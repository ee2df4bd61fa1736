#!/usr/bin/python3
"""heed-export pytorch: the tutorials' examples against real PyTorch modules, and the command from a torch.save file
on."""

import contextlib
import io
import json
import pathlib
import re
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import presets
import torch
from heed_export import cli
from heed_export.bundle import bundle
from heed_export.importers import pytorch
from heed_export.reading import checkpoint
from presets import pytorch as examples
from reference import bastings, bentrevett, trace
from torch import nn

torch.set_num_threads(1)
EXAMPLES = presets.ROOT / "export/examples"
SPECIALS = ["<unk>", "<pad>", "<sos>", "<eos>"]


class Tutorial(nn.Module):
    """The computation of bentrevett's tutorials 3 and 4 for one sentence, with its state_dict's names."""

    def __init__(self, source: int, target: int, e: int, h: int, d: int):
        super().__init__()
        self.encoder = nn.ModuleDict(
            {"embedding": nn.Embedding(source, e), "rnn": nn.GRU(e, h, bidirectional=True), "fc": nn.Linear(2 * h, d)}
        )
        attention = nn.ModuleDict({"attn": nn.Linear(2 * h + d, d), "v": nn.Linear(d, 1, bias=False)})
        self.decoder = nn.ModuleDict(
            {
                "attention": attention,
                "embedding": nn.Embedding(target, e),
                "rnn": nn.GRU(2 * h + e, d),
                "fc_out": nn.Linear(2 * h + d + e, target),
            }
        )

    def forward(self, source: list[int], tokens: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities [T, V] and attention [T, S] of `tokens`, each fed to the next step."""
        enc, dec = self.encoder, self.decoder
        outputs, last = enc["rnn"](enc["embedding"](torch.tensor(source))[:, None])
        hidden = torch.tanh(enc["fc"](torch.cat([last[0], last[1]], 1)))
        rows, weights = [], []
        for before in [bentrevett.SOS, *tokens[:-1]]:
            e = dec["embedding"](torch.tensor([before]))
            repeated = hidden.expand(len(source), -1)
            energy = dec["attention"]["v"](
                torch.tanh(dec["attention"]["attn"](torch.cat([repeated, outputs[:, 0]], 1)))
            )
            a = torch.softmax(energy[:, 0], 0)
            c = (a @ outputs[:, 0])[None]
            out, hidden = dec["rnn"](torch.cat([e, c], 1)[None], hidden[None])
            hidden = hidden[0]
            rows.append(dec["fc_out"](torch.cat([out[0], c, e], 1)).log_softmax(1)[0])
            weights.append(a)
        return torch.stack(rows), torch.stack(weights)


class Annotated(nn.Module):
    """The computation of bastings' notebook for one sentence, with its state_dict's names."""

    def __init__(self, source: int, target: int, e: int, h: int, layers: int):
        super().__init__()
        self.src_embed, self.trg_embed = nn.Embedding(source, e), nn.Embedding(target, e)
        self.encoder = nn.ModuleDict({"rnn": nn.GRU(e, h, layers, batch_first=True, bidirectional=True)})
        attention = nn.ModuleDict(
            {
                "key_layer": nn.Linear(2 * h, h, bias=False),
                "query_layer": nn.Linear(h, h, bias=False),
                "energy_layer": nn.Linear(h, 1, bias=False),
            }
        )
        self.decoder = nn.ModuleDict(
            {
                "attention": attention,
                "rnn": nn.GRU(e + 2 * h, h, layers, batch_first=True),
                "bridge": nn.Linear(2 * h, h),
                "pre_output_layer": nn.Linear(3 * h + e, h, bias=False),
            }
        )
        self.generator = nn.ModuleDict({"proj": nn.Linear(h, target, bias=False)})

    def forward(self, source: list[int], tokens: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        dec, attention = self.decoder, self.decoder["attention"]
        states, final = self.encoder["rnn"](self.src_embed(torch.tensor([source])))
        hidden = torch.tanh(dec["bridge"](torch.cat([final[0::2], final[1::2]], 2)))
        keys = attention["key_layer"](states)
        rows, weights = [], []
        for before in [bastings.SOS, *tokens[:-1]]:
            e = self.trg_embed(torch.tensor([[before]]))
            query = attention["query_layer"](hidden[-1])[:, None]
            a = attention["energy_layer"](torch.tanh(query + keys))[0, :, 0].softmax(0)
            c = (a @ states[0])[None, None]
            out, hidden = dec["rnn"](torch.cat([e, c], 2), hidden)
            pre = dec["pre_output_layer"](torch.cat([e, out, c], 2))
            rows.append(self.generator["proj"](pre)[0, 0].log_softmax(0))
            weights.append(a)
        return torch.stack(rows), torch.stack(weights)


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(2)
    with torch.no_grad():
        for p in module.parameters():
            p.uniform_(-0.8, 0.8)
    return module.double().eval()


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in module.state_dict().items()}


class Oracles(unittest.TestCase):
    def check(self, module: nn.Module, oracle, first: int, eos: int):
        for source in ([2, 5, 3], [2, 4, 9, 7, 6, 5, 8, 3], [3]):
            found = trace.greedy(oracle, source, first, eos, 10)
            with torch.no_grad():
                rows, weights = module(source, found.tokens)
            self.assertEqual(rows.argmax(1).tolist(), found.tokens)
            for t, step in enumerate(found.steps):
                np.testing.assert_allclose(rows[t].numpy(), step.log_probabilities, atol=1e-12)
                np.testing.assert_allclose(weights[t].numpy(), step.attentions["attention"].weights[0], atol=1e-12)

    def test_bentrevett_is_what_pytorch_computes(self):
        module = randomised(Tutorial(11, 13, 5, 4, 6))
        self.check(module, bentrevett.Model(arrays(module)), bentrevett.SOS, bentrevett.EOS)

    def test_bastings_is_what_pytorch_computes(self):
        for layers in (1, 2):
            module = randomised(Annotated(11, 13, 5, 4, layers))
            self.check(module, bastings.Model(arrays(module)), bastings.SOS, bastings.EOS)


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.source = SPECIALS + ["ein", "Mann", "geht"]
        self.target = SPECIALS + ["a", "man", "walks", "."]
        (self.folder / "src.txt").write_text("".join(p + "\n" for p in self.source), encoding="utf-8")
        (self.folder / "tgt.json").write_text(json.dumps({p: i for i, p in enumerate(self.target)}), encoding="utf-8")
        self.module = randomised(Tutorial(len(self.source), len(self.target), 5, 4, 6)).float()

    def run_command(self, weights, *more: str, description=EXAMPLES / "bentrevett.py") -> tuple[int, str, str]:
        path = self.folder / "weights.pt"
        torch.save(weights, path)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(
                [
                    "pytorch",
                    str(description),
                    str(path),
                    "--source-vocabulary",
                    str(self.folder / "src.txt"),
                    "--target-vocabulary",
                    str(self.folder / "tgt.json"),
                    "--out",
                    str(self.folder / "mine"),
                    "--license",
                    "MIT",
                    "--source-language",
                    "de",
                    "--target-language",
                    "en",
                    "--no-verify",
                    *more,
                ]
            )
        return code, out.getvalue(), err.getvalue()

    def test_a_state_dict_that_torch_saved_becomes_a_bundle(self):
        code, out, err = self.run_command(self.module.state_dict())
        self.assertEqual((0, ""), (code, err))
        self.assertIn("from bentrevett/pytorch-seq2seq", out)
        made = bundle.read(self.folder / "mine")
        np.testing.assert_array_equal(
            arrays(self.module)["decoder.fc_out.weight"], made.tensors["decoder.prediction.weight"]
        )
        self.assertEqual(self.source, json.loads(made.files["source.pieces.json"]))
        self.assertEqual((True, True, True), tuple(made.spec["source"][k] for k in ("add_bos", "add_eos", "lowercase")))
        self.assertGreaterEqual(len(json.loads(made.files["parity.json"])["cases"]), 5)

    def test_a_state_dict_inside_a_checkpoint_is_found_in_every_form_of_torch_save(self):
        inside = {
            "epoch": 3,
            "model": self.module.state_dict(),
            "optimizer": torch.optim.Adam(self.module.parameters()).state_dict(),
        }
        self.assertEqual(0, self.run_command(inside)[0])
        self.assertEqual(0, self.run_command(inside, "--key", "model")[0])
        code, _, err = self.run_command(inside, "--key", "modell")
        self.assertEqual(1, code)
        self.assertRegex(err, "--key modell: there is no modell\n$")
        torch.save(inside, self.folder / "old.pt", _use_new_zipfile_serialization=False)
        found = pytorch.load_weights(self.folder / "old.pt").arrays
        for name, values in arrays(self.module).items():
            np.testing.assert_array_equal(values, found[name])

    def test_half_precision_and_tied_weights_are_read(self):
        shared = torch.randn(4, 3)
        torch.save({"a": shared.half(), "b": shared.bfloat16(), "c": shared, "d": shared.t()}, self.folder / "x.pt")
        found = checkpoint.load_torch(self.folder / "x.pt")
        np.testing.assert_array_equal(shared.half().float().numpy(), found["a"])
        np.testing.assert_array_equal(shared.bfloat16().float().numpy(), found["b"])
        np.testing.assert_array_equal(shared.numpy().T, found["d"])
        self.assertTrue(np.shares_memory(found["c"], found["d"]))

    def test_what_is_forgotten_or_missing_is_named(self):
        more = {**self.module.state_dict(), "decoder.extra.weight": torch.zeros(2)}
        code, _, err = self.run_command(more)
        self.assertEqual(1, code)
        self.assertRegex(err, "bentrevett.py does not use the tensor decoder.extra.weight")
        less = {k: v for k, v in self.module.state_dict().items() if k != "encoder.fc.bias"}
        self.assertRegex(self.run_command(less)[2], "tensor encoder.fc.bias is missing\n$")
        other = {**self.module.state_dict(), "encoder.fc.bias": torch.zeros(5)}
        self.assertRegex(self.run_command(other)[2], r"init.first \(linear\): bias is \[5\], expected \[6\]\n$")
        self.assertFalse((self.folder / "mine").exists())

    def test_descriptions_that_are_none_are_named(self):
        bad = self.folder / "bad.py"
        for text, message in (
            ("x = 1", r"has no function describe\(weights, source, target\)"),
            ("def describe(*a): return 3", "describe returned a int, expected a builder.Model"),
        ):
            bad.write_text(text)
            code, _, err = self.run_command(self.module.state_dict(), description=bad)
            self.assertEqual(1, code)
            self.assertRegex(err, message)

    def test_a_description_finds_the_code_beside_it_and_says_what_python_lacks(self):
        description, code = self.folder / "mine.py", self.folder / "beside_mine.py"
        code.write_text((EXAMPLES / "bentrevett.py").read_text())
        description.write_text("from beside_mine import describe, oracle")
        self.addCleanup(sys.path.remove, str(self.folder.resolve()))
        self.assertEqual((0, ""), self.run_command(self.module.state_dict(), description=description)[::2])
        description.write_text("import no_such_module")
        self.addCleanup(sys.path.remove, str(self.folder.resolve()))
        code, _, err = self.run_command(self.module.state_dict(), description=description)
        self.assertEqual(1, code)
        self.assertRegex(err, r"mine.py: imports no_such_module, which \S+ lacks \(activate the virtual environment .*\)\n$")

    def test_a_module_proves_its_own_bundle_without_energies_and_contexts(self):
        made = presets.ROOT / "tests/data/pytorch"
        out, err = io.StringIO(), io.StringIO()
        vocabularies = [f"--source-vocabulary={made}/src.txt", f"--target-vocabulary={made}/tgt.txt"]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            self.addCleanup(torch.set_grad_enabled, True)
            self.addCleanup(sys.path.remove, str(EXAMPLES))
            given = ["pytorch", str(EXAMPLES / "own_module.py"), str(made / "model.pt"), *vocabularies, "--no-verify"]
            languages = ["--source-language", "de", "--target-language", "en"]
            code = cli.main([*given, "--out", str(self.folder / "mine"), "--license", "CC0-1.0", *languages])
        self.assertEqual((0, ""), (code, err.getvalue()))
        proof = json.loads(bundle.read(self.folder / "mine").files["parity.json"])
        self.assertEqual([{"attend", "head", "weights"}], [set(a) for a in proof["cases"][0]["attentions"]])
        self.assertEqual("the oracle of own_module.py, one source at a time", proof["reference"])

    def test_vocabularies_that_are_none_are_named(self):
        for name, text, message in (
            ("a.json", "[1]", "neither a list of strings"),
            ("b.json", '{"a": 1}', "the ids are not 0 to 0"),
            ("c.json", "{", "c.json: "),
            ("d.txt", b"\xff", "is not UTF-8 at byte 0"),
        ):
            path = self.folder / name
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            with self.assertRaisesRegex(checkpoint.CheckpointError, message):
                pytorch.read_vocabulary(path)


class Page(unittest.TestCase):
    def test_the_page_shows_the_examples_as_they_are(self):
        page = (presets.ROOT / "docs/importing/pytorch.md").read_text(encoding="utf-8")
        shown = [block.rstrip() for block in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)]
        for name in ("bentrevett", "own_module"):
            code = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").split('"""\n\n', 1)[1]
            self.assertTrue(any(code.startswith(block) for block in shown), name)

    def test_examples_are_about_thirty_lines(self):
        for name in ("bentrevett", "bastings"):
            body = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
            self.assertTrue(callable(examples.example(name).describe))
            code = [line for line in body.split("def describe")[1].split("def oracle")[0].splitlines() if line.strip()]
            self.assertLess(len(code), 40)


if __name__ == "__main__":
    unittest.main()
