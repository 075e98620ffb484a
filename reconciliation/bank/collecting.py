"""Collects files from the accounts' stores. Nothing there is moved or changed: what was looked into
is remembered by name and version, and the bytes by their hash."""

import hashlib
import os
from collections import Counter as Tally
from collections.abc import Mapping, Sequence

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.bank import store
from reconciliation.bank.accounts import BankAccount
from reconciliation.bank.asking import ReaderFailedError
from reconciliation.bank.store import BankFile
from reconciliation.bank.stores import FileTooLargeError, Found, StatementStore
from reconciliation.bank.taking import MAX_FILE_BYTES, StatementTaking, Told
from runtime.child_process import nameless_file
from runtime.clock import Clock
from runtime.errors import ServiceError
from runtime.logs import get_logger
from runtime.loops import Loop
from runtime.object_storage import ObjectStorageError

# A file is whole when two looks so far apart find it alike.
POLL_SECONDS = 15.0
# Of an account in one look, so that the others have their turn.
MAX_FILES_PER_LOOK = 5
# How often a file may bring down the process that reads it before it is refused.
MAX_FAILURES = 3

REACHABLE = Gauge(
    "reconciliation_statement_store_reachable",
    "Whether the folder or bucket of an account's files could be read at the last look.",
    ["bank_account"],
)

log = get_logger(__name__)


class Collecting:
    """Looks into all stores again and again."""

    def __init__(
        self,
        engine: AsyncEngine,
        stores: Mapping[str, tuple[BankAccount, StatementStore]],
        taking: StatementTaking,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._stores = stores
        self._taking = taking
        self._clock = clock
        self._before: dict[str, frozenset[tuple[str, str]]] = {}
        self._done: dict[str, set[tuple[str, str]]] = {}
        self._failures: Tally[tuple[str, str, str]] = Tally()
        self._unreachable: set[str] = set()

    def loop(self) -> Loop:
        """Looks; at once again where more files are there than one look takes."""
        return Loop("statement folders", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Looks once into each; whether more files are waiting."""
        more = False
        for name, (account, files) in self._stores.items():
            try:
                more = await self._look(account, files) or more
            except (OSError, ObjectStorageError) as error:
                self._is_away(name, error)
            else:
                self._unreachable.discard(name)
                REACHABLE.labels(name).set(1)
        return more

    def _is_away(self, name: str, error: Exception) -> None:
        """One store that is away does not keep files from the others."""
        REACHABLE.labels(name).set(0)
        if name not in self._unreachable:
            self._unreachable.add(name)
            log.warning("statement_store_away", bank_account=name, error_type=type(error).__name__)

    async def _look(self, account: BankAccount, files: StatementStore) -> bool:
        listed = await files.list()
        now = frozenset((each.name, each.version) for each in listed)
        before = self._before.get(account.name, frozenset())
        self._before[account.name] = now
        whole = [each for each in listed if (each.name, each.version) in before]
        new = await self._new(account, whole)
        for found in new[:MAX_FILES_PER_LOOK]:
            await self._take(account, files, found)
        return len(new) > MAX_FILES_PER_LOOK

    async def _new(self, account: BankAccount, listed: Sequence[Found]) -> list[Found]:
        """Those that were not looked into in this version; the database is asked once of each."""
        done = self._done.setdefault(account.name, set())
        done &= {(each.name, each.version) for each in listed}
        rest = [each for each in listed if (each.name, each.version) not in done]
        if rest:
            async with self._engine.connect() as connection:
                names = [each.name for each in rest]
                done |= await store.seen_of(connection, account.name, names)
        return [each for each in rest if (each.name, each.version) not in done]

    async def _take(self, account: BankAccount, files: StatementStore, found: Found) -> None:
        file_number = nameless_file("statement")
        try:
            try:
                content = await files.read(found, MAX_FILE_BYTES)
            except FileTooLargeError:
                # Its bytes are not read, so that its name stands for them.
                content, is_too_large = found.name.encode(), True
            else:
                is_too_large = False
            if content is None:
                return
            with os.fdopen(file_number, "wb", closefd=False) as spool:
                spool.write(content)
            file = BankFile(
                account,
                found.name,
                file_number,
                found.size,
                hashlib.sha256(content).digest(),
                client="",
            )
            if is_too_large:
                expected = f"a file of at most {MAX_FILE_BYTES} bytes was expected"
                await self._taking.refuse(file, "TOO_LARGE", "the file", expected)
                is_refused = True
            else:
                is_refused = await self._is_refused(file, found)
            async with self._engine.begin() as connection:
                await store.looked_into(
                    connection, file, found.version, self._clock.now(), is_refused=is_refused
                )
        finally:
            os.close(file_number)

    async def _is_refused(self, file: BankFile, found: Found) -> bool:
        """Takes a file, or has it refused. Raises OSError where it is to be tried again."""
        try:
            await self._taking.take(file, Told(file.account.declared))
        except ServiceError:
            return True
        except ReaderFailedError as error:
            key = file.account.name, found.name, found.version
            self._failures[key] += 1
            log.error("statement_reader_failed", bank_account=file.account.name, problem=str(error))
            if self._failures[key] < MAX_FAILURES:
                raise OSError("a file could not be read to its end") from error
            expected = "a file that can be read to its end was expected"
            await self._taking.refuse(file, "UNREADABLE", "the file", expected)
            return True
        return False
