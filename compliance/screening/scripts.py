"""Names of scripts that write no vowels, or whose Latin spelling varies, made comparable.

A word becomes a sound key on both sides: consonants by classes, in which the usual spellings of a
letter of the script fall together, with what is known of the vowels between them. Keys of different
scripts are never compared: each script has classes of its own. See docs/compliance.md.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.distance import DamerauLevenshtein

from compliance.screening.names import ALTERNATIVES

VOWELS = frozenset("aeiou")
_WITHOUT_VOWELS = str.maketrans("", "", "aeiou")
VOWEL_DIFFERS, VOWEL_MISSING = 0.12, 0.02
# In words of one or two consonants vowels are most of what there is.
FEW_CONSONANTS, SHORT_WORD_FACTOR = 2, 3
MIN_LIKE_CONSONANTS = 0.75
LIKE_CONSONANTS_FACTOR = 0.95


def _table(pairs: str, silent: str) -> dict[int, str]:
    return {ord(pair[0]): pair[1] for pair in pairs.split()} | dict.fromkeys(map(ord, silent), "")


_ARABIC = _table(
    "بb تt ثt جj حh خX دd ذd رr زz سs شS صs ضd طt ظz غG فf قk كk لl مm نn هh"
    " پb چS ژz گj ڤf کk وu يi یi ىa اa",
    "ةعءأإآٱؤئـ",
)
_HEBREW = _table("בb גg דd זz טt יi כk ךk לl מm םm נn ןn סs פp ףp צz ץz קk רr שs תt", "אעה")
# Latin spellings, longest first within a script; what is not named stays as it is.
_ARABIC_LATIN = (
    *[("sh", "S"), ("ch", "S"), ("kh", "X"), ("gh", "G"), ("th", "t"), ("dh", "d"), ("ph", "f")],
    *[("ou", "u"), ("oo", "u"), ("ee", "i"), ("x", "ks"), ("q", "k"), ("c", "k"), ("p", "b")],
    *[("v", "f"), ("g", "j"), ("w", "u"), ("y", "i"), ("o", "u")],
)
_HEBREW_LATIN = (
    *[("tch", "s"), ("sch", "s"), ("sh", "s"), ("ch", "k"), ("kh", "k"), ("ck", "k"), ("tz", "z")],
    *[("ts", "z"), ("th", "t"), ("ph", "p"), ("x", "ks"), ("q", "k"), ("c", "k"), ("h", "")],
    *[("f", "p"), ("v", "b"), ("w", "b"), ("y", "i"), ("j", "i"), ("ou", "u"), ("o", "u")],
)
_KOREAN_LATIN = (
    *[("ng", "N"), ("sh", "s"), ("ch", "c"), ("kk", "k"), ("tt", "t"), ("pp", "p"), ("jj", "c")],
    *[("eo", "O"), ("eu", "U"), ("ae", "e"), ("oe", "e"), ("ee", "i"), ("oo", "u"), ("ou", "u")],
    *[("g", "k"), ("d", "t"), ("b", "p"), ("j", "c"), ("l", "r"), ("w", ""), ("y", "")],
    *[("O", "o"), ("U", "o"), ("u", "o")],
)
_ONSETS = [
    "k",
    "k",
    "n",
    "t",
    "t",
    "r",
    "m",
    "p",
    "p",
    "s",
    "s",
    "",
    "c",
    "c",
    "c",
    "k",
    "t",
    "p",
    "h",
]
_NUCLEI = [
    *["a", "e", "a", "e", "o", "e", "o", "e", "o", "a", "e"],
    *["e", "o", "u", "o", "e", "i", "u", "u", "ui", "i"],
]
_CODAS = [
    *["", "k", "k", "k", "n", "n", "n", "t", "r", "k", "m", "p", "r", "r", "p", "r", "m"],
    *["p", "p", "t", "t", "N", "t", "t", "k", "t", "p", ""],
]
_FIRST_SYLLABLE, _LAST_SYLLABLE = 0xAC00, 0xD7A3
# Family names whose usual spelling follows no table, as keys of both sides.
_KOREAN_FAMILIES = {
    **dict.fromkeys(["lee", "li", "ri", "rhee", "yi", "i"], "ri"),
    "park": "pak",
    "choi": "ce",
    "choe": "ce",
    "oh": "o",
    "shin": "sin",
    "yoo": "o",
    "yu": "o",
    "noh": "no",
    "roh": "no",
    "kwon": "kon",
    "woo": "u",
    "moon": "mun",
    "chung": "coN",
}
_KOREAN_NATIVE_FAMILIES = {"이": "ri", "리": "ri", "최": "ce", "유": "o", "노": "no", "우": "o"}

_ARABIC_ARTICLES = frozenset(["al", "el", "ul", "ad", "ar", "as", "ash", "at", "az", "an"])
_SERVANT = re.compile(r"\babd[aeiou][lrsz]? ?(?=[a-z]{3})")
_OF_THE_FAITH = re.compile(r"(?:[aeu]dd?|al)[ -]?(din|deen|dine)\b")
_VICH = re.compile(r"[vw]i(?:tch|ch|c|tz|ts)$")
_DOUBLED = re.compile(r"([^aeiou])\1+")
_SILENT_H = re.compile(r"(?<=[aeiu])h$")
_JOINED_ARTICLE = re.compile(r"^[ae]l(?=[b-df-hj-np-tv-z][a-z]{3})")


@dataclass(frozen=True)
class Script:
    """How words of a script and Latin words become keys; `native` may give several readings."""

    name: str
    first: int
    last: int
    native: Callable[[str], tuple[str, ...]]
    latin: Callable[[str], str]

    def is_of(self, text: str) -> bool:
        """Whether any letter of a text is of the script."""
        return not text.isascii() and any(self.first <= ord(char) <= self.last for char in text)


@lru_cache(maxsize=65_536)
def skeleton(key: str) -> str:
    """The consonants of a key; of a key without any, the key."""
    return key.translate(_WITHOUT_VOWELS) or key


@lru_cache(maxsize=100_000)
def key_similarity(first: str, second: str) -> float:
    """How alike two keys of one script are, 0 to 1; of alternatives those that are most alike."""
    if first == second:
        return 1.0
    if ALTERNATIVES in first or ALTERNATIVES in second:
        return max(
            key_similarity(one, other)
            for one in first.split(ALTERNATIVES)
            for other in second.split(ALTERNATIVES)
        )
    one, other = skeleton(first), skeleton(second)
    if one != other:
        if min(len(one), len(other)) <= 3:
            return 0.0
        like = float(DamerauLevenshtein.normalized_similarity(one, other))
        return like * LIKE_CONSONANTS_FACTOR if like >= MIN_LIKE_CONSONANTS else 0.0
    factor = SHORT_WORD_FACTOR if len(one) <= FEW_CONSONANTS else 1
    cost = 0.0
    for here, there in zip(_gaps(first), _gaps(second), strict=False):
        if here and there:
            cost += 0.0 if here & there else VOWEL_DIFFERS
        elif here or there:
            cost += VOWEL_MISSING
    return max(0.0, 1.0 - factor * cost)


def _gaps(key: str) -> list[frozenset[str]]:
    """The vowels before each consonant and after the last; "e" may be an "a" or an "i"."""
    found: list[set[str]] = [set()]
    for char in key:
        if char not in VOWELS:
            found.append(set())
        elif char == "e":
            found[-1].update("eai")
        else:
            found[-1].add(char)
    return [frozenset(gap) for gap in found]


@lru_cache(maxsize=65_536)
def _spelled(word: str, spellings: tuple[tuple[str, str], ...]) -> str:
    for latin, key in spellings:
        word = word.replace(latin, key)
    return _DOUBLED.sub(r"\1", word)


def _arabic_words(text: str) -> tuple[str, ...]:
    words = []
    for word in re.sub(r"[^\w\s]", " ", text.replace("الله", "لا")).split():
        bare = word[2:] if word.startswith("ال") and len(word) > 4 else word
        # An alif that begins a word carries any vowel.
        key = bare.lstrip("اأإآٱ").translate(_ARABIC)
        words.append(_only_letters(key))
    return (" ".join(word for word in words if word),)


def _arabic_latin(folded: str) -> str:
    text = _OF_THE_FAITH.sub(r" \1", folded)
    text = _SERVANT.sub("abd ", text)
    words = []
    for word in text.split():
        if word in _ARABIC_ARTICLES:
            continue
        bare = _JOINED_ARTICLE.sub("", word)
        key = _SILENT_H.sub("", _spelled(bare, _ARABIC_LATIN))
        words.append(key)
    return " ".join(words)


def _hebrew_words(text: str) -> tuple[str, ...]:
    """Vav is a vowel or a "v", and het an "h" as good as silent or a "ch": each word's readings."""
    words = []
    for word in re.sub(r"[^\w\s]", " ", text).split():
        bare = word.replace("וו", "ב")
        found = [
            _only_letters(bare.replace("ו", vav).replace("ח", het).translate(_HEBREW))
            for vav in ("u", "b")
            for het in ("", "k")
        ]
        words.append(ALTERNATIVES.join(dict.fromkeys(key for key in found if key)))
    return (" ".join(word for word in words if word),)


