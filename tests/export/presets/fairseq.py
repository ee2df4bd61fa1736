"""fairseq's lstm architectures."""

from __future__ import annotations

import numpy as np
from heed_export.importers import fairseq
from heed_export.reading.checkpoint import Weights
from heed_export.model.vocabulary import Vocabulary
from reference import fairseq as oracle
from reference import trace

from . import Preset, random_like, sources
from .torch_shapes import cell, stack


def vocabulary(size: int, side: str) -> Vocabulary:
    pieces = ["<s>", "<pad>", "</s>", "<unk>"] + [f"{side}{i}" for i in range(size - 4)]
    return Vocabulary(unk=3, special=[1], bos=0, eos=2, pieces=pieces, add_eos=side == "s")


def preset(name: str, projected: bool = False, readout: bool = False, **fields) -> Preset:
    """`projected`: the decoder's size is not the encoder's; `readout`: nor is the output embedding's the decoder's."""

    def make(rng: np.random.Generator):
        o = fairseq.Options(**fields)
        e, h, source, target = 7, 6, 22, 18
        memory = h * (1 + o.bidirectional)
        d = memory + 3 if projected else memory
        out = e if o.share_decoder_input_output_embed or readout else d
        shapes = {
            "encoder.embed_tokens.weight": (source, e),
            "decoder.embed_tokens.weight": (target, e),
            **stack("lstm", "encoder.lstm.", e, h, o.layers, o.bidirectional),
        }
        for i in range(o.layers):
            shapes |= cell("lstm", f"decoder.layers.{i}.", d if i else e + d, d)
        if projected:
            for n in ("hidden", "cell"):
                shapes |= {f"decoder.encoder_{n}_proj.weight": (d, memory), f"decoder.encoder_{n}_proj.bias": (d,)}
        if o.attention:
            shapes |= {
                "decoder.attention.input_proj.weight": (memory, d),
                "decoder.attention.output_proj.weight": (d, d + memory),
            }
        if out != d:
            shapes |= {"decoder.additional_fc.weight": (out, d), "decoder.additional_fc.bias": (out,)}
        if not o.share_decoder_input_output_embed:
            shapes |= {"decoder.fc_out.weight": (target, out), "decoder.fc_out.bias": (target,)}
        w = random_like(rng, shapes)
        model = fairseq.build(o, Weights(w), vocabulary(source, "s"), vocabulary(target, "t"))
        reference = oracle.Model(oracle.Options(**fields), w)
        return model, [trace.greedy(reference, s, 2, 2, 12) for s in sources(rng, model.source)]

    return Preset(f"fairseq {name}", make)


PRESETS = [
    preset("lstm"),
    preset("lstm, bidirectional, 2 layers", bidirectional=True, layers=2),
    preset("lstm, bidirectional, projected states, additional_fc", projected=True, readout=True, bidirectional=True),
    preset("lstm, shared embeddings", share_decoder_input_output_embed=True),
    preset("lstm without attention, 2 layers", attention=False, layers=2),
]
