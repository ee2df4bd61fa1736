#!/usr/bin/python3
"""How well sentences are cut, beside other splitters: sentences known to be single are joined two and three at a time;
cuts must be at the joints and nowhere else.

    bench/sentences.py DATA [--half dev|test] [--groups 300] [--only heed,icu] [--languages de,fr] [--wrong 20]

DATA is a folder of LANGUAGE.txt, a sentence a line, such as the `# text =` lines of a treebank
(bench/README.md says which were used). Lines that end without a stop, or begin with a small letter, are left out: no
splitter could know where they end. Every second line is the `dev` half, which rules may be tuned on; the others are
`test`. Positions are counted without white space. heed is `cut_sentences` of the build; the others are looked for in the
Python that runs this: pip install pyicu pysbd sentencex mosestokenizer.
"""
import argparse
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
UNSPACED = {"zh", "ja"}
STOPS = ".!?…。！？।؟۔．｡"
CLOSING = "\"'”’»“«)）」』》】]›*"


def usable(line):
    bare = line.rstrip(CLOSING + " \u00a0\u202f")
    letters = [c for c in line if c.isalnum()]
    return len(letters) > 3 and bare[-1:] in STOPS and not letters[0].islower()


def groups(lines, language, count, seed):
    """`count` texts of two and three sentences in turn: each as its sentences."""
    rng = random.Random(f"{seed} {language}")
    pool, made = [], []
    while len(made) < count:
        size = 2 + len(made) % 2
        if len(pool) < size:
            pool = lines[:]
            rng.shuffle(pool)
        made.append([pool.pop() for _ in range(size)])
    return made


def dense(text):
    return "".join(text.split())


def ends_of(pieces):
    """Where each of the pieces but the last ends, white space not counted."""
    ends, at = set(), 0
    for piece in pieces:
        at += len(dense(piece))
        ends.add(at)
    ends.discard(at)
    return ends


def heed(texts, language, args):
    done = subprocess.run([args.heed, language], input="\n".join(texts) + "\n", capture_output=True, text=True, check=True)
    cut = []
    for text, line in zip(texts, done.stdout.split("\n")):
        raw, begin, pieces = text.encode(), 0, []
        for end in map(int, line.split()):
            pieces.append(raw[begin:end].decode())
            begin = end
        cut.append(pieces)
    return cut


def icu(texts, language, args):
    import icu as pyicu

    rules, cut = pyicu.BreakIterator.createSentenceInstance(pyicu.Locale(language)), []
    for text in texts:
        wide = pyicu.UnicodeString(text)
        rules.setText(wide)
        begin, pieces = 0, []
        for end in rules:
            pieces.append(str(wide[begin:end]))
            begin = end
        cut.append(pieces)
    return cut


def moses(texts, language, args):
    import mosestokenizer

    with mosestokenizer.MosesSentenceSplitter(language) as split:
        return [split([text]) for text in texts]


def sentencex(texts, language, args):
    import sentencex as library

    return [list(library.segment(language, text)) for text in texts]


def pysbd(texts, language, args):
    import pysbd as library

    segmenter = library.Segmenter(language=language, clean=False)
    return [segmenter.segment(text) for text in texts]


SPLITTERS = {f.__name__: f for f in (heed, icu, moses, sentencex, pysbd)}


def score(made, cut):
    right = expected = found = 0
    for group, pieces in zip(made, cut):
        want, have = ends_of(group), ends_of(pieces)
        right, expected, found = right + len(want & have), expected + len(want), found + len(have)
    precision, recall = right / max(found, 1), right / max(expected, 1)
    return 2 * precision * recall / max(precision + recall, 1e-9), precision, recall


def show_wrong(made, cut, count):
    for group, pieces in zip(made, cut):
        want, have = ends_of(group), ends_of(pieces)
        if want == have or count == 0:
            continue
        count -= 1
        text, flat = dense(" ".join(group)), sorted(want ^ have)
        for at in flat:
            print("   ", "missed " if at in want else "too many", text[max(0, at - 40) : at], "|", text[at : at + 30])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--half", choices=("dev", "test"), default="test")
    parser.add_argument("--groups", type=int, default=300)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--only", default=",".join(SPLITTERS))
    parser.add_argument("--languages", help="default: every file of DATA")
    parser.add_argument("--wrong", type=int, default=0, help="show so many texts that heed cuts otherwise")
    parser.add_argument("--heed", default=str(ROOT / "build/release/bench/cut_sentences"))
    args = parser.parse_args()
    names = args.only.split(",")
    languages = args.languages.split(",") if args.languages else sorted(p.stem for p in args.data.glob("*.txt"))
    print(f"| language | sentences | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for language in languages:
        lines = [line for line in (args.data / f"{language}.txt").read_text(encoding="utf-8").splitlines() if usable(line)]
        lines = lines[0 if args.half == "dev" else 1 :: 2]
        made = groups(lines, language, args.groups, args.seed)
        texts = [("" if language in UNSPACED else " ").join(group) for group in made]
        cells = []
        for name in names:
            try:
                cut = SPLITTERS[name](texts, language, args)
                cells.append("%.4f (%.3f, %.3f)" % score(made, cut))
                if name == "heed" and args.wrong:
                    show_wrong(made, cut, args.wrong)
            except Exception as fault:  # a language it does not know, a library that is not there
                cells.append("-")
                print(f"{name}, {language}: {type(fault).__name__}: {str(fault)[:100]}", file=sys.stderr)
        print(f"| {language} | {len(lines)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
