"""A student as Marian trains them for Firefox Translations, in PyTorch: a Transformer encoder, an SSRU decoder.

The encoder is self-attention alone (Vaswani et al. 2017). The decoder is recurrent, but its one recurrence is
element-wise (SSRU, Kim et al. 2019), so nothing in it but that needs the previous position: every matrix product,
multi-head attention over the memory included, is one product over all positions in training, and decoding carries one
vector a layer instead of growing keys and values. Normalisation follows each sum ("post-norm"), positions are Marian's
sinusoids, the first target position has the zero vector for an embedding.

Shapes: B rows, S source positions, T target positions, D model, N heads, F hidden layer, V pieces.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..text import corpus
from . import data, losses
from .options import ModelOptions

EPSILON = 1e-6  # of every layer normalisation


def sinusoids(length: int, size: int) -> Tensor:
    """[length, size]: sin(p * 1e-4^((c mod t) / (t - 1)) + (c div t) * pi / 2), t = size / 2, as Marian has it."""
    half = size // 2
    column = torch.arange(size, dtype=torch.float64)
    rate = 1e-4 ** ((column % half) / (half - 1))
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate + (column // half) * (math.pi / 2)
    return torch.sin(angle).float()


class Attention(nn.Module):
    """Multi-head attention, scale 1 / sqrt(D / N), biases on all four projections; without the residual."""

    def __init__(self, size: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(size, size) for _ in range(4))

    def _split(self, x: Tensor) -> Tensor:
        """[B, L, D] to [B, N, L, D / N]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of x [B, T, D] over memory [B, S, D]; `mask` [B, S] is -inf past a row's length.

        Returns the output [B, T, D], weights and energies [B, N, T, S].
        """
        q, k, v = self._split(self.query(x)), self._split(self.key(memory)), self._split(self.value(memory))
        energies = (q @ k.transpose(2, 3)).float() / math.sqrt(q.shape[-1]) + mask[:, None, None]
        weights = torch.softmax(energies, -1)
        context = (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)
        return self.out(context), weights, energies


class FeedForward(nn.Module):
    """W2 relu(W1 x + b1) + b2, without the residual."""

    def __init__(self, size: int, hidden: int):
        super().__init__()
        self.hidden, self.out = nn.Linear(size, hidden), nn.Linear(hidden, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(x)))


class Ssru(nn.Module):
    """f = sigmoid(Wf x + bf);  c = f c' + (1 - f) W x;  relu(c), from c = 0. `weight` holds Wf, then W."""

    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(2 * size, size))
        self.bias = nn.Parameter(torch.zeros(size))  # of f

    def forward(self, x: Tensor) -> Tensor:
        """Of a whole sequence [B, T, D]: two products outside the recurrence, one fused multiply-add a position."""
        gate, value = F.linear(x, self.weight).float().chunk(2, -1)
        gate = torch.sigmoid(gate + self.bias)
        fresh = torch.unbind((1 - gate) * value, 1)
        c = fresh[0]
        states = [c]
        for f, y in zip(torch.unbind(gate, 1)[1:], fresh[1:]):
            c = torch.addcmul(y, f, c)
            states.append(c)
        return torch.relu(torch.stack(states, 1))


class EncoderLayer(nn.Module):
    """x = LN(MHA(x, x) + x);  x = LN(FFN(x) + x)."""

    def __init__(self, size: int, heads: int, hidden: int):
        super().__init__()
        self.attention, self.feed_forward = Attention(size, heads), FeedForward(size, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(size, EPSILON) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor, dropout: nn.Module) -> Tensor:
        x = self.norms[0](dropout(self.attention(x, x, mask)[0]) + x)
        return self.norms[1](dropout(self.feed_forward(x)) + x)


