"""Values of a program being described, its tensors, and the checks that every op shares: the builder's lower half.

Thread rule: as builder.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Iterable, Sequence

import numpy as np

from .int8 import Int8, floats
from .layers import BLOCKS, Cell, Norm
from .vocabulary import Vocabulary

ZERO = "zero"  # a first value, or the first target embedding: zeros
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_FUNCTIONS = ("identity", "tanh", "sigmoid", "relu", "hard_sigmoid", "hard_sigmoid_sixth")
_TORCH = {"hardsigmoid": "hard_sigmoid_sixth"}  # torch.nn.functional's names, where they are others
Array = "np.ndarray | Int8"


class BuildError(ValueError):
    """A model that cannot be: "step.state (cell): weight_input is [4,8], expected [16,8]"."""


@dataclass
class Value:
    """What an op made, or (`primed`) what it made one step ago. `kind`: vector, sequence, positions (one float per
    source position and head) or distribution; `size` its n. `parts` holds h and c of a recurrence, weights and energies
    of an attention; `finals` the last h of a recurrent layer, one a direction, forward first;
    `finals_c` the last c."""

    program: Checked = field(repr=False)
    name: str
    kind: str
    size: int
    primed: bool = False
    parts: dict[str, Value] = field(default_factory=dict, repr=False)
    finals: list[Value] = field(default_factory=list, repr=False)
    finals_c: list[Value] = field(default_factory=list, repr=False)

    @property
    def reference(self) -> str:
        return self.name + ("'" if self.primed else "")

    def __getattr__(self, part: str) -> Value:
        if part in ("h", "c", "weights", "energies"):
            if part in self.parts:
                return self.parts[part]
            if part == "h" and "c" in self.parts:
                return self
            raise BuildError(f"{self.program.kind}.{self.name} has no part {part}")
        raise AttributeError(part)


Inputs = "Value | Sequence[Value]"


class Tensors:
    """Arrays by name; float32 and finite, or int8; each stored once."""

    def __init__(self) -> None:
        self.by_name: dict[str, Array] = {}
        self._given: dict[tuple, str] = {}
        self._matrices: dict[tuple, str] = {}
        self._alive: list[Array] = []  # keeps the addresses in _given true

    def put(self, place: str, name: str, values: Array) -> str:
        if isinstance(values, Int8):
            return self._put_int8(place, name, values)
        address = (values.__array_interface__["data"][0], values.shape, values.strides, values.dtype.str)
        if address in self._given:
            return self._given[address]
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(values, dtype=np.float32)
        if not np.isfinite(stored).all():
            raise BuildError(f"{place} holds a value that is not finite in float32")
        if stored.ndim == 2:
            key = (stored.shape, hash(stored.tobytes()))
            same = self._matrices.setdefault(key, name)
            if same != name and np.array_equal(self.by_name[same], stored):
                name = same
        if name in self.by_name and not np.array_equal(floats(self.by_name[name]), stored):
            raise BuildError(f"{place}: another tensor is already called {name}")
        self.by_name.setdefault(name, stored)
        self._given[address] = name
        self._alive.append(values)
        return name

    def _put_int8(self, place: str, name: str, values: Int8) -> str:
        key = (values.shape, "int8", hash(values.numbers.tobytes()))
        same = self._matrices.setdefault(key, name)
        if same != name and self.by_name[same].same(values):
            return same
        there = self.by_name.setdefault(name, values)
        if there is not values and not (isinstance(there, Int8) and there.same(values)):
            raise BuildError(f"{place}: another tensor is already called {name}")
        return name


def enum(prefix: str, value: str, allowed: Iterable[str], place: str) -> str:
    if value not in allowed:
        raise BuildError(f"{place} is {value!r}, expected one of {', '.join(allowed)}")
    return f"{prefix}_{value.upper()}"


def _shape(values: Array) -> str:
    return "[" + ",".join(map(str, values.shape)) + "]"


class Shared:
    """What the programs of one model share: its vocabularies, its tensors, which of the encoder's values the other two
    read, and which op of the step program is its output."""

    encoder: Checked

    def __init__(self, source: Vocabulary, target: Vocabulary):
        self.source, self.target = source, target
        self.tensors = Tensors()
        self.outputs: list[str] = []
        self.output: str | None = None

    def export(self, name: str) -> None:
        """Notes that init or step reads this value of the encoder."""
        if name not in self.outputs:
            self.outputs.append(name)


class Checked:
    """What the ops of one program are made with: names, references, shapes and tensors, each checked as it is given."""

    def __init__(self, model: Shared, kind: str):
        self.model = model
        self.kind = kind
        self.ops: list[dict] = []
        self.values: dict[str, Value] = {}
        self.first_values: dict[
            str, tuple[Value, Value | str]
        ] = {}  # of primed names: what is read, what it is at first
        self.read: set[str] = set()  # primed names that an op reads
        self._prefix = {"encoder": "encoder", "init": "init", "step": "decoder"}[kind]

    def _error(self, name: str, op: str, message: str) -> BuildError:
        return BuildError(f"{self.kind}.{name} ({op}): {message}")

    def _make(
        self, name: str, op: str, fields: dict, kind: str, size: int, parts: dict[str, str] | None = None
    ) -> Value:
        if not _NAME.match(name):
            raise self._error(name, op, "the name must be 1 to 64 of a-z 0-9 _ and start with a letter")
        if name in self.values:
            raise self._error(name, op, "the name is taken")
        value = Value(self, name, kind, int(size))
        for part, part_kind in (parts or {}).items():
            value.parts[part] = Value(self, f"{name}.{part}", part_kind, int(size))
        self.values[name] = value
        self.ops.append({"name": name, op: fields})
        return value

    def _declare(self, name: str, first: Value | str, kind: str, size: int) -> Value:
        if name in self.first_values:
            raise self._error(name, "previous", "is declared twice")
        if isinstance(first, Value):
            if first.program.kind == "step":
                raise self._error(
                    name, "previous", f"first is {first.name} of the step program, expected one of init's"
                )
            if first.kind != kind or first.size != size:
                raise self._error(
                    name,
                    "previous",
                    f"first is {first.name}, a {first.kind} of size {first.size}, expected a {kind} of size {size}",
                )
        elif first != ZERO:
            raise self._error(name, "previous", f"first is {first!r}, expected a Value or builder.ZERO")
        value = Value(self, name, kind, int(size), primed=True)
        self.first_values[name] = (value, first)
        return value

    def _reference(self, name: str, op: str, what: str, value: Value) -> str:
        if not isinstance(value, Value):
            raise self._error(name, op, f"{what} is a {type(value).__name__}, expected a Value that an op made")
        if value.program is not self:
            if value.program is not self.model.encoder:
                raise self._error(
                    name,
                    op,
                    f"{what} {value.name} is a value of the {value.program.kind} program; "
                    "step reads init through previous(first=...)",
                )
            self.model.export(value.name)
        elif value.primed:
            self.read.add(value.name)
        return value.reference

    def _inputs(self, name: str, op: str, inputs: Inputs) -> tuple[list[str], str, int]:
        """References, kind and summed size."""
        values = [inputs] if isinstance(inputs, Value) else list(inputs)
        if not values:
            raise self._error(name, op, "has no inputs")
        read = [self._reference(name, op, "input", v) for v in values]
        kinds = {v.kind for v in values}
        if len(kinds) > 1:
            raise self._error(name, op, f"inputs are {' and '.join(sorted(kinds))}, expected one kind")
        kind = values[0].kind
        if kind == "sequence" and self.kind != "encoder" or kind == "distribution":
            raise self._error(name, op, f"input {read[0]} is a {kind}, expected a vector")
        return read, kind, sum(v.size for v in values)

    def _alike(self, name: str, op: str, inputs: Sequence[Value]) -> tuple[list[str], str, int]:
        read, kind, total = self._inputs(name, op, inputs)
        if len(read) < 2:
            raise self._error(name, op, "has one input, expected at least 2")
        for value in inputs:
            if value.size * len(read) != total:
                sizes = ", ".join(f"{v.name} {v.size}" for v in inputs)
                raise self._error(name, op, f"the inputs' sizes differ: {sizes}")
        return read, kind, inputs[0].size

    def _sequence(self, name: str, op: str, what: str, value: Value) -> str:
        read = self._reference(name, op, what, value)
        if value.kind != "sequence":
            raise self._error(name, op, f"{what} {read} is a {value.kind}, expected a sequence")
        return read

    def _matrix(self, name: str, op: str, what: str, values: Array, rows: int | None, columns: int | None) -> Array:
        values = values if isinstance(values, Int8) else np.asarray(values)
        wanted = [rows, columns]
        if values.ndim != 2 or any(w is not None and w != s for w, s in zip(wanted, values.shape)) or not values.size:
            shape = ",".join("n" if w is None else str(w) for w in wanted)
            raise self._error(name, op, f"{what} is {_shape(values)}, expected [{shape}]")
        return values

    def _put(self, name: str, part: str, values: Array) -> str:
        return self.model.tensors.put(f"{self.kind}.{name}: {part}", f"{self._prefix}.{name}.{part}", values)

    def _optional(
        self, op: dict, name: str, kind: str, part: str, values: Array | None, size: int, tensor: str | None = None
    ) -> None:
        if values is None:
            return
        values = np.asarray(values)
        if values.size != size or values.size != max(values.shape, default=1):
            raise self._error(name, kind, f"{part} is {_shape(values)}, expected [{size}]")
        op[part] = self._put(tensor or name, part, values.reshape(-1))

    def _function(self, name: str, op: str, function: str) -> str:
        function = _TORCH.get(function, function)
        return enum("FUNCTION", function, _FUNCTIONS, f"{self.kind}.{name} ({op}): function")

    def _project(self, op: dict, name: str, side: str, weight: Array | None, bias: Array | None, size: int) -> int:
        """Adds SIDE_weight and SIDE_bias. Returns the size behind the projection."""
        if weight is not None:
            weight = self._matrix(name, "attend", f"{side}_weight", weight, None, size)
            op[f"{side}_weight"] = self._put(name, f"{side}_weight", weight)
            size = weight.shape[0]
        self._optional(op, name, "attend", f"{side}_bias", bias, size)
        return size

    def _cell(self, name: str, op: str, cell: Cell, inputs: int, tensor: str) -> tuple[dict, int]:
        """A CellSpec and its H."""
        blocks = BLOCKS.get(cell.kind)
        if blocks is None:
            raise self._error(name, op, f"cell kind is {cell.kind!r}, expected one of {', '.join(BLOCKS)}")
        spec: dict = {"kind": f"CELL_KIND_{cell.kind.upper()}"}
        main = cell.weight_input if cell.weight_state is None else cell.weight_state
        if main is None:
            raise self._error(name, op, "the cell has no weights")
        hidden = main.shape[0] // blocks
        for part, values, columns in (
            ("weight_input", cell.weight_input, inputs),
            ("weight_state", cell.weight_state, hidden),
        ):
            if values is not None:
                values = self._matrix(name, op, part, values, blocks * hidden, columns)
                spec[part] = self._put(tensor, part, values)
        if (cell.weight_input is None) != (inputs == 0):
            raise self._error(
                name,
                op,
                f"has inputs of size {inputs}, weight_input "
                + ("is missing" if cell.weight_input is None else "is given"),
            )
        if (cell.weight_state is None) != (cell.kind == "ssru"):
            raise self._error(
                name,
                op,
                f"weight_state of a cell of kind {cell.kind} "
                + ("is missing" if cell.weight_state is None else "is given"),
            )
        for part in ("bias_input", "bias_state"):
            self._optional(spec, name, op, part, getattr(cell, part), blocks * hidden, tensor)
        if (cell.kind == "gru") != (cell.reset is not None):
            raise self._error(
                name, op, "reset is " + ("missing" if cell.kind == "gru" else "set, but the cell is no GRU")
            )
        if cell.reset is not None:
            spec["gru_reset"] = enum("GRU_RESET", cell.reset, ("after", "before"), f"{self.kind}.{name} ({op}): reset")
        for part in ("gate", "function"):
            if getattr(cell, part) is not None:
                spec[part] = self._function(name, op, getattr(cell, part))
        if cell.norm is not None:
            spec["norm"] = self._norm(name, op, cell.norm, blocks * hidden, hidden, tensor)
        return spec, hidden

    def _norm(self, name: str, op: str, norm: Norm, rows: int, hidden: int, tensor: str) -> dict:
        groups = enum("NORM_GROUPS", norm.groups, ("all", "blocks", "gates"), f"{self.kind}.{name} ({op}): norm groups")
        spec: dict = {"groups": groups, "epsilon": float(norm.epsilon)}
        for part in ("input_scale", "input_bias", "state_scale", "state_bias", "cell_scale", "cell_bias"):
            size = hidden if part.startswith("cell") else rows
            self._optional(spec, name, op, part, getattr(norm, part), size, tensor)
        if norm.cell_carried:
            spec["cell_carried"] = True
        return spec
