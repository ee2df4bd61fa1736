#!/usr/bin/python3
"""Made the files of this folder, and makes the models that export/tools/marian_parity.py measures at Firefox's size.

    make.py base FOLDER                random weights at the size of the models that Firefox ships, whose pieces are words of
                                       four letters, with 200 lines of them: for comparing with Marian. Needs NumPy alone
    pip install fxtranslate==0.5.0 sentencepiece numpy torch
    make.py fixture FOLDER             the small student here, with fxtranslate's own output: trained for a minute to
                                       say an English sentence with its verb behind
    make.py firefox FOLDER TEXT...     random weights at that size, with fxtranslate's own output; TEXT is any text, a sentence
                                       a line, for the 32,000 pieces and the 200 lines

What is compared is fxtranslate's answer to the same files, so it does not matter what they say. marian.*.hyp are what
Marian itself says, by export/tools/marian_wasm.cjs with npm's @browsermt/bergamot-translator 0.4.9 (node 20). Layouts: marian-dev
src/common/binary.cpp (model), src/data/shortlist.cpp (shortlist), src/models/transformer.h (names)."""

from __future__ import annotations

import argparse
import io
import itertools
import pathlib
import random
import struct
import sys

import numpy as np

STEPS = 3000
ANOTHER = b"\x2a\x00"  # an empty field 5, self_test_data, of a SentencePiece model
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


def random_student(rng: np.random.Generator, sizes: dict) -> dict[str, np.ndarray]:
    """Random weights by Marian's names, [in, out], of a model that does not say the same at every step: whatever is
    constant over the steps is kept small (biases, the mean of what a ReLU lets through, the mean of the contexts)."""
    found: dict[str, np.ndarray] = {}
    size, dim, ffn = (sizes[n] for n in ("size", "dim", "ffn"))

    def put(name: str, *shape: int, deviation: float) -> None:
        found[name] = (rng.standard_normal(shape) * deviation).astype(np.float32)

    def dense(name: str, number: str, rows: int, columns: int, bias: bool = True, gain: float = 1.5) -> None:
        put(f"{name}_W{number}", rows, columns, deviation=gain / np.sqrt(rows))
        if bias:
            put(f"{name}_b{number}", 1, columns, deviation=0.01)

    def norm(name: str) -> None:
        # Of both signs: otherwise a token is its own best successor, since embeddings and output are tied.
        put(f"{name}_ln_scale", 1, dim, deviation=1.0)
        put(f"{name}_ln_bias", 1, dim, deviation=0.01)

    def attention(name: str, gain: float) -> None:
        for part in "qkv":
            dense(name, part, dim, dim)
        dense(name, "o", dim, dim, gain=gain)
        norm(name + "_Wo")

    def feed_forward(name: str) -> None:
        dense(name, "1", dim, ffn)
        dense(name, "2", ffn, dim)
        found[name + "_W2"] -= found[name + "_W2"].mean(0)
        norm(name + "_ffn")

    put("Wemb", size, dim, deviation=3 / np.sqrt(dim))
    put("decoder_ff_logit_out_b", 1, size, deviation=0.5)
    found["decoder_ff_logit_out_b"][0, 0] = 6.0
    for i in range(1, sizes["encoder"] + 1):
        attention(f"encoder_l{i}_self", 1.5)
        feed_forward(f"encoder_l{i}_ffn")
    for i in range(1, sizes["decoder"] + 1):
        dense(f"decoder_l{i}_rnn", "", dim, dim, bias=False)
        dense(f"decoder_l{i}_rnn", "f", dim, dim)
        norm(f"decoder_l{i}_rnn_ffn")
        attention(f"decoder_l{i}_context", 0.5)
        feed_forward(f"decoder_l{i}_ffn")
    return found


