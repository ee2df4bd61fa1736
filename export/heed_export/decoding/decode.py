"""Greedy and beam decoding in PyTorch from a bundle's stored weights: the oracle that heed is compared with, and the
PyTorch side of its speed benchmark.

It reads the tensors of the recipe's two architectures, not the training modules, and uses PyTorch's own fused cells:
what someone who serves such a model with PyTorch would write. Float32 throughout; rows are padded per batch.

Shapes: B rows (beam: B texts of K rows each), S source positions, H state, V pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bundle import bundle
from ..model import int8
from . import interpret
from .rows import Rows, Step, padded


@dataclass
class Decoded:
    """One hypothesis. `tokens` ends with </s> where it was emitted; the rest has one entry (row) per token."""

    tokens: list[int]
    log_probabilities: list[float] = field(default_factory=list)
    weights: np.ndarray | None = None  # [T, S]
    energies: np.ndarray | None = None  # [T, S]
    score: float = 0.0  # beam: log-probability / length^alpha

    @property
    def log_probability(self) -> float:
        return float(sum(self.log_probabilities))


class Model:
    """A bundle of one of the shipped architectures, as PyTorch tensors. Raises ValueError for any other program."""

    def __init__(self, source: bundle.Bundle):
        kinds = [next(k for k in op if k != "name") for op in source.spec["step"]["ops"]]
        layouts = {
            ("embed", "cell", "attend", "linear", "linear", "output"): (nn.LSTM, self._lstm_start, self._lstm_step),
            ("embed", "attend", "cell", "linear", "output"): (nn.GRU, self._gru_start, self._gru_step),
        }
        if tuple(kinds) not in layouts:
            raise ValueError(f"no PyTorch decoder for a step program of {kinds}")
        cell, self._start, self._step = layouts[tuple(kinds)]
        self.spec = source.spec
        self.eos = source.spec["target"]["eos_id"]
        self.start_id = source.spec["step"]["start_id"]
        self.t = {name: torch.from_numpy(int8.floats(values).copy()) for name, values in source.tensors.items()}
        self.target = self.t[source.spec["step"]["ops"][0]["embed"]["table"]]
        self.source = self.t[source.spec["encoder"]["ops"][0]["embed"]["table"]]
        self.encoder = self._make_encoder(cell)
        self._biases = self._cell_biases("decoder")

    def _cell_biases(self, prefix: str) -> tuple[Tensor, Tensor]:
        """PyTorch's cells take two biases, the input's and the state's; an LSTM is stored with their sum."""
        if f"{prefix}.bias" in self.t:
            return self.t[f"{prefix}.bias"], torch.zeros_like(self.t[f"{prefix}.bias"])
        return self.t[f"{prefix}.bias_input"], self.t[f"{prefix}.bias_state"]

    def _make_encoder(self, cell: type[nn.Module]) -> nn.Module:
        layers = max(int(name.split(".")[1]) for name in self.t if name.startswith("encoder."))
        hidden = self.t["encoder.1.forward.weight_state"].shape[1]
        rnn = cell(self.source.shape[1], hidden, layers, batch_first=True, bidirectional=True)
        values = {}
        for layer in range(1, layers + 1):
            for way, suffix in (("forward", ""), ("backward", "_reverse")):
                prefix, torch_name = f"encoder.{layer}.{way}", f"l{layer - 1}{suffix}"
                values[f"weight_ih_{torch_name}"] = self.t[f"{prefix}.weight_input"]
                values[f"weight_hh_{torch_name}"] = self.t[f"{prefix}.weight_state"]
                values[f"bias_ih_{torch_name}"], values[f"bias_hh_{torch_name}"] = self._cell_biases(prefix)
        rnn.load_state_dict(values)
        return rnn.eval()

    def max_length(self, source_length: int) -> int:
        """Most target tokens for a source of this many, specials included."""
        search = self.spec["search"]
        return int(search["max_length_a"] * source_length + search["max_length_b"])

    def encode(self, sources: Sequence[Sequence[int]]) -> Rows:
        """Encodes sources (ids, specials included), which must stand in descending order of length."""
        ids, lengths = padded(sources, self.eos)
        packed = nn.utils.rnn.pack_padded_sequence(F.embedding(ids, self.source), lengths, batch_first=True)
        out, final = self.encoder(packed)
        memory, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
        final_h = final[0] if isinstance(final, tuple) else final
        mask = torch.zeros(ids.shape).masked_fill_(torch.arange(ids.shape[1]) >= lengths[:, None], float("-inf"))
        return self._start(memory, torch.cat([final_h[-2], final_h[-1]], 1), mask)

    def step(self, ids: Tensor, rows: Rows) -> Step:
        """One target position: reads the previous ids [B], updates the rows' state."""
        return self._step(F.embedding(ids, self.target), rows)

    def _lstm_start(self, memory: Tensor, final: Tensor, mask: Tensor) -> Rows:
        keys = F.linear(memory, self.t["attention.key.weight"])
        first_c = F.linear(final, self.t["bridge.weight"], self.t["bridge.bias"])
        return Rows({"memory": memory, "keys": keys, "mask": mask}, (final, first_c, torch.zeros_like(final)))

    def _lstm_step(self, e: Tensor, rows: Rows) -> Step:
        t, (h, c, attended) = self.t, rows.state
        x = torch.cat([e, attended], 1)
        h, c = torch.lstm_cell(x, (h, c), t["decoder.weight_input"], t["decoder.weight_state"], *self._biases)
        energies = torch.baddbmm(rows.fixed["mask"][:, :, None], rows.fixed["keys"], h[:, :, None])[:, :, 0]
        weights = torch.softmax(energies, 1)
        context = torch.bmm(weights[:, None], rows.fixed["memory"])[:, 0]
        attended = torch.tanh(F.linear(torch.cat([context, h], 1), t["attended.weight"]))
        rows.state = (h, c, attended)
        readout = F.linear(attended, t["readout.weight"], t["readout.bias"])
        return Step(F.linear(readout, self.target, t["output.bias"]), energies, weights)

    def _gru_start(self, memory: Tensor, final: Tensor, mask: Tensor) -> Rows:
        keys = F.linear(memory, self.t["attention.key.weight"], self.t["attention.key.bias"])
        h = torch.tanh(F.linear(final, self.t["bridge.weight"], self.t["bridge.bias"]))
        return Rows({"memory": memory, "keys": keys, "mask": mask}, (h,))

    def _gru_step(self, e: Tensor, rows: Rows) -> Step:
        t, (h,) = self.t, rows.state
        query = F.linear(h, t["attention.query.weight"])
        energies = torch.tanh(rows.fixed["keys"] + query[:, None]) @ t["attention.v"] + rows.fixed["mask"]
        weights = torch.softmax(energies, 1)
        context = torch.bmm(weights[:, None], rows.fixed["memory"])[:, 0]
        x = torch.cat([e, context], 1)
        h = torch.gru_cell(x, h, t["decoder.weight_input"], t["decoder.weight_state"], *self._biases)
        rows.state = (h,)
        readout = F.linear(torch.cat([h, context, e], 1), t["readout.weight"], t["readout.bias"])
        return Step(F.linear(readout, self.target, t["output.bias"]), energies, weights)


