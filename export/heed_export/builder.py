"""Describes a model in Python and writes it as a bundle: what every importer ends with, and what somebody with a
hand-written PyTorch model uses directly (docs/importing/pytorch.md has a worked example).

    m = builder.Model(source=Vocabulary(pieces=..., unk=0, eos=3, ...), target=Vocabulary(...))
    x = m.encoder.embed("source_embedding", w["encoder.embedding.weight"])
    memory = m.encoder.birnn("memory", x, forward_cell, backward_cell)
    first = m.init.linear("first", memory.finals, w["encoder.fc.weight"], w["encoder.fc.bias"], "tanh")
    e = m.step.embed("target_embedding", w["decoder.embedding.weight"])
    h = m.step.previous("state", first)
    c = m.step.attend("attention", "additive", h, memory, query_weight=..., key_weight=..., v=...)
    s = m.step.cell("state", [e, c], cell)
    m.step.output("prediction", [s, c, e], w["decoder.fc_out.weight"], w["decoder.fc_out.bias"])
    m.start_with(2)
    publish.publish(m, pathlib.Path("models/mine"), publish.Card(...))

Every method makes one op of proto/heed/model/v1/model.proto, takes its weights as NumPy arrays and returns a `Value`
that later ops read. Shapes are checked at once; BuildError names the op, the field and both shapes. The same array
given twice (or an equal matrix) is stored once, which is how weights are tied.

Not thread-safe: one thread builds a model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Iterable, Sequence

import numpy as np

from .layers import BLOCKS, Cell, Norm
from .vocabulary import Vocabulary

ZERO = "zero"  # a first value, or the first target embedding: zeros
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_FUNCTIONS = ("identity", "tanh", "sigmoid", "relu", "hard_sigmoid")
SEARCH_FIELDS = frozenset(
    "beam_size length_alpha max_length_a max_length_b max_length_cap min_length_a min_length_b length_normalization"
    " length_beta length_every_step length_offset beam_policy beam_stop unknowns unknown_penalty word_penalty"
    " coverage_penalty coverage_beta coverage_every_step attend no_repeat_ngram_size repetition_penalty"
    " replace_unknowns unfinished banned_ids no_repeat_ngram_drops late_end_scores".split()
)
Array = np.ndarray


class BuildError(ValueError):
    """A model that cannot be: "step.state (cell): weight_input is [4,8], expected [16,8]"."""


@dataclass
class Value:
    """What an op made, or (`primed`) what it made one step ago. `kind`: vector, sequence, positions (one float per
    source position and head) or distribution; `size` its n. `parts` holds h and c of a recurrence, weights and energies
    of an attention; `finals` the last states of a bidirectional layer, forward first."""

    program: Program = field(repr=False)
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


class _Tensors:
    """Arrays by name; float32, finite, each stored once."""

    def __init__(self) -> None:
        self.by_name: dict[str, Array] = {}
        self._given: dict[tuple, str] = {}
        self._matrices: dict[tuple, str] = {}
        self._alive: list[Array] = []  # keeps the addresses in _given true

    def put(self, place: str, name: str, values: Array) -> str:
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
        if name in self.by_name and not np.array_equal(self.by_name[name], stored):
            raise BuildError(f"{place}: another tensor is already called {name}")
        self.by_name.setdefault(name, stored)
        self._given[address] = name
        self._alive.append(values)
        return name


def _enum(prefix: str, value: str, allowed: Iterable[str], place: str) -> str:
    if value not in allowed:
        raise BuildError(f"{place} is {value!r}, expected one of {', '.join(allowed)}")
    return f"{prefix}_{value.upper()}"


def _shape(values: Array) -> str:
    return "[" + ",".join(map(str, values.shape)) + "]"


class Program:
    """One of a model's three programs; `kind` is encoder, init or step. Made by Model alone.

    Op methods take the op's name first: [a-z][a-z0-9_]*, once per program; what people read in introspection. `inputs`
    is a Value or a list of Values, which are concatenated.
    """

    def __init__(self, model: Model, kind: str):
        self.model = model
        self.kind = kind
        self.ops: list[dict] = []
        self.values: dict[str, Value] = {}
        self._prefix = {"encoder": "encoder", "init": "init", "step": "decoder"}[kind]
        self._primed: dict[str, tuple[Value, Value | str | None]] = {}
        self._read: set[str] = set()

    # Ops of every program.

    def linear(
        self, name: str, inputs: Inputs, weight: Array, bias: Array | None = None, function: str | None = None
    ) -> Value:
        """function(W x + b); weight [n, X], bias [n]."""
        read, kind, size = self._inputs(name, "linear", inputs)
        weight = self._matrix(name, "linear", "weight", weight, None, size)
        op = {"inputs": read, "weight": self._put(name, "weight", weight)}
        self._optional(op, name, "linear", "bias", bias, weight.shape[0])
        if function and function != "identity":
            op["function"] = self._function(name, "linear", function)
        return self._make(name, "linear", op, kind, weight.shape[0])

    def activation(self, name: str, value: Value, function: str) -> Value:
        """An element-wise function: identity, tanh, sigmoid, relu or hard_sigmoid."""
        read, kind, size = self._inputs(name, "activation", value)
        op = {"input": read[0], "function": self._function(name, "activation", function)}
        return self._make(name, "activation", op, kind, size)

    def concat(self, name: str, inputs: Inputs) -> Value:
        """The inputs behind one another."""
        read, kind, size = self._inputs(name, "concat", inputs)
        return self._make(name, "concat", {"inputs": read}, kind, size)

    def add(self, name: str, inputs: Sequence[Value]) -> Value:
        """Element-wise sum of at least two values of one size."""
        read, kind, size = self._alike(name, "add", inputs)
        return self._make(name, "add", {"inputs": read}, kind, size)

    def mul(self, name: str, a: Value, b: Value) -> Value:
        """Element-wise product."""
        read, kind, size = self._alike(name, "mul", [a, b])
        return self._make(name, "mul", {"inputs": read}, kind, size)

    def lerp(self, name: str, gate: Value, a: Value, b: Value) -> Value:
        """(1 - gate) a + gate b."""
        read, kind, size = self._alike(name, "lerp", [gate, a, b])
        return self._make(name, "lerp", dict(zip(("gate", "a", "b"), read)), kind, size)

    def layer_norm(self, name: str, value: Value, scale: Array, bias: Array | None, epsilon: float) -> Value:
        """(x - mean) / sqrt(var + epsilon) * scale + bias, variance biased."""
        read, kind, size = self._inputs(name, "layer_norm", value)
        op: dict = {"input": read[0], "epsilon": float(epsilon)}
        self._optional(op, name, "layer_norm", "scale", scale, size)
        self._optional(op, name, "layer_norm", "bias", bias, size)
        return self._make(name, "layer_norm", op, kind, size)

    def slice(self, name: str, value: Value, begin: int, end: int) -> Value:
        """Elements [begin, end)."""
        read, kind, size = self._inputs(name, "slice", value)
        if not 0 <= begin < end <= size:
            raise self._error(name, "slice", f"[{begin},{end}) is no part of {read[0]}, which has size {size}")
        op = {"input": read[0], "begin": int(begin), "end": int(end)}
        return self._make(name, "slice", op, kind, end - begin)

    def maxout(self, name: str, value: Value, group: int = 2) -> Value:
        """Maximum of each group of neighbours."""
        read, kind, size = self._inputs(name, "maxout", value)
        if group < 2 or size % group:
            raise self._error(name, "maxout", f"group {group} does not divide {read[0]}'s size {size}")
        return self._make(name, "maxout", {"input": read[0], "group": int(group)}, kind, size // group)

    def position(self, name: str, value: Value) -> Value:
        """Adds sinusoids, in Marian's order."""
        read, kind, size = self._inputs(name, "position", value)
        return self._make(name, "position", {"input": read[0]}, kind, size)

    def pool(self, name: str, value: Value, pooling: str) -> Value:
        """Encoder and init: the first, last or mean vector of a sequence."""
        read = self._sequence(name, "pool", "input", value)
        pooling = _enum("POOLING", pooling, ("first", "last", "mean"), f"{self.kind}.{name} (pool): pooling")
        return self._make(name, "pool", {"input": read, "pooling": pooling}, "vector", value.size)

    # The encoder's.

    def embed(self, name: str, table: Array, scale: float | None = None) -> Value:
        """Encoder: the sequence of the source ids' rows of table [V, n]. Step: the previous target id's row."""
        if self.kind == "init":
            raise self._error(name, "embed", "stands only in the encoder and the step program")
        side = self.model.source if self.kind == "encoder" else self.model.target
        table = self._matrix(name, "embed", "table", table, len(side), None)
        op: dict = {"table": self._put(name, "table", table)}
        if scale is not None and scale != 1:
            op["scale"] = float(np.float32(scale))
        return self._make(name, "embed", op, "sequence" if self.kind == "encoder" else "vector", table.shape[1])

    def rnn(
        self, name: str, value: Value, cell: Cell, backward: bool = False, transitions: Sequence[Cell] = ()
    ) -> Value:
        """Encoder: a recurrence over a sequence, from zeros. `.h` (and `.c`) is the state after the last position read.
        `transitions` run behind the cell at each position, without an input (deep transition)."""
        read = self._sequence(name, "rnn", "input", value)
        spec, hidden = self._cell(name, "rnn", cell, value.size, name)
        direction = "DIRECTION_BACKWARD" if backward else "DIRECTION_FORWARD"
        op: dict = {"input": read, "direction": direction, "cell": spec}
        for i, more in enumerate(transitions, start=1):
            spec, size = self._cell(name, "rnn", more, 0, f"{name}.transition{i}")
            if more.kind != cell.kind or size != hidden:
                raise self._error(
                    name, "rnn", f"transition {i} is {more.kind} of size {size}, expected {cell.kind} of size {hidden}"
                )
            op.setdefault("transitions", []).append(spec)
        parts = {"h": "vector", **({"c": "vector"} if cell.kind in ("lstm", "ssru") else {})}
        return self._make(name, "rnn", op, "sequence", hidden, parts)

    def birnn(self, name: str, value: Value, forward: Cell, backward: Cell) -> Value:
        """Encoder: NAME_forward and NAME_backward over `value`, and NAME, both concatenated (a cuDNN-style
        bidirectional layer). `.finals` are the last h of both, `.finals_c` the last c (LSTM)."""
        f = self.rnn(f"{name}_forward", value, forward)
        b = self.rnn(f"{name}_backward", value, backward, backward=True)
        both = self.concat(name, [f, b])
        both.finals = [f.h, b.h]
        both.finals_c = [f.c, b.c] if "c" in f.parts else []
        return both

    def self_attend(self, name: str, value: Value, heads: int, query, key, values, output) -> Value:
        """Encoder: multi-head self-attention without the residual. Each projection is (weight [n, n], bias [n] or
        None)."""
        read = self._sequence(name, "self_attend", "input", value)
        n = value.size
        if heads < 1 or n % heads:
            raise self._error(name, "self_attend", f"{heads} heads do not divide the size {n}")
        op: dict = {"input": read, "heads": int(heads)}
        for part, (weight, bias) in (("query", query), ("key", key), ("value", values), ("output", output)):
            weight = self._matrix(name, "self_attend", f"{part}_weight", weight, n, n)
            op[f"{part}_weight"] = self._put(name, f"{part}_weight", weight)
            self._optional(op, name, "self_attend", f"{part}_bias", bias, n)
        return self._make(name, "self_attend", op, "sequence", n)

    # The step program's.

    def previous(
        self,
        name: str,
        first: Value | str = ZERO,
        first_c: Value | str | None = None,
        size: int | None = None,
        positions: int | None = None,
    ) -> Value:
        """Step: what the op NAME, which stands later, made one step ago. `first` is its value at the first step: a
        vector of init or of the encoder, or ZERO, which needs `size` (or `positions` = heads, for attention weights
        and coverage). With `first_c` the value is an LSTM's (or SSRU's) state, whose c starts with it."""
        if self.kind != "step":
            raise self._error(name, "previous", "stands only in the step program")
        if isinstance(first, Value) and size is None:
            size = first.size
        if positions is None and size is None:
            raise self._error(name, "previous", "needs size where its first value is zero")
        kind = "vector" if positions is None else "positions"
        value = self._declare(name, first, kind, positions if size is None else size)
        if first_c is not None:
            value.parts["c"] = self._declare(f"{name}.c", first_c, kind, value.size)
        return value

    def cell(
        self,
        name: str,
        inputs: Inputs,
        cell: Cell,
        first: Value | str | None = None,
        first_c: Value | str | None = None,
        state: Value | None = None,
    ) -> Value:
        """Step: one step of a recurrence on the inputs (may be empty). It goes on from its own previous state, of which
        `first` (and `first_c`) are the first values (ZERO: zeros), or from `state`, another cell's of this step or a
        previous()."""
        read, size = [], 0
        if isinstance(inputs, Value) or len(inputs):
            read, _, size = self._inputs(name, "cell", inputs)
        spec, hidden = self._cell(name, "cell", cell, size, name)
        op: dict = {"inputs": read, "cell": spec} if read else {"cell": spec}
        has_c = cell.kind in ("lstm", "ssru")
        if state is None:
            if name not in self._primed:
                if first is None:
                    raise self._error(name, "cell", "has no first state: give first= or state=, or declare previous()")
                self.previous(name, first, first_c, size=hidden)
            state = self._primed[name][0]
        elif first is not None or first_c is not None:
            raise self._error(name, "cell", "state= and first= exclude each other (give previous() the first value)")
        reference = self._reference(name, "cell", "state", state)
        if state.size != hidden:
            raise self._error(name, "cell", f"state {reference} has size {state.size}, expected {hidden}")
        if has_c:
            if "c" not in state.parts:
                raise self._error(name, "cell", f"state {reference} has no part c, which the cell needs: give first_c=")
            self._reference(name, "cell", "state", state.c)
        if reference != name + "'":
            op["state"] = reference
        return self._make(name, "cell", op, "vector", hidden, {"c": "vector"} if has_c else {})

    def attend(
        self,
        name: str,
        score: str,
        query: Inputs,
        memory: Value,
        *,
        key_weight: Array | None = None,
        key_bias: Array | None = None,
        query_weight: Array | None = None,
        query_bias: Array | None = None,
        value_weight: Array | None = None,
        value_bias: Array | None = None,
        v: Array | None = None,
        v_bias: Array | None = None,
        scale: float | None = None,
        heads: int = 1,
        normalizer: str = "softmax",
        coverage: Value | None = None,
        coverage_weight: Array | None = None,
        slots: int = 0,
        keys: Value | None = None,
    ) -> Value:
        """Step and init: attention of a query over an encoder sequence; model.proto's Attend says what each score
        computes. Makes the context NAME, NAME.weights and NAME.energies.

        score: dot, general, additive or location. key_weight [A, M], query_weight [A, Q], value_weight [C, M], v [A];
        location: query_weight [slots, Q]. normalizer: softmax or sparsemax."""
        op: dict = {
            "score": _enum(
                "SCORE", score, ("dot", "general", "additive", "location"), f"{self.kind}.{name} (attend): score"
            )
        }
        read, kind, width = self._inputs(name, "attend", query)
        if kind != "vector":
            raise self._error(name, "attend", f"query {read[0]} is a {kind}, expected a vector")
        op["query"], op["memory"] = read, self._sequence(name, "attend", "memory", memory)
        key_source = memory if keys is None else keys
        if keys is not None:
            op["keys"] = self._sequence(name, "attend", "keys", keys)
        size = self._project(op, name, "key", key_weight, key_bias, key_source.size)
        if score == "location":
            size = slots
        query_size = self._project(op, name, "query", query_weight, query_bias, width)
        if query_size != size:
            raise self._error(name, "attend", f"queries have size {query_size}, expected {size} as the keys have")
        context = self._project(op, name, "value", value_weight, value_bias, memory.size)
        for field_name, given, length in (
            ("v", v, size),
            ("v_bias", v_bias, 1),
            ("coverage_weight", coverage_weight, size),
        ):
            self._optional(op, name, "attend", field_name, given, length)
        if score == "additive" and v is None:
            raise self._error(name, "attend", "v is missing")
        if scale is not None and scale != 1:
            op["scale"] = float(np.float32(scale))
        if heads < 1 or context % heads or size % heads:
            raise self._error(name, "attend", f"{heads} heads do not divide keys of {size} and values of {context}")
        if heads > 1:
            op["heads"] = int(heads)
        if normalizer != "softmax":
            op["normalizer"] = _enum(
                "NORMALIZER", normalizer, ("softmax", "sparsemax"), f"{self.kind}.{name} (attend): normalizer"
            )
        if coverage is not None:
            op["coverage"] = self._reference(name, "attend", "coverage", coverage)
        if slots:
            op["slots"] = int(slots)
        value = self._make(name, "attend", op, "vector", context, {"weights": "positions", "energies": "positions"})
        for part in value.parts.values():
            part.size = heads
        return value

    def output(self, name: str, inputs: Inputs, weight: Array, bias: Array | None = None) -> Value:
        """Step: logits W x + b over the target vocabulary and their log-softmax. weight [V, X]; giving the embedding's
        array ties the two."""
        read, _, size = self._inputs(name, "output", inputs)
        weight = self._matrix(name, "output", "weight", weight, len(self.model.target), size)
        op: dict = {"inputs": read, "weight": self._put(name, "weight", weight)}
        self._optional(op, name, "output", "bias", bias, weight.shape[0])
        self.model.output = name
        return self._make(name, "output", op, "distribution", weight.shape[0])

    def copy(
        self,
        name: str,
        generate: Value,
        gate: Value,
        attention: Value,
        gate_generates: bool,
        masked: Sequence[int] = (),
    ) -> Value:
        """Step: mixes the distribution `generate` with copying by `attention`, the weights of a one-headed attend.
        `gate` is a vector of size 1: the probability of generating (gate_generates), or of copying."""
        if gate.size != 1 or gate.kind != "vector":
            raise self._error(
                name, "copy", f"gate {gate.name} is a {gate.kind} of size {gate.size}, expected a vector of size 1"
            )
        if attention.kind != "positions" or attention.size != 1:
            raise self._error(name, "copy", f"attention {attention.name} is no weights of an attend with one head")
        op: dict = {
            "generate": self._reference(name, "copy", "generate", generate),
            "gate": self._reference(name, "copy", "gate", gate),
            "attention": self._reference(name, "copy", "attention", attention),
        }
        if gate_generates:
            op["gate_generates"] = True
        if masked:
            op["masked_ids"] = [int(i) for i in masked]
        self.model.output = name
        return self._make(name, "copy", op, "distribution", generate.size)

    # What the ops share.

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
        if name in self._primed:
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
        self._primed[name] = (value, first)
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
            self._read.add(value.name)
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
        values = np.asarray(values)
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
        return _enum("FUNCTION", function, _FUNCTIONS, f"{self.kind}.{name} ({op}): function")

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
        hidden = np.asarray(main).shape[0] // blocks
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
            spec["gru_reset"] = _enum("GRU_RESET", cell.reset, ("after", "before"), f"{self.kind}.{name} ({op}): reset")
        for part in ("gate", "function"):
            if getattr(cell, part) is not None:
                spec[part] = self._function(name, op, getattr(cell, part))
        if cell.norm is not None:
            spec["norm"] = self._norm(name, op, cell.norm, blocks * hidden, hidden, tensor)
        return spec, hidden

    def _norm(self, name: str, op: str, norm: Norm, rows: int, hidden: int, tensor: str) -> dict:
        groups = _enum(
            "NORM_GROUPS", norm.groups, ("all", "blocks", "gates"), f"{self.kind}.{name} ({op}): norm groups"
        )
        spec: dict = {"groups": groups, "epsilon": float(norm.epsilon)}
        for part in ("input_scale", "input_bias", "state_scale", "state_bias", "cell_scale", "cell_bias"):
            size = hidden if part.startswith("cell") else rows
            self._optional(spec, name, op, part, getattr(norm, part), size, tensor)
        return spec