def trained_student(pairs: list[tuple[list[int], list[int]]], sizes: dict) -> dict[str, np.ndarray]:
    """Weights by Marian's names of the recipe's student, trained on (source, target) pairs of ids without </s>."""
    import torch

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "export"))
    from heed_export.networks import options
    from heed_export.networks import student as recipe

    torch.manual_seed(1)
    torch.set_num_threads(1)
    architecture = options.ModelOptions(
        "student", src_pieces=sizes["size"], tgt_pieces=sizes["size"], joint=True, embedding=sizes["dim"],
        heads=sizes["heads"], feed_forward=sizes["ffn"], encoder_layers=sizes["encoder"],
        decoder_layers=sizes["decoder"], dropout=0.0,
    )  # fmt: skip
    model = recipe.Student(architecture)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, STEPS)

    def padded(rows: list[list[int]]) -> torch.Tensor:
        longest = max(map(len, rows))
        return torch.tensor([row + [0] * (longest - len(row)) for row in rows])

    for step in range(STEPS):
        chosen = [pairs[i] for i in torch.randint(len(pairs), (48,))]
        sources, targets = ([row + [0] for row in side] for side in zip(*chosen))
        memory, mask = model.encode(padded(sources), torch.tensor([len(row) for row in sources]))
        wanted = padded(targets)
        embedded = torch.nn.functional.pad(model.tgt_embed(wanted[:, :-1]), (0, 0, 1, 0))
        x = model._embed(embedded)
        for layer in model.decoder_layers:
            x, _, _ = layer(x, memory, mask, model.dropout)
        logits = x @ model.tgt_embed.weight.T + model.out_bias
        there = torch.arange(wanted.shape[1]) < torch.tensor([[len(row)] for row in targets])
        loss = torch.nn.functional.cross_entropy(logits[there], wanted[there])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 0 or step == STEPS - 1:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
    return marian_names(model)


def marian_names(model) -> dict[str, np.ndarray]:
    """The recipe's student as Marian stores it."""
    found: dict[str, np.ndarray] = {}

    def matrix(name: str, values) -> None:
        found[name] = np.ascontiguousarray(values.detach().numpy().T)

    def row(name: str, values) -> None:
        found[name] = values.detach().numpy()[None].copy()

    def dense(name: str, number: str, layer) -> None:
        matrix(f"{name}_W{number}", layer.weight)
        row(f"{name}_b{number}", layer.bias)

    def norm(name: str, layer) -> None:
        row(f"{name}_ln_scale", layer.weight)
        row(f"{name}_ln_bias", layer.bias)

    def attention(name: str, layer, after) -> None:
        for part, one in (("q", layer.query), ("k", layer.key), ("v", layer.value), ("o", layer.out)):
            dense(name, part, one)
        norm(name + "_Wo", after)

    def feed_forward(name: str, layer, after) -> None:
        dense(name, "1", layer.hidden)
        dense(name, "2", layer.out)
        norm(name + "_ffn", after)

    matrix("Wemb", model.tgt_embed.weight.T)
    row("decoder_ff_logit_out_b", model.out_bias)
    for i, layer in enumerate(model.encoder_layers, start=1):
        attention(f"encoder_l{i}_self", layer.attention, layer.norms[0])
        feed_forward(f"encoder_l{i}_ffn", layer.feed_forward, layer.norms[1])
    for i, layer in enumerate(model.decoder_layers, start=1):
        gate, value = layer.recurrence.weight.chunk(2)
        matrix(f"decoder_l{i}_rnn_W", value)
        matrix(f"decoder_l{i}_rnn_Wf", gate)
        row(f"decoder_l{i}_rnn_bf", layer.recurrence.bias)
        norm(f"decoder_l{i}_rnn_ffn", layer.norms[0])
        attention(f"decoder_l{i}_context", layer.attention, layer.norms[1])
        feed_forward(f"decoder_l{i}_ffn", layer.feed_forward, layer.norms[2])
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


def sentences() -> list[tuple[str, str]]:
    """Sentences of our own, and each with its verb behind."""
    who = ["The old miller", "My neighbour", "A tired nurse", "The youngest of them", "Nobody here", "Our captain"]
    does = ["reads", "forgets", "repairs", "carries home", "counts", "would like to paint"]
    what = ["the small boat", "every letter", "a broken clock", "seven lanterns", "the harbour's bell"]
    when = ["before noon", "when it rains", "on quiet Sundays", "without a word", "at the river"]
    return [(f"{a} {b} {c} {d}.", f"{a} {c} {d} {b}.") for a, b, c, d in itertools.product(who, does, what, when)]


def write(
    folder: pathlib.Path, pieces: bytes, lines: list[str], sizes: dict, arrays: dict[str, np.ndarray], lex: bytes,
    int8: bool,
) -> None:  # fmt: skip
    """The files, with fxtranslate's answers."""
    import fxtranslate

    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIG.format(**sizes)
    files = {"vocab.enxx.spm": pieces, "lines.src": ("\n".join(lines) + "\n").encode()}
    files["model.enxx.float32.bin"] = container(arrays, config, False, {})
    files["lex.50.50.enxx.s2t.bin"] = lex
    wide = files["model.enxx.float32.bin"]
    translators = {
        "float32": fxtranslate.Translator(wide, pieces, pieces),
        "float32.shortlist": fxtranslate.Translator(wide, pieces, pieces, lex),
    }
    if int8:
        narrow = container(arrays, config, True, {n: 127 / 6 for n in [*arrays, "none"]})
        files["model.enxx.intgemm.alphas.bin"] = narrow
        translators["intgemm.alphas"] = fxtranslate.Translator(narrow, pieces, pieces)
        # The same pieces in another file: then source ids are no candidates.
        translators["float32.separate"] = fxtranslate.Translator(wide, pieces, pieces + ANOTHER, lex)
    for kind, translator in translators.items():
        answers = [translator.translate(line) for line in lines]
        files[f"fxtranslate.{kind}.hyp"] = ("\n".join(answers) + "\n").encode()
    for name, data in files.items():
        (folder / name).write_bytes(data)
        print(f"{folder / name}: {len(data)} bytes")


