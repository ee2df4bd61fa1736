#!/usr/bin/python3
"""Makes the tiny SentencePiece models that tests/server/text reads: unigram.model and bpe_bytes.model.

    /usr/bin/python3 tests/data/text/make_models.py

Both are trained on the sentences below (written for this purpose) with SentencePiece 0.1.97 and its default
normalisation, nmt_nfkc. unigram.model has heed's ids (<unk> 0, <s> 1, </s> 2), bpe_bytes.model falls back to bytes,
has a user-defined symbol and a padding piece. Beside them, expected.txt holds what the Python binding makes of some
texts: model, text as JSON, ids.
"""

import io
import json
import pathlib

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
    "\u1112\u1161\u11ab글 e\u0301",
    "zero\u200bwidth \u200d joiner\ufeff",
    "emoji 😀 and 漢字",
    "</s> <s> <unk> @@ <0x41>",
    "control \x01\x02 chars\x7f",
    "",
    "   ",
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
    lines = []
    for name in ("unigram", "bpe_bytes"):
        model = spm.SentencePieceProcessor(model_file=str(here / f"{name}.model"))
        for text in TEXTS:
            ids = " ".join(str(i) for i in model.encode(text))
            lines.append(f"{name}\t{json.dumps(text, ensure_ascii=True)}\t{ids}\n")
    (here / "expected.txt").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
