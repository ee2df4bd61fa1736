"""OpenNMT-py's recurrent models, 2017 to 3.5: one checkpoint, with the options and the vocabularies inside.

    heed-export opennmt-py model_step_50000.pt --license MIT --source-language de --target-language en \\
      --out out/models/mine

Layouts of `vocab`: pairs (name, torchtext Vocab) up to 0.8; torchtext Fields to 2.3; plain lists in 3.x, whose weights
may lie in a .safetensors beside the .pt. What the toolkit computes is in opennmt_py_model.py. How it searches:
onmt/translate/{Beam,beam_search,translator}.py. docs/importing/opennmt-py.md says what is supported.
"""

from __future__ import annotations

import argparse
import glob
import pathlib
import re
from typing import Any, Mapping, Sequence

import numpy as np

from ..reading import checkpoint
from . import importer
from ..reading.checkpoint import CheckpointError, Weights
from .opennmt_py_model import BOS, EOS, PAD, UNK, Options, build, decoder_layers
from ..reading.shown import quoted, shown
from ..reading.stand_ins import StandIn
from ..model.vocabulary import Tokenizer, Vocabulary

NAME = "opennmt-py"
USAGE = (f"MODEL.pt {importer.LANGUAGES}",)
HELP = "an OpenNMT-py checkpoint (model_step_N.pt, of any version; a .safetensors beside it)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=pathlib.Path, metavar="MODEL.pt", help="what onmt_train saved")
    parser.add_argument(
        "--safetensors",
        type=pathlib.Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="3.x: the weights, where MODEL.pt holds none; default: MODEL.safetensors or its shards",
    )
    parser.add_argument(
        "--toolkit-version",
        metavar="X.Y",
        help="whose onmt_translate the search defaults follow; default: the newest that writes such a file",
    )
    importer.add_tokenizer_arguments(parser)


# Reading.


class _Opt:
    """The checkpoint's options: `get` checks the type, `refuse` names what heed does not run."""

    def __init__(self, path: str, opt: Any):
        self.path = path
        self.values: Mapping[str, Any] = opt if isinstance(opt, dict) else opt.__dict__

    def get(self, name: str, default: Any, *kinds: type) -> Any:
        value = self.values.get(name, default)
        if value is None:
            return default
        if not isinstance(value, kinds or (type(default),)):
            raise CheckpointError(
                f"{self.path}: option {name} is {quoted(value, 60)}, expected {(kinds or (type(default),))[0].__name__}"
            )
        return value

    def refuse(self, what: str, name: str, value: Any) -> None:
        raise CheckpointError(f"{self.path}: {what} not supported: {name}={shown(value, 60)} in the checkpoint")

    def choice(self, name: str, default: str, supported: Mapping[str, str], what: str) -> str:
        """One of `supported` (toolkit's spelling to ours), or refused as `what`."""
        value = self.get(name, default, str)
        if value not in supported:
            self.refuse(what.format(shown(value, 60)), name, value)
        return supported[value]


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def read_options(path: str, opt: Any, layout: int) -> Options:
    """The options of the checkpoint's `opt`. Raises CheckpointError that names the first one that heed does not run."""
    if not isinstance(opt, (StandIn, dict)):
        raise CheckpointError(f"{path}: has no options (opt)")
    o = _Opt(path, opt)
    o.choice("model_type", "text", _same("text"), "{} models are")
    o.choice("model_task", "seq2seq", _same("seq2seq"), "the task {} is")
    o.choice("data_task", "seq2seq", _same("seq2seq"), "the task {} is")
    encoder = o.choice("encoder_type", "rnn", _same("rnn", "brnn", "mean"), "the {} encoder is")
    o.choice("decoder_type", "rnn", {"rnn": "rnn", "ifrnn": "rnn"}, "the {} decoder is")
    rnn = o.choice("rnn_type", "LSTM", _same("LSTM", "GRU"), "{} cells are")
    if o.get("brnn", False, bool, int) and encoder == "rnn":
        encoder = "brnn"
    if encoder == "brnn":
        o.choice("brnn_merge", "concat", _same("concat"), "merging directions by {} is")
    for name, what in (("position_encoding", "positions added to embeddings are"), ("lora_embedding", "LoRA is")):
        if o.get(name, False, bool, int):
            o.refuse(what, name, True)
    for name, what in (("lora_layers", "LoRA is"), ("quant_layers", "a quantised model is")):
        if o.get(name, [], list):
            o.refuse(what, name, o.values[name])
    o.choice("generator_function", "softmax", {"softmax": "softmax", "log_softmax": "softmax"}, "a {} generator is")
    copies = bool(o.get("copy_attn", False, bool, int))
    fed = bool(o.get("input_feed", 1, bool, int))
    if copies and not fed:
        o.refuse("copying without input feeding is", "input_feed", 0)
    scores = {**_same("dot", "general", "mlp", "none"), "dotprod": "dot"}
    attention = o.choice("global_attention", "general", scores, "the attention {} is")
    gate = o.get("context_gate", "none", str)
    if gate not in ("none", "source", "target", "both"):
        o.refuse("such a context gate is", "context_gate", gate)
    return Options(
        encoder_type=encoder,
        rnn_type=rnn,
        input_feed=fed,
        global_attention=attention,
        global_attention_function=o.choice(
            "global_attention_function", "softmax", _same("softmax", "sparsemax"), "the attention function {} is"
        ),
        bridge=bool(o.get("bridge", False, bool, int)),
        context_gate=None if gate == "none" else gate,
        coverage_attn=bool(o.get("coverage_attn", False, bool, int)),
        copy_attn=copies,
        reuse_copy_attn=copies and bool(o.get("reuse_copy_attn", False, bool, int)),
        # Before 0.9 the copy attention had the type of the other.
        copy_attn_type=o.choice("copy_attn_type", attention, scores, "the copy attention {} is"),
        share_embeddings=bool(o.get("share_embeddings", False, bool, int)),
        share_decoder_embeddings=bool(o.get("share_decoder_embeddings", False, bool, int)),
        layout=layout,
    )


