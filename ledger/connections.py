"""A bounded set of database connections in the service's role, the last used first."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from opentelemetry.trace import SpanKind

from ledger import arrays
from ledger.errors import database_unavailable
from runtime import postgres, telemetry

ROLE = "ledger_service"
WAIT_SECONDS = 5.0

COMMIT_SETTINGS = {
    # A committer waits this long for a ledger's head that another replica holds, and a replica
    # that stops in the middle loses it after as long.
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    # The commit statement is long and takes a millisecond or two to plan, the same way each time.
    "plan_cache_mode": "force_generic_plan",
}

Connection = psycopg.AsyncConnection[Any]
tracer = telemetry.tracer(__name__)


class Connections:
    """Lends connections; one that broke is closed and replaced on the next loan."""

    def __init__(
        self,
        url: str,
        size: int,
        application_name: str,
        session_settings: Mapping[str, str] | None = None,
    ) -> None:
        self._url = url
        self._application_name = application_name
        self._session_settings = session_settings or {}
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode; raises DEPENDENCY_UNAVAILABLE when none gets free."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError as error:
            raise database_unavailable() from error
        try:
            connection = self._idle.pop() if self._idle else await self._open()
            try:
                yield connection
            except BaseException:
                # Cancelled or failed in the middle of something: its state is not worth guessing.
                # When the server is gone, so are its other connections.
                if connection.broken:
                    await self.close()
                await connection.close()
                raise
            if connection.broken or connection.closed:
                await connection.close()
            else:
                self._idle.append(connection)
        finally:
            self._free.release()

    async def fetch(
        self, statement: str, parameters: dict[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """All rows of one bounded query."""
        with tracer.start_as_current_span(
            "ledger.read", kind=SpanKind.CLIENT, attributes={"db.system": "postgresql"}
        ):
            async with self.borrow() as connection:
                cursor = await connection.execute(statement, parameters, prepare=True)
                return await cursor.fetchall()

    async def ping(self) -> None:
        """Raises unless the database answers."""
        async with self.borrow() as connection:
            await connection.execute("SELECT 1")

    async def close(self) -> None:
        """Closes what is idle."""
        while self._idle:
            await self._idle.pop().close()

    async def _open(self) -> Connection:
        connection = await postgres.connect(
            self._url, role=ROLE, application_name=self._application_name
        )
        arrays.register(connection)
        for name, value in self._session_settings.items():
            await connection.execute("SELECT set_config(%s, %s, FALSE)", [name, value])
        return connection
