"""The ops of the step program as methods: the builder's middle. model.proto documents each op's equation.

Thread rule: as builder.py.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

from .attention import Attention
from .layers import Cell
from .values import ZERO, Array, Checked, Inputs, Value, enum


class Program(Checked):
    """One of a model's three programs; `kind` is encoder, init or step. Made by Model alone.

    Op methods take the op's name first: [a-z][a-z0-9_]*, once per program; what people read in introspection. `inputs`
    is a Value or a list of Values, which are concatenated.
    """

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
        """An element-wise function: identity, tanh, sigmoid, relu, hard_sigmoid (x / 5 + 0.5: Keras 1 and 2) or
        hard_sigmoid_sixth (x / 6 + 0.5: Keras 3, and PyTorch, whose name for it, hardsigmoid, will do)."""
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
        pooling = enum("POOLING", pooling, ("first", "last", "mean"), f"{self.kind}.{name} (pool): pooling")
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
        made = self._make(name, "rnn", op, "sequence", hidden, parts)
        made.finals, made.finals_c = [made.h], [made.c] if "c" in parts else []
        return made

    def birnn(self, name: str, value: Value, forward: Cell, backward: Cell) -> Value:
        """Encoder: NAME_forward and NAME_backward over `value`, and NAME, both concatenated (a cuDNN-style
        bidirectional layer). `.finals` are the last h of both, `.finals_c` the last c (LSTM)."""
        f = self.rnn(f"{name}_forward", value, forward)
        b = self.rnn(f"{name}_backward", value, backward, backward=True)
        both = self.concat(name, [f, b])
        both.finals, both.finals_c = f.finals + b.finals, f.finals_c + b.finals_c
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
            if name not in self.first_values:
                if first is None:
                    raise self._error(name, "cell", "has no first state: give first= or state=, or declare previous()")
                self.previous(name, first, first_c, size=hidden)
            state = self.first_values[name][0]
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

    def attend(self, name: str, score: str, query: Inputs, memory: Value, **options) -> Value:
        """Step and init: attention of a query over an encoder sequence. Makes the context NAME, NAME.weights and
        NAME.energies. `score`: dot, general, additive or location; `options`: the fields of attention.Attention."""
        place = f"{self.kind}.{name} (attend)"
        o = Attention.of(place, options)
        op: dict = {"score": enum("SCORE", score, ("dot", "general", "additive", "location"), f"{place}: score")}
        read, kind, width = self._inputs(name, "attend", query)
        if kind != "vector":
            raise self._error(name, "attend", f"query {read[0]} is a {kind}, expected a vector")
        op["query"], op["memory"] = read, self._sequence(name, "attend", "memory", memory)
        if o.keys is not None:
            op["keys"] = self._sequence(name, "attend", "keys", o.keys)
        size = self._project(op, name, "key", o.key_weight, o.key_bias, (o.keys or memory).size)
        if score == "location":
            size = o.slots
        query_size = self._project(op, name, "query", o.query_weight, o.query_bias, width)
        if query_size != size:
            raise self._error(name, "attend", f"queries have size {query_size}, expected {size} as the keys have")
        context = self._project(op, name, "value", o.value_weight, o.value_bias, memory.size)
        if score == "additive" and o.v is None:
            raise self._error(name, "attend", "v is missing")
        for part, values, length in (("v", o.v, size), ("v_bias", o.v_bias, 1), ("coverage_weight", o.coverage_weight, size)):
            self._optional(op, name, "attend", part, values, length)
        if o.heads < 1 or context % o.heads or size % o.heads:
            raise self._error(name, "attend", f"{o.heads} heads do not divide keys of {size} and values of {context}")
        self._attend_settings(op, name, o)
        value = self._make(name, "attend", op, "vector", context, {"weights": "positions", "energies": "positions"})
        for part in value.parts.values():
            part.size = o.heads
        return value

    def _attend_settings(self, op: dict, name: str, o: Attention) -> None:
        """Adds what is not as the format has it by default."""
        if o.scale is not None and o.scale != 1:
            op["scale"] = float(np.float32(o.scale))
        if o.heads > 1:
            op["heads"] = int(o.heads)
        if o.normalizer != "softmax":
            place = f"{self.kind}.{name} (attend): normalizer"
            op["normalizer"] = enum("NORMALIZER", o.normalizer, ("softmax", "sparsemax"), place)
        if o.coverage is not None:
            op["coverage"] = self._reference(name, "attend", "coverage", o.coverage)
        if o.slots:
            op["slots"] = int(o.slots)

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
