"""Workers whose handler a test looks into."""

from datetime import timedelta
from typing import Any

from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.webhooks_in.consumer import ConsumerPolicy, WebhookConsumer
from gateway.webhooks_in.event import EventHandler, StripeEvent, read_event
from gateway.webhooks_in.inbox import PostgresInbox
from gateway.webhooks_in.router import EventRouter
from runtime.backoff import Backoff
from runtime.clock import ManualClock
from runtime.notifier import Notifier
from tests.gateway.webhooks_in.conftest import event_body

POLICY = ConsumerPolicy(
    batch=8,
    handler_seconds=5,
    lease=timedelta(seconds=30),
    max_attempts=3,
    backoff=Backoff(timedelta(seconds=10), timedelta(minutes=10)),
)


def event(object_id: str = "pi_1", event_type: str = "payment_intent.succeeded") -> StripeEvent:
    body = event_body(event_type, object={"id": object_id, "object": "payment_intent"})
    return read_event(body, "default")


class Handled:
    """A handler that writes down what it was given, and fails when told to."""

    def __init__(self) -> None:
        self.events: list[StripeEvent] = []
        self.failures: list[Exception] = []

    async def __call__(self, event: StripeEvent) -> None:
        self.events.append(event)
        if self.failures:
            raise self.failures.pop(0)

    @property
    def ids(self) -> list[str]:
        return [event.event_id for event in self.events]


def worker(
    inbox: PostgresInbox, clock: ManualClock, handler: EventHandler, **policy: Any
) -> WebhookConsumer:
    return WebhookConsumer(
        inbox,
        EventRouter({"payment_intent.*": handler}),
        clock,
        Notifier(),
        policy=ConsumerPolicy(**{**POLICY.__dict__, **policy}),
        uniform=lambda: 1.0,
    )


async def work_off(consumer: WebhookConsumer) -> int:
    """Works until nothing is due; the number of attempts."""
    total = 0
    while count := await consumer.work_once():
        total += count
    return total


async def states(engine: AsyncEngine) -> dict[str, str]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT event_id, state FROM webhook_event"))
        return {row.event_id: row.state for row in rows}


async def waiting_for_broker() -> float:
    """How many webhooks are not answered yet because the broker refuses them."""
    return REGISTRY.get_sample_value("gateway_webhooks_waiting_for_broker") or 0
