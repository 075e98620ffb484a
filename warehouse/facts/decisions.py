"""Decisions of compliance: a log without gaps, each chained to the one before by its hash.

The service lists it with the newest first. So its pages are gone through until what is here
already, and then written from there on, a page in a transaction with the position after it: if
each decision follows the one before, and has its hash. A log in which the last one that is here is
another, or is no more, is that of a service that was restored, and is read from its beginning.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc

from compliance.v1.decision_pb2 import Decision
from compliance.v1.decision_service_pb2 import ListDecisionsRequest
from runtime.command_failures import of_call
from warehouse.facts import tables
from warehouse.facts.messages import decision
from warehouse.facts.rows import BEGINNING, Batch, Place, Position, instant
from warehouse.facts.sink import FactSink
from warehouse.sink import LoadRefusedError

if TYPE_CHECKING:
    from compliance.v1.decision_service_pb2_grpc import DecisionServiceAsyncStub

CALL_SECONDS = 60.0
PAGE_SIZE = 500
# What the first decision is chained to.
NO_HASH = "00" * 32


class ChainBrokenError(LoadRefusedError):
    """Two decisions that follow each other are not chained: the log was changed."""


@dataclass(frozen=True)
class Loaded:
    """What a load came to."""

    position: Position
    row_count: int
    # When the oldest of them was news.
    news_time: datetime | None


class DecisionLoader:
    """The decision log and one warehouse."""

    source = tables.DECISIONS

    def __init__(self, stub: "DecisionServiceAsyncStub", address: str, sink: FactSink) -> None:
        self._stub: Any = stub
        self.address = address
        self._sink = sink

    async def load(self) -> Loaded:
        """Loads what there is when it begins. Raises `CommandError` when a call fails,
        `ChainBrokenError`, `AnotherLoadError`; what was written before stays."""
        begun = self._sink.clock.now()
        position = await asyncio.to_thread(self._sink.position, self.source)
        newest, tokens, is_restored = await self._pages(position)
        if is_restored:
            position, _ = await self._take(position, Batch(BEGINNING, goes_back=True))
            newest, tokens, _ = await self._pages(position)
        row_count, news_time = 0, None
        for token in (*reversed(tokens), None):
            page = newest if token is None else (await self._page(token)).decisions
            batch = batch_of(page, position)
            position, count = await self._take(position, batch)
            row_count, news_time = row_count + count, news_time or batch.news_time
        await asyncio.to_thread(self._sink.complete, self.source, begun)
        return Loaded(position, row_count, news_time)

    async def _pages(self, position: Position) -> tuple[Sequence[Decision], list[str], bool]:
        """The newest page, the tokens of those that come before it as far as they are not here, and
        whether the log is another one than that of which a part is here."""
        known = position.place.sequence
        page = await self._page("")
        newest: Sequence[Decision] = page.decisions
        tokens = []
        while page.next_page_token and page.decisions[-1].sequence > max(known, 1):
            tokens.append(page.next_page_token)
            page = await self._page(page.next_page_token)
        last = [each.hash.hex() for each in page.decisions if each.sequence == known]
        return newest, tokens, bool(known) and last != [position.mark]

    async def _take(self, position: Position, batch: Batch) -> tuple[Position, int]:
        return await asyncio.to_thread(self._sink.take, self.source, position, batch)

    async def _page(self, token: str) -> Any:
        request = ListDecisionsRequest(page_size=PAGE_SIZE, page_token=token)
        try:
            return await self._stub.ListDecisions(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise of_call(error, self.address) from None


def batch_of(page: Sequence[Decision], position: Position) -> Batch:
    """What is written of a page, whose newest decision comes first: those behind the position, in
    order. Pure; raises `ChainBrokenError` unless each follows the one before."""
    new = sorted(
        (each for each in page if each.sequence > position.place.sequence),
        key=lambda each: each.sequence,
    )
    sequence, mark = position.place.sequence, position.mark or NO_HASH
    for each in new:
        if (each.sequence, each.previous_hash.hex()) != (sequence + 1, mark):
            raise ChainBrokenError(
                f"decision {each.sequence} is not chained to decision {sequence}, of hash {mark}"
            )
        sequence, mark = each.sequence, each.hash.hex()
    return Batch(
        place=Place(0, sequence),
        mark=mark if sequence else "",
        rows={tables.DECISION.name: [decision(each) for each in new]},
        news_time=instant(new[0], "record_time") if new else None,
    )
