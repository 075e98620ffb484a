"""Watchers share one reader of the stream's end, wherever they begin."""

import asyncio
from typing import Any

import psycopg
import pytest

from gateway.limits import Limits
from gateway.payments.store import events as event_store
from gateway.v1 import payment_service_pb2 as pb
from tests.gateway.payments.shop import WAIT_SECONDS, Shop
from tests.gateway.running import OpenShop

WATCHERS = 20
CHANGES_OF_A_CHARGE = 4


async def read(shop: Shop, count: int, after: int = 0, merchant_id: str = "") -> list[int]:
    """The sequences of the next changes."""
    request = pb.WatchPaymentsRequest(after_sequence=after, merchant_id=merchant_id)
    stream = shop.stub.WatchPayments(request)
    seen: list[int] = []
    async with asyncio.timeout(WAIT_SECONDS):
        async for change in stream:
            assert merchant_id in ("", change.payment.merchant_id)
            seen.append(change.sequence)
            if len(seen) == count:
                break
    stream.cancel()
    return seen


async def test_live_watchers_ask_the_database_nothing(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    events_after = event_store.events_after

    async def counted(
        connection: Any, sequence: int, merchant_id: str, payment_id: str, limit: int, *more: Any
    ) -> Any:
        asked.append(merchant_id)
        return await events_after(connection, sequence, merchant_id, payment_id, limit, *more)

    monkeypatch.setattr(event_store, "events_after", counted)
    async with open_shop(webhooks=False) as shop:
        watching = [
            asyncio.ensure_future(read(shop, CHANGES_OF_A_CHARGE, merchant_id="m_1"))
            for _ in range(WATCHERS)
        ]
        await shop.create(merchant_id="m_1")
        for seen in await asyncio.gather(*watching):
            assert seen == [1, 2, 3, 4]
    assert "m_1" not in asked


async def test_who_is_behind_what_is_kept_reads_by_itself_and_catches_up(
    open_shop: OpenShop, database_url: str
) -> None:
    async with open_shop(webhooks=False, limits=Limits(feed_recent=3, feed_batch=5)) as shop:
        for merchant in ("m_1", "m_2", "m_1"):
            await shop.create(merchant_id=merchant)
        live = asyncio.ensure_future(read(shop, 16))
        theirs = asyncio.ensure_future(read(shop, 8, merchant_id="m_2"))
        await read(shop, 12)
        await shop.create(merchant_id="m_2")
        assert await live == list(range(1, 17))
        # A fee that became known may stand between them.
        found = await theirs
        stored = await sequences(database_url, "m_2")
        assert found == stored[:8]
        assert await read(shop, 4, after=found[3], merchant_id="m_2") == stored[4:8]
        assert await read(shop, 2, after=14) == [15, 16]


async def sequences(database_url: str, merchant_id: str) -> list[int]:
    """What the database has of a merchant."""
    query = """
        SELECT sequence FROM payment_event JOIN payment ON payment.id = payment_id
        WHERE payment.merchant_id = %s AND sequence IS NOT NULL ORDER BY sequence"""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await (await connection.execute(query, [merchant_id])).fetchall()
    return [row[0] for row in rows]
