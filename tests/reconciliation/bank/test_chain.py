"""What is wrong with an account's statements, by the rules alone: whatever the order of arrival."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.bank.accounts import BankAccount
from reconciliation.bank.chain import (
    Exclusion,
    Refused,
    Statements,
    conditions_of,
    lacks,
    stale_times,
)
from reconciliation.conditions.condition import Condition
from reconciliation.matching.calendars import read_calendars
from reconciliation.matching.policy import BreakKind
from reconciliation.statements.continuity import Past, exclusion
from reconciliation.statements.model import Balance
from tests.reconciliation.bank.files import FROM_DAY, day

ACCOUNT = BankAccount(
    "eur", "DE1", "EUR", "eu", None, read_calendars().known["TARGET"], 1, FROM_DAY
)
GAP = BreakKind.STATEMENT_GAP
NOON = datetime.combine(FROM_DAY, time(12), UTC)


def past(
    opening: int,
    *amounts: int,
    on: int = 0,
    until: int | None = None,
    number: int | None = None,
    name: str = "",
) -> Past:
    """A statement of some days; its entries are told apart by their amount and its first day."""
    last = day(on if until is None else until)
    entries = tuple(sorted(f"{amount}".encode().rjust(32) for amount in amounts))
    return Past(
        "eur",
        "EUR",
        f"{name or on}{until}{amounts}".encode().rjust(32)[-32:],
        1,
        "",
        number,
        None,
        Balance(opening, day(on)),
        Balance(opening + sum(amounts), last),
        day(on),
        last,
        entries,
    )


def statements(*pasts: Past, refused: Sequence[Refused] = ()) -> Statements:
    numbered = dict(enumerate(pasts, 1))
    shared = [
        Exclusion(later, earlier, *found)
        for earlier, later in combinations(numbered, 2)
        if (found := exclusion(numbered[earlier], numbered[later]))
    ]
    known = {key: replace(each, entries=()) for key, each in numbered.items()}
    return Statements(ACCOUNT, known, shared, refused)


def found(*pasts: Past, now: datetime = NOON) -> list[Condition]:
    """The same in every order of arrival."""
    orders = [conditions_of(statements(*order), now) for order in permutations(pasts)]
    for order in orders:
        assert sorted(order, key=lambda c: c.identity) == sorted(
            orders[0], key=lambda c: c.identity
        )
    return orders[0]


def kinds(*pasts: Past) -> list[BreakKind]:
    return [condition.kind for condition in found(*pasts)]


MON = past(0, 10, on=0)
TUE = past(10, 20, on=1)
WED = past(30, 5, on=2)
THU = past(35, 1, on=3)


def test_a_missing_statement_is_a_gap_until_it_comes() -> None:
    [gap] = found(MON, WED)
    assert (gap.kind, gap.corridor) == (BreakKind.STATEMENT_GAP, "eu")
    assert gap.amounts == (("EUR", 20),)
    assert gap.since == datetime(2026, 11, 4, tzinfo=UTC)
    assert gap.says == (
        "between the statements of eur until 2026-11-02 and until 2026-11-04 the closing balance"
        " before is not the opening balance after"
    )
    assert kinds(MON, TUE, WED) == []
    assert kinds(MON) == []
    # Of two that are missing one is there.
    [rest] = found(MON, WED, THU)
    assert rest.subject == gap.subject


def test_numbers_tell_of_what_the_balances_do_not() -> None:
    still = [past(10, on=0, number=1), past(10, on=2, number=3)]
    assert kinds(*still) == [BreakKind.STATEMENT_GAP]
    assert kinds(*still, past(10, on=1, number=2)) == []


def test_statements_of_one_day_are_in_the_order_of_their_balances() -> None:
    assert kinds(past(0, 5, on=0), past(5, 7, on=0), past(12, 1, on=0), past(13, 2, on=1)) == []
    assert kinds(past(0, 5, on=0), past(12, 1, on=0)) == [BreakKind.STATEMENT_GAP]


def test_a_duplicate_holds_until_the_chain_goes_on() -> None:
    again = replace(TUE, file_sha256=bytes(32))
    [duplicate] = found(MON, TUE, again)
    assert duplicate.kind is BreakKind.STATEMENT_DUPLICATE
    assert "have the same number, balances and entries" in duplicate.says
    assert kinds(MON, TUE, again, WED) == []
    # What comes next does not go on from them.
    assert kinds(MON, TUE, again, THU) == [BreakKind.STATEMENT_GAP, BreakKind.STATEMENT_DUPLICATE]


def test_an_overlap_is_no_gap_and_holds_until_the_chain_goes_on() -> None:
    both = past(10, 20, 5, on=1, until=2)
    [overlap] = found(MON, TUE, both)
    assert overlap.kind is BreakKind.STATEMENT_OVERLAP
    assert kinds(MON, TUE, both, THU) == []
    assert kinds(MON, TUE, WED, both, THU) == []
    partly = past(30, 5, 1, on=2, until=3)
    assert BreakKind.STATEMENT_GAP not in kinds(MON, both, partly)
    assert kinds(MON, both, partly, past(36, 1, on=4)) == []


def test_a_statement_within_another_has_a_number_that_is_not_missing() -> None:
    first, second = past(0, 10, on=0, number=1), past(10, 20, on=1, number=2)
    both = past(10, 20, 5, on=1, until=2, number=3)
    assert kinds(first, second, both, past(35, 1, on=3, number=4)) == []
    assert kinds(first, both) == [BreakKind.STATEMENT_GAP]


def test_a_false_balance_is_told_of_and_another_refusal_is_not() -> None:
    refused = Refused(b"\1" * 32, "BALANCE", "MT940, statement 1, :62F:", NOON)
    other = replace(refused, problem="UNREADABLE")
    [told] = conditions_of(statements(MON, refused=[refused, other]), NOON)
    assert told.kind is BreakKind.STATEMENT_BALANCE
    assert told.since == NOON
    assert told.subject == "statements of eur, file 010101010101"
    assert "BALANCE at MT940, statement 1, :62F:" in told.says


@pytest.mark.parametrize(
    ("interval", "last", "due", "overdue"),
    [
        # Of a Monday, Tuesday's has to be there when Tuesday is over.
        (1, date(2026, 11, 2), date(2026, 11, 4), date(2026, 11, 5)),
        # Over a weekend.
        (1, date(2026, 11, 6), date(2026, 11, 10), date(2026, 11, 11)),
        # Over Christmas.
        (1, date(2026, 12, 24), date(2026, 12, 29), date(2026, 12, 30)),
        (5, date(2026, 11, 2), date(2026, 11, 10), date(2026, 11, 17)),
    ],
)
def test_a_statement_is_late_after_its_interval_and_overdue_after_twice(
    interval: int, last: date, due: date, overdue: date
) -> None:
    account = replace(ACCOUNT, interval_business_days=interval)
    times = tuple(datetime.combine(each, time(), UTC) for each in (due, overdue))
    assert stale_times(account, last) == times


def test_what_does_not_come_is_told_of_from_its_deadline_on() -> None:
    due = datetime(2026, 11, 4, tzinfo=UTC)
    assert found(MON, now=due - timedelta(microseconds=1)) == []
    [stale] = found(MON, now=due)
    assert (stale.kind, stale.since) == (BreakKind.FEED_STALE, due)
    assert stale.overdue == datetime(2026, 11, 5, tzinfo=UTC)
    assert found(MON, TUE, now=due) == []
    # Where none has come yet, from the first day on.
    assert found(now=datetime(2026, 11, 2, 23, 59, tzinfo=UTC)) == []
    assert [c.kind for c in found(now=datetime(2026, 11, 3, tzinfo=UTC))] == [BreakKind.FEED_STALE]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_chain_with_anything_missing_has_gaps_where_it_is_missing(data: st.DataObject) -> None:
    amounts = data.draw(st.lists(st.integers(1, 99), min_size=2, max_size=9))
    chain, balance = [], 0
    for number, amount in enumerate(amounts):
        chain.append(past(balance, amount, on=number))
        balance += amount
    there = data.draw(st.sets(st.sampled_from(range(len(chain))), min_size=1))
    kept = [chain[number] for number in sorted(there)]
    holes = sum(
        second - first > 1 for first, second in zip(sorted(there), sorted(there)[1:], strict=False)
    )
    order = data.draw(st.permutations(kept))
    told = [
        c for c in conditions_of(statements(*order), NOON) if c.kind is not BreakKind.FEED_STALE
    ]
    assert [c.kind for c in told] == [BreakKind.STATEMENT_GAP] * holes


def test_a_number_that_is_within_a_larger_statement_is_not_missing() -> None:
    first, second = past(0, 10, on=0, number=1), past(10, 20, on=1, number=2)
    both = past(10, 20, 5, on=1, until=2, number=3)
    after = past(35, 1, on=3, number=4)
    assert kinds(first, second, both, after) == []
    # Without the smaller one, its number is.
    assert kinds(first, both, after) == [BreakKind.STATEMENT_GAP]
    # Two within it, and one that is truly missing.
    third = past(30, 5, on=2, number=3)
    all_of_it = past(10, 20, 5, 1, on=1, until=3, number=4)
    follows = past(36, 2, on=4, number=5)
    assert kinds(first, second, third, all_of_it, follows) == []
    assert kinds(first, third, all_of_it, follows) == [BreakKind.STATEMENT_GAP]


def test_a_day_is_complete_once_a_chain_of_statements_reaches_it() -> None:
    # FROM_DAY is a Monday.
    monday, tuesday = past(0, 10, on=0), past(10, 5, on=1)
    assert lacks(statements(), day(-1)) == ""
    assert lacks(statements(), day(0)) == f"no statement of eur until {day(0)} has been taken"
    assert lacks(statements(monday), day(0)) == ""
    assert lacks(statements(monday), day(1)) == f"no statement of eur until {day(1)} has been taken"
    assert lacks(statements(monday, tuesday), day(1)) == ""
    # Friday's is of the weekend, too, and does not come for Monday.
    week = past(15, 1, on=2, until=4)
    whole = statements(monday, tuesday, week)
    assert [lacks(whole, day(number)) for number in (4, 5, 6)] == ["", "", ""]
    assert lacks(whole, day(7)) == f"no statement of eur until {day(7)} has been taken"
    # What is missing before counts, and not what is missing after.
    assert lacks(statements(monday, week), day(0)) == ""
    missing = f"statements of eur between {day(0)} and {day(4)} are missing"
    assert lacks(statements(monday, week), day(4)) == missing
    # Unless people have accepted just that: it will not come.
    [gap] = [c for c in conditions_of(statements(monday, week), NOON) if c.kind is GAP]
    assert lacks(statements(monday, week), day(4), {gap.identity}) == ""
    other = replace(gap, subject="statements of eur a and b").identity
    assert lacks(statements(monday, week), day(4), {other}) == missing
