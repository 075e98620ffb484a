"""How often a line is there by several statements, and by what it may name a payout."""

from dataclasses import replace
from datetime import date
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.bank import lines
from reconciliation.bank.accounts import BankAccount
from reconciliation.bank.lines import (
    MAX_CARRIERS,
    TooManyCarriersError,
    is_compared,
    item_of,
    number_of,
    tokens_of,
)
from reconciliation.matching.calendars import read_calendars
from reconciliation.matching.item import MAX_MINOR_UNITS, MAX_TOKENS, ItemError
from reconciliation.statements.model import Detail, Direction, Entry, EntryStatus
from tests.reconciliation.bank.files import FROM_DAY, day

ACCOUNT = BankAccount(
    "eur", "DE1", "EUR", "eu", None, read_calendars().known["TARGET"], 1, FROM_DAY
)
ENTRY = Entry(
    1, 5, Direction.CREDIT, False, EntryStatus.BOOKED, FROM_DAY, None, "", "", "", "", "", "", "",
    (), bytes(32),
)  # fmt: skip
PLACES = range(6)
PAIRS = list(combinations(PLACES, 2))


def excludes(edges: set[tuple[int, int]]) -> dict[int, set[int]]:
    return {
        place: {b if a == place else a for a, b in edges if place in (a, b)} for place in PLACES
    }


@given(
    st.dictionaries(st.sampled_from(PLACES), st.integers(1, 3)),
    st.sets(st.sampled_from(PAIRS)),
)
def test_a_line_counts_as_those_that_do_not_exclude_each_other_say_together(
    counts: dict[int, int], edges: set[tuple[int, int]]
) -> None:
    groups = [
        group
        for size in range(len(counts) + 1)
        for group in combinations(counts, size)
        if not any({a, b} <= set(group) for a, b in edges)
    ]
    most = max(sum(counts[place] for place in group) for group in groups)
    assert number_of(counts, excludes(edges)) == most
    # A further statement takes none away, and adds no more than it has.
    for place in set(PLACES) - set(counts):
        more = number_of({**counts, place: 2}, excludes(edges))
        assert most <= more <= most + 2


def test_so_many_statements_of_a_line_are_compared_and_no_more() -> None:
    def number(count: int) -> int:
        """All but the first go on from each other, and it excludes them all."""
        rest = set(range(1, count))
        return number_of(dict.fromkeys(range(count), 1), {0: rest} | {n: {0} for n in rest})

    assert number(MAX_CARRIERS) == MAX_CARRIERS - 1
    with pytest.raises(TooManyCarriersError):
        number(MAX_CARRIERS + 1)
    # Where none excludes another they may be any number.
    assert number_of(dict.fromkeys(range(MAX_CARRIERS * 2), 1), {}) == MAX_CARRIERS * 2


@pytest.mark.parametrize(
    ("entry", "is_one"),
    [
        (ENTRY, True),
        (replace(ENTRY, amount_minor=0), False),
        (replace(ENTRY, status=EntryStatus.PENDING), False),
        (replace(ENTRY, status=EntryStatus.REPORTED), False),
        (replace(ENTRY, booking_date=day(-1)), False),
        (replace(ENTRY, booking_date=None), False),
    ],
)
def test_which_lines_are_compared(entry: Entry, is_one: bool) -> None:
    assert is_compared(ACCOUNT, entry) is is_one


@pytest.mark.parametrize(
    ("entry", "is_one"),
    [
        (ENTRY, False),
        (replace(ENTRY, remittance="a STRIPE payout"), True),
        (replace(ENTRY, counterparty="Stripe Payments Europe"), True),
        (replace(ENTRY, details=(Detail(5, "", "", "", "stripe"),)), True),
        (replace(ENTRY, details=(Detail(5, "", "", "by Stripe", ""),)), True),
        (replace(ENTRY, bank_reference="STRIPE"), False),
    ],
)
def test_an_account_may_say_which_lines_are_of_payouts(entry: Entry, is_one: bool) -> None:
    assert is_compared(replace(ACCOUNT, payout_texts=("wise", "stripe")), entry) is is_one


def test_an_item_is_known_by_what_the_bank_says_and_its_number() -> None:
    made = item_of(ACCOUNT, ENTRY, bytes(range(32)), 2)
    assert made.key == "eur/2026-11-02/0001020304050607/2"
    assert (made.corridor, made.currency, made.amount_minor) == ("eu", "EUR", 5)
    assert (made.book_date, made.instant.isoformat()) == (
        date(2026, 11, 2),
        "2026-11-02T00:00:00+00:00",
    )
    assert item_of(ACCOUNT, replace(ENTRY, amount_minor=MAX_MINOR_UNITS), bytes(32), 1)
    with pytest.raises(ItemError):
        item_of(ACCOUNT, replace(ENTRY, amount_minor=MAX_MINOR_UNITS + 1), bytes(32), 1)


def test_references_are_found_wherever_the_bank_puts_them() -> None:
    entry = replace(
        ENTRY,
        bank_reference="NONREF",
        customer_reference="091000010000001",
        end_to_end_id="NOTPROVIDED",
        remittance="STRIPE PAYMENTS po_1QabCdEf2345 2026 TRACE12 34567\nrest",
        details=(Detail(None, "D-998877", "", "line 123456", ""),),
    )
    assert tokens_of(entry) == {
        "091000010000001",
        "po_1QabCdEf2345",
        "D-998877",
        "123456",
        # Cut into pieces by the bank, and what else that may make of it.
        "TRACE1234567",
        "34567rest",
        "2026TRACE12",
        "PAYMENTSpo_1QabCdEf2345",
        "po_1QabCdEf23452026",
        "line123456",
    }
    assert tokens_of(ENTRY) == frozenset()
    many = replace(ENTRY, remittance=" ".join(str(n) for n in range(100_000, 100_100)))
    found = tokens_of(many)
    assert len(found) == MAX_TOKENS
    # The words themselves come first.
    assert "100000" in found
    assert len("100000") == lines.MIN_TOKEN_CHARACTERS


def test_where_a_reference_belongs_few_digits_are_one() -> None:
    named = replace(ENTRY, end_to_end_id="TRACEAAAAAED46EBE", bank_reference="STRIPE")
    assert tokens_of(named) == {"TRACEAAAAAED46EBE"}
    one = replace(ENTRY, customer_reference="PAYOUT" + "1" * lines.MIN_REFERENCE_DIGITS)
    assert tokens_of(one) == {"PAYOUT1"}
    # In a text it is rather a name.
    assert tokens_of(replace(ENTRY, remittance="TRACEAAAAAED46EBE")) == frozenset()