def _torchtext_pieces(path: str, side: str, vocab: Any) -> list[str]:
    """The pieces of a torchtext Vocab. `stoi` is what the model was trained with: `itos` of files that Python 2 wrote
    may lack words, and `stoi` lacks <unk> where it was a defaultdict that gave 0 for it."""
    stoi = vocab.get("stoi") if isinstance(vocab, StandIn) else None
    if not isinstance(stoi, dict) or not stoi:
        raise CheckpointError(f"{path}: the vocabulary of {side} has no pieces (stoi)")
    pieces: dict[int, str] = {}
    for piece, i in stoi.items():
        if not isinstance(piece, str) or type(i) is not int or not 0 <= i < 1 << 24:
            raise CheckpointError(f"{path}: the vocabulary of {side} gives {quoted(piece, 40)} the id {shown(i, 40)}")
        pieces.setdefault(i, piece)
    pieces.setdefault(0, UNK)
    size = max(pieces) + 1
    if size > 2 * len(pieces):  # before a list of as many is made
        raise CheckpointError(f"{path}: the vocabulary of {side} has no piece for {size - len(pieces)} of {size} ids")
    return [pieces.get(i, hole(i)) for i in range(size)]


def hole(i: int) -> str:
    """What stands for an id that a vocabulary of 2017 has no piece for: no text becomes it, and it becomes no text."""
    return f"<unused {i}>"


def _fields(path: str, found: Any, side: str) -> Any:
    """The Vocab of a side in any of the layouts of torchtext. Raises CheckpointError where the side has features."""
    if isinstance(found, StandIn) and "fields" in found.__dict__:  # TextMultiField
        found = found.fields
    if isinstance(found, (list, tuple)):  # pairs (name, Field)
        if len(found) != 1:
            raise CheckpointError(
                f"{path}: word features are not supported: {side} has {len(found)} fields in the checkpoint"
            )
        found = found[0][1] if isinstance(found[0], (list, tuple)) and len(found[0]) == 2 else None
        return _fields(path, found, side)
    if isinstance(found, StandIn) and "vocab" in found.__dict__:  # Field
        return found.vocab
    return found


