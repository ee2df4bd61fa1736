"""See et al. 2017's pointer-generator as abisee/pointer-generator decodes it: build() takes the TensorFlow checkpoint's
variables below `seq2seq` as NumPy arrays.

Decoding attends once before the first step (attention_decoder.py, initial_state_attention): here an `attend` of the
init program, whose context the first input reads and whose weights begin the coverage.
export/reference/pointer_generator.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.builder import Model
from ..reading.checkpoint import Weights
from ..model.layers import Cell, reorder, transposed
from ..model.vocabulary import Vocabulary


@dataclass(frozen=True)
class Options:
    pointer_gen: bool = True
    coverage: bool = True


def _lstm(w: Weights, scope: str) -> Cell:
    """tf.contrib.rnn.LSTMCell: [inputs + H, 4 H], blocks i, j, f, o, forget bias 1 not yet added."""
    kernel = w[f"{scope}/kernel"]
    hidden = kernel.shape[1] // 4
    inputs, state = np.split(kernel, [kernel.shape[0] - hidden])
    forget = np.repeat(np.array([0, 1, 0, 0], np.float32), hidden)
    rows = [reorder(transposed(part), "ijfo", "ifjo") for part in (inputs, state)]
    return Cell("lstm", *rows, reorder(w[f"{scope}/bias"], "ijfo", "ifjo") + forget)


def _linear(w: Weights, scope: str) -> tuple[np.ndarray, np.ndarray]:
    return transposed(w[f"{scope}/Matrix"]), w[f"{scope}/Bias"]


def build(options: Options, weights: Weights, source: Vocabulary, target: Vocabulary) -> Model:
    """The model; `target.bos` starts it. Both vocabularies are one. Raises CheckpointError for a variable that is
    missing, BuildError for shapes."""
    o, w = options, weights
    d = "decoder/attention_decoder"
    m = Model(source, target)
    x = m.encoder.embed("source_embedding", w["embedding/embedding"])
    memory = m.encoder.birnn(
        "memory", x, *(_lstm(w, f"encoder/bidirectional_rnn/{way}/lstm_cell") for way in ("fw", "bw"))
    )
    h, c = (
        m.init.linear(f"first_{n}", finals, transposed(w[f"reduce_final_st/w_reduce_{n}"]),
                      w[f"reduce_final_st/bias_reduce_{n}"], "relu")
        for n, finals in (("h", memory.finals), ("c", memory.finals_c))
    )  # fmt: skip

    query_weight, query_bias = _linear(w, f"{d}/Attention/Linear")
    score = dict(
        key_weight=transposed(w[f"{d}/W_h"][0, 0]), query_weight=query_weight, query_bias=query_bias, v=w[f"{d}/v"]
    )
    before = m.init.attend("first_attention", "additive", [c, h], memory, **score)
    coverage = {}
    if o.coverage:
        covered = m.step.previous("coverage", before.weights, positions=1)
        coverage = {"coverage": covered, "coverage_weight": w[f"{d}/coverage/w_c"][0, 0, 0]}

    e = m.step.embed("target_embedding", w["embedding/embedding"])
    x = m.step.linear("input", [e, m.step.previous("attention", before)], *_linear(w, f"{d}/Linear"))
    s = m.step.cell("state", x, _lstm(w, f"{d}/lstm_cell"), h, first_c=c)
    context = m.step.attend("attention", "additive", [s.c, s], memory, **score, **coverage)
    if o.coverage:
        m.step.add("coverage", [covered, context.weights])
    r = m.step.linear("readout", [s, context], *_linear(w, f"{d}/AttnOutputProjection/Linear"))
    generated = m.step.output("generated", r, transposed(w["output_projection/w"]), w["output_projection/v"])
    if o.pointer_gen:
        gate = m.step.linear("p_gen", [context, s.c, s, x], *_linear(w, f"{d}/calculate_pgen/Linear"), "sigmoid")
        m.step.copy("prediction", generated, gate, context.weights, gate_generates=True)
    m.start_with(target.bos)
    # decode.py and beam_search.py: beam 4, at least 35 and at most 100 steps, the mean log-probability.
    m.set_search(
        beam_size=4, max_length_a=0, max_length_b=100, min_length_b=35, average={"alpha": 1.0},
        length_offset=1, beam_policy="BEAM_POLICY_WALK",
        beam_stop="BEAM_STOP_BEAM_FULL", unfinished="UNFINISHED_POLICY_FILL", banned_ids=[target.unk],
    )  # fmt: skip
    return m
