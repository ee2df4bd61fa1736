"""What comes out of files, made fit to be said: values cut to a bound whatever they are, and text of which a terminal
obeys nothing. Messages quote with `shown`; what is printed goes through `say`, which is the one place that escapes.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any, Iterator, TextIO

MAX_LINE = 1000  # characters of a printed line


def escaped(text: str) -> str:
    """The text with control characters (C0 and C1, newlines), marks of writing direction, other invisible characters
    and halves of surrogate pairs as \\x1b, \\u202e and so on. One line, whatever it was."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def shown(value: Any, most: int = 80) -> str:
    """The value in at most `most` characters: text as it is but for what `escaped` escapes, numbers, lists and mappings
    as Python writes them, of anything else its kind. It looks at no more of a value than it shows, so that values which
    hold one another a million times over cost nothing."""
    out, length = [], 0
    for part in _parts(value, most, True):
        out.append(part)
        length += len(part)
        if length > most:
            break
    return _cut("".join(out), most)


def quoted(value: Any, most: int = 80) -> str:
    """shown(), in quotes."""
    return "'" + shown(value, most).replace("'", "\\'") + "'"


def _parts(value: Any, most: int, outermost: bool) -> Iterator[str]:
    """Pieces of at least a character, of bounded length, so that the reader decides how many are made."""
    if isinstance(value, str):
        text = escaped(value[: most + 1])
        yield text if outermost else f"'{text}'"
    elif value is None or isinstance(value, (bool, float)):
        yield str(value)
    elif isinstance(value, int):
        yield str(value) if value.bit_length() <= 256 else f"a number of {value.bit_length()} bits"
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield "[" if isinstance(value, list) else "("
        for i, item in enumerate(value):
            if i:
                yield ", "
            yield from _parts(item, most, False)
        yield "]" if isinstance(value, list) else ")"
    elif isinstance(value, dict):
        yield "{"
        for i, (key, item) in enumerate(value.items()):
            if i:
                yield ", "
            yield from _parts(key, most, False)
            yield ": "
            yield from _parts(item, most, False)
        yield "}"
    else:  # a stand-in's class has the path of what it stands for
        kind = value if isinstance(value, type) else type(value)
        path = getattr(kind, "path", "")
        yield f"a {escaped((path if isinstance(path, str) and path else kind.__name__)[:most])}"


def say(text: str, file: TextIO | None = None) -> None:
    """Prints one line, at most MAX_LINE characters of it, with nothing in it that a terminal would obey."""
    print(_cut(escaped(text[: MAX_LINE + 1]), MAX_LINE), file=file or sys.stdout)


def say_failure(what: str, error: Exception, debug: bool) -> None:
    """Says on stderr, in one line, why `what` failed; with `debug` where it came from, too."""
    if debug:
        for line in "".join(traceback.format_exception(error)).split("\n"):
            print(escaped(line), file=sys.stderr)
    line = str(error)[:MAX_LINE].strip()
    if not isinstance(error, (ValueError, OSError)):
        line = f"{type(error).__name__}: {line} (unexpected; --debug shows where)"
    say(f"{what}: {line}", sys.stderr)
