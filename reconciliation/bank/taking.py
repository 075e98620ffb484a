"""Takes a file: what it holds is written in one transaction, or nothing of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciliation.bank import store
from reconciliation.bank.asking import (
    RefusedError,
    TooManyStatementsError,
    UnknownFormatError,
    open_reading,
)
from reconciliation.bank.lines import MAX_CARRIERS
from reconciliation.bank.store import BankFile, StatementFilter
from reconciliation.bank.wire import Asked
from reconciliation.errors import statement_refused
from reconciliation.items.intake import TAKEN, take_document
from reconciliation.matching.item import ItemError
from reconciliation.statements.model import Balance, Limits
from reconciliation.statements.reading import Declared
from runtime.clock import Clock
from runtime.errors import ServiceError
from runtime.logs import get_logger
from runtime.notifier import Notifier

INTAKE = "bank statements"
# Of a file; the readers take more of XML, but the whole of it is kept in memory here.
MAX_FILE_BYTES = 128 * 1024 * 1024
MAX_STATEMENTS = Limits().max_statements
# Where the day begins first: a bank there closes days that have not begun in UTC.
FIRST_ZONE = timedelta(hours=14)

STATEMENTS = Counter(
    "reconciliation_statements_total", "Statements taken.", ["bank_account", "continuity"]
)
REFUSED = Counter(
    "reconciliation_statement_files_refused_total",
    "Files of banks that were refused.",
    ["bank_account", "problem"],
)

log = get_logger(__name__)


@dataclass(frozen=True)
class Told:
    """What whoever brings a file says of it. Balances are for files that have none."""

    declared: Declared | None = None
    """None where it is to be found out."""
    opening: Balance | None = None
    closing: Balance | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a file is refused, and the error that says so."""

    problem: str
    place: str
    expected: str
    error: ServiceError


class StatementTaking:
    """Takes files of banks, each in a transaction of its own or of the caller's."""

    def __init__(
        self, engine: AsyncEngine, new_items: Notifier, news: Notifier, clock: Clock
    ) -> None:
        """`new_items` is notified of items, `news` of statements and refusals."""
        self._engine = engine
        self._new_items = new_items
        self._news = news
        self._clock = clock

    async def take(self, file: BankFile, told: Told) -> Sequence[Any]:
        """The same as `take_in`, in a transaction of its own."""
        async with self._engine.begin() as connection:
            rows = await self.take_in(connection, file, told)
        self.tell()
        return rows

    async def take_in(
        self, connection: AsyncConnection, file: BankFile, told: Told
    ) -> Sequence[Any]:
        """The rows of the file's statements; of one that was taken before, those of then.

        A part of the caller's transaction, after which it calls `tell`. Raises the `ServiceError`
        of a refusal, which is written down whatever becomes of the transaction, and
        `ReaderFailedError`.
        """
        known = await store.known_file(connection, file.account.name, file.sha256)
        if known is not None:
            return await self._statements(connection, known)
        try:
            async with open_reading(file.file_number) as reading:
                asked = self._asked(file, told)
                headers = await reading.statements(asked)
                rows = await self._write(connection, file, reading, headers, asked)
        except (RefusedError, UnknownFormatError, TooManyStatementsError, ItemError) as error:
            refusal = refusal_of(file.account.name, error)
            await self.refuse(file, refusal.problem, refusal.place, refusal.expected)
            raise refusal.error from error
        for row in rows:
            STATEMENTS.labels(file.account.name, row.continuity or "REPORT").inc()
        return rows

    def tell(self) -> None:
        """Wakes those who wait for items and statements, which are committed."""
        self._new_items.notify()
        self._news.notify()

    def _asked(self, file: BankFile, told: Told) -> Asked:
        return Asked(
            file.file_number,
            file.account,
            told.declared,
            self.today(),
            told.opening,
            told.closing,
        )

    def today(self) -> date:
        """The latest day that has begun anywhere."""
        return (self._clock.now().astimezone(UTC) + FIRST_ZONE).date()

    async def _write(
        self,
        connection: AsyncConnection,
        file: BankFile,
        reading: Any,
        headers: Sequence[Any],
        asked: Asked,
    ) -> Sequence[Any]:
        """Everything of a file that is proved. What takes long is done by its reader."""
        account, now = file.account, self._clock.now()
        await store.lock(connection)
        known = await store.known_file(connection, account.name, file.sha256)
        if known is not None:
            return await self._statements(connection, known)
        earlier = await store.earlier_statements(connection, account.name, headers)
        if len(earlier) > store.MAX_EARLIER:
            raise TooManyStatementsError
        first_id = await store.last_id(connection) + 1
        verdicts = await reading.verdicts(earlier, first_id)
        file_id = await store.add_file(connection, file, now)
        await store.add_reading(connection, file_id, asked.to_text())
        statements = [
            {**header, **verdict} for header, verdict in zip(headers, verdicts, strict=True)
        ]
        await store.add_statements(connection, file, file_id, first_id, statements, now)
        async for page in reading.pages():
            if page.kind == "lines":
                await store.add_lines(connection, page.rows)
            else:
                cursor = str(first_id + len(statements) - 1)
                await take_document(connection, INTAKE, page.rows, page.count, cursor, self._clock)
                TAKEN.labels(INTAKE).inc(page.count)
        return await self._statements(connection, file_id)

    @staticmethod
    async def _statements(connection: AsyncConnection, file_id: int) -> Sequence[Any]:
        wanted = StatementFilter(file_id=file_id)
        return await store.list_statements(connection, wanted, 0, MAX_STATEMENTS)

    async def refuse(self, file: BankFile, problem: str, place: str, expected: str) -> None:
        """An alarm of the account; where in the file is told, and nothing that stands there."""
        async with self._engine.begin() as connection:
            now = self._clock.now()
            await store.refuse(connection, file, problem, place, expected, now)
        REFUSED.labels(file.account.name, problem).inc()
        log.warning(
            "statement_file_refused",
            bank_account=file.account.name,
            problem=problem,
            place=place,
            sha256=file.sha256.hex(),
        )
        self._news.notify()


def refusal_of(account: str, error: Exception) -> Refusal:
    """Why a file is refused, by what was found while it was read and compared."""
    if isinstance(error, RefusedError):
        problem, place, expected = error.reason, error.place, error.expected
    elif isinstance(error, UnknownFormatError):
        problem, place = "FORMAT_UNKNOWN", "the beginning"
        expected = "a format that is found out, or is declared, was expected"
    elif isinstance(error, TooManyStatementsError):
        problem, place = "STATEMENTS_OF_DAYS", "the days of the file"
        expected = f"at most {MAX_CARRIERS} statements with the same lines were expected"
    else:
        # Two lines with one key and other contents.
        problem, place = "INVALID", "a line"
        expected = "a line as an earlier statement has it was expected"
    return Refusal(problem, place, expected, statement_refused(account, problem, place, expected))
