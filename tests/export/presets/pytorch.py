"""The PyTorch tutorials that export/examples describes."""

from __future__ import annotations

import importlib.util

import numpy as np
from reference import bastings, bentrevett, trace

from . import ROOT, Preset, random_like, sources

LENGTH = 12
SPECIALS = ["<unk>", "<pad>", "<sos>", "<eos>"]


def example(name: str):
    """A module of export/examples."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / f"export/examples/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gru_shapes(prefix: str, suffix: str, inputs: int, hidden: int) -> dict[str, tuple]:
    """The tensors of one layer and direction of torch.nn.GRU."""
    return {
        f"{prefix}weight_ih_{suffix}": (3 * hidden, inputs),
        f"{prefix}weight_hh_{suffix}": (3 * hidden, hidden),
        f"{prefix}bias_ih_{suffix}": (3 * hidden,),
        f"{prefix}bias_hh_{suffix}": (3 * hidden,),
    }


def bentrevett_shapes(
    e: int, h: int, d: int, source: int, target: int, attn: str, v: str, out: str
) -> dict[str, tuple]:
    return {
        "encoder.embedding.weight": (source, e),
        **gru_shapes("encoder.rnn.", "l0", e, h),
        **gru_shapes("encoder.rnn.", "l0_reverse", e, h),
        "encoder.fc.weight": (d, 2 * h),
        "encoder.fc.bias": (d,),
        f"decoder.attention.{attn}.weight": (d, 2 * h + d),
        f"decoder.attention.{attn}.bias": (d,),
        f"decoder.attention.{v}": (d,) if v == "v" else (1, d),
        "decoder.embedding.weight": (target, e),
        **gru_shapes("decoder.rnn.", "l0", 2 * h + e, d),
        f"decoder.{out}.weight": (target, 2 * h + d + e),
        f"decoder.{out}.bias": (target,),
    }


def make_bentrevett(attn: str, v: str, out: str):
    def make(rng: np.random.Generator):
        w = random_like(rng, bentrevett_shapes(7, 5, 6, 23, 19, attn, v, out))
        model = example("bentrevett").describe(
            w, SPECIALS + [f"s{i}" for i in range(19)], SPECIALS + [f"t{i}" for i in range(15)]
        )
        oracle = bentrevett.Model(w)
        return model, [
            trace.greedy(oracle, s, bentrevett.SOS, bentrevett.EOS, LENGTH) for s in sources(rng, model.source)
        ]

    return make


def make_bastings(layers: int):
    def make(rng: np.random.Generator):
        e, h, source, target = 6, 5, 21, 17
        shapes: dict[str, tuple] = {"src_embed.weight": (source, e), "trg_embed.weight": (target, e)}
        for i in range(layers):
            for way in ("", "_reverse"):
                shapes |= gru_shapes("encoder.rnn.", f"l{i}{way}", 2 * h if i else e, h)
            shapes |= gru_shapes("decoder.rnn.", f"l{i}", h if i else e + 2 * h, h)
        shapes |= {
            "decoder.bridge.weight": (h, 2 * h),
            "decoder.bridge.bias": (h,),
            "decoder.attention.key_layer.weight": (h, 2 * h),
            "decoder.attention.query_layer.weight": (h, h),
            "decoder.attention.energy_layer.weight": (1, h),
            "decoder.pre_output_layer.weight": (h, 3 * h + e),
            "generator.proj.weight": (target, h),
        }
        w = random_like(rng, shapes)
        ids = ["<unk>", "<pad>", "</s>"] + [f"s{i}" for i in range(source - 3)]
        model = example("bastings").describe(
            w, ids, ["<unk>", "<pad>", "<s>", "</s>"] + [f"t{i}" for i in range(target - 4)]
        )
        oracle = bastings.Model(w)
        return model, [trace.greedy(oracle, s, bastings.SOS, bastings.EOS, LENGTH) for s in sources(rng, model.source)]

    return make


PRESETS = [
    Preset("bentrevett 3 and 4, since 2020", make_bentrevett("attn_fc", "v_fc.weight", "fc_out"), LENGTH),
    Preset("bentrevett 3 and 4, 2018", make_bentrevett("attn", "v", "out"), LENGTH),
    Preset("bastings, 1 layer", make_bastings(1), LENGTH),
    Preset("bastings, 3 layers", make_bastings(3), LENGTH),
]
