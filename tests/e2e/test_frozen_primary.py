"""All services on a primary that freezes and a standby that takes over."""

import asyncio
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from runtime.errors import ReceivedError, from_rpc_error
from sandbox.addresses import Ports, at
from sandbox.clients import open_clients
from sandbox.demo.shop import Shop
from sandbox.engine import running_engine
from sandbox.twin_admin import TwinAdmin
from tests.ledger.client import LedgerClient, transfer
from tests.standbys import Pair, pair

SERVICES = ("ledger", "gateway", "compliance", "reconciliation")
# Within which health says so, from the freezing and from the promotion on.
NOTICED_SECONDS = 5.0
BACK_SECONDS = 5.0
# A caller's own deadline is 15 s and more.
REFUSED_SECONDS = 8.0
TRANSFERS = 40


@pytest.fixture
def servers() -> Iterator[Pair]:
    with pair() as both:
        both.wait_for_second()
        yield both


async def test_a_frozen_primary_is_left_by_every_service(servers: Pair, tmp_path: Path) -> None:
    ports = Ports.free()
    addresses = [at(getattr(ports, name)) for name in SERVICES]
    urls = {f"{name.upper()}_DATABASE_URL": servers.new_database(name) for name in SERVICES}
    async with (
        running_engine(ports, tmp_path, urls) as engine,
        TwinAdmin.open(engine.twin_url) as twin,
        open_clients(ports) as clients,
        grpc.aio.insecure_channel(at(ports.ledger)) as channel,
    ):
        shop, books = Shop(clients, twin), LedgerClient(channel, "books")
        await books.create_ledger()
        await books.account("cash")
        await books.account("safe")
        merchant = await shop.add_merchant("Fern & Finch Bookshop LLC")
        customer = await shop.add_customer("Ada Mapleton")
        payment = shop.payment_request(merchant, customer, 10_00, "visa")

        async def move(number: int) -> None:
            await books.create(transfer("cash", "safe", 1), f"move-{number}")

        moves = [asyncio.create_task(move(number)) for number in range(TRANSFERS)]
        await asyncio.wait(moves, return_when=asyncio.FIRST_COMPLETED)
        frozen = time.monotonic()
        servers.freeze_first()
        refusing = [
            asyncio.create_task(_refusal_of(call))
            for call in (books.account("more"), shop.add_customer("Bob"), shop.send(payment))
        ]
        await asyncio.gather(*(_until(address, serving=False) for address in addresses))
        assert time.monotonic() - frozen < NOTICED_SECONDS
        for refusal in await asyncio.gather(*refusing):
            assert refusal.code is grpc.StatusCode.UNAVAILABLE
            assert refusal.reason == "DEPENDENCY_UNAVAILABLE"
            assert refusal.retry_delay is not None
        assert time.monotonic() - frozen < REFUSED_SECONDS
        await asyncio.wait(moves)

        await asyncio.to_thread(servers.promote_second)
        promoted = time.monotonic()
        await asyncio.gather(*(_until(address, serving=True) for address in addresses))
        # What was under way may have been done: each is looked up by its request_id.
        await asyncio.gather(
            *(move(number) for number in range(TRANSFERS)),
            shop.add_customer("Bob"),
            shop.send(payment),
        )
        assert time.monotonic() - promoted < BACK_SECONDS
        assert await books.posted("safe") == TRANSFERS


async def _refusal_of(call: Awaitable[Any]) -> ReceivedError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return from_rpc_error(refused.value)


async def _until(address: str, *, serving: bool) -> None:
    """Watches health until it says so."""
    request = health_pb2.HealthCheckRequest()
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(30):
        async for response in health_pb2_grpc.HealthStub(channel).Watch(request):
            if (response.status == health_pb2.HealthCheckResponse.SERVING) == serving:
                return
