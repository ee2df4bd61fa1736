"""Trains a recipe model on a CPU: Adam, label smoothing, word dropout, an average of the weights, early stopping.

Everything is written to one folder. A run that was stopped, however, goes on from its last checkpoint (one an epoch, and
one every `save_seconds`) and ends in the weights that it would have had in one go. With
`processes > 1` the batch's gradient is averaged over that many processes (torch.distributed, gloo): two cores train
nearly twice as fast that way, where two threads of one process gain nothing, since a step's matrices are small.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import socket
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import Callable, Sequence, Union

import numpy as np
import torch
import torch.distributed as dist

from ..networks import data, models


# Training pairs: the same ones in every epoch, or what makes an epoch's of its number (counted from 1), always the same.
Pairs = Union[Sequence[data.Pair], Callable[[int], Sequence[data.Pair]]]


@dataclass
class TrainOptions:
    """How to train; the defaults are those of the shipped translation model."""

    epochs: int = 16  # upper bound; early stopping may end sooner
    positions: int = 1500  # padded target positions of a batch
    learning_rate: float = 1e-3
    warmup: int = 400  # steps
    decay_from: int = 7  # first epoch (counted from 1) that multiplies the learning rate by `decay`
    decay: float = 0.85
    smoothing: float = 0.1
    word_dropout: float = 0.1
    clip: float = 1.0
    average: float = 0.999  # decay of the running average of the weights, the ones that are validated and exported
    patience: int = 3  # epochs without a better validation loss before stopping
    seed: int = 1
    processes: int = 1
    bf16: bool = False  # products of the decoder in bfloat16 while training; faster where the CPU has it
    save_seconds: int = 300  # between checkpoints inside an epoch


@torch.no_grad()
def validate(model: models.Seq2Seq, pairs: Sequence[data.Pair]) -> float:
    """Mean negative log-likelihood per target position (nats), without smoothing."""
    model.eval()
    total, count = 0.0, 0
    for batch in data.batches(pairs, 3000, None, model.options.source_eos):
        loss, n = model.loss(batch, 0.0)
        total += float(loss)
        count += n
    return total / count


class Average:
    """Exponential moving average of a model's weights, with the usual correction for a short history."""

    def __init__(self, model: models.Seq2Seq, decay: float):
        self.decay = decay
        self.steps = 0
        self.weights = {k: v.detach().clone() for k, v in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: models.Seq2Seq) -> None:
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        names = list(self.weights)
        params = dict(model.named_parameters())
        for n in names:
            self.weights[n].lerp_(params[n].detach(), 1 - keep)


def _all_reduce(model: models.Seq2Seq, scale: float) -> None:
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in grads])
    if dist.is_initialized():
        dist.all_reduce(flat)
    flat *= scale
    offset = 0
    for g in grads:
        g.copy_(flat[offset : offset + g.numel()].view_as(g))
        offset += g.numel()


def _save(path: pathlib.Path, state: dict) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def load(path: pathlib.Path) -> dict:
    """A checkpoint of a work folder."""
    # PyTorch 1.13's safe unpickler knows no Python float; the file is one that this recipe wrote itself.
    return torch.load(path, map_location="cpu", weights_only=not torch.__version__.startswith("1."))


