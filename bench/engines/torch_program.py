"""A bundle's programs as PyTorch modules: what somebody who serves such a model with PyTorch would run, whatever its
shape. Products, cells and recurrent layers are torch.nn's own modules, so that quantize_dynamic finds them; the two
directions of a recurrent layer are one bidirectional module.

It has the interface that heed_export.decoding.decode decodes with (encode, step, max_length). Knows the ops of the models that
peers.py measures, and raises ValueError for any other. Shapes: B rows, S source positions, N heads.
"""

import torch
import torch.nn.functional as F
from torch import nn

from heed_export.networks import recurrent, student
from heed_export.decoding.rows import Rows, Step, padded

FUNCTIONS = {"FUNCTION_TANH": torch.tanh, "FUNCTION_SIGMOID": torch.sigmoid, "FUNCTION_RELU": torch.relu}
QUANTISED = {nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell}
_POSITIONS = 1024


def _kind(op):
    return next(k for k in op if k != "name")


class Model(nn.Module):
    """`source` is a heed_export.bundle.Bundle. `precision` is float32, bfloat16 or int8 (dynamic: weights of nn.Linear
    and of the recurrent modules are quantised beforehand, activations in each call)."""

    def __init__(self, source, precision="float32"):
        super().__init__()
        self.spec, self._tensors = source.spec, source.tensors
        self.eos = source.spec["target"]["eos_id"]
        self.start_id = source.spec["step"].get("start_id", self.eos)
        self._start_zero = source.spec["step"].get("start_zero", False)
        self._encoder, self._init, self._step = (source.spec[part]["ops"] for part in ("encoder", "init", "step"))
        self.parts = nn.ModuleDict()
        self._vectors, self._sinusoids = {}, None
        self._sizes = {}  # of what the step carries, by name
        self._partner = {}  # of a forward recurrence: the backward one that its module does as well
        self._waiting = {}
        self._copies = False
        for name, ops in (("encoder", self._encoder), ("init", self._init), ("step", self._step)):
            for op in ops:
                self._prepare_op(name, op["name"], _kind(op), op[_kind(op)])
        self._initials = source.spec["init"].get("initials", [])
        self.type = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self._tensors = None
        self.eval()
        if precision == "bfloat16":
            self.to(torch.bfloat16)
            self._vectors = {n: v.to(torch.bfloat16) for n, v in self._vectors.items()}
        if precision == "int8":
            self.parts = torch.ao.quantization.quantize_dynamic(self.parts, QUANTISED, dtype=torch.qint8)

    # Making the modules.

    def _array(self, name):
        return torch.from_numpy(self._tensors[name]).clone()  # where PyTorch likes it: at a multiple of 64 bytes

    def _linear(self, weight, bias=None):
        w = self._array(weight)
        made = nn.Linear(w.shape[1], w.shape[0], bias=bias is not None)
        made.weight.data = w
        if bias is not None:
            made.bias.data = self._array(bias)
        return made

    def _cell_values(self, cell):
        first = self._array(cell["bias_input"])
        second = self._array(cell["bias_state"]) if "bias_state" in cell else torch.zeros_like(first)
        return self._array(cell["weight_input"]), self._array(cell["weight_state"]), first, second

    def _prepare_op(self, program, name, kind, spec):
        key = f"{program}_{name}"
        if kind in ("linear", "output"):
            self.parts[key] = self._linear(spec["weight"], spec.get("bias"))
            self._sizes[name] = self.parts[key].out_features
        elif kind == "embed":
            self.parts[key] = nn.Embedding.from_pretrained(self._array(spec["table"]))
        elif kind == "layer_norm":
            scale = self._array(spec["scale"])
            self.parts[key] = nn.LayerNorm(len(scale), spec["epsilon"])
            self.parts[key].weight.data, self.parts[key].bias.data = scale, self._array(spec["bias"])
        elif kind == "self_attend":
            for part in ("query", "key", "value", "output"):
                self.parts[f"{key}_{part}"] = self._linear(spec[f"{part}_weight"], spec.get(f"{part}_bias"))
        elif kind == "rnn":
            self._prepare_rnn(name, spec)
        elif kind == "cell":
            self._prepare_cell(key, spec["cell"])
            made = self.parts[key]
            size = made.out_features // 2 if isinstance(made, nn.Linear) else made.hidden_size
            self._sizes |= {name: size, f"{name}.c": size}
        elif kind == "attend":
            for part in ("query", "key", "value"):
                if f"{part}_weight" in spec:
                    self.parts[f"{key}_{part}"] = self._linear(spec[f"{part}_weight"], spec.get(f"{part}_bias"))
            if "v" in spec:
                self._vectors[f"{key}_v"] = self._array(spec["v"])
            self._sizes[name] = (self.parts[f"{key}_value"].out_features if "value_weight" in spec
                                 else self.parts[f"{key}_key"].in_features)  # fmt: skip
        elif kind == "copy":
            self._copies = True
        elif kind not in ("concat", "add", "position"):
            raise ValueError(f"op {name}: no PyTorch for {kind}")

    def _prepare_cell(self, key, cell):
        if cell["kind"] == "CELL_KIND_SSRU":
            self.parts[key] = self._linear(cell["weight_input"], cell["bias_input"])
            return
        w, u, first, second = self._cell_values(cell)
        made = {"CELL_KIND_LSTM": nn.LSTMCell, "CELL_KIND_GRU": nn.GRUCell}[cell["kind"]](w.shape[1], u.shape[1])
        if cell["kind"] == "CELL_KIND_GRU" and cell["gru_reset"] != "GRU_RESET_AFTER":
            raise ValueError(f"{key}: PyTorch's GRU resets after the product")
        made.load_state_dict({"weight_ih": w, "weight_hh": u, "bias_ih": first, "bias_hh": second})
        self.parts[key] = made

    def _prepare_rnn(self, name, spec):
        """A module of one or, where another direction of the same shape reads the same value, of two directions."""
        cell, backward = spec["cell"], spec["direction"] == "DIRECTION_BACKWARD"
        values = self._cell_values(cell)
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        waiting = (spec["input"], cell["kind"], values[1].shape)
        ahead = self._waiting.pop(waiting, None) if backward else None
        if backward and ahead is None:
            raise ValueError(f"op {name}: a backward layer alone")
        made = {"CELL_KIND_LSTM": nn.LSTM, "CELL_KIND_GRU": nn.GRU}[cell["kind"]](
            values[0].shape[1], values[1].shape[1], batch_first=True, bidirectional=backward
        )
        state = dict(zip(names, values))
        if backward:
            state = {**ahead[1], **{f"{n}_reverse": v for n, v in state.items()}}
            self.parts[f"encoder_{ahead[0]}"] = made
            self._partner[ahead[0]] = name
        else:
            self._waiting[waiting] = (name, state)
            self.parts[f"encoder_{name}"] = made
        made.load_state_dict(state)

    # Running them.

    def max_length(self, source_length):
        """Most target tokens for a source of this many, specials included."""
        search = self.spec["search"]
        return int(search["max_length_a"] * source_length + search["max_length_b"])

    def encode(self, sources):
        """Encodes sources (ids, specials included), which must stand in descending order of length."""
        ids, lengths = padded(sources, self.eos)
        mask = recurrent.length_mask(lengths, ids.shape[1]).to(self.type)
        values = {"": ids, ".mask": mask, ".lengths": lengths}
        for op in self._encoder:
            self._run("encoder", op, values)
        fixed = {name: values[name] for name in self.spec["encoder"]["outputs"]} | {".mask": mask}
        first = dict(fixed)
        for op in self._init:
            self._run("init", op, first)
        for op in self._step:
            if "attend" in op:
                fixed |= self._keys(op["name"], op["attend"], fixed)
        state = [torch.zeros(len(sources), dtype=torch.int64)]
        for initial in self._initials:
            zero = torch.zeros(len(sources), self._sizes[initial["name"]], dtype=self.type)
            state.append(first[initial["from"]] if "from" in initial else zero)
        if self._copies:
            fixed[".copies"] = ids  # both sides have one vocabulary, and no piece is unknown
        # What no step reads need not move with the rows.
        used = {n for n in fixed if n in (".mask", ".copies") or n.endswith((".keys", ".values"))}
        return Rows({n: v for n, v in fixed.items() if n in used}, tuple(state))

    def step(self, ids, rows):
        """One target position: reads the previous ids [B], updates the rows' state."""
        logits, state = self.advance(ids, rows.fixed, rows.state)
        rows.state = state
        return Step(logits, None, None)

    def advance(self, ids, fixed, state):
        """Logits and the next state."""
        position, *before = state
        values = {**fixed, "": ids, ".position": position}
        values |= {f"{i['name']}'": v for i, v in zip(self._initials, before)}
        for op in self._step:
            self._run("step", op, values)
        after = (values[i["name"]] for i in self._initials)
        return values[self.spec["step"]["output"]], (position + 1, *after)

    def _run(self, program, op, values):
        kind, name = _kind(op), op["name"]
        getattr(self, f"_run_{kind}")(f"{program}_{name}", name, op[kind], values)

    def _read(self, names, values):
        return values[names[0]] if len(names) == 1 else torch.cat([values[n] for n in names], -1)

    def _run_embed(self, key, name, spec, values):
        x = self.parts[key](values[""])
        if "scale" in spec:
            x = x * spec["scale"]
        if self._start_zero and ".position" in values:
            x = x * (values[".position"] > 0)[:, None]
        values[name] = x

    def _run_position(self, key, name, spec, values):
        x = values[spec["input"]]
        if self._sinusoids is None:
            self._sinusoids = student.sinusoids(_POSITIONS, x.shape[-1]).to(self.type)
        where, rows = values.get(".position"), self._sinusoids
        values[name] = x + (rows[: x.shape[1]] if where is None else rows[where])

    def _run_concat(self, key, name, spec, values):
        first, *rest = spec["inputs"]
        if rest == [self._partner.get(first)] and f"{first}.both" in values:
            values[name] = values[f"{first}.both"]
        else:
            values[name] = self._read(spec["inputs"], values)

    def _run_add(self, key, name, spec, values):
        first, *rest = (values[n] for n in spec["inputs"])
        for more in rest:
            first = first + more
        values[name] = first

    def _run_linear(self, key, name, spec, values):
        y = self.parts[key](self._read(spec["inputs"], values))
        values[name] = FUNCTIONS[spec["function"]](y) if "function" in spec else y

    _run_output = _run_linear

    def _run_layer_norm(self, key, name, spec, values):
        values[name] = self.parts[key](values[spec["input"]])

    def _run_self_attend(self, key, name, spec, values):
        x, heads = values[spec["input"]], spec.get("heads", 1)
        q, k, v = (self.parts[f"{key}_{part}"](x).unflatten(-1, (heads, -1)).transpose(1, 2)
                   for part in ("query", "key", "value"))  # fmt: skip
        context = F.scaled_dot_product_attention(q, k, v, values[".mask"][:, None, None])
        values[name] = self.parts[f"{key}_output"](context.transpose(1, 2).flatten(2))

    def _run_rnn(self, key, name, spec, values):
        if name in self._partner.values():
            return  # its partner has done it
        x, lengths, module = values[spec["input"]], values[".lengths"], self.parts[key]
        if int(lengths[-1]) == x.shape[1]:
            out, final = module(x)
        else:
            out, final = module(nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))
            out, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
        h, c = final if isinstance(final, tuple) else (final, final)
        size = h.shape[-1]
        for at, made in enumerate(n for n in (name, self._partner.get(name)) if n):
            values[made] = out[..., at * size : (at + 1) * size]
            values[f"{made}.h"], values[f"{made}.c"] = h[at], c[at]
        values[f"{name}.both"] = out

    def _run_cell(self, key, name, spec, values):
        cell, x = spec["cell"], self._read(spec["inputs"], values)
        if cell["kind"] == "CELL_KIND_SSRU":
            gate, value = self.parts[key](x).chunk(2, 1)
            gate = torch.sigmoid(gate)
            c = gate * values[f"{name}.c'"] + (1 - gate) * value
            values[name], values[f"{name}.c"] = torch.relu(c), c
        elif cell["kind"] == "CELL_KIND_GRU":
            values[name] = self.parts[key](x, values[f"{name}'"])
        else:
            values[name], values[f"{name}.c"] = self.parts[key](x, (values[f"{name}'"], values[f"{name}.c'"]))

    def _keys(self, name, spec, fixed):
        """An attend's keys and values: [B, S, n], of several heads [B, N, S, n]."""
        memory, key = fixed[spec["memory"]], f"step_{name}"
        keys = self.parts[f"{key}_key"](memory) if "key_weight" in spec else memory
        made = self.parts[f"{key}_value"](memory) if "value_weight" in spec else memory
        heads = spec.get("heads", 1)
        if heads > 1:
            keys, made = (x.unflatten(-1, (heads, -1)).transpose(1, 2).contiguous() for x in (keys, made))
        return {f"{name}.keys": keys, f"{name}.values": made}

    def _run_attend(self, key, name, spec, values):
        query = self._read(spec["query"], values)
        if "query_weight" in spec:
            query = self.parts[f"{key}_query"](query)
        keys, made, mask = values[f"{name}.keys"], values[f"{name}.values"], values[".mask"]
        heads, scale = spec.get("heads", 1), spec.get("scale", 1)
        if heads > 1:
            query = query.unflatten(-1, (heads, -1))[:, :, None]
            context = F.scaled_dot_product_attention(query, keys, made, mask[:, None, None], scale=scale)
            values[name] = context.flatten(1)
            return
        if spec["score"] == "SCORE_ADDITIVE":
            energies = torch.tanh(keys + query[:, None]) @ self._vectors[f"{key}_v"] + mask
        else:
            energies = torch.baddbmm(mask[:, :, None], keys, query[:, :, None], alpha=scale)[:, :, 0]
        weights = values[f"{name}.weights"] = torch.softmax(energies, 1)
        values[name] = torch.bmm(weights[:, None], made)[:, 0]

    def _run_copy(self, key, name, spec, values):
        """Log-probabilities of generating and copying together."""
        gate = values[spec["gate"]]
        copied = (1 - gate) * values[spec["attention"]]
        p = (gate * torch.softmax(values[spec["generate"]], 1)).scatter_add(1, values[".copies"], copied)
        values[name] = p.clamp_min(1e-30).log()


