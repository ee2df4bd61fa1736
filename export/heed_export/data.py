"""Text files to batches of ids.

A corpus is pairs of files, aligned by line. Everything here is deterministic for a seed: the same epoch number gives
the same batches in the same order, which is what makes training resumable.
"""

from __future__ import annotations

import pathlib
import random
from dataclasses import dataclass, fields
from typing import Iterator, Sequence

import numpy as np
import sentencepiece as spm

UNK, BOS, EOS = 0, 1, 2  # every vocabulary that the recipe trains has these ids; padding is EOS under a mask


@dataclass(frozen=True)
class Pair:
    """One training example: piece ids without BOS and EOS."""

    src: list[int]
    tgt: list[int]


@dataclass(frozen=True)
class Batch:
    """Padded ids of one batch.

    src [B, S] ends each row with EOS; tgt_in [B, T] starts each row with BOS; tgt_out [B, T] ends each row with EOS.
    Lengths count those specials. Rows are padded with EOS, which the lengths mask out.
    """

    src: np.ndarray
    src_len: np.ndarray
    tgt_in: np.ndarray
    tgt_out: np.ndarray
    tgt_len: np.ndarray

    def rows(self, first: int, step: int) -> Batch:
        """Every step-th row from `first` on, still padded to the whole batch's lengths."""
        return Batch(*(getattr(self, f.name)[first::step] for f in fields(self)))


def read_lines(path: pathlib.Path) -> list[str]:
    """The lines of a UTF-8 file, split at '\\n' alone: other Unicode line breaks are text."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return lines[:-1] if lines and lines[-1] == "" else lines


def read_parallel(sources: Sequence[pathlib.Path], targets: Sequence[pathlib.Path]) -> list[tuple[str, str]]:
    """Aligned lines of several file pairs, in order. Raises ValueError when a pair differs in length."""
    pairs: list[tuple[str, str]] = []
    for source, target in zip(sources, targets, strict=True):
        left, right = read_lines(source), read_lines(target)
        if len(left) != len(right):
            raise ValueError(f"{source} has {len(left)} lines but {target} has {len(right)}; they must be aligned")
        pairs.extend(zip(left, right))
    return pairs


def train_tokenizer(
    lines: Sequence[str], prefix: pathlib.Path, pieces: int, byte_fallback: bool = False
) -> spm.SentencePieceProcessor:
    """Trains a unigram SentencePiece model with heed's special ids and writes PREFIX.model. Returns it loaded."""
    model = prefix.with_suffix(".model")
    if not model.exists():
        text = prefix.with_suffix(".txt")
        text.write_text("\n".join(lines) + "\n", encoding="utf-8")
        spm.SentencePieceTrainer.train(
            input=str(text),
            model_prefix=str(prefix),
            vocab_size=pieces,
            model_type="unigram",
            character_coverage=0.9998,
            byte_fallback=byte_fallback,
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            pad_id=-1,
            num_threads=2,
            minloglevel=2,
        )
        text.unlink(missing_ok=True)
    return spm.SentencePieceProcessor(model_file=str(model))


def encode_pairs(
    pairs: Sequence[tuple[str, str]],
    src: spm.SentencePieceProcessor,
    tgt: spm.SentencePieceProcessor,
    max_len: int,
) -> list[Pair]:
    """Tokenises pairs; drops those with an empty side or a side over max_len pieces."""
    ids = zip(src.encode([p[0] for p in pairs]), tgt.encode([p[1] for p in pairs]))
    return [Pair(s, t) for s, t in ids if 0 < len(s) <= max_len and 0 < len(t) <= max_len]


def _pad(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(r) for r in rows], dtype=np.int64)
    out = np.full((len(rows), int(lengths.max())), EOS, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out, lengths


def make_batch(pairs: Sequence[Pair]) -> Batch:
    """Pads pairs into one Batch, adding BOS and EOS."""
    src, src_len = _pad([p.src + [EOS] for p in pairs])
    tgt_in, tgt_len = _pad([[BOS] + p.tgt for p in pairs])
    tgt_out, _ = _pad([p.tgt + [EOS] for p in pairs])
    return Batch(src, src_len, tgt_in, tgt_out, tgt_len)


def batches(pairs: Sequence[Pair], positions: int, seed: int | None) -> Iterator[Batch]:
    """Batches of about `positions` padded target positions, of similar lengths.

    seed None: in order of length, for evaluation. Otherwise lengths get a little noise, so that each epoch groups
    sentences differently, and the batches come in random order.
    """
    rng = random.Random(seed)
    noise = (lambda: rng.uniform(-1.5, 1.5)) if seed is not None else (lambda: 0.0)
    order = sorted(range(len(pairs)), key=lambda i: (len(pairs[i].tgt) + noise(), len(pairs[i].src) + noise()))
    groups: list[list[int]] = [[]]
    longest = 0
    for i in order:
        longest = max(longest, len(pairs[i].tgt) + 1)
        if groups[-1] and longest * (len(groups[-1]) + 1) > positions:
            groups.append([])
            longest = len(pairs[i].tgt) + 1
        groups[-1].append(i)
    if seed is not None:
        rng.shuffle(groups)
    for group in groups:
        yield make_batch([pairs[i] for i in group])


def word_dropout(ids: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Replaces a share of the ordinary ids by UNK (specials are kept): a strong regulariser on small corpora."""
    if rate <= 0:
        return ids
    drop = (rng.random(ids.shape) < rate) & (ids != BOS) & (ids != EOS)
    return np.where(drop, UNK, ids)
