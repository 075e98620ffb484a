"""One item that cannot be handled holds up no other, whatever is wrong with it."""

from datetime import UTC, datetime, timedelta

import psycopg
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.config import DATABASE_ROLE
from gateway.payments.deadlines import Deadlines
from gateway.payments.domain.payment import Payment
from gateway.v1.payment_pb2 import CaptureMethod, PaymentState
from runtime.clock import ManualClock
from runtime.notifier import Notifier, SubjectNotifiers
from runtime.postgres import create_engine
from tests.gateway.running import OpenGate, OpenShop

ITEMS = {"items": "payments to end", "failure": "unhandled"}


class OneFails(Deadlines):
    """A rule of ours that fails on one payment."""

    broken = ""

    async def _wake(self, connection: AsyncConnection, payment: Payment) -> None:
        if payment.id == self.broken:
            raise AssertionError("nobody foresaw that")
        await super()._wake(connection, payment)


async def test_a_payment_that_cannot_be_ended_holds_up_no_other(
    open_shop: OpenShop, database_url: str
) -> None:
    async with open_shop(webhooks=False, roles="api") as shop:
        payments = [
            await shop.create(capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL) for _ in range(3)
        ]
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("UPDATE payment SET capture_before = now(), wake_time = now()")
        engine = create_engine(database_url, role=DATABASE_ROLE, pool_size=1, application_name="t")
        clock = ManualClock(datetime.now(UTC) + timedelta(seconds=1))
        deadlines = OneFails(engine, clock, SubjectNotifiers(), Notifier(), OpenGate())
        deadlines.broken = payments[0].id
        before = REGISTRY.get_sample_value("loop_items_failed_total", ITEMS) or 0
        # A round ends when all were looked at; the next one tries it again.
        for failures in (1, 2):
            assert await deadlines.round() is False
            failed = REGISTRY.get_sample_value("loop_items_failed_total", ITEMS)
            assert failed == before + failures
        states = [(await shop.get(payment.id)).state for payment in payments]
        assert states[0] == PaymentState.PAYMENT_STATE_AUTHORIZED
        assert PaymentState.PAYMENT_STATE_AUTHORIZED not in states[1:]
        deadlines.broken = ""
        assert await deadlines.round() is False
        await engine.dispose()
        ended = (await shop.get(payments[0].id)).state
        assert ended != PaymentState.PAYMENT_STATE_AUTHORIZED
