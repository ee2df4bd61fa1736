"""Nematus's models (the Theano branch), float64, written from its nematus/layers.py and nematus/nmt.py.

Weights come as its .npz holds them: matrices [in, out], vectors [n]. Options are those of its model.npz.json after
compat.py's fill_options (`filled` does that). Models of version below 0.1 that were trained with dropout scale values
at test time (dropout_constr); that is done here where the source does it, input by input."""

from __future__ import annotations

from typing import Mapping, Sequence

import numpy as np

from .cells import layer_norm, log_softmax, sigmoid, softmax
from .trace import Attended, StepValues

EPSILON = 1e-5  # layers.py, layer_norm and weight_norm


def filled(options: Mapping) -> dict:
    """compat.py, fill_options: what an older file leaves out."""
    o = dict(options)
    for name, value in (
        ("dropout_embedding", 0),
        ("dropout_hidden", 0),
        ("dropout_source", 0),
        ("dropout_target", 0),
        ("factors", 1),
        ("model_version", 0),
        ("tie_encoder_decoder_embeddings", False),
        ("tie_decoder_embeddings", False),
        ("enc_depth", 1),
        ("dec_depth", 1),
        ("enc_recurrence_transition_depth", 1),
        ("dec_base_recurrence_transition_depth", 2),
        ("decoder_deep", "gru"),
        ("layer_normalisation", False),
        ("weight_normalisation", False),
        ("use_dropout", False),
        ("encoder", "gru"),
        ("decoder", "gru_cond"),
    ):
        o.setdefault(name, value)
    o.setdefault("dec_deep_context", o.get("deep_include_ctx", False))
    if o.get("enc_depth_bidirectional") is None:
        o["enc_depth_bidirectional"] = o["enc_depth"]
    o.setdefault("dec_high_recurrence_transition_depth", 2 if o["decoder_deep"] == "gru_cond" else 1)
    return o


