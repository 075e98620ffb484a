"""Names made comparable: one script, one case, no punctuation, no legal forms."""

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from anyascii import anyascii

from compliance.screening.kana import with_romaji

# Raised with every change of what is found: whoever was screened by older rules is screened again.
RULES_VERSION = 4

MAX_TOKEN_LENGTH = 200
# Between the readings of one word.
ALTERNATIVES = "|"

# "S.A.", "L.L.C.": initials with dots are one word; an initial and a name ("J. Doe") are two.
_DOTTED = re.compile(r"\b(?:\w\.){2,}")
_APOSTROPHES = re.compile(r"['`’ʼʻ]")
# Private and unassigned characters: what they show is between the sender and a font.
_UNKNOWN = ("Co", "Cn")
# "か" and "が" differ by one: it is no accent.
_KANA_MARKS = "\u3099\u309a"
_NOT_WORD = re.compile(r"[^a-z0-9]+")

# Common company forms after transliteration: https://www.gleif.org/en/about-lei/code-lists (ELF)
# without the rare ones. They say what a company is, not which.
LEGAL_FORMS = frozenset(
    [
        "ab",
        "ag",
        "aktiengesellschaft",
        "ao",
        "aps",
        "as",
        "asa",
        "bhd",
        "bv",
        "bvba",
        "co",
        "company",
        "corp",
        "corporation",
        "cv",
        "doo",
        "dooel",
        "ead",
        "eirl",
        "eood",
        "ev",
        "fze",
        "fzco",
        "fzllc",
        "fzc",
        "gesmbh",
        "gmbh",
        "hf",
        "inc",
        "incorporated",
        "jsc",
        "jsco",
        "kg",
        "kft",
        "kk",
        "kgaa",
        "lda",
        "limited",
        "limitada",
        "llc",
        "llp",
        "lp",
        "ltd",
        "ltda",
        "mbh",
        "nv",
        "oao",
        "obshchestvo",
        "ohg",
        "ojsc",
        "oo",
        "ood",
        "ooo",
        "oy",
        "oyj",
        "pao",
        "pjsc",
        "plc",
        "pllc",
        "pt",
        "pte",
        "pty",
        "pvt",
        "private",
        "public",
        "qsc",
        "sa",
        "sae",
        "sal",
        "saog",
        "saoc",
        "saol",
        "sarl",
        "sas",
        "sdn",
        "snc",
        "sociedad",
        "societe",
        "spa",
        "sl",
        "slu",
        "sp",
        "spol",
        "spzoo",
        "sprl",
        "srl",
        "srlu",
        "sro",
        "tbk",
        "uab",
        "ug",
        "wll",
        "yk",
        "zao",
        "zoo",
        "zrt",
    ]
)
# Forms of several words, longest first, as they stand after folding.
_LONG_FORMS = (
    "obshchestvo s ogranichennoi otvetstvennostiu",
    "obshchestvo s ogranichennoy otvetstvennostyu",
    "gesellschaft mit beschraenkter haftung",
    "gesellschaft mit beschrankter haftung",
    "open joint stock company",
    "public joint stock company",
    "closed joint stock company",
    "limited liability company",
    "joint stock company",
    "free zone company",
    "sociedad anonima",
    "societe anonyme",
    "sp z o o",
    "sp z oo",
    "l l c",
    "s p a",
    "s de r l de c v",
    "s r o",
    "d o o",
    "s a",
)
HONORIFICS = frozenset(
    [
        "dr",
        "eng",
        "engr",
        "hadji",
        "haji",
        "hajji",
        "mr",
        "mrs",
        "ms",
        "prof",
        "sheik",
        "sheikh",
        "shaykh",
        "sir",
    ]
)
# Words that many organisations share; they count little for which one it is.
GENERIC_WORDS = frozenset(
    [
        "agency",
        "airlines",
        "airways",
        "association",
        "aviation",
        "bank",
        "center",
        "centre",
        "commercial",
        "complex",
        "construction",
        "design",
        "development",
        "digital",
        "electronics",
        "energy",
        "engineering",
        "enterprise",
        "enterprises",
        "establishment",
        "exchange",
        "export",
        "factory",
        "finance",
        "financial",
        "foundation",
        "general",
        "group",
        "holding",
        "holdings",
        "import",
        "industrial",
        "industries",
        "industry",
        "institute",
        "international",
        "investment",
        "investments",
        "logistics",
        "machinery",
        "management",
        "manufacturing",
        "marine",
        "maritime",
        "media",
        "metals",
        "mining",
        "national",
        "network",
        "office",
        "oil",
        "organization",
        "petroleum",
        "production",
        "products",
        "research",
        "security",
        "service",
        "services",
        "ship",
        "shipping",
        "software",
        "solutions",
        "state",
        "steel",
        "store",
        "studio",
        "supply",
        "system",
        "systems",
        "technical",
        "technologies",
        "technology",
        "telecom",
        "tourism",
        "trade",
        "trading",
        "transport",
        "travel",
        "university",
    ]
)
# Particles that many names share; alone they say nothing of who somebody is.
PARTICLES = frozenset(
    [
        "al",
        "bin",
        "bint",
        "de",
        "del",
        "der",
        "di",
        "dos",
        "el",
        "ibn",
        "la",
        "los",
        "ul",
        "van",
        "von",
    ]
)
GENERIC_WEIGHT = 0.3
# Words that people put around a name and that are hardly ever part of one.
_FILLER_TABLE = [
    phrase.strip()
    for line in (Path(__file__).parent.parent / "data" / "filler_words.txt")
    .read_text(encoding="utf-8")
    .splitlines()
    if not line.startswith("#")
    for phrase in line.split(";")
]
FILLERS = frozenset(phrase for phrase in _FILLER_TABLE if " " not in phrase)
_FILLER_PHRASES = re.compile(
    "|".join(
        rf"\b{phrase}\b" for phrase in sorted(_FILLER_TABLE, key=len, reverse=True) if " " in phrase
    )
)
FILLER_WEIGHT = 0.02


