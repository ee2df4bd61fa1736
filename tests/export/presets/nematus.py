"""Nematus's models with random weights, each option at least once. The names and shapes are those of the theano
branch's nematus/layers.py and nmt.py, the functions param_init_*."""

from __future__ import annotations

from typing import Any

import numpy as np
from heed_export.importers import nematus
from heed_export.model import vocabulary
from heed_export.reading import checkpoint
from reference import nematus as oracle
from reference import trace

from . import Preset, sources

SOURCE_SIZE, TARGET_SIZE = 23, 29


class _Maker:
    """Random arrays by name: `matrix` [in, out], `vector` [n], `scales` around one."""

    def __init__(self, rng: np.random.Generator, norm: bool, weight_norm: bool):
        self.rng, self.norm, self.weight_norm = rng, norm, weight_norm
        self.arrays: dict[str, np.ndarray] = {}

    def put(self, name: str, shape: tuple, low: float = -0.6, high: float = 0.6) -> None:
        self.arrays[name] = self.rng.uniform(low, high, shape).astype(np.float32)

    def matrix(self, name: str, rows: int, columns: int, norm: str = "_ln", size: int | None = None) -> None:
        """With the vectors that the normalisations of its product have; `norm` "" for none."""
        self.put(name, (rows, columns))
        if self.norm and norm:
            self.put(name + norm + "s", (columns,), 0.5, 1.5)
            self.put(name + norm + "b", (columns,))
        if self.weight_norm:
            self.put(name + "_wns", (columns,), 0.5, 1.5)

    def cell(self, prefix: str, given: int, dim: int, gates: int, suffix: str = "") -> None:
        """gru_layer's or lstm_layer's cell; `given` 0 is a deeper one of a transition."""
        for part, size in (("", gates * dim), ("x", dim)):
            self.put(f"{prefix}_b{part}{suffix}", (size,))
            self.matrix(f"{prefix}_U{part}{suffix}", dim, size)
            if given:
                self.matrix(f"{prefix}_W{part}{suffix}", given, size)

    def layer(self, prefix: str, given: int, dim: int, gates: int, depth: int) -> None:
        for i in range(depth):
            self.cell(prefix, given if i == 0 else 0, dim, gates, "" if i == 0 else f"_drt_{i}")

    def conditional(self, prefix: str, given: int, dim: int, context: int, gates: int, depth: int) -> None:
        self.cell(prefix, given, dim, gates)
        for i in range(depth - 1):
            s = "" if i == 0 else f"_drt_{i}"
            for part, size in (("", gates * dim), ("x", dim)):
                self.put(f"{prefix}_b{part}_nl{s}", (size,))
                self.matrix(f"{prefix}_U{part}_nl{s}", dim, size)
                if i == 0:
                    self.matrix(f"{prefix}_Wc{part}", context, size)
        self.matrix(prefix + "_W_comb_att", dim, context)
        self.matrix(prefix + "_Wc_att", context, context)
        self.put(prefix + "_b_att", (context,))
        self.matrix(prefix + "_U_att", context, 1, norm="")
        if self.weight_norm:
            self.put(prefix + "_U_att_wns", (1,), 0.5, 1.5)
        self.put(prefix + "_c_tt", (1,))

    def dense(self, prefix: str, rows: int, columns: int) -> None:
        self.put(prefix + "_W", (rows, columns))
        self.put(prefix + "_b", (columns,))
        if self.norm:
            self.put(prefix + "_ln_s", (columns,), 0.5, 1.5)
            self.put(prefix + "_ln_b", (columns,))
        if self.weight_norm:
            self.put(prefix + "_W_wns", (columns,), 0.5, 1.5)


def weights(rng: np.random.Generator, options: dict[str, Any]) -> dict[str, np.ndarray]:
    """nmt.py, init_params."""
    o = oracle.filled(options)
    make = _Maker(rng, o["layer_normalisation"], o["weight_normalisation"])
    word, dim = o["dim_word"], o["dim"]
    encoder_gates, gates = (3 if o[n].startswith("lstm") else 2 for n in ("encoder", "decoder"))
    make.put("Wemb", (TARGET_SIZE if o["tie_encoder_decoder_embeddings"] else SOURCE_SIZE, word))
    if not o["tie_encoder_decoder_embeddings"]:
        make.put("Wemb_dec", (TARGET_SIZE, word))
    depth = o["enc_recurrence_transition_depth"]
    for prefix in ("encoder", "encoder_r"):
        make.layer(prefix, word, dim, encoder_gates, depth)
        for level in range(2, o["enc_depth_bidirectional"] + 1):
            make.layer(f"{prefix}_{level}", dim, dim, encoder_gates, depth)
    for level in range(o["enc_depth_bidirectional"] + 1, o["enc_depth"] + 1):
        make.layer(f"encoder_{level}", 2 * dim, 2 * dim, encoder_gates, depth)
    make.dense("ff_state", 2 * dim, dim * (2 if gates == 3 else 1))
    make.conditional("decoder", word, dim, 2 * dim, gates, o["dec_base_recurrence_transition_depth"])
    for level in range(2, o["dec_depth"] + 1):
        given = 3 * dim if o["dec_deep_context"] else dim
        high = o["dec_high_recurrence_transition_depth"]
        if o["decoder_deep"].endswith("_cond"):
            make.conditional(f"decoder_{level}", given, dim, 2 * dim, gates, high)
        else:
            make.layer(f"decoder_{level}", given, dim, gates, high)
    for part, size in (("lstm", dim), ("prev", word), ("ctx", 2 * dim)):
        make.dense(f"ff_logit_{part}", size, word)
    make.put("ff_logit_b", (TARGET_SIZE,))
    if not o["tie_decoder_embeddings"]:
        make.put("ff_logit_W", (word, TARGET_SIZE), -1.5, 1.5)
    return make.arrays


