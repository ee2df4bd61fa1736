"""What an attention has beside its query and its memory: the options of Program.attend."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from .values import Array, BuildError, Value


@dataclass(frozen=True)
class Attention:
    """Options of an attend, by keyword; None: the model has no such thing. Q is the query's size, M the memory's, A that of
    what the score compares, C the context's. model.proto's Attend says what each score computes."""

    key_weight: Array | None = None  # [A, M]; None: the memory itself
    key_bias: Array | None = None  # [A]
    query_weight: Array | None = None  # [A, Q]; location: [slots, Q]
    query_bias: Array | None = None  # [A]
    value_weight: Array | None = None  # [C, M]
    value_bias: Array | None = None  # [C]
    v: Array | None = None  # [A], of additive
    v_bias: Array | None = None  # [1]
    scale: float | None = None  # of the energies; 1
    heads: int = 1  # divide A and C
    normalizer: str = "softmax"  # or sparsemax
    coverage: Value | None = None  # what a previous(positions=) or an op made of earlier weights
    coverage_weight: Array | None = None  # [A]
    slots: int = 0  # of location
    keys: Value | None = None  # a sequence of the encoder's to compare with, in place of the memory

    @classmethod
    def of(cls, place: str, options: dict[str, Any]) -> Attention:
        """Raises BuildError for an option that there is not."""
        names = [field.name for field in fields(cls)]
        for name in options:
            if name not in names:
                raise BuildError(f"{place}: there is no option {name}, only {', '.join(names)}")
        return cls(**options)
