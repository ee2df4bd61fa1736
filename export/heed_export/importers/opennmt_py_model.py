"""OpenNMT-py's recurrent models as programs: what of a checkpoint's options they depend on, and build(), which reads its
tensors. Sources: onmt/encoders/{rnn,mean}_encoder.py, onmt/decoders/decoder.py,
onmt/modules/{global_attention,copy_generator,gate,stacked_rnn}.py; the oracle export/reference/opennmt_py.py says the same
in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..model.builder import Model, Value
from ..model.layers import Cell
from ..model.vocabulary import Vocabulary
from ..reading.checkpoint import CheckpointError, Weights
from ..reading.shown import shown
from .pytorch import count_layers, rnn_stack

UNK, PAD, BOS, EOS = "<unk>", "<blank>", "<s>", "</s>"


@dataclass(frozen=True)
class Options:
    """What of the checkpoint's `opt` the programs depend on; sizes and layers are the weights'."""

    encoder_type: str = "rnn"  # rnn | brnn | mean
    rnn_type: str = "LSTM"  # LSTM | GRU
    input_feed: bool = True
    global_attention: str = "general"  # dot | general | mlp | none
    global_attention_function: str = "softmax"  # softmax | sparsemax
    bridge: bool = False
    context_gate: str | None = None  # source | target | both
    coverage_attn: bool = False  # says nothing: no version passes the coverage on to the score
    copy_attn: bool = False
    reuse_copy_attn: bool = False
    copy_attn_type: str = "general"
    share_embeddings: bool = False
    share_decoder_embeddings: bool = False
    start: str = BOS  # piece that the decoder starts with
    layout: int = 3  # 0: pairs of names and Vocabs, 1: Fields (1.x and 2.x), 3: lists


def _table(w: Weights, side: str) -> np.ndarray:
    """Embeddings; `make_embedding` stands in the name since 2018."""
    names = [f"{side}.embeddings.{between}emb_luts.0.weight" for between in ("make_embedding.", "")]
    for name in names:
        if name.replace(".0.", ".1.") in w:
            raise CheckpointError(
                f"{w.path}: word features are not supported: {name.replace('.0.', '.1.')} in the checkpoint"
            )
    for name in names:
        if name in w:
            return w[name]
    return w[names[0]]


def _encode(m: Model, o: Options, w: Weights, layers: int) -> tuple[Value, list[Value], list[Value]]:
    """The memory, and the decoder's first h and c of each layer."""
    x = m.encoder.embed("memory" if o.encoder_type == "mean" else "source_embedding", _table(w, "encoder"))
    if o.encoder_type == "mean":  # MeanEncoder.forward: the embeddings, and their mean for every state
        mean = m.init.pool("mean", x, "mean")
        return x, [mean] * layers, [mean] * layers
    made = rnn_stack(m, o.rnn_type, w, "encoder.rnn.", x, layers, o.encoder_type == "brnn")
    x = made[-1]
    # Layer by layer, forward and backward, as torch's final states lie.
    hs = [h for layer in made for h in layer.finals]
    cs = [c for layer in made for c in layer.finals_c]
    if o.bridge:
        hs = _bridge(m, w, "h", 0, hs)
        cs = _bridge(m, w, "c", 1, cs) if cs else cs
    return x, _beside(m, "h", hs, layers), _beside(m, "c", cs, layers)


