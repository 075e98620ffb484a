"""The twin's bank delivers files with something wrong; what is known in the end is what its books
have, but for what was never told, which is said."""

from collections import Counter
from datetime import date, timedelta

import pytest

from reconciliation.bank.watching import StatementWatch
from reconciliation.matching.policy import BreakKind
from reconciliation.statements.reading import Declared
from runtime.errors import ServiceError
from sandbox.twin_bank import BankFault, BankFaultKind, FileFormat, OwnEntry, Practice, write
from sandbox.twin_bank.bank import TwinBank
from tests.reconciliation.bank.files import IBANS
from tests.reconciliation.bank.test_bank_balance import watch  # noqa: F401 (a fixture)
from tests.reconciliation.bank.test_banked import Desk, desk  # noqa: F401 (a fixture)
from tests.reconciliation.books import Books
from tests.sandbox.twin_bank.reading import CSV_MAPPING, FORMATS

# A Monday; the tests' clock is a week later.
FIRST = date(2026, 11, 23)
DAYS = 5
TOLD = (BankFaultKind.STATEMENT_MISSING, BankFaultKind.FALSE_CLOSING_BALANCE)
ALL = (
    *TOLD,
    BankFaultKind.STATEMENT_DOUBLED,
    BankFaultKind.STATEMENT_OVERLAPPING,
    BankFaultKind.STATEMENT_OUT_OF_ORDER,
)
CASES = [
    (FileFormat.CAMT_053, None),
    *((FileFormat.CAMT_053, kind) for kind in ALL),
    # Some of each: a line of BAI2 has no day of its own, so that it is another one in a file of two
    # days; a CSV has no balance but after its lines, so that a false one is a line that is false.
    *((FileFormat.MT940, kind) for kind in ALL[1:4:2]),
    *((FileFormat.BAI2, kind) for kind in (ALL[1], ALL[4])),
    *((FileFormat.CSV, kind) for kind in ALL[3:]),
]


@pytest.mark.parametrize(("file_format", "kind"), CASES)
async def test_what_a_bank_gets_wrong_is_mended_or_told(
    books: Books,
    desk: Desk,  # noqa: F811 (a fixture)
    watch: StatementWatch,  # noqa: F811 (a fixture)
    file_format: FileFormat,
    kind: BankFaultKind | None,
) -> None:
    account = TwinBank().open(
        "acct_1", "EUR", FIRST, identification=IBANS["of-camt"], opening=900, practice=Practice()
    )
    if kind is not None:
        by = -100 if kind is BankFaultKind.FALSE_CLOSING_BALANCE else 0
        account.add_fault(BankFault(kind=kind, skip=1, by=by), FIRST)
    for number in range(DAYS):
        today = FIRST + timedelta(days=number)
        for amount in (40, 40, -7):
            account.book_own(OwnEntry(amount=amount, remittance="paid"), today)
    account.close_until(FIRST + timedelta(days=DAYS + 2))
    declared = Declared(
        FORMATS[file_format], mapping=CSV_MAPPING if file_format is FileFormat.CSV else None
    )
    refused = []
    for issued in account.files:
        try:
            await desk.take("of-camt", write(issued.statement, file_format), declared)
        except ServiceError as error:
            refused.append(error.reason)
    assert refused == ["STATEMENT_BALANCE_FALSE"] * (kind is BankFaultKind.FALSE_CLOSING_BALANCE)
    rows = await books.rows("SELECT amount_minor, book_date FROM item WHERE source = 'BANK'")
    known = Counter((row.amount_minor, row.book_date) for row in rows)
    lost = {each.day for each in account.injected} if kind in TOLD else set()
    assert known == Counter(
        (entry.amount, entry.booked) for entry in account.books if entry.booked not in lost
    )
    await watch.round()
    told = await books.rows(
        "SELECT d.kind FROM difference AS d LEFT JOIN difference_end AS e USING (difference_id)"
        " WHERE d.subject <> '' AND e.difference_id IS NULL"
    )
    assert [row.kind for row in told] == [BreakKind.STATEMENT_GAP] * (kind in TOLD)
