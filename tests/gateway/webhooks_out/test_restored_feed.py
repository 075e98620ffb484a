"""A gateway restored from a backup: its feeds give sequences again, in another epoch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.config import DATABASE_ROLE
from gateway.epochs import begin_epoch
from gateway.v1 import merchant_service_pb2 as merchants_pb
from gateway.v1 import payment_service_pb2 as payments_pb
from gateway.v1 import webhook_endpoint_service_pb2 as pb
from runtime.errors import ReceivedError, from_rpc_error
from runtime.postgres import create_engine
from sandbox.stripe_twin.twin import Twin
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import WAIT_SECONDS, Shop, fresh
from tests.gateway.running import RunningGateway, refusal_of, running_gateway
from tests.gateway.webhooks_out.conftest import CHARGED, Hooks
from tests.gateway.webhooks_out.receiver import Receiver
from tests.plugin import Databases

OF_A_CHARGE = len(CHARGED)


class Restorable:
    """A gateway on a database of which copies are made while it is off."""

    def __init__(
        self, databases: Databases, url: str, twin: Twin, compliance: FakeCompliance
    ) -> None:
        self._databases = databases
        self._twin = twin
        self._compliance = compliance
        self.url = url

    async def back_up(self) -> str:
        # Beside the event loop, which the sessions of the gateway before may need to be closed.
        name = str(conninfo_to_dict(self.url)["dbname"])
        return await asyncio.to_thread(self._databases.make, "test_gateway", name)

    async def begin_epoch(self) -> int:
        engine = create_engine(
            self.url, role=DATABASE_ROLE, pool_size=1, application_name="test restore"
        )
        async with engine.begin() as connection:
            epoch = await begin_epoch(connection)
        await engine.dispose()
        return epoch

    @asynccontextmanager
    async def open(self, **changes: Any) -> AsyncIterator[RunningGateway]:
        async with running_gateway(
            self.url,
            self._twin,
            webhooks=False,
            compliance_address=self._compliance.address,
            **changes,
        ) as running:
            yield running


@pytest.fixture
def restorable(
    postgres_url: str, database_url: str, twin: Twin, compliance: FakeCompliance
) -> Iterator[Restorable]:
    # The fee, which a sweep would find, is no part of what is counted here.
    twin.settings.settlement_seconds = 3_600
    databases = Databases(postgres_url)
    yield Restorable(databases, database_url, twin, compliance)
    databases.drop()


async def test_clients_that_know_lost_changes_are_told_and_skip_no_new_one(
    restorable: Restorable, receiver: Receiver
) -> None:
    async with restorable.open() as running:
        shop = Shop(running.channel)
        hooks = Hooks(shop)
        endpoint, _ = await hooks.create(receiver.url, transitions=[])
        await shop.create()
        await receiver.until(lambda found: len(found) == OF_A_CHARGE)
    backup = await restorable.back_up()
    async with restorable.open() as running:
        shop = Shop(running.channel)
        await shop.create()
        lost = await watched(shop, 2 * OF_A_CHARGE)
        await receiver.until(lambda found: len(found) == 2 * OF_A_CHARGE)
    restorable.url = backup

    # Nobody has declared it yet, and nothing is made up.
    async with restorable.open(deployment="recovered") as running:
        shop = Shop(running.channel)
        assert begin_of(await outdated(shop, 2 * OF_A_CHARGE)) == (0, OF_A_CHARGE)
    epoch = await restorable.begin_epoch()

    async with restorable.open(deployment="recovered") as running:
        shop = Shop(running.channel)
        await shop.create()
        # Who had read no more than the backup has goes on.
        before = await watched(shop, 1, after=OF_A_CHARGE - 1)
        assert names(before) == [(0, OF_A_CHARGE)]
        again = await watched(shop, OF_A_CHARGE, after=OF_A_CHARGE)
        assert names(again) == [(epoch, OF_A_CHARGE + n) for n in range(1, OF_A_CHARGE + 1)]
        assert {c.payment.id for c in again}.isdisjoint({c.payment.id for c in lost})
        # Who had read what is lost is told where to begin.
        assert begin_of(await outdated(shop, OF_A_CHARGE + 1)) == (0, OF_A_CHARGE)
        last = again[-1]
        assert names(await watched(shop, 1, last.sequence - 1, last.epoch)) == [
            (epoch, last.sequence)
        ]

        # Webhooks have ids that no client knows, in the header, the list and the body.
        received = (await receiver.until(lambda found: len(found) == 3 * OF_A_CHARGE))[-4:]
        ids = {request.headers["webhook-id"] for request in received}
        assert ids == {f"evt_{epoch}_{change.sequence}" for change in again}
        hooks = Hooks(shop)
        assert ids < {delivery.webhook_id for delivery in await hooks.deliveries(endpoint)}
        assert {request.data["data"]["epoch"] for request in received} == {str(epoch)}

        # A cursor of the feed, too.
        replay = pb.ReplayWebhookEventsRequest(
            request_id=fresh(), endpoint_id=endpoint.id, after_sequence=OF_A_CHARGE + 1
        )
        refusal = await refusal_of(hooks.stub.ReplayWebhookEvents(replay))
        assert begin_of(refusal) == (0, OF_A_CHARGE)
        replay.epoch = epoch
        await hooks.stub.ReplayWebhookEvents(replay)


async def test_watchers_of_merchants_are_told_too(restorable: Restorable) -> None:
    async with restorable.open(deployment="recovered") as running:
        await running.merchants.CreateMerchant(new_merchant("create-1", merchant_id="shop-1"))
    backup = await restorable.back_up()
    async with restorable.open() as running:
        await running.merchants.CreateMerchant(new_merchant("create-2", merchant_id="shop-2"))
    restorable.url = backup
    epoch = await restorable.begin_epoch()
    async with restorable.open(deployment="recovered") as running:
        await running.merchants.CreateMerchant(new_merchant("create-3", merchant_id="shop-3"))

        def watch(**cursor: int) -> Any:
            return running.merchants.WatchMerchants(merchants_pb.WatchMerchantsRequest(**cursor))

        first, second = await read(watch(), 2)
        assert (first.epoch, first.merchant.snapshot.sequence) == (0, 1)
        assert (second.epoch, second.merchant.snapshot.sequence) == (epoch, 2)
        refusal = await refusal_of(watch(after_sequence=2).read())
        assert begin_of(refusal) == (0, 1)
        (resumed,) = await read(watch(after_sequence=1), 1)
        assert resumed.merchant.merchant_id == "shop-3"


async def watched(shop: Shop, count: int, after: int = 0, epoch: int = 0) -> list[Any]:
    """The next changes after a cursor."""
    request = payments_pb.WatchPaymentsRequest(after_sequence=after, epoch=epoch)
    return await read(shop.stub.WatchPayments(request), count)


async def read(stream: Any, count: int) -> list[Any]:
    """The next messages of a stream, which is then left."""
    async with asyncio.timeout(WAIT_SECONDS):
        found = [await stream.read() for _ in range(count)]
    stream.cancel()
    return found


async def outdated(shop: Shop, after: int) -> ReceivedError:
    """What a watcher who has read so far without any epoch is told."""
    request = payments_pb.WatchPaymentsRequest(after_sequence=after)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await shop.stub.WatchPayments(request).read()
    return from_rpc_error(refused.value)


def begin_of(failure: ReceivedError) -> tuple[int, int]:
    """The epoch and the sequence to go on with."""
    assert failure.reason == "CURSOR_OUTDATED"
    return int(failure.metadata["epoch"]), int(failure.metadata["after_sequence"])


def names(changes: list[Any]) -> list[tuple[int, int]]:
    return [(change.epoch, change.sequence) for change in changes]
