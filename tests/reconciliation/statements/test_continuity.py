"""Chains of statements: what goes on, what comes again, what overlaps, what is missing."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.statements.continuity import Continuity, Past, judge, past_of
from reconciliation.statements.model import Format, Kind, NotBookedError, Statement
from tests.reconciliation.statements.drawing import TODAY, Drawn, Line, proved, statement_of

OK, DUPLICATE = Continuity.OK, Continuity.DUPLICATE
OVERLAP, GAP = Continuity.OVERLAP, Continuity.GAP
FIRST_DAY = TODAY - timedelta(30)


def statement(
    amounts: Sequence[int],
    opening: int,
    day: int,
    number: int | None = None,
    page: int | None = None,
    name: str = "",
) -> Statement:
    """Of one day, counted from the first; bytes differ with the name."""
    when = FIRST_DAY + timedelta(day)
    lines = tuple(Line(amount=amount, booked=when, bank_reference="NONREF") for amount in amounts)
    drawn = Drawn(
        account="DE1",
        currency="EUR",
        opening=opening,
        opened=when,
        closing=proved(lines, opening),
        closed=when,
        lines=lines,
        number=number,
        page=page,
        statement_id=name,
    )
    content = f"{name}{amounts}{opening}{day}{number}{page}".encode()
    return statement_of(drawn, content, Format.MT940, "MT940")


def past(
    amounts: Sequence[int],
    opening: int,
    day: int,
    number: int | None = None,
    page: int | None = None,
    name: str = "",
) -> Past:
    return past_of(statement(amounts, opening, day, number, page, name))


def verdict(earlier: list[Past], new: Past) -> tuple[Continuity, int | None]:
    found = judge(earlier, new)
    assert bool(found.why) == (found.continuity is not OK)
    return found.continuity, found.index


def test_the_first_statement_is_ok() -> None:
    assert verdict([], past([5], 0, 0)) == (OK, None)


def test_a_statement_goes_on_where_the_last_ended() -> None:
    first, second = past([5, -2], 0, 0, 1), past([7], 3, 1, 2)
    assert verdict([first], second) == (OK, 0)


def test_the_same_bytes_are_a_duplicate_and_other_statements_of_the_file_are_not() -> None:
    first = past([5], 0, 0)
    assert verdict([first], first) == (DUPLICATE, 0)
    second = replace(past([7], 5, 1), file_sha256=first.file_sha256, position=2)
    assert verdict([first], second) == (OK, 0)


def test_the_same_statement_in_other_bytes_is_a_duplicate() -> None:
    first = past([5, 5, -2], 0, 0, 1, name="S")
    again = replace(first, file_sha256=b"other")
    assert verdict([first], again) == (DUPLICATE, 0)
    # Without numbers and ids, what they say is what counts.
    bare = past([5, 5, -2], 0, 0)
    assert verdict([bare], replace(bare, file_sha256=b"other")) == (DUPLICATE, 0)
    # In another order it is the same statement.
    turned = past([-2, 5, 5], 0, 0)
    assert verdict([bare], turned) == (DUPLICATE, 0)


def test_two_equal_lines_of_a_day_are_two() -> None:
    once, twice = past([5], 0, 0), past([5, 5], 0, 0)
    assert once.entries != twice.entries
    assert len(set(twice.entries)) == 1
    # The same line again on the same day, in a statement that goes on: genuine.
    assert verdict([once], past([5], 5, 0, 2)) == (OK, 0)
    # Once instead of twice: not the same statement, but the same day's entry.
    assert verdict([twice], once) == (OVERLAP, 0)


def test_days_without_movement_are_no_duplicates() -> None:
    first, second = past([], 9, 0), past([], 9, 1)
    assert verdict([first], second) == (OK, 0)
    assert verdict([first], replace(first, file_sha256=b"other")) == (DUPLICATE, 0)


def test_entries_of_days_that_another_has() -> None:
    first = past([5, 7], 0, 3)
    wider = past_of(
        replace(
            statement([7, 1], 5, 4),
            entries=(
                *statement([7], 5, 3).entries,
                *statement([1], 12, 4).entries,
            ),
        )
    )
    assert verdict([first], wider) == (OVERLAP, 0)


def test_a_number_that_comes_again_with_other_entries() -> None:
    first = past([5], 0, 0, 7)
    assert verdict([first], past([6], 5, 1, 7)) == (OVERLAP, 0)


@pytest.mark.parametrize(
    ("number", "page", "continuity"),
    [(8, None, OK), (9, None, GAP), (6, None, GAP), (8, 1, OK), (8, 2, GAP)],
)
def test_numbers_count_up_by_one(number: int, page: int | None, continuity: Continuity) -> None:
    first = past([5], 0, 0, 7)
    new = past([6], 5, 1, number, page)
    assert verdict([first], new)[0] is continuity


@pytest.mark.parametrize(("page", "continuity"), [(2, OK), (3, GAP)])
def test_pages_count_up_by_one(page: int, continuity: Continuity) -> None:
    first = past([5], 0, 0, 7, 1)
    assert verdict([first], past([6], 5, 0, 7, page))[0] is continuity


def test_numbers_begin_again_with_a_year() -> None:
    def of_day(found: Statement, day: date) -> Past:
        assert found.closing
        entries = tuple(replace(entry, booking_date=day) for entry in found.entries)
        return past_of(replace(found, entries=entries, closing=replace(found.closing, date=day)))

    last = of_day(statement([5], 0, 0, 250), date(2025, 12, 31))
    first = of_day(statement([6], 5, 1, 1), date(2026, 1, 2))
    assert verdict([last], first) == (OK, 0)
    later = of_day(statement([6], 5, 1, 2), date(2026, 1, 2))
    assert verdict([last], later)[0] is GAP


def test_a_bank_that_does_not_count_writes_zero() -> None:
    assert verdict([past([5], 0, 0, 0)], past([6], 5, 1, 0)) == (OK, 0)


def test_a_balance_that_does_not_go_on_is_a_gap() -> None:
    assert verdict([past([5], 0, 0)], past([6], 4, 1)) == (GAP, 0)


def test_a_statement_between_two_has_to_fit_both() -> None:
    first, third = past([5], 0, 0), past([1], 12, 2)
    assert verdict([first, third], past([7], 5, 1)) == (OK, 0)
    assert verdict([first, third], past([8], 5, 1)) == (GAP, 1)
    assert verdict([third], past([8], 5, 1)) == (GAP, 0)


def test_other_accounts_and_reports_are_no_part_of_a_chain() -> None:
    first = past([5], 0, 0)
    for other in (replace(first, account="DE2"), replace(first, currency="USD")):
        with pytest.raises(ValueError, match="one account"):
            judge([first], other)
    with pytest.raises(NotBookedError):
        past_of(replace(statement([5], 0, 0), kind=Kind.INTERIM))


@settings(max_examples=25, deadline=None)
@given(
    days=st.lists(st.lists(st.integers(-3, 3), max_size=3), min_size=2, max_size=6),
    order=st.randoms(use_true_random=False),
    numbered=st.booleans(),
)
def test_a_chain_is_whole_in_whatever_order_it_comes(
    days: list[list[int]], order: "object", numbered: bool
) -> None:
    ends = list(itertools.accumulate(map(sum, days), initial=100))
    chain = [
        past(amounts, ends[day], day, day + 1 if numbered else None)
        for day, amounts in enumerate(days)
    ]
    known: list[Past] = []
    for new in chain:
        assert verdict(known, new)[0] is OK
        known.append(new)
    for new in chain:
        assert verdict(known, new)[0] is DUPLICATE
    # Without one of them, what follows it is a gap, unless nothing tells that it is missing.
    for missing in range(1, len(chain) - 1):
        rest, after = chain[:missing], chain[missing + 1]
        tells = numbered or ends[missing] != ends[missing + 1]
        assert (verdict(rest, after)[0] is GAP) == tells
        # And it is at home between the others, whenever it comes.
        others = chain[:missing] + chain[missing + 1 :]
        assert verdict(others, chain[missing])[0] is OK
