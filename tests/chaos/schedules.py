"""Directed schedules: one accident each, at a sure moment, which does no harm to a whole engine."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

from gateway.v1 import payment_pb2 as payment
from sandbox.polling import poll
from sandbox.stripe_twin.accounts import DEFAULT_ACCOUNT
from tests.backups import Backup
from tests.chaos.client import play
from tests.chaos.cluster import CLIENT, Cluster
from tests.chaos.customers import Customers
from tests.chaos.drawing import draw_plan
from tests.chaos.evidence import OutcomeLookup
from tests.chaos.gathering import BOOKS_SECONDS, gather
from tests.chaos.healing import HORIZONS, Time, heal, pass_horizons
from tests.chaos.mutations import HELD_UP_MINOR, SIGNAL_FILE
from tests.chaos.plan import PATIENCE, PlannedPayment, Step, Trouble
from tests.chaos.progress import Progress
from tests.chaos.promotion import let_routing_decide
from tests.chaos.run import open_shop
from tests.chaos.troubles import Troubles
from tests.chaos.twin import ChaosTwin

INTENTS = "/v1/payment_intents"
EVENTS = "/v1/events"
ACTED_SECONDS = 20.0
# Longer than a gateway that starts takes to go on with what it has begun.
SLOW_EVENTS_SECONDS = 5.0
PAST_THE_HORIZON = timedelta(hours=25)


@dataclass(frozen=True)
class Stage:
    """An engine with one client."""

    cluster: Cluster
    twin: ChaosTwin
    customers: Customers
    progress: Progress
    troubles: Troubles
    time: Time[Cluster]

    async def pay(self, number: int, *steps: Step, **changes: Any) -> None:
        """Plays the client of a payment to its end."""
        await play(self.customers, [planned(number, *steps, **changes)], 1, self.progress)

    async def until_posts(self, times: int, *, acted: bool) -> None:
        """Waits until so many more charges were asked for, or carried out by Stripe."""
        before = await self._posts(acted)
        await poll(lambda: self._posts(acted), lambda now: now >= before + times, ACTED_SECONDS)

    async def _posts(self, acted: bool) -> int:
        posts = await self.twin.requests("POST", INTENTS)
        return sum(post["acted"] or not acted for post in posts)

    async def heal_and_gather(
        self, max_leaps: int, books_seconds: float = BOOKS_SECONDS
    ) -> OutcomeLookup:
        """What is there in the end."""
        await heal(self.time, max_leaps)
        restless = await pass_horizons(self.time, HORIZONS[:1], max_leaps)
        return await gather(
            self.cluster,
            self.twin,
            answers=self.customers.answers,
            accepted_forgeries=self.troubles.accepted_forgeries,
            restless=restless,
            may_use=self.customers.may_use,
            books_seconds=books_seconds,
        )


Schedule = Callable[[Stage], Awaitable[None]]


def request_of(number: int) -> str:
    """The request_id of a planned payment."""
    return f"directed-{number}"


def planned(number: int, *steps: Step, **changes: Any) -> PlannedPayment:
    """A plain payment of the default corridor, or one with some changes."""
    values: dict[str, Any] = {
        "number": number,
        "request_id": request_of(number),
        "amount_minor": 1_000 + number,
        "currency": "USD",
        "card": "visa",
        "corridor": "default",
        "roams": False,
        "blocked": False,
        "manual": False,
        "off_session": False,
        "queue_seconds": None,
        "tries": PATIENCE,
        "steps": steps,
    }
    return PlannedPayment(**values | changes)


async def open_stage(cluster: Cluster, twin: ChaosTwin, *gateways: str) -> Stage:
    """A stage whose client uses these gateways."""
    progress = Progress()
    channels = [cluster.channel(gateway, CLIENT) for gateway in gateways]
    customers = await open_shop(cluster, twin, channels)
    time = Time(cluster, twin)
    troubles = Troubles(time, draw_plan(1, 1, 0), progress)
    return Stage(cluster, twin, customers, progress, troubles, time)


async def the_answer_is_lost(stage: Stage) -> None:
    """Stripe charges and refunds, and neither answer arrives."""
    await stage.twin.change_settings(strict_idempotency=False)
    for path in (INTENTS, "/v1/refunds"):
        await stage.twin.add_fault(kind="reset", when="after", method="POST", path=path, count=1)
    await stage.pay(1, Step("refund", 300))


async def the_outcome_stays_unknown(stage: Stage) -> None:
    """Stripe charges, and for a while no answer arrives."""
    await _pay_unanswered(stage, 2)


async def the_outcome_stays_unknown_in_one_corridor(stage: Stage) -> None:
    """The same for a payment that may be charged through the other corridor, which works."""
    await _pay_unanswered(stage, 9, DEFAULT_ACCOUNT.account_id, roams=True)


async def _pay_unanswered(
    stage: Stage, number: int, account: str | None = None, **changes: Any
) -> None:
    fault = await stage.twin.add_fault(
        kind="error", when="after", method="POST", path=INTENTS, status=502, account=account
    )
    await stage.twin.pause_webhooks()
    paying = asyncio.create_task(stage.pay(number, **changes))
    await stage.until_posts(4, acted=False)
    await asyncio.wait((paying,), timeout=2)
    await stage.twin.clear_fault(fault)
    await stage.twin.resume_webhooks()
    await paying


async def another_takes_over(stage: Stage) -> None:
    """The first gateway is held up after its commit and before its first byte, the second takes
    the charge over and makes it, and the first comes back to say that nothing was sent."""
    await stage.twin.pause_webhooks()
    fault = await stage.twin.add_fault(kind="reset", when="after", method="POST", path=INTENTS)
    paying = asyncio.create_task(stage.pay(3, amount_minor=HELD_UP_MINOR))
    stage.time.jump("gateway-2", timedelta(seconds=30))
    await stage.until_posts(1, acted=True)
    (stage.cluster.logs / SIGNAL_FILE).touch()
    await asyncio.wait((paying,), timeout=2)
    await stage.twin.clear_fault(fault)
    await paying
    await stage.twin.resume_webhooks()


async def gateways_die_after_webhooks(stage: Stage) -> None:
    """All webhooks are acknowledged, and then the gateways die."""
    await stage.pay(4)

    # One that is not is fetched at the start, and a gateway that has an event compares all.
    async def acknowledged() -> bool:
        delivered = any(attempt["status"] == 200 for attempt in await stage.twin.deliveries())
        return delivered and not await stage.twin.undelivered()

    await poll(acknowledged, bool)
    await stage.cluster.kill("gateways", None, Random(1))


async def the_gateway_dies(stage: Stage) -> None:
    """Stripe charges, and the gateway dies before it has heard of it."""
    await stage.twin.pause_webhooks()
    fault = await stage.twin.add_fault(kind="hang", when="after", method="POST", path=INTENTS)
    paying = asyncio.create_task(stage.pay(5, tries=3))
    await stage.until_posts(1, acted=True)
    await stage.cluster.kill("gateways", None, Random(1))
    await stage.twin.clear_fault(fault)
    await paying
    await stage.twin.resume_webhooks()


async def somebody_forges(stage: Stage) -> None:
    """Webhooks that Stripe has not signed."""
    await stage.pay(6, manual=True)
    for how in ("unsigned", "wrong_secret", "other_account", "old"):
        detail = {"how": how, "gateway": "gateway-1", "event_type": "payment_intent.succeeded"}
        await stage.troubles.suffer(Trouble(1, 1, 0, "forgery", detail))


async def a_booking_is_not_written_down(stage: Stage) -> None:
    """The ledger books, and the gateway does not get to write that down."""
    await stage.pay(7)


async def the_key_is_forgotten(stage: Stage) -> None:
    """The answer of a charge is lost, and nobody can ask until Stripe has forgotten the key."""
    await stage.twin.pause_webhooks()
    await stage.twin.add_fault(kind="reset", when="after", method="POST", path=INTENTS)
    await stage.pay(8, tries=2)
    # Both are down meanwhile: a call that is under way when time leaps belongs to no real day.
    await stage.cluster.replicas_down("gateway")
    await stage.twin.clear_faults()
    await stage.time.leap(PAST_THE_HORIZON)
    # A gateway that starts reads what it has missed. What it knows by then it does not send again.
    await stage.twin.add_fault(kind="latency", seconds=SLOW_EVENTS_SECONDS, path=EVENTS)
    await stage.cluster.replicas_up("gateway")

    async def decided() -> int:
        ids = {
            answer.payment_id
            for answer in stage.customers.answers
            if answer.request_id == request_of(8) and answer.payment_id
        }
        shown = await stage.customers.read(Random(1), ids.pop())
        return int(shown.state) if shown is not None else 0

    await poll(decided, lambda state: state != payment.PAYMENT_STATE_AUTHORIZING)
    await stage.twin.clear_faults()
    await stage.twin.resume_webhooks()


async def the_database_is_restored(stage: Stage) -> None:
    """The gateways' database is put back to before a charge, whose client then asks again."""
    cluster = stage.cluster

    async def while_down(work: Callable[[Backup], None]) -> None:
        await cluster.replicas_down("gateway")
        await cluster.copy(work, "gateway")
        await cluster.replicas_up("gateway")

    try:
        await while_down(Backup.take)
        await stage.twin.pause_webhooks()
        await stage.pay(10)
        await while_down(Backup.restore)
        await stage.pay(10)
    finally:
        await cluster.copy(Backup.drop, "gateway")
    await stage.twin.resume_webhooks()


async def routing_decides(stage: Stage) -> None:
    """Operators let routing decide. The corridor of one payment turns it away, so that it goes to
    the other one; what became of another payment stays unknown for a while."""
    await let_routing_decide(stage.cluster, stage.time.now())
    account = DEFAULT_ACCOUNT.account_id
    fault = await stage.twin.add_fault(
        kind="rate_limit", method="POST", path=INTENTS, account=account
    )
    await stage.pay(11, roams=True)
    await stage.twin.clear_fault(fault)
    await _pay_unanswered(stage, 12, roams=True)