def load(source: bundle.Bundle) -> Model | interpret.Model:
    """What decodes a bundle of any of the recipe's architectures."""
    try:
        return Model(source)
    except ValueError:
        return interpret.Model(source)


def by_length(sources: Sequence[Sequence[int]], batch: int) -> Iterator[list[int]]:
    """Indices of the sources in batches of equal or similar lengths, longest first."""
    order = sorted(range(len(sources)), key=lambda i: -len(sources[i]))
    for first in range(0, len(order), batch):
        yield order[first : first + batch]


@torch.inference_mode()
def greedy(
    model: Model,
    sources: Sequence[Sequence[int]],
    batch: int = 64,
    scores: bool = True,
    attention: bool = False,
    drop: bool = True,
    copies: Sequence[Sequence[int]] | None = None,
) -> list[Decoded]:
    """Greedy hypotheses of the sources, in their order. `scores` adds log-probabilities, `attention` both matrices.

    `copies`: the sources' extended ids, for a model that copies; its tokens may be such ids.
    `drop`: finished rows leave the batch once they are a quarter of it; else all compute until the last has ended.
    """
    results: list[Decoded | None] = [None] * len(sources)
    for group in by_length(sources, batch):
        rows = _encoded(model, sources, copies, group)
        for i, decoded in zip(group, _greedy_batch(model, rows, [sources[i] for i in group], scores, attention, drop)):
            results[i] = decoded
    return results  # type: ignore[return-value]


def _encoded(
    model: Model, sources: Sequence[Sequence[int]], copies: Sequence[Sequence[int]] | None, group: list[int]
) -> Rows:
    texts = [sources[i] for i in group]
    return model.encode(texts) if copies is None else model.encode(texts, [copies[i] for i in group])


def _greedy_batch(
    model: Model, rows: Rows, sources: list[Sequence[int]], scores: bool, attention: bool, drop: bool
) -> list[Decoded]:
    limits = torch.tensor([model.max_length(len(s)) for s in sources])
    live = torch.arange(len(sources))
    ids = torch.full((len(sources),), model.start_id)
    done = torch.zeros(len(sources), dtype=torch.bool)
    trace: list[tuple[Tensor, ...]] = []  # per step: rows, ids, and what was asked for
    length = 0
    while len(live):
        step = model.step(ids, rows)
        length += 1
        if scores:
            best, ids = step.logits.max(1)
            record = (live, ids, best - step.logits.logsumexp(1))
        else:
            ids = step.logits.argmax(1)
            record = (live, ids)
        kept = attention and step.weights is not None
        trace.append(record + ((step.weights, step.energies) if kept else ()))
        done = done | (ids == model.eos) | (length >= limits)
        finished = int(done.sum())
        if finished == len(live):
            break
        if drop and 4 * finished >= len(live):
            keep = (~done).nonzero()[:, 0]
            live, ids, limits, done = (x.index_select(0, keep) for x in (live, ids, limits, done))
            rows = rows.take(keep)
    return _collect(model, sources, trace, scores, attention)


