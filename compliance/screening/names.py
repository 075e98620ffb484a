"""Names made comparable: one script, one case, no punctuation, no legal forms."""

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from anyascii import anyascii

MAX_TOKENS = 16
MAX_TOKEN_LENGTH = 40

# "S.A.", "L.L.C.": initials with dots are one word; an initial and a name ("J. Doe") are two.
_DOTTED = re.compile(r"\b(?:\w\.){2,}")
_APOSTROPHES = re.compile(r"['`’ʼʻ]")
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
        "and",
        "association",
        "bank",
        "center",
        "centre",
        "commercial",
        "complex",
        "construction",
        "de",
        "development",
        "engineering",
        "enterprise",
        "enterprises",
        "establishment",
        "exchange",
        "export",
        "factory",
        "for",
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
        "management",
        "manufacturing",
        "marine",
        "maritime",
        "national",
        "of",
        "office",
        "oil",
        "organization",
        "petroleum",
        "production",
        "products",
        "research",
        "service",
        "services",
        "ship",
        "shipping",
        "solutions",
        "state",
        "store",
        "supply",
        "system",
        "systems",
        "technical",
        "technologies",
        "technology",
        "the",
        "trade",
        "trading",
        "transport",
        "university",
    ]
)
GENERIC_WEIGHT = 0.3


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
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    latin = _APOSTROPHES.sub("", anyascii(bare)).lower()
    dotted = _DOTTED.sub(lambda found: found.group().replace(".", ""), latin)
    return _NOT_WORD.sub(" ", dotted).strip()


def normalise(name: str, *, is_person: bool) -> NormalName:
    """The words of a name; a name of nothing but legal forms keeps them.

    "DOE, John" is the list's way to put a family name first; order counts for nothing later.
    """
    folded = fold(name)
    if not is_person:
        folded = _without_long_forms(folded)
    words = folded.split()
    dropped = HONORIFICS if is_person else LEGAL_FORMS
    kept = [word for word in words if word not in dropped] or words or fold(name).split()
    return NormalName(tuple(word[:MAX_TOKEN_LENGTH] for word in kept[:MAX_TOKENS]))


def _without_long_forms(folded: str) -> str:
    padded = f" {folded} "
    for form in _LONG_FORMS:
        padded = padded.replace(f" {form} ", " ")
    return padded.strip() or folded


def weight(token: str) -> float:
    """How much a word says about which name it is: by its length, and little if it is generic."""
    if token in GENERIC_WORDS:
        return GENERIC_WEIGHT
    return math.sqrt(min(len(token), 8))
