"""The sources that a parity certificate is made of, and whether they say anything: a proof on pieces that become unknown
agrees whatever the vocabulary is."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass

import numpy as np

from ..model.builder import Model
from ..model.vocabulary import WHITE_SPACE, Vocabulary
from ..reading.checkpoint import CheckpointError, read_lines
from ..reading.shown import quoted

MOST_UNKNOWN = 0.5
_RANDOM_LENGTHS = (1, 3, 5, 8, 12, 2)
_WHITE_SPACES = re.compile("[" + "".join(WHITE_SPACE) + "]+")


@dataclass
class Source:
    """A case's source. `text` only where the bundle's own tokeniser gives these ids, `pieces` only where a file gave
    them."""

    ids: list[int]
    text: str | None = None
    pieces: list[str] | None = None


def sources(model: Model, cases: pathlib.Path | None, with_text: bool) -> list[Source]:
    """Those of the file, or a few random ones of the vocabulary. `with_text`: random ones get a text where that is their
    pieces. Raises CheckpointError."""
    limit = model.max_source_tokens or 512
    vocabulary = model.source
    words = vocabulary.tokenizer.kind in ("pretokenized", "words")  # a text is its pieces with spaces between
    if cases is not None:
        lines = read_lines(cases)
        if vocabulary.tokenizer.kind == "sentencepiece" and any(" " in line for line in lines) and "▁" not in "".join(lines):
            raise CheckpointError(
                f"{cases}: has no ▁ in it, so it is text; expected pieces, as spm_encode --output_format=piece makes them"
            )
        cut = [_WHITE_SPACES.split(line) if words else line.split(" ") for line in lines]
        found = []
        for number, pieces in enumerate(([p for p in line if p] for line in cut), start=1):
            if not pieces:
                continue
            ids = vocabulary.ids(pieces)
            if len(ids) > limit:
                raise CheckpointError(f"{cases}:{number}: has {len(ids)} ids, the model takes {limit}")
            found.append(Source(ids, " ".join(pieces) if words and not vocabulary.lowercase else None, pieces))
        if not found:
            raise CheckpointError(f"{cases}: holds no sentence")
        return found
    rng = np.random.default_rng(1)
    unmade = set(vocabulary.unmade(model.target))
    pool = [i for i in vocabulary.plain_ids() if i not in unmade] or vocabulary.plain_ids() or [vocabulary.unk]
    room = limit - vocabulary.add_bos - vocabulary.add_eos
    found = []
    for length in (min(n, room) for n in _RANDOM_LENGTHS if room > 0):
        drawn = rng.choice(pool, length).tolist()
        text = None
        if with_text and words and not any(i in unmade or i == vocabulary.unk for i in drawn):
            text = " ".join(vocabulary.pieces[i] for i in drawn)
        found.append(Source(vocabulary.with_specials(drawn), text))
    return found


def check_vocabularies(model: Model, most: float) -> None:
    """Raises CheckpointError where more than the share `most` of a side's pieces are none that its tokeniser makes of any
    text: the ends of another system's lines, scores, another tokeniser's pieces."""
    for side, vocabulary, other in (("source", model.source, model.target), ("target", model.target, model.source)):
        plain = vocabulary.plain_ids()
        unmade = vocabulary.unmade(other)
        if len(unmade) > most * len(plain):
            kind = vocabulary.tokenizer.kind + (", lower-cased," if vocabulary.lowercase else "")
            raise CheckpointError(
                f"{side} vocabulary: of {len(plain)} pieces {len(unmade)} are none that the tokenizer {kind} makes of a "
                f"text, such as {quoted(vocabulary.pieces[unmade[0]], 40)}: all of them would be unknown (--most-unknown "
                f"is {most:g})"
            )


def unknown_share(model: Model, found: list[Source], cases: pathlib.Path | None, most: float) -> float:
    """The share of the sources' pieces, specials left out, that are unknown, or that no text becomes. Raises CheckpointError
    where that of a file is over `most`."""
    vocabulary = model.source
    specials = {vocabulary.bos, vocabulary.eos, *vocabulary.special}
    ids = [i for source in found for i in source.ids if i not in specials]
    lost = {vocabulary.unk, *(vocabulary.unmade(model.target) if cases is None else ())}
    unknown = sum(i in lost for i in ids)
    share = unknown / max(1, len(ids))
    if share > most and cases is not None:
        raise CheckpointError(
            f"{cases}: of {len(ids)} pieces {unknown} are unknown to the source vocabulary, so that nothing would be proved "
            f"(--most-unknown is {most:g}); a line has pieces as the tokenizer {vocabulary.tokenizer.kind} spells them, with "
            "spaces between"
        )
    return share