def _bridge(m: Model, w: Weights, part: str, number: int, states: list[Value]) -> list[Value]:
    """RNNEncoder._bridge: the states of all layers and directions, behind one another, are cut in as many rows as there
    are directions, whichever states these are; each row goes through relu(linear)."""
    weight, bias = w[f"encoder.bridge.{number}.weight"], w[f"encoder.bridge.{number}.bias"]
    size = states[0].size
    per_row = weight.shape[1] // size if weight.ndim == 2 else 0
    if per_row == 0 or len(states) % per_row:
        raise CheckpointError(
            f"{w.path}: tensor encoder.bridge.{number}.weight is {list(weight.shape)}, which does not fit "
            f"{len(states)} states of {size}"
        )
    made = []
    for row in range(len(states) // per_row):
        group = states[row * per_row : (row + 1) * per_row]
        y = m.init.linear(f"bridge_{part}{row + 1}", group, weight, bias, "relu")
        made += [
            m.init.slice(f"bridged_{part}{row * per_row + i + 1}", y, i * size, (i + 1) * size) for i in range(per_row)
        ]
    return made


def _beside(m: Model, part: str, states: list[Value], layers: int) -> list[Value]:
    """RNNDecoderBase.init_state, _fix_enc_hidden: the directions of each layer side by side."""
    ways = len(states) // layers
    if ways < 2:
        return states
    return [m.init.concat(f"first_{part}{i + 1}", states[i * ways : (i + 1) * ways]) for i in range(layers)]


def _attend(m: Model, o: Options, w: Weights, name: str, prefix: str, kind: str, query: Value, memory: Value) -> Value:
    """GlobalAttention.score. linear_cover, where there is one, is never applied."""
    function = o.global_attention_function
    if kind == "mlp":
        return m.step.attend(
            name,
            "additive",
            query,
            memory,
            key_weight=w[f"{prefix}.linear_context.weight"],
            query_weight=w[f"{prefix}.linear_query.weight"],
            query_bias=w[f"{prefix}.linear_query.bias"],
            v=w[f"{prefix}.v.weight"],
            normalizer=function,
        )
    if kind == "general":
        return m.step.attend(
            name, "general", query, memory, query_weight=w[f"{prefix}.linear_in.weight"], normalizer=function
        )
    return m.step.attend(name, "dot", query, memory, normalizer=function)


def _gate(m: Model, w: Weights, kind: str, x: list[Value], s: Value, a: Value) -> Value:
    """onmt/modules/gate.py: x is the decoder's input, with the input feed where there is one."""
    g = "decoder.context_gate.context_gate."

    def linear(name: str, part: str, inputs: list[Value], function: str | None = None) -> Value:
        return m.step.linear(name, inputs, w[f"{g}{part}.weight"], w[f"{g}{part}.bias"], function)

    z = linear("gate", "gate", [*x, s, a], "sigmoid")
    source, target = linear("gate_source", "source_proj", [a]), linear("gate_target", "target_proj", [*x, s])
    if kind == "both":
        mixed = m.step.lerp("gate_sum", z, target, source)
    elif kind == "source":
        mixed = m.step.add("gate_sum", [target, m.step.mul("gated", z, source)])
    else:
        mixed = m.step.add("gate_sum", [m.step.mul("gated", z, target), source])
    return m.step.activation("attended", mixed, "tanh")


def _decode(
    m: Model, o: Options, w: Weights, layers: int, memory: Value, hs: list[Value], cs: list[Value]
) -> tuple[Value, Value]:
    """The attention vector, and the weights that copying reads: InputFeedRNNDecoder or
    StdRNNDecoder._run_forward_pass."""
    e = m.step.embed("target_embedding", _decoder_table(o, w))
    inputs = [e]
    if o.input_feed:
        inputs.append(m.step.previous("attended", size=hs[-1].size))
    below: list[Value] = inputs
    for layer in range(layers):
        prefix, suffix = (f"decoder.rnn.layers.{layer}.", "") if o.input_feed else ("decoder.rnn.", f"_l{layer}")
        c = {"first_c": cs[layer]} if o.rnn_type == "LSTM" else {}
        name = f"state{layer + 1}" if layers > 1 else "state"
        s = m.step.cell(name, below, Cell.torch(o.rnn_type, w, prefix, suffix), hs[layer], **c)
        below = [s]
    a = s
    weights = None
    if o.global_attention != "none":
        context = _attend(m, o, w, "attention", "decoder.attn", o.global_attention, s, memory)
        weights = context.weights
        plain = o.global_attention == "mlp"  # GlobalAttention.forward: a bias and no tanh
        bias = w["decoder.attn.linear_out.bias"] if plain else None
        name = "attention_vector" if o.context_gate else "attended"
        a = m.step.linear(name, [context, s], w["decoder.attn.linear_out.weight"], bias, None if plain else "tanh")
    if o.context_gate:
        a = _gate(m, w, o.context_gate, inputs, s, a)
    elif o.global_attention == "none" and o.input_feed:  # the state is fed back, but what is fed first is zero
        a = m.step.activation("attended", s, "identity")
    if o.copy_attn and not o.reuse_copy_attn:
        # The query is the attention vector; what linear_out would make of the context is not used.
        weights = _attend(m, o, w, "copy_attention", "decoder.copy_attn", o.copy_attn_type, a, memory).weights
    if o.copy_attn and weights is None:
        raise CheckpointError(
            f"{w.path}: copying with the attention of a model that has none: reuse_copy_attn in the checkpoint"
        )
    return a, weights


def _decoder_table(o: Options, w: Weights) -> np.ndarray:
    """The target's embeddings; a file may leave them out where they are the source's."""
    has_own = any(f"decoder.embeddings.{between}emb_luts.0.weight" in w for between in ("make_embedding.", ""))
    return _table(w, "decoder" if has_own or not o.share_embeddings else "encoder")


def decoder_layers(o: Options, w: Any) -> int:
    """Number of layers, from the tensors' names: a stack of cells with input feeding, torch's own RNN without."""
    if not o.input_feed:
        return count_layers(w, "decoder.rnn.")
    layers = 0
    while f"decoder.rnn.layers.{layers}.weight_hh" in w:
        layers += 1
    return layers


def build(options: Options, weights: Weights, source: Vocabulary, target: Vocabulary) -> Model:
    """The model from the checkpoint's tensors. Raises CheckpointError for one that is missing, misshapen or left
    over."""
    o, w = options, weights
    m = Model(source, target)
    layers = decoder_layers(o, w)
    if layers == 0:
        kind = "decoder.rnn.layers.0.weight_hh" if o.input_feed else "decoder.rnn.weight_hh_l0"
        raise CheckpointError(f"{w.path}: tensor {kind} is missing")
    below = layers if o.encoder_type == "mean" else count_layers(w, "encoder.rnn.")
    if below != layers:
        raise CheckpointError(f"{w.path}: the encoder has {below} layers and the decoder {layers}, expected as many")
    a, copied = _decode(m, o, w, layers, *_encode(m, o, w, layers))
    if o.copy_attn:
        g = "generator.linear."
        table = _decoder_table(o, w) if o.share_decoder_embeddings and f"{g}weight" not in w else w[f"{g}weight"]
        generate = m.step.output("generation", a, table, w[f"{g}bias"])
        gate = m.step.linear(
            "copy_gate", a, w["generator.linear_copy.weight"], w["generator.linear_copy.bias"], "sigmoid"
        )
        masked = [target.pieces.index(PAD)] if PAD in target.pieces else []
        m.step.copy("prediction", generate, gate, copied, gate_generates=False, masked=masked)
    else:
        old = "0." if "generator.0.bias" in w else ""
        tied = o.share_decoder_embeddings and f"generator.{old}weight" not in w
        table = _decoder_table(o, w) if tied else w[f"generator.{old}weight"]
        m.step.output("prediction", a, table, w[f"generator.{old}bias"])
    m.start_with(target.pieces.index(o.start))
    for prefix in ("decoder.attn", "decoder.copy_attn"):
        w.ignore(f"{prefix}.linear_cover.weight")
    w.ignore("decoder.copy_attn.linear_out.weight", "decoder.copy_attn.linear_out.bias")
    left = [name for name in w.unused() if not name.endswith((".num_batches_tracked", ".pe"))]
    if left:
        raise CheckpointError(f"{w.path}: tensor {shown(left[0])} is in the checkpoint and no part of such a model")
    return m
