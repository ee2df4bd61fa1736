"""Models that papers and tutorials define, as programs: Bahdanau et al. 2015 (RNNsearch), AllenNLP's simple_seq2seq,
the PyTorch tutorials. Each build function takes weights as NumPy arrays under the names of the oracle that it cites
(export/reference), which are the source's own.
"""

from __future__ import annotations

import numpy as np

from ..importers.pytorch import rnn_stack
from ..model.builder import ZERO, Model
from ..model.layers import Cell
from ..model.vocabulary import Vocabulary
from ..reading.checkpoint import Weights


def bahdanau2014(weights: Weights, source: Vocabulary, target: Vocabulary) -> Model:
    """export/reference/bahdanau2014.py: reset before the product, s_0 from the first backward state, maxout of 2. The
    paper's h = (1 - z) h' + z n is the other way round from model.proto's, so z's rows change sign."""
    w = weights
    m = Model(source, target)

    def gru(prefix: str, inputs: tuple[str, ...]) -> Cell:
        def rows(gate: str, names: tuple[str, ...]):
            return np.hstack([w[f"{prefix}{n}{gate}"] for n in names])

        hidden = w[f"{prefix}U"].shape[0]
        biases = [w.get(f"{prefix}b{g}", np.zeros(hidden, np.float32)) for g in ("_r", "_z", "")]
        sign = (1, -1, 1)
        return Cell(
            "gru",
            np.vstack([s * rows(g, inputs) for s, g in zip(sign, ("_r", "_z", ""))]),
            np.vstack([s * w[f"{prefix}U{g}"] for s, g in zip(sign, ("_r", "_z", ""))]),
            np.concatenate([s * b for s, b in zip(sign, biases)]),
            reset="before",
        )

    x = m.encoder.embed("source_embedding", w["E"])
    memory = m.encoder.birnn("memory", x, gru("enc_f_", ("W",)), gru("enc_b_", ("W",)))
    backward = m.encoder.pool("first_backward", m.encoder.values["memory_backward"], "first")
    first = m.init.linear("first", backward, w["W_s"], w.get("b_s"), "tanh")
    e = m.step.embed("target_embedding", w["Ey"])
    before = m.step.previous("state", first)
    c = m.step.attend(
        "attention", "additive", before, memory, query_weight=w["W_a"], query_bias=w.get("b_a"), key_weight=w["U_a"],
        v=w["v_a"],
    )  # fmt: skip
    m.step.cell("state", [e, c], gru("", ("W", "C")))
    t = m.step.linear("readout", [before, e, c], np.hstack([w["U_o"], w["V_o"], w["C_o"]]), w.get("b_o"))
    m.step.output("prediction", m.step.maxout("maxout", t, 2), w["W_o"])
    m.start_with(target.bos)
    return m


def allennlp(
    weights: Weights, source: Vocabulary, target: Vocabulary, encoder_layers: int = 1, bidirectional: bool = False,
    attention: str | None = "dot_product",
) -> Model:  # fmt: skip
    """export/reference/allennlp.py: attends with the previous state; the cell reads [context; embedding]; c starts at
    zero."""
    w = weights
    m = Model(source, target)
    x = m.encoder.embed("source_embedding", w["_source_embedder.token_embedder_tokens.weight"])
    x = rnn_stack(m, "lstm", w, "_encoder._module.", x, encoder_layers, bidirectional)[-1]
    first = m.init.concat("first", x.finals) if bidirectional else x.finals[0]
    inputs = [m.step.embed("target_embedding", w["_target_embedder.weight"])]
    if attention:
        before = m.step.previous("state", first, ZERO)
        score = {
            "dot_product": lambda: ("dot", {}),
            "bilinear": lambda: ("general", {"query_weight": w["_attention._weight_matrix"].T}),
            "additive": lambda: ("additive", {
                "query_weight": w["_attention._w_matrix"].T,
                "key_weight": w["_attention._u_matrix"].T,
                "v": w["_attention._v_vector"],
            }),
        }[attention]()  # fmt: skip
        inputs.insert(0, m.step.attend("attention", score[0], before, x, **score[1]))
        s = m.step.cell("state", inputs, Cell.torch("lstm", w, "_decoder_cell."))
    else:
        s = m.step.cell("state", inputs, Cell.torch("lstm", w, "_decoder_cell."), first, ZERO)
    p = "_output_projection_layer."
    m.step.output("prediction", s, w[p + "weight"], w[p + "bias"])
    m.start_with(target.bos)
    return m


def pytorch_tutorial(
    weights: Weights, source: Vocabulary, target: Vocabulary, variant: str = "location", max_length: int = 10,
    score: str = "general",
) -> Model:  # fmt: skip
    """export/reference/pytorch_tutorial.py: `location` (before 2023), `additive` (since), `practical`
    (practical-pytorch, score dot or general)."""
    w = weights
    m = Model(source, target, max_source_tokens=max_length if variant == "location" else None)
    x = m.encoder.embed("source_embedding", w["encoder.embedding.weight"])
    memory = m.encoder.rnn("memory", x, Cell.torch("gru", w, "encoder.gru.", "_l0"))
    e = m.step.embed("target_embedding", w["decoder.embedding.weight"])
    gru = Cell.torch("gru", w, "decoder.gru.", "_l0")
    out = w["decoder.out.weight"], w["decoder.out.bias"]
    a = "decoder.attn"
    if variant == "location":
        before = m.step.previous("state", memory.h)
        weight = w[f"{a}.weight"]
        c = m.step.attend(
            "attention", "location", [e, before], memory, query_weight=weight, query_bias=w[f"{a}.bias"],
            slots=weight.shape[0],
        )  # fmt: skip
        x = m.step.linear("combined", [e, c], w[f"{a}_combine.weight"], w[f"{a}_combine.bias"], "relu")
        m.step.output("prediction", m.step.cell("state", x, gru), *out)
    elif variant == "additive":
        before = m.step.previous("state", memory.h)
        b = "decoder.attention."
        c = m.step.attend(
            "attention", "additive", before, memory, query_weight=w[b + "Wa.weight"], query_bias=w[b + "Wa.bias"],
            key_weight=w[b + "Ua.weight"], key_bias=w[b + "Ua.bias"], v=w[b + "Va.weight"], v_bias=w[b + "Va.bias"],
        )  # fmt: skip
        m.step.output("prediction", m.step.cell("state", [e, c], gru), *out)
    else:
        h = m.step.cell("state", [e, m.step.previous("attention", size=memory.size)], gru, memory.h)
        keys = {"key_weight": w[f"{a}.attn.weight"], "key_bias": w[f"{a}.attn.bias"]} if score == "general" else {}
        c = m.step.attend("attention", "general" if keys else "dot", h, memory, **keys)
        m.step.output("prediction", [h, c], *out)
    m.start_with(target.bos)
    return m
