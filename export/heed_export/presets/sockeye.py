"""Sockeye 1.x's recurrent models as programs: build() takes the .params file's arrays as NumPy (reading MXNet's files
is the caller's: mx.nd.load), under their names.

What the toolkit computes: sockeye/{encoder,decoder,rnn,rnn_attention,coverage}.py at 1.18; export/reference/sockeye.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..model.builder import ZERO, Model, Value
from ..model.layers import Cell, Norm
from ..model.vocabulary import Vocabulary
from ..reading.checkpoint import Weights


@dataclass(frozen=True)
class Options:
    cell_type: str = "lstm"  # lstm | gru | lnlstm | lnglstm | lngru
    encoder_layers: int = 1  # the first bidirectional, each way half as wide
    encoder_first_residual_layer: int = 0  # from 1; 0: none
    decoder_layers: int = 1
    decoder_first_residual_layer: int = 0
    state_init: str = "last"  # last | avg | zero
    attention: str = "mlp"  # mlp | bilinear | dot | cov (mlp with coverage of type count)
    attention_use_prev_word: bool = False
    attention_scaled: bool = False  # dot
    attention_in_upper_layers: bool = False
    context_gating: bool = False
    enc_last_hidden_concat_to_embedding: bool = False
    layer_normalization: bool = False  # of initial states and the attention vector


EPSILON = 1e-6  # sockeye/layers.py LayerNormalization


def cell(kind: str, w: Weights, prefix: str) -> Cell:
    """MXNet's gate order and reset are torch's. Norms: sockeye/rnn.py."""
    part = {n: w.get(f"{prefix}{n}") for n in ("i2h_weight", "h2h_weight", "i2h_bias", "h2h_bias")}
    if kind in ("lstm", "gru"):
        return Cell.of(kind, *part.values())
    if kind == "lnglstm":  # the sum is normalised, gate by gate; scales are stored as `_shift`, shifts as `_scale`
        scale, shift = (np.concatenate([w[f"{prefix}{g}_{n}"] for g in "ifco"]) for n in ("shift", "scale"))
        norm = Norm("blocks", EPSILON, scale, shift, cell_scale=w[f"{prefix}s_shift"], cell_bias=w[f"{prefix}s_scale"])
        return Cell("lstm", part["i2h_weight"], part["h2h_weight"], part["i2h_bias"] + part["h2h_bias"], norm=norm)
    norm = Norm(
        "all",
        EPSILON,
        w[f"{prefix}i2h_scale"],
        w[f"{prefix}i2h_shift"] + part["i2h_bias"],
        w[f"{prefix}h2h_scale"],
        w[f"{prefix}h2h_shift"] + part["h2h_bias"],
    )
    if kind == "lngru":
        return Cell("gru", part["i2h_weight"], part["h2h_weight"], reset="after", norm=norm)
    norm.cell_scale, norm.cell_bias = w[f"{prefix}c_scale"], w[f"{prefix}c_shift"]
    return Cell("lstm", part["i2h_weight"], part["h2h_weight"], norm=norm)


def _encoder(m: Model, o: Options, w: Weights) -> Value:
    x = m.encoder.embed("source_embedding", w["source_embed_weight"])
    cells = [cell(o.cell_type, w, f"encoder_birnn_{way}_l0_") for way in ("forward", "reverse")]
    x = m.encoder.birnn("layer1", x, *cells)
    for layer in range(2, o.encoder_layers + 1):
        out = m.encoder.rnn(f"layer{layer}", x, cell(o.cell_type, w, f"encoder_rnn_l{layer - 2}_"))
        if o.encoder_first_residual_layer and layer >= o.encoder_first_residual_layer:
            out = m.encoder.add(f"layer{layer}_residual", [out, x])
        x = out
    return x


def _firsts(m: Model, o: Options, w: Weights, memory: Value) -> list:
    """First (h, c) of every decoder layer."""
    has_c = "gru" not in o.cell_type
    if o.state_init == "zero":
        return [(ZERO, ZERO if has_c else None)] * o.decoder_layers
    pooled = m.encoder.pool("pooled", memory, "last" if o.state_init == "last" else "mean")
    made = []
    for index in range(o.decoder_layers * (1 + has_c)):
        n = f"decoder_rnn_enc2decinit_{index}"
        if o.layer_normalization:
            s = m.init.linear(f"projected{index}", pooled, w[f"{n}_weight"], w[f"{n}_bias"])
            s = m.init.layer_norm(f"normed{index}", s, w[f"{n}_norm_gamma"], w[f"{n}_norm_beta"], EPSILON)
            made.append(m.init.activation(f"first{index}", s, "tanh"))
        else:
            made.append(m.init.linear(f"first{index}", pooled, w[f"{n}_weight"], w[f"{n}_bias"], "tanh"))
    return list(zip(made[::2], made[1::2])) if has_c else [(s, None) for s in made]


def _attend(m: Model, o: Options, w: Weights, query: Any, memory: Value) -> Value:
    a = "decoder_rnn_att_"
    if o.attention == "bilinear":
        return m.step.attend("attention", "general", query, memory, key_weight=w[f"{a}s2t_weight"])
    if o.attention == "dot":
        size = w[f"{a}s2h_weight"].shape[0] if f"{a}s2h_weight" in w else memory.size
        return m.step.attend(
            "attention", "dot", query, memory, key_weight=w.get(f"{a}s2h_weight"), query_weight=w.get(f"{a}t2h_weight"),
            scale=size**-0.5 if o.attention_scaled else None,
        )  # fmt: skip
    coverage = {}
    if o.attention == "cov":
        coverage = {"coverage": m.step.previous("coverage", positions=1), "coverage_weight": w[f"{a}c2h_weight"]}
    context = m.step.attend(
        "attention", "additive", query, memory, query_weight=w[f"{a}q2h_weight"], key_weight=w[f"{a}e2h_weight"],
        v=w[f"{a}h2s_weight"], **coverage,
    )  # fmt: skip
    if coverage:
        m.step.add("coverage", [coverage["coverage"], context.weights])
    return context


def _cells(
    m: Model, o: Options, w: Weights, x: Any, firsts: list, base: int, prefix: str, context: Value | None = None
):
    """Stacked cells above the `base` lowest layers; `x` is the list of the first one's inputs, or a value."""
    for i, (h, c) in enumerate(firsts):
        inputs = x if context is None else [x, context]
        state = m.step.cell(f"state{base + i + 1}", inputs, cell(o.cell_type, w, f"{prefix}l{i}_"), h, first_c=c)
        first = o.decoder_first_residual_layer
        if first and base + i + 1 >= first:
            state = m.step.add(f"residual{base + i + 1}", [state, x])
        x = state
    return x


