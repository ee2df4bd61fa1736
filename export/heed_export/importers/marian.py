"""Imports Marian's models: type s2s, amun and nematus, and Transformers with a recurrent decoder (Firefox's students),
from .npz or .bin with special:model.yml inside, their vocabularies and lexical shortlists.

    files = marian.load(path, [vocab], shortlist)
    model = marian.build(files.options, files.weights, files.source, files.target, files.shortlist, files.search,
    files.shared)

docs/importing/marian.md says what is supported. An option that is not covered is refused by its name.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import re
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

import numpy as np

from ..marian import cache, containers, intgemm, s2s, student
from ..reading import packed, spm_file
from . import importer
from ..model.builder import Model
from ..reading.checkpoint import CheckpointError, Weights, load_npz, token_ids
from ..reading.files import MAX_OPTIONS_BYTES, MAX_TEXT_BYTES, check_pieces, decoded, lines_of, parse_json, read_bytes
from ..model.int8 import Int8, floats
from ..reading.shown import quoted, shown
from ..model.vocabulary import Tokenizer, Vocabulary, pretokenized, sentencepiece

NAME = "marian"
NEEDS = ("yaml",)
USAGE = ("FOLDER", "CACHE --all", f"MODEL --vocabs FILE [FILE] {importer.LANGUAGES}")
HELP = "Marian: model.npz or .bin with its vocabularies, Firefox Translations' models among them"
TYPES = ("s2s", "amun", "nematus", "transformer")
_SENTENCEPIECE = (".spm", ".model")
_REQUIRED = (("</s>", "eos"), ("<unk>", "UNK"))  # Marian's and Nematus's names of ids 0 and 1
# What is longer, </s> included, Firefox has Marian cut into pieces (max-length-break).
MAX_LENGTH_BREAK = 128
# Marian for students as Firefox sets it: the best token at every step but <unk>, at most ceil(2 S) of S source positions,
# </s> counted on both sides (max-length-factor 2.0; src/translator/beam_search.cpp).
STUDENT_SEARCH = {
    "beam_size": 1,
    "max_length_a": 2.0,
    "max_length_b": 0,
    "max_length_rounds_up": True,
    "unknowns": "UNKNOWN_POLICY_BAN",
}
# marian-decoder's own defaults (src/common/config_parser.cpp) and search (src/translator/beam_search.cpp, history.h).
DECODER_SEARCH = {
    "beam_size": 12,
    "max_length_a": 3.0,
    "max_length_b": 0,
    "max_length_rounds_up": True,
    "beam_policy": "BEAM_POLICY_SHRINK",
    "beam_stop": "BEAM_STOP_BEAM_FULL",
    "unknowns": "UNKNOWN_POLICY_BAN",
}


@dataclass
class Files:
    """What the files hold: weights under type s2s's names in Marian's layout; `search` are SearchOptions; `shared`:
    both sides have one vocabulary; `int8_exact`, `notes` as intgemm.Kept has them."""

    options: dict[str, Any]
    weights: Weights
    source: Vocabulary
    target: Vocabulary
    shortlist: bytes | None = None
    search: dict | None = None
    shared: bool = True
    int8_exact: bool = False
    notes: list[str] = field(default_factory=list)


# Options of special:model.yml: what must hold (None: used elsewhere). Absent ones have Marian's default, which is
# covered.
_USED = (
    "type dim-vocabs dim-emb dim-rnn enc-cell enc-type enc-cell-depth enc-depth dec-depth dec-cell dec-cell-base-depth"
    " dec-cell-high-depth skip layer-normalization tied-embeddings tied-embeddings-src tied-embeddings-all version"
    " output-omit-bias"
).split()
_USED_BY_TRANSFORMERS = (
    "transformer-heads transformer-no-projection transformer-rnn-projection transformer-dim-ffn transformer-ffn-depth"
    " transformer-decoder-dim-ffn transformer-decoder-ffn-depth transformer-ffn-activation transformer-preprocess"
    " transformer-postprocess transformer-postprocess-emb transformer-postprocess-top transformer-decoder-autoreg"
    " transformer-tied-layers transformer-guided-alignment-layer transformer-disable-position-embeddings"
).split()
_REQUIRED_VALUES: dict[str, tuple] = {
    "right-left": (False,),
    "input-types": ([], ["sequence"], ["sequence", "sequence"]),
    "special-vocab": ([],),
    "ulr": (False,),
    "lemma-dim-emb": (0,),
    "lemma-dependency": ("",),
    "factors-combine": ("sum", ""),
    "factors-dim-emb": (0,),
    "separator-symbol": ("",),
    "output-approx-knn": ([],),
    "transformer-train-position-embeddings": (False,),
    "transformer-train-positions": (False,),
    "transformer-pool": (False,),
    "transformer-no-bias": (False,),
    "transformer-no-affine": (False,),
    "transformer-attention-mask": ("default", ""),
    "transformer-alibi-shift": (False,),
    "transformer-alibi-trainable": (False,),
}
_WHY = {
    "right-left": "models that write from right to left are",
    "input-types": "inputs beside one text are",
    "lemma-dim-emb": "factored vocabularies are",
    "factors-combine": "factored vocabularies are",
    "ulr": "universal language representations are",
}
# Say something of training, of other model types, or of an option that _REQUIRED_VALUES rules out.
_SILENT = re.compile(
    r"(bert-.*|char-.*|ulr-.*|transformer-(dim-aan|aan-.*|depth-scaling|dropout.*|flat.*)|dropout.*|precision"
    r"|relative-paths)\Z"
)


def _parse_yaml(text: str, file: str) -> Any:
    from ..reading import yaml_file  # here, so that cli.py can say that PyYAML is missing

    return yaml_file.parse(text, file)


def check_options(options: Any, path: str) -> dict[str, Any]:
    """special:model.yml's content, checked: a model that this importer covers, or CheckpointError naming the option."""
    if not isinstance(options, dict):
        raise CheckpointError(f"{path}: special:model.yml is no mapping")
    kind = options.get("type")
    if kind not in TYPES:
        raise CheckpointError(f"{path}: type={shown(kind)} is not supported, only {', '.join(TYPES)}")
    autoreg = options.get("transformer-decoder-autoreg", "self-attention")
    if kind == "transformer" and autoreg != "rnn":
        raise CheckpointError(
            f"{path}: Transformer decoders are not supported: transformer-decoder-autoreg={shown(autoreg)}"
        )
    for name, value in options.items():
        other = kind != "transformer" and name.startswith("transformer-")
        if other or name in _USED or name in _USED_BY_TRANSFORMERS or _SILENT.match(name):
            continue
        if name not in _REQUIRED_VALUES:
            if value not in (False, 0, "", [], None):
                raise CheckpointError(f"{path}: option {shown(name)}={shown(value)} is not known")
        elif value is not None and value not in _REQUIRED_VALUES[name]:
            why = _WHY.get(name, "that is")
            raise CheckpointError(f"{path}: {why} not supported: {name}={shown(value)}")
    sizes = options.get("dim-vocabs")
    if not isinstance(sizes, list) or not all(type(n) is int and 0 < n < 1 << 24 for n in sizes):
        raise CheckpointError(f"{path}: dim-vocabs={shown(sizes)}, expected the sizes of two vocabularies")
    if len(sizes) != 2:
        raise CheckpointError(f"{path}: {len(sizes) - 1} sources are not supported: dim-vocabs={shown(sizes)}")
    return options


