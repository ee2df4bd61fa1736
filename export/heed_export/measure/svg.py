"""SVG, an element at a time: what charts and the drawing of the dashboard are made of."""

from __future__ import annotations

from html import escape
from typing import Sequence


def element(tag: str, words: object = "", inside: str = "", **attributes: object) -> str:
    """<tag attribute="value">words inside</tag>: `words` are text, `inside` elements. Attributes are named as SVG has them,
    with _ for - (`class_` is class); a float is written with one digit behind the point."""
    said = "".join(f' {name.rstrip("_").replace("_", "-")}="{_value(value)}"' for name, value in attributes.items())
    content = escape(str(words)) + inside
    return f"<{tag}{said}>{content}</{tag}>" if content else f"<{tag}{said}/>"


def points(places: Sequence[tuple[float, float]]) -> str:
    """What a polyline's `points` says."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def document(width: object, height: object, parts: Sequence[str], **attributes: object) -> str:
    """A whole picture, `parts` in their order."""
    box = f"0 0 {width} {height}"
    inside = "\n".join(["", *parts, ""])
    return element("svg", inside=inside, xmlns="http://www.w3.org/2000/svg", viewBox=box, **attributes) + "\n"


def _value(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else escape(str(value))
