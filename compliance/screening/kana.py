"""Kana in Latin letters as passports write them (Hepburn without long vowels), and unread kanji.

Source: the table of Japan's passport rules, https://www.ezairyu.mofa.go.jp/passport/hebon.html
"""

import re
import unicodedata
from collections.abc import Sequence

_HIRAGANA, _KATAKANA = range(0x3041, 0x3097), range(0x30A1, 0x30F7)
_OFFSET = _KATAKANA.start - _HIRAGANA.start
_WRITTEN = (
    "あいうえおかきくけこがぎぐげごさしすせそざじずぜぞたちつてとだぢづでどなにぬねの"
    "はひふへほばびぶべぼぱぴぷぺぽまみむめもやゆよらりるれろわゐゑをんゔぁぃぅぇぉゃゅょゎ"
)
_SPELLED = """
a i u e o ka ki ku ke ko ga gi gu ge go sa shi su se so za ji zu ze zo ta chi tsu te to
da ji zu de do na ni nu ne no ha hi fu he ho ba bi bu be bo pa pi pu pe po ma mi mu me mo
ya yu yo ra ri ru re ro wa i e o n vu _a _i _u _e _o _ya _yu _yo _wa
"""
_SYLLABLES = dict(zip(_WRITTEN, _SPELLED.split(), strict=True))
_LENGTHENED = re.compile(r"ー|(?<=[ou])u|(?<=o)o")


_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u30fc]")
# With the sign that repeats one.
_HAN = re.compile("[\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
JAPAN = "JP"


def is_in_unread_kanji(names: Sequence[str], country_code: str) -> bool:
    """Whether somebody's names are Japanese and all of them written in kanji.

    These have their Mandarin reading here, by which no Japanese name is listed. That a name is
    Japanese says the country, or kana beside the kanji.
    """
    written = [unicodedata.normalize("NFKC", name) for name in names]
    kanji = [name for name in written if _HAN.search(name)]
    is_japanese = country_code == JAPAN or any(map(_KANA.search, kanji))
    return bool(kanji) and is_japanese and len(kanji) == len(written)


def with_romaji(text: str) -> str:
    """The text with its kana in Latin letters; all else as it is."""
    if text.isascii() or not any("\u3041" <= char <= "\u30fc" for char in text):
        return text
    return re.sub(r"[\u3041-\u3096\u30a1-\u30f6\u30fc]+", lambda found: _romaji(found[0]), text)


def _romaji(kana: str) -> str:
    written = []
    for char in kana:
        hiragana = chr(ord(char) - _OFFSET) if ord(char) in _KATAKANA else char
        written.append(_SYLLABLES.get(hiragana, "*" if hiragana == "っ" else hiragana))
    latin = "".join(written)
    # A small "ya" after "ki" makes "kya"; after "shi", "chi" and "ji" it is "sha", "cha", "ja".
    latin = re.sub(r"(?<=sh|ch)i_y?(?=[aeiou])|(?<=j)i_y?(?=[aeiou])", "", latin)
    latin = re.sub(r"(?<=[a-z])i_y", "y", latin)
    latin = re.sub(r"(?<=[a-z])[aiueo]_(?=[aeiou])", "", latin).replace("_", "")
    latin = re.sub(r"\*(?=ch)", "t", latin)
    latin = re.sub(r"\*(?=([a-z]))", lambda found: found[1], latin).replace("*", "")
    return _LENGTHENED.sub("", latin)
