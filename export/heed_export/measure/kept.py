"""What an output must keep of its source: numbers, identifiers and Latin words, names, a negation. Sentences to try it on,
and the measure.

    python3 -m heed_export.measure.kept make requests --out out/requests          # .src and .kept, a line a sentence
    heed summarize --model=sae4k-ko --file=out/requests.src --output=json > out/requests.json
    python3 -m heed_export.measure.kept measure --kept out/requests.kept --sources out/requests.src --served out/requests.json

`requests` (300) and `prohibitions` (200) are Korean sentences made of the templates below, which no recipe trains on;
`sentences` takes the lines with a number or an identifier from texts that are given. A line of .kept has what must come
back, separated by tabs: for a prohibition nothing but that it is negated. `measure` also counts outputs that stammer (the
same one to four pieces three times in a row, where the source has it less often), and with `--known` (texts, the training
text's target side) words that neither these nor the source have. It prints JSON.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import re
import sys
from typing import Callable, Iterable, Sequence

from ..text import corpus
from ..text import hangul
from . import served

NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
# What is no prose: a flag; letters with dots, slashes, colons, at signs or underscores inside, camelCase, letters with
# digits; each with () or without.
IDENTIFIER = re.compile(
    r"(?<![\w./-])(?:--?[A-Za-z][\w-]*|(?=[\w./:@+~-]*[A-Za-z])[\w./:@+~-]*[._/:@][\w+-]+|[a-z]+[A-Z]\w*|\w*[A-Za-z]\w*\d\w*"
    r"|[A-Za-z]+-\d[\w.]*\w|[A-Za-z]+-\d|[A-Za-z]\w*(?=\(\)))(?:\(\))?",
    re.ASCII,
)
NEGATED = re.compile(r"않|말기|안 |못|금지|없")
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
NEGATION = "(negated)"  # in .kept
SEED = 2026  # of the sentences that figures are of

# The test's own words: none is in korean_requests.
NAMES = (
    "황보미르 남궁솔비 독고현 선우가온 제갈윤 사공벼리 박꽃님 최늘봄 이겨레 김빛나 정슬기 강햇님 조아람 윤초롱 한솔미 오름이 서그루 신바다 "
    "권노을 안샛별 송다솜 류하늬 홍잔디 전여울 고은결 문가람 양미소 손보람 배누리 백두리 허웅 유별하 노마루 심소미 하랑 곽튼튼 성바름 차오름 "
    "주아라 우람 구슬아 뚜엔 쩐반훙 엘리자베스 무함마드 크리스토퍼 알렉산드라 나카무라 왕샤오밍 블라디미르 프란체스카 쿄스케 휘브리드 쟝뤽 뵈르너"
).split()
LATIN = (
    "Zigbee Kindle Figma ThinkPad Trello Roomba GoPro HBO ESPN FTP DHL NASA Pixel8 Dyson Fitbit Uber Airbnb Reddit Discord Steam "
    "VPN SSD RAM HTML XML SQL JPG ZIP GIF MP4 UHD OLED QLED BMW Kia Hyundai Philips Bosch IKEA LEGO Adobe Photoshop Blender Unity "
    "Jenkins Kubernetes Terraform Ansible Redis Kafka report_v2.xlsx budget.csv photo01.png lee@heed.kr team-7 X100V RTX4090 A380 "
    "Kiwi Mango Jupiter Falcon Orion Zephyr Quartz Nimbus Vertex Pluto"
).split()
_NUMBERS = {
    "time": "7시|6시 45분|21:30|13:05|9시 10분|17:45|0시 30분|오후 8시|밤 11시|오전 4시 5분".split("|"),
    "date": "2027년 4월 9일|11월 23일|9월 1일|30일|2031년 2월|6월|5월 17일".split("|"),
    "degree": "24도|18.5도|33도|26도|19도".split("|"),
    "share": "35%|70%|64%|8%|100%|55퍼센트".split("|"),
    "span": "12분|90초|3시간|45분|2주|10일|36시간".split("|"),
    "money": "15,000원|2,340,000원|4만원|870원|100달러".split("|"),
    "count": "5통|48건|256개|3장|17개|604건".split("|"),
    "place": "지하 2층|1206호|8층|47번 자리|3번 출구|B동 902호".split("|"),
}
_REQUESTS = [  # {p} a person, {l} a Latin word, the others numbers; 이/가 and its like as the word before asks
    "내일 아침 {time}에 알람 맞춰 줘", "{l} 꺼 줘", "{p}에게 {l} 파일 보내 줘", "거실 온도 {degree}으로/로 올려 줄래?", "{p} 생일이 언제야?",
    "{l} 앱 업데이트했니", "오늘 {time} 회의에 {p}도 참석하니?", "{p}한테 {time}에 전화해 줘.", "{l} 화면 밝기 {share}으로/로 줄여 주세요",
    "{span} 뒤에 {l} 다시 켜 줘", "{l} 비밀번호가 뭐야?", "{p}이/가 보낸 메일 읽어 줘", "서랍에 있는 {l} 어디에 뒀는지 알려 줘",
    "계좌에서 {money} 이체해 줘", "{p} 씨에게 온 메일 {count} 다 지워 줄 수 있니", "{l}에서 주문한 택배 언제 오니?", "이번 달 {l} 요금이 얼마야",
    "{count} 중에 {l} 몇 개 있어?", "{p} 과장님과 약속 {date}으로/로 옮겨 줘!", "주차장 {place}에 자리 있는지 확인해 줘", "{l} 서버 상태 확인해 줄래",
    "{p} 대리가 올린 {l} 문서 열어 줘", "{date}까지 {l} 보고서 제출하라고 {p}에게 알려 줘", "음악 소리 {share}만큼 키워 줘", "{p} 집 주소가 어떻게 되지",
    "{l} 채널로 바꿔 줘", "타이머 {span} 설정해 줄래요?", "{l} 드라이버 설치해 주세요.", "{p}이/가 추천한 식당 예약해 줘", "{date} {time} 비행기 표 취소해 줘",
]  # fmt: skip
_PROHIBITED = [  # what must not be done, as stem and as the object that it hangs on
    ("그 링크는", "누르"), ("오늘은 알람", "울리"), ("내 사진", "올리"), ("현관문", "열"), ("이 파일", "지우"), ("동생한테 비밀번호", "알려주"),
    ("밤에 피아노", "치"), ("약 두 번", "먹"), ("강아지한테 초콜릿", "주"), ("회의 중에 전화", "받"), ("모르는 번호로 온 전화", "받"), ("{l} 앱", "설치하"),
    ("에어컨", "끄"), ("{p}에게 답장", "보내"), ("계단에서", "뛰"), ("사진", "찍"), ("여기에 차", "세우"), ("{l} 계정", "삭제하"), ("젖은 손으로 콘센트", "만지"),
    ("쓰레기", "버리"), ("그 영화 결말", "말하"), ("새벽에 세탁기", "돌리"), ("라면에 소금", "넣"), ("예약", "취소하"), ("{time}에 나", "깨우"), ("창문", "닫"),
    ("{p} 전화번호", "바꾸"), ("화분에 물", "주"), ("아이 방 불", "켜"), ("광고 메일", "읽"),
]  # fmt: skip
_FORBID = ["{s}지 마", "{s}지 마세요", "{s}지 말아 줘", "{s}지 마라", "{s}지 말아 줄래", "{s}지마", "{s}지 말자", "{s}면 안 돼", "{s}지 않도록 해 줘", "{s}지 말아라"]
_STYLES = ["", "", "", ".", "!"]


_EITHER = re.compile(r"(\S+?)(이/가|은/는|을/를|과/와|으로/로)")


def _filled(template: str, rng: random.Random) -> tuple[str, list[str]]:
    """The template with its slots filled, and what filled them."""
    kept = []
    for slot, choices in (*_NUMBERS.items(), ("l", LATIN), ("p", NAMES)):
        if f"{{{slot}}}" in template:
            word = rng.choice(choices)
            template = template.replace(f"{{{slot}}}", word)
            kept += NUMBER.findall(word) if slot in _NUMBERS else [word]
    return _EITHER.sub(lambda m: hangul.with_particle(m[1], m[2].split("/")[0]), template), kept


def _different(count: int, make: Callable[[int], tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """`count` that are not alike, of what `make` makes of 0, 1, 2 and so on. Raises ValueError when it has no more."""
    made: dict[str, list[str]] = {}
    for i in range(10 * count):
        if len(made) == count:
            break
        made.setdefault(*make(i))
    if len(made) < count:
        raise ValueError(f"the templates make {len(made)} different sentences, not {count}")
    return list(made.items())


def requests(count: int, seed: int) -> list[tuple[str, list[str]]]:
    """Sentences with numbers, Latin words and names, and what of each must be kept; no two alike."""
    rng = random.Random(seed)
    return _different(count, lambda i: _filled(_REQUESTS[i % len(_REQUESTS)], rng))


def prohibitions(count: int, seed: int) -> list[tuple[str, list[str]]]:
    """Prohibitions; no two alike."""
    rng = random.Random(seed)

    def one(i: int) -> tuple[str, list[str]]:
        what, stem = _PROHIBITED[i % len(_PROHIBITED)]
        ending = rng.choice(_FORBID)
        if "면" in ending and hangul.closing(stem) not in (0, 8):
            ending = ending.replace("{s}", "{s}으")
        return _filled(f"{what} {ending.replace('{s}', stem)}", rng)[0] + rng.choice(_STYLES), [NEGATION]

    return _different(count, one)


def sentences(texts: Iterable[str], count: int) -> list[tuple[str, list[str]]]:
    """The texts that hold a number or an identifier, evenly chosen, and their numbers and identifiers."""
    found = [(t, list(dict.fromkeys(numbers(t) + identifiers(t)))) for t in texts]
    found = [(t, kept) for t, kept in found if kept]
    return found if len(found) <= count else [found[i * len(found) // count] for i in range(count)]


def identifiers(text: str) -> list[str]:
    return [m.strip(".:,") for m in IDENTIFIER.findall(text)]


def numbers(text: str) -> list[str]:
    """The numbers that are no part of an identifier."""
    return NUMBER.findall(IDENTIFIER.sub(" ", text))


def stammers(tokens: Sequence[int], source: Sequence[int]) -> bool:
    """Whether one to four tokens stand three times in a row, and do not in the source."""

    def found(ids: Sequence[int]) -> set[tuple[int, ...]]:
        runs = [(tuple(ids[i : i + n]), i, n) for n in range(1, 5) for i in range(len(ids) - 3 * n + 1)]
        return {gram for gram, i, n in runs if tuple(ids[i + n : i + 2 * n]) == gram == tuple(ids[i + 2 * n : i + 3 * n])}

    return bool(found(tokens) - found(source))


def strange_words(output: str, source: str, known: set[str]) -> list[str]:
    """The output's words that neither `known` (in lower case) nor the source has."""
    allowed = {w.lower() for w in WORD.findall(source)}
    return [w for w in WORD.findall(output) if w.lower() not in known and w.lower() not in allowed and len(w) > 1]