def read_model(path: pathlib.Path, dequantise: bool = False) -> tuple[dict[str, Any], Weights, intgemm.Kept]:
    """Options and weights (under type s2s's names) of a .npz or .bin, and what became of int8 ones: they stay so where
    Marian multiplies them as such, unless `dequantise`. Raises CheckpointError."""
    data = packed.read(path)
    if data[:4] == b"PK\x03\x04":
        if packed.plain_name(path) != path.name:
            raise CheckpointError(f"{path}: is a packed .npz, which is packed by itself: unpack it")
        arrays: dict[str, np.ndarray | Int8] = dict(load_npz(path))
        raw = arrays.pop(containers.CONFIG, None)
        config = None if raw is None else raw.tobytes().split(b"\0", 1)[0].decode("utf-8", "replace")
        # Alphas of floats are for marian-conv, which makes int8 of both.
        arrays = {n: v for n, v in arrays.items() if not n.startswith("special:") and not n.endswith(containers.ALPHA)}
        contents = containers.Contents(arrays, config)
    else:
        contents = containers.read(data, str(path))
    if (config := contents.config) is None:
        raise CheckpointError(f"{path}: holds no special:model.yml, which says what kind of model it is")
    if len(config) > MAX_OPTIONS_BYTES:
        raise CheckpointError(
            f"{path}: special:model.yml has {len(config)} characters, the bound is {MAX_OPTIONS_BYTES}"
        )
    options = check_options(_parse_yaml(config, f"{path}: special:model.yml"), str(path))
    kept = intgemm.kept(contents, options, path, dequantise)
    return options, Weights(kept.arrays, str(path)), kept