def fixture(folder: pathlib.Path) -> None:
    import sentencepiece

    every = sentences()
    held = every[::37]
    pieces = train_pieces([s for s, _ in every], 80, normalization_rule_name="identity")
    sp = sentencepiece.SentencePieceProcessor(model_proto=pieces)
    pairs = [(sp.encode(s), sp.encode(t)) for s, t in every if (s, t) not in held]
    sizes = dict(size=80, dim=32, ffn=64, encoder=2, decoder=2, heads=4)
    # Beside the learnt words, some that it has not seen.
    lines = [s for s, _ in held][:16] + ["Why not?", "It rains, it pours; the miller snores!", "Seven bells (in all)."]
    lex = shortlist(np.random.default_rng(4), sizes["size"], 40, 6)
    write(folder, pieces, lines, sizes, trained_student(pairs, sizes), lex, True)


def firefox(folder: pathlib.Path, text: list[pathlib.Path]) -> None:
    import sentencepiece

    lines = [line.strip() for path in text for line in path.read_text(encoding="utf-8").splitlines()]
    lines = sorted({line for line in lines if 10 <= len(line) <= 200})
    made = folder / "vocab.enxx.spm"
    if made.is_file():
        pieces = made.read_bytes()
    else:
        pieces = train_pieces(lines, 32000, input_sentence_size=300000, shuffle_input_sentence=True, num_threads=1)
    sp = sentencepiece.SentencePieceProcessor(model_proto=pieces)

    def alike(line: str) -> bool:
        """fxtranslate has an unknown piece for each unknown character, SentencePiece (and Marian) one for a run."""
        return all(
            i != sp.unk_id() or len(piece.strip()) < 2
            for i, piece in zip(sp.encode(line), sp.encode(line, out_type=str))
        )

    lines = [line for line in lines if len(line) <= 60]
    lines = [line for line in lines[:: len(lines) // 250] if alike(line)][:200]
    sizes = dict(size=32000, dim=512, ffn=2048, encoder=6, decoder=2, heads=8)
    rng = np.random.default_rng(5)
    arrays, lex = random_student(rng, sizes), shortlist(rng, sizes["size"], 100, 100)
    write(folder, pieces, lines, sizes, arrays, lex, False)


def base(folder: pathlib.Path) -> None:
    """Ends now and then by itself, runs up to the limit more often, and would say <unk> if it were let."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "bench"))
    from engines import shapes

    rng = np.random.default_rng(5)
    sizes = shapes.SHAPES["base-student"].sizes
    arrays = random_student(rng, sizes)
    arrays["decoder_ff_logit_out_b"][0, 1] = 6.0
    config, alphas = CONFIG.format(**sizes), {name: 127 / 6 for name in [*arrays, "none"]}

    draw = random.Random(3)

    def token() -> str:
        return "\u00c9a!" if draw.random() <= 0.02 else shapes.word(draw.randrange(2, sizes["size"]))

    lines = [" ".join(token() for _ in range(draw.randrange(1, 24))) for _ in range(200)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (
        ("model.enxx.float32.bin", container(arrays, config, False, {})),
        ("model.enxx.intgemm.alphas.bin", container(arrays, config, True, alphas)),
        ("vocab.enxx.spm", shapes.spm_model()),
        ("lex.50.50.enxx.s2t.bin", shortlist(rng, sizes["size"], 50, 50)),
        ("lines.src", ("\n".join(lines) + "\n").encode()),
    ):
        (folder / name).write_bytes(data)
        print(f"{folder / name}: {len(data)} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["base", "fixture", "firefox"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("text", type=pathlib.Path, nargs="*")
    args = parser.parse_args()
    if args.kind == "base":
        base(args.folder)
    elif args.kind == "fixture":
        fixture(args.folder)
    else:
        firefox(args.folder, args.text)


if __name__ == "__main__":
    main()