def _there(kept: str, output: str) -> bool:
    if kept == NEGATION:
        return NEGATED.search(output) is not None
    if NUMBER.fullmatch(kept):
        return kept in NUMBER.findall(output) or kept in output
    return kept in output


def measure(
    sources: Sequence[str], kept: Sequence[Sequence[str]], outputs: Sequence[served.Output], known: set[str] | None = None
) -> dict:
    """What of `kept` came back, and what else is wrong with the outputs. Raises ValueError when lengths differ."""
    if not len(sources) == len(kept) == len(outputs):
        raise ValueError(f"{len(sources)} sources, {len(kept)} lines of what to keep, {len(outputs)} outputs")
    counts: dict[str, list[int]] = {}
    lost, stammered, strange = [], [], []
    for source, words, output in zip(sources, kept, outputs):
        for word in words:
            kind = "negations" if word == NEGATION else "numbers" if NUMBER.fullmatch(word) else "words"
            there = _there(word, output.text)
            count = counts.setdefault(kind, [0, 0])
            count[0] += there
            count[1] += 1
            if not there:
                lost.append(f"{source} -> {output.text} ({word})")
        if any(stammers(s.tokens, s.source_ids) for s in output.segments):
            stammered.append(f"{source} -> {output.text}")
        if known is not None and strange_words(output.text, source, known):
            strange.append(f"{output.text} ({', '.join(strange_words(output.text, source, known))})")
    lines = sum(all(_there(w, o.text) for w in words) for words, o in zip(kept, outputs))
    found = {"lines": len(sources), "lines_that_keep_all": lines, "share_of_lines": round(lines / len(sources), 4)}
    for kind, (there, of) in sorted(counts.items()):
        found[kind] = {"kept": there, "of": of, "share": round(there / of, 4)}
    found["outputs_that_stammer"] = len(stammered)
    if known is not None:
        found |= {"outputs_with_strange_words": len(strange), "strange_share": round(len(strange) / len(sources), 4)}
    return found | {"lost": lost, "stammered": stammered} | ({"strange": strange} if known is not None else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="write OUT.src and OUT.kept")
    make.add_argument("kind", choices=["requests", "prohibitions", "sentences"])
    make.add_argument("--texts", type=pathlib.Path, nargs="+", default=[], help="sentences: the files to take lines from")
    make.add_argument("--count", type=int, help="how many; by default 300, 200 and 1000")
    make.add_argument("--seed", type=int, default=SEED)
    make.add_argument("--out", type=pathlib.Path, required=True)
    two = commands.add_parser("measure", help="what came back")
    two.add_argument("--sources", type=pathlib.Path, required=True)
    two.add_argument("--kept", type=pathlib.Path, required=True)
    two.add_argument("--served", type=pathlib.Path, required=True, help="JSON replies")
    two.add_argument("--known", type=pathlib.Path, nargs="+", help="texts whose words are words")
    arguments = parser.parse_args()
    if arguments.command == "make":
        count = arguments.count or {"requests": 300, "prohibitions": 200, "sentences": 1000}[arguments.kind]
        if arguments.kind == "sentences":
            made = sentences([line for path in arguments.texts for line in corpus.read_lines(path)], count)
        else:
            made = {"requests": requests, "prohibitions": prohibitions}[arguments.kind](count, arguments.seed)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        for ending, lines in ((".src", [t for t, _ in made]), (".kept", ["\t".join(k) for _, k in made])):
            arguments.out.with_suffix(ending).write_text("".join(f"{x}\n" for x in lines), encoding="utf-8")
        return
    known = None
    if arguments.known:
        known = {w.lower() for p in arguments.known for w in WORD.findall(p.read_text(encoding="utf-8"))}
    found = measure(
        corpus.read_lines(arguments.sources),
        [line.split("\t") for line in corpus.read_lines(arguments.kept)],
        served.parse(arguments.served.read_text(encoding="utf-8")),
        known,
    )
    json.dump(found, sys.stdout, ensure_ascii=False, indent=1)
    print()


if __name__ == "__main__":
    main()
