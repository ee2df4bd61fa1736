"""See et al. 2017."""

from __future__ import annotations

import numpy as np
from heed_export.presets import pointer_generator
from heed_export.reading.checkpoint import Weights
from heed_export.model.vocabulary import Vocabulary
from reference import pointer_generator as oracle
from reference import trace

from . import Preset, random_like

PIECES = ["[UNK]", "[PAD]", "[START]", "[STOP]"] + [f"w{i}" for i in range(17)]


def preset(name: str, pointer_gen: bool, coverage: bool) -> Preset:
    def make(rng: np.random.Generator):
        e, h, v = 6, 5, len(PIECES)
        d = "decoder/attention_decoder"
        shapes = {
            "embedding/embedding": (v, e),
            **{f"encoder/bidirectional_rnn/{way}/lstm_cell/kernel": (e + h, 4 * h) for way in ("fw", "bw")},
            **{f"encoder/bidirectional_rnn/{way}/lstm_cell/bias": (4 * h,) for way in ("fw", "bw")},
            **{f"reduce_final_st/w_reduce_{n}": (2 * h, h) for n in "hc"},
            **{f"reduce_final_st/bias_reduce_{n}": (h,) for n in "hc"},
            f"{d}/W_h": (1, 1, 2 * h, 2 * h),
            f"{d}/v": (2 * h,),
            f"{d}/coverage/w_c": (1, 1, 1, 2 * h),
            f"{d}/Attention/Linear/Matrix": (2 * h, 2 * h),
            f"{d}/Attention/Linear/Bias": (2 * h,),
            f"{d}/Linear/Matrix": (e + 2 * h, e),
            f"{d}/Linear/Bias": (e,),
            f"{d}/lstm_cell/kernel": (e + h, 4 * h),
            f"{d}/lstm_cell/bias": (4 * h,),
            f"{d}/calculate_pgen/Linear/Matrix": (2 * h + 2 * h + e, 1),
            f"{d}/calculate_pgen/Linear/Bias": (1,),
            f"{d}/AttnOutputProjection/Linear/Matrix": (3 * h, h),
            f"{d}/AttnOutputProjection/Linear/Bias": (h,),
            "output_projection/w": (h, v),
            "output_projection/v": (v,),
        }
        w = random_like(rng, shapes, 0.9)
        vocabulary = Vocabulary(unk=0, special=[1], bos=2, eos=3, pieces=PIECES)
        options = pointer_generator.Options(pointer_gen, coverage)
        model = pointer_generator.build(options, Weights(w), vocabulary, vocabulary)
        model.search = {}
        reference = oracle.Model(oracle.Options(pointer_gen, coverage, len(PIECES)), w)
        known = {piece: i for i, piece in enumerate(PIECES)}
        traces = []
        for n in (1, 3, 6, 10):
            words = [str(x) for x in rng.choice([*PIECES[4:], "Ann", "Bob", "Cyd"], n)]  # three that it does not know
            reference.copy_ids = oracle.copy_ids(words, known)
            ids = [known.get(word, 0) for word in words]
            found = trace.greedy(reference, ids, 2, 3, 12, vocabulary=len(PIECES), unk=0)
            found.copy_ids = list(reference.copy_ids) if pointer_gen else None
            traces.append(found)
        return model, traces

    return Preset(f"pointer-generator {name}", make)


PRESETS = [
    preset("with coverage", True, True),
    preset("without coverage", True, False),
    preset("attention alone", False, False),
]