def read_pieces(path: str, vocab: Any) -> tuple[list[str], list[str], int, str]:
    """(source pieces, target pieces, layout, start piece) of the checkpoint's `vocab`."""
    if isinstance(vocab, dict) and isinstance(vocab.get("src"), list) and all(isinstance(p, str) for p in vocab["src"]):
        for key in ("src_feats", "tgt_feats"):
            if vocab.get(key):
                raise CheckpointError(f"{path}: word features are not supported: {key} in the checkpoint")
        if vocab.get("data_task", "seq2seq") != "seq2seq":
            raise CheckpointError(
                f"{path}: the task {shown(vocab['data_task'], 40)} is not supported: data_task in the checkpoint"
            )
        target = vocab.get("tgt")
        if not isinstance(target, list) or not all(isinstance(p, str) for p in target):
            raise CheckpointError(f"{path}: the vocabulary of tgt is no list of pieces")
        return vocab["src"], target, 3, vocab.get("decoder_start_token", BOS)
    layout = 1 if isinstance(vocab, dict) else 0
    if layout == 0:
        if not isinstance(vocab, list) or not all(isinstance(v, (list, tuple)) and len(v) == 2 for v in vocab):
            raise CheckpointError(f"{path}: has no vocabulary (vocab) of a known layout")
        vocab = {name: found for name, found in vocab if isinstance(name, str)}
    for name in vocab:
        if isinstance(name, str) and "_feat_" in name:
            raise CheckpointError(f"{path}: word features are not supported: {shown(name)} in the checkpoint")
    sides = {s: _torchtext_pieces(path, s, _fields(path, vocab.get(s), s)) for s in ("src", "tgt")}
    return sides["src"], sides["tgt"], layout, BOS


def make_vocabulary(path: str, side: str, pieces: list[str], tokenizer: Tokenizer, lowercase: bool) -> Vocabulary:
    """A side's Vocabulary; the toolkit's special pieces are no text."""

    def index(piece: str) -> int | None:
        return pieces.index(piece) if piece in pieces else None

    unk, pad, bos, eos = (index(p) for p in (UNK, PAD, BOS, EOS))
    holes = [i for i, piece in enumerate(pieces) if piece == hole(i)]
    needed = {UNK: unk} if side == "source" else {UNK: unk, EOS: eos}
    for piece, i in needed.items():
        if i is None:
            raise CheckpointError(f"{path}: the {side} vocabulary has no {piece}")
    if side == "source":  # nothing is put before or behind a source
        return Vocabulary(
            pieces=pieces,
            unk=unk,
            special=[*(i for i in (pad, bos, eos) if i is not None), *holes],
            tokenizer=tokenizer,
            lowercase=lowercase,
        )
    special = [*([] if pad is None else [pad]), *holes]
    return Vocabulary(pieces=pieces, unk=unk, bos=bos, eos=eos, special=special, tokenizer=tokenizer)


def _beside_files(path: pathlib.Path) -> list[pathlib.Path]:
    """The weights of MODEL.pt: MODEL.safetensors as 3.x saves them, or MODEL.00.safetensors and so on as it loads
    them."""
    whole = path.with_suffix(".safetensors")
    return [whole] if whole.is_file() else sorted(path.parent.glob(f"{glob.escape(path.stem)}.*.safetensors"))


def read_checkpoint(
    path: pathlib.Path, beside: Sequence[pathlib.Path] = ()
) -> tuple[Options, Weights, list[str], list[str]]:
    """(options, weights, source pieces, target pieces). Weights are those of `model`, and those of `generator` behind
    "generator."."""
    found = checkpoint.load_torch(path)
    if isinstance(found, dict) and "dicts" in found:
        raise CheckpointError(f"{path}: files of early 2017 are not supported: dicts in the checkpoint")
    if not isinstance(found, dict) or "opt" not in found or "vocab" not in found:
        raise CheckpointError(f"{path}: is no OpenNMT-py checkpoint (opt and vocab are missing)")
    where = str(path)
    source, target, layout, start = read_pieces(where, found["vocab"])
    options = read_options(where, found["opt"], layout)
    arrays: dict[str, np.ndarray] = {}
    if found.get("model") is not None:
        for part, prefix in (("model", ""), ("generator", "generator.")):
            if not isinstance(found.get(part), dict):
                raise CheckpointError(f"{path}: {part} is no state_dict")
            named = ((k, v) for k, v in found[part].items() if isinstance(k, str))
            arrays.update({prefix + k: v for k, v in named if isinstance(v, np.ndarray)})
    else:
        files = list(beside) or _beside_files(path)
        if not files:
            raise CheckpointError(
                f"{path}: holds no weights, and {path.stem}.safetensors is not beside it (--safetensors says where)"
            )
        where = str(files[0])
        for file in files:
            arrays.update(checkpoint.load_safetensors(file))
    if not isinstance(start, str) or start not in target:
        raise CheckpointError(f"{path}: decoder_start_token {quoted(start, 40)} is not in the target vocabulary")
    return Options(**{**options.__dict__, "start": start}), Weights(arrays, where), source, target


