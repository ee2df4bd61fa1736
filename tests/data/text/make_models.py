#!/usr/bin/python3
"""Makes the tiny SentencePiece models that tests/server/text reads, and what SentencePiece itself makes of some texts.

    /usr/bin/python3 tests/data/text/make_models.py [RANDOM_TEXTS_PER_MODEL]

The models are trained on the sentences below (written for this purpose) with SentencePiece 0.1.97:

    unigram        heed's ids (<unk> 0, <s> 1, </s> 2) and the default normalisation, nmt_nfkc
    bpe_bytes      falls back to bytes, has a user-defined symbol and a padding piece; nmt_nfkc
    unigram_plain  no normalisation at all, spaces included; nested user-defined symbols
    bpe_suffix     words end in "▁" instead of starting with it; no normalisation but of spaces

expected.tsv holds ids and decoded texts as the Python binding gives them, for the texts below and random ones.
"""

import io
import pathlib
import random
import sys

import sentencepiece as spm

SENTENCES = """
파이썬은 배우기 쉬운 프로그래밍 언어입니다.
이 함수는 문자열을 돌려줍니다. 그리고 인자를 두 개 받습니다.
모듈을 가져오면 그 안의 이름을 쓸 수 있습니다.
리스트는 여러 값을 순서대로 담습니다.
사전은 키와 값을 짝지어 담습니다.
예외가 일어나면 프로그램이 멈춥니다.
파일을 열고 나서 꼭 닫아야 합니다.
이 메서드는 버전 3.11에서 추가되었습니다.
기본값은 참입니다. 거짓이면 아무 일도 하지 않습니다.
클래스는 자료와 메서드를 함께 묶습니다.
서버는 요청을 받아 응답을 보냅니다.
스레드가 둘이면 잠금이 필요합니다.
정규식은 문자열에서 무늬를 찾습니다.
반복문은 조건이 참인 동안 돕니다.
설치하려면 아래 명령을 실행하십시오.
더 자세한 것은 다음 절을 보십시오.
이 값은 바꿀 수 없습니다.
정수를 0으로 나누면 오류가 납니다.
인코딩을 지정하지 않으면 UTF-8을 씁니다.
객체의 길이를 돌려줍니다.
오늘은 날씨가 맑고 바람이 붑니다.
아침에 커피를 마시고 일을 시작했습니다.
기차는 정각에 역을 떠났습니다.
도서관에서 책을 세 권 빌렸습니다.
Python is a programming language that is easy to learn.
This function returns a string and takes two arguments.
Importing a module makes its names available.
A list holds several values in order.
A dictionary maps keys to values.
When an exception is raised, the program stops.
Always close a file after opening it.
This method was added in version 3.11.
The default is true; if it is false, nothing happens.
A class bundles data and methods together.
The server receives a request and sends a response.
With two threads, a lock is needed.
A regular expression finds patterns in a string.
The loop runs while the condition holds.
To install it, run the command below (see Fig. 3).
For more details, see the next section.
This value cannot be changed.
Dividing an integer by zero is an error!
If no encoding is given, UTF-8 is used.
Returns the length of the object, e.g. len("abc") == 3.
The weather is clear today and a wind is blowing.
He drank coffee in the morning and began to work.
The train left the station on time.
She borrowed three books from the library; why?
""".strip()

