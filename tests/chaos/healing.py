"""After the storm: everything works again, time goes by, until nothing is under way any more."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import psycopg

from tests.chaos.plan import GATEWAYS
from tests.chaos.running import RunningEngine
from tests.chaos.twin import ChaosTwin

# What may still be under way, and how many; each has to come to zero. A review waits for a person,
# who does not come; only the last horizon is past its deadline.
_UNDER_WAY = """
SELECT 'operations open', count(*) FROM operation LEFT JOIN payment ON payment.id = subject_id
WHERE end_time IS NULL AND (%(past_reviews)s OR payment.state IS DISTINCT FROM 'IN_REVIEW')
UNION ALL SELECT 'payments undecided', count(*) FROM payment WHERE state IN (
    'RECEIVED', 'COMPLIANCE_CHECKED', 'QUEUED', 'AUTHORIZING', 'CAPTURING', 'CANCELING')
UNION ALL SELECT 'facts not booked', count(*) FROM booking WHERE state = 'PENDING'
UNION ALL SELECT 'webhooks pending', count(*) FROM webhook_event WHERE state = 'PENDING'
UNION ALL SELECT 'changes unnumbered', count(*) FROM payment_event WHERE sequence IS NULL
UNION ALL SELECT 'changes untold', count(*) FROM webhook_endpoint JOIN payment_event
    ON sequence > dispatched_sequence
UNION ALL SELECT 'gaps of the database', count(*) FROM database_gap WHERE recover_time IS NULL
UNION ALL SELECT 'stops of the booking', count(*) FROM ledger_standing WHERE stop_reason IS NOT NULL
UNION ALL SELECT 'holds that nobody knows', count(*) FROM unknown_hold
UNION ALL SELECT 'webhooks to clients', count(*) FROM webhook_delivery WHERE state = 'PENDING'
"""
# By the ledger's clock.
_HOLDS_DUE = "SELECT count(*) FROM holds WHERE remaining > 0 AND expire_time <= %s"
# Which corridors are treated otherwise than usual, or will be by their alarm.
_TREATED = """
SELECT corridor FROM foresight_corridor
WHERE alarm_minute IS NOT NULL OR discount > 0 OR concurrency_share < 1 OR has_incident
ORDER BY corridor
"""
_LAST_SEEN = "SELECT coalesce(max(minute), 0) FROM foresight_sighting"
MINUTE = timedelta(minutes=1)
# An alarm ends after twenty calm minutes; before the first of them the last one is forgotten.
MAX_CALM_MINUTES = 90
# How often it is looked whether somebody has written down a minute that is over.
SEEN_LOOKS = 100
SEEN_POLL_SECONDS = 0.05
POLL_SECONDS = 0.25
# With nothing new for so long, time is moved on: for back-offs, leases and Stripe's retries.
PATIENCE_SECONDS = 2.0
FIRST_LEAP = timedelta(seconds=30)
LONGEST_LEAP = timedelta(minutes=5)
# Refunds fail; then customers who never came are given up; then holds that nobody captured end.
HORIZONS = (timedelta(minutes=10), timedelta(hours=25), timedelta(days=8))
MAX_LEAPS = 24
# Quiet is what was so twice in a row.
LOOKS = 2

Running = TypeVar("Running", bound=RunningEngine)


async def heal(time: "Time[Any]", max_leaps: int = MAX_LEAPS) -> None:
    """Ends all troubles, and waits until all is quiet or time was moved on so often."""
    twin, cluster = time.twin, time.cluster
    await twin.set_outage("off")
    await twin.clear_faults()
    await twin.clear_webhook_faults()
    await twin.resume_webhooks()
    for service in cluster.services.values():
        service.control.steps_left = 0
    time.agree()
    await cluster.serving()
    await _until_quiet(time, max_leaps)


async def pass_horizons(
    time: "Time[Any]", horizons: Sequence[timedelta] = HORIZONS, max_leaps: int = MAX_LEAPS
) -> tuple[str, ...]:
    """What Stripe and the engine do by themselves later; what is under way after it, in words."""
    found: tuple[str, ...] = ()
    for later in horizons:
        await time.leap(later)
        found = await _until_quiet(time, max_leaps, past_reviews=later == HORIZONS[-1])
    return found


class Time(Generic[Running]):
    """The time that all parts share, but for those whose clock is off; it only goes forward."""

    def __init__(self, cluster: Running, twin: ChaosTwin) -> None:
        self.cluster = cluster
        self.twin = twin
        self._passed = timedelta(0)
        self._off: dict[str, timedelta] = {}
        self._passing = asyncio.Lock()

    def jump(self, victim: str, offset: timedelta) -> None:
        """Sets a process's clock off; it stays so across its deaths."""
        self._off[victim] = offset
        self._set_clocks()

    def agree(self) -> None:
        """Ends all differences between clocks."""
        self._off.clear()
        self._set_clocks()

    def now(self) -> datetime:
        """What all clocks show that are not off."""
        return datetime.now(UTC) + self._passed

    async def leap(self, step: timedelta) -> None:
        """Time goes on for everybody at once, and all agree on it."""
        self._off.clear()
        await self.go_on(step)

    async def go_on(self, step: timedelta) -> None:
        """Time goes on for everybody at once; who was ahead or behind stays so."""
        async with self._passing:
            self._passed += step
            await self.twin.change_settings(signature_skew_seconds=self._passed.total_seconds())
            self._set_clocks()
            await self.twin.advance(step.total_seconds())

    def _set_clocks(self) -> None:
        for name, service in self.cluster.services.items():
            service.control.offset = self._passed + self._off.get(name, timedelta(0))


