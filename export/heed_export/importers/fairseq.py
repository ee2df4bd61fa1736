"""fairseq's `lstm` models and its architectures (lstm_wiseman_iwslt_de_en, lstm_luong_wmt_en_de): a checkpoint and the
dictionaries that fairseq-preprocess wrote.

    heed-export fairseq checkpoints/checkpoint_best.pt --source-dict data-bin/dict.de.txt \\
        --target-dict data-bin/dict.en.txt --license MIT --source-language de --target-language en --out bundles/deen

What the toolkit computes: fairseq/models/lstm.py. Lengths and searches: fairseq/sequence_generator.py.
"""

from __future__ import annotations

import argparse
import pathlib
import re
from dataclasses import dataclass
from typing import Any

from ..reading import checkpoint
from . import importer
from ..model.builder import Model
from ..reading.checkpoint import CheckpointError, Weights
from ..model.layers import Cell
from ..reading.files import are_scored
from .pytorch import oracle_trace, rnn_stack
from ..reading.shown import quoted, shown
from ..model.vocabulary import Vocabulary

NAME = "fairseq"
USAGE = ("FILE.pt",)
HELP = "a fairseq checkpoint (checkpoint_best.pt) of an lstm architecture, and its dict.*.txt"
BOS, PAD, EOS, UNK = 0, 1, 2, 3
_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
MAX_LAYERS = 100
_LANGUAGE = re.compile(r"[\w@-][\w.@-]{0,63}\Z")  # it becomes a file's name


@dataclass(frozen=True)
class Options:
    """What of the arguments the programs depend on; sizes are the weights'."""

    layers: int = 1
    bidirectional: bool = False
    attention: bool = True
    share_decoder_input_output_embed: bool = False


def build(options: Options, weights: Weights, source: Vocabulary, target: Vocabulary) -> Model:
    """The model from the checkpoint's `model` tensors. Raises CheckpointError for one missing or left over."""
    o, w = options, weights
    m = Model(source, target)
    x = m.encoder.embed("source_embedding", w["encoder.embed_tokens.weight"])
    layers = rnn_stack(m, "lstm", w, "encoder.lstm.", x, o.layers, o.bidirectional)
    memory = layers[-1]

    e = m.step.embed("target_embedding", w["decoder.embed_tokens.weight"])
    hidden = w["decoder.layers.0.weight_hh"].shape[1]
    # Without attention the top state is fed back; but zeros at first, which its own first value is not.
    fed = m.step.previous("attended" if o.attention else "fed", size=hidden)
    top: Any = [e, fed]
    for i, layer in enumerate(layers, start=1):
        h, c = _firsts(m, w, layer, i)
        name = "state" if o.layers == 1 else f"state{i}"
        top = m.step.cell(name, top, Cell.torch("lstm", w, f"decoder.layers.{i - 1}."), h, first_c=c)
    if o.attention:
        a = "decoder.attention."
        context = m.step.attend("attention", "general", top, memory, query_weight=w[a + "input_proj.weight"])
        top = m.step.linear("attended", [context, top], w[a + "output_proj.weight"], None, "tanh")
    else:
        top = m.step.activation("fed", top, "identity")
    if "decoder.additional_fc.weight" in w:
        top = m.step.linear("readout", top, w["decoder.additional_fc.weight"], w["decoder.additional_fc.bias"])
    if o.share_decoder_input_output_embed:
        m.step.output("prediction", top, w["decoder.embed_tokens.weight"])
    else:
        m.step.output("prediction", top, w["decoder.fc_out.weight"], w["decoder.fc_out.bias"])
    m.start_with(target.eos)
    w.ignore("encoder.version", "decoder.version")
    w.finish("an lstm model")
    return m


def _firsts(m: Model, w: Weights, layer, number: int):
    """First h and c of a decoder layer: the encoder layer's last, projected where sizes differ."""
    h, c = layer.finals, layer.finals_c
    if "decoder.encoder_hidden_proj.weight" in w:
        p = "decoder.encoder_{}_proj.{}".format
        return (
            m.init.linear(f"first{number}", h, w[p("hidden", "weight")], w[p("hidden", "bias")]),
            m.init.linear(f"first_c{number}", c, w[p("cell", "weight")], w[p("cell", "bias")]),
        )
    if len(h) == 1:
        return h[0], c[0]
    return m.init.concat(f"first{number}", h), m.init.concat(f"first_c{number}", c)


def read_dictionary(path: pathlib.Path) -> list[str]:
    """fairseq/data/dictionary.py: "token count" lines behind four special tokens. A count is whatever Python's int()
    takes; "#fairseq:overwrite" may follow. Of a token that stands twice (which versions from 0.9 on take with that mark
    alone) the later line's id is its text's, and no text has the earlier."""
    pieces = list(_SPECIALS)
    at = {piece: i for i, piece in enumerate(pieces)}
    lines = checkpoint.read_lines(path)
    if are_scored(lines):
        what = "SentencePiece's .vocab, a piece and its score a line; expected a token and its count"
        raise CheckpointError(f"{path}: is {what}")
    for number, line in enumerate(lines, start=1):
        token, _, count = line.rstrip().rpartition(" ")
        if count == "#fairseq:overwrite":
            token, _, count = token.rpartition(" ")
        if not token or not _is_count(count):
            raise CheckpointError(f"{path}:{number}: {quoted(line, 60)} is no token and its count")
        if at.get(token, 0) >= len(_SPECIALS):
            pieces[at[token]] = f"<overwritten {at[token]}>"
        at[token] = len(pieces)
        pieces.append(token)
    return pieces