def read_vocabulary(path: pathlib.Path, size: int, tokenizer: Tokenizer | None = None) -> Vocabulary:
    """A vocabulary of a model with `size` ids: .spm, .yml, .yaml or .json (token: id), else a token a line
    (src/data/default_vocab.cpp). `tokenizer` says how text becomes tokens; without it the caller cuts (for .spm there
    is no choice). Raises CheckpointError."""
    data = packed.read(path, MAX_TEXT_BYTES)
    suffix = packed.plain_suffix(path)
    if suffix == ".fsv":
        raise CheckpointError(f"{path}: factored vocabularies are not supported")
    if suffix in _SENTENCEPIECE:
        return _spm_vocabulary(data, path, size)
    text = decoded(data, path)
    is_map = suffix in (".yml", ".yaml", ".json")
    tokens = _mapped(text, path) if is_map else _lines(text, path)
    pieces: list[str | None] = [None] * size
    for token, i in tokens.items():
        if i < size:
            if pieces[i] is not None:
                raise CheckpointError(f"{path}: id {i} is given to {quoted(pieces[i])} and to {quoted(token)}")
            pieces[i] = token
    eos, unk = (_required(pieces, tokens, i, is_map, path) for i in (0, 1))
    holes = [i for i, piece in enumerate(pieces) if piece is None]
    for i in holes:
        pieces[i] = {eos: "</s>", unk: "<unk>"}.get(i, f"<unused {i}>")
    special = tuple(i for i in holes if i not in (eos, unk))
    return Vocabulary(unk=unk, pieces=pieces, eos=eos, special=special, tokenizer=tokenizer or pretokenized())


def _required(pieces: Sequence[str | None], tokens: Mapping[str, int], i: int, is_map: bool, path: pathlib.Path) -> int:
    """The id of </s> (i = 0) or <unk> (i = 1): of a map that leaves id i free, or has Nematus's name there, i itself
    (addRequiredVocabulary)."""
    name, old = _REQUIRED[i]
    at = i if is_map and i < len(pieces) and pieces[i] in (None, old) else tokens.get(name)
    if at is None or at >= len(pieces):
        raise CheckpointError(f"{path}: has no entry for {name}")
    return at


def _spm_vocabulary(data: bytes, path: pathlib.Path, size: int) -> Vocabulary:
    spm = spm_file.read(data, str(path))
    if len(spm.pieces) != size:
        raise CheckpointError(f"{path}: has {len(spm.pieces)} pieces, the model has {size} (dim-vocabs)")
    if spm.eos is None:
        raise CheckpointError(f"{path}: has no control piece </s>")
    return Vocabulary(unk=spm.unk, size=size, eos=spm.eos, tokenizer=sentencepiece(data))


def _mapped(text: str, path: pathlib.Path) -> dict[str, int]:
    is_json = text.lstrip()[:1] == "{"
    return token_ids(parse_json(text, path) if is_json else _parse_yaml(text, str(path)), path)


def _lines(text: str, path: pathlib.Path) -> dict[str, int]:
    tokens: dict[str, int] = {}
    lines = lines_of(text)
    check_pieces(lines, path, "a token a line")
    for number, token in enumerate(lines, start=1):
        if not token:
            raise CheckpointError(f"{path}: line {number} is empty")
        if token in tokens:
            raise CheckpointError(f"{path}: line {number}: {quoted(token, 40)} stands twice")
        tokens[token] = len(tokens)
    return tokens


