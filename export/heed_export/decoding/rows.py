"""What decoding in PyTorch keeps of the rows of a batch, whichever model decodes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import torch
from torch import Tensor


@dataclass
class Step:
    """What one decoder step gives: logits [B, V], attention energies and weights [B, S] (None without attention)."""

    logits: Tensor
    energies: Tensor | None
    weights: Tensor | None


class Rows:
    """Encoder output and decoder state of the rows that are still decoding. All tensors have the row first."""

    def __init__(self, fixed: dict[str, Tensor], state: tuple[Tensor, ...]):
        self.fixed = fixed
        self.state = state

    def take(self, index: Tensor, fixed: bool = True) -> Rows:
        """The rows at `index`; without `fixed`, the state alone moves (beams of one text share their source)."""
        kept = {k: v.index_select(0, index) for k, v in self.fixed.items()} if fixed else self.fixed
        return Rows(kept, tuple(s.index_select(0, index) for s in self.state))


def padded(ids: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Rows of ids as [B, S], and their lengths [B]."""
    lengths = torch.tensor([len(row) for row in ids])
    out = torch.full((len(ids), int(lengths.max())), pad)
    for at, row in enumerate(ids):
        out[at, : len(row)] = torch.tensor(row)
    return out, lengths
