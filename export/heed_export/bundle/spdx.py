"""SPDX licence expressions (SPDX 2.3, annex D): `MIT`, `GPL-2.0-only WITH Classpath-exception-2.0 OR Apache-2.0`,
`LicenseRef-mine`. The identifiers are in spdx.txt, so nothing is asked of a network.
"""

from __future__ import annotations

import difflib
import functools
import pathlib
import re

FILE = pathlib.Path(__file__).with_name("spdx.txt")
_OWN = re.compile(r"(DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+")
_OPERATORS = ("and", "or", "with")
# What people write for an identifier that no letters more or less lead to.
_MEANT = {"apache": "Apache-2.0", "apache2": "Apache-2.0", "bsd": "BSD-3-Clause", "cc0": "CC0-1.0", "gpl": "GPL-3.0-only",
          "gplv2": "GPL-2.0-only", "gplv3": "GPL-3.0-only", "agplv3": "AGPL-3.0-only", "lgpl": "LGPL-3.0-only",
          "lgplv3": "LGPL-3.0-only", "mpl": "MPL-2.0", "psf": "PSF-2.0", "cc-by": "CC-BY-4.0"}  # fmt: skip


@functools.cache
def _known() -> dict[str, dict[str, str]]:
    """{"license": {"mit": "MIT", ...}, "exception": {...}}"""
    known: dict[str, dict[str, str]] = {"license": {}, "exception": {}}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            kind, *names = line.split()
            known[kind].update((name.lower(), name) for name in names)
    return known


def nearest(name: str, kind: str = "license") -> str:
    """The identifier that may have been meant; "" where none is near."""
    known, low = _known()[kind], re.sub(r"[\s_]+", "-", name.lower())
    if low in known or low in _MEANT:
        return known.get(low) or _MEANT[low]
    found = difflib.get_close_matches(low, known, 1, 0.7) or [n for n in known if len(low) > 2 and n.startswith(low)]
    return known[found[-1]] if found else ""


def canonical(expression: str) -> str:
    """The expression with identifiers and operators as SPDX writes them: case does not count. Raises ValueError, one
    line that says what is wrong and what may have been meant."""
    words = re.findall(r"[()]|[^\s()]+", expression)
    if not words:
        raise ValueError("it must be an SPDX licence expression, such as MIT; LicenseRef-NAME is one of your own")
    at = 0

    def word() -> str:
        return words[at] if at < len(words) else ""

    def fail(kind: str) -> ValueError:
        if not word() or word() in "()" or word().lower() in _OPERATORS:
            return ValueError(f"an SPDX licence expression has an identifier {f'before {word()!r}' if word() else 'at its end'}")
        meant = nearest(word(), kind) or (nearest(expression, kind) if kind == "license" else "")
        own = "; LicenseRef-NAME is one of your own" if kind == "license" and not meant else ""
        return ValueError(
            f"{word()!r} is no SPDX {kind} identifier" + (f"; did you mean {meant}?" if meant else "") + own
        )

    def simple() -> str:
        nonlocal at
        found = word()
        if _OWN.fullmatch(found):
            at += 1
            return found
        name, later = (found[:-1], "+") if found.endswith("+") else (found, "")
        known = _known()["license"].get(found.lower()) or _known()["license"].get(name.lower(), "") + later
        if known in ("", "+"):
            raise fail("license")
        at += 1
        if word().lower() != "with":
            return known
        at += 1
        exception = _known()["exception"].get(word().lower())
        if exception is None:
            raise fail("exception")
        at += 1
        return f"{known} WITH {exception}"

    def compound() -> str:
        nonlocal at
        parts = []
        while True:
            if word() == "(":
                at += 1
                parts.append(f"({compound()})")
                if word() != ")":
                    raise ValueError("an SPDX licence expression closes each parenthesis that it opens")
                at += 1
            else:
                parts.append(simple())
            if word().lower() not in ("and", "or"):
                return " ".join(parts)
            parts.append(word().upper())
            at += 1

    found = compound()
    if at < len(words):
        meant = nearest(expression)
        raise ValueError(
            f"{word()!r} stands behind an SPDX licence expression without AND or OR"
            + (f"; did you mean {meant}?" if meant else "")
        )
    return found
