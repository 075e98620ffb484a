"""`compliance.screening`: how many names a core screens a second, and what it finds and does not.

Names are screened against a made-up list of 9,000 entries (name_world.py): ordinary people and
companies, of whom none should match; every listed name as it is; and listed names written
otherwise. Of each that is missed it says whether the index lost it (no candidate) or the score
(below the threshold). Times are processor time, so that other work on the machine matters little.
Thresholds and rules were chosen on entries of even numbers; the figures are of the others, which
`development` has beside them.
"""

import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from bench import name_world
from bench.benchmark import Target, with_target
from bench.name_world import Screening
from compliance.screening.entries import Entry, EntryKind
from compliance.screening.index import Hit, NameIndex, ScreenedPerson, family_words
from compliance.screening.names import fold, normalise
from compliance.screening.scoring import compare_names
from compliance.screening.whole import edits_allowed, is_another_word, orders, whole_score

NAME = "compliance.screening"
TARGET = Target("missed_targets", "<=", 0)
THRESHOLD = 0.85
MIN_SCREENINGS_PER_SECOND = 1_000
MAX_FALSE_ALARMS, MAX_FALSE_ALARMS_WITH_DATES = 0.005, 0.001
GARBLES = {
    "two_typos": (name_world.two_typos, 0.95),
    "all_joined": (name_world.all_joined, 0.90),
    "two_joined": (name_world.two_joined, 0.90),
    "look_alikes": (name_world.in_look_alikes, 0.98),
    "digits": (name_world.with_digits, 0.98),
    "initial": (name_world.first_initial, 0.80),
}
ORDINARY, OWN, LOOK_ALIKE, GARBLED = 6_000, 3_000, 1_000, 1_000
SCANNED = 40
SEED_OF_ORDINARY, SEED_OF_GARBLES = 1_044, 2_044
# Words that name nobody: alone they must match nothing.
MEANINGLESS = ("CORP", "LTD", "Limited", "The Company", "GmbH & Co. KG", "Trading", "Al", "Bin")
LONG_WORDS = 6


def screened(screening: Screening, *, with_dates: bool = False) -> ScreenedPerson:
    """What is searched for."""
    return ScreenedPerson(
        (screening.name,),
        screening.is_person,
        screening.birth_date if with_dates else "",
        screening.country_code if with_dates else "",
    )


def rate(index: NameIndex, asked: Sequence[Screening]) -> float:
    """Screenings a second of processor time."""
    begun = time.process_time()
    for screening in asked:
        index.search(screened(screening), THRESHOLD)
    return len(asked) / (time.process_time() - begun)


def scan_rate(entries: Sequence[Entry], asked: Sequence[Screening]) -> float:
    """Of comparing each name with every listed one by rapidfuzz's WRatio."""
    choices = [fold(name.text) for entry in entries for name in entry.names]
    begun = time.process_time()
    for screening in asked:
        process.extract(fold(screening.name), choices, scorer=fuzz.WRatio, limit=5, score_cutoff=85)
    return len(asked) / (time.process_time() - begun)


def false_alarms(index: NameIndex, asked: Sequence[Screening], *, with_dates: bool) -> float:
    """The share of those who match although they are nobody's."""
    found = sum(
        bool(index.search(screened(screening, with_dates=with_dates), THRESHOLD))
        for screening in asked
    )
    return found / len(asked)


def is_found(hits: Sequence[Hit], screening: Screening) -> bool:
    return any(hit.entry.entry_id == screening.entry_id for hit in hits)


def who_loses(screening: Screening) -> str:
    """ "index" if the two names compared directly are alike, "score" if they are not.

    The index also loses whom it takes for another: where an error makes another word of the list.
    """
    one, other = (
        normalise(name, is_person=screening.is_person)
        for name in (screening.name, screening.listed_name)
    )
    score, _ = compare_names(one, other, has_initials=screening.is_person)
    leading = family_words(screening.listed_name, is_person=screening.is_person)
    for letters in orders(other, leading, fold(screening.listed_name)):
        for written in (one.joined, fold(screening.name).replace(" ", "")):
            edits = OSA.distance(written, letters)
            if edits <= edits_allowed(len(letters)) and not is_another_word(one, other):
                score = max(score, whole_score(edits, other))
    return "index" if score >= THRESHOLD else "score"


def missed(index: NameIndex, asked: Sequence[Screening]) -> list[tuple[Screening, str]]:
    """Those who are not found, with who loses them."""
    return [
        (screening, who_loses(screening))
        for screening in asked
        if not is_found(index.search(screened(screening), THRESHOLD), screening)
    ]


