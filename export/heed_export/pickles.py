"""Reads pickles that anybody may have written: an unpickler that makes plain values and inert stand-ins, and runs
nothing.

Python's unpickler calls whatever a pickle names. This one knows a short list of names: containers and numbers become
themselves; tensors and storages become descriptions (checkpoint.py fills them); any other class of the toolkits (their
options, vocabularies, optimizers) becomes a `StandIn`, which keeps what it was made of and never runs code of theirs.
A name that is none of these is refused.

The pure-Python unpickler is used because the C one allocates what a number in the file says.
"""

from __future__ import annotations

import _compat_pickle
import io
import pickle
from typing import Any, BinaryIO, Callable

import numpy as np

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
    "__main__",
)


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
            if isinstance(part, dict):
                self.__dict__.update({k: v for k, v in part.items() if isinstance(k, str)})
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


class _Dict(dict):
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
        raise RefusedPickle(f"encodes text as {encoding!r}")
    return text.encode(encoding)


def _reconstruct(cls: Any, base: Any = None, state: Any = None) -> Any:
    """copyreg._reconstructor."""
    return cls()


class _NumpyType(StandIn):
    """numpy.dtype of plain numbers."""

    def dtype(self) -> np.dtype:
        code = self.arguments[0] if self.arguments else None
        if not isinstance(code, str) or code.lstrip("<>|=")[:1] not in ("f", "i", "u", "b"):
            raise RefusedPickle(f"an array of type {code!r}, which are no numbers")
        order = self.get("state", (None, "<"))
        return np.dtype(code).newbyteorder(order[1] if order[1] in "<>" else "=")


class _NumpyArray(StandIn):
    """numpy.ndarray; `array()` checks that the bytes are as many as the shape takes."""

    def array(self) -> np.ndarray:
        state = self.get("state")
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _NumpyType):
            raise RefusedPickle("an array without its data")
        _, shape, kind, fortran, data = state
        kind = kind.dtype()
        data = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(data, bytes) or any(n < 0 for n in shape) or len(data) != kind.itemsize * _product(shape):
            raise RefusedPickle(f"an array whose data does not fit its shape {list(shape)}")
        return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C").astype(kind.newbyteorder("="))


def _scalar(kind: _NumpyType, data: bytes | str = b"") -> Any:
    """numpy.core.multiarray.scalar."""
    kind = kind.dtype()
    data = data.encode("latin1") if isinstance(data, str) else data
    if len(data) != kind.itemsize:
        raise RefusedPickle("a number whose data does not fit its type")
    return np.frombuffer(data, kind)[0].item()


def _product(shape) -> int:
    total = 1
    for n in shape:
        total *= int(n)
    return total


_PLAIN: dict[str, Any] = {
    **{f"builtins.{t.__name__}": t for t in (set, frozenset, dict, list, tuple, int, float, str, bool, complex, bytes)},
    "builtins.object": StandIn,
    "builtins.slice": StandIn,
    "collections.OrderedDict": _Dict,
    "collections.defaultdict": _Dict,
    "collections.Counter": _Dict,
    "functools.partial": StandIn,  # of torchtext's Fields; never called
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _reconstruct,
    "numpy.dtype": _NumpyType,
    "numpy.ndarray": _NumpyArray,
    "numpy.core.multiarray._reconstruct": lambda *a: _NumpyArray(*a),
    "numpy._core.multiarray._reconstruct": lambda *a: _NumpyArray(*a),
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
}
# They take a number and make as many bytes: only what a pickle spells out is made.
for _name in ("bytes", "str", "list", "tuple"):
    _PLAIN[f"builtins.{_name}"] = {
        "bytes": lambda v=b"": v,
        "str": lambda v="": v if isinstance(v, str) else repr(v),
        "list": lambda v=(): list(v) if isinstance(v, (list, tuple, set, dict)) else [],
        "tuple": lambda v=(): tuple(v) if isinstance(v, (list, tuple)) else (),
    }[_name]


class Unpickler(pickle._Unpickler):
    """`named` gives what stands for further names ("torch._utils._rebuild_tensor"); `persistent` what a persistent id
    means. load() raises RefusedPickle, never what the pickle would."""

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
        self._named = {**_PLAIN, **(named or {})}
        self._persistent = persistent
        self._classes: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> Any:
        # Python 2's names of Python 3's things.
        module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
        module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        path = f"{module}.{name}"
        if path in self._named:
            return self._named[path]
        if module.split(".")[0] not in _TOOLKITS:
            raise RefusedPickle(f"the pickle asks for {path}, which is nothing that a checkpoint holds")
        if path not in self._classes:
            self._classes[path] = type("StandIn", (StandIn,), {"path": path})
        return self._classes[path]

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise RefusedPickle("the pickle refers to data outside of it")
        return self._persistent(pid)

    def load(self) -> Any:
        try:
            return super().load()
        except RefusedPickle:
            raise
        except EOFError:
            raise RefusedPickle("the pickle ends early: the file is truncated") from None
        except RecursionError:
            raise RefusedPickle("the pickle is nested too deeply") from None
        except MemoryError:
            raise RefusedPickle("the pickle asks for more memory than there is") from None
        except Exception as error:  # whatever a damaged pickle provokes in the interpreter of its opcodes
            message = str(error).splitlines()[0][:200] if str(error) else ""
            raise RefusedPickle(f"the pickle is damaged ({type(error).__name__}: {message})") from None


def loads(data: bytes) -> Any:
    """A pickle without tensors."""
    return Unpickler(io.BytesIO(data)).load()
