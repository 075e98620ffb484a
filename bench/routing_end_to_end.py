"""`routing.end_to_end`: what routing is worth to payments, on the real engine.

Two corridors of the corridor simulator, which the Stripe twin's accounts follow, in the hour of the
simulated two days in which most can be gained. The whole engine is taken through it twice, with
circuit breaker and failover: by the operators' order, and with routing in full, which knows nothing
when it begins. The value is the number of payments that were approved with routing; the limit is
what somebody who knew the courses would have got by them; what the operators' order got stands
beside it. `SEEDS=3,5` plays other worlds.
"""

import os
from collections.abc import Mapping
from typing import Any

from bench.one_loop_course import charged_once
from bench.routing import SEEDS_VARIABLE, seeds
from bench.routing_course import (
    CARDS,
    HOME,
    MINUTES,
    OTHER,
    PATIENCE_SECONDS,
    PAYMENTS_A_MINUTE,
    SLOW_SECONDS,
    TIMEOUT_SECONDS,
    Hour,
    Run,
    expected,
    hour_of,
)
from gateway.v1 import routing_service_pb2 as routing_service
from runtime.postgres import close_engine, create_engine
from sandbox.addresses import Ports
from sandbox.clients import open_clients
from sandbox.databases import PAYING, databases_beside
from sandbox.demo.drive import Drive
from sandbox.demo.restoring import follow_routing
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.embedded_postgres import temporary_server
from sandbox.engine import running_engine
from sandbox.guardian import temporary_folder
from sandbox.policies import without_history_limits
from sandbox.polling import poll
from sandbox.shared_clock import SharedClock
from sandbox.twin_admin import TwinAdmin

NAME = "routing.end_to_end"
SEED = 1
RULES, ROUTING = "operators' order", "routing"
_SLOW = {"window_seconds": 2, "slow_seconds": SLOW_SECONDS}
_BREAKER = {**_SLOW, "min_calls": 5, "open_seconds": 0.5}
_CORRIDOR = {"request_timeout_seconds": TIMEOUT_SECONDS, "breaker": _BREAKER}
_CORRIDORS = {
    HOME: {**_CORRIDOR, "failover_to": [OTHER], "shared_tokens_with": [OTHER]},
    OTHER: _CORRIDOR,
}
_SETTINGS = {
    "LOG_LEVEL": "ERROR",
    "GATEWAY_BALANCE_SWEEP_SECONDS": "60",
    "GATEWAY_CALL_SECONDS": "8",
    # The clock goes on by a minute at once; what is under way then must not seem abandoned.
    "GATEWAY_LEASE_SECONDS": "600",
}
WAYS: Mapping[str, Mapping[str, str]] = {
    RULES: {},
    ROUTING: {"GATEWAY_ROUTING": "staged"},
}


async def measure() -> dict[str, Any]:
    """Both ways through each seed's hour."""
    chosen = seeds() if os.environ.get(SEEDS_VARIABLE) else (SEED,)
    played = {seed: await _both(seed) for seed in chosen}
    value = sum(lines[ROUTING]["approved"] for lines in played.values())
    limit = sum(lines["oracle"]["approved"] for lines in played.values())
    return {
        "name": NAME,
        "value": value,
        "unit": "payments approved",
        "limit": limit,
        "limit_name": "an oracle of the same courses, at the first attempt",
        "ratio": round(value / limit, 4),
        "operators_order": sum(lines[RULES]["approved"] for lines in played.values()),
        "seeds": {seed: dict(lines) for seed, lines in played.items()},
    }


async def _both(seed: int) -> Mapping[str, dict[str, Any]]:
    hour = hour_of(seed)
    figures = {name: (await play(name, hour)).figures() for name in WAYS}
    minutes = range(MINUTES)
    return {
        **figures,
        "oracle": {"approved": round(expected([hour.best(minute) for minute in minutes]), 1)},
        "home alone": {
            "approved": round(expected([hour.success(HOME, minute) for minute in minutes]), 1)
        },
    }


async def play(name: str, hour: Hour) -> Run:
    """The whole engine through the hour in one way."""
    environment = WAYS[name]
    ports = Ports.free()
    with (
        temporary_folder() as logs,
        temporary_server(durable=True) as postgres,
        databases_beside(dict.fromkeys(PAYING, postgres.server_url)) as databases,
    ):
        clock_file = logs.path / "clock"
        clock = SharedClock.create(clock_file)
        settings = {**_SETTINGS, **environment}
        async with (
            running_engine(ports, logs.path, databases, settings, _CORRIDORS, clock_file) as engine,
            open_clients(ports) as clients,
            TwinAdmin.open(engine.twin_url) as twin,
        ):
            await without_history_limits(clients.policies)
            shop = Shop(clients, twin)
            run = Run(name)
            await _play(run, hour, shop, clock, databases["GATEWAY_DATABASE_URL"])
            books = [await twin.books(account) for account in (HOME, OTHER)]
            if not charged_once(books):
                raise RuntimeError("somebody was charged twice")
            return run


async def _play(run: Run, hour: Hour, shop: Shop, clock: SharedClock, database_url: str) -> None:
    """Every minute, with as many customers as pay in one."""
    customers = [await shop.add_customer("Ada Example") for _ in range(PAYMENTS_A_MINUTE)]
    drive = Drive(
        shop,
        clock,
        await shop.add_merchant("Quiet Harbour Books"),
        customers,
        patience=PATIENCE_SECONDS,
        cards=CARDS,
    )
    routes = run.name == ROUTING
    if routes:
        engine = create_engine(database_url, role=None, pool_size=1, application_name="bench")
        try:
            await follow_routing(engine, clock.now())
        finally:
            await close_engine(engine)
    drive.next_minute()
    for account, course in hour.courses.items():
        await shop.twin.set_course(account, course)
    for minute in range(MINUTES):
        begins = clock.now()
        run.paid += [(minute, paid) for paid in await drive.pay(HOME, PAYMENTS_A_MINUTE)]
        if routes:
            # The clock must not leave the learner behind: replicas do not follow a stale model.
            await _learnt(shop, begins.timestamp())
        drive.next_minute()
    if routes:
        report = await _report(shop)
        run.decided = sum(line.decision_count for line in report.lines)


async def _learnt(shop: Shop, since_s: float) -> None:
    """Waits until what was known by then is learnt from."""

    async def read() -> float:
        return (await _report(shop)).learn_time.ToNanoseconds() / 1e9

    await poll(read, lambda learnt_s: learnt_s >= since_s)


async def _report(shop: Shop) -> routing_service.GetRoutingReportResponse:
    return await shop.clients.routing.GetRoutingReport(
        routing_service.GetRoutingReportRequest(), timeout=CALL_SECONDS
    )
