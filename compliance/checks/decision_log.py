"""Writes decisions to the log: all that wait in one transaction, one writer in each process.

The chain makes writers take turns, so that a transaction for each decision would make the log the
slowest part of a check. What arrives while a batch is being committed forms the next one.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
import psycopg

from compliance.errors import ERRORS
from compliance.v1 import error_reason_pb2
from runtime.logs import get_logger
from runtime.postgres import connect
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
    """Where a decision stands in the chain."""

    sequence: int
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True)
class _Waiting:
    decision_id: str
    record: str
    request: bytes
    place: "asyncio.Future[Place | None]" = field(repr=False)


class DecisionLog:
    """The way into the table `decision`."""

    def __init__(self, database_url: str, role: str, application_name: str) -> None:
        self._url = database_url
        self._role = role
        self._application_name = application_name
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def append(self, decision_id: str, record: str, request: bytes) -> Place | None:
        """Where the decision was written; None if its request_id was decided before.

        Returns when it is committed. A call that is given up may still be written: its repetition
        finds it. Raises `OVERLOADED`, or a database error.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise ERRORS.error(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                error_reason_pb2.ERROR_REASON_OVERLOADED,
                "too many decisions wait to be written",
            )
        place: asyncio.Future[Place | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(decision_id, record, request, place))
        self._arrived.set()
        return await place

    async def run(self) -> None:
        """Writes until it is cancelled, then refuses what still waits."""
        try:
            while True:
                await self._arrived.wait()
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                if not self._waiting:
                    self._arrived.clear()
                await self._write(batch)
        finally:
            for waiting in self._waiting:
                waiting.place.cancel()
            await self._disconnect()

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _write(self, batch: list[_Waiting]) -> None:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                async with asyncio.timeout(STATEMENT_TIMEOUT_SECONDS):
                    places = await self._insert(batch)
                break
            except asyncio.CancelledError:
                for waiting in batch:
                    waiting.place.cancel()
                raise
            except (psycopg.Error, TimeoutError, OSError) as error:
                log.warning(
                    "decisions_not_written",
                    count=len(batch),
                    attempt=attempt,
                    error_type=type(error).__name__,
                )
                await self._disconnect()
        else:
            for waiting in batch:
                if not waiting.place.done():
                    waiting.place.set_exception(
                        psycopg.OperationalError("the decision log cannot be written")
                    )
            return
        for waiting in batch:
            # Who waited may have given up.
            if not waiting.place.done():
                waiting.place.set_result(places.get(waiting.decision_id))

    async def _insert(self, batch: list[_Waiting]) -> dict[str, Place]:
        if self._connection is None or self._connection.closed:
            self._connection = await connect(
                self._url, role=self._role, application_name=self._application_name
            )
        cursor = await self._connection.execute(
            _APPEND,
            {
                "records": [waiting.record for waiting in batch],
                "requests": [waiting.request for waiting in batch],
            },
            prepare=True,
        )
        return {
            decision_id: Place(sequence, bytes(previous_hash), bytes(hash_))
            for decision_id, sequence, previous_hash, hash_ in await cursor.fetchall()
        }
