"""bentrevett/pytorch-seq2seq, tutorials 3 and 4 (any version), for `heed-export pytorch`.

Vocabularies: one piece a line, as `vocab.get_itos()` (or `FIELD.vocab.itos`) gives them. Callers send spaCy's tokens in
lower case, separated by spaces.
"""

from heed_export.pytorch import Cell, Model, Vocabulary, bidirectional, either, split_columns

TOOLKIT = "bentrevett/pytorch-seq2seq"
UNK, PAD, SOS, EOS = range(4)


def describe(w, source, target):
    ids = dict(unk=UNK, bos=SOS, eos=EOS, special=[PAD])
    m = Model(
        Vocabulary(pieces=source, add_bos=True, add_eos=True, lowercase=True, **ids), Vocabulary(pieces=target, **ids)
    )

    x = m.encoder.embed("source_embedding", w["encoder.embedding.weight"])
    memory = m.encoder.birnn("memory", x, *bidirectional("gru", w, "encoder.rnn."))

    first = m.init.linear("first", memory.finals, w["encoder.fc.weight"], w["encoder.fc.bias"], "tanh")

    e = m.step.embed("target_embedding", w["decoder.embedding.weight"])
    before = m.step.previous("state", first)
    a = "decoder.attention."
    query, key = split_columns(either(w, a + "attn_fc.weight", a + "attn.weight"), before.size, memory.size)
    c = m.step.attend(
        "attention",
        "additive",
        before,
        memory,
        query_weight=query,
        key_weight=key,
        key_bias=either(w, a + "attn_fc.bias", a + "attn.bias"),
        v=either(w, a + "v_fc.weight", a + "v.weight", a + "v"),
    )
    s = m.step.cell("state", [e, c], Cell.torch("gru", w, "decoder.rnn.", "_l0"))
    out = "decoder.fc_out." if "decoder.fc_out.weight" in w else "decoder.out."
    m.step.output("prediction", [s, c, e], w[out + "weight"], w[out + "bias"])
    m.start_with(SOS)
    m.set_search(beam_size=1, max_length_a=0, max_length_b=50)
    return m


def oracle(w):
    from reference import bentrevett

    return bentrevett.Model(w), SOS
