"""Marian's models with random weights, each option at least once. The names and shapes are those that marian-dev's
graph asks for: src/models/s2s.h and transformer.h, src/rnn/cells.h, src/rnn/attention.h, src/layers/generic.h and
output.cpp."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any, Sequence

import numpy as np
from heed_export.importers import marian
from heed_export.marian import s2s
from heed_export.model import vocabulary
from heed_export.reading import checkpoint
from reference import marian as oracle
from reference import marian_student as student_oracle
from reference import trace

from . import Preset, sources
from . import nematus as nematus_presets

SOURCE_SIZE, TARGET_SIZE = 23, 29
DEFAULTS = {
    "dim-emb": 6,
    "dim-rnn": 7,
    "enc-depth": 1,
    "enc-cell": "gru",
    "enc-cell-depth": 1,
    "enc-type": "bidirectional",
    "dec-depth": 1,
    "dec-cell": "gru",
    "dec-cell-base-depth": 2,
    "dec-cell-high-depth": 1,
    "skip": False,
    "layer-normalization": False,
    "tied-embeddings": False,
    "tied-embeddings-src": False,
    "tied-embeddings-all": False,
    "right-left": False,
    "input-types": [],
    "version": "v1.12.0",
}
STUDENT = {
    "type": "transformer",
    "transformer-decoder-autoreg": "rnn",
    "dec-cell": "ssru",
    "dim-emb": 8,
    "enc-depth": 2,
    "dec-depth": 2,
    "transformer-heads": 4,
    "transformer-ffn-depth": 2,
    "transformer-ffn-activation": "relu",
    "transformer-postprocess": "dan",
    "transformer-preprocess": "",
    "tied-embeddings-all": True,
    "transformer-tied-layers": [],
    "transformer-guided-alignment-layer": "last",
}
FFN = 11


class _Maker:
    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.arrays: dict[str, np.ndarray] = {}

    def put(self, name: str, *shape: int, around: float = 0.0, width: float = 0.6) -> None:
        self.arrays[name] = self.rng.uniform(around - width, around + width, shape).astype(np.float32)

    def bias(self, name: str, size: int) -> None:
        self.put(name, 1, size)

    def scale(self, name: str, size: int) -> None:
        self.put(name, 1, size, around=1, width=0.5)

    def cell(self, kind: str, prefix: str, given: int, dim: int, norm: bool) -> None:
        """rnn/cells.h; `given` 0 has no input."""
        if kind == "ssru":
            for name in ("_W", "_Wf"):
                self.put(prefix + name, dim, dim)
            self.bias(prefix + "_bf", dim)
            for name in ("_gamma", "_gammaf") if norm else ():
                self.scale(prefix + name, dim)
            return
        if kind in ("gru", "gru-nematus"):
            for part, size in (("", 2 * dim), ("x", dim)):
                self.put(f"{prefix}_U{part}", dim, size)
                self.bias(f"{prefix}_b{part}", size)
                if given:
                    self.put(f"{prefix}_W{part}", given, size)
                for side in ("U", "W") if norm and kind == "gru-nematus" else ():
                    if given or side == "U":
                        self.scale(f"{prefix}_{side}{part}_lns", size)
                        self.bias(f"{prefix}_{side}{part}_lnb", size)
            blocks = 3
        else:
            blocks = 4 if kind == "lstm" else 1
            self.put(prefix + "_U", dim, blocks * dim)
            self.bias(prefix + "_b", blocks * dim)
            if given:
                self.put(prefix + "_W", given, blocks * dim)
        if norm and kind != "gru-nematus":
            self.scale(prefix + "_gamma2", blocks * dim)
            if given:
                self.scale(prefix + "_gamma1", blocks * dim)

    def dense(self, prefix: str, given: Sequence[int], dim: int, norm: bool) -> None:
        """mlp::Dense without Nematus's normalisation."""
        for i, size in enumerate(given):
            n = str(i) if len(given) > 1 else ""
            self.put(f"{prefix}_W{n}", size, dim)
            self.bias(f"{prefix}_b{n}", dim)
            if norm:
                self.scale(f"{prefix}_gamma{n}", dim)

    def tables(self, o: dict, prefix: str, transposed: bool) -> None:
        """Embeddings and the output layer `prefix`."""
        shared = o.get("tied-embeddings-all") or o.get("tied-embeddings-src")
        for name, size in (
            (("Wemb", TARGET_SIZE),) if shared else (("encoder_Wemb", SOURCE_SIZE), ("decoder_Wemb", TARGET_SIZE))
        ):
            self.put(name, size, o["dim-emb"], width=1.0)
        if not (o.get("tied-embeddings-all") or o.get("tied-embeddings")):
            shape = (TARGET_SIZE, o["dim-emb"]) if transposed else (o["dim-emb"], TARGET_SIZE)
            self.put(prefix + ("_Wt" if transposed else "_W"), *shape, width=1.5)
        if not o.get("output-omit-bias"):
            self.bias(prefix + "_b", TARGET_SIZE)


