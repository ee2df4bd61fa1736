"""Korean by rule: final consonants, the particles that hang on them, number words, names."""

from __future__ import annotations

import random
import re

from . import corpus

FIRST, LAST = 0xAC00, 0xD7A3  # the precomposed syllables, 28 to a vowel: no final consonant, then the 27
_RIEUL = 8  # the final consonant ㄹ among the 28

# Latin letters and digits whose Korean names end in a consonant (엘, 엠, 엔, 알; 영, 일, 삼, 육, 칠, 팔).
_CLOSED = {**dict.fromkeys("lr178", _RIEUL), **dict.fromkeys("mn036", 16)}

# Particles by what they follow: (after a consonant, after a vowel).
PAIRED = [("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"), ("으로", "로"), ("이랑", "랑"), ("이나", "나")]
FIXED = ["의", "에", "에서", "에게", "한테", "께", "하고", "도", "만", "까지", "부터", "보다", "에는", "에서는", "에도"]
PARTICLES = sorted({p for pair in PAIRED for p in pair} | set(FIXED), key=len, reverse=True)

_SINO = ["", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구"]
_NATIVE = ["", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉"]
_NATIVE_TENS = ["", "열", "스물", "서른", "마흔", "쉰"]

SURNAMES = "김이박최정강조윤장임한오서신권황안송류홍전고문양손배백허유남심노하곽성차주우구나민진지엄채원천방공"
GIVEN = "민서준지우현예은수연도윤하진영호성재훈경희정미선아나라은혜승주태원동건기석상철유빈다인규리해솔찬별"
_FOREIGN = (
    "가나다라마바사아자카타파하거너더러머버서어저커터퍼허고노도로모보소오조코토포호구누두루무부수우주쿠투푸후그느드르므브스즈크트프"
    "기니디리미비시이지키티피히엘렉밀벨셀첼델멜안인온엔"
)
_COMMON = corpus.CHARACTERS["ks-x-1001"]


def is_syllable(c: str) -> bool:
    return FIRST <= ord(c) <= LAST


def closing(word: str) -> int:
    """The final consonant of a word's last sound, 0 for none: of Hangul exactly, of Latin letters and digits by name."""
    last = word[-1]
    return (ord(last) - FIRST) % 28 if is_syllable(last) else _CLOSED.get(last.lower(), 0)


def with_particle(word: str, particle: str) -> str:
    """The word with the particle, in the form that the word's end asks for; another suffix stays as it is."""
    close = closing(word)
    for pair in PAIRED:
        if particle in pair:
            if pair[0] == "으로" and close == _RIEUL:
                return word + "로"
            return word + pair[0 if close else 1]
    return word + particle


def sino(number: int) -> str:
    """A number from 1 to 99,999,999 in Sino-Korean words: 이십이, 만오천."""
    if number >= 10_000:
        ten_thousands = sino(number // 10_000)
        return ("" if ten_thousands == "일" else ten_thousands) + "만" + (sino(number % 10_000) if number % 10_000 else "")
    words = ""
    for unit, name in ((1000, "천"), (100, "백"), (10, "십"), (1, "")):
        digit = number // unit % 10
        words += ("" if digit == 1 and name else _SINO[digit]) + (name if digit else "")
    return words


def native(number: int) -> str:
    """A number from 1 to 59 in native words, as it stands before a counter: 스무 개, 스물한 개."""
    if number == 20:
        return "스무"
    return _NATIVE_TENS[number // 10] + _NATIVE[number % 10]


def name(rng: random.Random, rare: float = 0.3) -> str:
    """A person's name; in `rare` of the cases one that sounds foreign, or any of the 2,350 (seldom of all) syllables."""
    if rng.random() >= rare:
        return rng.choice(SURNAMES) + "".join(rng.choices(GIVEN, k=rng.choice((1, 2, 2, 2, 2))))
    if rng.random() < 0.2:
        return "".join(chr(rng.randint(FIRST, LAST)) for _ in range(rng.choice((1, 2, 2, 3))))
    if rng.random() < 0.4:
        return "".join(rng.choices(_FOREIGN, k=rng.randint(2, 6)))
    return "".join(rng.choices(_COMMON, k=rng.choice((2, 2, 3, 3, 4))))


def split_particle(word: str) -> tuple[str, str]:
    """A word's stem of at least two syllables and its particle; the whole word and "" where it has none."""
    for particle in PARTICLES:
        if word.endswith(particle) and len(word) - len(particle) >= 2:
            return word[: -len(particle)], particle
    return word, ""


_HANGUL_WORD = re.compile(r"[가-힣]+")


def is_word(text: str) -> bool:
    """Whether a text is Hangul syllables alone."""
    return _HANGUL_WORD.fullmatch(text) is not None
