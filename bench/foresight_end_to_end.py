"""`foresight.end_to_end`: what foresight and routing are worth to payments, on the real engine.

A corridor slows down for half an hour and then fails, another stays well: two services of the
degradation simulator, which the Stripe twin's accounts follow (`sandbox/demo/drive.py`). The whole
engine is taken through the same hour, with the same seed, in four ways: without protection, with
circuit breaker and failover, with routing besides, and with foresight's discount in routing.
The value is the number of payments that were lost or answered late with all of it, the limit that
with breaker and failover alone. Draws docs/images/one-loop.svg with the settings as they are;
`SEEDS=3` plays another world and draws nothing.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from bench.benchmark import Target, with_target
from bench.one_loop_course import (
    LEARN_MINUTES,
    LIMIT_MS,
    MINUTES,
    PATIENCE_SECONDS,
    PAYMENTS_A_MINUTE,
    SICK,
    SLOW_SECONDS,
    TIMEOUT_SECONDS,
    WELL,
    Run,
    Told,
    charged_once,
    courses,
)
from bench.one_loop_plot import draw
from gateway.config import GatewaySettings
from gateway.foresight.signals import MINUTES_A_WEEK
from gateway.foresight_service.wiring import terms_of
from gateway.v1 import foresight_service_pb2 as foresight_service
from runtime.postgres import close_engine, create_engine
from sandbox.addresses import Ports
from sandbox.clients import open_clients
from sandbox.databases import PAYING, databases_beside
from sandbox.demo.drive import Drive
from sandbox.demo.restoring import (
    follow_routing,
    history,
    learnt,
    restore_standing,
    seen_minutes,
)
from sandbox.demo.shop import Shop
from sandbox.embedded_postgres import temporary_server
from sandbox.engine import running_engine
from sandbox.guardian import temporary_folder
from sandbox.policies import without_history_limits
from sandbox.shared_clock import SharedClock
from sandbox.twin_admin import TwinAdmin

NAME = "foresight.end_to_end"
TARGET = Target("ratio", "<=", 0.5)
SEED = 1
PLOT = Path(__file__).parent.parent / "docs" / "images" / "one-loop.svg"
UNPROTECTED, BREAKER, ROUTING, LOOP = (
    "no breaker, no failover",
    "breaker and failover",
    "and routing",
    "and foresight",
)
# As latencies are: decided by a simulated minute.
_SLOW = {"window_seconds": 2, "slow_seconds": SLOW_SECONDS}
_BREAKER = {**_SLOW, "min_calls": 5, "open_seconds": 0.5}
_NO_BREAKER = {**_SLOW, "min_calls": 1_000_000}
_FAILOVER = {"failover_to": [WELL], "shared_tokens_with": [WELL]}
_STRIPE = {"request_timeout_seconds": TIMEOUT_SECONDS}
_SETTINGS = {
    "LOG_LEVEL": "ERROR",
    "GATEWAY_BALANCE_SWEEP_SECONDS": "60",
    "GATEWAY_CALL_SECONDS": "8",
    # The clock goes on by a minute at once; what is under way then must not seem abandoned.
    "GATEWAY_LEASE_SECONDS": "600",
}
_ROUTING = {"GATEWAY_ROUTING": "staged"}
_FORESIGHT = {"GATEWAY_FORESIGHT": "1", "GATEWAY_FORESIGHT_LATENCY_MS": str(LIMIT_MS)}
WAYS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]] = {
    UNPROTECTED: ({"breaker": _NO_BREAKER}, {}),
    BREAKER: ({"breaker": _BREAKER, **_FAILOVER}, {}),
    ROUTING: ({"breaker": _BREAKER, **_FAILOVER}, _ROUTING),
    LOOP: ({"breaker": _BREAKER, **_FAILOVER}, {**_ROUTING, **_FORESIGHT}),
}


async def measure() -> dict[str, Any]:
    """All four ways through one seed's world."""
    seed = int(os.environ.get("SEEDS", str(SEED)).split(",")[0])
    runs = [await play(name, seed) for name in WAYS]
    if seed == SEED:
        PLOT.write_text(draw(runs, courses(seed)[SICK]), encoding="utf-8")
    harmed = {run.name: run.lost() + run.slowed() for run in runs}
    line = {
        "name": NAME,
        "value": harmed[LOOP],
        "unit": "payments lost or answered late",
        "limit": harmed[BREAKER],
        "limit_name": "the same with breaker and failover alone",
        "ratio": round(harmed[LOOP] / max(harmed[BREAKER], 1), 4),
        "seed": seed,
        "runs": {run.name: run.figures() for run in runs},
    }
    return with_target(line, TARGET)


