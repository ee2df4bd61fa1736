"""What training minimises: summed over a batch's target positions, with their number."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from . import data


def kept(batch: data.Batch) -> Tensor:
    """[T, B], true at the positions that are inside their rows."""
    return torch.arange(batch.tgt_out.shape[1])[:, None] < torch.from_numpy(batch.tgt_len)


def cross_entropy(logits: Tensor, batch: data.Batch, smoothing: float) -> tuple[Tensor, int]:
    """Of logits [T, B, V], with label smoothing."""
    keep = kept(batch)
    target = torch.from_numpy(batch.tgt_out).t()[keep]
    return F.cross_entropy(logits[keep], target, reduction="sum", label_smoothing=smoothing), len(target)


def mixture(
    logits: Tensor, gate: Tensor, weights: Tensor, batch: data.Batch, smoothing: float = 0.0
) -> tuple[Tensor, int]:
    """Of a model that copies (See et al. 2017, equation 9): gate [T, B] is the probability of generating.

    logits [T, B, V]; weights [T, B, S] of the attention that copies. An extended id is copied alone, never generated.
    Label smoothing is of what the model generates: the mean over the vocabulary of its own negative log-probabilities.
    """
    keep = kept(batch)
    target = torch.from_numpy(batch.tgt_copy).t()
    same = torch.from_numpy(batch.src_copy)[None] == target[:, :, None]  # [T, B, S]; padding has weight 0
    copied = (weights * same).sum(-1)[keep]
    in_vocabulary = (target < logits.shape[-1])[keep]
    scores = torch.log_softmax(logits[keep], -1)
    generated = scores.gather(1, torch.from_numpy(batch.tgt_out).t()[keep][:, None])[:, 0].exp() * in_vocabulary
    p = gate[keep] * generated + (1 - gate[keep]) * copied
    loss = -p.clamp_min(1e-12).log().sum()
    if smoothing > 0:
        loss = (1 - smoothing) * loss - smoothing * scores.mean(-1).sum()
    return loss, len(p)
