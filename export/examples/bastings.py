"""bastings/annotated_encoder_decoder, for `heed-export pytorch`. Any number of layers.

Vocabularies: one piece a line, `SRC.vocab.itos` and `TRG.vocab.itos`; the notebook gives the target alone an <s>, so
ids are looked up. Callers send spaCy's tokens in lower case, separated by spaces.
"""

from heed_export.pytorch import Cell, Model, Vocabulary, count_layers, rnn_stack

TOOLKIT = "bastings/annotated_encoder_decoder"


def describe(w, source, target):
    s_ids = dict(unk=source.index("<unk>"), eos=source.index("</s>"), special=[source.index("<pad>")])
    t_ids = dict(
        unk=target.index("<unk>"), bos=target.index("<s>"), eos=target.index("</s>"), special=[target.index("<pad>")]
    )
    m = Model(Vocabulary(pieces=source, add_eos=True, lowercase=True, **s_ids), Vocabulary(pieces=target, **t_ids))

    x = m.encoder.embed("source_embedding", w["src_embed.weight"])
    layers = rnn_stack(m, "gru", w, "encoder.rnn.", x, count_layers(w, "encoder.rnn."))
    memory = layers[-1]

    bridge = w["decoder.bridge.weight"], w["decoder.bridge.bias"], "tanh"
    firsts = [m.init.linear(f"first{i}", layer.finals, *bridge) for i, layer in enumerate(layers, start=1)]

    e = m.step.embed("target_embedding", w["trg_embed.weight"])
    before = [m.step.previous(f"state{i}", first) for i, first in enumerate(firsts, start=1)]
    a = "decoder.attention."
    c = m.step.attend(
        "attention",
        "additive",
        before[-1],
        memory,
        query_weight=w[a + "query_layer.weight"],
        key_weight=w[a + "key_layer.weight"],
        v=w[a + "energy_layer.weight"],
    )
    s = [e, c]
    for i in range(1, len(layers) + 1):
        s = m.step.cell(f"state{i}", s, Cell.torch("gru", w, "decoder.rnn.", f"_l{i - 1}"))
    pre = m.step.linear("pre_output", [e, s, c], w["decoder.pre_output_layer.weight"])
    m.step.output("prediction", pre, w["generator.proj.weight"])
    m.start_with(target.index("<s>"))
    m.set_search(beam_size=1, max_length_a=0, max_length_b=100)
    return m


def oracle(w):
    from reference import bastings

    return bastings.Model(w), bastings.SOS
