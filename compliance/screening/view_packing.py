"""Writes what a view of names reads (view.py), and what of a name both sides look at."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable

from compliance.screening.bit_sums import pack_needs
from compliance.screening.names import NormalName, weight
from compliance.screening.packed import Packing
from compliance.screening.scoring import MAX_RUN
from compliance.screening.spelling import sounds

# Of either name, by weight and without single letters, has to be found in the other to compare
# their words: with less no score reaches the threshold.
MIN_COVERAGE = 0.74
# Words that are more than what may be missing of a name: one of them is there, or too little is.
SEED_SHARE = 1 - MIN_COVERAGE + 0.04
# Weights are added up in whole numbers of this share of one.
WEIGHT_UNIT = 1 / 8
MAX_ARRANGED_WORDS = 8


def pack_view(
    packing: Packing,
    prefix: str,
    rows: Iterable[tuple[int, NormalName, tuple[str, ...]]],
    stem: Callable[[str], str] = str,
    *,
    has_sounds: bool = False,
) -> None:
    """Adds what a `View` of this prefix reads.

    `rows` are a number, its words, and all its words with those that do not count. Words are looked
    for by the letters of their `stem`, and with `has_sounds` those of the list by their sounds.
    """
    numbers: list[int] = []
    names: list[NormalName] = []
    by_token: dict[str, list[int]] = defaultdict(list)
    by_run: dict[str, list[int]] = defaultdict(list)
    by_letters: dict[str, list[int]] = defaultdict(list)
    arranged: dict[tuple[str, ...], int] = {}
    for row, (number, name, all_words) in enumerate(rows):
        numbers.append(number)
        names.append(name)
        for token in dict.fromkeys(name.tokens):
            by_token[token].append(row)
        for run in runs(name, stem):
            by_run[run].append(row)
        for words in {name.tokens, all_words}:
            if 1 < len(words) <= MAX_ARRANGED_WORDS:
                place = arranged.setdefault(words, len(arranged))
                by_letters[sorted_letters(words)] += (row, place)
    # In their order, so that their numbers sort as they do.
    tokens = {token: number for number, token in enumerate(sorted(by_token))}
    by_stem: dict[str, list[int]] = defaultdict(list)
    by_pair: dict[str, list[int]] = defaultdict(list)
    for token, number in tokens.items():
        by_stem[stem(token)].append(number)
        for pair in letter_pairs(stem(token)):
            by_pair[pair].append(number)
    by_seed: dict[str, list[int]] = defaultdict(list)
    counts = {token: len(rows_of) for token, rows_of in by_token.items()}
    for row, name in enumerate(names):
        for token in seeds(name, counts.__getitem__):
            by_seed[token].append(row)
    weights = [telling_weight(name) for name in names]
    packing.groups(f"{prefix}.by_seed", (by_seed[token] for token in tokens))
    packing.numbers(f"{prefix}.numbers", numbers)
    packing.floats(f"{prefix}.weights", weights)
    pack_needs(packing, f"{prefix}.needs", [least_need(one) for one in weights])
    packing.numbers(f"{prefix}.words", (len(name.tokens) for name in names))
    packing.numbers(f"{prefix}.lengths", (len(name.joined) for name in names))
    packing.groups(f"{prefix}.names", ([tokens[word] for word in name.tokens] for name in names))
    packing.strings(f"{prefix}.tokens", tokens)
    packing.groups(f"{prefix}.by_token", (by_token[token] for token in tokens))
    packing.keyed_groups(f"{prefix}.by_run", by_run)
    packing.keyed_groups(f"{prefix}.by_letters", by_letters)
    packing.strings(f"{prefix}.arranged", map(" ".join, arranged))
    packing.keyed_groups(f"{prefix}.by_stem", by_stem)
    packing.keyed_groups(f"{prefix}.by_pair", by_pair)
    by_sound: dict[str, list[int]] = defaultdict(list)
    for token, number in tokens.items() if has_sounds else ():
        for sound in sounds(token):
            by_sound[sound].append(number)
    packing.keyed_groups(f"{prefix}.by_sound", by_sound)


def least_need(own_weight: float) -> int:
    """What has to be alike of a name of this weight for its words to be compared, in units."""
    return max(1, math.floor(MIN_COVERAGE * own_weight / WEIGHT_UNIT))


def seeds(name: NormalName, rows_of: Callable[[str], int]) -> list[str]:
    """The rarest of a name's words that together are more than what may be missing of it."""
    words = [word for word in dict.fromkeys(name.tokens) if len(word) > 1] or [
        *dict.fromkeys(name.tokens)
    ]
    needed = SEED_SHARE * sum(map(weight, words))
    found = []
    for word in sorted(words, key=lambda word: (rows_of(word), word)):
        found.append(word)
        needed -= weight(word)
        if needed < 0:
            break
    return found


def runs(name: NormalName, stem: Callable[[str], str]) -> set[str]:
    """Neighbouring words written as one: "alqaida" for "al qaida"."""
    tokens = name.tokens
    return {
        stem("".join(tokens[start : start + length]))
        for length in range(2, MAX_RUN + 1)
        for start in range(len(tokens) - length + 1)
    }


def telling_weight(name: NormalName) -> float:
    """Of each word once, without single letters if there are others: words stand for them."""
    words = dict.fromkeys(name.tokens)
    telling = sum(weight(word) for word in words if len(word) > 1)
    return telling or sum(map(weight, words))


def sorted_letters(words: tuple[str, ...]) -> str:
    return "".join(sorted("".join(words)))


def letter_pairs(token: str) -> set[str]:
    framed = f"^{token}$"
    return {framed[place : place + 2] for place in range(len(framed) - 1)}
