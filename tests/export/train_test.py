#!/usr/bin/python3
import contextlib
import io
import json
import pathlib
import random
import tempfile
import unittest
from dataclasses import replace

import torch

import support  # noqa: F401  (sets the import path)
from heed_export.networks import data, models
from heed_export.training import train

MODEL = models.ModelOptions(
    "luong-lstm", src_pieces=12, tgt_pieces=12, embedding=6, encoder_hidden=4, encoder_layers=1, decoder_hidden=8
)
OPTIONS = train.TrainOptions(epochs=3, positions=60, warmup=5, decay_from=2, word_dropout=0.2, average=0.9)


def pairs(count: int, seed: int) -> list[data.Pair]:
    """The target is the source, reversed."""
    rng = random.Random(seed)
    sources = [[rng.randrange(3, 12) for _ in range(rng.randrange(1, 7))] for _ in range(count)]
    return [data.Pair(s, s[::-1]) for s in sources]


def run(
    folder: pathlib.Path,
    options: train.TrainOptions,
    model: models.ModelOptions = MODEL,
    stop_at: int | None = None,
    of: train.Pairs = pairs(80, 1),
) -> list[dict]:
    with contextlib.redirect_stdout(io.StringIO()):
        train.train(folder, model, options, of, pairs(20, 2), stop_at)
    if stop_at is not None:
        return []
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in entry.items() if k not in ("seconds", "tokens_per_s")} for entry in log]


class Train(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def test_a_run_that_was_stopped_goes_on_to_the_same_result(self):
        gru = models.ModelOptions("bahdanau-gru", 12, 12, 6, 4, 1, 8, attention=5, joint=True)
        for name, model in (("lstm", MODEL), ("gru", gru)):
            whole, parts = self.folder / f"{name}-whole", self.folder / f"{name}-parts"
            log = run(whole, OPTIONS, model)
            for epochs in (1, 2, 3):
                resumed = run(parts, replace(OPTIONS, epochs=epochs), model)
            self.assertEqual(log, resumed)
            for file in ("best.pt", "last.pt"):
                a, b = (train.load(f / file)["model"] for f in (whole, parts))
                self.assertEqual(set(a), set(b))
                for key in a:
                    self.assertTrue(torch.equal(a[key], b[key]), f"{name} {file} {key}")

    def test_a_run_stopped_inside_an_epoch_goes_on_to_the_same_result(self):
        def other_ones(epoch: int) -> list[data.Pair]:
            return pairs(60 + epoch, epoch)

        whole, parts = self.folder / "whole", self.folder / "parts"
        log = run(whole, OPTIONS, of=other_ones)
        steps = train.load(whole / "last.pt")["state"]["step"]
        self.assertGreater(steps, 12)
        for stop_at in (2, 3, 7, steps - 1):
            run(parts, OPTIONS, stop_at=stop_at, of=other_ones)
            self.assertEqual(stop_at, train.load(parts / "last.pt")["state"]["step"])
        self.assertEqual(log, run(parts, OPTIONS, of=other_ones))
        for file in ("best.pt", "last.pt"):
            a, b = (train.load(f / file)["model"] for f in (whole, parts))
            self.assertTrue(all(torch.equal(a[key], b[key]) for key in a), file)

    def test_training_lowers_the_validation_loss(self):
        log = run(self.folder, replace(OPTIONS, epochs=8, learning_rate=1e-2))
        self.assertLess(log[-1]["valid_nll"], log[0]["valid_nll"] - 0.2)

    def test_it_stops_when_validation_stops_getting_better_and_keeps_the_best(self):
        log = run(self.folder, replace(OPTIONS, epochs=40, learning_rate=0.3, patience=1, average=0.0))
        losses = [entry["valid_nll"] for entry in log]
        self.assertLess(len(losses), 40)
        self.assertGreater(min(losses[-2:]), min(losses), "the last two epochs were no better")
        best = train.load(self.folder / "best.pt")
        self.assertAlmostEqual(min(losses), best["nll"], places=3)

    def test_two_processes_train_what_one_does(self):
        still = replace(MODEL, dropout=0.0)  # dropout would differ, since each process draws its own
        options = replace(OPTIONS, epochs=1, word_dropout=0.0)
        log = [run(self.folder / str(n), replace(options, processes=n), still)[-1] for n in (1, 2)]
        self.assertAlmostEqual(log[0]["valid_nll"], log[1]["valid_nll"], places=3)
        one, two = (train.load(self.folder / str(n) / "best.pt")["model"] for n in (1, 2))
        for key in one:
            torch.testing.assert_close(one[key], two[key], rtol=0, atol=1e-4)


class Step(unittest.TestCase):
    def test_deferred_weight_gradients_equal_autograds(self):
        for arch, options in support.ARCHITECTURES.items():
            model = support.tiny_model(arch).train()
            for module in model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            pairs = [data.Pair([3, 4, 5], [6, 7]), data.Pair([8], [9, 10, 11])]
            if options.unit == "words" and options.copy:
                pairs = [data.Pair([3, 0, 0], [0, 7], [3, 21, 22], [22, 7]), data.Pair([8], [9, 8], [8], [9, 8])]
            elif options.copy:
                pairs = [replace(p, src_copy=p.src, tgt_copy=p.tgt) for p in pairs]
            batch = data.make_batch(pairs, options.source_eos)
            loss, _ = model.loss(batch, 0.1)
            loss.backward()
            model.flush()
            names = ("cell_h.weight", "cell.weight", "decoder_layers.1.recurrence.weight")
            name, parameter = next((n, p) for n, p in model.named_parameters() if n in names)
            at, shift = (2, 1), 1e-2
            with torch.no_grad():
                sides = []
                for sign in (1, -1):
                    parameter[at] += sign * shift
                    sides.append(float(model.loss(batch, 0.1)[0].detach()))
                    parameter[at] -= sign * shift
            slope = (sides[0] - sides[1]) / (2 * shift)
            self.assertAlmostEqual(slope, float(parameter.grad[at].detach()), places=2, msg=f"{arch} {name}")


if __name__ == "__main__":
    unittest.main()