class DecoderLayer(nn.Module):
    """x = LN(SSRU(x) + x);  x = LN(MHA(x, memory) + x);  x = LN(FFN(x) + x)."""

    def __init__(self, size: int, heads: int, hidden: int):
        super().__init__()
        self.recurrence, self.attention = Ssru(size), Attention(size, heads)
        self.feed_forward = FeedForward(size, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(size, EPSILON) for _ in range(3))

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor, dropout: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
        """Returns x, and this layer's weights and energies [B, N, T, S]."""
        x = self.norms[0](dropout(self.recurrence(x)) + x)
        context, weights, energies = self.attention(x, memory, mask)
        x = self.norms[1](dropout(context) + x)
        return self.norms[2](dropout(self.feed_forward(x)) + x), weights, energies


class Student(nn.Module):
    """The whole model; `options.embedding` is D. The output layer is tied to the target's embedding."""

    bf16 = False

    def __init__(self, o: ModelOptions):
        super().__init__()
        if o.embedding % 2 or o.embedding < 4 or o.embedding % o.heads:
            raise ValueError(f"embedding {o.embedding} must be even, at least 4 and a multiple of heads {o.heads}")
        self.options = o
        size = o.embedding
        self.tgt_embed = nn.Embedding(o.tgt_pieces, size)
        self.src_embed = self.tgt_embed if o.joint else nn.Embedding(o.src_pieces, size)
        sizes = (size, o.heads, o.feed_forward)
        self.encoder_layers = nn.ModuleList(EncoderLayer(*sizes) for _ in range(o.encoder_layers))
        self.decoder_layers = nn.ModuleList(DecoderLayer(*sizes) for _ in range(o.decoder_layers))
        self.out_bias = nn.Parameter(torch.zeros(o.tgt_pieces))
        self.dropout = nn.Dropout(o.dropout)
        for name, p in self.named_parameters():
            if "embed" in name:
                nn.init.normal_(p, std=size**-0.5)  # times sqrt(D) in `_embed`
            elif p.dim() == 2:
                nn.init.xavier_uniform_(p)
            elif "norms" not in name:
                nn.init.zeros_(p)

    def _embed(self, rows: Tensor) -> Tensor:
        """Rows of a table [B, L, D], scaled, at their positions."""
        size = self.options.embedding
        return self.dropout(rows * math.sqrt(size) + sinusoids(rows.shape[1], size))

    def encode(self, src: Tensor, src_len: Tensor) -> tuple[Tensor, Tensor]:
        """The memory [B, S, D] and the mask [B, S] that is added to energies."""
        mask = torch.zeros(src.shape).masked_fill_(torch.arange(src.shape[1]) >= src_len[:, None], float("-inf"))
        x = self._embed(self.src_embed(src))
        for layer in self.encoder_layers:
            x = layer(x, mask, self.dropout)
        return x, mask

    def decode(self, src: Tensor, src_len: Tensor, tgt_in: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Under teacher forcing: logits [T, B, V], and every decoder layer's weights and energies [B, N, T, S].

        The first position, which holds BOS, is read as the zero vector.
        """
        memory, mask = self.encode(src, src_len)
        x = self._embed(self.tgt_embed(tgt_in) * (tgt_in != corpus.BOS)[:, :, None])
        attended = []
        for layer in self.decoder_layers:
            x, weights, energies = layer(x, memory, mask, self.dropout)
            attended.append((weights, energies))
        logits = F.linear(x.transpose(0, 1), self.tgt_embed.weight).float() + self.out_bias
        return logits, attended

    def forward(self, src: Tensor, src_len: Tensor, tgt_in: Tensor) -> Tensor:
        """Logits [T, B, V] under teacher forcing."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16 and torch.is_grad_enabled()):
            return self.decode(src, src_len, tgt_in)[0]

    def loss(self, batch: data.Batch, smoothing: float) -> tuple[Tensor, int]:
        """Summed loss of the batch's target positions, and how many they are."""
        src, src_len, tgt_in = (torch.from_numpy(x) for x in (batch.src, batch.src_len, batch.tgt_in))
        return losses.cross_entropy(self(src, src_len, tgt_in), batch, smoothing)

    def flush(self) -> None:
        """Nothing is left over from backward()."""

    def set_bf16(self, on: bool) -> None:
        """Whether training runs the products in bfloat16. Evaluation is always float32."""
        self.bf16 = on
