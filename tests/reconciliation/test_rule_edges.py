"""The edges of rules: the last value that is taken, the first that is not, the smallest groups."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reconciliation.adjusting.adjustment import ledger_request_id, pattern_problem
from reconciliation.matching.book_days import BookDayError, BookDays, read_book_days
from reconciliation.matching.breaks import amount_text
from reconciliation.matching.calendars import read_calendars
from reconciliation.matching.item import (
    MAX_KEY_BYTES,
    MAX_TOKENS,
    ItemError,
    Leg,
    State,
)
from reconciliation.matching.match import Rule, is_within
from reconciliation.matching.policy import (
    BUNDLED_POLICY,
    MAX_ACTION_CHARACTERS,
    MAX_AGE_DAYS,
    MAX_WINDOW_DAYS,
    PolicyError,
    read_policy,
)
from tests.reconciliation.test_matching_rules import one
from tests.reconciliation.worlds import item

TOKENS = [f"t{number}" for number in range(MAX_TOKENS + 1)]


def test_texts_of_an_item_may_be_so_long() -> None:
    longest = "k" * MAX_KEY_BYTES
    taken = item("STRIPE", longest, 5, *TOKENS[:MAX_TOKENS], group=longest)
    assert (len(taken.key), len(taken.group), len(taken.tokens)) == (
        MAX_KEY_BYTES,
        MAX_KEY_BYTES,
        MAX_TOKENS,
    )
    for key, group, tokens in (
        (f"{longest}k", "", []),
        ("k", f"{longest}k", []),
        ("k", "", TOKENS),
    ):
        with pytest.raises(ItemError):
            item("STRIPE", key, 5, *tokens, group=group)


@pytest.mark.parametrize(
    ("allocated", "amount", "fits"),
    [
        *((-1, -5, True), (-5, -5, True), (-6, -5, False), (0, -5, False), (1, -5, False)),
        *((1, 5, True), (5, 5, True), (6, 5, False), (0, 5, False), (0, 0, True), (1, 0, False)),
    ],
)
def test_what_can_be_taken_of_an_item(allocated: int, amount: int, fits: bool) -> None:
    assert is_within(allocated, amount) is fits


@pytest.mark.parametrize(
    ("currency", "minor_units", "said"),
    [
        ("EUR", 0, "0.00 EUR"),
        ("EUR", -1, "-0.01 EUR"),
        ("EUR", 1, "0.01 EUR"),
        ("JPY", -15, "-15 JPY"),
        ("KWD", 1_005, "1.005 KWD"),
        ("XXQ", 15, "15 XXQ"),
    ],
)
def test_amounts_are_written_as_people_do(currency: str, minor_units: int, said: str) -> None:
    assert amount_text(currency, minor_units) == said


def test_three_of_one_reference_are_more_than_a_pair() -> None:
    booked_in_parts = [
        item("LEDGER", "l1", 40, "t1"),
        item("LEDGER", "l2", 60, "t1"),
        item("STRIPE", "s1", 100, "t1", "t2"),
    ]
    assert one(Leg.BOOKED, *booked_in_parts) == ([(Rule.GROUP_SUM, ["l1", "l2", "s1"])], [])
    # Another of the same thing that is not right is left alone.
    wrong = item("LEDGER", "l3", 7, "t2")
    matched, differences = one(Leg.BOOKED, *booked_in_parts, wrong)
    assert matched == [(Rule.GROUP_SUM, ["l1", "l2", "s1"])]
    assert [[key.key for key in each.items] for each in differences] == [["l3"]]


def test_each_payout_that_came_back_is_looked_at_by_itself() -> None:
    """One without lines, and one whose line names another, too, keep no other from its own."""
    found, _ = one(
        Leg.BANKED,
        item("PAYOUT", "po_1", 100, "t1", state=State.RETURNED),
        item("PAYOUT", "po_2", 40, "t2", state=State.RETURNED),
        item("PAYOUT", "po_3", 60, "t3"),
        item("PAYOUT", "po_4", 200, "t4", state=State.RETURNED),
        item("BANK", "b1", 40, "t2", "t3"),
        item("BANK", "b2", -40, "t2", "t3"),
        item("BANK", "b3", 200, "t4"),
        item("BANK", "b4", -200, "t4"),
    )
    assert found == [(Rule.GROUP_SUM, ["b3", "b4", "po_4"])]


def test_ids_and_patterns_of_adjustments() -> None:
    sha256_of_a = "ca978112ca1bbdcafac231b39a23dc4da786eff8"
    assert ledger_request_id("a").endswith(f".{sha256_of_a}")
    assert pattern_problem("Main/EUR") is None


@pytest.mark.parametrize(
    ("old", "new", "taken"),
    [
        ("before_days = 1", "before_days = 0", True),
        ("before_days = 1", f"before_days = {MAX_WINDOW_DAYS}", True),
        ("before_days = 1", f"before_days = {MAX_WINDOW_DAYS + 1}", False),
        ("before_days = 1", "before_days = -1", False),
        ('answer = "15 min"', f'answer = "{MAX_AGE_DAYS} d"', True),
        ('answer = "15 min"', f'answer = "{MAX_AGE_DAYS + 1} d"', False),
        ('answer = "15 min"', 'answer = "0 d"', False),
        ('answer = "15 min"', "answer = 15", False),
    ],
)
def test_figures_of_a_policy_have_bounds(tmp_path: Path, old: str, new: str, taken: bool) -> None:
    _check(tmp_path, old, new, taken=taken)


@pytest.mark.parametrize(
    ("length", "taken"),
    [(0, False), (1, True), (MAX_ACTION_CHARACTERS, True), (MAX_ACTION_CHARACTERS + 1, False)],
)
def test_an_action_has_so_many_characters(tmp_path: Path, length: int, taken: bool) -> None:
    first = next(
        line for line in BUNDLED_POLICY.read_text().splitlines() if line.startswith("action = ")
    )
    _check(tmp_path, first, f'action = "{"a" * length}"', taken=taken)


def _check(tmp_path: Path, old: str, new: str, *, taken: bool) -> None:
    text = BUNDLED_POLICY.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "given.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    if taken:
        assert read_policy(read_calendars(), path).version
    else:
        with pytest.raises(PolicyError):
            read_policy(read_calendars(), path)


def test_days_are_of_the_time_zone_of_their_corridor() -> None:
    days = read_book_days({"us": "America/New_York"})
    assert days == BookDays({"us": ZoneInfo("America/New_York")})
    assert (days.zone_of("us"), days.zone_of("other")) == ("America/New_York", "UTC")
    late = datetime(2026, 3, 8, 4, 30, tzinfo=UTC)
    assert days.day_of("us", late) == date(2026, 3, 7)
    assert days.day_of("other", late) == date(2026, 3, 8)
    # The day on which clocks go forward has 23 hours.
    day = date(2026, 3, 8)
    assert days.start_of("us", day) == datetime(2026, 3, 8, 5, tzinfo=UTC)
    assert days.end_of("us", day) == datetime(2026, 3, 9, 4, tzinfo=UTC)
    assert days.start_of("other", day) == datetime(2026, 3, 8, tzinfo=UTC)
    assert days.end_of("other", day) == datetime(2026, 3, 9, tzinfo=UTC)
    with pytest.raises(BookDayError, match="corridor us: no time zone Nowhere/At_All"):
        read_book_days({"us": "Nowhere/At_All"})
