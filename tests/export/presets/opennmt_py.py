"""OpenNMT-py's recurrent models: every option that heed runs, alone and in unusual company."""

from __future__ import annotations

import numpy as np
from heed_export.importers import opennmt_py
from heed_export.reading.checkpoint import Weights
from heed_export.importers.opennmt_py import BOS, EOS, PAD, UNK, Options
from heed_export.model.vocabulary import pretokenized

from . import Preset, random_like, sources

LENGTH = 12
SOURCE = [UNK, PAD] + [f"w{i}" for i in range(16)]
TARGET = [UNK, PAD, BOS, EOS] + [f"w{i}" for i in range(6, 18)]  # part of the source's words are the target's too
EMBEDDING, HIDDEN = 5, 6


def rnn_shapes(prefix: str, suffix: str, kind: str, inputs: int, hidden: int) -> dict[str, tuple]:
    """The tensors of one layer and direction of torch.nn.{LSTM,GRU}, or of their cells (suffix "")."""
    k = {"LSTM": 4, "GRU": 3}[kind]
    return {
        f"{prefix}weight_ih{suffix}": (k * hidden, inputs),
        f"{prefix}weight_hh{suffix}": (k * hidden, hidden),
        f"{prefix}bias_ih{suffix}": (k * hidden,),
        f"{prefix}bias_hh{suffix}": (k * hidden,),
    }


def attention_shapes(prefix: str, kind: str, d: int) -> dict[str, tuple]:
    shapes: dict[str, tuple] = {f"{prefix}.linear_out.weight": (d, 2 * d)}
    if kind == "general":
        shapes[f"{prefix}.linear_in.weight"] = (d, d)
    elif kind == "mlp":
        shapes |= {
            f"{prefix}.linear_context.weight": (d, d),
            f"{prefix}.linear_query.weight": (d, d),
            f"{prefix}.linear_query.bias": (d,),
            f"{prefix}.v.weight": (1, d),
            f"{prefix}.linear_out.bias": (d,),
        }
    return shapes


def shapes_of(o: Options, layers: int, embedding: int, d: int, source: int, target: int) -> dict[str, tuple]:
    """Every tensor of such a model, named as OpenNMT-py 1.x to 3.x names it."""
    shapes: dict[str, tuple] = {
        "encoder.embeddings.make_embedding.emb_luts.0.weight": (source, embedding),
        "decoder.embeddings.make_embedding.emb_luts.0.weight": (target, embedding),
    }
    ways = ("", "_reverse") if o.encoder_type == "brnn" else ("",)
    h = d // len(ways)
    if o.encoder_type != "mean":
        for layer in range(layers):
            for way in ways:
                inputs = d if layer else embedding
                shapes |= rnn_shapes("encoder.rnn.", f"_l{layer}{way}", o.rnn_type, inputs, h)
    if o.bridge:
        for i in range(2 if o.rnn_type == "LSTM" else 1):
            shapes |= {
                f"encoder.bridge.{i}.weight": (layers * h, layers * h),
                f"encoder.bridge.{i}.bias": (layers * h,),
            }
    inputs = embedding + d if o.input_feed else embedding
    for layer in range(layers):
        prefix, suffix = (f"decoder.rnn.layers.{layer}.", "") if o.input_feed else ("decoder.rnn.", f"_l{layer}")
        shapes |= rnn_shapes(prefix, suffix, o.rnn_type, d if layer else inputs, d)
    if o.global_attention != "none":
        shapes |= attention_shapes("decoder.attn", o.global_attention, d)
    if o.coverage_attn:
        shapes["decoder.attn.linear_cover.weight"] = (d, 1)
    if o.context_gate:
        g = "decoder.context_gate.context_gate."
        shapes |= {
            f"{g}gate.weight": (d, inputs + 2 * d),
            f"{g}gate.bias": (d,),
            f"{g}source_proj.weight": (d, d),
            f"{g}source_proj.bias": (d,),
            f"{g}target_proj.weight": (d, inputs + d),
            f"{g}target_proj.bias": (d,),
        }
    if o.copy_attn:
        if not o.reuse_copy_attn:
            shapes |= attention_shapes("decoder.copy_attn", o.copy_attn_type, d)
        return shapes | {
            "generator.linear.weight": (target, d),
            "generator.linear.bias": (target,),
            "generator.linear_copy.weight": (1, d),
            "generator.linear_copy.bias": (1,),
        }
    return shapes | {"generator.0.weight": (target, d), "generator.0.bias": (target,)}


