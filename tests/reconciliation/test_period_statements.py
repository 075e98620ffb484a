"""Periods and their statements: pure rules, against a model of their own and any changed byte."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.closing import statement as lines
from reconciliation.closing.period import ClosedDays, Period, PeriodError, PeriodKind, obstacle
from reconciliation.closing.statement import (
    BankPlace,
    CarriedBreak,
    LedgerPlace,
    PeriodStatement,
    StatedItem,
    StatedMatch,
    StatementError,
    open_statement,
    tally_of,
)
from reconciliation.matching.book_days import BookDayError, BookDays, read_book_days
from reconciliation.matching.breaks import Standing
from reconciliation.matching.item import ItemKey, Leg, Source
from tests.reconciliation.people import SIGNER

DAY = date(2026, 11, 30)
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
LEGS = {
    Source.LEDGER: [Leg.BOOKED],
    Source.STRIPE: [Leg.BOOKED, Leg.CONTENT],
    Source.PAYOUT: [Leg.CONTENT, Leg.BANKED],
    Source.BANK: [Leg.BANKED],
    Source.ADJUSTMENT: [Leg.BANKED],
}


def drawn_items(random: Random, size: int) -> list[StatedItem]:
    items = []
    for number in range(size):
        source = random.choice(list(Source))
        standings = {
            leg: random.choice(list(Standing)) for leg in LEGS[source] if random.random() < 0.8
        }
        items.append(
            StatedItem(
                key=ItemKey(source, random.choice(("main", "dépôt €", "a b")), f"k{number}\n"),
                currency=random.choice(("EUR", "JPY")),
                amount_minor=random.randint(-(2**53), 2**53),
                instant=NOON,
                book_day=DAY - timedelta(days=random.randint(0, 2)),
                sha256=random.randbytes(32),
                standings=standings,
                matches={leg: number + 1 for leg, how in standings.items() if how == "MATCHED"},
            )
        )
    return items


def statement_of(items: list[StatedItem], **changes: Any) -> PeriodStatement:
    matches = [
        StatedMatch(n, Leg.BOOKED, "REFERENCE", [(i.key, i.currency, i.amount_minor)])
        for n, i in enumerate(items, start=1)
    ]
    tally = tally_of(items, matches, DAY)
    return PeriodStatement(
        **{
            "ledger": "payments",
            "closing_number": 3,
            "period": Period(PeriodKind.DAY, DAY),
            "corridors": (("a b", "UTC"), ("dépôt €", "Asia/Tokyo"), ("main", "UTC")),
            "change_number": 12,
            "rules_version": 1,
            "policy_version": "2026 + 1",
            "ledger_place": LedgerPlace(7, 9, bytes(32)),
            "bank_places": (BankPlace("acme eur", 3, bytes(32)), BankPlace("other", 1, bytes(32))),
            "item_count": tally.item_count,
            "match_count": tally.match_count,
            "late_count": tally.late_count,
            "root": tally.root,
            "sums": tally.sums,
            "carried": (
                CarriedBreak(5, "AMOUNT_DIFFERS", "a b", (("EUR", -3), ("JPY", 2))),
                CarriedBreak(6, "FEED_STALE", "", ()),
            ),
            "previous": bytes(range(32)),
            "close_time": NOON,
            "client": "ann.example",
            "approver": "bob.example",
            **changes,
        }
    )


def test_a_month_has_all_its_days_and_a_day_itself() -> None:
    for month, last in [("2026-02-01", 28), ("2028-02-01", 29), ("2026-12-01", 31)]:
        period = Period(PeriodKind.MONTH, date.fromisoformat(month))
        assert period.last_day == period.first_day.replace(day=last)
    assert Period(PeriodKind.DAY, DAY).last_day == DAY
    with pytest.raises(PeriodError):
        Period(PeriodKind.MONTH, DAY)


@given(st.integers(0, 80), st.integers(0, 80), st.integers(-5, 100), st.booleans())
def test_days_follow_without_gaps_and_months_their_days(
    first: int, length: int, asked: int, is_month: bool
) -> None:
    """The model has the set of closed days."""
    start = date(2026, 1, 1)
    days = {start + timedelta(days=first + n) for n in range(length)}
    closed = ClosedDays(min(days), max(days), {}) if days else None
    day = start + timedelta(days=asked)
    period = Period(
        PeriodKind.MONTH if is_month else PeriodKind.DAY, day.replace(day=1) if is_month else day
    )
    if day in days and not is_month:
        return  # Whoever closes what is closed is told so elsewhere.
    if not is_month:
        may = not days or period.first_day - timedelta(days=1) == max(days)
    else:
        wanted = [period.first_day + timedelta(days=n) for n in range(period.last_day.day)]
        own = [each for each in wanted if days and each >= min(days)]
        may = bool(own) and set(own) <= days
    assert (obstacle(period, closed) is None) is may


def test_book_days_are_those_of_the_corridors_time_zone() -> None:
    days = read_book_days({"au": "Australia/Sydney"})
    late = datetime(2026, 11, 30, 14, tzinfo=UTC)
    assert days.day_of("us", late) == date(2026, 11, 30)
    assert days.day_of("au", late) == date(2026, 12, 1)
    assert days.end_of("us", DAY) == datetime(2026, 12, 1, tzinfo=UTC)
    assert days.end_of("au", DAY) == datetime(2026, 11, 30, 13, tzinfo=UTC)
    # The day on which clocks are put on has 23 hours.
    spring = date(2026, 10, 4)
    length = days.end_of("au", spring) - days.start_of("au", spring)
    assert length == timedelta(hours=23)
    assert (days.zone_of("au"), BookDays().zone_of("au")) == ("Australia/Sydney", "UTC")
    for name in ("Atlantis/Capital", "", "../etc"):
        with pytest.raises(BookDayError, match="corridor x: no time zone"):
            read_book_days({"x": name})


@given(st.integers(0, 2**32), st.integers(0, 30))
def test_the_tally_is_that_of_a_model(seed: int, size: int) -> None:
    """Counts and sums of each standing, and the root by the RFC's recursion."""
    items = drawn_items(Random(seed), size)
    made = statement_of(items)
    expected: Counter[Any] = Counter()
    for item in items:
        for leg in LEGS[item.key.source]:
            place = (item.key.corridor, leg.value, item.key.source.value, item.currency)
            expected[place, item.standings.get(leg), "n"] += 1
            expected[place, item.standings.get(leg), "sum"] += item.amount_minor
    found: Counter[Any] = Counter()
    for place, sums in made.sums.items():
        for standing, count in sums.counts.items():
            found[tuple(place), standing, "n"] += count
            found[tuple(place), standing, "sum"] += sums.amounts[standing]
    assert +found == +expected
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in expected.items() if v}
    assert made.late_count == sum(item.book_day < DAY for item in items)

    def root(leaves: list[bytes]) -> bytes:
        if not leaves:
            return sha256(b"").digest()
        if len(leaves) == 1:
            return sha256(b"\x00" + leaves[0]).digest()
        middle = 1
        while middle * 2 < len(leaves):
            middle *= 2
        return sha256(b"\x01" + root(leaves[:middle]) + root(leaves[middle:])).digest()

    ordered = sorted(items, key=lambda i: (i.key.corridor, i.key.source.value, i.key.key))
    matches = [
        StatedMatch(n, Leg.BOOKED, "REFERENCE", [(i.key, i.currency, i.amount_minor)]).leaf()
        for n, i in enumerate(items, start=1)
    ]
    assert made.root == root([item.leaf() for item in ordered] + matches)
    assert open_statement(SIGNER.sign(made).encode(), SIGNER.verifier) == made