TEXTS = [
    "이 함수는 문자열을 돌려줍니다.",
    "This function returns a string.",
    "  leading and   inner   spaces  ",
    "tabs\tand\nnew lines",
    "ｆｕｌｌ ｗｉｄｔｈ １２３",
    "㌢ ½ ﬁle ﷺ",
    "\u1112\u1161\u11ab글 e\u0301 \u1100\u1161\u11a8\u11a8",
    "zero\u200bwidth \u200d joiner\ufeff \u00ad",
    "emoji 😀 and 👩\u200d👩\u200d👧 漢字",
    "</s> <s> <unk> @@ <0x41> <pad> <br>a<br ><b",
    "control \x00 \x01\x02 chars\x7f\x85",
    "´ ¨ ˜",
    "",
    "   ",
    "\u200b",
    "\x01",
    "a" * 100,
    "돌려" * 50,
    "漢字仮名" * 40,
    "▁",
    "▁▁ ▁",
    "string▁",
    "▁string ▁string▁ string",
    "the▁string▁▁s ▁ </s>▁<br>▁<b",
    " ▁ 漢▁字 ▁\u3000▁",
    "▁\u0301a▁\u0301▁" * 3,
]

# What random texts are made of: (first, last) code points, drawn alike often.
RANGES = [
    (0x61, 0x7A),
    (0x20, 0x7E),
    (0x20, 0x20),
    (0x00, 0x1F),
    (0x80, 0x2FF),
    (0x300, 0x36F),
    (0x1100, 0x11FF),
    (0x2000, 0x206F),
    (0x2581, 0x2581),
    (0x3000, 0x33FF),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFFFD),
    (0x1F300, 0x1FAFF),
    (0xE0000, 0xE01EF),
    (0x0, 0x10FFFF),
]


def train(name: str, **options: object) -> None:
    here = pathlib.Path(__file__).parent
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES.split("\n")),
        model_writer=model,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    (here / f"{name}.model").write_bytes(model.getvalue())


def random_text(rng: random.Random) -> str:
    """Random code points mixed with runs of the training text."""
    parts = []
    for _ in range(rng.randint(1, 12)):
        if rng.random() < 0.4:
            start = rng.randrange(len(SENTENCES))
            parts.append(SENTENCES[start : start + rng.randint(1, 12)])
            continue
        first, last = rng.choice(RANGES)
        code_point = rng.randint(first, last)
        if not 0xD800 <= code_point <= 0xDFFF:
            parts.append(chr(code_point) * rng.choice([1, 1, 1, 2]))
    return "".join(parts)


def expectations(name: str, count: int, seed: int) -> list[str]:
    """Lines "encode|decode, model, text in hexadecimal, ids"."""
    model = spm.SentencePieceProcessor(model_file=str(pathlib.Path(__file__).parent / f"{name}.model"))
    rng = random.Random(seed)
    lines = []
    for text in TEXTS + [random_text(rng) for _ in range(count)]:
        ids = model.encode(text)
        lines.append(("encode", name, text.encode().hex(), " ".join(map(str, ids))))
        lines.append(("decode", name, model.decode(ids).encode().hex(), " ".join(map(str, ids))))
    for _ in range(count):
        ids = [rng.randrange(model.get_piece_size()) for _ in range(rng.randint(1, 12))]
        lines.append(("decode", name, model.decode(ids).encode().hex(), " ".join(map(str, ids))))
    return ["\t".join(line) + "\n" for line in lines]


def main() -> None:
    here = pathlib.Path(__file__).parent
    train("unigram", model_type="unigram", vocab_size=380, pad_id=-1)
    train(
        "bpe_bytes",
        model_type="bpe",
        vocab_size=700,
        byte_fallback=True,
        pad_id=3,
        user_defined_symbols=["<br>"],
        character_coverage=0.98,
    )
    train(
        "unigram_plain",
        model_type="unigram",
        vocab_size=370,
        pad_id=-1,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        user_defined_symbols=["<b", "<br>", "def"],
        unk_surface="?",
    )
    train(
        "bpe_suffix",
        model_type="bpe",
        vocab_size=400,
        pad_id=-1,
        treat_whitespace_as_suffix=True,
        normalization_rule_name="identity",
    )
    lines = []
    for seed, name in enumerate(("unigram", "bpe_bytes", "unigram_plain", "bpe_suffix")):
        lines += expectations(name, int(sys.argv[1]) if len(sys.argv) > 1 else 60, seed)
    (here / "expected.tsv").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
