"""What foresight says of a corridor reaches the decisions of a running gateway, and ends there."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.foresight.actions import Posture
from gateway.foresight_service.board import LONGEST_HOLD
from gateway.foresight_service.store import claim, write_standing
from gateway.routing_service.steps import Step
from gateway.v1 import routing_service_pb2
from gateway.v1.routing_service_pb2_grpc import RoutingServiceStub
from tests.gateway.payments.shop import Shop
from tests.gateway.routing_service.beliefs import FEW_LESSONS, begin_with, decisions, leaning
from tests.gateway.routing_service.conftest import RoutedShop
from tests.waiting import WAIT_SECONDS

pb: Any = routing_service_pb2


async def held(engine: AsyncEngine, corridor: str, discount: float, until: datetime) -> None:
    """As the leader writes it down."""
    async with engine.begin() as connection:
        await claim(connection, corridor, datetime.now(UTC))
        await write_standing(connection, corridor, Posture(discount), hold_time=until)


async def decided_with(shop: Shop, engine: AsyncEngine, discount: float) -> Any:
    """A payment that was decided about with that discount of `backup`, as soon as there is one."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            payment = await shop.create()
            row = (await decisions(engine))[payment.id]
            found = {score["corridor"]: score["discount"] for score in row.scores}
            assert found["default"] == 0.0
            if found["backup"] == discount:
                return payment, row


async def test_a_discount_moves_payments_until_it_lapses(
    routed_shop: RoutedShop, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    # Backup is believed to be much better, but for what is foreseen of it.
    await begin_with(engine, leaning("backup", "default", now, FEW_LESSONS), Step.FULL, now)
    await held(engine, "backup", 0.9, now + LONGEST_HOLD)
    async with routed_shop(foresight=True) as shop:
        payment, row = await decided_with(shop, engine, 0.9)
        best = max(row.scores, key=lambda score: score["value"])
        assert best["corridor"] == "default"
        stub: Any = RoutingServiceStub(shop.channel)
        told = (await stub.ExplainRouting(pb.ExplainRoutingRequest(payment_id=payment.id))).decision
        explained = {each.corridor: each for each in told.candidates}
        assert explained["backup"].discount == 0.9
        assert explained["backup"].approval > explained["default"].approval
        assert explained["backup"].value < explained["default"].value

        await held(engine, "backup", 0.9, now)
        _, row = await decided_with(shop, engine, 0.0)
        assert max(row.scores, key=lambda score: score["value"])["corridor"] == "backup"


async def test_nothing_is_taken_off_without_foresight(
    routed_shop: RoutedShop, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    await begin_with(engine, leaning("backup", "default", now, FEW_LESSONS), Step.FULL, now)
    await held(engine, "backup", 0.9, now + LONGEST_HOLD)
    async with routed_shop() as shop:
        _, row = await decided_with(shop, engine, 0.0)
        assert [score["discount"] for score in row.scores] == [0.0, 0.0]
        assert row.action == "backup"