def _hebrew_latin(folded: str) -> str:
    words = (_VICH.sub("viz", word) for word in folded.split())
    return " ".join(_spelled(word, _HEBREW_LATIN) for word in words)


def _korean_words(text: str) -> tuple[str, ...]:
    """Words by their syllables; a family name is the first syllable, apart from the rest."""
    words = re.sub(r"[^\w\s]", " ", text).split()
    whole = [_korean_word(word) for word in words]
    found = [" ".join(whole)]
    if len(words) == 1 and 2 <= len(words[0]) <= 4:
        family, given = words[0][0], words[0][1:]
        found.append(f"{_korean_family(family)} {_korean_word(given)}")
    elif len(words) > 1 and len(words[0]) == 1:
        found.append(" ".join([_korean_family(words[0]), *whole[1:]]))
    return tuple(dict.fromkeys(found))


def _korean_family(syllable: str) -> str:
    return _KOREAN_NATIVE_FAMILIES.get(syllable) or _korean_word(syllable)


def _korean_word(word: str) -> str:
    key = []
    for char in word:
        code = ord(char) - _FIRST_SYLLABLE
        if not 0 <= code <= _LAST_SYLLABLE - _FIRST_SYLLABLE:
            continue
        key.append(_ONSETS[code // 588] + _NUCLEI[code % 588 // 28] + _CODAS[code % 28])
    return _DOUBLED.sub(r"\1", "".join(key)).replace("u", "o")


def _korean_latin(folded: str) -> str:
    words = folded.split()
    return " ".join(
        _KOREAN_FAMILIES.get(word) or _spelled(word, _KOREAN_LATIN) or word for word in words
    )


def _only_letters(key: str) -> str:
    return "".join(char for char in key if char.isascii() and char.isalpha())


SCRIPTS = (
    Script("arabic", 0x0600, 0x06FF, _arabic_words, _arabic_latin),
    Script("hebrew", 0x0590, 0x05FF, _hebrew_words, _hebrew_latin),
    Script("korean", _FIRST_SYLLABLE, _LAST_SYLLABLE, _korean_words, _korean_latin),
)
