"""Texts to batches of ids. Everything here is deterministic for a seed: the same epoch number gives
the same batches in the same order, which is what makes training resumable.
"""

from __future__ import annotations

import pathlib
import random
from dataclasses import dataclass, field, fields
from typing import Iterable, Iterator, Sequence

import numpy as np
import sentencepiece as spm

from ..text import words
from ..text.corpus import BOS, CHARACTERS, EOS, UNK


@dataclass(frozen=True)
class Pair:
    """One training example: piece ids without BOS and EOS.

    For a model that copies also the extended ids of both sides, which number the source's unknown words from the
    vocabulary's size on; a target word that neither the vocabulary nor the source has is UNK.
    """

    src: list[int]
    tgt: list[int]
    src_copy: list[int] = field(default_factory=list)
    tgt_copy: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Batch:
    """Padded ids of one batch.

    src [B, S] ends each row with EOS, unless the model's sources have none; tgt_in [B, T] starts each row with BOS;
    tgt_out [B, T] ends each row with EOS. Lengths count those specials. Rows are padded with EOS, which the lengths
    mask out. src_copy and tgt_copy are src and tgt_out in extended ids, and empty [B, 0] unless the model copies.
    """

    src: np.ndarray
    src_len: np.ndarray
    tgt_in: np.ndarray
    tgt_out: np.ndarray
    tgt_len: np.ndarray
    src_copy: np.ndarray
    tgt_copy: np.ndarray

    def rows(self, first: int, step: int) -> Batch:
        """Every step-th row from `first` on, still padded to the whole batch's lengths."""
        return Batch(*(getattr(self, f.name)[first::step] for f in fields(self)))


@dataclass(frozen=True)
class TokenizerOptions:
    """A recipe's `tokenizer` section: what a SentencePiece vocabulary holds beside the pieces that it learns."""

    byte_fallback: bool = False  # the 256 bytes are pieces, and spell what no other piece does
    characters: tuple[str, ...] = ()  # keys of CHARACTERS: each of these characters is a piece
    variant_epochs: int = 0  # it also learns from so many epochs of the recipe's variants


def train_tokenizer(
    lines: Iterable[str], prefix: pathlib.Path, pieces: int, options: TokenizerOptions = TokenizerOptions()
) -> spm.SentencePieceProcessor:
    """Trains a unigram SentencePiece model with heed's special ids and writes PREFIX.model. Returns it loaded.

    Raises ValueError for a name that CHARACTERS lacks.
    """
    for name in options.characters:
        if name not in CHARACTERS:
            raise ValueError(f"tokenizer.characters has {name!r}; it must be of {sorted(CHARACTERS)}")
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
            byte_fallback=options.byte_fallback,
            required_chars="".join(CHARACTERS[name] for name in options.characters),
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            pad_id=-1,
            num_threads=1,
            minloglevel=2,
        )
        text.unlink(missing_ok=True)
    return spm.SentencePieceProcessor(model_file=str(model))


def encode_pairs(
    pairs: Sequence[tuple[str, str]],
    src: spm.SentencePieceProcessor,
    tgt: spm.SentencePieceProcessor,
    max_len: int,
    copy: bool = False,
) -> list[Pair]:
    """Tokenises pairs; drops those with an empty side or a side over max_len pieces.

    `copy` adds the extended ids, which are the same ones: with byte fallback no text is unknown.
    """
    ids = zip(src.encode([p[0] for p in pairs]), tgt.encode([p[1] for p in pairs]))
    kept = ((s, t) for s, t in ids if 0 < len(s) <= max_len and 0 < len(t) <= max_len)
    return [Pair(s, t, *((s, t) if copy else ())) for s, t in kept]


def encode_words(pairs: Sequence[tuple[str, str]], vocabulary: words.Words, max_len: int, copy: bool) -> list[Pair]:
    """encode_pairs for words; `copy` adds the extended ids."""
    ids = zip(pairs, vocabulary.encode([p[0] for p in pairs]), vocabulary.encode([p[1] for p in pairs]))
    kept = [(p, s, t) for p, s, t in ids if 0 < len(s) <= max_len and 0 < len(t) <= max_len]
    return [Pair(s, t, *(vocabulary.extended(*p) if copy else ())) for p, s, t in kept]


def _pad(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(r) for r in rows], dtype=np.int64)
    out = np.full((len(rows), int(lengths.max())), EOS, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out, lengths


def make_batch(pairs: Sequence[Pair], source_eos: bool = True) -> Batch:
    """Pads pairs into one Batch, adding BOS and EOS."""
    end = [EOS] if source_eos else []
    src, src_len = _pad([p.src + end for p in pairs])
    tgt_in, tgt_len = _pad([[BOS] + p.tgt for p in pairs])
    tgt_out, _ = _pad([p.tgt + [EOS] for p in pairs])
    src_copy = tgt_copy = np.empty((len(pairs), 0), dtype=np.int64)
    if pairs[0].src_copy:
        src_copy, _ = _pad([p.src_copy + end for p in pairs])
        tgt_copy, _ = _pad([p.tgt_copy + [EOS] for p in pairs])
    return Batch(src, src_len, tgt_in, tgt_out, tgt_len, src_copy, tgt_copy)


def batches(pairs: Sequence[Pair], positions: int, seed: int | None, source_eos: bool = True) -> Iterator[Batch]:
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
        yield make_batch([pairs[i] for i in group], source_eos)


def word_dropout(ids: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Replaces a share of the ordinary ids by UNK (specials are kept): a strong regulariser on small corpora."""
    if rate <= 0:
        return ids
    drop = (rng.random(ids.shape) < rate) & (ids != BOS) & (ids != EOS)
    return np.where(drop, UNK, ids)
