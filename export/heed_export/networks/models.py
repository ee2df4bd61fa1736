"""The architectures of the training recipe, in PyTorch: the recurrent translators here, the others in `student.py` and
`pointer.py`.

All are written so that each line is a line of the step program that `programs.py` emits for it, and these spell the
recurrences out, because attention sits inside the decoder's step.

Shapes: B rows, S source positions, T target positions, E embedding, H hidden, V pieces.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .options import ModelOptions
from .pointer import PointerGenerator
from .recurrent import Encoder, Seq2Seq, StepLinear, StepRows, length_mask
from .student import Student


class LuongLstm(Seq2Seq):
    """Luong et al. 2015: LSTM decoder with input feeding, general attention after the cell, tied output.

    h = lstm([e; a']);  c = attend.general(h);  a = tanh(W [c; h]);  logits = E (R a) + b
    """

    def __init__(self, o: ModelOptions):
        super().__init__()
        self.options = o
        memory = 2 * o.encoder_hidden
        if o.decoder_hidden != memory:
            raise ValueError(f"decoder_hidden {o.decoder_hidden} must be twice encoder_hidden {o.encoder_hidden}")
        h = o.decoder_hidden
        self.tgt_embed = nn.Embedding(o.tgt_pieces, o.embedding)
        self.src_embed = self.tgt_embed if o.joint else nn.Embedding(o.src_pieces, o.embedding)
        self.encoder = Encoder(nn.LSTM, o.embedding, o.encoder_hidden, o.encoder_layers, o.dropout)
        self.bridge_c = nn.Linear(memory, h)
        self.cell_x = nn.Linear(o.embedding, 4 * h)  # gate order i, f, g, o
        self.cell_h = StepLinear(2 * h, 4 * h)  # on [a'; h']
        self.attn_key = nn.Linear(memory, h, bias=False)
        self.attn_out = StepLinear(memory + h, h)  # on [c; h]
        self.readout = nn.Linear(h, o.embedding)
        self.gate = nn.Linear(h, 1) if o.copy else None  # on a
        self.out_bias = nn.Parameter(torch.zeros(o.tgt_pieces))
        self.dropout = nn.Dropout(o.dropout)
        self.initialise()

    def start(self, src: Tensor, src_len: Tensor) -> tuple[dict, tuple]:
        memory, final_h = self.encoder(self.dropout(self.src_embed(src)), src_len)
        c0 = self.bridge_c(final_h)
        keys = self.attn_key(memory).transpose(1, 2)
        fixed = {"memory": StepRows(memory), "keys": StepRows(keys), "mask": length_mask(src_len, src.shape[1])}
        return fixed, (final_h, c0, torch.zeros_like(final_h))

    def prepare(self, tgt_in: Tensor) -> Tensor:
        return self.cell_x(self.dropout(self.tgt_embed(tgt_in))).transpose(0, 1)

    def advance(self, e: Tensor, h: Tensor, c: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """The cell: the next h and c."""
        i, f, g, o = (e + self.cell_h(torch.cat([a, h], -1))).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def step(self, e, state, fixed):
        h, c, a = state
        h, c = self.advance(e, h, c, a)
        energies = fixed["keys"](h) + fixed["mask"]
        weights = torch.softmax(energies, -1)
        context = fixed["memory"](weights)
        a = torch.tanh(self.attn_out(torch.cat([context, h], -1)))
        return (h, c, a), a, weights, energies

    def finish(self, x: Tensor) -> Tensor:
        return self.logits(self.readout(self.dropout(x)))


class PlainLstm(LuongLstm):
    """An encoder-decoder without attention (Sutskever et al. 2014; Cho et al. 2014 feed the summary to every step).

    LuongLstm whose context is the same at every step: the encoder's final state, all that is known of the source. The
    two differ in nothing else, and in their parameters by the keys' matrix alone.

    h = lstm([e; a']);  a = tanh(W [final; h]);  logits = E (R a) + b
    """

    def __init__(self, o: ModelOptions):
        if o.copy:
            raise ValueError("arch lstm has no attention to copy with: copy must be false")
        super().__init__(o)
        del self.attn_key

    def start(self, src: Tensor, src_len: Tensor) -> tuple[dict, tuple]:
        _, final_h = self.encoder(self.dropout(self.src_embed(src)), src_len)
        return {"final": final_h}, (final_h, self.bridge_c(final_h), torch.zeros_like(final_h))

    def step(self, e, state, fixed):
        h, c, a = state
        h, c = self.advance(e, h, c, a)
        a = torch.tanh(self.attn_out(torch.cat([fixed["final"], h], -1)))
        return (h, c, a), a, None, None


class BahdanauGru(Seq2Seq):
    """Bahdanau et al. 2015 as bentrevett/pytorch-seq2seq spells it: additive attention before a GRU (reset after).

    c = attend.additive(h');  h = gru([e; c], h');  logits = E (R [h; c; e]) + b

    With `options.query_word` the query is [h'; e]: who copies must know what was written last to know what comes next.
    """

    def __init__(self, o: ModelOptions):
        super().__init__()
        self.options = o
        memory = 2 * o.encoder_hidden
        h = o.decoder_hidden
        self.tgt_embed = nn.Embedding(o.tgt_pieces, o.embedding)
        self.src_embed = self.tgt_embed if o.joint else nn.Embedding(o.src_pieces, o.embedding)
        self.encoder = Encoder(nn.GRU, o.embedding, o.encoder_hidden, o.encoder_layers, o.dropout)
        self.bridge = nn.Linear(memory, h)
        self.attn_key = nn.Linear(memory, o.attention)
        self.attn_query = StepLinear(h + (o.embedding if o.query_word else 0), o.attention)
        self.attn_v = nn.Parameter(torch.empty(1, o.attention))
        self.cell_x = nn.Linear(o.embedding, 3 * h)  # gate order r, z, n
        self.cell_c = StepLinear(memory, 3 * h)
        self.cell_h = StepLinear(h, 3 * h)
        self.cell_n_bias = nn.Parameter(torch.zeros(h))  # the candidate's recurrent bias, inside the reset
        self.readout = nn.Linear(h + memory + o.embedding, o.embedding)
        self.gate = nn.Linear(h + memory + o.embedding, 1) if o.copy else None  # on [h; c; e]
        self.out_bias = nn.Parameter(torch.zeros(o.tgt_pieces))
        self.dropout = nn.Dropout(o.dropout)
        self.initialise()

    def start(self, src: Tensor, src_len: Tensor) -> tuple[dict, tuple]:
        memory, final_h = self.encoder(self.dropout(self.src_embed(src)), src_len)
        fixed = {"memory": StepRows(memory), "keys": self.attn_key(memory)}
        fixed["mask"] = length_mask(src_len, src.shape[1])
        return fixed, (torch.tanh(self.bridge(final_h)),)

    def prepare(self, tgt_in: Tensor) -> Tensor:
        e = self.dropout(self.tgt_embed(tgt_in))
        return torch.cat([self.cell_x(e), e], -1).transpose(0, 1)

    def step(self, e, state, fixed):
        (h,) = state
        n = self.options.decoder_hidden
        query = self.attn_query(torch.cat([h, e[:, 3 * n :]], -1) if self.options.query_word else h)
        energies = torch.tanh(fixed["keys"] + query[:, None]) @ self.attn_v[0] + fixed["mask"]
        weights = torch.softmax(energies, -1)
        context = fixed["memory"](weights)
        x = e[:, : 3 * n] + self.cell_c(context)
        y = self.cell_h(h)
        r, z = torch.sigmoid(x[:, : 2 * n] + y[:, : 2 * n]).chunk(2, -1)
        candidate = torch.tanh(x[:, 2 * n :] + r * (y[:, 2 * n :] + self.cell_n_bias))
        h = (1 - z) * candidate + z * h
        return (h,), torch.cat([h, context, e[:, 3 * n :]], -1), weights, energies

    def finish(self, x: Tensor) -> Tensor:
        return self.logits(self.dropout(self.readout(x)))


def build(options: ModelOptions) -> Seq2Seq | Student:
    """The model that the options name. Raises ValueError for an unknown architecture, or one that cannot copy."""
    kinds = {
        "luong-lstm": LuongLstm,
        "lstm": PlainLstm,
        "bahdanau-gru": BahdanauGru,
        "student": Student,
        "pointer-generator": PointerGenerator,
    }
    if options.arch not in kinds:
        raise ValueError(f"arch {options.arch!r} is not one of {sorted(kinds)}")
    if options.copy and not options.joint:
        raise ValueError("a model that copies has one vocabulary for both sides: joint must be true")
    return kinds[options.arch](options)
