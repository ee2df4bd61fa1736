"""Marian's Transformer encoders with a recurrent decoder, as Firefox Translations ships them, as step programs. Source:
marian-dev src/models/transformer.h; the oracle export/reference/marian_student.py says the same in NumPy."""

from __future__ import annotations

from typing import Mapping

import numpy as np

from ..model.builder import ZERO, Model, Program, Value
from ..model.layers import flat, transposed
from ..reading.checkpoint import CheckpointError, Weights
from ..reading.shown import quoted, shown
from .cells import cell, check
from .s2s import output_weights

EPSILON = 1e-6  # src/layers/generic.h, layerNorm(x, prefix, suffix)
_PRE, _POST = "dn", "danh"
_ACTIVATIONS = ("relu", "sigmoid")


class _Builder:
    def __init__(self, model: Model, options: Mapping, weights: Weights):
        self.m, self.o, self.w = model, options, weights
        self.heads = self.number("transformer-heads", 8)
        self.size = self.number("dim-emb", 512, 1 << 16)
        self.pre = self.ops("transformer-preprocess", "", _PRE)
        self.post = self.ops("transformer-postprocess", "dan", _POST)
        self.top = self.ops("transformer-postprocess-top", "", _POST)
        self.emb = self.ops("transformer-postprocess-emb", "d", _PRE)

    def number(self, name: str, default: int, most: int = 100, least: int = 1) -> int:
        value = self.o.get(name, default)
        if type(value) is not int or not least <= value <= most:
            raise CheckpointError(f"{self.w.path}: {name}={shown(value)}, expected {least} to {most}")
        return value

    def ops(self, name: str, default: str, known: str) -> str:
        value = shown(self.o.get(name, default) or "")
        for op in value:
            if op not in known:
                raise CheckpointError(
                    f"{self.w.path}: {name}={shown(value)}: operation {quoted(op)} is not supported, only {known}"
                )
        return value

    # What both sides are made of. Names of values are the op's own, with a suffix for the steps in between.

    def norm(self, p: Program, name: str, x: Value, prefix: str, suffix: str = "") -> Value:
        scale, bias = flat(self.w[f"{prefix}_ln_scale{suffix}"]), flat(self.w[f"{prefix}_ln_bias{suffix}"])
        return p.layer_norm(name, x, scale, bias, EPSILON)

    def dense(self, p: Program, name: str, x: Value, prefix: str, suffix: str, function: str | None = None) -> Value:
        return p.linear(name, x, *self.projection(prefix, suffix), function)

    def projection(self, prefix: str, suffix: str) -> tuple[np.ndarray, np.ndarray]:
        return transposed(self.w[f"{prefix}_W{suffix}"]), flat(self.w[f"{prefix}_b{suffix}"])

    def before(self, p: Program, name: str, x: Value, prefix: str, ops: str) -> Value:
        for i, op in enumerate(o for o in ops if o == "n"):
            x = self.norm(p, f"{name}_normed" + (str(i + 1) if i else ""), x, prefix, "_pre")
        return x

    def after(self, p: Program, name: str, x: Value, before: Value, prefix: str, ops: str) -> Value:
        """postProcess; its last value is called `name`."""
        steps = [op for op in ops if op != "d"]
        for i, op in enumerate(steps):
            called = name if i == len(steps) - 1 else f"{name}_{'sum' if op == 'a' else 'step'}{i + 1}"
            if op == "a":
                x = p.add(called, [x, before])
            elif op == "h":
                gate = self.dense(p, f"{called}_gate", before, prefix, "h", "sigmoid")
                x = p.lerp(called, gate, before, x)
            else:
                x = self.norm(p, called, x, prefix)
        return x

    def ffn(self, p: Program, name: str, x: Value, prefix: str, decoder: bool) -> Value:
        depth = self.number("transformer-ffn-depth", 2)
        if decoder and self.o.get("transformer-decoder-ffn-depth"):
            depth = self.number("transformer-decoder-ffn-depth", 2)
        activation = self.o.get("transformer-ffn-activation", "relu")
        if activation not in _ACTIVATIONS:
            raise CheckpointError(
                f"{self.w.path}: transformer-ffn-activation={shown(activation)} is not supported, only "
                + " and ".join(_ACTIVATIONS)
            )
        y = self.before(p, name, x, prefix + "_ffn", self.pre)
        for i in range(1, depth):
            y = self.dense(p, f"{name}_inner{i}", y, prefix, str(i), activation)
        y = self.dense(p, f"{name}_outer", y, prefix, str(depth))
        return self.after(p, name, y, x, prefix + "_ffn", self.post)

    def placed(self, p: Program, name: str, table: np.ndarray) -> Value:
        """Embeddings with their positions."""
        if self.o.get("transformer-disable-position-embeddings"):
            return p.embed(name, table)
        return p.position(name + "_placed", p.embed(name, table, scale=float(np.sqrt(self.size))))

    def table(self, own: str) -> np.ndarray:
        shared = self.o.get("tied-embeddings-all") or self.o.get("tied-embeddings-src")
        return self.w.shaped("Wemb" if shared else own, None, self.size)

    # The encoder.

    def encoder(self) -> Value:
        p = self.m.encoder
        first = self.placed(p, "source", self.table("encoder_Wemb"))
        x = self.before(p, "source", first, "encoder_emb", self.emb)
        for i in range(1, self.number("enc-depth", 6) + 1):
            prefix = f"encoder_l{i}_self"
            y = self.before(p, f"self{i}", x, prefix + "_Wo", self.pre)
            if self.o.get("transformer-no-projection"):
                output = (np.eye(self.size, dtype=np.float32), None)
            else:
                output = self.projection(prefix, "o")
            parts = [self.projection(prefix, n) for n in ("q", "k", "v")]
            y = p.self_attend(f"self{i}_attended", y, self.heads, *parts, output)
            x = self.after(p, f"self{i}", y, x, prefix + "_Wo", self.post)
            x = self.ffn(p, f"encoder{i}", x, f"encoder_l{i}_ffn", False)
        return self.after(p, "memory", x, first, "encoder_top", self.top)

    # The decoder.

    def context(self, name: str, x: Value, memory: Value, prefix: str) -> Value:
        """Attention over the encoder: the op called `name` holds the heads' contexts side by side."""
        p = self.m.step
        y = self.before(p, f"{name}_query", x, prefix + "_Wo", self.pre)
        (qw, qb), (kw, kb), (vw, vb) = (self.projection(prefix, n) for n in ("q", "k", "v"))
        y = p.attend(
            name,
            "dot",
            y,
            memory,
            query_weight=qw,
            query_bias=qb,
            key_weight=kw,
            key_bias=kb,
            value_weight=vw,
            value_bias=vb,
            heads=self.heads,
            scale=1 / np.sqrt(self.size // self.heads),
        )
        if not self.o.get("transformer-no-projection"):
            y = self.dense(p, f"{name}_projected", y, prefix, "o")
        return self.after(p, f"{name}_out", y, x, prefix + "_Wo", self.post)

    def decoder(self, memory: Value) -> None:
        p, kind = self.m.step, self.o.get("dec-cell")
        norm = bool(self.o.get("layer-normalization", False))
        check(self.w.path, "dec-cell", shown(kind), norm)
        depth = self.number("dec-depth", 2)
        tied = self.o.get("transformer-tied-layers") or list(range(1, depth + 1))
        if (
            not isinstance(tied, list)
            or len(tied) != depth
            or not all(type(n) is int and 1 <= n <= depth for n in tied)
        ):
            raise CheckpointError(
                f"{self.w.path}: transformer-tied-layers={shown(tied)}, expected {depth} numbers of layers"
            )
        self.m.start_with(ZERO)
        first = self.placed(p, "target", self.table("decoder_Wemb"))
        x = self.before(p, "target", first, "decoder_emb", self.emb)
        for i, number in enumerate(tied, start=1):
            prefix = f"decoder_l{number}"
            y = self.before(p, f"rnn{i}", x, prefix + "_rnn", self.pre)
            made = cell(self.w, kind, prefix + "_rnn", norm)
            y = p.cell(f"rnn{i}_cell", y, made, first=ZERO, first_c=ZERO if made.kind in ("lstm", "ssru") else None)
            if self.o.get("transformer-rnn-projection"):
                y = self.dense(p, f"rnn{i}_projected", y, prefix + "_rnn", "o")
            x = self.after(p, f"rnn{i}", y, x, prefix + "_rnn_ffn", self.post)
            x = self.context("attention" if depth == 1 else f"attention{i}", x, memory, prefix + "_context")
            x = self.ffn(p, f"decoder{i}", x, prefix + "_ffn", True)
        x = self.after(p, "readout", x, first, "decoder_top", self.top)
        p.output("output", x, *output_weights(self.o, self.w, "decoder_ff_logit_out"))

    def alignment(self) -> None:
        """What Marian calls the alignment: head 0 of the last layer, or of the one that training was guided by."""
        depth = self.number("dec-depth", 2)
        layer = shown(self.o.get("transformer-guided-alignment-layer", "last"))
        if layer != "last" and depth > 1:
            if not layer.isdigit() or not 1 <= int(layer) <= depth:
                raise CheckpointError(
                    f"{self.w.path}: transformer-guided-alignment-layer={shown(layer)}, expected last or 1 to {depth}"
                )
            self.m.set_search(attend=f"attention{layer}")


def build(model: Model, options: Mapping, weights: Weights) -> None:
    """Fills the model's programs. Raises CheckpointError and BuildError."""
    b = _Builder(model, options, weights)
    b.decoder(b.encoder())
    b.alignment()