def _vector(m: Model, o: Options, w: Weights, x: Value, context: Value) -> Value:
    """The attention vector, fed back as `attended`."""
    d = "decoder_rnn_"
    if o.context_gating:
        gate = m.step.linear("gate", [x, context], w[f"{d}gate_weight"], w[f"{d}gate_bias"], "sigmoid")
        of_state = m.step.linear("gated_state", x, w[f"{d}mapped_rnn_output_weight"], w[f"{d}mapped_rnn_output_bias"])
        of_context = m.step.linear(
            "gated_context", context, w[f"{d}mapped_context_weight"], w[f"{d}mapped_context_bias"]
        )
        value = m.step.lerp("mixed", gate, of_context, of_state)
    elif o.layer_normalization:
        value = m.step.linear("mixed", [x, context], w[f"{d}hidden_weight"], w[f"{d}hidden_bias"])
    else:
        return m.step.linear("attended", [x, context], w[f"{d}hidden_weight"], w[f"{d}hidden_bias"], "tanh")
    if o.layer_normalization:
        value = m.step.layer_norm("normed", value, w[f"{d}hidden_norm_gamma"], w[f"{d}hidden_norm_beta"], EPSILON)
    return m.step.activation("attended", value, "tanh")


def build(options: Options, weights: Weights, source: Vocabulary, target: Vocabulary) -> Model:
    """The model; `target.bos` starts it. Raises CheckpointError for an array that is missing, BuildError for shapes."""
    o, w = options, weights
    m = Model(source, target)
    memory = _encoder(m, o, w)
    firsts = _firsts(m, o, w, memory)
    hidden = w["decoder_rnn_l0_h2h_weight"].shape[1]
    word = [m.step.embed("target_embedding", w["target_embed_weight"])]
    if o.enc_last_hidden_concat_to_embedding:
        word.append(m.encoder.pool("last_state", memory, "last"))
    below = 1 if o.attention_in_upper_layers else o.decoder_layers
    x = _cells(m, o, w, [*word, m.step.previous("attended", size=hidden)], firsts[:below], 0, "decoder_rnn_")
    context = _attend(m, o, w, [*word, x] if o.attention_use_prev_word else x, memory)
    if o.attention_in_upper_layers:
        x = _cells(m, o, w, x, firsts[below:], below, "decoder_rnn_upper_", context)
    m.step.output("prediction", _vector(m, o, w, x, context), w["target_output_weight"], w.get("target_output_bias"))
    m.start_with(target.bos)
    return m
