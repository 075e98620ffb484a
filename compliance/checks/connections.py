"""A few database connections for the checks' one query: in autocommit, statements prepared.

The engine's pool asks whether a connection lives, begins and rolls back, which is three round
trips around one; a check has no time for that.
"""

import asyncio
from typing import Any

import psycopg
from opentelemetry.trace import SpanKind
from psycopg.rows import namedtuple_row

from runtime.postgres import connect
from runtime.telemetry import tracer

# An idle connection that broke is noticed by the next query, which is then sent once more.
MAX_ATTEMPTS = 2

_tracer = tracer(__name__)


class CheckConnections:
    """Lends each query a connection, the last used first."""

    def __init__(self, url: str, *, role: str, size: int, application_name: str) -> None:
        self._url = url
        self._role = role
        self._application_name = application_name
        self._places = asyncio.Semaphore(size)
        self._idle: list[psycopg.AsyncConnection[Any]] = []

    async def fetch_one(self, statement: str, parameters: dict[str, Any]) -> Any:
        """The one row of a query that only reads, as a named tuple. Raises a database error."""
        attributes = {"db.system": "postgresql"}
        with _tracer.start_as_current_span(
            "compliance.load_facts", kind=SpanKind.CLIENT, attributes=attributes
        ):
            async with self._places:
                for attempt in range(1, MAX_ATTEMPTS + 1):
                    try:
                        return await self._fetch(statement, parameters)
                    except psycopg.OperationalError:
                        # When the server is gone, so are its other connections.
                        await self.close()
                        if attempt == MAX_ATTEMPTS:
                            raise
        raise AssertionError("every attempt returns or raises")

    async def close(self) -> None:
        """Closes what is idle."""
        while self._idle:
            await self._idle.pop().close()

    async def _fetch(self, statement: str, parameters: dict[str, Any]) -> Any:
        connection = await self._connection()
        try:
            cursor = connection.cursor(row_factory=namedtuple_row)
            await cursor.execute(statement, parameters, prepare=True)
            row = await cursor.fetchone()
        except BaseException:
            # Cancelled or failed in the middle of something: its state is not worth guessing.
            await connection.close()
            raise
        self._idle.append(connection)
        return row

    async def _connection(self) -> psycopg.AsyncConnection[Any]:
        if self._idle:
            return self._idle.pop()
        return await connect(self._url, role=self._role, application_name=self._application_name)