async def play(name: str, seed: int) -> Run:
    """The whole engine through the hour in one way."""
    corridor, environment = WAYS[name]
    ports = Ports.free()
    with (
        temporary_folder() as logs,
        temporary_server(durable=True) as postgres,
        databases_beside(dict.fromkeys(PAYING, postgres.server_url)) as databases,
    ):
        clock_file = logs.path / "clock"
        clock = SharedClock.create(clock_file)
        async with (
            running_engine(
                ports,
                logs.path,
                databases,
                {**_SETTINGS, **environment},
                {SICK: {**_STRIPE, **corridor}, WELL: {**_STRIPE, "breaker": corridor["breaker"]}},
                clock_file,
            ) as engine,
            open_clients(ports) as clients,
            TwinAdmin.open(engine.twin_url) as twin,
        ):
            await without_history_limits(clients.policies)
            shop = Shop(clients, twin)
            hour = Hour(Run(name), shop, clock, seed)
            await hour.play(databases["GATEWAY_DATABASE_URL"], environment)
            books = [await twin.books(account) for account in (SICK, WELL)]
            if not charged_once(books):
                raise RuntimeError("somebody was charged twice")
            return hour.run


class Hour:
    """One run against a running engine."""

    def __init__(self, run: Run, shop: Shop, clock: SharedClock, seed: int) -> None:
        self.run = run
        self._shop = shop
        self._clock = clock
        self._seed = seed

    async def play(self, database_url: str, environment: Mapping[str, str]) -> None:
        """Restores what the engine is to know, and plays every minute."""
        drive = Drive(
            self._shop,
            self._clock,
            await self._shop.add_merchant("Quiet Harbour Books"),
            [await self._shop.add_customer("Ada Example")],
            patience=PATIENCE_SECONDS,
        )
        foresees = _FORESIGHT.items() <= environment.items()
        engine = create_engine(database_url, role=None, pool_size=1, application_name="bench")
        try:
            if _ROUTING.items() <= environment.items():
                await follow_routing(engine, self._clock.now())
            first = drive.next_minute()
            for account, course in courses(self._seed).items():
                await self._shop.twin.set_course(account, course)
            for minute in range(MINUTES):
                self.run.paid += [
                    (minute, paid) for paid in await drive.pay(SICK, PAYMENTS_A_MINUTE)
                ]
                drive.next_minute()
                if not foresees:
                    continue
                forecast = await drive.foreseen(SICK)
                if minute < LEARN_MINUTES - 1:
                    continue
                if minute == LEARN_MINUTES - 1:
                    await self._learn(engine, drive, first)
                else:
                    self.run.told.append(told_of(minute, forecast))
        finally:
            await close_engine(engine)

    async def _learn(self, engine: AsyncEngine, drive: Drive, first: int) -> None:
        """The corridor is known as it is when all is well: for a week. Of the other one, where
        hardly a payment comes, nothing is foreseen yet."""
        terms = terms_of(GatewaySettings(foresight_latency_ms=LIMIT_MS))
        calm = await seen_minutes(engine, SICK, first)
        week = history(calm, MINUTES_A_WEEK, drive.minute, self._seed)
        await restore_standing(engine, SICK, learnt(week, terms), self._clock.now())


def told_of(minute: int, told: foresight_service.GetForecastResponse) -> Told:
    """What a forecast says, for the plot."""
    return Told(
        minute,
        told.forecast.probabilities[-1].probability,
        told.treatment.discount,
        told.HasField("alarm_time"),
        bool(told.forecast.broken),
    )
