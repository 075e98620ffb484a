"""A bounded pool of plain psycopg connections, for SQL that is too hot for an engine.

SQLAlchemy's pool asks whether a connection lives, begins and rolls back: three round trips around
one. Here a connection is in autocommit, its statements are prepared, and it is only asked whether
it lives after another one broke.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import AsyncRowFactory, tuple_row
from psycopg_pool import AsyncConnectionPool

from runtime.postgres import POOL_TIMEOUT_SECONDS, connection_arguments
from runtime.session import Session
from runtime.telemetry import child_span, tracer

Connection = Session
_tracer = tracer(__name__)


class Connections:
    """Lends connections in the service's role; broken ones are replaced."""

    def __init__(
        self,
        url: str,
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
        self._read_span = read_span
        self._session_settings = dict(session_settings or {})
        self._prepare = prepare
        self._checks: set[asyncio.Task[None]] = set()
        self._pool = AsyncConnectionPool(
            url,
            kwargs={
                **connection_arguments(role, application_name),
                "autocommit": True,
                "row_factory": row_factory,
            },
            connection_class=Session,
            min_size=1,
            max_size=size,
            open=False,
            configure=self._configure,
            timeout=POOL_TIMEOUT_SECONDS,
            name=application_name,
        )

    async def open(self) -> None:
        """Begins to connect, in the background: a start does not wait for the database."""
        await self._pool.open()

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode; raises `PoolTimeout` when none gets free."""
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError):
            # When the server is gone, so are its other connections. A caller that is cancelled
            # meanwhile must not end the look: the pool would never get back what is looked at.
            checking = asyncio.create_task(self._pool.check())
            self._checks.add(checking)
            checking.add_done_callback(self._checks.discard)
            await asyncio.shield(checking)
            raise

    async def fetch(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """All rows of one bounded query that only reads, in the form of the row factory.

        It is sent once more when its connection turns out to have died while idle.
        """
        with child_span(_tracer, self._read_span, {"db.system": "postgresql"}):
            try:
                return await self._fetch(statement, parameters)
            except psycopg.OperationalError:
                return await self._fetch(statement, parameters)

    async def _fetch(self, statement: str, parameters: Mapping[str, Any] | None) -> list[Any]:
        async with self.borrow() as connection:
            cursor = await connection.execute(statement, parameters, prepare=True)
            return await cursor.fetchall()

    async def ping(self) -> None:
        """Raises unless the database answers."""
        async with self.borrow() as connection:
            await connection.execute("SELECT 1")

    async def _configure(self, connection: Connection) -> None:
        if self._prepare is not None:
            self._prepare(connection)
        for name, value in self._session_settings.items():
            await connection.execute("SELECT set_config(%s, %s, FALSE)", [name, value])