class Nematus:
    def __init__(self, weights: Mapping[str, np.ndarray], options: Mapping) -> None:
        self.p = {name: np.asarray(value, np.float64) for name, value in weights.items() if value.dtype.kind == "f"}
        self.o = filled(options)
        self.dim = int(self.o["dim"])

    def _keep(self, name: str) -> float:
        """dropout_constr's get_layer at test time: the factor for the dropout option of this name."""
        return 1 - float(self.o[name]) if self.o["use_dropout"] and self.o["model_version"] < 0.1 else 1.0

    def _w(self, name: str) -> np.ndarray:
        """A matrix, with weight_norm over its columns where the model has it (the functions called wn)."""
        w = self.p[name]
        if not self.o["weight_normalisation"]:
            return w
        return w / (np.sqrt((w * w).sum(0, keepdims=True) + EPSILON) * self.p[name + "_wns"])

    def _norm(self, x: np.ndarray, name: str, separator: str = "_ln") -> np.ndarray:
        if not self.o["layer_normalisation"]:
            return x
        return layer_norm(x, self.p[f"{name}{separator}s"], self.p[f"{name}{separator}b"], EPSILON)

    def _ff(self, x: np.ndarray, prefix: str, dropout: str) -> np.ndarray:
        """fflayer before its function."""
        return self._norm(x * self._keep(dropout) @ self._w(prefix + "_W") + self.p[prefix + "_b"], prefix, "_ln_")

    # Recurrences. A state is h for a GRU, (h, c) for an LSTM.

    def _first(self, x, h, prefix: str, below: float, rec: float):
        """gru_layer and lstm_layer with their input, and the first cell of the conditional layers: what is added up for
        the gates and for the proposal, the latter as two parts."""
        gates = self._norm(x * below @ self._w(prefix + "_W") + self.p[prefix + "_b"], prefix + "_W")
        proposal = self._norm(x * below @ self._w(prefix + "_Wx") + self.p[prefix + "_bx"], prefix + "_Wx")
        state_gates = self._norm(h * rec @ self._w(prefix + "_U"), prefix + "_U")
        state_proposal = self._norm(h * rec @ self._w(prefix + "_Ux"), prefix + "_Ux")
        return gates + state_gates, proposal, state_proposal

    def _transition(self, h, prefix: str, i: int, rec: float):
        """gru_layer and lstm_layer at depth i: biases stand where the input stood."""
        s = f"_drt_{i}"
        gates = self._norm(h * rec @ self._w(prefix + "_U" + s), f"{prefix}_U{s}") + self.p[prefix + "_b" + s]
        state_proposal = self._norm(h * rec @ self._w(prefix + "_Ux" + s), f"{prefix}_Ux{s}")
        return gates, self.p[prefix + "_bx" + s], state_proposal

    def _after_attention(self, h, context, prefix: str, i: int, rec: float, ctx: float):
        """The cells of gru_cond_layer and lstm_cond_layer behind the attention; the first of them reads the context."""
        s = "" if i == 0 else f"_drt_{i}"
        gates = self._norm(h * rec @ self._w(prefix + "_U_nl" + s) + self.p[prefix + "_b_nl" + s], f"{prefix}_U_nl{s}")
        state_proposal = self._norm(
            h * rec @ self._w(prefix + "_Ux_nl" + s) + self.p[prefix + "_bx_nl" + s], f"{prefix}_Ux_nl{s}"
        )
        proposal: np.ndarray | float = 0.0
        if i == 0:
            gates = gates + self._norm(context * ctx @ self._w(prefix + "_Wc"), prefix + "_Wc")
            proposal = self._norm(context * ctx @ self._w(prefix + "_Wcx"), prefix + "_Wcx")
        return gates, proposal, state_proposal

    def _gate(self, lstm: bool, state, gates, proposal, state_proposal):
        """What the step functions do with them: GRU blocks r, u; LSTM blocks i, f, o."""
        if not lstm:
            r, u = np.split(sigmoid(gates), 2)
            return u * state + (1 - u) * np.tanh(state_proposal * r + proposal)
        i, f, o = np.split(sigmoid(gates), 3)
        c = f * state[1] + i * np.tanh(state_proposal + proposal)
        return o * np.tanh(c), c

    @staticmethod
    def _h(lstm: bool, state):
        return state[0] if lstm else state

    def _layer_step(self, lstm, x, state, prefix, depth, below, rec):
        """One position of gru_layer or lstm_layer."""
        state = self._gate(lstm, state, *self._first(x, self._h(lstm, state), prefix, below, rec))
        for i in range(1, depth):
            state = self._gate(lstm, state, *self._transition(self._h(lstm, state), prefix, i, rec))
        return state

    def _layer(self, xs: np.ndarray, prefix: str, below: str) -> np.ndarray:
        """gru_layer or lstm_layer over xs, in their order; the LSTM's cell is discarded."""
        lstm, size = self.o["encoder"].startswith("lstm"), self._w(prefix + "_Ux").shape[1]
        state = (np.zeros(size), np.zeros(size)) if lstm else np.zeros(size)
        out = []
        for x in xs:
            state = self._layer_step(
                lstm,
                x,
                state,
                prefix,
                int(self.o["enc_recurrence_transition_depth"]),
                self._keep(below),
                self._keep("dropout_hidden"),
            )
            out.append(self._h(lstm, state))
        return np.array(out)

    def _cond_step(self, lstm, x, state, memory, prefix, depth, below, rec, ctx):
        """gru_cond_layer or lstm_cond_layer."""
        state = self._gate(lstm, state, *self._first(x, self._h(lstm, state), prefix, below, rec))
        keys = self._norm(memory * ctx @ self._w(prefix + "_Wc_att") + self.p[prefix + "_b_att"], prefix + "_Wc_att")
        query = self._norm(self._h(lstm, state) * rec @ self._w(prefix + "_W_comb_att"), prefix + "_W_comb_att")
        energies = (np.tanh(keys + query) * ctx @ self._w(prefix + "_U_att")).reshape(-1) + self.p[prefix + "_c_tt"]
        weights = softmax(energies)
        context = weights @ memory
        for i in range(depth - 1):
            parts = self._after_attention(self._h(lstm, state), context, prefix, i, rec, ctx)
            state = self._gate(lstm, state, *parts)
        return state, Attended(weights[None], energies[None], context)

    # The model.

    def encode(self, source_ids: Sequence[int]) -> np.ndarray:
        """nmt.py, build_encoder. From level 2 on the forward layer reads what the backward one below made."""
        xs = self.p["Wemb"][list(source_ids)] * self._keep("dropout_source")
        forward = self._layer(xs, "encoder", "dropout_embedding")
        backward = self._layer(xs[::-1], "encoder_r", "dropout_embedding")
        for level in range(2, int(self.o["enc_depth_bidirectional"]) + 1):
            to_forward, to_backward = backward[::-1], forward[::-1]
            forward = self._layer(to_forward, f"encoder_{level}", "dropout_hidden") + to_forward
            backward = self._layer(to_backward, f"encoder_r_{level}", "dropout_hidden") + to_backward
        context = np.concatenate([forward, backward[::-1]], -1)
        for level in range(int(self.o["enc_depth_bidirectional"]) + 1, int(self.o["enc_depth"]) + 1):
            context = context + self._layer(context, f"encoder_{level}", "dropout_hidden")
        return context

    def start(self, memory: np.ndarray):
        """nmt.py, build_sampler: every decoder layer gets its own copy."""
        state = np.tanh(self._ff(memory.mean(0), "ff_state", "dropout_hidden"))
        if self.o["decoder"].startswith("lstm"):
            state = (state[: self.dim], state[self.dim :])
        return [state] * int(self.o["dec_depth"])

    def step(self, state, memory: np.ndarray, token: int | None) -> tuple[StepValues, list]:
        """nmt.py, build_decoder with sampling=True."""
        o, lstm = self.o, self.o["decoder"].startswith("lstm")
        table = self.p["Wemb" if o["tie_encoder_decoder_embeddings"] else "Wemb_dec"]
        e = np.zeros(table.shape[1]) if token is None else table[token] * self._keep("dropout_target")
        hidden = self._keep("dropout_hidden")
        depth = int(o["dec_base_recurrence_transition_depth"])
        below = self._keep("dropout_embedding")
        base, attended = self._cond_step(lstm, e, state[0], memory, "decoder", depth, below, hidden, hidden)
        states, top, found = [base], self._h(lstm, base), [attended]
        for level in range(2, int(o["dec_depth"]) + 1):
            x = np.concatenate([top, attended.context]) if o["dec_deep_context"] else top
            prefix, high = f"decoder_{level}", int(o["dec_high_recurrence_transition_depth"])
            if o["decoder_deep"].endswith("_cond"):  # its dropout of the context is left at 0
                new, more = self._cond_step(lstm, x, state[level - 1], memory, prefix, high, hidden, hidden, 1.0)
                found.append(more)
            else:
                new = self._layer_step(lstm, x, state[level - 1], prefix, high, hidden, hidden)
            states.append(new)
            top = top + self._h(lstm, new)
        logit = self._ff(top, "ff_logit_lstm", "dropout_hidden") + self._ff(e, "ff_logit_prev", "dropout_embedding")
        logit = np.tanh(logit + self._ff(attended.context, "ff_logit_ctx", "dropout_hidden"))
        out = table.T if o["tie_decoder_embeddings"] else self.p["ff_logit_W"]
        logits = logit * hidden @ out + self.p["ff_logit_b"]
        names = ["attention"] if len(found) == 1 else [f"attention{i + 1}" for i in range(len(found))]
        return StepValues(log_softmax(logits), dict(zip(names, found))), states