class Model:
    """A model being described: its vocabularies, its three programs, and what a request gets that sets nothing.

    `search` holds SearchDefaults of model.proto by field name (set_search checks them); `shortlist` the bytes of a
    Marian lex.s2t.bin; `max_source_tokens` the most source ids, specials included.
    """

    def __init__(self, source: Vocabulary, target: Vocabulary, max_source_tokens: int | None = None):
        source.check("source")
        target.check("target")
        if target.eos is None:
            raise BuildError("target vocabulary: eos is missing")
        self.source, self.target = source, target
        self.max_source_tokens = max_source_tokens
        self.tensors = _Tensors()
        self.encoder, self.init, self.step = (Program(self, kind) for kind in ("encoder", "init", "step"))
        self.outputs: list[str] = []
        self.output: str | None = None
        self.search: dict = {}
        self.shortlist: bytes | None = None
        self._start: int | str | None = None

    def start_with(self, first: int | str) -> None:
        """What the step program's `embed` reads at first: a target id, or ZERO for the zero vector."""
        if first != ZERO and not (isinstance(first, (int, np.integer)) and 0 <= first < len(self.target)):
            raise BuildError(f"start is {first!r}, expected a target id below {len(self.target)} or builder.ZERO")
        self._start = first

    def set_search(self, **fields) -> None:
        """Adds search defaults; raises BuildError for a name that SearchDefaults does not have."""
        for name in fields:
            if name not in SEARCH_FIELDS:
                raise BuildError(f"search: there is no field {name}")
        self.search.update(fields)

    def export(self, name: str) -> None:
        """Notes that init or step reads this value of the encoder. The builder calls it."""
        if name not in self.outputs:
            self.outputs.append(name)

    def first_values(self) -> list[dict]:
        """The init program's `initials`. Raises BuildError for a primed value that no op of the step program makes."""
        initials = []
        for name, (value, first) in self.step._primed.items():
            if name not in self.step._read:
                continue
            base, _, part = name.partition(".")
            made = self.step.values.get(base)
            if made is not None and part and part != "h":
                made = made.parts.get(part)
            if made is None:
                raise BuildError(f"step.{name}': no op makes {name}")
            if (made.kind, made.size) != (value.kind, value.size):
                raise BuildError(
                    f"step.{name}': is a {made.kind} of size {made.size}, declared as a {value.kind} of "
                    f"size {value.size}"
                )
            if isinstance(first, Value):
                if first.program is self.encoder:
                    self.export(first.name)
                initials.append({"name": name, "from": first.name})
            else:
                initials.append({"name": name, "zero": True})
        return initials

    def programs(self) -> dict:
        """The `encoder`, `init` and `step` of a ModelSpec. Raises BuildError where something is missing."""
        if self.output is None:
            raise BuildError("step: no op makes the output")
        if self._start is None:
            raise BuildError("step: say what it starts with: start_with(id) or start_with(ZERO)")
        initials = self.first_values()
        for program in (self.init, self.step):
            for name in program.values:
                if any(name == o.partition(".")[0] for o in self.outputs):
                    raise BuildError(f"{program.kind}.{name}: the encoder exports a value of that name")
        start = {"start_zero": True} if self._start == ZERO else {"start_id": int(self._start)}
        return {
            "encoder": {"ops": self.encoder.ops, "outputs": list(self.outputs)},
            "init": {"ops": self.init.ops, "initials": initials},
            "step": {"ops": self.step.ops, "output": self.output, **start},
        }

    def attends(self) -> list[str]:
        """Names of the step program's attentions, in order."""
        return [op["name"] for op in self.step.ops if "attend" in op]

    def spec(self, files: dict[str, bytes]) -> dict:
        """The ModelSpec without what a Card says (name, languages, licence); the files that it names go into
        `files`."""
        spec = {
            "format_version": 1,
            "source": self.source.spec("source", files),
            "target": self.target.spec("target", files),
            **self.programs(),
        }
        if self.search:
            spec["search"] = dict(self.search)
        if self.max_source_tokens is not None:
            spec["limits"] = {"max_source_tokens": int(self.max_source_tokens)}
        if self.shortlist is not None:
            files["lex.s2t.bin"] = self.shortlist
            spec["shortlist"] = {"file": "lex.s2t.bin"}
        return spec
