"""The models that peers.py measures: the shipped ones, and others by their shape alone, with random weights.

A shape is a folder of the cache: `bundle` for heed and whoever reads bundles, for students also Marian's files
(`marian`). Pieces are words of four letters, so that a text of n - 1 words has n source ids, </s> counted, in every
engine. No model of random weights ends by itself: every target has 2 n + 4 tokens, which is
where fxtranslate stops, so that all engines do the same work.
"""

import dataclasses
import hashlib
import importlib.util
import pathlib
import random
import shutil
import struct
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "export"))
from heed_export.bundle import bundle, publish  # noqa: E402
from heed_export.importers import marian  # noqa: E402
from heed_export.presets import tensorflow_nmt  # noqa: E402
from heed_export.reading.checkpoint import Weights  # noqa: E402
from heed_export.model.vocabulary import Vocabulary, sentencepiece  # noqa: E402

PIECES = 32000
LENGTHS = (15, 27, 39)  # source ids of a text, </s> included
TARGET_A, TARGET_B = 2, 4  # target tokens: 2 n + 4
_EOS, _UNK = 0, 1
SHIPPED, SPM, SHORTLIST = "model.enxx.intgemm.alphas.bin", "vocab.enxx.spm", "lex.50.50.enxx.s2t.bin"


@dataclasses.dataclass(frozen=True)
class Shape:
    """`kind` is shipped, student or recurrent; `sizes` are what its maker takes; `says` is what a table calls it."""

    kind: str
    says: str
    sizes: dict = dataclasses.field(default_factory=dict)


def _student(dim, ffn):
    return {"size": PIECES, "dim": dim, "ffn": ffn, "encoder": 6, "decoder": 2, "heads": 8}


# How many times the texts of a measurement a shipped model gets: they are short, and it is fast.
SHIPPED_TEXTS = 5
SHAPES = {
    "pydocs-ko-en": Shape("shipped", "`pydocs-ko-en`: LSTM 384, V 5,000"),
    "sae4k-ko": Shape("shipped", "`sae4k-ko`: GRU 320 that copies, V 6,000"),
    "tiny-student": Shape("student", "tiny11 student: 256, FFN 1,536, 6 + 2 layers, V 32,000", _student(256, 1536)),
    "base-student": Shape("student", "base student: 512, FFN 2,048, 6 + 2 layers, V 32,000", _student(512, 2048)),
    "lstm-2x512": Shape("recurrent", "LSTM 2 x 512, input feeding, V 32,000",
                        {"units": 512, "layers": 2, "encoder": "bi", "architecture": "standard"}),
    "gnmt": Shape("recurrent", "GNMT: LSTM 4 x 1,024, V 32,000",
                  {"units": 1024, "layers": 4, "encoder": "gnmt", "architecture": "gnmt_v2"}),
}  # fmt: skip


def word(piece):
    """The word of a piece's id, four letters."""
    letters = []
    for _ in range(4):
        piece, letter = divmod(piece, 26)
        letters.append(chr(ord("a") + letter))
    return "".join(reversed(letters))


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number, value):
    """A field of a protobuf message: bytes, a float or an int."""
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    return _varint(number << 3) + _varint(value & (1 << 64) - 1)


def spm_model(size=PIECES):
    """A SentencePiece model (sentencepiece_model.proto) whose pieces are </s>, <unk> and words."""
    pieces = [("</s>", 0.0, 3), ("<unk>", 0.0, 2)] + [(f"\u2581{word(i)}", -8.0 - i / size, 1) for i in range(2, size)]
    made = b"".join(_field(1, _field(1, p.encode()) + _field(2, s) + _field(3, kind)) for p, s, kind in pieces)
    # Unigram; ids of unk, bos, eos, pad.
    trainer = _field(3, 1) + _field(40, _UNK) + _field(41, -1) + _field(42, _EOS) + _field(43, -1)
    normalizer = _field(1, b"identity") + _field(3, 1) + _field(4, 1) + _field(5, 1)
    return made + _field(2, trainer) + _field(3, normalizer)


def texts(per_length, seed=7):
    """`per_length` texts of each of LENGTHS, mixed."""
    numbers = random.Random(seed)
    lines = [[word(numbers.randrange(2, PIECES)) for _ in range(n - 1)] for n in LENGTHS for _ in range(per_length)]
    numbers.shuffle(lines)
    return [" ".join(line) for line in lines]


def per_length(at_once, batches=None):
    """How many texts of each length a measurement has that works on `at_once` of them: `batches` full batches of one
    length for whoever pads. Without, enough of them for a second or so."""
    return at_once * (batches or (3 if at_once == 1 else 2 if at_once <= 8 else 1))


