#!/bin/bash
# kitoken 0.11.1 (PyPI), which reads SentencePiece models, on a Unigram model with byte_fallback.
#
# Expected: a character without a piece becomes its UTF-8 bytes in order, as in SentencePiece 0.2.3, whose ids kitoken
# otherwise gives here; or at least an order that its own decode undoes.
# Seen: the bytes of each such character come last first, so that neither library can decode what kitoken encoded. With
# a BPE model of the same text the order is right.
#
# A model served with these ids reads a rare Hangul syllable or Hanja as bytes that it has never seen in that order.
# Needs the network.
set -euo pipefail
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
/usr/bin/python3 -m venv "$temporary/venv"
"$temporary/venv/bin/pip" install --quiet kitoken==0.11.1 sentencepiece==0.2.3
"$temporary/venv/bin/python" - "$temporary" <<'PYTHON'
import random
import sys

import kitoken
import sentencepiece

random.seed(0)
words = "번역 모델 주의 문장 단어 학교에서 사람들이 하였다 있습니다 attention model translates".split()
lines = [" ".join(random.choices(words, k=6)) for _ in range(1000)]


def bytes_of(kind):
    """The pieces of one character without a piece, by SentencePiece and by kitoken; whether the rest is equal."""
    path = f"{sys.argv[1]}/{kind}"
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_prefix=path, model_type=kind,
                                             vocab_size=320, byte_fallback=True, hard_vocab_limit=False,
                                             num_threads=1, minloglevel=2)
    theirs = sentencepiece.SentencePieceProcessor(model_file=path + ".model")
    ours = kitoken.Kitoken.from_file(path + ".model")
    same = all(list(ours.encode(line, False)) == theirs.encode(line) for line in lines)
    known = len(theirs.encode("모델"))
    names = [[theirs.id_to_piece(i) for i in ids[known + 1:]]
             for ids in (theirs.encode("모델 뷁"), list(ours.encode("모델 뷁", False)))]
    return *names, same


unigram, bpe = bytes_of("unigram"), bytes_of("bpe")
print("SentencePiece, kitoken: unigram", *unigram[:2], "bpe", *bpe[:2])
right = ["<0xEB>", "<0xB7>", "<0x81>"]
sys.exit(not (unigram == (right, right[::-1], True) and bpe == (right, right, True)))
PYTHON
