"""JoeyNMT's recurrent models."""

from __future__ import annotations

import numpy as np
from heed_export.importers import joeynmt
from heed_export.reading.checkpoint import Weights
from heed_export.model.vocabulary import Vocabulary
from reference import joeynmt as oracle
from reference import trace

from . import Preset, random_like, sources
from .torch_shapes import stack

SPECIALS = ["<unk>", "<pad>", "<s>", "</s>"]


def vocabulary(size: int, side: str) -> Vocabulary:
    pieces = SPECIALS + [f"{side}{i}" for i in range(size - 4)]
    return Vocabulary(unk=0, special=[1], bos=2, eos=3, pieces=pieces, add_eos=side == "s")


def preset(name: str, tied: bool = False, half: bool = False, **fields) -> Preset:
    """`tied`: the output is the target embedding; `half`: the decoder has the size of one encoder direction."""

    def make(rng: np.random.Generator):
        o = joeynmt.Options(**fields)
        e, h, source, target = 8, 5, 23, 19
        d = e if tied else h if half else 2 * h
        shapes = {
            "src_embed.lut.weight": (source, e),
            "trg_embed.lut.weight": (target, e),
            **stack(o.encoder_type, "encoder.rnn.", e, h, o.encoder_layers, True),
            **stack(o.decoder_type, "decoder.rnn.", e + d * o.input_feeding, d, o.decoder_layers, False),
            "decoder.att_vector_layer.weight": (d, d + 2 * h),
            "decoder.att_vector_layer.bias": (d,),
            "decoder.output_layer.weight": (target, d),
            "decoder.attention.key_layer.weight": (d, 2 * h),
        }
        if o.attention == "bahdanau":
            shapes |= {"decoder.attention.query_layer.weight": (d, d), "decoder.attention.energy_layer.weight": (1, d)}
        if o.init_hidden == "bridge":
            shapes |= {"decoder.bridge_layer.weight": (d, 2 * h), "decoder.bridge_layer.bias": (d,)}
        w = random_like(rng, shapes)
        if tied:
            w["decoder.output_layer.weight"] = w["trg_embed.lut.weight"]
        model = joeynmt.build(o, Weights(w), vocabulary(source, "s"), vocabulary(target, "t"))
        reference = oracle.Model(oracle.Options(**fields), w)
        return model, [trace.greedy(reference, s, 2, 3, 12) for s in sources(rng, model.source)]

    return Preset(f"JoeyNMT {name}", make)


LSTM = dict(encoder_type="lstm", decoder_type="lstm")
PRESETS = [
    preset("GRU, Bahdanau, bridge"),
    preset("LSTM, Luong, bridge", **LSTM, attention="luong"),
    preset("GRU 2 layers, Luong, last, no input feeding", encoder_layers=2, decoder_layers=2, attention="luong",
           init_hidden="last", input_feeding=False),
    preset("LSTM 2 layers, Bahdanau, last (forward half)", half=True, **LSTM, encoder_layers=2, decoder_layers=2,
           init_hidden="last"),
    preset("GRU to LSTM, zero, scaled and tied embeddings", tied=True, decoder_type="lstm", init_hidden="zero",
           source_scale=True, target_scale=True),
    preset("GRU, relu", activation="relu"),
]  # fmt: skip