@torch.inference_mode()
def beam(model, sources, batch, width):
    """Beams of `width` rows of each source, `batch` sources at a time, for models that do not end by themselves: each
    goes on to its greatest length, and </s> is never taken. Returns the number of tokens of the best hypotheses."""
    tokens = 0
    order = sorted(range(len(sources)), key=lambda i: -len(sources[i]))
    for first in range(0, len(order), batch):
        group = [sources[i] for i in order[first : first + batch]]
        count, limit = len(group), model.max_length(len(group[0]))
        rows = model.encode(group).take(torch.arange(count).repeat_interleave(width))
        totals = torch.full((count, width), float("-inf"))
        totals[:, 0] = 0.0
        ids = torch.full((count * width,), model.start_id)
        base = torch.arange(count)[:, None] * width
        history = []
        for _ in range(limit):
            log_p = torch.log_softmax(model.step(ids, rows).logits.float(), 1)
            log_p[:, model.eos] = float("-inf")
            size = log_p.shape[1]
            totals, flat = (totals.view(-1, 1) + log_p).view(count, -1).topk(width, 1)
            parents = (base + flat // size).view(-1)
            ids = (flat % size).view(-1)
            history.append((parents, ids))
            rows = rows.take(parents, fixed=False)
        tokens += sum(model.max_length(len(s)) for s in group)
    return tokens
