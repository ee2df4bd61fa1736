"""See et al. 2017, "Get To The Point": a pointer-generator network, and the same without its pointer.

Without coverage, with the output tied to the embedding, and decoded as it is trained (abisee/pointer-generator
recomputes the context before each decoding step).

Shapes: B rows, S source positions, T target positions, E embedding, H hidden, V words.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .options import ModelOptions
from .recurrent import Seq2Seq, StepLinear, StepRows, length_mask


class PointerGenerator(Seq2Seq):
    """x = W [e; context'] + b;  h, c = lstm(x);  context = attend.additive([c; h]);  logits = E (R [h; context]) + b

    With `options.copy`: p_gen = sigmoid(w [context; c; h; x] + b), the probability of generating;
    P(word) = p_gen softmax(logits)[word] + (1 - p_gen) * sum of the weights of the source positions that hold the word.
    """

    def __init__(self, o: ModelOptions):
        super().__init__()
        if not o.joint:
            raise ValueError("a pointer-generator has one vocabulary for both sides: joint must be true")
        self.options = o
        memory, h = 2 * o.encoder_hidden, o.decoder_hidden
        self.tgt_embed = nn.Embedding(o.tgt_pieces, o.embedding)
        self.src_embed = self.tgt_embed
        self.encoder = nn.LSTM(o.embedding, o.encoder_hidden, batch_first=True, bidirectional=True)
        self.bridge_h = nn.Linear(memory, h)
        self.bridge_c = nn.Linear(memory, h)
        self.feed_e = nn.Linear(o.embedding, o.embedding)
        self.feed_c = StepLinear(memory, o.embedding)
        self.cell = StepLinear(o.embedding + h, 4 * h)  # on [x; h'], gate order i, f, g, o
        self.cell_bias = nn.Parameter(torch.zeros(4 * h))
        self.attn_key = nn.Linear(memory, o.attention)
        self.attn_query = StepLinear(2 * h, o.attention)  # on [c; h]
        self.attn_v = nn.Parameter(torch.empty(1, o.attention))
        self.gate = nn.Linear(memory + 2 * h + o.embedding, 1) if o.copy else None  # on [context; c; h; x]
        self.readout = nn.Linear(h + memory, o.embedding)
        self.out_bias = nn.Parameter(torch.zeros(o.tgt_pieces))
        self.dropout = nn.Dropout(o.dropout)
        self.initialise()

    def start(self, src: Tensor, src_len: Tensor) -> tuple[dict, tuple]:
        rows = nn.utils.rnn.pack_padded_sequence(
            self.dropout(self.src_embed(src)), src_len, batch_first=True, enforce_sorted=False
        )
        out, (h, c) = self.encoder(rows)
        memory, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=src.shape[1])
        fixed = {"memory": StepRows(memory), "keys": self.attn_key(memory)}
        fixed["mask"] = length_mask(src_len, src.shape[1])
        first_h, first_c = (torch.cat([x[0], x[1]], -1) for x in (h, c))
        context = torch.zeros(memory.shape[0], memory.shape[2])
        return fixed, (torch.relu(self.bridge_h(first_h)), torch.relu(self.bridge_c(first_c)), context)

    def prepare(self, tgt_in: Tensor) -> Tensor:
        return self.feed_e(self.dropout(self.tgt_embed(tgt_in))).transpose(0, 1)

    def step(self, e, state, fixed):
        h, c, context = state
        x = e + self.feed_c(context)
        i, f, g, o = (self.cell(torch.cat([x, h], -1)) + self.cell_bias).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        query = self.attn_query(torch.cat([c, h], -1))
        energies = torch.tanh(fixed["keys"] + query[:, None]) @ self.attn_v[0] + fixed["mask"]
        weights = torch.softmax(energies, -1)
        context = fixed["memory"](weights)
        return (h, c, context), torch.cat([context, c, h, x], -1), weights, energies

    def finish(self, x: Tensor) -> Tensor:
        memory, h = 2 * self.options.encoder_hidden, self.options.decoder_hidden
        read = torch.cat([x[..., memory + h : memory + 2 * h], x[..., :memory]], -1)
        return self.logits(self.readout(self.dropout(read)))
