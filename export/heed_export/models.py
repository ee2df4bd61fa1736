"""The two architectures of the training recipe, in PyTorch.

Both are written so that each line is a line of the step program that `programs.py` emits for it, and both spell the
recurrences out, because attention sits inside the decoder's step.

Shapes: B rows, S source positions, T target positions, E embedding, H hidden, V pieces.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class ModelOptions:
    """What fixes a recipe model's tensors. `arch` is `luong-lstm` or `bahdanau-gru`."""

    arch: str
    src_pieces: int
    tgt_pieces: int
    embedding: int = 256
    encoder_hidden: int = 192  # per direction
    encoder_layers: int = 2
    decoder_hidden: int = 384
    attention: int = 256  # width of the additive score; unused by the general score
    joint: bool = False  # one vocabulary and one embedding for both sides
    dropout: float = 0.3

    def to_dict(self) -> dict:
        return asdict(self)


class _LinearFunction(torch.autograd.Function):
    """x @ weight.T in the weight's precision (float32 or bfloat16, float32 sums); the gradient is for `sink`."""

    @staticmethod
    def forward(ctx, x, weight, sink):  # noqa: D102
        x = x.to(weight.dtype)
        ctx.save_for_backward(x, weight)
        ctx.sink = sink
        return (x @ weight.t()).float()

    @staticmethod
    def backward(ctx, grad):  # noqa: D102
        x, weight = ctx.saved_tensors
        grad = grad.to(weight.dtype)
        ctx.sink.append((x, grad))
        return (grad @ weight).float(), None, None


class StepLinear(nn.Module):
    """A bias-free linear used once per decoder step, whose weight gradient is one GEMM for the whole sequence.

    Autograd would make a [out, in] gradient per step and add it up; on a CPU that traffic costs as much as the
    arithmetic. Call `flush()` after `backward()`. With `bf16` the training products run in bfloat16.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bf16 = False
        self._used: Tensor | None = None
        self._sink: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return x @ self.weight.t()
        if self._used is None:
            self._used = self.weight.detach().to(torch.bfloat16 if self.bf16 else torch.float32)
        # The weight is passed detached, its gradient comes from flush(); x carries the graph.
        return _LinearFunction.apply(x, self._used, self._sink)

    def flush(self) -> None:
        self._used = None
        if self._sink:
            x = torch.cat([item[0] for item in self._sink])
            grad = torch.cat([item[1] for item in self._sink])
            self._sink.clear()
            self.weight.grad = (grad.t() @ x).float()


class _CollectFunction(torch.autograd.Function):
    """Identity whose gradient is the sum, as one product, of what the steps left in `sink`."""

    @staticmethod
    def forward(ctx, m, sink):  # noqa: D102
        ctx.sink = sink
        return m.contiguous()

    @staticmethod
    def backward(ctx, grad):  # noqa: D102
        x = torch.stack([item[0] for item in ctx.sink], 2)  # [B, K, T]
        g = torch.stack([item[1] for item in ctx.sink], 1)  # [B, T, N]
        ctx.sink.clear()
        return grad + torch.bmm(x, g), None


class _RowsFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, m, turned, sink):  # noqa: D102
        ctx.save_for_backward(x, turned)
        ctx.sink = sink
        return torch.bmm(x[:, None], m)[:, 0]

    @staticmethod
    def backward(ctx, grad):  # noqa: D102
        x, turned = ctx.saved_tensors
        ctx.sink.append((x, grad))
        return torch.bmm(grad[:, None], turned)[:, 0], None, None, None


class StepRows:
    """x [B, K] times a matrix per row, m [B, K, N], once per step; the gradient of m is one product at the end."""

    def __init__(self, m: Tensor):
        self._sink: list[tuple[Tensor, Tensor]] = []
        self._m = _CollectFunction.apply(m, self._sink)
        self._turned = m.detach().transpose(1, 2).contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        return _RowsFunction.apply(x, self._m, self._turned, self._sink)


def reverse_rows(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverses each row of x [B, S, ...] within its own length; positions past it stay where they are."""
    steps = torch.arange(x.shape[1])
    index = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return x.gather(1, index[:, :, None].expand_as(x))


