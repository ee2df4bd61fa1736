"""Imports Nematus's models of its Theano days: model.npz, model.npz.json and JSON dictionaries.

Sources: EdinburghNLP/nematus, branch theano, nematus/layers.py, nmt.py, compat.py, translate.py; the oracle
export/reference/nematus.py says the same in NumPy. Models of the TensorFlow version come in by its own
theano_tf_convert.py only where they were Theano's to begin with (config names differ; they are refused).

What is folded into the weights: weight normalisation, and the factors by which models of version below 0.1, trained
with dropout, scale values at test time (layers.py, dropout_constr)."""

from __future__ import annotations

import argparse
import pathlib
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import numpy as np

from . import importer
from ..model.builder import ZERO, Model, Program, Value
from ..reading.checkpoint import CheckpointError, Weights, load_npz, token_ids
from ..reading.files import MAX_OPTIONS_BYTES, MAX_TEXT_BYTES, decoded, parse_json, read_bytes, read_json
from ..model.layers import Cell, Norm, flat, reorder, transposed
from ..reading.shown import quoted, shown
from ..model.vocabulary import Tokenizer, Vocabulary, pretokenized

NAME = "nematus"
USAGE = (f"MODEL.npz {importer.LANGUAGES}",)
HELP = "Nematus of its Theano days: model.npz, model.npz.json and JSON dictionaries"
EPSILON = 1e-5  # layers.py, layer_norm and weight_norm
EOS, UNK = 0, 1
# translate.py: -k 5, no normalisation, at most 200 tokens (nmt.py, gen_sample).
SEARCH = {
    "beam_size": 5,
    "max_length_a": 0.0,
    "max_length_b": 200,
    "beam_policy": "BEAM_POLICY_SHRINK",
    "beam_stop": "BEAM_STOP_BEAM_FULL",
}
_DEAD = ("uidx", "history_errs", "zipped_params")
_DEFAULTS: dict[str, Any] = {  # compat.py, fill_options; nmt.py, train
    "dropout_embedding": 0,
    "dropout_hidden": 0,
    "dropout_source": 0,
    "dropout_target": 0,
    "factors": 1,
    "model_version": 0,
    "tie_encoder_decoder_embeddings": False,
    "tie_decoder_embeddings": False,
    "enc_depth": 1,
    "dec_depth": 1,
    "enc_recurrence_transition_depth": 1,
    "dec_base_recurrence_transition_depth": 2,
    "decoder_deep": "gru",
    "layer_normalisation": False,
    "weight_normalisation": False,
    "use_dropout": False,
    "encoder": "gru",
    "decoder": "gru_cond",
    "deep_fusion_lm": False,
}


@dataclass
class Files:
    """What the files hold; weights under Nematus's names, in its layout."""

    options: dict[str, Any]
    weights: Weights
    source: Vocabulary
    target: Vocabulary


