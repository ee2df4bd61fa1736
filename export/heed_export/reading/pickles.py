"""Reads pickles that anybody may have written: an unpickler that makes plain values and inert stand-ins, and runs
nothing.

Python's unpickler calls whatever a pickle names. This one knows a short list of names: containers and numbers become
themselves; tensors and storages become descriptions (checkpoint.py fills them); any other class of the toolkits (their
options, vocabularies, optimizers) becomes a `StandIn`, which keeps what it was made of and never runs code of theirs.
A name that is none of these is refused.

Small pickles can make large things: a value may stand in others any number of times, so that what 200 bytes describe
may take for ever to hash, to compare or to write out. So a pickle may make so many values and no more, keys are text
and numbers (whose hashes cost nothing and whose collisions are few), and what load() returns is nested at most
MAX_DEPTH deep and has at most MAX_WRITTEN values when each is counted wherever it stands. Messages quote values with
shown.shown().

The pure-Python unpickler is used because the C one allocates what a number in the file says.
"""

from __future__ import annotations

import _compat_pickle
import io
import pickle
from typing import Any, BinaryIO, Callable, Iterable

from .shown import shown
from .stand_ins import PLAIN, Dict, RefusedPickle, StandIn

MAX_VALUES = 1 << 25  # that a pickle's opcodes make, copies counted
MAX_WRITTEN = 1 << 26  # values where each is counted as often as it stands somewhere
MAX_DEPTH = 100  # lists, tuples and dicts in one another; a StandIn begins anew
MAX_CLASSES = 1000  # different ones
MAX_KEY_PARTS = 8  # of a key that is a tuple
MAX_TUPLE_KEYS = 10_000  # their hashes can be made to collide
_INT64 = range(-(1 << 63), 1 << 64)  # ints of other sizes can be made to collide

# Classes below these become stand-ins. Nothing of them is imported.
_TOOLKITS = (
    "torch",
    "torchtext",
    "onmt",
    "fairseq",
    "joeynmt",
    "omegaconf",
    "hydra",
    "argparse",
    "configargparse",
    "pathlib",
    "spacy",
    "datetime",
    "enum",
    "typing",
    "allennlp",
    "pytorch_lightning",
    "lightning",
    "lightning_fabric",
    "__main__",
)


def _weight(value: Any) -> int:
    """What copying a value costs, in values."""
    if isinstance(value, (str, bytes)):
        return len(value) >> 6
    return len(value) if isinstance(value, (list, tuple, dict, set, frozenset)) else 0


