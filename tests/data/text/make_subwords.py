#!/usr/bin/python3
"""Makes the vocabularies of tests/data/text/subwords, and what the toolkits' own code makes of some texts with them.

    python3 -m venv --system-site-packages /tmp/v && /tmp/v/bin/pip install subword-nmt==0.3.8 pyonmttok==1.38.1
    /tmp/v/bin/python tests/data/text/make_subwords.py [--out DIR] [--texts FILE]... [--train LINES] [--count LINES]

NAME.json is the vocabulary as model.json has it, NAME.pieces.json and NAME.merges its files; expected.tsv has lines
"encode|decode, name, text in hexadecimal, ids[, byte ranges]" and "lower, -, text, lower-cased text". Merges are
learnt from the sentences of make_models.py and pydocs_lines.txt (from the Python documentation and its Korean, Spanish
and French translations: (c) 2001-2025 Python Software Foundation, PSF License version 2).

To compare on more text, give --texts and a folder for --out, and run HEED_TEXT_SUBWORDS=DIR text_subwords_test: merges
are then learnt from the first --train lines, ids expected for --count.
"""

import argparse
import collections
import io
import json
import pathlib
import random
import re
import tempfile
import unicodedata

import pyonmttok
import sentencepiece as spm
from make_models import RANGES, SENTENCES
from subword_nmt import apply_bpe, learn_bpe

HERE = pathlib.Path(__file__).parent
SPECIALS = ["<unk>", "<s>", "</s>"]