def s2s_weights(rng: np.random.Generator, o: dict[str, Any], transposed: bool = True) -> dict[str, np.ndarray]:
    make, rnn, norm = _Maker(rng), o["dim-rnn"], o["layer-normalization"]
    make.tables(o, "decoder_ff_logit_l2", transposed)
    first = 1 if o["enc-type"] == "bi-unidirectional" else o["enc-depth"]
    for base in ("encoder_bi", "encoder_bi_r"):
        for i in range(1, first + 1):
            for j in range(1, o["enc-cell-depth"] + 1):
                name = base + (f"_l{i}" if i > 1 else "") + (f"_cell{j}" if i > 1 or j > 1 else "")
                make.cell(o["enc-cell"], name, 0 if j > 1 else rnn if i > 1 else o["dim-emb"], rnn, norm)
    for i in range(first + 1, o["enc-depth"] + 1):
        for j in range(1, o["enc-cell-depth"] + 1):
            given = 0 if j > 1 else 2 * rnn if i == first + 1 else rnn
            make.cell(o["enc-cell"], f"encoder_l{i}_cell{j}", given, rnn, norm)
    context = rnn if o["enc-depth"] > first else 2 * rnn
    make.put("decoder_W_comb_att", rnn, context)
    make.put("decoder_Wc_att", context, context)
    make.put("decoder_U_att", context, 1, width=2.0)
    make.bias("decoder_b_att", context)
    for name in ("decoder_att_gamma1", "decoder_att_gamma2") if norm else ():
        make.scale(name, context)
    make.dense("decoder_ff_state", [context], rnn, norm)
    for i in range(1, o["dec-cell-base-depth"] + 1):
        make.cell(o["dec-cell"], f"decoder_cell{i}", {1: o["dim-emb"], 2: context}.get(i, 0), rnn, norm)
    for i in range(2, o["dec-depth"] + 1):
        for j in range(1, o["dec-cell-high-depth"] + 1):
            make.cell(o["dec-cell"], f"decoder_l{i}_cell{j}", 0 if j > 1 else rnn, rnn, norm)
    make.dense("decoder_ff_logit_l1", [o["dim-emb"], rnn, context], o["dim-emb"], norm)
    return make.arrays


