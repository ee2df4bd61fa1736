"""What a description of a hand-written PyTorch model imports: the one module of this package that files of other people
name (docs/importing/pytorch.md). What it offers is kept from version to version; the other modules may move."""

from .importers.pytorch import bidirectional, count_layers, either, rnn_stack, split_columns
from .model.builder import ZERO, BuildError, Model, Value
from .model.layers import Cell
from .model.vocabulary import Vocabulary, bpe, characters, pretokenized, sentencepiece, words
from .reading.checkpoint import CheckpointError, Weights

__all__ = [
    "BuildError",
    "Cell",
    "CheckpointError",
    "Model",
    "Value",
    "Vocabulary",
    "Weights",
    "ZERO",
    "bidirectional",
    "bpe",
    "characters",
    "count_layers",
    "either",
    "pretokenized",
    "rnn_stack",
    "sentencepiece",
    "split_columns",
    "words",
]