def read_search(path: pathlib.Path) -> dict:
    """Search defaults of a recurrent model: marian-decoder's, with what MODEL.decoder.yml beside the model changes."""
    search = dict(DECODER_SEARCH)
    beside = path.with_name(path.name + ".decoder.yml")
    if not beside.is_file():
        return search
    found = _parse_yaml(read_bytes(beside, MAX_OPTIONS_BYTES).decode("utf-8", "replace"), str(beside)) or {}
    for name, field, least, most in (
        ("beam-size", "beam_size", 1, 1024),
        ("normalize", "average", 0, 10),
        ("word-penalty", "word_penalty", -100, 100),
        ("max-length-factor", "max_length_a", 0, 100),
    ):
        value = found.get(name) if isinstance(found, dict) else None
        if value is None or value is False:
            continue
        value = 1 if value is True else value
        if not isinstance(value, (int, float)) or not least <= value <= most:
            raise CheckpointError(f"{beside}: {name}={shown(value)}, expected {least} to {most}")
        if value or name == "max-length-factor":
            search[field] = {"alpha": value} if field == "average" else value
    if isinstance(found, dict) and found.get("allow-unk"):
        del search["unknowns"]
    return search


def load(
    path: pathlib.Path,
    vocabularies: Sequence[pathlib.Path],
    shortlist: pathlib.Path | None = None,
    tokenizers: Sequence[Tokenizer | None] = (None, None),
    dequantise: bool = False,
) -> Files:
    """Reads a model with its source and target vocabulary (one path: both) and, where given, its shortlist;
    `dequantise` makes floats of int8 weights. Raises CheckpointError with one line."""
    options, weights, kept = read_model(path, dequantise)
    if len(vocabularies) not in (1, 2):
        raise CheckpointError(f"{path}: {len(vocabularies)} vocabularies, expected one or two (source, target)")
    sizes = options["dim-vocabs"]
    rows = max((len(values) for values in weights.arrays.values() if values.ndim), default=0)
    if max(sizes) > rows:  # before a list of as many pieces is made
        raise CheckpointError(f"{path}: dim-vocabs={shown(sizes)}, but no tensor has more than {rows} rows")
    pair = [vocabularies[0], vocabularies[-1]]
    source, target = (read_vocabulary(p, n, t) for p, n, t in zip(pair, sizes, tokenizers))
    source.add_eos = True
    shared = pair[0] == pair[1] or packed.read(pair[0]) == packed.read(pair[1])
    data = None
    if shortlist is not None:
        data = packed.read(shortlist)
        containers.check_shortlist(data, str(shortlist), *sizes)
    search = dict(STUDENT_SEARCH) if options["type"] == "transformer" else read_search(path)
    return Files(options, weights, source, target, data, search, shared, kept.exact, kept.notes)


def build(
    options: Mapping[str, Any],
    weights: Weights,
    source: Vocabulary,
    target: Vocabulary,
    shortlist: bytes | None = None,
    search: Mapping | None = None,
    shared: bool = True,
) -> Model:
    """The model as programs; `weights` under type s2s's names, `shared` as Files has it. Raises CheckpointError and
    BuildError."""
    model = Model(source, target)
    (student if options["type"] == "transformer" else s2s).build(model, options, weights)
    weights.finish(f"a model of type {options['type']}")
    model.shortlist, model.shortlist_separate = shortlist, not shared
    model.set_search(**(search or {}))
    if options["type"] == "transformer":  # the recurrent ones are marian-decoder's, which takes any length
        model.max_source_tokens, model.too_long = MAX_LENGTH_BREAK, "TOO_LONG_POLICY_SPLIT"
    return model


