"""Writes decisions to the log: all that wait in one transaction, one write at a time in a process.

The chain makes writers wait for each other, so that a transaction for each decision would make the
log the slowest part of a check. What arrives while a batch is being committed forms the next one.
One that cannot be written is found by halving its batch: only its own caller gets to know of it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import psycopg

from compliance.cases.case import CaseChange, Checked
from compliance.cases.keeping import CaseKeeping, count
from compliance.cases.store import runs_in
from compliance.errors import ERRORS
from compliance.v1 import error_reason_pb2
from runtime.batching import Batcher, FullError
from runtime.database import Database
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import is_unavailable
from runtime.session import Session
from runtime.sql_files import read_sql

MAX_BATCH = 256
MAX_WAITING = 4096
STATEMENT_TIMEOUT_SECONDS = 10.0
# A connection that broke while it was idle is noticed by the next write. To write a batch again is
# safe: what was committed already is left out, as any request_id that was used before.
MAX_ATTEMPTS = 2

_APPEND = read_sql(__file__, "append_decisions")

log = get_logger(__name__)


@dataclass(frozen=True)
class Place:
    """A decision's position in the chain."""

    sequence: int
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True)
class _Decision:
    decision_id: str
    record: str
    request: bytes
    # What it means for cases; None for what nobody has to decide.
    checked: Checked | None


class DecisionLog:
    """The way into the table `decision`."""

    def __init__(
        self, database: Database | str, role: str, application_name: str, cases: CaseKeeping
    ) -> None:
        self._database = Database.of(database)
        self._cases = cases
        self._role = role
        self._application_name = application_name
        self._batcher: Batcher[_Decision, Place | None] = Batcher(
            self._write, max_items=MAX_BATCH, max_waiting=MAX_WAITING
        )
        self._items = Items("decisions to write")
        self._connection: Session | None = None

    async def append(
        self, decision_id: str, record: str, request: bytes, checked: Checked | None = None
    ) -> Place | None:
        """Where the decision was written; None if its request_id was decided before.

        With `checked`, what it means for cases is written with it.

        Returns when it is committed. A call that is given up may still be written: its repetition
        finds it. Raises `OVERLOADED`, or a database error.
        """
        try:
            written = self._batcher.submit(_Decision(decision_id, record, request, checked))
        except FullError:
            raise ERRORS.error(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                error_reason_pb2.ERROR_REASON_OVERLOADED,
                "too many decisions wait to be written",
            ) from None
        return await written

    async def close(self) -> None:
        """Writes what still waits, then lets go of the connection; nobody appends any more."""
        await self._batcher.close()
        await self._disconnect()

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _write(self, batch: Sequence[_Decision]) -> list[Place | Exception | None]:
        """Writes a batch: where each decision was written, or why it was not."""
        places: dict[str, Place] = {}
        failures: dict[str, Exception] = {}

        async def insert(part: Sequence[_Decision]) -> None:
            places.update(await self._insert_again(part))

        def fail(decision: _Decision, error: Exception) -> None:
            failures[decision.decision_id] = _failure(error)

        try:
            await self._items.together(batch, insert, _decision_id, fail)
        except Exception as error:
            if not is_unavailable(error):
                raise
            # Those who wait are told now rather than when the database is back.
            for decision in batch:
                if decision.decision_id not in places:
                    failures.setdefault(decision.decision_id, _not_written())
        return [failures.get(d.decision_id) or places.get(d.decision_id) for d in batch]

    async def _insert_again(self, batch: Sequence[_Decision]) -> dict[str, Place]:
        attempt = 1
        while True:  # At most MAX_ATTEMPTS times.
            try:
                return await self._insert_in_time(batch)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning(
                    "decisions_not_written",
                    count=len(batch),
                    attempt=attempt,
                    error_type=type(error).__name__,
                )
                if attempt == MAX_ATTEMPTS:
                    raise
            attempt += 1

    async def _insert_in_time(self, batch: Sequence[_Decision]) -> dict[str, Place]:
        try:
            async with asyncio.timeout(STATEMENT_TIMEOUT_SECONDS):
                return await self._insert(batch)
        except Exception:
            await self._disconnect()
            raise

    async def _insert(self, batch: Sequence[_Decision]) -> dict[str, Place]:
        if self._connection is None or self._connection.closed:
            self._connection = await self._database.connect(
                role=self._role, application_name=self._application_name
            )
        await self._connection.plan_anew()
        if not any(decision.checked for decision in batch):
            return await _append(self._connection, batch)
        async with self._connection.transaction():
            places = await _append(self._connection, batch)
            changes = await self._keep_cases(self._connection, batch, places)
        count(changes)
        return places

    async def _keep_cases(
        self, connection: Session, batch: Sequence[_Decision], places: dict[str, Place]
    ) -> tuple[CaseChange, ...]:
        """The appended decisions' lock is held until the transaction ends."""
        checked = [
            decision.checked
            for decision in batch
            if decision.checked is not None and decision.decision_id in places
        ]
        return await self._cases.keep(runs_in(connection), checked)


async def _append(connection: Session, batch: Sequence[_Decision]) -> dict[str, Place]:
    cursor = await connection.execute(
        _APPEND,
        {
            "records": [decision.record for decision in batch],
            "requests": [decision.request for decision in batch],
        },
        prepare=True,
    )
    return {
        decision_id: Place(sequence, bytes(previous_hash), bytes(hash_))
        for decision_id, sequence, previous_hash, hash_ in await cursor.fetchall()
    }


def _decision_id(decision: _Decision) -> str:
    return decision.decision_id


def _failure(error: Exception) -> Exception:
    """One that the database does not take for what it holds fails for good, others not."""
    if isinstance(error, psycopg.Error) and not isinstance(error, psycopg.DataError):
        return _not_written()
    return error


def _not_written() -> psycopg.OperationalError:
    return psycopg.OperationalError("the decision log cannot be written")