class Unpickler(pickle._Unpickler):
    """`named` gives what stands for further names ("torch._utils._rebuild_tensor"); `persistent` what a persistent id
    means. load() raises RefusedPickle, never what the pickle would. For one pickle behind another of the same file take
    another Unpickler."""

    dispatch = {
        code: action
        for code, action in pickle._Unpickler.dispatch.items()
        if bytes([code])
        not in (pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER)
    }

    def __init__(
        self, file: BinaryIO, named: dict[str, Any] | None = None, persistent: Callable[[Any], Any] | None = None
    ):
        super().__init__(file, fix_imports=True, encoding="utf-8", errors="surrogateescape")
        self._named = {**PLAIN, **(named or {})}
        self._persistent = persistent
        self._classes: dict[str, type] = {}
        self._made = 0
        self._tuple_keys = 0

    def find_class(self, module: str, name: str) -> Any:
        # Python 2's names of Python 3's things.
        module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
        module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        path = f"{module}.{name}"
        if path in self._named:
            return self._named[path]
        if module.split(".")[0] not in _TOOLKITS:
            raise RefusedPickle(f"the pickle asks for {shown(path)}, which is nothing that a checkpoint holds")
        if path not in self._classes:
            if len(self._classes) >= MAX_CLASSES:
                raise RefusedPickle(f"the pickle names more than {MAX_CLASSES} classes")
            self._classes[path] = type("StandIn", (StandIn,), {"path": path})
        return self._classes[path]

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise RefusedPickle("the pickle refers to data outside of it")
        return self._persistent(pid)

    # Opcodes that copy, hash or call. Each spends what it copies.

    def _spend(self, values: int) -> None:
        self._made += values
        if self._made > MAX_VALUES:
            raise RefusedPickle(f"the pickle makes more than {MAX_VALUES} values")

    def _check_keys(self, keys: Iterable[Any]) -> None:
        """Refuses keys that are dear to hash, or can be made to collide."""
        for key in keys:
            kind = type(key)
            if kind is str or kind is float or kind is bytes or kind is bool or key is None or kind is int:
                if kind is int and key not in _INT64:
                    raise RefusedPickle(f"a key that is a number of {key.bit_length()} bits, the bound is 64")
            elif kind is tuple:
                self._tuple_keys += 1
                if len(key) > MAX_KEY_PARTS or self._tuple_keys > MAX_TUPLE_KEYS or any(type(p) is tuple for p in key):
                    raise RefusedPickle(
                        f"a key that is a tuple of {len(key)}, the bounds are {MAX_KEY_PARTS} plain parts and "
                        f"{MAX_TUPLE_KEYS} such keys"
                    )
                self._check_keys(key)
            elif not isinstance(key, (StandIn, type)):
                raise RefusedPickle(f"a key that is a {kind.__name__}, expected text or a number")

    def _call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(arguments, tuple):
            raise RefusedPickle("the pickle is damaged (arguments that are no tuple)")
        self._spend(len(arguments) + sum(map(_weight, arguments)))
        if function in (set, frozenset):
            for found in arguments:
                self._check_keys(found if isinstance(found, (list, tuple)) else ())
        elif function is Dict:
            for found in arguments:
                pairs = found if isinstance(found, (list, tuple)) else ()
                self._check_keys(p[0] for p in pairs if isinstance(p, (list, tuple)) and p)
        return function(*arguments)

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], arguments)

    def _newobj(self) -> None:
        arguments, cls = self.stack.pop(), self.stack.pop()
        if isinstance(cls, type) and issubclass(cls, (StandIn, Dict)):
            self._spend(_weight(arguments))
            self.append(cls.__new__(cls, *arguments))
        else:
            self.append(self._call(cls, arguments))

    def _newobj_ex(self) -> None:
        named = self.stack.pop()
        self._spend(_weight(named))
        self._newobj()
        made = self.stack[-1]
        if isinstance(made, StandIn) and isinstance(named, dict):
            made.__dict__["named"] = named

    def _instantiate(self, klass: Any, args: Any) -> None:
        self.append(self._call(klass, tuple(args)))

    def _build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], (StandIn, Dict)):
            raise RefusedPickle(f"the pickle gives attributes to a {type(self.stack[-1]).__name__}")
        self._spend(_weight(state) + (sum(map(_weight, state)) if isinstance(state, tuple) else 0))
        self.stack[-1].__setstate__(state)

    def _setitem(self) -> None:
        self._check_keys(self.stack[-2:-1])
        super().load_setitem()

    def _setitems(self) -> None:
        self._check_keys(self.stack[0::2])
        super().load_setitems()

    def _dict(self) -> None:
        self._check_keys(self.stack[0::2])
        super().load_dict()

    def _additems(self) -> None:
        self._check_keys(self.stack)
        super().load_additems()

    def _frozenset(self) -> None:
        self._check_keys(self.stack)
        super().load_frozenset()

    for _code, _action in (
        (pickle.REDUCE, _reduce),
        (pickle.NEWOBJ, _newobj),
        (pickle.NEWOBJ_EX, _newobj_ex),
        (pickle.BUILD, _build),
        (pickle.SETITEM, _setitem),
        (pickle.SETITEMS, _setitems),
        (pickle.DICT, _dict),
        (pickle.ADDITEMS, _additems),
        (pickle.FROZENSET, _frozenset),
    ):
        dispatch[_code[0]] = _action

    def _run(self) -> Any:
        """pickle._Unpickler.load, which counts."""
        self._unframer = pickle._Unframer(self._file_read, self._file_readline)
        self.read, self.readinto, self.readline = self._unframer.read, self._unframer.readinto, self._unframer.readline
        self.metastack, self.stack, self.proto = [], [], 0
        self.append = self.stack.append
        read, dispatch = self.read, self.dispatch
        try:
            while True:
                code = read(1)
                if not code:
                    raise EOFError
                self._made += 1
                if self._made > MAX_VALUES:
                    self._spend(0)
                dispatch[code[0]](self)
        except pickle._Stop as stop:
            return stop.value

    def load(self) -> Any:
        try:
            value = self._run()
            _check_nesting(value)
            return value
        except RefusedPickle:
            raise
        except EOFError:
            raise RefusedPickle("the pickle ends early: the file is truncated") from None
        except RecursionError:
            raise RefusedPickle("the pickle is nested too deeply") from None
        except MemoryError:
            raise RefusedPickle("the pickle asks for more memory than there is") from None
        except Exception as error:  # whatever a damaged pickle provokes in the interpreter of its opcodes
            raise RefusedPickle(f"the pickle is damaged ({type(error).__name__}: {shown(str(error), 200)})") from None


class _Open:
    """A container that is being counted: its parts to come, its depth and its values so far."""

    def __init__(self, value: Any):
        inside = vars(value) if isinstance(value, StandIn) else value
        self.parts = iter(inside.values() if isinstance(inside, dict) else inside)
        self.key, self.depth, self.written = id(value), 0, 1

    def add(self, depth: int, written: int) -> None:
        self.depth, self.written = max(self.depth, depth), self.written + written
        if self.depth >= MAX_DEPTH:
            raise RefusedPickle(f"the pickle is nested deeper than {MAX_DEPTH}")
        if self.written > MAX_WRITTEN:
            raise RefusedPickle(f"the pickle repeats its own values until they are more than {MAX_WRITTEN}")


def _check_nesting(root: Any) -> None:
    """Refuses a value over MAX_DEPTH or MAX_WRITTEN, or a list in itself. Each container is looked at once; StandIns
    may refer to one another, and nothing writes them out."""
    done: dict[int, tuple[int, int]] = {}
    seen: set[int] = set()
    roots = [[root]]
    while roots:
        open_ = [_Open(roots.pop())]
        while open_:
            top = open_[-1]
            for part in top.parts:
                if isinstance(part, StandIn):
                    top.add(0, 1)
                    if id(part) not in seen:
                        seen.add(id(part))
                        roots.append(part)
                elif not isinstance(part, (list, tuple, dict)):
                    top.written += 1
                elif id(part) in done:
                    top.add(*done[id(part)])
                elif id(part) in seen:
                    raise RefusedPickle(f"the pickle has a {type(part).__name__} that holds itself")
                else:
                    seen.add(id(part))
                    open_.append(_Open(part))
                    break
            else:
                open_.pop()
                top.add(0, 0)
                done[top.key] = top.depth + 1, top.written
                if open_:
                    open_[-1].add(top.depth + 1, top.written)


def loads(data: bytes) -> Any:
    """A pickle without tensors."""
    return Unpickler(io.BytesIO(data)).load()