def check_options(given: Any, path: str) -> dict[str, Any]:
    """model.npz.json's content with defaults filled in. Raises CheckpointError, naming the option, for what is not
    covered."""
    if not isinstance(given, dict):
        raise CheckpointError(f"{path}: is no JSON object")
    if "embedding_size" in given:
        raise CheckpointError(
            f"{path}: models of the TensorFlow version of Nematus are not supported: embedding_size="
            f"{shown(given['embedding_size'])}"
        )
    o = {**_DEFAULTS, **{k: v for k, v in given.items() if v is not None}}
    o.setdefault("enc_depth_bidirectional", o["enc_depth"])
    o.setdefault("dec_deep_context", o.get("deep_include_ctx", False))
    o.setdefault("dec_high_recurrence_transition_depth", 2 if o["decoder_deep"] == "gru_cond" else 1)

    def refuse(what: str, *names: str) -> None:
        values = ", ".join(f"{n}={shown(o[n])}" for n in names)
        raise CheckpointError(f"{path}: {what} not supported: {values}")

    for name, known in (
        ("encoder", ("gru", "lstm")),
        ("decoder", ("gru_cond", "lstm_cond")),
        ("decoder_deep", ("gru", "gru_cond", "lstm", "lstm_cond")),
    ):
        if o[name] not in known:
            refuse("that layer is", name)
    if o["factors"] != 1:
        refuse("factored sources are", "factors")
    if o["deep_fusion_lm"]:
        refuse("fusion with a language model is", "deep_fusion_lm")
    for name, least in (
        ("dim", 1),
        ("dim_word", 1),
        ("enc_depth", 1),
        ("dec_depth", 1),
        ("enc_depth_bidirectional", 1),
        ("enc_recurrence_transition_depth", 1),
        ("dec_base_recurrence_transition_depth", 2),
        ("dec_high_recurrence_transition_depth", 1),
    ):
        if type(o.get(name)) is not int or not least <= o[name] <= 1 << 16:
            raise CheckpointError(f"{path}: {name}={shown(o.get(name))}, expected a whole number from {least}")
    if o["dec_depth"] > 1 and o["decoder_deep"].endswith("_cond") and o["dec_high_recurrence_transition_depth"] < 2:
        refuse(
            "a conditional layer without a cell behind its attention is (nor does Nematus run it)",
            "decoder_deep",
            "dec_high_recurrence_transition_depth",
        )
    lstm = o["decoder"] == "lstm_cond"
    if o["dec_depth"] > 1 and o["decoder_deep"].startswith("lstm") != lstm:
        refuse("a decoder of both GRU and LSTM layers is", "decoder", "decoder_deep")
    if o["layer_normalisation"] and (lstm or o["encoder"] == "lstm"):
        refuse(
            "layer normalisation inside an LSTM (three gates together, the proposal apart) is", "layer_normalisation"
        )
    if o["encoder"] == "lstm" and o["enc_depth"] > o["enc_depth_bidirectional"]:
        refuse("LSTM layers above the bidirectional ones are (nor does Nematus run them)", "enc_depth")
    for name in ("dropout_embedding", "dropout_hidden", "dropout_source", "dropout_target", "model_version"):
        if isinstance(o[name], bool) or not isinstance(o[name], (int, float)) or not 0 <= o[name] < 1e3:
            raise CheckpointError(f"{path}: {name}={shown(o[name])}, expected a number from 0")
    return o


def read_dictionary(path: pathlib.Path, size: int, tokenizer: Tokenizer | None = None) -> Vocabulary:
    """A JSON dictionary (token: id) of a side with `size` ids. Id 0 ends a sentence and id 1 is unknown, whatever the
    file says (translate.py, _build_dictionaries): where "eos" is a word of the corpus its entry has another id, and
    none has id 0. Raises CheckpointError."""
    data = read_bytes(path, MAX_TEXT_BYTES)
    try:
        found = parse_json(decoded(data, path), path)
    except CheckpointError as error:
        if data[:1] in (b"\x80", b"("):
            raise CheckpointError(f"{error} (a pickled dictionary? only JSON is read)") from None
        raise
    pieces: list[str | None] = [None] * size
    for token, i in token_ids(found, path).items():
        if i < size and i not in (EOS, UNK):
            if pieces[i] is not None:
                raise CheckpointError(f"{path}: id {i} is given to {quoted(pieces[i])} and to {quoted(token)}")
            pieces[i] = token
    pieces[EOS], pieces[UNK] = "<eos>", "UNK"
    holes = tuple(i for i, piece in enumerate(pieces) if piece is None)
    for i in holes:
        pieces[i] = f"<unused {i}>"
    return Vocabulary(unk=UNK, pieces=pieces, eos=EOS, special=holes, tokenizer=tokenizer or pretokenized())


def load(
    path: pathlib.Path,
    dictionaries: Sequence[pathlib.Path] = (),
    options: pathlib.Path | None = None,
    tokenizers: Sequence[Tokenizer | None] = (None, None),
) -> Files:
    """Reads model.npz, its options (default: model.npz.json beside it) and dictionaries (default: those that the
    options name, beside the model). Raises CheckpointError."""
    options = options or path.with_name(path.name + ".json")
    o = check_options(read_json(options, MAX_OPTIONS_BYTES), str(options))
    if not dictionaries:
        named = o.get("dictionaries")
        if not isinstance(named, list) or not all(isinstance(n, str) and n for n in named):
            raise CheckpointError(f"{options}: names no dictionaries: give them")
        dictionaries = [path.with_name(pathlib.PurePath(n).name) for n in named]
    if len(dictionaries) != 2:
        raise CheckpointError(f"{path}: {len(dictionaries)} dictionaries, expected two: source and target")
    arrays = load_npz(path, skip=("zipped_params",))
    weights = Weights({n: v for n, v in arrays.items() if not n.startswith("adam_") and n not in _DEAD}, str(path))
    shared = o["tie_encoder_decoder_embeddings"]
    sizes = [len(weights.shaped(n, None, o["dim_word"])) for n in ("Wemb", "Wemb" if shared else "Wemb_dec")]
    weights.used.clear()
    source, target = (read_dictionary(p, n, t) for p, n, t in zip(dictionaries, sizes, tokenizers))
    source.add_eos = True
    return Files(o, weights, source, target)


