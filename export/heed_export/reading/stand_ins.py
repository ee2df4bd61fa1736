"""What stands for the classes and functions that checkpoints name: containers and numbers for themselves, descriptions
of NumPy's arrays, and for all else a `StandIn` that runs nothing. pickles.py calls them; what they are given is
untrusted, and none of them hashes, compares or writes out more of it than its bounds.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable

import numpy as np

from .shown import quoted, shown

MAX_RANK = 32  # NumPy's
_NUMBERS = re.compile(r"[<>|=]?(f[248]|[iu][1248]|b1?|\?)\Z")


class RefusedPickle(ValueError):
    """A pickle that is damaged, or asks for what a checkpoint does not hold."""


class StandIn:
    """An object of a class that is not ours: `path` is its class, `arguments` what it was called with, and its
    attributes are those that the pickle gave it. What was put in it as in a list or a dict is in `items` and
    `entries`."""

    path = ""

    def __new__(cls, *arguments, **named):
        self = object.__new__(cls)
        self.arguments = arguments
        self.items = []
        self.entries = {}
        return self

    def __init__(self, *arguments, **named):
        pass

    def __setstate__(self, state):
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        for part in parts:
            if isinstance(part, dict):  # its methods stay its own
                own = ((k, v) for k, v in part.items() if isinstance(k, str))
                self.__dict__.update({k: v for k, v in own if not callable(getattr(type(self), k, None))})
            elif part is not None:
                self.__dict__["state"] = part

    def append(self, value):
        self.items.append(value)

    def extend(self, values):
        self.items.extend(values)

    def add(self, value):
        self.items.append(value)

    def __setitem__(self, key, value):
        self.entries[key] = value

    def get(self, name: str, default=None):
        """An attribute that the pickle gave, or `default`."""
        return self.__dict__.get(name, default)


class Dict(dict):
    """Stands for collections' OrderedDict, defaultdict and Counter: a dict that also takes attributes."""

    def __new__(cls, *arguments):
        return dict.__new__(cls)

    def __init__(self, *arguments):
        super().__init__()
        content = arguments[-1] if arguments and not isinstance(arguments[-1], (type, StandIn)) else None
        if isinstance(content, dict):
            self.update(content)
        elif isinstance(content, (list, tuple)):
            self.update((k, v) for k, v in content)

    def __setstate__(self, state):
        pass


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """_codecs.encode, as Python 2's and NumPy's pickles use it for bytes."""
    if encoding not in ("latin1", "latin-1", "utf-8", "utf8", "ascii"):
        raise RefusedPickle(f"encodes text as {quoted(encoding, 40)}")
    return text.encode(encoding)


def _reconstruct(cls: Any, base: Any = None, state: Any = None) -> Any:
    """copyreg._reconstructor."""
    return cls()


class NumpyType(StandIn):
    """numpy.dtype of plain numbers."""

    def dtype(self) -> np.dtype:
        code = self.arguments[0] if self.arguments else None
        if not isinstance(code, str) or not _NUMBERS.match(code):
            raise RefusedPickle(f"an array of type {quoted(code, 40)}, which are no numbers")
        state = self.get("state")
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "<"
        return np.dtype(code).newbyteorder(order if order in ("<", ">") else "=")


class NumpyArray(StandIn):
    """numpy.ndarray; `array()` checks that the bytes are as many as the shape takes."""

    def array(self) -> np.ndarray:
        state = self.get("state")
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], NumpyType):
            raise RefusedPickle("an array without its data")
        _, shape, kind, fortran, data = state
        kind = kind.dtype()
        data = data.encode("latin1") if isinstance(data, str) else data
        if not is_shape(shape) or not isinstance(data, bytes) or len(data) != kind.itemsize * product(shape):
            raise RefusedPickle(f"an array whose data does not fit its shape {shown(shape)}")
        values = np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")
        return values.astype(kind.newbyteorder("="), copy=False)


def _scalar(kind: NumpyType, data: bytes | str = b"") -> Any:
    """numpy.core.multiarray.scalar."""
    kind = kind.dtype()
    data = data.encode("latin1") if isinstance(data, str) else data
    if len(data) != kind.itemsize:
        raise RefusedPickle("a number whose data does not fit its type")
    return np.frombuffer(data, kind)[0].item()


def is_shape(shape: Any) -> bool:
    """Whether this is a tensor's shape, whose product() is worth making."""
    return (
        isinstance(shape, (list, tuple))
        and len(shape) <= MAX_RANK
        and all(type(n) is int and 0 <= n < 1 << 48 for n in shape)
    )


def product(shape: Iterable[int]) -> int:
    """How many numbers a shape has."""
    total = 1
    for n in shape:
        total *= n
    return total


def _number(kind: type) -> Callable[..., Any]:
    def make(*arguments: Any) -> Any:
        for a in arguments:
            if not isinstance(a, (bool, int, float, str)) or isinstance(a, str) and len(a) > 100:
                raise RefusedPickle(f"a number made of {quoted(a, 40)}")
        return kind(*arguments)

    return make


def _text(value: Any = "") -> str:
    return value if isinstance(value, str) else shown(value)


# What takes a number and makes as many bytes stands for itself alone: only what a pickle spells out is made.
PLAIN: dict[str, Any] = {
    **{f"builtins.{t.__name__}": _number(t) for t in (int, float, bool, complex)},
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "builtins.dict": Dict,
    "builtins.list": lambda v=(): list(v) if isinstance(v, (list, tuple, set, dict)) else [],
    "builtins.tuple": lambda v=(): tuple(v) if isinstance(v, (list, tuple)) else (),
    "builtins.bytes": lambda v=b"": v,
    "builtins.str": _text,
    "builtins.object": StandIn,
    "builtins.slice": StandIn,
    "collections.OrderedDict": Dict,
    "collections.defaultdict": Dict,
    "collections.Counter": Dict,
    "functools.partial": StandIn,  # of torchtext's Fields; never called
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _reconstruct,
    "numpy.dtype": NumpyType,
    "numpy.ndarray": NumpyArray,
    "numpy.core.multiarray._reconstruct": lambda *a: NumpyArray(*a),
    "numpy._core.multiarray._reconstruct": lambda *a: NumpyArray(*a),
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
}
