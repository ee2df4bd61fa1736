"""Variants, by rule, of Korean request pairs (what somebody says; its key phrase): the corpus has neither digits nor Latin
letters nor punctuation, few names, and 1 % prohibitions.

What stands on both sides is replaced on both by another of its kind: numbers and times, and nouns, by nouns, names, Latin
words and numbers, particles agreeing. A request becomes a prohibition. The source alone gets other endings, spacing and
final punctuation, for these do not change what is asked.

All words here are of our own writing; none of a test's sentences are among them (tests/export/requests_test.py).
"""

from __future__ import annotations

import random
import re
import string
from typing import Sequence

from ..text import hangul

Pair = tuple[str, str]

# Counters, and which numbers stand before them.
_NATIVE_COUNTERS = {"시": (1, 12), "시간": (1, 24), "개": (1, 59), "명": (1, 40), "살": (1, 59), "통": (1, 30), "건": (1, 30)}
_SINO_COUNTERS = {
    "분": (1, 59), "초": (1, 59), "도": (1, 40), "월": (1, 12), "일": (1, 31), "년": (1, 2099), "원": (100, 900_000),
    "층": (1, 40), "호": (1, 2500), "퍼센트": (1, 100), "프로": (1, 100), "주": (1, 10), "번": (1, 99), "개월": (1, 24),
}  # fmt: skip
_COUNTED = re.compile(
    r"(?<!\S)(?P<number>(?:열|스물|스무|서른)?(?:한|두|세|네|다섯|여섯|일곱|여덟|아홉)|열|스무|[일이삼사오육칠팔구십백천만]+)"
    r"(?P<gap> ?)(?P<counter>개월|시간|퍼센트|프로|시|분|초|도|월|일|년|원|층|호|주|번|개|명|살|통|건)(?=에|이|을|은|의|까|부|로|\s|$)"
)
_UNITS = ["%", "kg", "km", "GB", "℃", "도", "원", "개", "번", "호", "층", "인치", "와트", "리터", "ml", "cm"]

# Latin words that people mix in; others are made of letters and digits.
LATIN = (
    "TV USB PDF LED PC HDMI AC VIP SNS ATM GPS AI IT KBS MBC SBS CNN KTX SRT BTS NBA CEO CCTV Wi-Fi WIFI LTE 5G HWP PPT DVD CD "
    "Bluetooth iPhone iPad iOS Android Galaxy Windows Mac Linux Excel Word Outlook Teams Zoom Slack Notion Gmail Google Naver "
    "Kakao YouTube Netflix Spotify Instagram Facebook Twitter Apple Samsung LG Sony Amazon Nike Disney Tesla Melon Chrome Siri "
    "Python Java GitHub Docker OpenAI Switch PlayStation Xbox email SMS OK DJ MP3 B2B PM QR NFC OTP ID A4 HR PR UX demo server log"
).split()