def _marian_maker():
    """tests/data/marian/make.py, which knows Marian's containers."""
    spec = importlib.util.spec_from_file_location("marian_maker", ROOT / "tests/data/marian/make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _own_lengths(folder):
    """Gives a bundle the lengths of this benchmark, so that a server that is asked for nothing else has them."""
    read = bundle.read(folder)
    read.spec["search"] = {"beam_size": 1, "max_length_a": TARGET_A, "max_length_b": TARGET_B,
                           "min_length_a": TARGET_A, "min_length_b": TARGET_B - 1}  # fmt: skip
    bundle.write(folder, read.spec, read.tensors, read.files, bf16=False)


def _publish(model, folder):
    """A bundle whose name is its folder's, as heed-server has it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    publish.publish(model, folder, publish.Card(folder.name, "CC0-1.0", "en", "und", segmentation="none"))
    _own_lengths(folder)


def _make_student(name, sizes, folder):
    maker, rng = _marian_maker(), np.random.default_rng(5)
    arrays = maker.random_student(rng, sizes)
    arrays["decoder_ff_logit_out_b"][0, _EOS] = -1e4
    alphas = {n: 127 / 6 for n in [*arrays, "none"]}
    config = maker.CONFIG.format(**sizes)
    # Marian looks for the output layer's multiplier under two names.
    narrow = {**arrays, "Wemb_QuantMultA": np.full((1, 1), 127 / 6, np.float32)}
    wide = folder / "marian/model.enxx.float32.bin"
    shipped, pieces, lex = (wide.with_name(n) for n in (SHIPPED, SPM, SHORTLIST))
    wide.parent.mkdir(parents=True)
    wide.write_bytes(maker.container(arrays, config, False, {}))
    shipped.write_bytes(maker.container(narrow, config, True, alphas))
    pieces.write_bytes(spm_model())
    # As many candidates as Firefox's files give: some 1,300 for a text of 26 words.
    lex.write_bytes(maker.shortlist(rng, PIECES, 50, 50))
    for kind, weights, shortlist in (("bundle", wide, None), ("shortlist", wide, lex), ("int8", shipped, None)):
        files = marian.load(weights, [pieces], shortlist)
        model = marian.build(files.options, files.weights, files.source, files.target, files.shortlist)
        _publish(model, folder / kind / name)


def recurrent_weights(sizes, rng):
    """Random variables of tensorflow/nmt, by their names there."""
    units, layers, gnmt = sizes["units"], sizes["layers"], sizes["encoder"] == "gnmt"
    found = {}

    def put(name, *shape):
        found[name] = (rng.standard_normal(shape) * shape[0] ** -0.5).astype(np.float32)

    def cell(scope, inputs):
        put(f"{scope}/basic_lstm_cell/kernel", inputs + units, 4 * units)
        put(f"{scope}/basic_lstm_cell/bias", 4 * units)

    put("embeddings/encoder/embedding_encoder", PIECES, units)
    put("embeddings/decoder/embedding_decoder", PIECES, units)
    for way in ("fw", "bw"):
        cell(f"encoder/bidirectional_rnn/{way}", units)
    for i in range(layers - 1 if gnmt else 0):
        cell(f"encoder/rnn/multi_rnn_cell/cell_{i}", 2 * units if i == 0 else units)
    memory = units if gnmt else 2 * units
    put("decoder/memory_layer/kernel", memory, units)
    put("decoder/output_projection/kernel", units, PIECES)
    if gnmt:
        bottom = "decoder/multi_rnn_cell/cell_0_attention/attention"
        cell(bottom, 2 * units)
        for i in range(1, layers):
            cell(f"decoder/multi_rnn_cell/cell_{i}", 2 * units)
        put(f"{bottom}/bahdanau_attention/query_layer/kernel", units, units)
        put(f"{bottom}/bahdanau_attention/attention_v", units)
        put(f"{bottom}/bahdanau_attention/attention_b", units)
        found[f"{bottom}/bahdanau_attention/attention_g"] = np.ones((), np.float32)
    else:
        for i in range(layers):
            cell(f"decoder/attention/multi_rnn_cell/cell_{i}", units if i else 2 * units)
        put("decoder/attention/attention_layer/kernel", units + memory, units)
    return found


def _make_recurrent(name, sizes, folder):
    gnmt = sizes["encoder"] == "gnmt"
    options = tensorflow_nmt.Options(
        encoder_type=sizes["encoder"], num_layers=sizes["layers"], num_residual_layers=2 if gnmt else 0,
        attention="normed_bahdanau" if gnmt else "luong", attention_architecture=sizes["architecture"],
    )  # fmt: skip
    target = Vocabulary(_UNK, size=PIECES, bos=_EOS, eos=_EOS, tokenizer=sentencepiece(spm_model()))
    source = dataclasses.replace(target, add_eos=True)
    weights = Weights(recurrent_weights(sizes, np.random.default_rng(6)), name)
    _publish(tensorflow_nmt.build(options, weights, source, target), folder / "bundle" / name)


def home(cache):
    """The folder in the cache of what this code makes: another for each change of it. Any may be deleted."""
    exporter = sorted((ROOT / "export/heed_export").glob("*.py"))
    sources = [pathlib.Path(__file__), ROOT / "tests/data/marian/make.py", *exporter]
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in sources)).hexdigest()
    return cache / f"shapes-{digest[:12]}"


def make(name, cache):
    """The folder of a shape of random weights in the cache, made where it is not there yet. The bundles in it are
    bundle/NAME and, of students, shortlist/NAME and int8/NAME, which is Firefox's int8 file imported."""
    shape, folder = SHAPES[name], home(cache) / name
    if not folder.is_dir():
        part = folder.with_name(f".{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        {"student": _make_student, "recurrent": _make_recurrent}[shape.kind](name, shape.sizes, part)
        part.rename(folder)
    return folder