def test_a_leaf_is_canonical_json_of_texts() -> None:
    (item,) = drawn_items(Random(4), 1)
    read = json.loads(item.leaf())
    assert (
        item.leaf()
        == json.dumps(read, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    )
    assert read["amount"] == str(item.amount_minor)
    assert (read["key"], read["instant"]) == ("k0\n", "2026-11-30T12:00:00.000000Z")
    assert all(type(value) in (str, dict) for value in read.values())


def test_a_statement_has_the_documented_form() -> None:
    made = statement_of([])
    text = made.text().split("\n")
    assert text == [
        "reconciliation/payments",
        "closing 3",
        "period DAY 2026-11-30 2026-11-30",
        "corridor a%20b UTC",
        "corridor d%C3%A9p%C3%B4t%20%E2%82%AC Asia/Tokyo",
        "corridor main UTC",
        "change 12 rules 1 policy 2026%20%2B%201",
        "ledger 7 checkpoint 9 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "bank acme%20eur files 3 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "bank other files 1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "items 0 late 0 matches 0 root 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "carried 5 AMOUNT_DIFFERS a%20b EUR -3 JPY 2",
        "carried 6 FEED_STALE -",
        "previous AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "closed 2026-11-30T12:00:00.000000Z ann.example bob.example",
        "",
    ]
    alone = statement_of([], carried=(), approver="")
    assert alone.text().endswith("closed 2026-11-30T12:00:00.000000Z ann.example\n")
    assert open_statement(SIGNER.sign(alone).encode(), SIGNER.verifier) == alone


def test_every_flipped_byte_of_a_statement_is_found() -> None:
    note = SIGNER.sign(statement_of(drawn_items(Random(2), 3))).encode()
    for place in range(len(note)):
        changed = note[:place] + bytes([note[place] ^ 1]) + note[place + 1 :]
        with pytest.raises(StatementError):
            open_statement(changed, SIGNER.verifier)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("closing 3", "closing 03"),
        ("closing 3\n", ""),
        ("closing 3\n", "closing 3\nclosing 3\n"),
        ("reconciliation/", "ledger/"),
        ("DAY 2026-11-30 2026-11-30", "DAY 2026-11-30 2026-12-01"),
        ("period DAY", "period WEEK"),
        ("period DAY", "period MONTH"),
        ("a%20b UTC", "%61%20b UTC"),
        ("policy 2026%20%2B%201", "policy 2026+1"),
        ("carried 5", "carried 7"),
        ("ann.example", "ann.example  bob"),
        ("T12:00:00.000000Z", "T12:00:00Z"),
        ("items 0", "more 1\nitems 0"),
    ],
)
def test_what_is_signed_well_may_still_be_no_statement(old: str, new: str) -> None:
    text = statement_of([]).text()
    changed = text.replace(old, new)
    assert changed != text

    class Written:
        def text(self) -> str:
            return changed

    with pytest.raises(StatementError):
        open_statement(SIGNER.sign(Written()).encode(), SIGNER.verifier)


def test_the_words_of_standings_are_those_of_the_lines() -> None:
    assert [lines._WORDS[each] for each in lines.STANDINGS] == [
        "matched",
        "expected",
        "broken",
        "ignored",
        "aside",
    ]
