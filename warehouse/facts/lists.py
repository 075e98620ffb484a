"""Walks lists that have no feed: all pages, of which only what is new or has changed is written.

A page is a transaction; a walk that was killed is repeated. What the list has no longer when a walk
has come to its end is marked as gone. A change between two walks that was undone by the second is
not seen.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc

from runtime.command_failures import of_call
from warehouse.facts.columns import Table
from warehouse.facts.rows import All, Batch, Position, Row
from warehouse.facts.sink import FactSink

CALL_SECONDS = 60.0
# The most that the services put on a page.
PAGE_SIZE = 500


@dataclass(frozen=True)
class ListSource:
    """One list: the call, the request of its first page, what is listed, and its rows."""

    source: str
    address: str
    table: Table
    call: Any
    request: Callable[[], Any]
    items: Callable[[Any], Sequence[Any]]
    row: Callable[[Any], Row]


@dataclass(frozen=True)
class Walked:
    """What a walk came to."""

    position: Position
    listed: int
    row_count: int
    # When it began: it has what there was then.
    begun: datetime


class ListWalker:
    """One list and one warehouse."""

    def __init__(self, source: ListSource, sink: FactSink) -> None:
        self.source = source
        self._sink = sink

    async def walk(self) -> Walked:
        """Walks it once. Raises `CommandError` when a call fails, `AnotherLoadError` and
        `LoadRefusedError`; what was written before stays."""
        source, sink = self.source, self._sink
        begun = sink.clock.now()
        position = await asyncio.to_thread(sink.position, source.source)
        keys: set[str] = set()
        row_count = 0
        (key,) = source.table.key
        request = source.request()
        while True:
            page = await self._page(request)
            rows = [source.row(item) for item in source.items(page)]
            keys |= {str(row[key]) for row in rows}
            batch = Batch(position.place, rows={source.table.name: rows})
            position, count = await asyncio.to_thread(sink.take, source.source, position, batch)
            row_count += count
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        gone = Batch(position.place, complete=[All(source.table, None, frozenset(keys))])
        position, count = await asyncio.to_thread(sink.take, source.source, position, gone)
        await asyncio.to_thread(sink.complete, source.source, begun)
        return Walked(position, len(keys), row_count + count, begun)

    async def _page(self, request: Any) -> Any:
        try:
            return await self.source.call(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise of_call(error, self.source.address) from None