class _Worker:
    """One of the processes that train together: each walks the same batches and takes its share of each one's rows, equal
    lengths, equal work; process 0 keeps files and tells."""

    def __init__(
        self, rank: int, folder: pathlib.Path, model_options: models.ModelOptions, options: TrainOptions, stop_at: int | None
    ):
        self.rank, self.folder, self.options, self.stop_at = rank, folder, options, stop_at
        self.model_options = model_options
        self.model = models.build(model_options)
        self.model.set_bf16(options.bf16)
        self.average = Average(self.model, options.average)
        self.adam = torch.optim.Adam(self.model.parameters(), lr=options.learning_rate, betas=(0.9, 0.98), foreach=True)
        # `at`: batches of the epoch under way that are done; `loss` and `seconds` are of that epoch.
        self.state = {"epoch": 0, "step": 0, "best": math.inf, "stale": 0, "at": 0, "loss": 0.0, "seconds": 0.0}
        self.shows = sys.stdout.isatty()
        self._go_on()

    def run(self, train: Pairs, valid: Sequence[data.Pair]) -> None:
        while self.state["epoch"] < self.options.epochs and self.state["stale"] <= self.options.patience:
            epoch = self.state["epoch"] + 1
            figures = self._epoch(epoch, train(epoch) if callable(train) else train)
            if figures is None:
                return  # stopped
            self._end_epoch(epoch, figures, valid)

    @property
    def _last(self) -> pathlib.Path:
        return self.folder / "last.pt"

    def _go_on(self) -> None:
        if not self._last.exists():
            return
        kept = load(self._last)
        self.model.load_state_dict(kept["model"])
        self.adam.load_state_dict(kept["adam"])
        self.average.weights, self.average.steps = kept["average"], kept["state"]["step"]
        self.state = kept["state"]
        if self.rank == 0:
            print(f"going on after epoch {self.state['epoch']}, {self.state['at']} batches", flush=True)

    def _keep(self) -> None:
        if self.rank == 0:
            weights = {"model": self.model.state_dict(), "adam": self.adam.state_dict(), "average": self.average.weights}
            _save(self._last, {**weights, "state": self.state})

    def _epoch(self, epoch: int, pairs: Sequence[data.Pair]) -> dict | None:
        """The rest of an epoch; its figures, None where it was stopped."""
        o, state = self.options, self.state
        self.model.train()
        todo = list(data.batches(pairs, o.positions, o.seed * 1000 + epoch, self.model_options.source_eos))
        todo = [b for b in todo if len(b.src_len) >= o.processes]
        started = saved = told = time.time()
        before, seen = state["seconds"], 0
        for at, whole in enumerate(todo[state["at"] :], start=state["at"]):
            state["loss"] += self._step(epoch, whole)
            state["step"] += 1
            state["at"] = at + 1
            seen += int(whole.tgt_len.sum())
            now = time.time()
            state["seconds"] = before + now - started
            if state["step"] == self.stop_at:
                self._keep()
                return None
            if now - saved > o.save_seconds:
                saved = now
                self._keep()
            if self.rank == 0 and (self.shows or now - told > 60):
                told = now
                self._tell(epoch, len(todo), seen / (now - started))
        line = {"train_loss": round(state["loss"] / len(todo), 4), "seconds": round(before + time.time() - started)}
        return line | {"tokens_per_s": round(seen / (time.time() - started))}

    def _step(self, epoch: int, whole: data.Batch) -> float:
        """Learns from this process's share of a batch; its loss a target token."""
        o, step = self.options, self.state["step"]
        # All that is random hangs on the step alone, so that a run can be stopped and go on at any.
        seed = (o.seed * 1_000_003 + step) * o.processes + self.rank
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        part = whole.rows(self.rank, o.processes)
        batch = replace(
            part,
            src=data.word_dropout(part.src, o.word_dropout, rng),
            tgt_in=data.word_dropout(part.tgt_in, o.word_dropout, rng),
        )
        rate = o.learning_rate * min(1.0, (step + 1) / o.warmup)
        self.adam.param_groups[0]["lr"] = rate * o.decay ** max(0, epoch - o.decay_from + 1)
        self.adam.zero_grad(set_to_none=True)
        loss, count = self.model.loss(batch, o.smoothing)
        loss.backward()
        self.model.flush()
        _all_reduce(self.model, 1.0 / int(whole.tgt_len.sum()))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), o.clip)
        self.adam.step()
        self.average.update(self.model)
        return float(loss.detach()) / count

    def _tell(self, epoch: int, batches: int, speed: float) -> None:
        state, at = self.state, self.state["at"]
        line = (
            f"epoch {epoch} {100 * at / batches:5.1f} %  loss {state['loss'] / at:.3f}"
            f"  {speed:,.0f} tokens/s"
            f"  {state['seconds'] * (batches - at) / at:.0f} s to go"
        )
        print(line, end="\r" if self.shows else "\n", flush=True)

    def _end_epoch(self, epoch: int, figures: dict, valid: Sequence[data.Pair]) -> None:
        # Every process validates the same averaged weights, so that all take the same decision.
        model, state = self.model, self.state
        current = {k: v.detach().clone() for k, v in model.named_parameters()}
        model.load_state_dict({**model.state_dict(), **self.average.weights})
        nll = validate(model, valid)
        better = nll < state["best"]
        state |= {"epoch": epoch, "best": min(nll, state["best"]), "stale": 0 if better else state["stale"] + 1}
        state |= {"at": 0, "loss": 0.0, "seconds": 0.0}
        if self.rank == 0 and better:
            best = {"model": model.state_dict(), "options": self.model_options.to_dict(), "nll": nll}
            _save(self.folder / "best.pt", best)
        model.load_state_dict({**model.state_dict(), **current})
        self._keep()
        if self.rank == 0:
            line = {"epoch": epoch, "valid_nll": round(nll, 4), "valid_ppl": round(math.exp(nll), 3), **figures}
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            print(line, flush=True)


def _worker(
    rank: int,
    folder: pathlib.Path,
    model_options: models.ModelOptions,
    options: TrainOptions,
    train: Pairs,
    valid: Sequence[data.Pair],
    port: int,
    stop_at: int | None,
) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(options.seed)  # of the first weights
    if options.processes > 1:
        address = f"tcp://127.0.0.1:{port}"
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=options.processes)
    _Worker(rank, folder, model_options, options, stop_at).run(train, valid)
    if dist.is_initialized():
        dist.destroy_process_group()


def train(
    folder: pathlib.Path,
    model_options: models.ModelOptions,
    options: TrainOptions,
    train_pairs: Pairs,
    valid_pairs: Sequence[data.Pair],
    stop_at: int | None = None,
) -> pathlib.Path:
    """Trains (or goes on training) in `folder` and returns the path of the best weights, `best.pt`.

    `stop_at`: after this step in all, write a checkpoint and return.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "options.json").write_text(
        json.dumps({"model": model_options.to_dict(), "train": asdict(options)}, indent=1) + "\n", encoding="utf-8"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (folder, model_options, options, train_pairs, valid_pairs, port, stop_at)
    if options.processes == 1:
        _worker(0, *arguments)
    else:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        torch.multiprocessing.spawn(_worker, arguments, nprocs=options.processes)
    return folder / "best.pt"