def _collect(
    model: Model, sources: list[Sequence[int]], trace: list[tuple[Tensor, ...]], scores: bool, attention: bool
) -> list[Decoded]:
    """Cuts the steps' records into one hypothesis per row; a row's records end with its </s> or its limit."""
    out = [Decoded([]) for _ in sources]
    matrices: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in sources]
    limits = [model.max_length(len(s)) for s in sources]
    ended = [False] * len(sources)
    for record in trace:
        columns = [x.tolist() for x in record[: 3 if scores else 2]]
        for at, values in enumerate(zip(*columns)):
            row, token = values[0], values[1]
            if ended[row]:
                continue
            out[row].tokens.append(token)
            if scores:
                out[row].log_probabilities.append(values[2])
            if len(record) > len(columns):
                size = len(sources[row])
                matrices[row].append(tuple(x[at, :size].numpy() for x in record[-2:]))
            ended[row] = token == model.eos or len(out[row].tokens) >= limits[row]
    if attention and matrices[0]:
        for row, decoded in enumerate(out):
            decoded.weights = np.stack([m[0] for m in matrices[row]])
            decoded.energies = np.stack([m[1] for m in matrices[row]])
    return out


@torch.inference_mode()
def beam(
    model: Model,
    sources: Sequence[Sequence[int]],
    beam_size: int = 5,
    alpha: float = 1.0,
    batch: int = 16,
    copies: Sequence[Sequence[int]] | None = None,
) -> list[list[Decoded]]:
    """N-best lists, best first, in the sources' order: tokens, their log-probabilities, log-probability / length^alpha.

    A step keeps the beam_size best continuations of a text; those that end in </s> leave the beam for the list. A text
    is done with beam_size of them, or at its greatest length, where what is still in the beam is listed as it stands.
    """
    results: list[list[Decoded]] = [[] for _ in sources]
    for group in by_length(sources, batch):
        encoded = _encoded(model, sources, copies, group)
        for i, found in zip(group, _beam_batch(model, encoded, [sources[i] for i in group], beam_size, alpha)):
            results[i] = found
    return results


def _beam_batch(
    model: Model, encoded: Rows, sources: list[Sequence[int]], k: int, alpha: float
) -> list[list[Decoded]]:
    rows = encoded.take(torch.arange(len(sources)).repeat_interleave(k))
    totals = torch.full((len(sources), k), float("-inf"))
    totals[:, 0] = 0.0  # at first a text's rows are copies: one of them speaks
    ids = torch.full((len(sources) * k,), model.start_id)
    live: list[list[Decoded]] = [[Decoded([]) for _ in range(k)] for _ in sources]
    found: list[list[Decoded]] = [[] for _ in sources]
    limits = [model.max_length(len(s)) for s in sources]
    texts = list(range(len(sources)))  # which text each group of k rows belongs to

    def finish(text: int, hypothesis: Decoded) -> None:
        hypothesis.score = hypothesis.log_probability / len(hypothesis.tokens) ** alpha
        found[text].append(hypothesis)

    length = 0
    while texts:
        length += 1
        log_p = torch.log_softmax(model.step(ids, rows).logits, 1)
        size = log_p.shape[1]
        sums, flat = (totals.view(-1, 1) + log_p).view(len(texts), -1).topk(2 * k, 1)
        gains = log_p.view(len(texts), -1).gather(1, flat).tolist()
        keep_rows, keep_ids, keep_totals, keep_texts = [], [], [], []
        for at, text in enumerate(texts):
            survivors = []
            for rank, (total, where, gain) in enumerate(zip(sums[at].tolist(), flat[at].tolist(), gains[at])):
                parent, token = divmod(where, size)
                before = live[text][parent]
                if token == model.eos:
                    if rank < k:
                        finish(text, Decoded(before.tokens + [token], before.log_probabilities + [gain]))
                elif len(survivors) < k:
                    after = Decoded(before.tokens + [token], before.log_probabilities + [gain])
                    survivors.append((at * k + parent, token, total, after))
            live[text] = [s[3] for s in survivors]
            if len(found[text]) >= k:
                continue
            if length >= limits[text]:
                for hypothesis in live[text][: k - len(found[text])]:
                    finish(text, hypothesis)
                continue
            keep_texts.append(text)
            keep_rows += [s[0] for s in survivors]
            keep_ids += [s[1] for s in survivors]
            keep_totals.append([s[2] for s in survivors])
        if not keep_texts:
            break
        # Beams of one text share their source, so it moves only when a text is done.
        rows = rows.take(torch.tensor(keep_rows), fixed=len(keep_texts) != len(texts))
        texts, ids, totals = keep_texts, torch.tensor(keep_ids), torch.tensor(keep_totals)
    return [sorted(f, key=lambda d: -d.score)[:k] for f in found]