# Searching.


def search_defaults(version: tuple[int, int, int]) -> dict:
    """What this version's onmt_translate does when no option is given (onmt/opts.py, onmt/translate)."""
    stop = "BEAM_STOP_BEST_ENDED"
    if version >= (3, 4, 3):
        stop = "BEAM_STOP_BEST_ENDS"
    elif version >= (2, 3, 0):
        stop = "BEAM_STOP_BEST_ENDED_AND_FULL"
    fields: dict = {"beam_size": 5, "beam_policy": "BEAM_POLICY_REFILL", "beam_stop": stop}
    if version < (0, 8, 0):
        fields |= {"unfinished": "UNFINISHED_POLICY_FILL", "no_repeat_ngram_drops": True}
    elif version < (1, 0, 0):
        fields |= {"no_repeat_ngram_drops": True}
    if version >= (3, 0, 0):
        fields |= {"average": {"alpha": 1.0}, "length_offset": 1}
    else:
        fields |= {"none": {}}
    if version >= (3, 5, 0):  # --max_length_ratio
        return fields | {"max_length_a": 1.25, "max_length_b": 5, "max_length_cap": 250}
    return fields | {"max_length_a": 0, "max_length_b": 250 if version >= (3, 0, 0) else 100}


_NEWEST = {0: "0.8.2", 1: "2.2.0", 3: "3.5.1"}


def _version(given: str | None, layout: int) -> tuple[str, tuple[int, int, int]]:
    text = given or _NEWEST[layout]
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3}){0,2}", text):
        raise CheckpointError(f"--toolkit-version: {text!r} is no version like 2.3 or 3.5.1")
    numbers = [*map(int, text.split(".")), 0, 0][:3]
    return text, (numbers[0], numbers[1], numbers[2])


def oracle(options: Options, weights: Mapping[str, np.ndarray], source: Vocabulary, target: Vocabulary):
    """Imported.trace: reference.opennmt_py on the same tensors."""
    from reference import opennmt_py, trace

    keep = {k: v for k, v in options.__dict__.items() if k in opennmt_py.Options.__dataclass_fields__}
    layers = decoder_layers(options, weights)
    sizes = {
        "enc_layers": layers,
        "dec_layers": layers,
        "pad": target.pieces.index(PAD) if PAD in target.pieces else -1,
    }
    words = {"source_words": tuple(source.pieces), "target_words": tuple(target.pieces)} if options.copy_attn else {}
    model = opennmt_py.Model(opennmt_py.Options(**keep, **sizes, **words), dict(weights))
    start = target.pieces.index(options.start)
    bounds = {"vocabulary": len(target), "unk": target.unk} if options.copy_attn else {}

    def run(source_ids: list[int], max_length: int, pieces: list[str] | None = None):
        model.words = pieces
        return trace.greedy(model, source_ids, start, target.eos, max_length, **bounds)

    return run


def read(args: argparse.Namespace) -> importer.Imported:
    options, weights, source_pieces, target_pieces = read_checkpoint(args.checkpoint, args.safetensors)
    version, numbers = _version(args.toolkit_version, options.layout)
    source_tokenizer, target_tokenizer = importer.tokenizers(args)
    path = str(args.checkpoint)
    source = make_vocabulary(path, "source", source_pieces, source_tokenizer, args.lowercase)
    target = make_vocabulary(path, "target", target_pieces, target_tokenizer, False)
    model = build(options, weights, source, target)
    model.set_search(**search_defaults(numbers))
    known = (
        f"OpenNMT-py {version}"
        if args.toolkit_version
        else f"OpenNMT-py ({['up to 0.8', '1.x or 2.x', '', '3.x'][options.layout]})"
    )
    return importer.Imported(
        model,
        known,
        oracle(options, weights.arrays, source, target),
        f"{known}, {args.checkpoint.name}",
        copies=options.copy_attn,
    )
