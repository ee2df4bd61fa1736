#!/usr/bin/env python3
"""Made the files of this folder, and makes the models that export/tools/marian_parity.py measures at Firefox's size.

    pip install fxtranslate==0.5.0 sentencepiece numpy
    make.py fixture FOLDER             the small student here, with fxtranslate's own output
    make.py firefox FOLDER TEXT...     random weights at the size of the models that Firefox ships; TEXT is any text, a
                                       sentence a line, for the 32,000 pieces, the 200 lines and the shortlist

Weights are random (a fixed seed), so the output means nothing; it is fxtranslate's answer to the same files that counts.
Layouts: marian-dev src/common/binary.cpp (model), src/data/shortlist.cpp (shortlist), src/models/transformer.h (names).
"""

from __future__ import annotations

import argparse
import io
import itertools
import pathlib
import struct

import numpy as np

ALPHA_LINES = 20
CONFIG = """\
bert-train-type-embeddings: true
dec-cell: ssru
dec-cell-base-depth: 2
dec-cell-high-depth: 1
dec-depth: {decoder}
dim-emb: {dim}
dim-rnn: 1024
dim-vocabs:
  - {size}
  - {size}
enc-cell: gru
enc-cell-depth: 1
enc-depth: {encoder}
enc-type: bidirectional
input-types: []
layer-normalization: false
lemma-dim-emb: 0
right-left: false
skip: false
special-vocab: []
tied-embeddings: false
tied-embeddings-all: true
tied-embeddings-src: false
transformer-aan-activation: swish
transformer-decoder-autoreg: rnn
transformer-dim-ffn: {ffn}
transformer-ffn-activation: relu
transformer-ffn-depth: 2
transformer-guided-alignment-layer: last
transformer-heads: {heads}
transformer-no-projection: false
transformer-postprocess: dan
transformer-postprocess-emb: d
transformer-preprocess: ""
transformer-tied-layers: []
transformer-train-position-embeddings: false
type: transformer
ulr: false
ulr-dim-emb: 0
version: v1.9.56 made by tests/data/marian/make.py
"""


def student(rng: np.random.Generator, size: int, dim: int, ffn: int, encoder: int, decoder: int) -> dict[str, np.ndarray]:
    """Random weights by Marian's names, [in, out]."""
    found: dict[str, np.ndarray] = {}

    def put(name: str, *shape: int, deviation: float, around: float = 0.0) -> None:
        found[name] = (around + rng.standard_normal(shape) * deviation).astype(np.float32)

    def dense(name: str, number: str, rows: int, columns: int, bias: bool = True) -> None:
        put(f"{name}_W{number}", rows, columns, deviation=1.2 / np.sqrt(rows))
        if bias:
            put(f"{name}_b{number}", 1, columns, deviation=0.3)

    def norm(name: str) -> None:
        put(f"{name}_ln_scale", 1, dim, deviation=0.2, around=1.0)
        put(f"{name}_ln_bias", 1, dim, deviation=0.2)

    def attention(name: str) -> None:
        for part in "qkvo":
            dense(name, part, dim, dim)
        norm(name + "_Wo")

    def feed_forward(name: str) -> None:
        dense(name, "1", dim, ffn)
        dense(name, "2", ffn, dim)
        norm(name + "_ffn")

    put("Wemb", size, dim, deviation=1 / np.sqrt(dim))
    # Unequal: a tied random model repeats its last token, and ends where the bias of </s> lets it.
    put("decoder_ff_logit_out_b", 1, size, deviation=1.5)
    found["decoder_ff_logit_out_b"][0, 0] = 3.0
    for i in range(1, encoder + 1):
        attention(f"encoder_l{i}_self")
        feed_forward(f"encoder_l{i}_ffn")
    for i in range(1, decoder + 1):
        dense(f"decoder_l{i}_rnn", "", dim, dim, bias=False)
        dense(f"decoder_l{i}_rnn", "f", dim, dim)
        norm(f"decoder_l{i}_rnn_ffn")
        attention(f"decoder_l{i}_context")
        feed_forward(f"decoder_l{i}_ffn")
    return found


def quantized(values: np.ndarray, name: str) -> bytes:
    """intgemm8: [out, in] (Wemb as it is), and the multiplier behind."""
    q = np.float32(127 / np.abs(values).max())
    whole = np.clip(np.rint(values * q), -127, 127).astype(np.int8)
    return (whole if name == "Wemb" else np.ascontiguousarray(whole.T)).tobytes() + struct.pack("<f", q)