_REQUESTS = [  # endings of requests by the stem that they leave; the source alone changes
    "줘", "줘요", "주세요", "줄래", "줄래요", "주라", "줘라", "주렴", "주겠니", "줄 수 있니", "줄 수 있어", "줄 수 있을까",
    "줄 수 있나요", "주시겠어요", "주실래요", "주면 좋겠어", "줘 봐", "주십시오", "줬으면 해", "주길 바랍니다",
]  # fmt: skip
_REQUEST = re.compile(r"(?<=[가-힣]) ?(?:줘요?|주세요|줄래요?|주라|줘라|주렴|주겠니|주련|줄 ?수 ?있니)$")
_PROHIBITIONS = [
    "지 마", "지마", "지 마라", "지 마세요", "지 말아", "지 말아라", "지 말아 줘", "지 말아줘", "지 말아 주세요", "지 말아줄래", "지 말자",
    "지 말고", "지 말라니까", "지 말아요", "지 마시오", "지 말길 바랍니다", "지 않았으면 해", "지 않도록 해", "지 않도록 해 줘", "지 않는 게 좋겠어",
]  # fmt: skip
_WARNINGS = ["면 안 돼", "면 안돼", "면 안 된다", "면 안 됩니다", "면 안 돼요", "면 안 되지", "면 큰일 나", "면 곤란해"]
_QUESTIONS = [("있니", ["있어", "있나", "있나요", "있어요", "있을까", "있습니까", "있냐", "있는지 알려 줘", "있는지 확인해 줘"])]
_QUESTIONS += [("되니", ["돼", "되나", "되나요", "돼요", "됩니까", "될까"]), ("언제니", ["언제야", "언제지", "언제인가요", "언제예요"])]
_QUESTIONS += [("어떠니", ["어때", "어떤가요", "어때요", "어떤지 알려 줘"]), ("하니", ["해", "하나요", "합니까", "하냐"])]
_QUESTIONS += [("뭐니", ["뭐야", "뭐지", "뭔가요", "뭐예요"]), ("얼마니", ["얼마야", "얼마지", "얼마인가요", "얼마예요"])]
_QUESTIONS += [("했니", ["했어", "했나요", "했어요", "했지", "했을까"]), ("왔니", ["왔어", "왔나요", "왔어요", "왔지", "왔을까"])]
_OPENERS = ["혹시", "저기", "음", "야", "그리고", "자", "있잖아", "미안한데", "그럼", "지금 바로"]
_TIMES = (
    "오늘 내일 모레 글피 어제 그제 이번주 다음주 지난주 저번주 다다음주 이번달 다음달 지난달 올해 내년 작년 오전 오후 아침 점심 저녁 밤 새벽 "
    "월요일 화요일 수요일 목요일 금요일 토요일 일요일 주말 평일 연말 명절 추석 설날 크리스마스 오늘밤 내일밤 이따가 방금 지금 현재"
).split()
_WHEN = set(_TIMES)  # replaced among themselves and by dates
_ADNOMINALS = set("온 보낸 받은 읽은 한 된 도착한 끝난 삭제한 삭제된 저장된 저장한 예약한 첨부된 확인한 확인된 수신된 작성한 찍은".split())
_ADNOMINALS |= set("선택한 구매한 결제한 등록한 등록된 신청한 쓴 산 먹은 본 나온 완료된 처리된 켠 끈 연 닫은 답장한".split())


def latin(rng: random.Random) -> str:
    """A Latin word: a known one, or made up, at times with digits, a dot or a hyphen."""
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(LATIN)
    if kind < 0.65:
        return "".join(rng.choices(string.ascii_uppercase, k=rng.randint(1, 5)))
    word = "".join(_sounds(rng) for _ in range(rng.randint(1, 4)))
    word = word.capitalize() if rng.random() < 0.6 else word
    if kind < 0.82:
        return word
    if kind < 0.9:
        return f"{word}{rng.choice(('', '-', ' '))}{digits(rng)}"
    other = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 6)))
    ending = rng.choice("txt pdf docx xlsx pptx jpg png csv zip mp3 com net kr io".split())
    number = rng.choice(("", digits(rng), f"_v{rng.randint(1, 9)}", f"{rng.randint(0, 20):02d}"))
    return rng.choice((f"{word}@{other}.{ending}", f"{other}{number}.{ending}", f"{word}_{other}{number}", f"{word}-{other}"))


def _sounds(rng: random.Random) -> str:
    """A few letters that can be said, doubled ones at times."""
    start = rng.choice("b c d f g h j k l m n p r s t v w y z bl br ch cl cr dr fl fr gr kr ph pl qu sh sl sp st th tr".split())
    middle = rng.choice("a e i o u a e i o ai ea ee oo ou".split())
    return start + middle + rng.choice(("", "", "", *"lmnrstx", "ll", "ss", "tt", "nd", "rk", "nt", "ck"))


def digits(rng: random.Random) -> str:
    """A number in digits, of any length up to six, the short ones more often."""
    kind = rng.random()
    if kind < 0.8:
        return str(rng.randrange(10 ** rng.choice((1, 2, 2, 2, 3, 3, 4, 5, 6))))
    if kind < 0.9:
        return f"{rng.randrange(1, 1000):,},{rng.randrange(1000):03d}" if kind < 0.85 else f"{rng.randrange(1, 100)},000"
    return f"{rng.randrange(100)}.{rng.randrange(100)}"


