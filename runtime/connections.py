"""A bounded pool of plain psycopg connections, for SQL that is too hot for an engine.

SQLAlchemy's pool asks whether a connection lives, begins and rolls back: three round trips around
one. Here a connection is in autocommit, its statements are prepared, and whether it lives is seen
by looking at its socket. Who finds none open opens one, and is told at once what that comes to: a
pool that connects in the background backs off, and comes back as long again after an outage as the
outage took.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import AsyncRowFactory, tuple_row

from runtime.database import Database
from runtime.database_errors import DatabaseDownError, NoConnectionError
from runtime.postgres import CLOSE_TIMEOUT_SECONDS, POOL_TIMEOUT_SECONDS
from runtime.session import Session
from runtime.telemetry import child_span, tracer

Connection = Session
# One that is older is closed when it comes back: plans and caches of a session grow with time.
MAX_AGE_SECONDS = 3_600.0
_tracer = tracer(__name__)


class Connections:
    """Lends connections in the service's role; broken ones are replaced."""

    def __init__(
        self,
        database: Database | str,
        *,
        role: str,
        size: int,
        application_name: str,
        read_span: str = "read",
        session_settings: Mapping[str, str] | None = None,
        prepare: Callable[[Connection], None] | None = None,
        row_factory: AsyncRowFactory[Any] = tuple_row,
    ) -> None:
        """`prepare` is handed each new connection, to register adapters; `read_span` names the
        span of each query."""
        self._database = Database.of(database)
        self._role = role
        self._size = size
        self._application_name = application_name
        self._read_span = read_span
        self._session_settings = dict(session_settings or {})
        self._prepare = prepare
        self._row_factory = row_factory
        # The one that came back last is lent first: it is the likeliest to live.
        self._idle: list[Connection] = []
        self._permits = asyncio.Semaphore(size)
        self._is_closed = False

    async def close(self, timeout_seconds: float = CLOSE_TIMEOUT_SECONDS) -> None:
        """Lends no more, waits a while for what is lent, and closes what has come back."""
        if self._is_closed:
            return
        self._is_closed = True
        # Who has one for longer closes it by giving it back.
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                for _ in range(self._size):
                    await self._permits.acquire()
        while self._idle:
            await self._idle.pop().close()

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode; raises `NoConnectionError` when none gets free."""
        await self._permit()
        try:
            connection = self._take() or await self._connect()
            try:
                await connection.plan_anew()
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._permits.release()

    async def fetch(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """All rows of one bounded query that only reads, in the form of the row factory.

        It is sent once more when its connection turns out to have died while idle.
        """
        with child_span(_tracer, self._read_span, {"db.system": "postgresql"}):
            try:
                return await self._fetch(statement, parameters)
            except (DatabaseDownError, NoConnectionError):
                raise
            except psycopg.OperationalError:
                return await self._fetch(statement, parameters)

    async def _fetch(self, statement: str, parameters: Mapping[str, Any] | None) -> list[Any]:
        async with self.borrow() as connection:
            cursor = await connection.execute(statement, parameters, prepare=True)
            return await cursor.fetchall()

    async def _permit(self) -> None:
        if not self._permits.locked():
            await self._permits.acquire()
            return
        try:
            async with asyncio.timeout(POOL_TIMEOUT_SECONDS):
                await self._permits.acquire()
        except TimeoutError:
            raise NoConnectionError(
                f"no connection of {self._application_name} got free in time"
            ) from None

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_spoken_to():
                return connection
            # The server has closed it, and most likely the others, too.
            connection.drop()
        return None

    def _give_back(self, connection: Connection) -> None:
        is_clean = (
            not self._is_closed
            and connection.pgconn.transaction_status == TransactionStatus.IDLE
            and connection.pgconn.pipeline_status == PipelineStatus.OFF
        )
        if is_clean and time.monotonic() - connection.opened < MAX_AGE_SECONDS:
            self._idle.append(connection)
        else:
            connection.drop()

    async def _connect(self) -> Connection:
        return await self._database.connect(
            role=self._role,
            application_name=self._application_name,
            row_factory=self._row_factory,
            configure=self._configure,
        )

    async def _configure(self, connection: Connection) -> None:
        if self._prepare is not None:
            self._prepare(connection)
        for name, value in self._session_settings.items():
            await connection.execute("SELECT set_config(%s, %s, FALSE)", [name, value])
