"""Bahdanau et al. 2015, AllenNLP, the PyTorch tutorials."""

from __future__ import annotations

import numpy as np
from heed_export.presets import small_models
from heed_export.reading.checkpoint import Weights
from heed_export.model.vocabulary import Vocabulary
from reference import allennlp, bahdanau2014, pytorch_tutorial, trace

from . import Preset, random_like, sources
from .torch_shapes import cell, stack


def vocabulary(size: int, side: str, add_eos: bool) -> Vocabulary:
    pieces = ["<s>", "</s>", "<unk>"] + [f"{side}{i}" for i in range(size - 3)]
    return Vocabulary(unk=2, bos=0, eos=1, pieces=pieces, add_eos=add_eos)


SOURCE, TARGET = 21, 17


def sides(add_eos: bool) -> tuple[Vocabulary, Vocabulary]:
    return vocabulary(SOURCE, "s", add_eos), vocabulary(TARGET, "t", False)


def bahdanau(biases: bool) -> Preset:
    def make(rng: np.random.Generator):
        e, h, d, a, readout = 6, 5, 7, 8, 10
        shapes: dict[str, tuple] = {"E": (SOURCE, e), "Ey": (TARGET, e), "W_s": (d, h), "W_o": (TARGET, readout // 2)}
        for way in ("enc_f_", "enc_b_"):
            for g in ("", "_z", "_r"):
                shapes |= {f"{way}W{g}": (h, e), f"{way}U{g}": (h, h)}
        for g in ("", "_z", "_r"):
            shapes |= {f"W{g}": (d, e), f"U{g}": (d, d), f"C{g}": (d, 2 * h)}
        shapes |= {"W_a": (a, d), "U_a": (a, 2 * h), "v_a": (a,)}
        shapes |= {"U_o": (readout, d), "V_o": (readout, e), "C_o": (readout, 2 * h)}
        if biases:
            shapes |= {"b_s": (d,), "b_a": (a,), "b_o": (readout,)}
            shapes |= {f"{p}b{g}": (n,) for p, n in (("enc_f_", h), ("enc_b_", h), ("", d)) for g in ("", "_z", "_r")}
        w = random_like(rng, shapes, 0.8)
        model = small_models.bahdanau2014(Weights(w), *sides(True))
        reference = bahdanau2014.Model(w)
        return model, [trace.greedy(reference, s, 0, 1, 12) for s in sources(rng, model.source)]

    return Preset(f"Bahdanau et al. 2015, {'with' if biases else 'without'} biases", make)


def allen(name: str, **fields) -> Preset:
    def make(rng: np.random.Generator):
        o = allennlp.Options(**fields)
        e, h = 6, 5
        d = h * (1 + o.bidirectional)
        shapes = {
            "_source_embedder.token_embedder_tokens.weight": (SOURCE, e),
            "_target_embedder.weight": (TARGET, e),
            **stack("lstm", "_encoder._module.", e, h, o.encoder_layers, o.bidirectional),
            **cell("lstm", "_decoder_cell.", e + (d if o.attention else 0), d),
            "_output_projection_layer.weight": (TARGET, d),
            "_output_projection_layer.bias": (TARGET,),
        }
        if o.attention == "bilinear":
            shapes["_attention._weight_matrix"] = (d, d)
        if o.attention == "additive":
            shapes |= {
                "_attention._w_matrix": (d, d),
                "_attention._u_matrix": (d, d),
                "_attention._v_vector": (d, 1),
            }
        w = random_like(rng, shapes, 0.8)
        model = small_models.allennlp(Weights(w), *sides(True), **fields)
        reference = allennlp.Model(o, w)
        return model, [trace.greedy(reference, s, 0, 1, 12) for s in sources(rng, model.source)]

    return Preset(f"AllenNLP {name}", make)


def tutorial(name: str, **fields) -> Preset:
    def make(rng: np.random.Generator):
        o = pytorch_tutorial.Options(**fields)
        h = 6
        x = h if o.variant == "location" else 2 * h
        shapes = {
            "encoder.embedding.weight": (SOURCE, h),
            "decoder.embedding.weight": (TARGET, h),
            **stack("gru", "encoder.gru.", h, h, 1, False),
            **stack("gru", "decoder.gru.", x, h, 1, False),
            "decoder.out.weight": (TARGET, 2 * h if o.variant == "practical" else h),
            "decoder.out.bias": (TARGET,),
        }
        if o.variant == "location":
            shapes |= {"decoder.attn.weight": (o.max_length, 2 * h), "decoder.attn.bias": (o.max_length,)}
            shapes |= {"decoder.attn_combine.weight": (h, 2 * h), "decoder.attn_combine.bias": (h,)}
        elif o.variant == "additive":
            for n, out in (("Wa", h), ("Ua", h), ("Va", 1)):
                shapes |= {f"decoder.attention.{n}.weight": (out, h), f"decoder.attention.{n}.bias": (out,)}
        elif o.score == "general":
            shapes |= {"decoder.attn.attn.weight": (h, h), "decoder.attn.attn.bias": (h,)}
        w = random_like(rng, shapes, 0.8)
        model = small_models.pytorch_tutorial(Weights(w), *sides(True), **fields)
        reference = pytorch_tutorial.Model(o, w)
        return model, [trace.greedy(reference, s, 0, 1, 12) for s in sources(rng, model.source)]

    return Preset(f"PyTorch tutorial, {name}", make)


PRESETS = [
    bahdanau(False),
    bahdanau(True),
    allen("dot product"),
    allen("bidirectional, additive", bidirectional=True, attention="additive"),
    allen("2 layers, bilinear", encoder_layers=2, attention="bilinear"),
    allen("without attention", attention=None),
    tutorial("location over 10 slots (before 2023)", variant="location"),
    tutorial("additive (since 2023)", variant="additive"),
    tutorial("practical-pytorch, general", variant="practical"),
    tutorial("practical-pytorch, dot", variant="practical", score="dot"),
]
