"""JoeyNMT's recurrent models (0.9 to 2.3): a checkpoint, its config.yaml and its vocabularies.

    heed-export joeynmt models/rnn_deen/best.ckpt --license MIT --source-language de --target-language en \\
        --out bundles/deen

What the toolkit computes: joeynmt/{encoders,decoders,attention}.py. Lengths and searches: joeynmt/search.py.
"""

from __future__ import annotations

import argparse
import pathlib
from dataclasses import dataclass
from typing import Any, Mapping

import numpy as np

from ..model import vocabulary
from ..reading import checkpoint, spm_file
from . import importer
from ..model.builder import ZERO, Model
from ..reading.checkpoint import CheckpointError, Weights
from ..model.layers import Cell
from .pytorch import oracle_trace, rnn_stack
from ..reading.shown import quoted, shown
from ..model.vocabulary import Vocabulary

NAME = "joeynmt"
USAGE = ("FILE.ckpt",)
HELP = "a JoeyNMT checkpoint (best.ckpt) with config.yaml and the vocabularies beside it"
NEEDS = ("yaml",)
_FUNCTIONS = ("tanh", "relu")
MAX_LAYERS = 100
MAX_LENGTH = 1 << 16  # tokens, and hypotheses of a beam


@dataclass(frozen=True)
class Options:
    """What of the configuration the programs depend on; sizes are the weights'."""

    encoder_type: str = "gru"  # gru | lstm
    encoder_layers: int = 1
    decoder_type: str = "gru"
    decoder_layers: int = 1
    input_feeding: bool = True
    init_hidden: str = "bridge"  # bridge | last | zero
    attention: str = "bahdanau"  # bahdanau | luong
    activation: str = "tanh"  # of the bridge and the attention vector: tanh | relu
    source_scale: bool = False  # embeddings times the root of their size
    target_scale: bool = False


def build(options: Options, weights: Weights, source: Vocabulary, target: Vocabulary) -> Model:
    """The model from `model_state`'s tensors. Raises CheckpointError for one that is missing or left over."""
    o, w = options, weights
    m = Model(source, target)
    table = w["src_embed.lut.weight"]
    x = m.encoder.embed("source_embedding", table, np.sqrt(table.shape[1]) if o.source_scale else None)
    memory = rnn_stack(m, o.encoder_type, w, "encoder.rnn.", x, o.encoder_layers)[-1]

    hidden = w["decoder.rnn.weight_hh_l0"].shape[1]
    first: Any = ZERO
    if o.init_hidden == "bridge":
        bridge = w["decoder.bridge_layer.weight"], w["decoder.bridge_layer.bias"], o.activation
        first = m.init.linear("first", memory.finals, *bridge)
    elif o.init_hidden == "last":  # of a bidirectional encoder of the decoder's size the forward half alone
        if memory.finals[0].size == hidden:
            first = memory.finals[0]
        elif memory.size == hidden:
            first = m.init.concat("first", memory.finals)
        else:
            raise CheckpointError(
                f"{w.path}: init_hidden=last needs an encoder of the decoder's size {hidden}, it has {memory.size}"
            )

    # One vector starts every layer, and an LSTM's c as well.
    first_c = {"first_c": first} if o.decoder_type == "lstm" else {}
    table = w["trg_embed.lut.weight"]
    s = m.step.embed("target_embedding", table, np.sqrt(table.shape[1]) if o.target_scale else None)
    inputs = [s]
    if o.input_feeding:
        inputs.append(m.step.previous("attended", size=w["decoder.att_vector_layer.weight"].shape[0]))
    for layer in range(o.decoder_layers):
        name = "state" if o.decoder_layers == 1 else f"state{layer + 1}"
        s = m.step.cell(name, inputs, Cell.torch(o.decoder_type, w, "decoder.rnn.", f"_l{layer}"), first, **first_c)
        inputs = [s]
    a = "decoder.attention."
    if o.attention == "luong":
        context = m.step.attend("attention", "general", s, memory, key_weight=w[a + "key_layer.weight"])
    else:
        context = m.step.attend(
            "attention",
            "additive",
            s,
            memory,
            query_weight=w[a + "query_layer.weight"],
            key_weight=w[a + "key_layer.weight"],
            v=w[a + "energy_layer.weight"],
        )
    vector = w["decoder.att_vector_layer.weight"], w["decoder.att_vector_layer.bias"], o.activation
    attended = m.step.linear("attended", [s, context], *vector)
    m.step.output("prediction", attended, w["decoder.output_layer.weight"])
    m.start_with(target.bos)
    w.finish("a recurrent model")
    return m