def vocabularies(shared: bool) -> tuple[vocabulary.Vocabulary, vocabulary.Vocabulary]:
    sizes = (TARGET_SIZE if shared else SOURCE_SIZE, TARGET_SIZE)
    source, target = (
        vocabulary.Vocabulary(unk=1, eos=0, pieces=["<eos>", "UNK", *(f"w{i}" for i in range(2, n))]) for n in sizes
    )
    source.add_eos = True
    return source, target


def _preset(name: str, **options: Any) -> Preset:
    def make(rng: np.random.Generator):
        given = {"dim": 7, "dim_word": 5, **options}
        arrays = weights(rng, given)
        source, target = vocabularies(given.get("tie_encoder_decoder_embeddings", False))
        checked = nematus.check_options(given, "options")
        model = nematus.build(checked, checkpoint.Weights(arrays), source, target)
        reference = oracle.Nematus(arrays, given)
        return model, [trace.greedy(reference, ids, None, 0, 12) for ids in sources(rng, source)]

    return Preset("Nematus " + name, make)


PRESETS = [
    _preset("GRU", model_version=0.1),
    _preset(
        "GRU, layer normalisation, transitions 2 and 4, tied output",
        layer_normalisation=True,
        enc_recurrence_transition_depth=2,
        dec_base_recurrence_transition_depth=4,
        tie_decoder_embeddings=True,
    ),
    _preset(
        "GRU, weight normalisation, encoder 3 alternating, decoder 2",
        weight_normalisation=True,
        enc_depth=3,
        dec_depth=2,
        dec_high_recurrence_transition_depth=2,
        tie_encoder_decoder_embeddings=True,
    ),
    _preset(
        "GRU, encoder 4 of which 2 alternating, layer normalisation, context into the upper layers",
        enc_depth=4,
        enc_depth_bidirectional=2,
        layer_normalisation=True,
        dec_depth=3,
        dec_deep_context=True,
        enc_recurrence_transition_depth=2,
    ),
    _preset(
        "GRU, attention in every layer, both normalisations",
        dec_depth=3,
        decoder_deep="gru_cond",
        layer_normalisation=True,
        weight_normalisation=True,
        dec_high_recurrence_transition_depth=3,
    ),
    _preset(
        "GRU, attention and context in the upper layer", dec_depth=2, decoder_deep="gru_cond", dec_deep_context=True
    ),
    _preset(
        "LSTM, transitions 2 and 3, decoder 2",
        encoder="lstm",
        decoder="lstm_cond",
        decoder_deep="lstm",
        dec_depth=2,
        enc_recurrence_transition_depth=2,
        dec_base_recurrence_transition_depth=3,
        enc_depth=2,
        dec_high_recurrence_transition_depth=2,
    ),
    _preset(
        "LSTM, attention in every layer",
        encoder="lstm",
        decoder="lstm_cond",
        decoder_deep="lstm_cond",
        dec_depth=2,
        weight_normalisation=True,
        dec_high_recurrence_transition_depth=2,
    ),
    _preset("GRU encoder, LSTM decoder", decoder="lstm_cond"),
    _preset(
        "version 0 trained with dropout, tied",
        use_dropout=True,
        dropout_embedding=0.2,
        dropout_hidden=0.3,
        dropout_source=0.1,
        dropout_target=0.15,
        model_version=0,
        tie_decoder_embeddings=True,
        dec_depth=2,
        layer_normalisation=True,
    ),
    _preset(
        "version 0 trained with dropout, attention in every layer",
        use_dropout=True,
        dropout_embedding=0.2,
        dropout_hidden=0.3,
        dec_depth=2,
        decoder_deep="gru_cond",
        weight_normalisation=True,
    ),
    _preset(
        "version 0.1 trained with dropout",
        use_dropout=True,
        dropout_embedding=0.2,
        dropout_hidden=0.3,
        model_version=0.1,
    ),
]
