"""What the twin's bank does with payouts by its own rules, and each fault by itself."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from stdnum import iban

from reconciliation.statements.continuity import Continuity, judge, past_of
from reconciliation.statements.csv_mapping import mapping_of
from sandbox.twin_bank import (
    BankFault,
    BankFaultKind,
    Calendar,
    EntryKind,
    FileFormat,
    OwnEntry,
    Practice,
    Transfer,
    TwinBank,
)
from sandbox.twin_bank.bank_account import BankAccount
from sandbox.twin_bank.books import MAX_MINOR_UNITS
from sandbox.twin_bank.practice import MAX_BUSINESS_DAYS_LATE
from tests.sandbox.twin_bank.reading import CSV_MAPPING, read, rows_read

MONDAY = date(2026, 11, 30)
DAY = timedelta(days=1)


def opened(practice: Practice | None = None, opening: int = 0) -> BankAccount:
    return TwinBank().open("acct_1", "EUR", MONDAY, opening=opening, practice=practice)


def payout(name: str, amount: int) -> Transfer:
    return Transfer(name, amount, f"TRACE{name}", "STRIPE PAYOUT 4711")


def statements_of(account: BankAccount, days: int) -> list[tuple[str, int, int, list[int]]]:
    account.close_until(MONDAY + days * DAY)
    return [
        (
            file.statement.day.isoformat()[5:],
            file.statement.opening,
            file.statement.closing,
            [entry.amount for entry in file.statement.entries],
        )
        for file in account.files
    ]


def test_payouts_of_a_day_are_one_credit_with_its_parts() -> None:
    account = opened(Practice(merges=True, itemizes=True))
    account.take(payout("a", 700), MONDAY)
    account.take(payout("b", 300), MONDAY)
    account.close_until(MONDAY + DAY)
    (entry,) = account.books
    assert [(share.transfer_id, share.amount) for share in entry.shares] == [("a", 700), ("b", 300)]
    statement = account.files[0].statement
    (row,) = rows_read(read(statement, FileFormat.CAMT_053), FileFormat.CAMT_053)
    assert (row.amount, row.parts[0]) == (1_000, (700, "TRACEa", "STRIPE PAYOUT 4711"))
    (row,) = rows_read(read(statement, FileFormat.MT940), FileFormat.MT940)
    assert (row.remittance, row.end_to_end_id) == ("2 CREDITS STRIPE", "")


def test_a_payout_is_two_credits_above_a_limit() -> None:
    account = opened(Practice(splits_above=1_000))
    account.take(payout("a", 1_000), MONDAY)
    account.take(payout("b", 1_001), MONDAY)
    account.close_until(MONDAY + DAY)
    assert [(entry.amount, entry.shares[0].transfer_id) for entry in account.books] == [
        (1_000, "a"),
        (501, "b"),
        (500, "b"),
    ]
    assert {entry.end_to_end_id for entry in account.books[1:]} == {"TRACEb"}


def test_an_american_bank_cuts_descriptors_and_takes_its_fee() -> None:
    account = opened(
        Practice(
            descriptor_chars=10, shows_traces=False, fee_taken_off=15, fee_charged=20, merges=True
        )
    )
    account.take(payout("a", 15), MONDAY)
    assert statements_of(account, 1)[0][3] == [15, -20]
    account.take(payout("b", 16), MONDAY + DAY)
    account.close_until(MONDAY + 2 * DAY)
    credit, charge = account.books[2:]
    assert (credit.amount, charge.amount, charge.kind) == (1, -20, EntryKind.CHARGE)
    assert (credit.remittance, credit.end_to_end_id) == ("STRIPE PAY", "")


def test_what_comes_on_a_weekend_is_booked_on_the_next_business_day() -> None:
    account = opened(Practice(business_days_late=1))
    saturday = MONDAY + 5 * DAY
    account.take(payout("a", 100), saturday)
    account.take(payout("b", -40), saturday)
    tuesday = saturday + 3 * DAY
    assert statements_of(account, 9)[-1] == (tuesday.isoformat()[5:], 0, 60, [100, -40])
    assert [file.statement.number for file in account.files] == [1, 2, 3, 4, 5, 6, 7]


def test_what_was_booked_goes_back_and_what_was_not_never_comes() -> None:
    account = opened()
    account.take(payout("a", 100), MONDAY)
    account.take(payout("b", 50), MONDAY)
    account.give_back("b", MONDAY)
    account.give_back("a", MONDAY + DAY)
    account.give_back("a", MONDAY + DAY)
    account.give_back("unknown", MONDAY + DAY)
    assert [row[3] for row in statements_of(account, 3)] == [[100], [-100], []]
    returned = account.books[-1]
    assert (returned.kind, returned.is_reversal) == (EntryKind.RETURN, True)
    assert returned.remittance == "RETURN STRIPE PAYOUT 4711"
    account.take(payout("c", 1), MONDAY + 3 * DAY)
    with pytest.raises(ValueError, match="has come already"):
        account.take(payout("c", 1), MONDAY + 3 * DAY)


def test_the_report_of_today_is_no_statement() -> None:
    account = opened(opening=500)
    account.take(payout("a", 100), MONDAY)
    report = account.report(MONDAY)
    assert (report.opening, report.closing, report.is_final) == (500, 600, False)
    found = read(report, FileFormat.CAMT_052)
    assert [entry.amount_minor for entry in found.entries] == [100]
    assert (account.files, account.books) == ([], [])
    assert account.report(MONDAY + DAY).entries == ()
    assert account.files[0].statement.entries == report.entries


def test_the_page_has_the_mapping_of_the_csv() -> None:
    page = (Path(__file__).parents[3] / "docs" / "stripe-twin.md").read_text(encoding="utf-8")
    (document,) = re.findall(r"```json\n(\{.*?\n\})\n```", page, re.DOTALL)
    assert mapping_of(document) == CSV_MAPPING


def row_faults(kind: BankFaultKind, balances: str, by: int = 0) -> list[tuple[int, int, list[int]]]:
    """Opening, closing and amounts of three statements of which the first has the fault."""
    account = opened(opening=1_000)
    fault = BankFault.model_validate({"kind": kind, "balances": balances, "by": by})
    account.add_fault(fault, MONDAY)
    account.take(payout("a", 100), MONDAY)
    account.book_own(OwnEntry(amount=-30), MONDAY + DAY)
    return [row[1:] for row in statements_of(account, 3)]


@pytest.mark.parametrize(
    ("kind", "by", "hidden", "shown"),
    [
        (
            BankFaultKind.ROW_MISSING,
            0,
            [(1_000, 1_000, []), (1_000, 970, [-30]), (970, 970, [])],
            [(1_000, 1_100, []), (1_100, 1_070, [-30]), (1_070, 1_070, [])],
        ),
        (
            BankFaultKind.ROW_DOUBLED,
            0,
            [(1_000, 1_200, [100, 100]), (1_200, 1_170, [-30]), (1_170, 1_170, [])],
            [(1_000, 1_100, [100, 100]), (1_100, 1_070, [-30]), (1_070, 1_070, [])],
        ),
        (
            BankFaultKind.ROW_LATE,
            0,
            [(1_000, 1_000, []), (1_000, 1_070, [100, -30]), (1_070, 1_070, [])],
            [(1_000, 1_100, []), (1_100, 1_070, [100, -30]), (1_070, 1_070, [])],
        ),
        (
            BankFaultKind.ROW_OTHER_AMOUNT,
            7,
            [(1_000, 1_107, [107]), (1_107, 1_077, [-30]), (1_077, 1_077, [])],
            [(1_000, 1_100, [107]), (1_100, 1_070, [-30]), (1_070, 1_070, [])],
        ),
    ],
)
def test_a_row_goes_wrong(
    kind: BankFaultKind,
    by: int,
    hidden: list[tuple[int, int, list[int]]],
    shown: list[tuple[int, int, list[int]]],
) -> None:
    assert row_faults(kind, "hide", by) == hidden
    assert row_faults(kind, "show", by) == shown


@pytest.mark.parametrize(
    ("kind", "numbers", "verdicts"),
    [
        (BankFaultKind.STATEMENT_MISSING, [1, 3], [Continuity.OK, Continuity.GAP]),
        (
            BankFaultKind.STATEMENT_DOUBLED,
            [1, 2, 2, 3],
            [Continuity.OK, Continuity.OK, Continuity.DUPLICATE, Continuity.OK],
        ),
        (
            BankFaultKind.STATEMENT_OVERLAPPING,
            [1, 2, 3],
            [Continuity.OK, Continuity.OVERLAP, Continuity.OK],
        ),
        (
            BankFaultKind.STATEMENT_OUT_OF_ORDER,
            [1, 3, 2],
            [Continuity.OK, Continuity.GAP, Continuity.OK],
        ),
    ],
)
def test_a_statement_goes_wrong(
    kind: BankFaultKind, numbers: list[int], verdicts: list[Continuity]
) -> None:
    account = opened(opening=1_000)
    # The first one has none before it that it could overlap.
    skip = 0 if kind is BankFaultKind.STATEMENT_OVERLAPPING else 1
    account.add_fault(BankFault(kind=kind, skip=skip), MONDAY)
    for ahead in range(3):
        account.take(payout(f"p{ahead}", 100 + ahead), MONDAY + ahead * DAY)
    account.close_until(MONDAY + 3 * DAY)
    assert [file.statement.number for file in account.files] == numbers
    past = [past_of(read(file.statement, FileFormat.CAMT_053)) for file in account.files]
    found = [judge(past[:at], new).continuity for at, new in enumerate(past)]
    assert found == verdicts
    (injected,) = account.injected
    assert (injected.kind, injected.number) == (kind, 2)


def test_a_false_closing_balance_is_of_one_statement() -> None:
    account = opened()
    fault_id = account.add_fault(
        BankFault(kind=BankFaultKind.FALSE_CLOSING_BALANCE, by=9, count=2), MONDAY
    )
    account.take(payout("a", 100), MONDAY)
    assert statements_of(account, 1) == [("11-30", 0, 109, [100])]
    account.clear_faults(fault_id, MONDAY + DAY)
    assert statements_of(account, 2)[1] == ("12-01", 100, 100, [])
    assert [(item.kind, item.amount) for item in account.injected] == [
        (BankFaultKind.FALSE_CLOSING_BALANCE, 9)
    ]


def test_a_fault_is_of_the_rows_that_it_names_and_turns_none_around() -> None:
    account = opened()
    fault = BankFault(
        kind=BankFaultKind.ROW_OTHER_AMOUNT,
        by=-100,
        count=9,
        entries=frozenset({EntryKind.PAYOUT, EntryKind.DEBIT}),
    )
    account.add_fault(fault, MONDAY)
    for name, amount in (("a", 100), ("b", 101), ("c", -5)):
        account.take(payout(name, amount), MONDAY)
    account.book_own(OwnEntry(amount=700, remittance="a customer"), MONDAY)
    assert statements_of(account, 1)[0][3] == [100, 1, -105, 700]
    assert [item.transfers for item in account.injected] == [("b",), ("c",)]


def test_what_a_bank_cannot_be_asked_for() -> None:
    bank = TwinBank()
    account = bank.open("acct_1", "EUR", MONDAY, opening=MAX_MINOR_UNITS - 5)
    other = bank.open("acct_1", "USD", MONDAY).terms
    assert iban.is_valid(account.terms.identification)
    assert iban.is_valid(other.identification)
    assert other.is_iban
    us = Practice(calendar=Calendar.FEDERAL_RESERVE)
    american = bank.open("acct_2", "USD", MONDAY, practice=us).terms
    assert (american.identification, american.is_iban) == ("100100100003", False)
    for more in (
        {"currency": "EUR"},
        {"currency": "euro"},
        {"currency": "GBP", "identification": other.identification},
        {"currency": "GBP", "identification": "a b"},
        {"currency": "GBP", "opening": MAX_MINOR_UNITS + 1},
    ):
        with pytest.raises(ValueError, match=r"account|currency|identification|opening"):
            bank.open("acct_1", today=MONDAY, **more)
    account.book_own(OwnEntry(amount=5), MONDAY)
    for amount in (0, 6):
        with pytest.raises(ValueError, match="amount: "):
            account.book_own(OwnEntry(amount=amount), MONDAY)
    with pytest.raises(KeyError):
        bank.account("unknown")
    for practice in (
        {"itemizes": True},
        {"merges": True, "splits_above": 5},
        {"business_days_late": MAX_BUSINESS_DAYS_LATE + 1},
        {"unknown": 1},
    ):
        with pytest.raises(ValidationError):
            Practice.model_validate(practice)
    for fault in (
        {"kind": "row_other_amount"},
        {"kind": "row_missing", "by": 3},
        {"kind": "statement_missing", "balances": "show"},
        {"kind": "statement_missing", "entries": ["own"]},
    ):
        with pytest.raises(ValidationError):
            BankFault.model_validate(fault)
