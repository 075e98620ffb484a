"""The pool of plain connections: what a cancelled caller must not take with it."""

import asyncio
from typing import Any

import psycopg
import pytest

from runtime.connections import Connections

SIZE = 2


async def test_a_caller_that_is_cancelled_while_the_pool_is_looked_at_loses_no_connection(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = Connections(postgres_url, role="postgres", size=SIZE, application_name="lost")
    await connections.open()
    looking, left = asyncio.Event(), asyncio.Event()
    execute: Any = psycopg.AsyncConnection.execute

    async def slow(self: Any, query: Any, *rest: Any, **named: Any) -> Any:
        if query == "":  # How the pool asks whether a connection lives.
            looking.set()
            await left.wait()
        return await execute(self, query, *rest, **named)

    try:
        async with connections.borrow(), connections.borrow():
            pass
        monkeypatch.setattr(psycopg.AsyncConnection, "execute", slow)

        async def breaks() -> None:
            async with connections.borrow():
                raise psycopg.OperationalError("as when the server has gone")

        caller = asyncio.create_task(breaks())
        await looking.wait()
        caller.cancel()
        left.set()
        with pytest.raises(asyncio.CancelledError):
            await caller
        async with connections.borrow(), connections.borrow():
            pass
    finally:
        await connections.close()