def make(o: Options, layers: int = 1, embedding: int = EMBEDDING, tied: bool = False):
    def preset(rng: np.random.Generator):
        source_pieces = TARGET if o.share_embeddings else SOURCE
        shapes = shapes_of(
            o,
            layers,
            HIDDEN if tied or o.encoder_type == "mean" else embedding,
            HIDDEN,
            len(source_pieces),
            len(TARGET),
        )
        weights = random_like(rng, shapes)
        for name in weights:  # so that one token leads to another, and not all to one
            if ".emb_luts." in name or name.startswith("generator.") and "copy" not in name:
                weights[name] *= 3
        if o.share_embeddings:
            table = "embeddings.make_embedding.emb_luts.0.weight"
            weights[f"decoder.{table}"] = weights[f"encoder.{table}"]
        if tied:
            weights["generator.0.weight"] = weights["decoder.embeddings.make_embedding.emb_luts.0.weight"]
        source = opennmt_py.make_vocabulary("preset", "source", source_pieces, pretokenized(), False)
        target = opennmt_py.make_vocabulary("preset", "target", TARGET, pretokenized(), False)
        model = opennmt_py.build(o, Weights(weights), source, target)
        trace = opennmt_py.oracle(o, weights, source, target)
        return model, [trace(ids, LENGTH) for ids in sources(rng, source)]

    return preset


def _options(encoder: str, rnn: str, attention: str, **more) -> Options:
    return Options(encoder_type=encoder, rnn_type=rnn, global_attention=attention, **more)


_TABLE = [
    ("rnn LSTM, general, input feed (2017)", _options("rnn", "LSTM", "general"), {}),
    ("brnn LSTM, 2 layers, dot, bridge", _options("brnn", "LSTM", "dot", bridge=True), {"layers": 2}),
    ("brnn GRU, 3 layers, mlp, bridge", _options("brnn", "GRU", "mlp", bridge=True), {"layers": 3}),
    ("brnn LSTM, 1 layer, general, bridge", _options("brnn", "LSTM", "general", bridge=True), {}),
    ("rnn GRU, 2 layers, general, no input feed", _options("rnn", "GRU", "general", input_feed=False), {"layers": 2}),
    ("brnn LSTM, 2 layers, mlp, no input feed", _options("brnn", "LSTM", "mlp", input_feed=False), {"layers": 2}),
    ("brnn LSTM, general, context gate source", _options("brnn", "LSTM", "general", context_gate="source"), {}),
    (
        "rnn GRU, mlp, context gate target, no input feed",
        _options("rnn", "GRU", "mlp", context_gate="target", input_feed=False),
        {},
    ),
    ("brnn GRU, dot, context gate both", _options("brnn", "GRU", "dot", context_gate="both"), {}),
    ("brnn LSTM, general, sparsemax", _options("brnn", "LSTM", "general", global_attention_function="sparsemax"), {}),
    (
        "rnn LSTM, mlp, sparsemax, coverage_attn",
        _options("rnn", "LSTM", "mlp", global_attention_function="sparsemax", coverage_attn=True),
        {},
    ),
    ("mean, LSTM, 2 layers, general", _options("mean", "LSTM", "general"), {"layers": 2}),
    ("mean, GRU, mlp", _options("mean", "GRU", "mlp"), {}),
    ("no attention, input feed", _options("brnn", "LSTM", "none"), {"layers": 2}),
    ("no attention, no input feed", _options("rnn", "GRU", "none", input_feed=False), {}),
    ("no attention, context gate both", _options("brnn", "LSTM", "none", context_gate="both"), {}),
    (
        "shared embeddings, tied generator",
        _options("brnn", "LSTM", "general", share_embeddings=True, share_decoder_embeddings=True),
        {"tied": True},
    ),
    ("copy attention general, own", _options("brnn", "LSTM", "general", copy_attn=True), {}),
    ("copy attention mlp, own, beside dot", _options("rnn", "GRU", "dot", copy_attn=True, copy_attn_type="mlp"), {}),
    (
        "copy attention reused, mlp",
        _options("brnn", "LSTM", "mlp", copy_attn=True, reuse_copy_attn=True, coverage_attn=True),
        {"layers": 2},
    ),
    (
        "copy attention reused, sparsemax, context gate target",
        _options(
            "brnn",
            "GRU",
            "general",
            copy_attn=True,
            reuse_copy_attn=True,
            context_gate="target",
            global_attention_function="sparsemax",
        ),
        {},
    ),
    ("copy attention alone", _options("brnn", "LSTM", "none", copy_attn=True, copy_attn_type="general"), {}),
]

PRESETS = [Preset(f"OpenNMT-py: {name}", make(options, **more), LENGTH) for name, options, more in _TABLE]