async def let_alarms_pass(time: Time[Any]) -> tuple[str, ...]:
    """Calm minutes, one after the other, until no alarm stands and every corridor is treated as
    usual again; what still is not, in words."""
    async with await psycopg.AsyncConnection.connect(
        time.cluster.databases["gateway"], autocommit=True
    ) as database:
        for _ in range(MAX_CALM_MINUTES):
            found = await _treated(database)
            if not found:
                return ()
            minute = int(time.now().timestamp()) // 60
            await time.go_on(MINUTE)
            for _ in range(SEEN_LOOKS):
                if await _last_seen(database) >= minute:
                    break
                await asyncio.sleep(SEEN_POLL_SECONDS)
    return found


async def _treated(database: psycopg.AsyncConnection[Any]) -> tuple[str, ...]:
    rows = await (await database.execute(_TREATED)).fetchall()
    return tuple(f"{corridor} is treated as degrading" for (corridor,) in rows)


async def _last_seen(database: psycopg.AsyncConnection[Any]) -> int:
    row = await (await database.execute(_LAST_SEEN)).fetchone()
    assert row is not None
    return int(row[0])


async def _until_quiet(
    time: Time[Any], max_leaps: int, *, past_reviews: bool = False
) -> tuple[str, ...]:
    # A gateway looks at its start for what nobody has told it.
    await asyncio.gather(*(time.cluster.services[name].restart() for name in GATEWAYS))
    found: tuple[str, ...] = ()
    quiet = 0
    loop = asyncio.get_running_loop()
    leap = FIRST_LEAP
    for _ in range(max_leaps):
        until = loop.time() + PATIENCE_SECONDS
        while loop.time() < until:
            before, found = found, await _under_way(time, past_reviews)
            quiet = 0 if found else quiet + 1
            if quiet == LOOKS:
                return ()
            if found != before:
                until = loop.time() + PATIENCE_SECONDS
            await asyncio.sleep(POLL_SECONDS)
        await time.leap(leap)
        leap = min(LONGEST_LEAP, 2 * leap)
    return found


async def _under_way(time: Time[Any], past_reviews: bool) -> tuple[str, ...]:
    cluster, twin = time.cluster, time.twin
    async with await psycopg.AsyncConnection.connect(cluster.databases["gateway"]) as database:
        looked = await database.execute(_UNDER_WAY, {"past_reviews": past_reviews})
        rows: list[tuple[Any, ...]] = await looked.fetchall()
        found = tuple(f"{count} {what}" for what, count in rows if count)
        if found:
            return found
        missing = await twin.undelivered() - await stored_events(database)
    if missing:
        return (f"{len(missing)} events not received",)
    due = await _holds_due(cluster.databases["ledger"], time.now())
    return (f"{due} holds past their time",) if due else ()


async def _holds_due(ledger_url: str, now: datetime) -> int:
    async with await psycopg.AsyncConnection.connect(ledger_url) as database:
        row = await (await database.execute(_HOLDS_DUE, [now])).fetchone()
    assert row is not None
    return int(row[0])


async def stored_events(database: psycopg.AsyncConnection[Any]) -> set[str]:
    """The ids of the events that the gateway has."""
    rows = await (await database.execute("SELECT event_id FROM webhook_event")).fetchall()
    return {str(row[0]) for row in rows}
