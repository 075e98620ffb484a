"""A corridor slows down, minute by minute. Foresight sees where that leads, and routing takes new
payments elsewhere before what is promised of the corridor is broken.

It is the engine's own forecast of what it has measured itself. Only time is helped: the clock of
gateway and twin is moved from minute to minute, and foresight, which does nothing before it has
learnt for a day, learns that day from minutes like the first ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import GatewaySettings
from gateway.foresight_service.wiring import terms_of
from gateway.v1 import foresight_pb2 as foresight
from gateway.v1 import foresight_service_pb2 as foresight_service
from gateway.v1 import payment_pb2 as payment
from gateway.v1 import routing_service_pb2 as routing_service
from runtime.postgres import close_engine, create_engine
from sandbox.addresses import at
from sandbox.demo.drive import Drive, Paid
from sandbox.demo.restoring import follow_routing, history, learnt, restore_standing, seen_minutes
from sandbox.demo.scenarios import Parties, UnexpectedError, expect, expect_state
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine
from sandbox.polling import poll
from sandbox.shared_clock import SharedClock
from sandbox.stripe_twin.courses import Course, Point

# Payments belong to the one and may be charged at the other.
SICK, WELL = "backup", "default"
CORRIDORS: Mapping[str, Mapping[str, Any]] = {
    SICK: {"failover_to": [WELL], "shared_tokens_with": [WELL]}
}
LIMIT_MS = 400.0
SETTINGS = {
    "GATEWAY_ROUTING": "staged",
    "GATEWAY_FORESIGHT": "1",
    "GATEWAY_FORESIGHT_LATENCY_MS": str(LIMIT_MS),
    # What was tried a little and went well is given up for a large discount only.
    "GATEWAY_FORESIGHT_MOST_DISCOUNT": "0.9",
}
CALM_MINUTES, PAYMENTS_A_MINUTE = 2, 2
CUSTOMERS = ("Maud Ferrier", "Tobias Lindqvist")
CARDS = ("mastercard", "discover", "amex")
# How far from its usual latency to the limit the corridor is, in each minute of the ramp, which
# ends with the alarm; foresight is asked from the minute on in which it may have one.
RAMP = tuple(0.08 * minute for minute in range(1, 13))
FIRST_LOOK = 5
# So many new payments come then. Few stay: by the operators' order, and to try out.
AFTERWARDS = 6
PATIENCE_SECONDS = 15.0
SEED = 1
DISCOUNT = "gateway_foresight_discount{"


@dataclass(frozen=True)
class Foreseen:
    """What came of it."""

    probability: float
    """Of a breach within 40 minutes."""
    payments: int
    left: int
    """Of the new payments, charged elsewhere."""

    @property
    def tried(self) -> int:
        """Charged where it was slow."""
        return self.payments - self.left


class BrownOut:
    """Plays it on the corridor that nothing else in the demo uses."""

    def __init__(self, clock: SharedClock, database_url: str) -> None:
        self._clock = clock
        self._database_url = database_url
        self._terms = terms_of(GatewaySettings(foresight_latency_ms=LIMIT_MS))

    async def play(self, engine: Engine, shop: Shop, parties: Parties) -> Foreseen:
        """Raises `UnexpectedError`."""
        drive = Drive(
            shop,
            self._clock,
            parties.merchant,
            [await shop.add_customer(name) for name in CUSTOMERS],
            patience=PATIENCE_SECONDS,
            cards=CARDS,
        )
        database = create_engine(
            self._database_url, role=None, pool_size=1, application_name="sandbox demo"
        )
        try:
            await follow_routing(database, self._clock.now())
            usual_ms = await self._learn(database, drive)
        finally:
            await close_engine(database)
        await shop.twin.set_course(SICK, course(usual_ms))
        paid, told = await pay_until_alarm(drive)
        expect("the objective is broken", list(told.forecast.broken), [])
        expect("the nearest part", told.forecast.part, foresight.OBJECTIVE_PART_LATENCY)
        await poll(lambda: discount(engine), lambda taken_off: taken_off > 0)
        after = [made for _ in range(AFTERWARDS) for made in await drive.pay(SICK, 1)]
        await shop.twin.clear_course(SICK)
        left = [made for made in after if made.corridor == WELL]
        expect("payments leave", bool(left), True)
        await explained(shop, left[0].payment_id)
        await self._check(shop, [*paid, *after])
        return Foreseen(told.forecast.probabilities[-1].probability, len(after), len(left))

    async def _learn(self, database: AsyncEngine, drive: Drive) -> float:
        """Has foresight know the corridor as it is now; its usual latency."""
        first = drive.next_minute()
        for _ in range(CALM_MINUTES):
            await drive.pay(SICK, PAYMENTS_A_MINUTE)
            drive.next_minute()
        calm = await poll(
            lambda: seen_minutes(database, SICK, first),
            lambda minutes: len(minutes) >= CALM_MINUTES,
        )
        days = history(calm, self._terms.learning_minutes, drive.minute, SEED)
        await restore_standing(database, SICK, learnt(days, self._terms), self._clock.now())
        return max(minute.latency_p95_ms or 0.0 for minute in calm)

    async def _check(self, shop: Shop, paid: Sequence[Paid]) -> None:
        """All of them succeeded, each with one charge."""
        for made in paid:
            expect_state(await shop.settled(made.payment_id), payment.PAYMENT_STATE_SUCCEEDED)
        at_stripe = await shop.twin.payments_by_metadata("engine_payment_id")
        for made in paid:
            charges = [charge for one in at_stripe[made.payment_id] for charge in one["charges"]]
            expect(f"charges of {made.payment_id}", len(charges), 1)


async def pay_until_alarm(
    drive: Drive,
) -> tuple[list[Paid], foresight_service.GetForecastResponse]:
    """What was paid along the ramp, and what is foreseen at its end. Raises `UnexpectedError` if
    there is no alarm."""
    paid: list[Paid] = []
    for minute in range(len(RAMP)):
        paid += await drive.pay(SICK, PAYMENTS_A_MINUTE)
        drive.next_minute()
        if minute < FIRST_LOOK:
            continue
        told = await drive.foreseen(SICK)
        if told.HasField("alarm_time"):
            return paid, told
    raise UnexpectedError("foresight gave no alarm")


async def explained(shop: Shop, payment_id: str) -> None:
    """Routing says of a payment that left that it did for what was foreseen."""
    told = await shop.clients.routing.ExplainRouting(
        routing_service.ExplainRoutingRequest(payment_id=payment_id), timeout=CALL_SECONDS
    )
    candidates = {each.corridor: each for each in told.decision.candidates}
    expect("taken off where it is slow", candidates[SICK].discount > 0, True)
    expect("taken off elsewhere", candidates[WELL].discount, 0.0)


async def discount(engine: Engine) -> float:
    """What the gateway takes off the corridor by now, by its own metric."""
    url = f"http://{at(engine.ports.gateway_http)}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        lines = (await response.text()).splitlines()
    (line,) = [line for line in lines if line.startswith(DISCOUNT) and f'"{SICK}"' in line]
    return float(line.rpartition(" ")[2])


def course(usual_ms: float) -> Course:
    """The ramp; what an answer takes beyond the usual, in each of its minutes."""
    room = max(LIMIT_MS - usual_ms, 0.0)
    points = [
        Point(at_seconds=60.0 * minute, latency_p50_ms=share * room, latency_p95_ms=share * room)
        for minute, share in enumerate(RAMP)
    ]
    return Course(seed=SEED, points=points)