class Encoder(nn.Module):
    """Bidirectional layers, each direction an own forward pass over (reversed) rows: padding never enters a state.

    Returns memory [B, S, 2H] and the last layer's final h and c (c only for LSTM), directions concatenated [B, 2H].
    """

    def __init__(self, cell: type[nn.Module], inputs: int, hidden: int, layers: int, dropout: float):
        super().__init__()
        sizes = [inputs] + [2 * hidden] * (layers - 1)
        self.forward_layers = nn.ModuleList(cell(n, hidden, batch_first=True) for n in sizes)
        self.backward_layers = nn.ModuleList(cell(n, hidden, batch_first=True) for n in sizes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        last = lengths - 1
        rows = torch.arange(x.shape[0])
        for i, (fwd, bwd) in enumerate(zip(self.forward_layers, self.backward_layers)):
            if i:
                x = self.dropout(x)
            ahead, _ = fwd(x)
            back, _ = bwd(reverse_rows(x, lengths))
            final_h = torch.cat([ahead[rows, last], back[rows, last]], -1)
            x = torch.cat([ahead, reverse_rows(back, lengths)], -1)
        return x, final_h


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """[B, size], 0 inside each row's length and -inf past it: added to energies."""
    return torch.zeros(len(lengths), size).masked_fill_(torch.arange(size) >= lengths[:, None], float("-inf"))


class Seq2Seq(nn.Module):
    """What both architectures share: `start`, `step`, `finish` and the training forward made from them."""

    options: ModelOptions
    bf16 = False

    def start(self, src: Tensor, src_len: Tensor) -> tuple[dict, tuple]:
        """Encodes. Returns what is constant over the steps and the first state."""
        raise NotImplementedError

    def step(self, e: Tensor, state: tuple, fixed: dict) -> tuple[tuple, Tensor, Tensor, Tensor]:
        """One target position: returns (state, readout input, weights [B, S], energies [B, S]).

        `e` [B, K] is this position's row of `prepare()`.
        """
        raise NotImplementedError

    def prepare(self, tgt_in: Tensor) -> Tensor:
        """Target ids [B, T] to what `step` takes, [T, B, K]: the part of the cell's product that needs no state."""
        raise NotImplementedError

    def finish(self, x: Tensor) -> Tensor:
        """Readout inputs [..., R] to logits [..., V]."""
        raise NotImplementedError

    def forward(self, src: Tensor, src_len: Tensor, tgt_in: Tensor) -> Tensor:
        """Logits [T, B, V] under teacher forcing."""
        fixed, state = self.start(src, src_len)
        outputs = []
        for e in self.prepare(tgt_in):
            state, out, _, _ = self.step(e, state, fixed)
            outputs.append(out)
        return self.finish(torch.stack(outputs))

    def logits(self, x: Tensor) -> Tensor:
        """The tied output layer."""
        if self.bf16 and torch.is_grad_enabled():
            return F.linear(x.bfloat16(), self.tgt_embed.weight.bfloat16()).float() + self.out_bias
        return F.linear(x, self.tgt_embed.weight, self.out_bias)

    def flush(self) -> None:
        """Finishes the weight gradients of every StepLinear. Call after backward()."""
        for module in self.modules():
            if isinstance(module, StepLinear):
                module.flush()

    def set_bf16(self, on: bool) -> None:
        """Whether training runs the decoder's products in bfloat16. Evaluation is always float32."""
        self.bf16 = on
        for module in self.modules():
            if isinstance(module, StepLinear):
                module.bf16 = on

    def initialise(self) -> None:
        for name, p in self.named_parameters():
            if p.dim() < 2:
                nn.init.zeros_(p)
            elif "embed" in name:
                nn.init.normal_(p, std=p.shape[1] ** -0.5)
            else:
                nn.init.uniform_(p, -0.08, 0.08)


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

    def step(self, e, state, fixed):
        h, c, a = state
        i, f, g, o = (e + self.cell_h(torch.cat([a, h], -1))).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        energies = fixed["keys"](h) + fixed["mask"]
        weights = torch.softmax(energies, -1)
        context = fixed["memory"](weights)
        a = torch.tanh(self.attn_out(torch.cat([context, h], -1)))
        return (h, c, a), a, weights, energies

    def finish(self, x: Tensor) -> Tensor:
        return self.logits(self.readout(self.dropout(x)))


class BahdanauGru(Seq2Seq):
    """Bahdanau et al. 2015 as bentrevett/pytorch-seq2seq spells it: additive attention before a GRU (reset after).

    c = attend.additive(h');  h = gru([e; c], h');  logits = E (R [h; c; e]) + b
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
        self.attn_query = StepLinear(h, o.attention)
        self.attn_v = nn.Parameter(torch.empty(1, o.attention))
        self.cell_x = nn.Linear(o.embedding, 3 * h)  # gate order r, z, n
        self.cell_c = StepLinear(memory, 3 * h)
        self.cell_h = StepLinear(h, 3 * h)
        self.cell_n_bias = nn.Parameter(torch.zeros(h))  # the candidate's recurrent bias, inside the reset
        self.readout = nn.Linear(h + memory + o.embedding, o.embedding)
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
        query = self.attn_query(h)
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


def build(options: ModelOptions) -> Seq2Seq:
    """The model that the options name. Raises ValueError for an unknown architecture."""
    kinds = {"luong-lstm": LuongLstm, "bahdanau-gru": BahdanauGru}
    if options.arch not in kinds:
        raise ValueError(f"arch {options.arch!r} is not one of {sorted(kinds)}")
    return kinds[options.arch](options)
