"""From a trained recipe model to what a bundle holds: tensors by name, and the programs that use them.

The programs follow proto/heed/model/v1/model.proto (its JSON form, with the schema's own field names). Value and
tensor names are chosen for the people who read attention and taps: `attention.weights`, `state`, `attended`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import data, models


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

    def torch_cell(self, name: str, module) -> dict:
        """A CellSpec for one direction of nn.LSTM (its two biases are one) or nn.GRU (they are not: the reset)."""
        is_lstm = type(module).__name__ == "LSTM"
        spec = {
            "kind": "CELL_KIND_LSTM" if is_lstm else "CELL_KIND_GRU",
            "weight_input": self.put(f"{name}.weight_input", module.weight_ih_l0),
            "weight_state": self.put(f"{name}.weight_state", module.weight_hh_l0),
        }
        if is_lstm:
            spec["bias_input"] = self.put(f"{name}.bias", module.bias_ih_l0 + module.bias_hh_l0)
        else:
            spec["bias_input"] = self.put(f"{name}.bias_input", module.bias_ih_l0)
            spec["bias_state"] = self.put(f"{name}.bias_state", module.bias_hh_l0)
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


def _luong_lstm(model: models.LuongLstm) -> Programs:
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
    attend = {
        "score": "SCORE_GENERAL",
        "query": ["state"],
        "memory": "memory",
        "key_weight": w.put("attention.key.weight", model.attn_key.weight),
    }
    attended = w.linear("attended", ["attention", "state"], model.attn_out, "FUNCTION_TANH")
    readout = w.linear("readout", ["attended"], model.readout)
    output = {"inputs": ["readout"], "weight": target, "bias": w.put("output.bias", model.out_bias)}
    step = {
        "ops": [
            {"name": "target_embedding", "embed": {"table": target}},
            {"name": "state", "cell": {"inputs": ["target_embedding", "attended'"], "cell": cell}},
            {"name": "attention", "attend": attend},
            {"name": "attended", "linear": attended},
            {"name": "readout", "linear": readout},
            {"name": "prediction", "output": output},
        ],
        "output": "prediction",
        "start_id": data.BOS,
    }
    return Programs(encoder, init, step, w.tensors)


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
        "query": ["state'"],
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
    output = {"inputs": ["readout"], "weight": target, "bias": w.put("output.bias", model.out_bias)}
    step = {
        "ops": [
            {"name": "target_embedding", "embed": {"table": target}},
            {"name": "attention", "attend": attend},
            {"name": "state", "cell": {"inputs": ["target_embedding", "attention"], "cell": cell}},
            {"name": "readout", "linear": readout},
            {"name": "prediction", "output": output},
        ],
        "output": "prediction",
        "start_id": data.BOS,
    }
    return Programs(encoder, init, step, w.tensors)


def make(model: models.Seq2Seq) -> Programs:
    """The programs and tensors of a recipe model."""
    return {"luong-lstm": _luong_lstm, "bahdanau-gru": _bahdanau_gru}[model.options.arch](model)