def _choice(place: str, value: Any, allowed: tuple[str, ...]) -> str:
    text = shown(value).lower()
    if text not in allowed:
        raise CheckpointError(f"{place}={shown(value)} is not supported: expected {' or '.join(allowed)}")
    return text


def _number(place: str, value: Any, least: float, most: float, kind: type = int) -> Any:
    """A whole number, or with kind float any."""
    try:
        number = kind(value) if isinstance(value, (int, float, str)) and len(shown(value)) < 40 else None
    except (ValueError, OverflowError):
        number = None
    if number is None or not least <= number <= most:
        raise CheckpointError(f"{place}={shown(value)}, expected {least} to {most}")
    return number


def _word(place: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 100:
        raise CheckpointError(f"{place}={shown(value)}, expected a text of 1 to 100 characters")
    return value


def _section(config: Any, name: str, path: pathlib.Path) -> dict:
    found = config.get(name, {}) if isinstance(config, dict) else None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: {name} is no mapping")
    return found


def read_options(config: dict, path: pathlib.Path) -> Options:
    """From the configuration's `model` section. Raises CheckpointError, by name, for what is not supported."""
    model = _section(config, "model", path)
    encoder, decoder = _section(model, "encoder", path), _section(model, "decoder", path)
    for side, part in (("encoder", encoder), ("decoder", decoder)):
        _choice(f"{path}: model.{side}.type", part.get("type", "recurrent"), ("recurrent",))
    if not encoder.get("bidirectional", True):
        raise CheckpointError(f"{path}: model.encoder.bidirectional=False is not supported (nor does JoeyNMT run it)")

    def scale(part: dict) -> bool:
        return bool(_section(part, "embeddings", path).get("scale", False))

    return Options(
        encoder_type=_choice(f"{path}: model.encoder.rnn_type", encoder.get("rnn_type", "gru"), ("gru", "lstm")),
        encoder_layers=_number(f"{path}: model.encoder.num_layers", encoder.get("num_layers", 1), 1, MAX_LAYERS),
        decoder_type=_choice(f"{path}: model.decoder.rnn_type", decoder.get("rnn_type", "gru"), ("gru", "lstm")),
        decoder_layers=_number(f"{path}: model.decoder.num_layers", decoder.get("num_layers", 1), 1, MAX_LAYERS),
        input_feeding=bool(decoder.get("input_feeding", True)),
        init_hidden=_choice(
            f"{path}: model.decoder.init_hidden", decoder.get("init_hidden", "bridge"), ("bridge", "last", "zero")
        ),
        attention=_choice(
            f"{path}: model.decoder.attention", decoder.get("attention", "bahdanau"), ("bahdanau", "luong")
        ),
        activation=_choice(f"{path}: model.decoder.activation", decoder.get("activation", "tanh"), _FUNCTIONS),
        source_scale=scale(encoder),
        target_scale=scale(decoder),
    )


def _version(config: dict) -> tuple[int, ...]:
    return tuple(int(n) for n in shown(config.get("joeynmt_version", "0")).split(".") if n.isdecimal())


def search_defaults(config: dict, path: pathlib.Path, target: Vocabulary) -> dict:
    """SearchOptions from `testing` (before 2.0 the longest output stands in `training`). JoeyNMT 2.3 never emits <s>
    or <pad> and emits at least one token; before, it allows both."""
    testing, training = _section(config, "testing", path), _section(config, "training", path)
    longest = testing.get("max_output_length", training.get("max_output_length"))
    place = f"{path}: testing."
    found: dict = {"beam_size": _number(place + "beam_size", testing.get("beam_size", 1), 1, MAX_LENGTH)}
    found["max_length_a"] = 0.0
    if longest is None:  # joeynmt/helpers.py: half as long again as the source
        found.update(max_length_a=1.5, max_length_b=0)
    else:
        found.update(max_length_b=_number(place + "max_output_length", longest, 0, MAX_LENGTH))
    alpha = _number(place + "beam_alpha", testing.get("beam_alpha", testing.get("alpha", -1)), -100, 100, float)
    if alpha > 0:
        found.update(gnmt={"alpha": alpha, "beta": 5})
    found.update(beam_policy="BEAM_POLICY_GO_ON", beam_stop="BEAM_STOP_PLACES_ENDED")
    if "joeynmt_version" not in config:
        found.update(beam_stop="BEAM_STOP_BEST_ENDS")
    elif _version(config) >= (2, 3):
        found.update(banned_ids=[i for i in (target.bos, *target.special) if i is not None])
        least = _number(place + "min_output_length", testing.get("min_output_length", 1), 0, MAX_LENGTH)
        found.update(min_length_b=least)
    for name, off in (("no_repeat_ngram_size", 0), ("repetition_penalty", 1)):
        value = testing.get(name)
        if value is not None and _number(place + name, value, -(1 << 31), 1 << 31, float) > off:
            # joeynmt/search.py: the source's tokens count as well
            raise CheckpointError(
                f"{path}: testing.{name}={shown(value)} is not supported: it looks at the source; set it to -1"
            )
    if testing.get("generate_unk", True) is False:
        found["unknowns"] = "UNKNOWN_POLICY_BAN"
    return found


def _tokenizer(args: argparse.Namespace, config: dict, side: dict, path: pathlib.Path, flag: str, pieces: list[str]):
    """(tokenizer, lowercase) of one side as the configuration has it, or as the flags say."""
    data = _section(config, "data", path)
    if args.tokenizer is not None:
        return importer.tokenizers(args)[flag == "target"], args.lowercase
    level = _choice(f"{path}: data level", side.get("level", data.get("level", "word")), ("word", "bpe", "char"))
    lowercase = bool(side.get("lowercase", data.get("lowercase", False)))
    for option in ("normalize", "pretokenizer"):
        value = side.get(option, _section(side, "tokenizer_cfg", path).get(option))
        if value not in (None, False, "none"):
            raise CheckpointError(
                f"{path}: data {option}={shown(value)} is not supported: let callers do it and say --tokenizer"
            )
    if level == "char":
        mark = "▁" if "▁" in pieces else " "
        return vocabulary.characters(mark), lowercase
    if level == "word":
        return vocabulary.words(), lowercase
    # joeynmt/tokenizers.py, set_vocab: from 2.0 on nothing is cut into pieces that the vocabulary lacks.
    allowed = frozenset(pieces) if _version(config) >= (2,) else None
    kind = side.get("tokenizer_type", "sentencepiece" if _section(side, "tokenizer_cfg", path) else "subword-nmt")
    kind = _choice(f"{path}: data tokenizer_type", kind, ("sentencepiece", "subword-nmt"))
    cfg = _section(side, "tokenizer_cfg", path)
    if kind == "sentencepiece":
        given = getattr(args, f"{flag}_spm") or args.source_spm or _beside(path, cfg.get("model_file"))
        if given is None:
            raise CheckpointError(f"{path}: data level=bpe with SentencePiece: give its model by --{flag}-spm")
        model = checkpoint.read_bytes(given)
        return vocabulary.sentencepiece(spm_file.restricted(model, allowed, str(given)) if allowed else model), False
    given = getattr(args, f"{flag}_merges") or args.source_merges or _beside(path, cfg.get("codes"))
    if given is None:
        raise CheckpointError(
            f"{path}: data level=bpe: give subword-nmt's merges by --{flag}-merges, or let callers cut: "
            "--tokenizer pretokenized"
        )
    separator = None if cfg.get("separator") is None else _word(f"{path}: data separator", cfg["separator"])
    return vocabulary.bpe(checkpoint.read_bytes(given), separator, allowed), lowercase


def _beside(config: pathlib.Path, name: Any) -> pathlib.Path | None:
    """The file that a configuration names: below the current folder, or by its last part beside the configuration.
    Never elsewhere, nor in a hidden folder: a bundle would carry whatever file of this machine a stranger named."""
    if not isinstance(name, str) or not name or "\0" in name or len(name) > 4096:
        return None
    named = pathlib.Path(name)
    below = not named.is_absolute() and not any(part.startswith(".") for part in named.parts)
    for place in ([named] if below else []) + ([config.parent / named.name] if named.name else []):
        if place.is_file():
            return place
    return None


def read_vocabulary(path: pathlib.Path, specials: Mapping[str, str]) -> list[str]:
    """joeynmt/vocabulary.py: a token a line; the special ones come first where the file lacks them, none twice."""
    lines = checkpoint.read_lines(path)
    checkpoint.check_pieces(lines, path, "a token a line")
    return list(dict.fromkeys([*specials.values(), *lines]))


def _vocabulary(args: argparse.Namespace, config: dict, path: pathlib.Path, flag: str) -> Vocabulary:
    data = _section(config, "data", path)
    name = {"source": "src", "target": "trg"}[flag]
    side = data.get(name) if isinstance(data.get(name), dict) else {}
    symbols = _section(data, "special_symbols", path)
    tokens = {n: _word(f"{path}: {n}_token", symbols.get(f"{n}_token", t)) for n, t in _SPECIALS.items()}
    file = getattr(args, f"{flag}_vocabulary") or _beside(path, side.get("voc_file", data.get(f"{name}_vocab")))
    pieces = read_vocabulary(file or path.parent / f"{name}_vocab.txt", tokens)
    ids = {n: pieces.index(t) for n, t in tokens.items()}
    tokenizer, lowercase = _tokenizer(args, config, side, path, flag, pieces)
    return Vocabulary(
        unk=ids["unk"],
        bos=ids["bos"],
        eos=ids["eos"],
        special=[ids["pad"]],
        pieces=pieces,
        add_eos=flag == "source",
        tokenizer=tokenizer,
        lowercase=lowercase,
    )


_SPECIALS = {"unk": "<unk>", "pad": "<pad>", "bos": "<s>", "eos": "</s>"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=pathlib.Path, metavar="FILE.ckpt", help="best.ckpt, or any other of the run")
    parser.add_argument(
        "--config", type=pathlib.Path, metavar="FILE", help="default: config.yaml beside the checkpoint"
    )
    for side, name in (("source", "src"), ("target", "trg")):
        parser.add_argument(
            f"--{side}-vocabulary", type=pathlib.Path, metavar="FILE", help=f"default: {name}_vocab.txt beside it"
        )
    importer.add_tokenizer_arguments(parser, "config.yaml")


def load_config(path: pathlib.Path) -> dict:
    """config.yaml. Raises CheckpointError."""
    from ..reading import yaml_file

    config = yaml_file.load(path)
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: is no mapping")
    return config


def read(args: argparse.Namespace) -> importer.Imported:
    path = args.config or args.checkpoint.parent / "config.yaml"
    config = load_config(path)
    options = read_options(config, path)
    source, target = (_vocabulary(args, config, path, side) for side in ("source", "target"))
    state = checkpoint.load_torch(args.checkpoint)
    if not isinstance(state, dict) or not isinstance(state.get("model_state"), dict):
        raise CheckpointError(f"{args.checkpoint}: holds no model_state, which a JoeyNMT checkpoint has")
    weights = Weights(state["model_state"], str(args.checkpoint))
    model = build(options, weights, source, target)
    model.set_search(**search_defaults(config, path, target))

    from reference import joeynmt as oracle

    trace = oracle_trace(oracle.Model(oracle.Options(**vars(options)), weights.arrays), target.bos, target.eos)
    data = _section(config, "data", path)

    def language(name: str) -> str | None:
        side = data.get(name)
        return side.get("lang") if isinstance(side, dict) else side

    known = [t if isinstance(t, str) and 2 <= len(t) <= 3 and t not in ("src", "trg") else None
             for t in (language("src"), language("trg"))]  # fmt: skip
    version = config.get("joeynmt_version")
    return importer.Imported(
        model=model,
        toolkit=f"JoeyNMT {shown(version, 40)}" if version else "JoeyNMT",
        trace=trace,
        origin=f"{args.checkpoint.name} of the run {quoted(config.get('name', ''), 100)}",
        source_language=known[0],
        target_language=known[1],
    )
