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
    publish.publish(m, pathlib.Path("out/models/mine"), publish.Card(...))

Every method makes one op of proto/heed/model/v1/model.proto, takes its weights as NumPy arrays and returns a `Value`
that later ops read. Shapes are checked at once; BuildError names the op, the field and both shapes. The same array
given twice (or an equal matrix) is stored once, which is how weights are tied.

Not thread-safe: one thread builds a model.
"""

from __future__ import annotations

import numpy as np

from . import fields
from .int8 import Int8
from .program import Program
from .values import ZERO, BuildError, Shared, Value
from .vocabulary import Vocabulary

__all__ = ["ZERO", "BuildError", "Model", "Program", "Value"]


class Model(Shared):
    """A model being described: its vocabularies, its three programs, and what a request gets that sets nothing.

    `search` holds SearchOptions of search.proto in protobuf's JSON form (set_search checks them); `shortlist` the bytes of a
    Marian lex.s2t.bin, `shortlist_separate` whether the sides have vocabularies of their own; `max_source_tokens` the
    most source ids, specials included; `too_long` a TooLongPolicy's name, what becomes of a segment of more.
    """

    def __init__(self, source: Vocabulary, target: Vocabulary, max_source_tokens: int | None = None):
        source.check("source")
        target.check("target")
        if target.eos is None:
            raise BuildError("target vocabulary: eos is missing")
        super().__init__(source, target)
        self.max_source_tokens = max_source_tokens
        self.too_long: str | None = None
        self.encoder, self.init, self.step = (Program(self, kind) for kind in ("encoder", "init", "step"))
        self.search: dict = {}
        self.shortlist: bytes | None = None
        self.shortlist_separate = False
        self._start: int | str | None = None

    def start_with(self, first: int | str) -> None:
        """What the step program's `embed` reads at first: a target id, or ZERO for the zero vector."""
        if first != ZERO and not (isinstance(first, (int, np.integer)) and 0 <= first < len(self.target)):
            raise BuildError(f"start is {first!r}, expected a target id below {len(self.target)} or builder.ZERO")
        self._start = first

    def set_search(self, **search) -> None:
        """Adds search settings; raises BuildError for a field that SearchOptions does not have, or out of its bounds:
        set_search(beam_size=5, average={"alpha": 1.0}). `none`, `average` and `gnmt` take each other's place."""
        lengths = {"none", "average", "gnmt"}
        kept = {name: value for name, value in self.search.items() if not (name in lengths and lengths & search.keys())}
        try:
            fields.check(fields.SEARCH, kept | search, "search")
        except ValueError as error:
            raise BuildError(str(error)) from None
        self.search = kept | search

    def first_values(self) -> list[dict]:
        """The init program's `initials`. Raises BuildError for a primed value that no op of the step program makes."""
        initials = []
        for name, (value, first) in self.step.first_values.items():
            if name not in self.step.read:
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
            "format_version": 2,
            "source": self.source.spec("source", files),
            "target": self.target.spec("target", files),
            **self.programs(),
        }
        if any(isinstance(values, Int8) for values in self.tensors.by_name.values()):
            spec["precision"] = {"recommended": ["int8"]}  # it is what its toolkit multiplies in
        if self.search:
            spec["search"] = dict(self.search)
        limits: dict = {} if self.max_source_tokens is None else {"max_source_tokens": int(self.max_source_tokens)}
        if self.too_long is not None:
            limits["too_long"] = self.too_long
        if limits:
            spec["limits"] = limits
        if self.shortlist is not None:
            files["lex.s2t.bin"] = self.shortlist
            spec["shortlist"] = {"file": "lex.s2t.bin"}
            if self.shortlist_separate:
                spec["shortlist"]["separate_vocabularies"] = True
        return spec
