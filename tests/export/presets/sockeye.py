"""Sockeye 1.x."""

from __future__ import annotations

import numpy as np
from heed_export.presets import sockeye
from heed_export.reading.checkpoint import Weights
from heed_export.model.vocabulary import Vocabulary
from reference import sockeye as oracle
from reference import trace

from . import Preset, random_like, sources


def vocabulary(size: int, side: str) -> Vocabulary:
    pieces = ["<pad>", "<unk>", "<s>", "</s>"] + [f"{side}{i}" for i in range(size - 4)]
    return Vocabulary(unk=1, special=[0], bos=2, eos=3, pieces=pieces, add_eos=side == "s")


def cell(kind: str, prefix: str, inputs: int, h: int) -> dict[str, tuple]:
    k = 3 if "gru" in kind else 4
    shapes: dict[str, tuple] = {
        f"{prefix}i2h_weight": (k * h, inputs),
        f"{prefix}h2h_weight": (k * h, h),
        f"{prefix}i2h_bias": (k * h,),
        f"{prefix}h2h_bias": (k * h,),
    }
    if kind in ("lnlstm", "lngru"):
        shapes |= {f"{prefix}{n}_{p}": (k * h,) for n in ("i2h", "h2h") for p in ("scale", "shift")}
    if kind == "lnlstm":
        shapes |= {f"{prefix}c_scale": (h,), f"{prefix}c_shift": (h,)}
    if kind == "lnglstm":
        shapes |= {f"{prefix}{n}_{p}": (h,) for n in "ifcos" for p in ("scale", "shift")}
    return shapes


def shapes_of(o: sockeye.Options, e: int, h: int, a: int, source: int, target: int) -> dict[str, tuple]:
    shapes = {"source_embed_weight": (source, e), "target_embed_weight": (target, e)}
    for way in ("forward", "reverse"):
        shapes |= cell(o.cell_type, f"encoder_birnn_{way}_l0_", e, h // 2)
    for layer in range(o.encoder_layers - 1):
        shapes |= cell(o.cell_type, f"encoder_rnn_l{layer}_", h, h)
    word = e + h * o.enc_last_hidden_concat_to_embedding
    below = 1 if o.attention_in_upper_layers else o.decoder_layers
    for layer in range(below):
        shapes |= cell(o.cell_type, f"decoder_rnn_l{layer}_", h if layer else word + h, h)
    for layer in range(o.decoder_layers - below):
        shapes |= cell(o.cell_type, f"decoder_rnn_upper_l{layer}_", 2 * h, h)
    if o.state_init != "zero":
        for i in range(o.decoder_layers * (1 if "gru" in o.cell_type else 2)):
            n = f"decoder_rnn_enc2decinit_{i}"
            shapes |= {f"{n}_weight": (h, h), f"{n}_bias": (h,)}
            if o.layer_normalization:
                shapes |= {f"{n}_norm_gamma": (h,), f"{n}_norm_beta": (h,)}
    query = h + word * o.attention_use_prev_word
    p = "decoder_rnn_att_"
    if o.attention == "bilinear":
        shapes[f"{p}s2t_weight"] = (query, h)
    elif o.attention == "dot":
        shapes |= {f"{p}s2h_weight": (a, h), f"{p}t2h_weight": (a, query)}
    else:
        shapes |= {f"{p}e2h_weight": (a, h), f"{p}q2h_weight": (a, query), f"{p}h2s_weight": (1, a)}
        if o.attention == "cov":
            shapes[f"{p}c2h_weight"] = (a, 1)
    if o.context_gating:
        shapes |= {"decoder_rnn_gate_weight": (h, 2 * h), "decoder_rnn_gate_bias": (h,)}
        for n in ("mapped_rnn_output", "mapped_context"):
            shapes |= {f"decoder_rnn_{n}_weight": (h, h), f"decoder_rnn_{n}_bias": (h,)}
    else:
        shapes |= {"decoder_rnn_hidden_weight": (h, 2 * h), "decoder_rnn_hidden_bias": (h,)}
    if o.layer_normalization:
        shapes |= {"decoder_rnn_hidden_norm_gamma": (h,), "decoder_rnn_hidden_norm_beta": (h,)}
    return shapes | {"target_output_weight": (target, h), "target_output_bias": (target,)}


def preset(name: str, **fields) -> Preset:
    def make(rng: np.random.Generator):
        o = sockeye.Options(**fields)
        w = random_like(rng, shapes_of(o, 7, 8, 5, 22, 19), 0.7)
        model = sockeye.build(o, Weights(w), vocabulary(22, "s"), vocabulary(19, "t"))
        reference = oracle.Model(oracle.Options(**fields), w)
        return model, [trace.greedy(reference, s, 2, 3, 12) for s in sources(rng, model.source)]

    return Preset(f"Sockeye {name}", make)


PRESETS = [
    preset("LSTM, mlp, last"),
    preset("LSTM 3 layers, residual, bilinear, average", encoder_layers=3, encoder_first_residual_layer=2,
           decoder_layers=3, decoder_first_residual_layer=2, attention="bilinear", state_init="avg"),
    preset("GRU, scaled dot, previous word in the query", cell_type="gru", attention="dot", attention_scaled=True,
           attention_use_prev_word=True),
    preset("LSTM, coverage (count)", attention="cov"),
    preset("LSTM 3 layers, attention in upper layers", decoder_layers=3, decoder_first_residual_layer=2,
           attention_in_upper_layers=True, state_init="zero"),
    preset("GRU, context gating, last encoder state", cell_type="gru", context_gating=True,
           enc_last_hidden_concat_to_embedding=True),
    preset("LSTM with layer norm (lnlstm), normed states", cell_type="lnlstm", layer_normalization=True),
    preset("LSTM with layer norm per gate (lnglstm)", cell_type="lnglstm", encoder_layers=2),
    preset("GRU with layer norm (lngru), coverage", cell_type="lngru", attention="cov"),
]  # fmt: skip