class _Builder:
    def __init__(self, model: Model, options: Mapping, weights: Weights):
        self.m, self.o, self.w = model, options, weights
        self.norms = bool(options["layer_normalisation"])

    def keep(self, option: str) -> float:
        """The factor on values at test time of models that were trained with dropout before version 0.1."""
        return 1 - float(self.o[option]) if self.o["use_dropout"] and self.o["model_version"] < 0.1 else 1.0

    def matrix(self, name: str, factor: float = 1.0) -> np.ndarray:
        """[out, in]: with weight normalisation (weight_norm: over the columns of [in, out]) and `factor` folded in."""
        w = self.w[name]
        if self.o["weight_normalisation"]:
            w = np.asarray(w, np.float64)
            w = w / (np.sqrt((w * w).sum(0, keepdims=True) + EPSILON) * flat(self.w[name + "_wns"]))
        return transposed(w if factor == 1 else w * factor)

    def vectors(self, *names: str) -> np.ndarray:
        return np.concatenate([flat(self.w[n]) for n in names])

    def rows(self, factor: float, *names: str) -> np.ndarray:
        return np.concatenate([self.matrix(n, factor) for n in names])

    def cell(
        self,
        lstm: bool,
        state: tuple[float, str, str],
        given: tuple[float, str, str] | None,
        bias_input: Sequence[str] = (),
        bias_state: Sequence[str] = (),
    ) -> Cell:
        """state and given: factor and names of the matrices for gates and proposal. Gate blocks are r, u for a GRU and
        i, f, o for an LSTM."""
        made = Cell(
            "lstm" if lstm else "gru",
            None if given is None else self.rows(*given),
            self.rows(*state),
            reset=None if lstm else "after",
        )
        made.bias_input = self.vectors(*bias_input) if bias_input else None
        made.bias_state = self.vectors(*bias_state) if bias_state else None
        if lstm:
            for part in ("weight_input", "weight_state", "bias_input", "bias_state"):
                values = getattr(made, part)
                setattr(made, part, None if values is None else reorder(values, "ifog", "ifgo"))
        elif self.norms:
            made.norm = Norm("gates", EPSILON)
            for side, names in (("state", state[1:]), ("input", () if given is None else given[1:])):
                if names:
                    setattr(made.norm, f"{side}_scale", self.vectors(*(n + "_lns" for n in names)))
                    setattr(made.norm, f"{side}_bias", self.vectors(*(n + "_lnb" for n in names)))
        return made

    def first_cell(self, lstm: bool, p: str, below: float, rec: float) -> Cell:
        """gru_layer and lstm_layer, and the first cell of the conditional layers."""
        return self.cell(
            lstm, (rec, p + "_U", p + "_Ux"), (below, p + "_W", p + "_Wx"), bias_input=(p + "_b", p + "_bx")
        )

    def transitions(self, lstm: bool, p: str, depth: int, rec: float) -> list[Cell]:
        """gru_layer and lstm_layer from depth 2 on: the biases stand where the input stood."""
        found = []
        for s in (f"_drt_{i}" for i in range(1, depth)):
            found.append(
                self.cell(lstm, (rec, f"{p}_U{s}", f"{p}_Ux{s}"), None, bias_input=(f"{p}_b{s}", f"{p}_bx{s}"))
            )
        return found

    def after_attention(self, lstm: bool, p: str, depth: int, rec: float, ctx: float) -> list[Cell]:
        """The cells of gru_cond_layer and lstm_cond_layer behind the attention."""
        found = []
        for i in range(depth - 1):
            s = "" if i == 0 else f"_drt_{i}"
            given = (ctx, p + "_Wc", p + "_Wcx") if i == 0 else None
            state = (rec, f"{p}_U_nl{s}", f"{p}_Ux_nl{s}")
            found.append(self.cell(lstm, state, given, bias_state=(f"{p}_b_nl{s}", f"{p}_bx_nl{s}")))
        return found

    def normed(self, program: Program, name: str, x: Value, tensor: str) -> Value:
        """Layer normalisation where the model has it; else x itself."""
        if not self.norms:
            return x
        return program.layer_norm(name, x, flat(self.w[tensor + "s"]), flat(self.w[tensor + "b"]), EPSILON)

    # The encoder (nmt.py, build_encoder).

    def encoder(self) -> Value:
        e, o = self.m.encoder, self.o
        lstm, depth = o["encoder"] == "lstm", o["enc_recurrence_transition_depth"]
        rec = self.keep("dropout_hidden")

        def layer(name: str, x: Value, prefix: str, backward: bool, below: float) -> Value:
            cell = self.first_cell(lstm, prefix, below, rec)
            return e.rnn(name, x, cell, backward, self.transitions(lstm, prefix, depth, rec))

        x = e.embed("source", self.w["Wemb"], scale=self.keep("dropout_source"))
        below = self.keep("dropout_embedding")
        forward = layer("forward1", x, "encoder", False, below)
        backward = layer("backward1", x, "encoder_r", True, below)
        for i in range(2, o["enc_depth_bidirectional"] + 1):
            up = layer(f"forward{i}", backward, f"encoder_{i}", False, rec)
            down = layer(f"backward{i}", forward, f"encoder_r_{i}", True, rec)
            forward, backward = (e.add(f"forward{i}_sum", [up, backward]), e.add(f"backward{i}_sum", [down, forward]))
        memory = e.concat("memory", [forward, backward])
        for i in range(o["enc_depth_bidirectional"] + 1, o["enc_depth"] + 1):
            upper = layer(f"upper{i}", memory, f"encoder_{i}", False, rec)
            memory = e.add(f"upper{i}_sum", [upper, memory])
        return memory

    # The decoder (nmt.py, build_decoder with sampling).

    def attention(self, name: str, query: Value, memory: Value, p: str, rec: float, ctx: float) -> Value:
        key, bias = self.matrix(p + "_Wc_att", ctx), flat(self.w[p + "_b_att"])
        state, v = self.matrix(p + "_W_comb_att", rec), flat(self.matrix(p + "_U_att", ctx))
        v_bias = flat(self.w[p + "_c_tt"])
        if not self.norms:
            return self.m.step.attend(
                name, "additive", query, memory, key_weight=key, key_bias=bias, query_weight=state, v=v, v_bias=v_bias
            )
        e, s = self.m.encoder, self.m.step
        keys = self.normed(e, f"{name}_keys", e.linear(f"{name}_keys_product", memory, key, bias), p + "_Wc_att_ln")
        product = s.linear(f"{name}_query_product", query, state)
        query = self.normed(s, f"{name}_query", product, p + "_W_comb_att_ln")
        return s.attend(name, "additive", query, memory, keys=keys, v=v, v_bias=v_bias)

    def dense(self, program: Program, name: str, x: Value, prefix: str, option: str) -> Value:
        """fflayer before its function."""
        weight, bias = self.matrix(prefix + "_W", self.keep(option)), flat(self.w[prefix + "_b"])
        product = program.linear(f"{name}_product" if self.norms else name, x, weight, bias)
        return self.normed(program, name, product, prefix + "_ln_")

    def start(self, memory: Value) -> tuple[Value, Value | None]:
        """The first h (and c) of every layer."""
        init = self.m.init
        mean = init.pool("mean", memory, "mean")
        both = init.activation("start", self.dense(init, "start_linear", mean, "ff_state", "dropout_hidden"), "tanh")
        if self.o["decoder"] != "lstm_cond":
            return both, None
        size = self.o["dim"]
        return init.slice("start_h", both, 0, size), init.slice("start_c", both, size, 2 * size)

    def conditional(
        self,
        name: str,
        attention: str,
        x: Value,
        memory: Value,
        first: tuple[Value, Value | None],
        p: str,
        depth: int,
        below: float,
        ctx: float,
    ) -> tuple[Value, Value]:
        """gru_cond_layer or lstm_cond_layer; the last cell's op is `name`. Returns its h and the context."""
        s, lstm, rec = self.m.step, self.o["decoder"] == "lstm_cond", self.keep("dropout_hidden")
        h = s.cell(f"{name}_cell1", x, self.first_cell(lstm, p, below, rec), state=s.previous(name, *first))
        context = self.attention(attention, h, memory, p, rec, ctx)
        cells = self.after_attention(lstm, p, depth, rec, ctx)
        for j, made in enumerate(cells, start=2):
            last = j == len(cells) + 1
            h = s.cell(name if last else f"{name}_cell{j}", [context] if j == 2 else [], made, state=h)
        return h, context

    def plain(self, name: str, x: Value, first: tuple[Value, Value | None], p: str, depth: int) -> Value:
        """gru_layer or lstm_layer as an upper layer of the decoder."""
        s, lstm, rec = self.m.step, self.o["decoder"] == "lstm_cond", self.keep("dropout_hidden")
        h = s.previous(name, *first)
        cells = [self.first_cell(lstm, p, rec, rec), *self.transitions(lstm, p, depth, rec)]
        for j, made in enumerate(cells, start=1):
            h = s.cell(name if j == len(cells) else f"{name}_cell{j}", [x] if j == 1 else [], made, state=h)
        return h

    def decoder(self, memory: Value) -> None:
        s, o = self.m.step, self.o
        table = self.w["Wemb" if o["tie_encoder_decoder_embeddings"] else "Wemb_dec"]
        hidden = self.keep("dropout_hidden")
        first = self.start(memory)
        self.m.start_with(ZERO)
        e = s.embed("target", table, scale=self.keep("dropout_target"))
        deep_attends = o["dec_depth"] > 1 and o["decoder_deep"].endswith("_cond")
        x, context = self.conditional(
            "state",
            "attention1" if deep_attends else "attention",
            e,
            memory,
            first,
            "decoder",
            o["dec_base_recurrence_transition_depth"],
            self.keep("dropout_embedding"),
            hidden,
        )
        for i in range(2, o["dec_depth"] + 1):
            given = s.concat(f"state{i}_input", [x, context]) if o["dec_deep_context"] else x
            high, p = o["dec_high_recurrence_transition_depth"], f"decoder_{i}"
            if deep_attends:  # its dropout of the context is left at 0
                y, _ = self.conditional(f"state{i}", f"attention{i}", given, memory, first, p, high, hidden, 1.0)
            else:
                y = self.plain(f"state{i}", given, first, p, high)
            x = s.add(f"state{i}_sum", [x, y])
        parts = [
            self.dense(s, f"readout_{name}", value, f"ff_logit_{name}", option)
            for name, value, option in (
                ("lstm", x, "dropout_hidden"),
                ("prev", e, "dropout_embedding"),
                ("ctx", context, "dropout_hidden"),
            )
        ]
        readout = s.activation("readout", s.add("readout_sum", parts), "tanh")
        weight = table if o["tie_decoder_embeddings"] else transposed(self.w["ff_logit_W"])
        s.output("output", readout, weight if hidden == 1 else weight * hidden, flat(self.w["ff_logit_b"]))


