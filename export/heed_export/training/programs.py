"""From a trained recipe model to what a bundle holds: tensors by name, and the programs that use them.

The programs follow proto/heed/model/v1/model.proto (its JSON form, with the schema's own field names). Value and
tensor names are chosen for the people who read attention and taps: `attention.weights`, `state`, `attended`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..networks import models
from ..networks.pointer import PointerGenerator
from ..networks.student import Student
from ..text import corpus


@dataclass(frozen=True)
class Programs:
    """The `encoder`, `init` and `step` of a ModelSpec, and the float32 tensors that they name."""

    encoder: dict
    init: dict
    step: dict
    tensors: dict[str, np.ndarray]


def _array(tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy())


class _Writer:
    """Collects tensors under names; every method returns the name that it stored, or the spec that names it."""

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray] = {}

    def put(self, name: str, values) -> str:
        self.tensors[name] = values if isinstance(values, np.ndarray) else _array(values)
        return name

    def linear(self, name: str, inputs: list[str], module, function: str | None = None) -> dict:
        """A Linear op's fields for a torch Linear (or a bias-free StepLinear)."""
        spec: dict = {"inputs": inputs, "weight": self.put(f"{name}.weight", module.weight)}
        if getattr(module, "bias", None) is not None:
            spec["bias"] = self.put(f"{name}.bias", module.bias)
        if function:
            spec["function"] = function
        return spec

    def torch_cell(self, name: str, module, suffix: str = "") -> dict:
        """A CellSpec for one direction of nn.LSTM (its two biases are one) or nn.GRU (they are not: the reset).

        `suffix` is "_reverse" for the backward direction of a bidirectional module.
        """
        w_ih, w_hh, b_ih, b_hh = (
            getattr(module, f"{n}_l0{suffix}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        is_lstm = type(module).__name__ == "LSTM"
        spec = {
            "kind": "CELL_KIND_LSTM" if is_lstm else "CELL_KIND_GRU",
            "weight_input": self.put(f"{name}.weight_input", w_ih),
            "weight_state": self.put(f"{name}.weight_state", w_hh),
        }
        if is_lstm:
            spec["bias_input"] = self.put(f"{name}.bias", b_ih + b_hh)
        else:
            spec["bias_input"] = self.put(f"{name}.bias_input", b_ih)
            spec["bias_state"] = self.put(f"{name}.bias_state", b_hh)
            spec["gru_reset"] = "GRU_RESET_AFTER"
        return spec


def _embeddings(writer: _Writer, model: models.Seq2Seq) -> tuple[str, str]:
    """Stores the embedding tables. Returns the source's and the target's name."""
    if model.src_embed is model.tgt_embed:
        table = writer.put("embedding", model.tgt_embed.weight)
        return table, table
    source = writer.put("source.embedding", model.src_embed.weight)
    return source, writer.put("target.embedding", model.tgt_embed.weight)


def _encoder(writer: _Writer, encoder: models.Encoder, table: str) -> dict:
    """Bidirectional layers; exports the sequence `memory` and the last layer's final h, `final` (forward, backward)."""
    ops: list[dict] = [{"name": "source_embedding", "embed": {"table": table}}]
    below = "source_embedding"
    count = len(encoder.forward_layers)
    for i, (fwd, bwd) in enumerate(zip(encoder.forward_layers, encoder.backward_layers), start=1):
        for way, module in (("forward", fwd), ("backward", bwd)):
            cell = writer.torch_cell(f"encoder.{i}.{way}", module)
            rnn = {"input": below, "direction": f"DIRECTION_{way.upper()}", "cell": cell}
            ops.append({"name": f"{way}{i}", "rnn": rnn})
        below = "memory" if i == count else f"layer{i}"
        ops.append({"name": below, "concat": {"inputs": [f"forward{i}", f"backward{i}"]}})
    ops.append({"name": "final", "concat": {"inputs": [f"forward{count}.h", f"backward{count}.h"]}})
    return {"ops": ops, "outputs": ["memory", "final"]}


def _prediction(writer: _Writer, model: models.Seq2Seq | Student, read: str, table: str) -> dict:
    """The tied output layer on the value `read`."""
    output = {"inputs": [read], "weight": table, "bias": writer.put("output.bias", model.out_bias)}
    return {"name": "prediction", "output": output}


def _copying(writer: _Writer, model: models.Seq2Seq, output: dict, read: list[str]) -> list[dict]:
    """What follows the output op of a model that copies: its gate, on `read`, and the mixture, which takes its name."""
    if model.gate is None:
        return []
    copy = {"generate": "generated", "gate": "gate", "attention": "attention.weights", "gate_generates": True}
    mixture = {"name": output["name"], "copy": copy}
    output["name"] = "generated"
    return [{"name": "gate", "linear": writer.linear("gate", read, model.gate, "FUNCTION_SIGMOID")}, mixture]


def _step(ops: list[dict]) -> dict:
    """A step program that starts from BOS and whose last op is what search reads."""
    return {"ops": ops, "output": ops[-1]["name"], "start_id": corpus.BOS}


def _lstm(model: models.LuongLstm, context: str) -> Programs:
    """Both LSTM decoders: `context` names what stands beside the state in `attended`, an attention or the summary."""
    w = _Writer()
    source, target = _embeddings(w, model)
    encoder = _encoder(w, model.encoder, source)
    init = {
        "ops": [{"name": "first_c", "linear": w.linear("bridge", ["final"], model.bridge_c)}],
        "initials": [
            {"name": "state", "from": "final"},
            {"name": "state.c", "from": "first_c"},
            {"name": "attended", "zero": True},
        ],
    }
    h = model.options.decoder_hidden
    recurrent = _array(model.cell_h.weight)  # [4 H, H + H], on [attended'; state']
    cell = {
        "kind": "CELL_KIND_LSTM",
        "weight_input": w.put("decoder.weight_input", np.hstack([_array(model.cell_x.weight), recurrent[:, :h]])),
        "weight_state": w.put("decoder.weight_state", np.ascontiguousarray(recurrent[:, h:])),
        "bias_input": w.put("decoder.bias", model.cell_x.bias),
    }
    ops = [
        {"name": "target_embedding", "embed": {"table": target}},
        {"name": "state", "cell": {"inputs": ["target_embedding", "attended'"], "cell": cell}},
    ]
    if context == "attention":
        attend = {
            "score": "SCORE_GENERAL",
            "query": ["state"],
            "memory": "memory",
            "key_weight": w.put("attention.key.weight", model.attn_key.weight),
        }
        ops.append({"name": "attention", "attend": attend})
    attended = w.linear("attended", [context, "state"], model.attn_out, "FUNCTION_TANH")
    ops += [
        {"name": "attended", "linear": attended},
        {"name": "readout", "linear": w.linear("readout", ["attended"], model.readout)},
        _prediction(w, model, "readout", target),
    ]
    ops += _copying(w, model, ops[-1], ["attended"])
    return Programs(encoder, init, _step(ops), w.tensors)


def _luong_lstm(model: models.LuongLstm) -> Programs:
    return _lstm(model, "attention")


def _plain_lstm(model: models.PlainLstm) -> Programs:
    p = _lstm(model, "final")
    p.encoder["outputs"] = ["final"]
    return p


def _bahdanau_gru(model: models.BahdanauGru) -> Programs:
    w = _Writer()
    source, target = _embeddings(w, model)
    encoder = _encoder(w, model.encoder, source)
    init = {
        "ops": [{"name": "first", "linear": w.linear("bridge", ["final"], model.bridge, "FUNCTION_TANH")}],
        "initials": [{"name": "state", "from": "first"}],
    }
    attend = {
        "score": "SCORE_ADDITIVE",
        "query": ["state'", "target_embedding"] if model.options.query_word else ["state'"],
        "memory": "memory",
        "key_weight": w.put("attention.key.weight", model.attn_key.weight),
        "key_bias": w.put("attention.key.bias", model.attn_key.bias),
        "query_weight": w.put("attention.query.weight", model.attn_query.weight),
        "v": w.put("attention.v", _array(model.attn_v)[0]),
    }
    n_bias = _array(model.cell_n_bias)
    cell = {
        "kind": "CELL_KIND_GRU",
        "weight_input": w.put(
            "decoder.weight_input", np.hstack([_array(model.cell_x.weight), _array(model.cell_c.weight)])
        ),
        "weight_state": w.put("decoder.weight_state", model.cell_h.weight),
        "bias_input": w.put("decoder.bias_input", model.cell_x.bias),
        # Only the candidate has a recurrent bias of its own: the gates' would add to bias_input.
        "bias_state": w.put("decoder.bias_state", np.concatenate([np.zeros(2 * len(n_bias), np.float32), n_bias])),
        "gru_reset": "GRU_RESET_AFTER",
    }
    readout = w.linear("readout", ["state", "attention", "target_embedding"], model.readout)
    ops = [
        {"name": "target_embedding", "embed": {"table": target}},
        {"name": "attention", "attend": attend},
        {"name": "state", "cell": {"inputs": ["target_embedding", "attention"], "cell": cell}},
        {"name": "readout", "linear": readout},
        _prediction(w, model, "readout", target),
    ]
    ops += _copying(w, model, ops[-1], ["state", "attention", "target_embedding"])
    return Programs(encoder, init, _step(ops), w.tensors)


class _Layers:
    """Writes a student's layers: every method appends ops to `ops` and returns the name of the value they end in."""

    def __init__(self, writer: _Writer, below: str):
        self.writer = writer
        self.ops: list[dict] = []
        self.below = below

    def op(self, name: str, kind: str, fields: dict) -> str:
        self.ops.append({"name": name, kind: fields})
        return name

    def norm(self, name: str, tensors: str, sublayer: str, module) -> None:
        """LN(sublayer + below), the next `below`."""
        total = self.op(f"{sublayer}_sum", "add", {"inputs": [self.below, sublayer]})
        scale = self.writer.put(f"{tensors}.scale", module.weight)
        bias = self.writer.put(f"{tensors}.bias", module.bias)
        self.below = self.op(name, "layer_norm", {"input": total, "scale": scale, "bias": bias, "epsilon": module.eps})

    def feed_forward(self, number: int, tensors: str, module) -> str:
        w = self.writer
        hidden = w.linear(f"{tensors}.hidden", [self.below], module.hidden, "FUNCTION_RELU")
        hidden_name = self.op(f"hidden{number}", "linear", hidden)
        return self.op(f"feed_forward{number}", "linear", w.linear(f"{tensors}.out", [hidden_name], module.out))

    def projections(self, tensors: str, module, names: tuple[str, ...]) -> dict:
        """The fields NAME_weight and NAME_bias of some of an attention's four projections."""
        fields = {}
        for name in names:
            projection = getattr(module, "out" if name == "output" else name)
            fields[f"{name}_weight"] = self.writer.put(f"{tensors}.{name}.weight", projection.weight)
            fields[f"{name}_bias"] = self.writer.put(f"{tensors}.{name}.bias", projection.bias)
        return fields


def _student_encoder(w: _Writer, model: Student, table: str) -> dict:
    scale = math.sqrt(model.options.embedding)
    layers = _Layers(w, "source")
    layers.op("source_embedding", "embed", {"table": table, "scale": scale})
    layers.op("source", "position", {"input": "source_embedding"})
    for i, layer in enumerate(model.encoder_layers, start=1):
        tensors = f"encoder.{i}"
        fields = layers.projections(f"{tensors}.self", layer.attention, ("query", "key", "value", "output"))
        attended = {"input": layers.below, "heads": model.options.heads, **fields}
        sublayer = layers.op(f"self_attention{i}", "self_attend", attended)
        layers.norm(f"mixed{i}", f"{tensors}.self.norm", sublayer, layer.norms[0])
        sublayer = layers.feed_forward(i, f"{tensors}.feed_forward", layer.feed_forward)
        last = i == len(model.encoder_layers)
        layers.norm("memory" if last else f"layer{i}", f"{tensors}.feed_forward.norm", sublayer, layer.norms[1])
    return {"ops": layers.ops, "outputs": ["memory"]}


def _student(model: Student) -> Programs:
    w = _Writer()
    o = model.options
    source, target = _embeddings(w, model)
    encoder = _student_encoder(w, model, source)
    layers = _Layers(w, "target")
    layers.op("target_embedding", "embed", {"table": target, "scale": math.sqrt(o.embedding)})
    layers.op("target", "position", {"input": "target_embedding"})
    initials = []
    several = o.decoder_layers > 1
    for i, layer in enumerate(model.decoder_layers, start=1):
        tensors, attention = f"decoder.{i}", f"attention{i}" if several else "attention"
        bias = np.concatenate([_array(layer.recurrence.bias), np.zeros(o.embedding, np.float32)])
        cell = {
            "kind": "CELL_KIND_SSRU",
            "weight_input": w.put(f"{tensors}.recurrence.weight", layer.recurrence.weight),
            "bias_input": w.put(f"{tensors}.recurrence.bias", bias),
        }
        state = layers.op(f"state{i}", "cell", {"inputs": [layers.below], "cell": cell})
        initials += [{"name": state, "zero": True}, {"name": f"{state}.c", "zero": True}]
        layers.norm(f"recurrent{i}", f"{tensors}.recurrence.norm", state, layer.norms[0])
        attend = {
            "score": "SCORE_DOT",
            "query": [layers.below],
            "memory": "memory",
            **layers.projections(f"{tensors}.attention", layer.attention, ("query", "key", "value")),
            "scale": (o.embedding // o.heads) ** -0.5,
            "heads": o.heads,
        }
        layers.op(attention, "attend", attend)
        out = w.linear(f"{tensors}.attention.output", [attention], layer.attention.out)
        sublayer = layers.op(f"{attention}_output", "linear", out)
        layers.norm(f"attended{i}", f"{tensors}.attention.norm", sublayer, layer.norms[1])
        sublayer = layers.feed_forward(i, f"{tensors}.feed_forward", layer.feed_forward)
        layers.norm(f"decoded{i}", f"{tensors}.feed_forward.norm", sublayer, layer.norms[2])
    layers.ops.append(_prediction(w, model, layers.below, target))
    step = {"ops": layers.ops, "output": "prediction", "start_zero": True}
    return Programs(encoder, {"ops": [], "initials": initials}, step, w.tensors)


def _pointer_encoder(w: _Writer, model: PointerGenerator, table: str) -> dict:
    """One bidirectional layer; exports `memory`, and both parts of the final state."""
    ops: list[dict] = [{"name": "source_embedding", "embed": {"table": table}}]
    for way, suffix in (("forward", ""), ("backward", "_reverse")):
        cell = w.torch_cell(f"encoder.1.{way}", model.encoder, suffix)
        rnn = {"input": "source_embedding", "direction": f"DIRECTION_{way.upper()}", "cell": cell}
        ops.append({"name": f"{way}1", "rnn": rnn})
    ops.append({"name": "memory", "concat": {"inputs": ["forward1", "backward1"]}})
    for part in ("h", "c"):
        ops.append({"name": f"final_{part}", "concat": {"inputs": [f"forward1.{part}", f"backward1.{part}"]}})
    return {"ops": ops, "outputs": ["memory", "final_h", "final_c"]}


def _pointer_generator(model: PointerGenerator) -> Programs:
    w = _Writer()
    _, table = _embeddings(w, model)
    encoder = _pointer_encoder(w, model, table)
    relu = "FUNCTION_RELU"
    init = {
        "ops": [
            {"name": "first_h", "linear": w.linear("bridge.h", ["final_h"], model.bridge_h, relu)},
            {"name": "first_c", "linear": w.linear("bridge.c", ["final_c"], model.bridge_c, relu)},
        ],
        "initials": [
            {"name": "state", "from": "first_h"},
            {"name": "state.c", "from": "first_c"},
            {"name": "attention", "zero": True},
        ],
    }
    size = model.options.embedding
    feed = {
        "inputs": ["target_embedding", "attention'"],
        "weight": w.put("feed.weight", np.hstack([_array(model.feed_e.weight), _array(model.feed_c.weight)])),
        "bias": w.put("feed.bias", model.feed_e.bias),
    }
    both = _array(model.cell.weight)  # [4 H, E + H], on [x; state']
    cell = {
        "kind": "CELL_KIND_LSTM",
        "weight_input": w.put("decoder.weight_input", np.ascontiguousarray(both[:, :size])),
        "weight_state": w.put("decoder.weight_state", np.ascontiguousarray(both[:, size:])),
        "bias_input": w.put("decoder.bias", model.cell_bias),
    }
    attend = {
        "score": "SCORE_ADDITIVE",
        "query": ["state.c", "state"],
        "memory": "memory",
        "key_weight": w.put("attention.key.weight", model.attn_key.weight),
        "key_bias": w.put("attention.key.bias", model.attn_key.bias),
        "query_weight": w.put("attention.query.weight", model.attn_query.weight),
        "v": w.put("attention.v", _array(model.attn_v)[0]),
    }
    ops = [
        {"name": "target_embedding", "embed": {"table": table}},
        {"name": "feed", "linear": feed},
        {"name": "state", "cell": {"inputs": ["feed"], "cell": cell}},
        {"name": "attention", "attend": attend},
        {"name": "readout", "linear": w.linear("readout", ["state", "attention"], model.readout)},
        _prediction(w, model, "readout", table),
    ]
    ops += _copying(w, model, ops[-1], ["attention", "state.c", "state", "feed"])
    return Programs(encoder, init, _step(ops), w.tensors)


def make(model: models.Seq2Seq | Student) -> Programs:
    """The programs and tensors of a recipe model."""
    makers = {
        "luong-lstm": _luong_lstm,
        "lstm": _plain_lstm,
        "bahdanau-gru": _bahdanau_gru,
        "student": _student,
        "pointer-generator": _pointer_generator,
    }
    return makers[model.options.arch](model)