def recall(index: NameIndex, entries: Sequence[Entry], seed: int, count: int) -> dict[str, Any]:
    """By garble and kind: the share that is found, and who loses the others."""
    line = {}
    for name, (garble, _) in GARBLES.items():
        for kind, key in ((EntryKind.PERSON, "people"), (EntryKind.ORGANIZATION, "companies")):
            asked = name_world.written_otherwise(entries, kind, garble, count, seed)
            lost = Counter(reason for _, reason in missed(index, asked))
            line[f"{name}_{key}"] = {
                "found": round(1 - lost.total() / len(asked), 4),
                "lost_by_index": lost["index"],
                "lost_by_score": lost["score"],
            }
    return line


def by_initial(asked: Sequence[Screening]) -> list[Screening]:
    """The same with their first words as initials."""
    random_ = random.Random(SEED_OF_ORDINARY)
    return [
        screening._replace(name=name_world.first_initial(screening.name, random_))
        for screening in asked
    ]


def own_names(entries: Sequence[Entry]) -> list[Screening]:
    """Every listed name as it is."""
    return [
        Screening(name.text, entry.kind is EntryKind.PERSON, entry_id=entry.entry_id)
        for entry in entries
        for name in entry.names
    ]


def _names_of(found: Sequence[Screening], *, is_long: bool = False) -> list[Screening]:
    """Some of the names, each as often as it is listed; long ones if that is asked for."""
    chosen = [one for one in found if not is_long or len(one.name.split()) >= LONG_WORDS]
    return random.Random(name_world.SEED).sample(chosen, min(OWN, len(chosen)))


async def measure() -> dict[str, Any]:
    """The benchmark's line; `limit` is the rate of plain WRatio scans, `ratio` how many times."""
    entries = name_world.listed_entries()
    index = NameIndex.of(entries)
    people = name_world.ordinary_people(ORDINARY, SEED_OF_ORDINARY)
    companies = name_world.ordinary_companies(ORDINARY // 2, SEED_OF_ORDINARY)
    listed = own_names(entries)
    # Of names that were never asked for, with nothing remembered.
    mixed = [one for pair in zip(people[::2], companies, strict=True) for one in pair]
    rates = {
        "ordinary_per_s": rate(index, mixed),
        "own_per_s": rate(index, _names_of(listed)),
        "own_long_per_s": rate(index, _names_of(listed, is_long=True)),
    }
    scan = scan_rate(entries, mixed[:SCANNED])
    alarms = {
        f"false_alarms_{key}{suffix}": false_alarms(index, asked, with_dates=with_dates)
        for key, asked in (("people", people), ("companies", companies))
        for suffix, with_dates in (("", False), ("_with_dates", True))
    }
    alarms |= {
        f"false_alarms{suffix}": false_alarms(index, [*people, *companies], with_dates=with_dates)
        for suffix, with_dates in (("", False), ("_with_dates", True))
    }
    held_out, development = (
        [entry for entry in entries if int(entry.entry_id) % 2 == odd] for odd in (1, 0)
    )
    found = recall(index, held_out, SEED_OF_GARBLES, GARBLED)
    shown = {
        "exact_missed": len(missed(index, listed)),
        "generic_alone_matches": sum(
            len(index.search(ScreenedPerson((name,), False, "", ""), THRESHOLD))
            for name in MEANINGLESS
        ),
        **{name: round(value, 5) for name, value in alarms.items()},
        # What is left of them says no more than a listed company's.
        "companies_by_initial_matched": round(
            false_alarms(index, by_initial(companies), with_dates=False), 5
        ),
        "look_alike_people_matched": round(
            false_alarms(
                index,
                name_world.look_alike_people(entries, LOOK_ALIKE, SEED_OF_ORDINARY),
                with_dates=False,
            ),
            3,
        ),
    }
    missed_targets = [
        *(name for name, value in rates.items() if value < MIN_SCREENINGS_PER_SECOND),
        *(name for name in ("exact_missed", "generic_alone_matches") if shown[name]),
        *(["false_alarms"] if shown["false_alarms"] > MAX_FALSE_ALARMS else []),
        *(
            ["false_alarms_with_dates"]
            if shown["false_alarms_with_dates"] > MAX_FALSE_ALARMS_WITH_DATES
            else []
        ),
        *(
            f"{name}_{key}"
            for name, (_, least) in GARBLES.items()
            for key in ("people", "companies")
            if found[f"{name}_{key}"]["found"] < least
        ),
    ]
    line = {
        "name": NAME,
        "value": round(rates["ordinary_per_s"], 1),
        "unit": "screenings/s and core",
        "limit": round(scan, 1),
        "limit_name": "rapidfuzz WRatio against every listed name",
        "ratio": round(rates["ordinary_per_s"] / scan, 1),
        **{name: round(value, 1) for name, value in rates.items()},
        "entries": len(entries),
        "names": len(listed),
        "index_mb": round(index.size / 1e6, 1),
        **shown,
        "recall": found,
        "recall_development": recall(index, development, SEED_OF_GARBLES, GARBLED // 2),
        "missed": missed_targets,
        "missed_targets": len(missed_targets),
    }
    return with_target(line, TARGET)
