"""tensorflow/nmt and GNMT."""

from __future__ import annotations

import numpy as np
from heed_export.presets import tensorflow_nmt
from heed_export.reading.checkpoint import Weights
from heed_export.model.vocabulary import Vocabulary
from reference import tensorflow_nmt as oracle
from reference import trace

from . import Preset, random_like, sources

UNITS = 6


def vocabulary(size: int) -> Vocabulary:
    return Vocabulary(unk=0, bos=1, eos=2, pieces=["<unk>", "<s>", "</s>"] + [f"w{i}" for i in range(size - 3)])


def cell(unit: str, scope: str, inputs: int) -> dict[str, tuple]:
    u = UNITS
    if unit == "gru":
        s = f"{scope}/gru_cell"
        return {
            f"{s}/gates/kernel": (inputs + u, 2 * u),
            f"{s}/gates/bias": (2 * u,),
            f"{s}/candidate/kernel": (inputs + u, u),
            f"{s}/candidate/bias": (u,),
        }
    if unit == "lstm":
        s = f"{scope}/basic_lstm_cell"
        return {f"{s}/kernel": (inputs + u, 4 * u), f"{s}/bias": (4 * u,)}
    s = f"{scope}/layer_norm_basic_lstm_cell"
    norms = ("input", "transform", "forget", "output", "state")
    return {f"{s}/kernel": (inputs + u, 4 * u)} | {f"{s}/{n}/{p}": (u,) for n in norms for p in ("gamma", "beta")}


def layers(unit: str, scope: str, inputs: int, count: int) -> dict[str, tuple]:
    shapes: dict[str, tuple] = {}
    for i in range(count):
        name = f"{scope}/multi_rnn_cell/cell_{i}" if count > 1 else scope
        shapes |= cell(unit, name, UNITS if i else inputs)
    return shapes


def preset(name: str, **fields) -> Preset:
    def make(rng: np.random.Generator):
        o = tensorflow_nmt.Options(**fields)
        u, source, target = UNITS, 21, 21
        shapes: dict[str, tuple] = {"decoder/output_projection/kernel": (u, target)}
        if o.share_vocab:
            shapes["embeddings/embedding_share"] = (source, u)
        else:
            shapes["embeddings/encoder/embedding_encoder"] = (source, u)
            shapes["embeddings/decoder/embedding_decoder"] = (target, u)
        memory = u if o.encoder_type != "bi" else 2 * u
        if o.encoder_type == "uni":
            shapes |= layers(o.unit_type, "encoder/rnn", u, o.num_layers)
        else:
            bi = o.num_layers // 2 if o.encoder_type == "bi" else 1
            for way in ("fw", "bw"):
                shapes |= layers(o.unit_type, f"encoder/bidirectional_rnn/{way}", u, bi)
            if o.encoder_type == "gnmt":
                shapes |= layers(o.unit_type, "encoder/rnn", 2 * u, o.num_layers - 1)
        if not o.attention:
            shapes |= layers(o.unit_type, "decoder", u, o.num_layers)
        elif o.attention_architecture == "standard":
            shapes |= layers(o.unit_type, "decoder/attention", 2 * u, o.num_layers)
            shapes["decoder/attention/attention_layer/kernel"] = (u + memory, u)
            scope = "decoder/attention"
        else:
            scope = "decoder/multi_rnn_cell/cell_0_attention/attention"
            shapes |= cell(o.unit_type, scope, u + memory)
            for i in range(1, o.num_layers):
                shapes |= cell(o.unit_type, f"decoder/multi_rnn_cell/cell_{i}", u + memory)
        if o.attention:
            shapes["decoder/memory_layer/kernel"] = (memory, u)
        if o.attention == "scaled_luong":
            shapes[f"{scope}/luong_attention/attention_g"] = ()
        if "bahdanau" in o.attention:
            s = f"{scope}/bahdanau_attention"
            shapes |= {f"{s}/attention_v": (u,), f"{s}/query_layer/kernel": (u, u)}
            if o.attention == "normed_bahdanau":
                shapes |= {f"{s}/attention_g": (), f"{s}/attention_b": (u,)}
        w = {n: np.asarray(v) for n, v in random_like(rng, shapes, 0.8).items()}
        model = tensorflow_nmt.build(o, Weights(w), vocabulary(source), vocabulary(target))
        reference = oracle.Model(oracle.Options(**fields), w)
        return model, [trace.greedy(reference, s, 1, 2, 12) for s in sources(rng, model.source)]

    return Preset(f"tensorflow/nmt {name}", make)


GNMT = dict(encoder_type="gnmt", num_layers=3, num_residual_layers=1)
PRESETS = [
    preset("uni LSTM, Luong"),
    preset("bi LSTM 4 layers, residual, scaled Luong", encoder_type="bi", num_layers=4, num_residual_layers=2,
           attention="scaled_luong"),
    preset("bi GRU, Bahdanau, output from the state", encoder_type="bi", unit_type="gru", attention="bahdanau",
           output_attention=False),
    preset("uni LSTM with layer norm, normed Bahdanau", unit_type="layer_norm_lstm", attention="normed_bahdanau"),
    preset("bi LSTM, zero start, shared vocabulary", encoder_type="bi", pass_hidden_state=False, share_vocab=True),
    preset("uni LSTM without attention", attention="", num_residual_layers=1),
    preset("GNMT v1, normed Bahdanau", **GNMT, attention="normed_bahdanau", attention_architecture="gnmt"),
    preset("GNMT v2, scaled Luong", **GNMT, attention="scaled_luong", attention_architecture="gnmt_v2"),
    preset("GNMT v2 GRU, Bahdanau", **GNMT, unit_type="gru", attention="bahdanau", attention_architecture="gnmt_v2"),
]  # fmt: skip