def student_weights(rng: np.random.Generator, o: dict[str, Any]) -> dict[str, np.ndarray]:
    make, d = _Maker(rng), o["dim-emb"]
    pre, post, top = o["transformer-preprocess"], o["transformer-postprocess"], o.get("transformer-postprocess-top", "")

    def norms(prefix: str, before: str, after: str) -> None:
        for ops, suffix in ((before, "_pre"), (after, "")):
            if "n" in ops:
                make.scale(f"{prefix}_ln_scale{suffix}", d)
                make.bias(f"{prefix}_ln_bias{suffix}", d)
        if "h" in after:
            make.put(prefix + "_Wh", d, d)
            make.bias(prefix + "_bh", d)

    def attention(prefix: str) -> None:
        for n in "qkv" if o.get("transformer-no-projection") else "qkvo":
            make.put(f"{prefix}_W{n}", d, d)
            make.bias(f"{prefix}_b{n}", d)
        norms(prefix + "_Wo", pre, post)

    def ffn(prefix: str, depth: int) -> None:
        for i in range(1, depth + 1):
            columns = d if i == depth else FFN
            make.put(f"{prefix}_W{i}", d if i == 1 else FFN, columns)
            make.bias(f"{prefix}_b{i}", columns)
        norms(prefix + "_ffn", pre, post)

    make.tables(o, "decoder_ff_logit_out", True)
    depth = o["transformer-ffn-depth"]
    for i in range(1, o["enc-depth"] + 1):
        attention(f"encoder_l{i}_self")
        ffn(f"encoder_l{i}_ffn", depth)
    for i in sorted(set(o["transformer-tied-layers"])) or range(1, o["dec-depth"] + 1):
        prefix = f"decoder_l{i}"
        make.cell(o["dec-cell"], prefix + "_rnn", d, d, bool(o.get("layer-normalization")))
        if o.get("transformer-rnn-projection"):
            make.put(prefix + "_rnn_Wo", d, d)
            make.bias(prefix + "_rnn_bo", d)
        norms(prefix + "_rnn", pre, "")
        norms(prefix + "_rnn_ffn", "", post)
        attention(prefix + "_context")
        ffn(prefix + "_ffn", o.get("transformer-decoder-ffn-depth") or depth)
    for side in ("encoder", "decoder"):
        norms(f"{side}_emb", o.get("transformer-postprocess-emb", "d"), "")
        norms(f"{side}_top", "", top)
    return make.arrays


def vocabularies(options: dict) -> tuple[vocabulary.Vocabulary, vocabulary.Vocabulary]:
    shared = options.get("tied-embeddings-all") or options.get("tied-embeddings-src")
    sizes = (TARGET_SIZE if shared else SOURCE_SIZE, TARGET_SIZE)
    source, target = (
        vocabulary.Vocabulary(unk=1, eos=0, pieces=["</s>", "<unk>", *(f"w{i}" for i in range(2, n))]) for n in sizes
    )
    source.add_eos = True
    return source, target


