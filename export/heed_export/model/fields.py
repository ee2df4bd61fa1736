"""What the fields of protos may hold: their bounds, words and kinds, in fields.json, which scripts/search-fields writes
from proto/heed/v1/search.proto and proto/heed/model/v1/parity.proto. What is written into a bundle is held to them here,
in the words in which a server would refuse it.
"""

from __future__ import annotations

import functools
import json
import math
import pathlib
from typing import Any, Mapping

import numpy as np

SEARCH = "heed.v1.SearchOptions"
PARITY = "heed.model.v1.Parity"
SENTENCE_LISTS = "heed.model.v1.SentenceLists"


@functools.cache
def _messages() -> dict[str, dict[str, dict[str, Any]]]:
    return json.loads((pathlib.Path(__file__).parent / "fields.json").read_text(encoding="utf-8"))


def names(message: str) -> list[str]:
    """The fields of a message, in the schema's order."""
    return list(_messages()[message])


def check(message: str, value: Mapping[str, Any], path: str = "") -> None:
    """Raises ValueError where `value`, in protobuf's JSON form, is not what the rules of the message's fields allow:
    "search.beam_size is 0, expected 1 to 1024"; `path` is what the message is called, "search"."""
    fields = _messages()[message]
    for name in value:
        if name not in fields:
            raise ValueError(f"{path or 'the file'}: there is no field {name}")
    chosen: dict[int, str] = {}
    for name, rules in fields.items():
        own = f"{path}.{name}" if path else name
        if name not in value:
            if rules.get("required"):
                raise ValueError(f"{own} is missing")
            continue
        _check_field(rules, value[name], own)
        for other in rules.get("replaces", ()):
            if other in value and name in fields[other].get("replaces", ()):
                raise ValueError(f"{own} is {value[name]}, expected unset where {other} is set")
        if "one_of" in rules:
            if rules["one_of"] in chosen:
                raise ValueError(f"{own} is set, expected unset where {chosen[rules['one_of']]} is set")
            chosen[rules["one_of"]] = name


def _check_field(rules: Mapping[str, Any], value: Any, path: str) -> None:
    if not rules.get("list"):
        return _check_value(rules, value, path)
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{path} is {_shown(value)}, expected a list")
    if rules.get("required") and not value:
        raise ValueError(f"{path} is missing")
    if len(value) > rules.get("max_items", len(value)):
        raise ValueError(f"{path} is a list of {len(value)}, expected a list of at most {rules['max_items']}")
    for i, one in enumerate(value):
        _check_value(rules, one, f"{path}[{i}]")
    return None


def _check_value(rules: Mapping[str, Any], value: Any, path: str) -> None:
    kind = rules["type"]
    if kind == "message":
        if not isinstance(value, Mapping):
            raise ValueError(f"{path} is {_shown(value)}, expected a {rules['message']}")
        check(rules["message"], value, path)
    elif kind in ("int", "number"):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole and (kind == "int" or not isinstance(value, (float, np.floating))):
            raise ValueError(f"{path} is {_shown(value)}, expected {'a whole number' if kind == 'int' else 'a number'}")
        least, most = rules.get("minimum", -math.inf), rules.get("maximum", math.inf)
        above = value > least if rules.get("above_minimum") else value >= least
        if not (above and value <= most and math.isfinite(value)):
            raise ValueError(f"{path} is {value:g}, expected {_bound(rules)}")
    elif kind == "enum" and value not in rules["names"]:
        raise ValueError(f"{path} is {_shown(value)}, expected a known {rules['enum']}")
    elif kind == "bool" and not isinstance(value, bool):
        raise ValueError(f"{path} is {_shown(value)}, expected true or false")
    elif kind == "string":
        if not isinstance(value, str):
            raise ValueError(f"{path} is {_shown(value)}, expected a string")
        words = rules.get("words", [value])
        if value not in words:
            raise ValueError(f"{path} is {_shown(value)}, expected {', '.join(words[:-1])} or {words[-1]}")


def _bound(rules: Mapping[str, Any]) -> str:
    if "minimum" not in rules:
        return "a finite number"
    if rules.get("above_minimum"):
        return f"a number above {rules['minimum']}, at most {rules['maximum']}"
    return f"{rules['minimum']} to {rules['maximum']}" if "maximum" in rules else f"at least {rules['minimum']}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, default=str)[:80]