@dataclass(frozen=True)
class NormalName:
    """A name's words in their order, ready to be compared with another's."""

    tokens: tuple[str, ...]

    @property
    def joined(self) -> str:
        """The words without spaces: "al qaida" and "alqaida" are one."""
        return "".join(self.tokens)


@lru_cache(maxsize=65_536)
def fold(text: str) -> str:
    """Latin letters and digits in lower case, single spaces; transliterated where it has to be.

    NFKD takes accents and typographic variants apart, anyascii writes every other script in Latin.
    """
    latin = _APOSTROPHES.sub("", "".join(map(_latin, with_romaji(_bare(text))))).lower()
    dotted = _DOTTED.sub(lambda found: found.group().replace(".", ""), latin)
    return _NOT_WORD.sub(" ", dotted).strip()


def _bare(text: str) -> str:
    """Without accents and without signs that nobody sees (zero width, directions, soft hyphens)."""
    if text.isascii():
        return text
    decomposed = "".join(
        char
        for char in unicodedata.normalize("NFKD", text)
        if char in _KANA_MARKS
        or (not unicodedata.combining(char) and unicodedata.category(char) != "Cf")
    )
    # Kana with their marks and syllables of Hangul are letters of their own again.
    return unicodedata.normalize("NFC", decomposed)


@lru_cache(maxsize=65_536)
def _latin(char: str) -> str:
    """A character in Latin letters; a picture ("☎") is none, though anyascii has a word for it."""
    if char.isascii():
        return char
    latin = anyascii(char)
    is_picture = unicodedata.category(char) == "So" and not (len(latin) == 1 and latin.isalnum())
    return " " if is_picture else latin


def is_comparable(name: str, *, is_person: bool) -> bool:
    """Whether a name leaves anything to compare with a list, and none of its words is unreadable.

    Nothing is left of signs alone, and of legal forms, titles and fillers alone.
    """
    if not name.isascii() and not all(_is_readable(word) for word in _bare(name).split()):
        return False
    dropped = HONORIFICS if is_person else LEGAL_FORMS
    words = _without_phrases(fold(name), is_person=is_person).split()
    return any(word not in dropped and word not in FILLERS for word in words)


def _is_readable(word: str) -> bool:
    """Whether most of a word's letters have a Latin spelling."""
    letters = [char for char in word if char.isalnum() or unicodedata.category(char) in _UNKNOWN]
    lost = sum(1 for char in letters if not _latin(char).strip())
    return 2 * lost <= len(letters) if len(letters) > 1 else lost == 0


def normalise(name: str, *, is_person: bool) -> NormalName:
    """The words of a name; a name of nothing but legal forms keeps them.

    "DOE, John" is the list's way to put a family name first; order counts for nothing later. A
    family name is none of the titles that it reads like ("SHEIKH, John").
    """
    folded = fold(name)
    words = (_without_phrases(folded, is_person=is_person) or folded).split()
    dropped = HONORIFICS if is_person else LEGAL_FORMS
    if is_person and "," in name:
        dropped = dropped - frozenset(_only_titles(name.partition(",")[0]))
    kept = [word for word in words if word not in dropped] or words
    return NormalName(tuple(word[:MAX_TOKEN_LENGTH] for word in kept))


def _only_titles(family: str) -> list[str]:
    words = fold(family).split()
    return words if all(word in HONORIFICS for word in words) else []


def _without_phrases(folded: str, *, is_person: bool) -> str:
    """Without legal forms of several words, for organisations, and what introduces a name."""
    padded = f" {_FILLER_PHRASES.sub(' ', folded)} "
    if not is_person:
        for form in _LONG_FORMS:
            padded = padded.replace(f" {form} ", " ")
    return padded.strip()


@lru_cache(maxsize=65_536)
def weight(token: str) -> float:
    """How much a word says about which name it is: by its length, and little if it is generic."""
    if token in FILLERS:
        return FILLER_WEIGHT
    token, _, _ = token.partition(ALTERNATIVES)
    if token in GENERIC_WORDS or token in PARTICLES:
        return GENERIC_WEIGHT
    return math.sqrt(min(len(token), 8))
