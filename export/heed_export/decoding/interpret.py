"""Runs the programs that the recipe emits, op by op, on PyTorch tensors: what `decode` decodes every architecture with
that it has no hand-written decoder for. Float32; rows are padded per batch.

It knows the ops, and of each the fields, that `programs.py` writes.

Shapes: B rows, S source positions, N heads, V pieces.
"""

from __future__ import annotations

from typing import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bundle import bundle
from ..model import int8
from ..networks import recurrent, student
from .rows import Rows, Step, padded

_FUNCTIONS = {"FUNCTION_TANH": torch.tanh, "FUNCTION_SIGMOID": torch.sigmoid, "FUNCTION_RELU": torch.relu}
_KINDS = {"embed", "position", "concat", "add", "linear", "layer_norm", "rnn", "self_attend"}
_KINDS |= {"cell", "attend", "output", "copy"}


class Model:
    """A bundle's programs. Raises ValueError for an op that no recipe has.

    The weights and energies that a step gives are those of the program's last attend, head 0: Marian's alignment. With
    `copies` (each source's extended ids, see words.Words.extended) a model that copies gives the log-probabilities of
    the vocabulary and of the batch's extended ids as logits; an extended id is fed back as the unknown piece.
    """

    def __init__(self, source: bundle.Bundle):
        self.spec = source.spec
        programs = [self.spec[part]["ops"] for part in ("encoder", "init", "step")]
        for op in (op for ops in programs for op in ops):
            if self._kind(op) not in _KINDS:
                raise ValueError(f"no PyTorch for op {op['name']}: {self._kind(op)}")
        self._encoder, self._init, self._ops = programs
        self.eos = self.spec["target"]["eos_id"]
        self._unk = self.spec["target"]["unk_id"]
        self._size = self.spec["target"]["size"]
        self.start_id = self.spec["step"].get("start_id", self.eos)
        self._start_zero = self.spec["step"].get("start_zero", False)
        self.t = {name: torch.from_numpy(int8.floats(values).copy()) for name, values in source.tensors.items()}
        self._attends = [op["name"] for op in self._ops if "attend" in op]
        self._copies = any("copy" in op for op in self._ops)
        self._initials = self.spec["init"]["initials"]
        self._sinusoids = student.sinusoids(1024, 4)

    @staticmethod
    def _kind(op: dict) -> str:
        return next(k for k in op if k != "name")

    def max_length(self, source_length: int) -> int:
        """Most target tokens for a source of this many, specials included."""
        search = self.spec["search"]
        return int(search["max_length_a"] * source_length + search["max_length_b"])

    def encode(self, sources: Sequence[Sequence[int]], copies: Sequence[Sequence[int]] | None = None) -> Rows:
        """Encodes sources (ids, specials included), which must stand in descending order of length."""
        ids, lengths = padded(sources, self.eos)
        values = {"": ids, ".mask": recurrent.length_mask(lengths, ids.shape[1]), ".lengths": lengths}
        for op in self._encoder:
            self._run(op, values)
        fixed = {name: values[name] for name in self.spec["encoder"]["outputs"]} | {".mask": values[".mask"]}
        for op in self._ops:
            if "attend" in op:
                fixed |= self._prepare(op["name"], op["attend"], fixed)
        if self._copies:
            if copies is None:
                raise ValueError("a model that copies needs the sources' extended ids")
            fixed[".copies"], _ = padded(copies, self.eos)
        first = dict(fixed)
        for op in self._init:
            self._run(op, first)
        sizes = self._state_sizes()
        state = [torch.zeros(len(sources), dtype=torch.int64)]
        for initial in self._initials:
            zero = torch.zeros(len(sources), sizes[initial["name"]])
            state.append(first[initial["from"]] if "from" in initial else zero)
        return Rows(fixed, tuple(state))

    def _state_sizes(self) -> dict[str, int]:
        """The sizes of everything a primed name may name, read from the tensors of the op that makes it."""
        sizes = {}
        for op in self._ops:
            kind, name = self._kind(op), op["name"]
            if kind == "cell":
                blocks = {"CELL_KIND_LSTM": 4, "CELL_KIND_GRU": 3, "CELL_KIND_SSRU": 2}[op["cell"]["cell"]["kind"]]
                size = self.t[op["cell"]["cell"]["weight_input"]].shape[0] // blocks
                sizes |= {name: size, f"{name}.h": size, f"{name}.c": size}
            elif kind == "linear":
                sizes[name] = self.t[op["linear"]["weight"]].shape[0]
            elif kind == "attend":
                made = op["attend"].get("value_weight") or op["attend"]["key_weight"]
                sizes[name] = self.t[made].shape[0 if "value_weight" in op["attend"] else 1]
        return sizes

    def step(self, ids: Tensor, rows: Rows) -> Step:
        """One target position: reads the previous ids [B], updates the rows' state."""
        position, *state = rows.state
        fed = torch.where(ids < self._size, ids, self._unk)
        values = {**rows.fixed, "": fed, ".position": position}
        values |= {f"{i['name']}'": v for i, v in zip(self._initials, state)}
        for op in self._ops:
            self._run(op, values)
        rows.state = (position + 1, *(values[i["name"]] for i in self._initials))
        found = self._attends[-1] if self._attends else None
        matrices = [values[f"{found}.{part}"][:, 0] if found else None for part in ("energies", "weights")]
        return Step(values[self.spec["step"]["output"]], *matrices)

    def _run(self, op: dict, values: dict[str, Tensor]) -> None:
        kind, name = self._kind(op), op["name"]
        getattr(self, f"_{kind}")(name, op[kind], values)

    def _embed(self, name, spec, values):
        values[name] = F.embedding(values[""], self.t[spec["table"]]) * spec.get("scale", 1)
        if self._start_zero and ".position" in values:
            values[name] = values[name] * (values[".position"] > 0)[:, None]

    def _position(self, name, spec, values):
        x = values[spec["input"]]
        if self._sinusoids.shape[1] != x.shape[-1]:
            self._sinusoids = student.sinusoids(1024, x.shape[-1])
        where = values.get(".position")
        values[name] = x + (self._sinusoids[: x.shape[1]] if where is None else self._sinusoids[where])

    def _concat(self, name, spec, values):
        values[name] = torch.cat([values[n] for n in spec["inputs"]], -1)

    def _add(self, name, spec, values):
        values[name] = sum(values[n] for n in spec["inputs"])

    def _linear(self, name, spec, values):
        x = torch.cat([values[n] for n in spec["inputs"]], -1)
        y = F.linear(x, self.t[spec["weight"]], self.t.get(spec.get("bias")))
        values[name] = _FUNCTIONS[spec["function"]](y) if "function" in spec else y

    _output = _linear

    def _layer_norm(self, name, spec, values):
        x = values[spec["input"]]
        values[name] = F.layer_norm(x, x.shape[-1:], self.t[spec["scale"]], self.t[spec["bias"]], spec["epsilon"])

    def _self_attend(self, name, spec, values):
        x, heads = values[spec["input"]], spec.get("heads", 1)
        names = ("query", "key", "value")
        projected = (F.linear(x, self.t[spec[f"{n}_weight"]], self.t[spec[f"{n}_bias"]]) for n in names)
        q, k, v = (y.unflatten(-1, (heads, -1)).transpose(1, 2) for y in projected)
        energies = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5 + values[".mask"][:, None, None]
        context = (torch.softmax(energies, -1) @ v).transpose(1, 2).flatten(2)
        values[name] = F.linear(context, self.t[spec["output_weight"]], self.t[spec["output_bias"]])

    def _cell_biases(self, cell: dict) -> tuple[Tensor, Tensor]:
        """PyTorch's cells take two biases, the input's and the state's."""
        first = self.t[cell["bias_input"]]
        return first, self.t[cell["bias_state"]] if "bias_state" in cell else torch.zeros_like(first)

    def _rnn(self, name, spec, values):
        x, lengths, cell = values[spec["input"]], values[".lengths"], spec["cell"]
        weights = [self.t[cell["weight_input"]], self.t[cell["weight_state"]], *self._cell_biases(cell)]
        module = {"CELL_KIND_LSTM": nn.LSTM, "CELL_KIND_GRU": nn.GRU}[cell["kind"]](
            x.shape[-1], weights[1].shape[1], batch_first=True
        )
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        module.load_state_dict(dict(zip(names, weights)))
        backward = spec["direction"] == "DIRECTION_BACKWARD"
        x = recurrent.reverse_rows(x, lengths) if backward else x
        out, final = module(nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))
        out, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
        values[name] = recurrent.reverse_rows(out, lengths) if backward else out
        h, c = final if isinstance(final, tuple) else (final, final)
        values[f"{name}.h"], values[f"{name}.c"] = h[0], c[0]

    def _cell(self, name, spec, values):
        cell = spec["cell"]
        x = torch.cat([values[n] for n in spec["inputs"]], 1)
        weight = self.t[cell["weight_input"]]
        if cell["kind"] == "CELL_KIND_SSRU":
            gate, value = F.linear(x, weight, self.t[cell["bias_input"]]).chunk(2, 1)
            gate = torch.sigmoid(gate)
            c = gate * values[f"{name}.c'"] + (1 - gate) * value
            values[name], values[f"{name}.c"] = torch.relu(c), c
            return
        rest = (weight, self.t[cell["weight_state"]], *self._cell_biases(cell))
        if cell["kind"] == "CELL_KIND_GRU":
            values[name] = torch.gru_cell(x, values[f"{name}'"], *rest)
            return
        values[name], values[f"{name}.c"] = torch.lstm_cell(x, (values[f"{name}'"], values[f"{name}.c'"]), *rest)

    def _prepare(self, name: str, spec: dict, fixed: dict[str, Tensor]) -> dict[str, Tensor]:
        """An attend's keys and values: [B, N, S, n] for dot, [B, S, A] for additive scores."""
        memory = fixed[spec["memory"]]
        keys = F.linear(memory, self.t[spec["key_weight"]], self.t.get(spec.get("key_bias")))
        made = memory
        if "value_weight" in spec:
            made = F.linear(memory, self.t[spec["value_weight"]], self.t.get(spec.get("value_bias")))
        heads = spec.get("heads", 1)
        if spec["score"] != "SCORE_ADDITIVE":
            keys = keys.unflatten(-1, (heads, -1)).transpose(1, 2).contiguous()
        return {f"{name}.keys": keys, f"{name}.values": made.unflatten(-1, (heads, -1)).transpose(1, 2).contiguous()}

    def _attend(self, name, spec, values):
        query = torch.cat([values[n] for n in spec["query"]], 1)
        if "query_weight" in spec:
            query = F.linear(query, self.t[spec["query_weight"]], self.t.get(spec.get("query_bias")))
        keys, mask = values[f"{name}.keys"], values[".mask"][:, None]
        if spec["score"] == "SCORE_ADDITIVE":
            energies = (torch.tanh(keys + query[:, None]) @ self.t[spec["v"]])[:, None] + mask
        else:
            query = query.unflatten(-1, (spec.get("heads", 1), -1))
            energies = (keys @ query[..., None])[..., 0] * spec.get("scale", 1) + mask
        weights = torch.softmax(energies, -1)
        values[name] = (weights[:, :, None] @ values[f"{name}.values"]).flatten(1)
        values[f"{name}.weights"], values[f"{name}.energies"] = weights, energies

    def _copy(self, name, spec, values):
        """Log-probabilities over the vocabulary and the batch's extended ids."""
        copies, gate = values[".copies"], values[spec["gate"]]
        made = torch.softmax(values[spec["generate"]], 1)
        size = max(made.shape[1], int(copies.max()) + 1)
        p = F.pad(gate * made, (0, size - made.shape[1]))
        weights = values[spec["attention"]][:, 0]
        values[name] = p.scatter_add(1, copies, (1 - gate) * weights).clamp_min(1e-30).log()
