"""Other readings of a name: look-alike letters and digits, Greek as it is spoken, and Chinese
family names that are read otherwise than their characters elsewhere.

They are searched beside the name as it is written, so that no reading loses what another finds.
"""

import re
import unicodedata
from pathlib import Path

_TABLE: dict[str, dict[int, str]] = {
    name: dict(zip(map(ord, shown), latin, strict=True))
    for name, shown, latin in (
        line.split("\t")
        for line in (Path(__file__).parent.parent / "data" / "look_alikes.tsv")
        .read_text(encoding="utf-8")
        .splitlines()
        if not line.startswith("#")
    )
}
_LETTERS = {**_TABLE["cyrillic"], **_TABLE["greek"]}
_DIGITS = _TABLE["digits"]
_DIGITS_WITH_L = {**_DIGITS, ord("1"): "l"}
_HAN_FAMILIES: dict[str, tuple[str, ...]] = {
    written: tuple(spoken.split("|"))
    for written, spoken in (
        line.split("\t")
        for line in (Path(__file__).parent.parent / "data" / "han_family_names.tsv")
        .read_text(encoding="utf-8")
        .splitlines()
        if not line.startswith("#")
    )
}
_GREEK = re.compile("[\u0370-\u03ff]")
_SPOKEN = [
    (re.compile(greek), latin)
    for greek, latin in (
        ("\\bντ", "d"),
        ("\\bμπ", "b"),
        ("γγ", "ng"),
        ("γκ", "g"),
        ("γι(?=[αεουω])", "y"),
        ("(?<=[αε])υ(?=[θκξπσςτφχψ])", "f"),
        ("(?<=[αε])υ", "v"),
    )
]
_STANDS_FOR_LETTER = re.compile(r"[0-9@$!|]")


def readings(name: str) -> tuple[str, ...]:
    """The name as written, then what else it may be read as; each once."""
    letters = name
    if not name.isascii():
        letters = " ".join(_as_latin(word) for word in name.split())
    found = [name, letters]
    if not name.isascii():
        found += _with_family_read(name)
    if _GREEK.search(name):
        found.append(_by_ear(name))
    if _STANDS_FOR_LETTER.search(letters):
        words = letters.split()
        found += [
            " ".join(_without_digits(word, table) for word in words)
            for table in (_DIGITS, _DIGITS_WITH_L)
        ]
    return tuple(dict.fromkeys(found))


def _with_family_read(name: str) -> list[str]:
    """A Chinese name with its family name in pinyin as families are read, in each way there is."""
    for length in (2, 1):
        family, rest = name[:length], name[length:]
        if family in _HAN_FAMILIES:
            return [f"{spoken} {rest}" for spoken in _HAN_FAMILIES[family]]
    return []


def _by_ear(name: str) -> str:
    """Greek pairs of letters as they are spoken, which is how many names are spelled abroad.

    Source: ISO 843 (ELOT 743), its transcription.
    """
    bare = unicodedata.normalize("NFD", name.lower())
    bare = "".join(char for char in bare if not unicodedata.combining(char))
    for greek, latin in _SPOKEN:
        bare = greek.sub(latin, bare)
    return bare


def _as_latin(word: str) -> str:
    """A word that mixes scripts, or that is written in look-alikes alone, in Latin letters."""
    letters = [char for char in word if char.isalpha()]
    foreign = [char for char in letters if not unicodedata.name(char, "").startswith("LATIN")]
    is_mixed = len(foreign) < len(letters)
    if foreign and (is_mixed or all(ord(char) in _LETTERS for char in foreign)):
        return word.translate(_LETTERS)
    return word


def _without_digits(word: str, table: dict[int, str]) -> str:
    """Digits as letters in a word that has letters: "360" stays as it is."""
    bare = word.rstrip("!")
    return bare.translate(table) if any(char.isalpha() for char in bare) else word