# The command.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        type=pathlib.Path,
        metavar="MODEL",
        help="model.npz or model.bin; or a folder of Firefox Translations with model.*.bin, *vocab*.spm and lex.*.bin; each "
        "may be packed (.gz, .zst)",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="MODEL is a folder of such folders (SRC-TRG, as fxtranslate keeps them): every model in it becomes a bundle "
        "SRC-TRG in the folder --out, with its architecture behind the name where a pair has several",
    )
    parser.add_argument(
        "--vocabs",
        type=pathlib.Path,
        nargs="+",
        metavar="FILE",
        help="source and target vocabulary (one: both sides'): .spm, .yml, .json or a token a line",
    )
    parser.add_argument("--shortlist", type=pathlib.Path, metavar="FILE", help="lex.*.s2t.bin, Marian's binary form")
    parser.add_argument(
        "--dequantise",
        action="store_true",
        help="make float32 of int8 weights, four times the size; default: they stay int8, as Marian multiplies them",
    )
    parser.add_argument(
        "--allow-unk",
        action="store_true",
        help="<unk> may be said, as with Marian's option of that name; default: it is not, nor is it in Firefox",
    )
    importer.add_tokenizer_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """The command."""
    if args.all:
        cache.import_all(args, lambda one, files: importer.run(one, lambda same: _read(same, files)))
    else:
        importer.run(args, read)


def read(args: argparse.Namespace) -> importer.Imported:
    """What the command imports. Raises CheckpointError and BuildError."""
    if args.model.is_dir():
        found = cache.one(args.model)
    else:
        found = cache.Found(args.model, (), None, *cache.languages(args.model.name))
    vocabularies, shortlist = args.vocabs or found.vocabularies, args.shortlist or found.shortlist
    return _read(args, dataclasses.replace(found, vocabularies=tuple(vocabularies), shortlist=shortlist))


def _read(args: argparse.Namespace, found: cache.Found) -> importer.Imported:
    if not found.vocabularies:
        raise CheckpointError("--vocabs: is missing")
    if args.tokenizer != "pretokenized":
        for vocabulary in found.vocabularies:
            if packed.plain_suffix(vocabulary) in _SENTENCEPIECE:
                raise CheckpointError(
                    f"--tokenizer {args.tokenizer}: {vocabulary} is SentencePiece's and cuts by itself"
                )
    tokenizers = importer.tokenizers(args)
    files = load(found.model, found.vocabularies, found.shortlist, tokenizers, args.dequantise)
    if args.allow_unk:
        files.search.pop("unknowns", None)
    for side in (files.source, files.target):
        side.lowercase = args.lowercase
    model = build(files.options, files.weights, files.source, files.target, files.shortlist, files.search, files.shared)
    oracle = _Oracle(files)
    return importer.Imported(
        model,
        f"Marian ({files.options['type']})",
        oracle.trace,
        ", ".join(part for part in (packed.plain_name(found.model), found.architecture) if part),
        source_language=found.source,
        target_language=found.target,
        shortlist=files.shortlist is not None,
        moved=oracle.moved,
        rounded=files.int8_exact,
        notes=[*found.notes, *files.notes],
    )


class _Oracle:
    """export/reference, which reads the same arrays under Marian's names by itself; made when first asked. Where
    products of int8 are not Marian's own, it is one of the floats that the weights stand for."""

    def __init__(self, files: Files):
        self._files = files
        self._models: dict[bool, Any] = {}

    def _model(self, moved: bool) -> Any:
        from reference import marian, marian_student

        if moved not in self._models:
            files = self._files
            arrays = files.weights.arrays
            if not files.int8_exact:
                arrays = {name: floats(values) for name, values in arrays.items()}
            arrays = importer.moved(arrays) if moved else arrays
            if files.options["type"] == "transformer":
                jitter = importer.FLOAT_ERROR if moved else 0.0
                model = marian_student.Student(arrays, files.options, jitter)
            else:
                model = marian.S2S(arrays, files.options)
            if files.shortlist is not None:
                model = marian_student.Shortlisted(model, files.shortlist, len(files.target), files.shared)
            self._models[moved] = model
        return self._models[moved]

    def trace(self, source_ids: list[int], max_length: int) -> Any:
        from reference import trace

        return trace.greedy(self._model(False), source_ids, None, self._files.target.eos, max_length)

    def moved(self, case: Any) -> Any:
        from reference import trace

        return trace.forced(self._model(True), case.source_ids, None, self._files.target.eos, case.tokens)
