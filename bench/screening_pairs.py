"""Labelled pairs of names, and `compliance.screening_auc`: how well scores tell them apart.

A name is made of parts that `data/name_parts.tsv` holds in a script and in Latin letters: two for a
person, one or two for a company, whose legal form is written in Latin. A pair that is the same has
the name in the script on one side and one of its Latin spellings, in either order, on the other.
Of the pairs that are not, half are look-alikes: one part is the same, and the other is the one of
the script that plain rapidfuzz finds most alike; the others share nothing. "latin" are pairs of two
spellings. Seeded: the same pairs in every run. No pair was changed or left out for its score.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rapidfuzz import fuzz, utils

from bench.benchmark import Target, with_target
from compliance.screening.entries import Entry, EntryKind, EntryName
from compliance.screening.index import NameIndex, ScreenedPerson
from compliance.screening.names import fold

NAME = "compliance.screening_auc"
TARGET = Target("value", ">=", 0.92)
SEED = 13
PARTS = Path(__file__).parent / "data" / "name_parts.tsv"
SAME_PER_GROUP = 120
OTHERS_PER_GROUP = 240
LEGAL_FORMS = ("LLC", "Ltd", "Co.", "Trading", "Group")


class Part(NamedTuple):
    native: str
    latin: tuple[str, ...]


class Pair(NamedTuple):
    """Two names, of which the first is screened and the second is listed."""

    script: str
    is_person: bool
    screened: str
    listed: str
    is_same: bool


def parts() -> dict[str, dict[str, list[Part]]]:
    """The parts by script and kind."""
    found: dict[str, dict[str, list[Part]]] = {}
    for line in PARTS.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            script, kind, native, latin = line.split("\t")
            kinds = found.setdefault(script, {})
            kinds.setdefault(kind, []).append(Part(native, tuple(latin.split("|"))))
    return found


def pairs() -> list[Pair]:
    """Every pair, by script, people first."""
    random_ = random.Random(SEED)
    found = []
    for script, kinds in parts().items():
        for native in (True, False) if script == "arabic" else (True,):
            shown = script if native else "latin"
            for is_person in (True, False):
                make = _person if is_person else _company
                lists = (
                    [kinds["given"], kinds["family"]]
                    if is_person
                    else [kinds["brand"], kinds["family"]]
                )
                for index in range(SAME_PER_GROUP + OTHERS_PER_GROUP):
                    is_same = index < SAME_PER_GROUP
                    one = [random_.choice(choices) for choices in lists]
                    other = one if is_same else _other(one, lists, index % 2 == 0, random_)
                    found.append(
                        Pair(
                            shown,
                            is_person,
                            make(one, script, random_, native=native),
                            make(other, script, random_, native=False),
                            is_same,
                        )
                    )
    return found


def _other(
    one: list[Part], lists: list[list[Part]], is_lookalike: bool, random_: random.Random
) -> list[Part]:
    """Another name: with one part most alike and one the same, or with nothing in common."""
    if not is_lookalike:
        return [
            random_.choice([part for part in choices if part is not own])
            for own, choices in zip(one, lists, strict=True)
        ]
    changed = random_.randrange(len(one))
    own = one[changed]
    rest = [part for part in lists[changed] if part is not own]
    near = sorted(rest, key=lambda part: -fuzz.ratio(own.latin[0], part.latin[0]))[:3]
    return [random_.choice(near) if place == changed else part for place, part in enumerate(one)]


def _person(chosen: list[Part], script: str, random_: random.Random, *, native: bool) -> str:
    given, family = (part.native if native else random_.choice(part.latin) for part in chosen)
    if script == "korean" and native:
        return f"{family}{given}" if random_.random() < 0.5 else f"{family} {given}"
    if native:
        return f"{family} {given}" if script == "kana" else f"{given} {family}"
    return f"{family.upper()}, {given}" if random_.random() < 0.7 else f"{given} {family}"


def _company(chosen: list[Part], _script: str, random_: random.Random, *, native: bool) -> str:
    words = [part.native if native else random_.choice(part.latin) for part in chosen]
    return " ".join([*words, random_.choice(LEGAL_FORMS)])


def our_score(pair: Pair) -> float:
    """What the screening of the first against a list of the second says; 0 if it is not found."""
    kind = EntryKind.PERSON if pair.is_person else EntryKind.ORGANIZATION
    index = NameIndex.of([Entry("1", kind, (EntryName(pair.listed, "name"),), (), (), ())])
    hits = index.search(ScreenedPerson((pair.screened,), pair.is_person, "", ""), 0.0)
    return max((hit.score for hit in hits), default=0.0)


def plain_score(pair: Pair) -> float:
    """rapidfuzz's WRatio of the folded names, transliterated as ours are."""
    return fuzz.WRatio(fold(pair.screened), fold(pair.listed), processor=utils.default_process)


def area_under_curve(scored: Sequence[tuple[float, bool]]) -> float:
    """The chance that a same pair scores higher than another, by ranks (Mann-Whitney)."""
    ordered = sorted(scored, key=lambda item: item[0])
    ranks = 0.0
    place = 0
    for _, group in itertools.groupby(ordered, key=lambda item: item[0]):
        labels = [is_same for _, is_same in group]
        ranks += sum(labels) * (place + (len(labels) + 1) / 2)
        place += len(labels)
    same = sum(is_same for _, is_same in ordered)
    return (ranks - same * (same + 1) / 2) / (same * (len(ordered) - same))


def groups(of: Sequence[Pair]) -> Iterator[tuple[str, list[Pair]]]:
    """The pairs by script and kind, by script, and all."""
    for script in dict.fromkeys(pair.script for pair in of):
        same_script = [pair for pair in of if pair.script == script]
        yield script, same_script
        for is_person, name in ((True, "people"), (False, "companies")):
            yield f"{script}_{name}", [pair for pair in same_script if pair.is_person is is_person]
    yield "all", list(of)


def auc_by_group(score: Callable[[Pair], float]) -> dict[str, float]:
    """The area under the curve of a score, for each group."""
    scores = {pair: score(pair) for pair in pairs()}
    return {
        name: round(area_under_curve([(scores[pair], pair.is_same) for pair in group]), 4)
        for name, group in groups(list(scores))
    }


async def measure() -> dict[str, Any]:
    """The benchmark's line; `limit` is the area of plain WRatio over the same pairs."""
    ours, plain = auc_by_group(our_score), auc_by_group(plain_score)
    line = {
        "name": NAME,
        "value": ours["all"],
        "unit": "AUC",
        "limit": plain["all"],
        "limit_name": "rapidfuzz WRatio of the same names, transliterated",
        "ratio": round(ours["all"] / plain["all"], 3),
        "worst_script": min(value for name, value in ours.items() if "_" not in name),
        "scripts": {name: [value, plain[name]] for name, value in ours.items()},
    }
    return with_target(line, TARGET)