def learn_old(lines: list[str], merges: int) -> str:
    """Merges of version 0.1, which subword-nmt reads but no longer writes: the end of a word is a unit of its own."""
    words = collections.Counter(word for line in lines for word in line.split())
    cut = {word: (*word, "</w>") for word in words}
    learnt = []
    for _ in range(merges):
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(cut[word], cut[word][1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        learnt.append(best)
        for word, parts in cut.items():
            merged, at = [], 0
            while at < len(parts):
                joins = parts[at : at + 2] == best
                merged.append("".join(best) if joins else parts[at])
                at += 2 if joins else 1
            cut[word] = tuple(merged)
    return "".join(f"{left} {right}\n" for left, right in learnt)


def learn(lines: list[str], merges: int) -> str:
    out = io.StringIO()
    learn_bpe.learn_bpe(io.StringIO("\n".join(lines) + "\n"), out, merges)
    return out.getvalue()


class Case:
    """A vocabulary: `cut` gives a text's pieces, `join` the text of pieces."""

    def __init__(self, name, spec, cut, join, files=None, least=2, specials=SPECIALS, ranges=None, texts=()):
        self.name, self.spec, self.cut, self.join, self.files = name, spec, cut, join, files or {}
        self.least, self.specials, self.ranges, self.texts = least, specials, ranges, texts

    def write(self, out: pathlib.Path, lines: list[str]) -> None:
        counts = collections.Counter(piece for line in lines for piece in self.cut(line))
        listed = sorted((p for p in counts if counts[p] >= self.least), key=lambda p: (-counts[p], p))
        self.pieces = [*self.specials, *(p for p in listed if p not in self.specials)]
        self.ids = {piece: i for i, piece in reversed(list(enumerate(self.pieces)))}
        spec = {"size": len(self.pieces), "unk_id": self.specials.index("<unk>")}
        spec |= {"bos_id": self.specials.index("<s>"), "eos_id": self.specials.index("</s>")}
        spec |= {"pieces": f"{self.name}.pieces.json"} | self.spec
        write_json(out / f"{self.name}.json", spec)
        write_json(out / f"{self.name}.pieces.json", self.pieces)
        for file, content in self.files.items():
            (out / file).write_text(content, encoding="utf-8")

    def encode(self, text: str) -> list[int]:
        specials, unk = set(range(len(self.specials))), self.specials.index("<unk>")
        ids = [self.ids.get(piece, unk) for piece in self.cut(text)]
        return [unk if i in specials else i for i in ids]

    def decode(self, ids: list[int]) -> tuple[str, str]:
        """The text and, where the toolkit says so, which of its bytes each token has: "0-5 5-6"."""
        pieces = [self.pieces[i] for i in ids]
        return self.join(pieces), self.ranges(pieces) if self.ranges else ""


def write_json(path: pathlib.Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def subword_nmt(name, merges, vocabulary=None, lower=False, **spec):
    bpe = apply_bpe.BPE(io.StringIO(merges), vocab=vocabulary)

    def cut(text):
        return bpe.segment(text.lower() if lower else text).split(" ") if text.strip(" ") else []

    def join(pieces):
        return re.sub("(@@ )|(@@ ?$)", "", " ".join(pieces))

    bpe_spec = {"merges": f"{name}.merges"} | ({"split_unknown": True} if vocabulary else {})
    files = {f"{name}.merges": merges}
    return Case(name, {"bpe": bpe_spec, "lowercase": lower} | spec, cut, join, files, texts=OTHER_SPACES)


def opennmt(name, mode, merges=None, **options):
    with tempfile.NamedTemporaryFile("w", suffix=".merges", encoding="utf-8") as file:
        file.write(merges or "")
        file.flush()
        model = {} if merges is None else {"bpe_model_path": file.name}
        tokenizer = pyonmttok.Tokenizer(mode, **model, **options)
    spec = {"mode": f"OPEN_NMT_MODE_{mode.upper()}", **options}

    def ranges(pieces):
        """pyonmttok's, of tokens that begin and end without white space; "" where the text began with some."""
        text, found = tokenizer.detokenize_with_ranges(pieces)
        data = text.encode()
        spans = [(found[i][0], found[i][1] + 1) if i in found else None for i in range(len(pieces))]
        bare = [span and data[slice(*span)].decode().strip() == data[slice(*span)].decode() for span in spans]
        return " ".join(f"{s[0]}-{s[1]}" if b else "?" for s, b in zip(spans, bare)) if text == text.strip() else ""

    if merges is not None:
        spec["merges"] = f"{name}.merges"
    return Case(
        name,
        {"opennmt": spec, "special_ids": [1]},
        lambda text: tokenizer(text),
        lambda pieces: tokenizer.detokenize(pieces).strip(" "),
        {f"{name}.merges": merges} if merges is not None else {},
        specials=["<unk>", "<blank>", "<s>", "</s>"],
        ranges=ranges,
    )


def sentencepiece(name, model):
    processor = spm.SentencePieceProcessor(model_file=str(HERE / model))
    surface = {"<unk>": processor.id_to_piece(processor.unk_id())}
    return Case(
        name,
        {"sentencepiece": {"file": model}},
        lambda text: processor.encode(text, out_type=str),
        lambda pieces: processor.decode_pieces([surface.get(piece, piece) for piece in pieces]),
        specials=["<s>", "<pad>", "</s>", "<unk>"],
        texts=["string▁", "the▁string▁▁s ▁ </s>▁<br>▁<b", " ▁ 漢▁字 ▁\u3000▁"],
    )


def cases(lines: list[str], merges: int) -> list[Case]:
    new, old = learn(lines, merges), learn_old(lines[:2000], min(merges, 300))
    lower = learn([line.lower() for line in lines], merges)
    words = [" ".join(pyonmttok.Tokenizer("aggressive").tokenize(line)[0]) for line in lines]
    tokens = learn(words, merges)
    plain = subword_nmt("bpe", new)
    counts = collections.Counter(piece for line in lines for piece in plain.cut(line))
    frequent = {piece for piece, count in counts.items() if count >= 4}
    filtered = subword_nmt("bpe_filtered", new, frequent)
    filtered.least = 4
    return [
        plain,
        subword_nmt("bpe_old", old),
        subword_nmt("bpe_lower", lower, lower=True),
        filtered,
        Case("words", {"words": {}, "lowercase": True}, lambda text: text.lower().split(), " ".join),
        Case(
            "characters",
            {"characters": {"space": "▁"}},
            lambda text: list(text.strip().replace(" ", "▁")),
            lambda pieces: "".join(pieces).replace("▁", " "),
        ),
        opennmt("onmt_space", "space", tokens, joiner_annotate=True),
        opennmt("onmt_conservative", "conservative", joiner_annotate=True),
        opennmt("onmt_aggressive", "aggressive", tokens, joiner_annotate=True),
        opennmt("onmt_spacer", "aggressive", tokens, spacer_annotate=True),
        opennmt("onmt_conservative_spacer", "conservative", tokens, spacer_annotate=True),
        sentencepiece("listed_unigram", "unigram.model"),
        sentencepiece("listed_bytes", "bpe_bytes.model"),
    ]


TEXTS = [
    "Hello, world! It's 1,000.5 well-known_names e.g. a.b,c. -x- ... 3rd 2-3 x_y __init__()",
    "｟a b｠c x｟ph｠ ｟x｠｟y｠1 2｟z｠, ｟open a",
    "￭ ab ％0041 ＃ ： ％ ￭￭",
    "a\u0301 \u0301 x\u0301\u0302y 1\u0301 ,\u0301 \u0301a",
    "ΑΣ ΑΣΑ Σ ΣΣ ΑΣ. ΑΣ'Α İstanbul ǅ ẞ",
    "x x x xxx xxxx aaaaa abababab",
    "</w> a</w>b <w> @-@ @ a@b",
    "</s> <s> <unk> <blank> <pad>",
    "漢字 함수 함수를 \u1112\u1161\u11ab 😀👩\u200d👧 ½ ²",
    "  leading and   inner   spaces  ",
    "a" * 60,
    "돌려" * 30,
    "",
    "   ",
]


# What subword-nmt does not part words at.
OTHER_SPACES = [
    "der\u00a0hund",
    "the function\u202f? \u00a0 1\u2009000\u3000string",
    "a\tb\x0bc \u2028the\u0085string\u2029 \u1680",
]


def random_text(rng: random.Random) -> str:
    """Random code points mixed with runs of the training text: no white space but " ", no "▁" (a mark to some), no "￨" or
    NUL (pyonmttok crashes, or cuts the text there)."""
    parts = []
    for _ in range(rng.randint(1, 14)):
        kind = rng.random()
        if kind < 0.4:
            start = rng.randrange(len(SENTENCES))
            parts.append(SENTENCES[start : start + rng.randint(1, 12)].replace("\n", " "))
            continue
        if kind < 0.6:
            parts.append(rng.choice(["-", "_", ".", ",", "1", "Σ", "A", "\u0301", "￭", "｟", "｠", " ", "％", "é", "İ"]))
            continue
        first, last = rng.choice(RANGES)
        c = chr(rng.randint(first, last))
        if unicodedata.category(c) not in ("Cn", "Cs", "Co") and c not in "▁￨\0" and (not c.isspace() or c == " "):
            parts.append(c * rng.choice([1, 1, 1, 2]))
    return "".join(parts)


def folded(text: str) -> int:
    """FNV-1a of the text's UTF-8, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "subwords")
    parser.add_argument("--texts", type=pathlib.Path, action="append", default=[])
    parser.add_argument("--train", type=int, default=20000)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--merges", type=int, default=350)
    parser.add_argument("--random", type=int, default=30)
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    training = SENTENCES.split("\n") + (HERE / "pydocs_lines.txt").read_text(encoding="utf-8").splitlines()
    texts = []
    if options.texts:
        files = [file.read_text(encoding="utf-8").split("\n") for file in options.texts]
        lines = [" ".join(line.split()) for group in zip(*files) for line in group]
        training, texts = lines[: options.train], lines[options.train : options.train + options.count]
    expected = []
    for seed, case in enumerate(cases(training, options.merges)):
        case.write(options.out, training)
        rng = random.Random(seed)
        for text in [*TEXTS, *case.texts, *training[::9][:20], *texts, *(random_text(rng) for _ in range(options.random))]:
            ids = case.encode(text)
            row = " ".join(map(str, ids))
            expected.append(("encode", case.name, text.encode().hex(), row))
            decoded, ranges = case.decode(ids)
            expected.append(("decode", case.name, decoded.encode().hex(), row, *([ranges] if ranges else [])))
    everything = "".join(map(chr, (c for c in range(0x110000) if not 0xD800 <= c < 0xE000)))
    lowered = "".join(c.lower() for c in everything if unicodedata.category(c) != "Cn")
    expected.append(("lower-all", "-", f"{folded(lowered):016x}", ""))
    rng = random.Random(99)
    greek = "ΣσςΑα'.·\u0301\u0345ʰ1 AaİıIǅ-Σ\u00ad:"
    for _ in range(300):
        text = "".join(rng.choice(greek) for _ in range(rng.randint(1, 12))) if rng.random() < 0.7 else random_text(rng)
        expected.append(("lower", "-", text.encode().hex(), text.lower().encode().hex()))
    rows = "".join("\t".join(line) + "\n" for line in expected)
    (options.out / "expected.tsv").write_text(rows, encoding="utf-8")


if __name__ == "__main__":
    main()