def build(options: Mapping[str, Any], weights: Weights, source: Vocabulary, target: Vocabulary) -> Model:
    """The model as programs; `options` as check_options gives them. Raises CheckpointError and BuildError."""
    model = Model(source, target)
    b = _Builder(model, options, weights)
    b.decoder(b.encoder())
    weights.finish("this model")
    model.set_search(**SEARCH)
    return model


# The command.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=pathlib.Path, metavar="MODEL.npz")
    parser.add_argument("--config", type=pathlib.Path, metavar="FILE", help="its options; default: MODEL.npz.json")
    parser.add_argument(
        "--dictionaries",
        type=pathlib.Path,
        nargs=2,
        metavar=("SOURCE", "TARGET"),
        help="JSON dictionaries; default: those that the options name, beside the model",
    )
    importer.add_tokenizer_arguments(parser)


def read(args: argparse.Namespace) -> importer.Imported:
    """What the command imports. Raises CheckpointError and BuildError."""
    files = load(args.model, args.dictionaries or (), args.config, importer.tokenizers(args))
    for side in (files.source, files.target):
        side.lowercase = args.lowercase
    model = build(files.options, files.weights, files.source, files.target)

    def trace(source_ids: list[int], max_length: int) -> Any:
        from reference import nematus as oracle
        from reference import trace as tracing

        reference = oracle.Nematus(files.weights.arrays, files.options)
        return tracing.greedy(reference, source_ids, None, EOS, max_length)

    def moved(case: Any) -> Any:
        from reference import nematus as oracle
        from reference import trace as tracing

        reference = oracle.Nematus(importer.moved(files.weights.arrays), files.options)
        return tracing.forced(reference, case.source_ids, None, EOS, case.tokens)

    return importer.Imported(model, "Nematus (Theano)", trace, args.model.name, moved=moved)
