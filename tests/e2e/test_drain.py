"""SIGTERM: calls in flight finish, new ones are refused, the process ends with 0."""

import asyncio
import signal

import grpc
import pytest

from gateway.v1 import payment_pb2 as payment
from sandbox.clients import open_clients
from sandbox.demo.shop import Shop
from sandbox.engine import Engine
from sandbox.polling import poll
from sandbox.twin_admin import TwinAdmin

STRIPE_IS_SLOW_SECONDS = 2.0
INTENTS = "/v1/payment_intents"


async def test_a_call_in_flight_finishes(own_engine: Engine) -> None:
    async with (
        TwinAdmin.open(own_engine.twin_url) as twin,
        open_clients(own_engine.ports) as clients,
    ):
        shop = Shop(clients, twin)
        merchant = await shop.add_merchant("Fern & Finch Bookshop LLC")
        customer = await shop.add_customer("Ada Mapleton")
        await twin.add_fault(
            kind="latency", method="POST", path=INTENTS, seconds=STRIPE_IS_SLOW_SECONDS
        )
        in_flight = asyncio.ensure_future(shop.pay(merchant, customer, 15_00, "visa"))
        await poll(lambda: twin.requests("POST", INTENTS), bool)
        own_engine.gateway.send_signal(signal.SIGTERM)
        made = await in_flight
        assert made.state == payment.PAYMENT_STATE_SUCCEEDED
        assert await own_engine.gateway.wait() == 0
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await shop.pay(merchant, customer, 16_00, "visa")
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_every_process_ends_cleanly(own_engine: Engine) -> None:
    codes = {process.name: await process.terminate() for process in own_engine.processes}
    assert codes == dict.fromkeys(("gateway", "compliance", "ledger", "stripe_twin"), 0)