def _is_count(text: str) -> bool:
    """Whether int() takes it; of thousands of digits it does not."""
    try:
        int(text)
    except ValueError:
        return False
    return True


def _plain(value: Any) -> dict:
    """The arguments as a mapping: an argparse.Namespace, or a configuration of fairseq's (a mapping)."""
    found = vars(value) if hasattr(value, "__dict__") else value
    return dict(found) if isinstance(found, dict) else {}


def read_arguments(state: Any, path: pathlib.Path) -> dict:
    """The model's arguments: `args`, or from 0.10 on `cfg.model` (with `cfg.task` for languages)."""
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise CheckpointError(f"{path}: holds no model, which a fairseq checkpoint has")
    if state.get("args") is not None:
        return _plain(state["args"])
    cfg = _plain(state.get("cfg"))
    return {**_plain(cfg.get("task")), **_plain(cfg.get("model"))}


def _flag(value: Any) -> bool:
    """fairseq/utils.py eval_bool of a text like "1", "0", "True", "False"."""
    return shown(value).strip().lower() not in ("0", "false", "none", "")


def _arch(arguments: dict) -> str:
    """The architecture's name, in a few characters."""
    return shown(arguments.get("arch", arguments.get("_name", "lstm")))


def _layers(arguments: dict, name: str, default: int, path: pathlib.Path) -> int:
    value = arguments.get(name, default)
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 9 else value
    if type(number) is not int or not 1 <= number <= MAX_LAYERS:
        raise CheckpointError(f"{path}: {name}={shown(value)}, expected 1 to {MAX_LAYERS}")
    return number


def read_options(arguments: dict, path: pathlib.Path) -> Options:
    """Raises CheckpointError, by name, for what is not supported."""
    arch = _arch(arguments)
    if not arch.startswith("lstm") or arch.startswith("lstm_lm"):
        raise CheckpointError(f"{path}: arch={arch} is not supported: expected lstm or one of its architectures")
    if shown(arguments.get("criterion", "")) == "adaptive_loss":
        raise CheckpointError(f"{path}: criterion=adaptive_loss is not supported: adaptive softmax")
    layers = _layers(arguments, "encoder_layers", 1, path)
    decoder_layers = _layers(arguments, "decoder_layers", layers, path)
    if layers != decoder_layers:
        raise CheckpointError(f"{path}: decoder_layers={decoder_layers}, expected {layers}, as encoder_layers")
    shared = bool(arguments.get("share_decoder_input_output_embed")) or bool(arguments.get("share_all_embeddings"))
    return Options(
        layers=layers,
        bidirectional=bool(arguments.get("encoder_bidirectional", False)),
        attention=_flag(arguments.get("decoder_attention", "1")),
        share_decoder_input_output_embed=shared,
    )


def search_defaults() -> dict:
    """What fairseq-generate does unless told otherwise: beam 5, the score per token, at most 200 tokens and </s>;
    padding never, and at the last step </s> alone."""
    return {
        "beam_size": 5,
        "average": {"alpha": 1.0},
        "max_length_a": 0.0,
        "max_length_b": 201,
        "min_length_b": 1,
        "beam_policy": "BEAM_POLICY_FAIRSEQ",
        "beam_stop": "BEAM_STOP_BEAM_FULL",
        "unfinished": "UNFINISHED_POLICY_END",
        "banned_ids": [PAD],
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=pathlib.Path, metavar="FILE.pt", help="checkpoint_best.pt or another")
    for side in ("source", "target"):
        parser.add_argument(
            f"--{side}-dict",
            type=pathlib.Path,
            metavar="FILE",
            help="dict.LANG.txt of the data folder; default: the one beside the checkpoint",
        )
    importer.add_tokenizer_arguments(parser)


def _dictionary(args: argparse.Namespace, arguments: dict, side: str) -> list[str]:
    given = getattr(args, f"{side}_dict")
    if given is None:
        language = arguments.get(f"{side}_lang")
        if not language:
            raise CheckpointError(f"--{side}-dict: is missing, and the checkpoint does not say the {side}'s language")
        if not isinstance(language, str) or not _LANGUAGE.match(language):
            raise CheckpointError(f"--{side}-dict: is missing, and the checkpoint's {side}_lang is {quoted(language)}")
        given = args.checkpoint.parent / f"dict.{language}.txt"
    return read_dictionary(given)


def read(args: argparse.Namespace) -> importer.Imported:
    state = checkpoint.load_torch(args.checkpoint)
    arguments = read_arguments(state, args.checkpoint)
    options = read_options(arguments, args.checkpoint)
    tokenizers = importer.tokenizers(args)
    sides = []
    for side, tokenizer in zip(("source", "target"), tokenizers):
        sides.append(
            Vocabulary(
                unk=UNK,
                bos=BOS,
                eos=EOS,
                special=[PAD],
                pieces=_dictionary(args, arguments, side),
                add_eos=side == "source",
                tokenizer=tokenizer,
                lowercase=args.lowercase,
            )
        )
    weights = Weights(state["model"], str(args.checkpoint))
    model = build(options, weights, *sides)
    model.set_search(**search_defaults())

    from reference import fairseq as oracle

    trace = oracle_trace(oracle.Model(oracle.Options(**vars(options)), weights.arrays), EOS, EOS)

    def language(side: str) -> str | None:
        found = arguments.get(f"{side}_lang")
        return found if isinstance(found, str) and 2 <= len(found) <= 3 and found not in ("src", "tgt") else None

    return importer.Imported(
        model=model,
        toolkit="fairseq",
        trace=trace,
        origin=f"{args.checkpoint.name}, arch {_arch(arguments)}",
        source_language=language("source"),
        target_language=language("target"),
    )