def counted(rng: random.Random, counter: str, gap: str) -> str:
    """A number before `counter`, in words or in digits."""
    low, high = (_NATIVE_COUNTERS | _SINO_COUNTERS)[counter]
    number = rng.randint(low, high)
    if counter in ("년", "원") and rng.random() < 0.5:
        number = rng.randint(1990, 2040) if counter == "년" else rng.randint(1, 90) * 1000
    if rng.random() < 0.6:
        if counter == "시" and rng.random() < 0.3:
            minutes = rng.randint(0, 59)
            return rng.choice((f"{number}시 {minutes}분", f"{number}:{minutes:02d}", f"{rng.randint(0, 23):02d}:{minutes:02d}"))
        if counter == "월" and rng.random() < 0.5:
            return f"{number}월 {rng.randint(1, 31)}일"
        if counter == "퍼센트" and rng.random() < 0.5:
            return f"{number}%"
        if counter == "원" and number >= 1000 and rng.random() < 0.4:
            return f"{number:,}{counter}"
        return f"{number}{gap if rng.random() < 0.5 else ''}{counter}"
    word = hangul.native(number) if counter in _NATIVE_COUNTERS else hangul.sino(number)
    return f"{word}{gap}{counter}"


class Variants:
    """Makes variants of pairs; what it knows of nouns it reads off the pairs that it is given.

    variant() is a function of the generator's state and the pair alone.
    """

    def __init__(self, pairs: Sequence[Pair]):
        seen: dict[str, set[str]] = {}
        counts: dict[str, int] = {}
        for source, target in pairs:
            for stem, suffix, _ in self._shared(source, target):
                seen.setdefault(stem, set()).add(suffix)
                counts[stem] = counts.get(stem, 0) + 1
        # A word that is met with several particles is a noun, unless it has a particle itself.
        common = {s for s, suffixes in seen.items() if counts[s] >= 3 and len(suffixes) >= 2}
        self.nouns = sorted(s for s in common if hangul.split_particle(s)[0] not in common - {s} and s not in _WHEN)
        self._known = set(self.nouns) | _WHEN
        self._weights = [counts[n] ** 0.5 for n in self.nouns]

    @staticmethod
    def _shared(source: str, target: str) -> list[tuple[str, str, str]]:
        """The words of both sides that differ in their particles at most: (stem, source's particle, target's)."""
        targets = {}
        for word in target.split():
            targets.setdefault(hangul.split_particle(word)[0], hangul.split_particle(word)[1])
            targets.setdefault(word, "")
        found = []
        for word in source.split():
            for stem, suffix in ((word, ""), hangul.split_particle(word)):
                if len(stem) >= 2 and stem in targets and hangul.is_word(stem):
                    found.append((stem, suffix, targets[stem]))
                    break
        return found

    def variant(self, pair: Pair, rng: random.Random) -> Pair:
        """One variant of a pair: a change of what is on both sides, mostly, and of how the source says it."""
        source, target = pair
        if rng.random() < 0.25:
            source, target = self._forbidden(source, target, rng)
        if rng.random() < 0.05:
            source, target = self._negated(source, target, rng)
        if rng.random() < 0.7:
            source, target = self._numbers(source, target, rng)
        if rng.random() < 0.6:
            source, target = self._noun(source, target, rng)
            if rng.random() < 0.25:
                source, target = self._noun(source, target, rng)
        return self.said(source, rng), target

    def said(self, source: str, rng: random.Random) -> str:
        """The source said otherwise: its ending, its spacing, what opens it, its last punctuation mark."""
        question = source.endswith(("니", "까", "나요", "지", "어때"))
        if rng.random() < 0.25:
            source = _REQUEST.sub(lambda m: rng.choice((" ", "")) + rng.choice(_REQUESTS), source)
        if rng.random() < 0.25:
            for ending, others in _QUESTIONS:
                if source.endswith(ending):
                    source = source[: -len(ending)] + rng.choice(others)
                    break
        if rng.random() < 0.15:
            source = re.sub(r"(?<=[가-힣])(?=(?:줘요?|주세요|줄래요?|주라|줘라|줄 수 있니)$)", " ", source)
        if rng.random() < 0.06:
            source = f"{rng.choice(_OPENERS)}{rng.choice(('', '', ','))} {source}"
        if rng.random() < 0.03:
            source += rng.choice((" 부탁해", " 고마워", " 제발", " 빨리"))
        if rng.random() < 0.4:
            source += rng.choice(("?", "?", "?", ".", "??", "...") if question else (".", ".", "!", "~", "!!", "..."))
        return source

    def _numbers(self, source: str, target: str, rng: random.Random) -> Pair:
        """Each number with a counter that stands on both sides becomes another one."""
        for match in reversed(list(_COUNTED.finditer(source))):
            whole = match[0]
            native = match["counter"] in _NATIVE_COUNTERS
            if native == bool(re.fullmatch("[일이삼사오육칠팔구십백천만]+", match["number"])) and match["number"] != "열":
                continue  # 이 시, 두 분: no number of that counter
            if not re.search(rf"(?<!\S){whole}", target) or source.count(whole) != 1 or target.count(whole) != 1:
                continue
            new = counted(rng, match["counter"], match["gap"])
            source, target = source.replace(whole, new), target.replace(whole, new)
        return source, target

    def _other(self, rng: random.Random) -> str:
        """What a noun is replaced by."""
        kind = rng.random()
        if kind < 0.3:
            return rng.choices(self.nouns, self._weights)[0]
        if kind < 0.55:
            title = rng.choice(("", "", "", "씨", " 씨", "님", " 과장", " 대리", " 팀장님", " 선생님", "이"))
            return hangul.name(rng) + title
        if kind < 0.8:
            return latin(rng)
        if kind < 0.9:
            return f"{latin(rng)} {rng.choices(self.nouns, self._weights)[0]}"
        return digits(rng) + rng.choice(_UNITS)

    @staticmethod
    def _time(rng: random.Random) -> str:
        """What a word for a time is replaced by."""
        if rng.random() < 0.5:
            return rng.choice(_TIMES)
        month, day = rng.randint(1, 12), rng.randint(1, 31)
        dates = f"{month}월 {day}일", f"{day}일", f"{month}월", f"{month}/{day}", f"{rng.randint(1990, 2040)}년"
        return rng.choice((*dates, f"{rng.randint(1, 60)}분 뒤", f"{rng.randint(1, 24)}시간 후", f"D-{day}"))

    def _noun(self, source: str, target: str, rng: random.Random) -> Pair:
        """One noun of both sides becomes another word, and its particles with it."""
        found = [f for f in self._shared(source, target) if f[0] in self._known]
        if not found:
            return source, target
        stem, suffix, target_suffix = rng.choice(found)
        new = self._time(rng) if stem in _WHEN else self._other(rng)
        sides = []
        for text, particle in ((source, suffix), (target, target_suffix)):
            words = text.split(" ")
            at = next((i for i, w in enumerate(words) if w == stem + particle), None)
            if at is None:
                return source, target
            words[at] = hangul.with_particle(new, particle)
            sides.append(" ".join(words))
        return sides[0], sides[1]

    @staticmethod
    def _forbidden(source: str, target: str, rng: random.Random) -> Pair:
        """A request becomes a prohibition: 전등 꺼 줘, 전등 끄기; 전등 끄지 마, 전등 끄지 않기."""
        verb = target.split()[-1]
        if not verb.endswith("기") or verb.endswith(("않기", "말기", "읽기표시")) or len(verb) < 2:
            return source, target
        stem = verb[:-1]
        words = re.sub(r"(?: 줘요?| 주세요| 줄래| 주겠니|(?: 줄)? ?수 ?있니| 봐| 봐라)$", "", source).split()
        # The last word is the target's verb where both begin with the same consonant; 하다 hangs on its noun.
        last, known = words[-1], words[-1][0]
        if not (hangul.is_syllable(known) and hangul.is_syllable(stem[0])):
            return source, target
        if (ord(known) - hangul.FIRST) // 588 != (ord(stem[0]) - hangul.FIRST) // 588 or len(words) < 2 or "않" in last:
            return source, target
        ending = rng.choice(_WARNINGS if rng.random() < 0.4 else _PROHIBITIONS)
        if ending.startswith("면") and hangul.closing(stem) not in (0, 8):
            ending = "으" + ending
        words[-1] = stem + ending
        return " ".join(words), f"{target[:-1]}지 않기"

    @staticmethod
    def _negated(source: str, target: str, rng: random.Random) -> Pair:
        """보낸 메일 becomes 안 보낸 메일, on both sides."""
        both = [w for w in source.split() if w in _ADNOMINALS and w in target.split()]
        if not both or re.search(r"(?<!\S)(?:안|못)(?!\S)", source):
            return source, target
        word, how = rng.choice(both), rng.choice(("안", "안", "못", "아직 안"))
        spot = re.compile(rf"(?<!\S){word}(?!\S)")
        return spot.sub(f"{how} {word}", source, count=1), spot.sub(f"{how} {word}", target, count=1)