def lexicon(rng: np.random.Generator, source_size: int, size: int, first: int, most: int) -> bytes:
    """A binary shortlist (src/data/shortlist.h): up to `most` target ids a source id."""
    lists = [np.unique(rng.integers(0, size, rng.integers(0, most + 1))) for _ in range(source_size)]
    offsets = np.cumsum([0, *map(len, lists)]).astype("<u8")
    ids = np.concatenate(lists).astype("<u4")
    body = struct.pack("<4Q", first, most, len(offsets), len(ids)) + offsets.tobytes() + ids.tobytes()
    checksum = 0
    for value in np.frombuffer(body[: len(body) // 8 * 8], "<u8").tolist():
        checksum ^= (value + 0x9E3779B9 + (checksum << 6) + (checksum >> 2)) & (2**64 - 1)
        checksum &= 2**64 - 1
    return struct.pack("<2Q", 0xF11A48D5013417F5, checksum) + body


def _built(rng, options, arrays, reference, lex=None, shared=True):
    checked = marian.check_options({**options, "dim-vocabs": [SOURCE_SIZE, TARGET_SIZE]}, "options")
    source, target = vocabularies(options)
    weights = checkpoint.Weights(s2s.renamed(arrays, options))
    model = marian.build(checked, weights, source, target, lex, shared=shared)
    if lex is not None:
        reference = student_oracle.Shortlisted(reference, lex, TARGET_SIZE, shared)
    return model, [trace.greedy(reference, ids, None, 0, 12) for ids in sources(rng, source)]


def _s2s(name: str, transposed: bool = True, **changes: Any) -> Preset:
    options = {**DEFAULTS, "type": "s2s", **{k.replace("_", "-"): v for k, v in changes.items()}}

    def make(rng: np.random.Generator):
        arrays = s2s_weights(rng, options, transposed)
        return _built(rng, options, arrays, oracle.S2S(arrays, options))

    return Preset("Marian s2s " + name, make)


def _student(name: str, shortlist: bool = False, **changes: Any) -> Preset:
    options = {**STUDENT, **{k.replace("_", "-"): v for k, v in changes.items()}}

    def make(rng: np.random.Generator):
        arrays = student_weights(rng, options)
        shared = bool(options["tied-embeddings-all"])
        source_size = TARGET_SIZE if shared else SOURCE_SIZE
        lex = lexicon(rng, source_size, TARGET_SIZE, 3, 4) if shortlist else None
        return _built(rng, options, arrays, student_oracle.Student(arrays, options), lex, shared)

    return Preset("Marian student " + name, make, shortlist=shortlist)


def _nematus_names(kind: str, cell: str, given: dict[str, Any], **changes: Any) -> Preset:
    """A file of type amun or nematus: Nematus's names and the dummy decoder_c_tt."""
    options = {
        **DEFAULTS,
        "dim-emb": 5,
        "type": kind,
        "enc-cell": cell,
        "dec-cell": cell,
        **{k.replace("_", "-"): v for k, v in changes.items()},
    }

    def make(rng: np.random.Generator):
        arrays = nematus_presets.weights(rng, {"dim": 7, "dim_word": 5, **given})
        if kind == "amun" and options["layer-normalization"]:  # its normalisation is Marian's own
            extra = _Maker(rng)
            for name in ("encoder", "encoder_r", "decoder_cell1", "decoder_cell2"):
                for gamma in ("_gamma1", "_gamma2"):
                    extra.scale(name + gamma, 21)
            for name, size in (
                ("decoder_att_gamma1", 14),
                ("decoder_att_gamma2", 14),
                ("ff_state_gamma", 7),
                ("ff_logit_l1_gamma0", 5),
                ("ff_logit_l1_gamma1", 5),
                ("ff_logit_l1_gamma2", 5),
            ):
                extra.scale(name, size)
            arrays |= extra.arrays
        return _built(rng, options, arrays, oracle.S2S(arrays, options))

    return Preset(f"Marian {kind}" + (", layer normalisation" if options["layer-normalization"] else ""), make)


PRESETS = [
    _s2s("GRU"),
    _s2s(
        "GRU, alternating 4, transitions, decoder 3, skips, all tied",
        enc_type="alternating",
        enc_depth=4,
        enc_cell_depth=2,
        skip=True,
        dec_depth=3,
        dec_cell_base_depth=4,
        dec_cell_high_depth=2,
        tied_embeddings_all=True,
    ),
    _s2s(
        "GRU, layer normalisation, bi-unidirectional 4, transitions, skips, decoder 2, output tied",
        enc_type="bi-unidirectional",
        enc_depth=4,
        enc_cell_depth=2,
        skip=True,
        dec_depth=2,
        dec_cell_high_depth=2,
        dec_cell_base_depth=3,
        tied_embeddings=True,
        layer_normalization=True,
    ),
    _s2s(
        "GRU, one base cell, no output bias, legacy output",
        transposed=False,
        dec_cell_base_depth=1,
        output_omit_bias=True,
    ),
    _s2s(
        "LSTM, bidirectional 2, transitions, decoder 2",
        enc_cell="lstm",
        dec_cell="lstm",
        enc_depth=2,
        enc_cell_depth=2,
        dec_cell_base_depth=3,
        dec_depth=2,
        dec_cell_high_depth=2,
    ),
    _s2s(
        "LSTM, layer normalisation, alternating 3, skips, sources tied",
        enc_cell="lstm",
        dec_cell="lstm",
        enc_depth=3,
        enc_type="alternating",
        skip=True,
        layer_normalization=True,
        enc_cell_depth=2,
        dec_cell_base_depth=3,
        dec_depth=2,
        tied_embeddings_src=True,
    ),
    _s2s("tanh, transitions", enc_cell="tanh", dec_cell="tanh", enc_cell_depth=2, dec_cell_base_depth=3),
    replace(
        _s2s(
            "ReLU, layer normalisation, transitions",
        dim_rnn=16,  # of 7 so few are above zero that normalisation magnifies what float32 rounds
            enc_cell="relu",
            dec_cell="relu",
            enc_cell_depth=2,
            dec_cell_base_depth=3,
            layer_normalization=True,
        ),
        draw=1,
    ),
    _s2s("GRU-Nematus, decoder 2", enc_cell="gru-nematus", dec_cell="gru-nematus", dec_depth=2, enc_cell_depth=2),
    _s2s(
        "GRU-Nematus, layer normalisation, alternating 2, transitions, decoder 2",
        enc_cell="gru-nematus",
        dec_cell="gru-nematus",
        layer_normalization=True,
        enc_depth=2,
        enc_type="alternating",
        enc_cell_depth=3,
        dec_cell_base_depth=4,
        dec_depth=2,
    ),
    _s2s("LSTM encoder, GRU decoder", enc_cell="lstm", dec_cell="gru", enc_depth=2, enc_type="bi-unidirectional"),
    _s2s("SSRU", enc_cell="ssru", dec_cell="ssru", dim_emb=7, enc_depth=2, dec_cell_base_depth=1, dec_depth=2),
    _s2s("SSRU, layer normalisation, GRU decoder", enc_cell="ssru", dim_emb=7, layer_normalization=True),
    _nematus_names("amun", "gru", {}),
    _nematus_names("amun", "gru", {"tie_decoder_embeddings": True}, tied_embeddings=True, layer_normalization=True),
    _nematus_names(
        "nematus",
        "gru-nematus",
        {"enc_recurrence_transition_depth": 2, "dec_base_recurrence_transition_depth": 4},
        enc_cell_depth=2,
        dec_cell_base_depth=4,
    ),
    _nematus_names(
        "nematus",
        "gru-nematus",
        {"enc_recurrence_transition_depth": 3, "layer_normalisation": True, "dec_base_recurrence_transition_depth": 4},
        enc_cell_depth=3,
        dec_cell_base_depth=4,
        layer_normalization=True,
    ),
    _student("as Firefox has them"),
    _student("with a shortlist", shortlist=True),
    _student("with a shortlist and two vocabularies", shortlist=True, tied_embeddings_all=False),
    _student(
        "one decoder layer, two vocabularies, no output bias",
        dec_depth=1,
        tied_embeddings_all=False,
        output_omit_bias=True,
    ),
    _student(
        "normalised before each layer, projected SSRU, deeper FFN with sigmoid, output tied",
        tied_embeddings_all=False,
        tied_embeddings=True,
        transformer_preprocess="n",
        transformer_postprocess="da",
        transformer_postprocess_top="n",
        transformer_postprocess_emb="nd",
        transformer_rnn_projection=True,
        transformer_ffn_depth=3,
        transformer_decoder_ffn_depth=4,
        transformer_ffn_activation="sigmoid",
    ),
    _student(
        "highways, no projection, no positions, tied layers",
        transformer_postprocess="dhn",
        transformer_no_projection=True,
        transformer_disable_position_embeddings=True,
        dec_depth=3,
        transformer_tied_layers=[1, 2, 1],
        transformer_guided_alignment_layer=2,
    ),
    _student("SSRU with layer normalisation", layer_normalization=True),
    _student("GRU decoder, layer normalisation", dec_cell="gru", layer_normalization=True),
    _student("LSTM decoder", dec_cell="lstm", transformer_postprocess_top="an"),
]
