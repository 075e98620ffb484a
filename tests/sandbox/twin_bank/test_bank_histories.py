"""Whatever happens at the twin's bank: its books come out, its files are read to the very entries
of its books, and each fault in them is one that was asked for."""

import io
import itertools
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reconciliation.statements.continuity import Continuity, judge, past_of
from reconciliation.statements.refusal import Reason, StatementRefusedError
from sandbox.twin_bank import BankFault, BankFaultKind, EntryKind, FileFormat, Practice, write
from sandbox.twin_bank.business_days import is_business_day
from sandbox.twin_bank.faults import ROW_FAULTS
from sandbox.twin_bank.files import formats_of
from sandbox.twin_bank.statement import Statement
from tests.sandbox.twin_bank.histories import FAULTS, FIRST_DAY, PRACTICES, STEPS, History, played
from tests.sandbox.twin_bank.reading import read, rows_read, rows_told

FEW = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])


def fees(history: History) -> int:
    """What the bank has kept, by its practice and the number of its credits."""
    practice = history.account.terms.practice
    total = 0
    for entry in history.account.books:
        if entry.kind is EntryKind.PAYOUT:
            whole = sum(share.amount for share in entry.shares)
            total += practice.fee_charged
            total += practice.fee_taken_off if whole > practice.fee_taken_off else 0
    return total


@FEW
@example(
    practice=Practice(merges=True, itemizes=True),
    # A descriptor of nothing leaves nothing behind the word.
    steps=[("pay", 1, ""), ("day", 1, ""), ("return", 0, "")],
    currency="EUR",
)
@given(PRACTICES, st.lists(STEPS, max_size=14), CURRENCIES)
def test_files_say_what_was_booked(
    practice: Practice, steps: list[tuple[str, Any, str]], currency: str
) -> None:
    history = played(practice, steps, currency=currency)
    account = history.account
    assert account.balance == history.expected - fees(history)
    assert not account.waiting()
    statements = [file.statement for file in account.files]
    assert [entry for each in statements for entry in each.entries] == account.books
    assert statements[0].opening == history.opening
    assert statements[-1].closing == account.balance
    for before, after in itertools.pairwise(statements):
        assert (after.opening, after.opened) == (before.closing, before.day)
        assert after.number == 1 if after.day.year > before.day.year else before.number + 1
    for statement in statements:
        for file_format in formats_of(statement):
            found = read(statement, file_format)
            assert rows_read(found, file_format) == rows_told(statement, file_format)
    for file_format in (FileFormat.CAMT_053, FileFormat.MT940):
        past = [past_of(read(statement, file_format)) for statement in statements]
        for at, new in enumerate(past):
            assert judge(past[:at], new).continuity is Continuity.OK


@FEW
@given(PRACTICES, st.lists(STEPS, max_size=14), st.lists(FAULTS, min_size=1, max_size=4))
def test_each_fault_is_known(
    practice: Practice, steps: list[tuple[str, Any, str]], faults: list[BankFault]
) -> None:
    history = played(practice, steps, faults)
    account = history.account
    assert account.balance == history.expected - fees(history)
    told = Counter(
        (entry.reference, entry.amount)
        for file in account.files
        for entry in file.statement.entries
    )
    assert told == told_by_faults(history)
    for file in account.files:
        reasons = refusals(file.statement)
        assert reasons == ({None} if file.statement.is_whole else {Reason.BALANCE})


def told_by_faults(history: History) -> Counter[tuple[str, int]]:
    """What all files have to list, made of the books and of what the bank says it did wrong."""
    account = history.account
    calendar = account.terms.practice.calendar
    days = [
        day
        for ahead in range((history.today - FIRST_DAY).days)
        if is_business_day(calendar, day := FIRST_DAY + timedelta(ahead))
    ]
    of_rows = {fault.reference: fault for fault in account.injected if fault.kind in ROW_FAULTS}
    made: dict[date, Counter[tuple[str, int]]] = {day: Counter() for day in days}
    for entry in account.books:
        fault = of_rows.get(entry.reference)
        day, times, amount = entry.booked, 1, entry.amount
        if fault is not None:
            match fault.kind:
                case BankFaultKind.ROW_MISSING:
                    times = 0
                case BankFaultKind.ROW_DOUBLED:
                    times = 2
                case BankFaultKind.ROW_LATE:
                    day = next((later for later in days if later > day), date.max)
                case _:
                    amount += fault.amount
        if times and day in made:
            made[day][entry.reference, amount] += times
    of_days = {fault.day: fault.kind for fault in account.injected if fault.kind not in ROW_FAULTS}
    told: Counter[tuple[str, int]] = Counter()
    for before, day in zip([None, *days], days, strict=False):
        kind = of_days.get(day)
        is_last = day == days[-1]
        if kind is BankFaultKind.STATEMENT_MISSING or (
            kind is BankFaultKind.STATEMENT_OUT_OF_ORDER and is_last
        ):
            continue
        told += made[day]
        if kind is BankFaultKind.STATEMENT_DOUBLED:
            told += made[day]
        if kind is BankFaultKind.STATEMENT_OVERLAPPING and before is not None:
            told += made[before]
    return told


def refusals(statement: Statement) -> set[Reason | None]:
    """Why the engine refuses the files of a statement; None for those that it takes."""
    reasons: set[Reason | None] = set()
    for file_format in formats_of(statement):
        try:
            read(statement, file_format)
            reasons.add(None)
        except StatementRefusedError as error:
            reasons.add(error.reason)
    return reasons


def test_a_statement_is_not_a_report() -> None:
    history = played(Practice(), [("own", 500, "rent")])
    (statement, *_) = [file.statement for file in history.account.files if file.statement.entries]
    with pytest.raises(ValueError, match=r"is offered as camt\.053, MT940, BAI2, CSV"):
        write(statement, FileFormat.CAMT_052)
    report = history.account.report(history.today)
    with pytest.raises(ValueError, match=r"is offered as camt\.052"):
        write(report, FileFormat.MT940)
    assert io.BytesIO(write(report, FileFormat.CAMT_052)).read(5) == b"<?xml"
