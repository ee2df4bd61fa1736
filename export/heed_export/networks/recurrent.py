"""What the recipe's recurrent architectures are made of, in PyTorch: a step's products, the encoder, the base class.

Shapes: B rows, S source positions, T target positions, E embedding, H hidden, V pieces.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import data, losses
from .options import ModelOptions


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
    gate: nn.Linear | None  # of a model that copies: readout inputs to the logit of generating

    def start(self, src: Tensor, src_len: Tensor) -> tuple[dict, tuple]:
        """Encodes. Returns what is constant over the steps and the first state."""
        raise NotImplementedError

    def step(self, e: Tensor, state: tuple, fixed: dict) -> tuple[tuple, Tensor, Tensor | None, Tensor | None]:
        """One target position: returns (state, readout input, weights [B, S], energies [B, S]; None: no attention).

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

    def generating(self, x: Tensor) -> Tensor:
        """The probability of generating, of a model that copies: readout inputs [..., R] to [...]."""
        return torch.sigmoid(self.gate(x))[..., 0]

    def loss(self, batch: data.Batch, smoothing: float) -> tuple[Tensor, int]:
        """Summed loss of the batch's target positions, and how many they are."""
        src, src_len, tgt_in = (torch.from_numpy(x) for x in (batch.src, batch.src_len, batch.tgt_in))
        if not self.options.copy:
            return losses.cross_entropy(self(src, src_len, tgt_in), batch, smoothing)
        fixed, state = self.start(src, src_len)
        outputs, attended = [], []
        for e in self.prepare(tgt_in):
            state, out, weights, _ = self.step(e, state, fixed)
            outputs.append(out)
            attended.append(weights)
        x = torch.stack(outputs)
        return losses.mixture(self.finish(x), self.generating(x), torch.stack(attended), batch, smoothing)

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