def container(arrays: dict[str, np.ndarray], config: str, int8: bool, alphas: dict[str, float]) -> bytes:
    """Marian's .bin; with int8 every matrix is intgemm8 and has its activations' multiplier beside it."""
    items: list[tuple[str, int, tuple, bytes]] = []
    for name, values in arrays.items():
        matrix = "_W" in name and "_ln_" not in name or name == "Wemb"
        if int8 and matrix:
            items.append((name, 0x4101, values.shape, quantized(values, name)))
            key = "none" if name == "Wemb" else name
            items.append((key + "_QuantMultA", 0x404, (1, 1), struct.pack("<f", alphas[key])))
        else:
            items.append((name, 0x404, values.shape, values.tobytes()))
    text = config.encode() + b"\0"
    items.append(("special:model.yml", 0x101, (len(text),), text))
    padded = [data + bytes(-len(data) % 256) for *_, data in items]
    head = struct.pack("<QQ", 1, len(items))
    for (name, kind, shape, _), data in zip(items, padded):
        head += struct.pack("<4Q", len(name) + 1, kind, len(shape), len(data))
    head += b"".join(name.encode() + b"\0" for name, *_ in items)
    head += b"".join(struct.pack(f"<{len(shape)}i", *shape) for _, _, shape, _ in items)
    padding = (-(len(head) + 8)) % 256
    return head + struct.pack("<Q", padding) + bytes(padding) + b"".join(padded)


def shortlist(rng: np.random.Generator, size: int, first: int, best: int) -> bytes:
    """A binary shortlist with `best` random target ids for each source id."""
    lists = np.sort(np.stack([rng.choice(size, best, replace=False) for _ in range(size)]), 1).astype("<u4")
    offsets = np.arange(0, size * best + 1, best, dtype="<u8")
    body = struct.pack("<4Q", first, best, len(offsets), lists.size) + offsets.tobytes() + lists.tobytes()
    seed, mask = 0, (1 << 64) - 1
    for value in np.frombuffer(body[: len(body) // 8 * 8], "<u8").tolist():
        seed = (seed ^ (value + 0x9E3779B9 + (seed << 6) + (seed >> 2))) & mask
    return struct.pack("<2Q", 0xF11A48D5013417F5, seed) + body


def train_pieces(lines: list[str], size: int, **options) -> bytes:
    import sentencepiece

    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=made, vocab_size=size, bos_id=-1, eos_id=0, unk_id=1, **options
    )
    return made.getvalue()


def fixture_lines() -> list[str]:
    """Sentences of our own."""
    who = ["The old miller", "My neighbour", "A tired nurse", "The youngest of them", "Nobody here", "Our captain"]
    does = ["reads", "forgets", "repairs", "carries home", "counts", "would like to paint"]
    what = ["the small boat", "every letter", "a broken clock", "seven lanterns", "the harbour's bell"]
    when = ["before noon", "when it rains", "on quiet Sundays", "without a word", "at the river"]
    parts = [f"{a} {b} {c} {d}." for a, b, c, d in itertools.product(who, does, what, when)]
    return parts[::13] + ["Why not?", "Yes.", "It rains, it pours; the miller snores!", "Ten boats and 27 bells: 37 (in all)."]


def write(folder: pathlib.Path, pieces: bytes, lines: list[str], sizes: dict, seed: int, int8: bool) -> None:
    import fxtranslate

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    arrays = student(rng, sizes["size"], sizes["dim"], sizes["ffn"], sizes["encoder"], sizes["decoder"])
    files = {"vocab.enxx.spm": pieces, "lines.src": ("\n".join(lines) + "\n").encode()}
    files["model.enxx.float32.bin"] = container(arrays, CONFIG.format(**sizes), False, {})
    if int8:
        alphas = {n: 127 / 6 for n in [*arrays, "none"]}
        files["model.enxx.intgemm.alphas.bin"] = container(arrays, CONFIG.format(**sizes), True, alphas)
    files["lex.50.50.enxx.s2t.bin"] = shortlist(rng, sizes["size"], sizes["first"], sizes["best"])
    kinds = [("float32", "model.enxx.float32.bin", None)]
    kinds.append(("float32.shortlist", "model.enxx.float32.bin", files["lex.50.50.enxx.s2t.bin"]))
    if int8:
        kinds.append(("intgemm.alphas", "model.enxx.intgemm.alphas.bin", None))
    for kind, name, lexicon in kinds:
        translator = fxtranslate.Translator(files[name], pieces, pieces, lexicon)
        answers = [translator.translate(line) for line in lines]
        files[f"fxtranslate.{kind}.hyp"] = ("\n".join(answers) + "\n").encode()
    for name, data in files.items():
        (folder / name).write_bytes(data)
        print(f"{folder / name}: {len(data)} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["fixture", "firefox"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("text", type=pathlib.Path, nargs="*")
    args = parser.parse_args()
    if args.kind == "fixture":
        lines = fixture_lines()
        pieces = train_pieces(lines, 160, normalization_rule_name="identity", hard_vocab_limit=False)
        sizes = dict(size=160, dim=32, ffn=64, encoder=2, decoder=2, heads=4, first=8, best=6)
        write(args.folder, pieces, lines[::3][:ALPHA_LINES], sizes, 4, True)
        return
    lines = [line.strip() for path in args.text for line in path.read_text(encoding="utf-8").splitlines()]
    lines = sorted({line for line in lines if 10 <= len(line) <= 200})
    pieces = train_pieces(lines, 32000, input_sentence_size=300000, shuffle_input_sentence=True, num_threads=1)
    sizes = dict(size=32000, dim=512, ffn=2048, encoder=6, decoder=2, heads=8, first=100, best=100)
    write(args.folder, pieces, lines[:: len(lines) // 200][:200], sizes, 5, False)


if __name__ == "__main__":
    main()
