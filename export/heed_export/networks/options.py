"""What fixes a recipe model: the `model` section of a recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class ModelOptions:
    """What fixes a recipe model's tensors. `arch` is a key of `build`'s table."""

    arch: str
    src_pieces: int
    tgt_pieces: int
    embedding: int = 256
    encoder_hidden: int = 192  # per direction
    encoder_layers: int = 2
    decoder_hidden: int = 384
    attention: int = 256  # width of the additive score; unused by the general score
    joint: bool = False  # one vocabulary and one embedding for both sides
    dropout: float = 0.3
    heads: int = 1  # student: of every attention
    feed_forward: int = 512  # student: width of the hidden layer of its two-layer networks
    decoder_layers: int = 1  # student
    unit: str = "pieces"  # "pieces": SentencePiece; "words": lower-cased words, one vocabulary for both sides (joint)
    source_eos: bool = True  # sources end with </s>
    query_word: bool = False  # bahdanau-gru: the attention's query is the state and the word before, not the state alone
    copy: bool = False  # a pointer-generator: may copy from the source; without it, only generates

    def to_dict(self) -> dict:
        return asdict(self)
