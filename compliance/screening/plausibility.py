"""Whether a list can be what its source meant to publish: pure, from counts alone.

A file that was cut off between two lines, or that is empty, is a well-formed list: its counts give
it away. Every kind of thing that makes people findable is counted, since a list without aliases
has as many entries as before.
"""

from collections.abc import Iterable, Mapping, Sequence

from compliance.screening.entries import BrokenListError, Entry

# What is left of each quantity from one version to the next. The largest delistings of OFAC's were
# far smaller (Syria, 2025-06-30: 518 of some 17,000 entries).
MIN_REMAINING_SHARE = 0.8
# One thing less is always believed, or short lists could never change.
ALWAYS_BELIEVED_LOSS = 1
# From this many entries on a list says something of itself, without one of before.
MIN_ENTRIES_TO_JUDGE = 5
MIN_ENTRIES_TO_JUDGE_ENDS = 100
# The share of entries at either end of the list, of which a file beside it may know nothing.
MAX_SILENT_END = 0.2

ENTRIES, ALIASES, WEAK_ALIASES = "entries", "aliases", "weak aliases"
BIRTH_DATES, COUNTRIES = "birth dates", "countries"


def quantities_of(entries: Iterable[Entry]) -> dict[str, int]:
    """How much of each kind entries hold."""
    found = dict.fromkeys((ENTRIES, ALIASES, WEAK_ALIASES, BIRTH_DATES, COUNTRIES), 0)
    for entry in entries:
        weak = sum(1 for name in entry.names if name.type == "weak a.k.a.")
        found[ENTRIES] += 1
        found[ALIASES] += len(entry.names) - 1 - weak
        found[WEAK_ALIASES] += weak
        found[BIRTH_DATES] += len(entry.birth_dates)
        found[COUNTRIES] += len(entry.countries)
    return found


def check_shrinking(before: Mapping[str, int], now: Mapping[str, int]) -> None:
    """Raises `BrokenListError` if a quantity shrank beyond belief; one that is new is no loss."""
    for name, count in before.items():
        left = now.get(name, 0)
        if left < MIN_REMAINING_SHARE * count and count - left > ALWAYS_BELIEVED_LOSS:
            raise BrokenListError(f"{left} {name} are left of {count}")


def check_presence(now: Mapping[str, int], may_lack: frozenset[str] = frozenset()) -> None:
    """Raises `BrokenListError` for a list of some size that has nothing of a kind.

    Weak aliases and dates are few in short lists, and may be missing there.
    """
    if now[ENTRIES] < MIN_ENTRIES_TO_JUDGE:
        return
    for name, count in now.items():
        is_rare = name in (WEAK_ALIASES, BIRTH_DATES)
        if (
            count == 0
            and name not in may_lack
            and not (is_rare and now[ENTRIES] < MIN_ENTRIES_TO_JUDGE_ENDS)
        ):
            raise BrokenListError(f"{now[ENTRIES]} entries are there, but no {name}")


def check_ends(name: str, entries: Sequence[int], named: Iterable[int]) -> None:
    """Raises `BrokenListError` if a file was cut at an end: it knows only part of the list.

    `entries` are the list's numbers, `named` those that the file has rows for.
    """
    ordered = sorted(entries)
    known = set(named)
    if len(ordered) < MIN_ENTRIES_TO_JUDGE_ENDS or not known:
        return
    last = max(known)
    first = min(known)
    after = sum(1 for number in ordered if number > last)
    before = sum(1 for number in ordered if number < first)
    silent = max(after, before)
    if silent > MAX_SILENT_END * len(ordered):
        end = "last" if after >= before else "first"
        raise BrokenListError(f"{name} has nothing of the {end} {silent} entries: it was cut off")
