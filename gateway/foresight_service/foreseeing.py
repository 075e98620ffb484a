"""The leader's work: what processes saw becomes a minute, a forecast is made of it, and how the
corridor is to be treated is written down, all in one transaction.

Two leaders at once do no harm: the corridor's row is locked, and who comes second finds the minute
read.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.foresight.actions import Act, Posture
from gateway.foresight.alarm import Alarm
from gateway.foresight.codec import StateError, read_corridor, write_corridor
from gateway.foresight.forecast import Corridor, Forecast
from gateway.foresight.incident import Incident, abandoned, told_of
from gateway.foresight.reading import State
from gateway.foresight.sighting import Sighting, SightingError, gap_share, merged, read_sighting
from gateway.foresight.signals import Minute
from gateway.foresight.standing import Standing, Terms, step
from gateway.foresight_service import store, telemetry
from gateway.limits import LIMITS
from runtime.clock import Clock
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import Loop

# Processes have so long after a minute to say what they saw in it; what comes later is not read.
GRACE = timedelta(seconds=10)
PURGE_SECONDS = 600.0
# How a corridor is treated holds for so long after the minute that says so: if nobody leads, or the
# database is away, it is treated as usual from then on.
HOLD = timedelta(minutes=3)
# Minutes of one corridor that one transaction reads.
MINUTES_PER_ROUND = 60
# Events have this many minutes to come after the call that promised them; some come before its end.
EVENT_MINUTES = 2
# A corridor that was read so far ahead of the time was read by a clock that was wrong.
MOST_MINUTES_AHEAD = 5
# For older minutes no probe is sent: it would say nothing of them.
FRESH_MINUTES = 2

# Sends a request that changes nothing, and says whether Stripe answered.
Probe = Callable[[str], Awaitable[bool]]
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Read:
    """What one transaction has read: the minutes, what the last asks for, and what ended."""

    minutes: int
    last_minute: int
    acts: tuple[Act, ...]
    incidents: Sequence[Incident]


class _Course:
    """Minutes after minutes of one corridor, and what they change."""

    def __init__(self, beginning: tuple[Standing, Sequence[Incident]]) -> None:
        self.standing, ended = beginning
        self.incidents = list(ended)
        self.minutes: list[Minute] = []
        self.forecast: Forecast | None = None
        self.acts: tuple[Act, ...] = ()

    def goes_on(self, seen: Minute, terms: Terms) -> None:
        """The next minute."""
        before = self.standing
        self.standing, self.forecast, self.acts = step(before, seen, terms)
        self.minutes.append(seen)
        if self.standing.incident is not None and self.standing.incident != before.incident:
            self.incidents.append(self.standing.incident)


class Foreseeing:
    """Foresees for all processes, one of them at a time."""

    def __init__(
        self,
        engine: AsyncEngine,
        probe: Probe,
        corridors: Sequence[str],
        terms: Terms,
        clock: Clock,
        rest_seconds: float = LIMITS.foresight_rest_seconds,
    ) -> None:
        self._engine = engine
        self._probe = probe
        self._corridors = corridors
        self._terms = terms
        self._clock = clock
        self._rest_seconds = rest_seconds
        self._items = Items("corridors to foresee")
        for corridor in corridors:
            telemetry.corridor_known(corridor)

    def loops(self) -> tuple[Loop, Loop]:
        """Foreseeing, and deleting what was kept for long enough."""
        return (
            Loop("foresight", self.round, poll_seconds=self._rest_seconds),
            Loop("foresight purge", self.purge_round, poll_seconds=PURGE_SECONDS),
        )

    async def round(self) -> bool:
        """Reads the minutes that are over; True if there may be more at once."""
        more = False
        for corridor in self._corridors:
            with self._items.kept_apart(corridor):
                more = await self._advance(corridor) or more
        return more

    async def purge_round(self) -> bool:
        """Deletes what is old, and closes incidents of corridors that nobody watches any more; True
        if there may be more at once."""
        now = self._clock.now()
        async with self._engine.begin() as connection:
            closed = []
            for corridor, incident in await store.left_open(connection, self._corridors):
                minute = max(int(now.timestamp()) // 60, incident.raise_minute)
                over = abandoned(incident, minute, self._terms.bounds)
                await store.write_incident(connection, corridor, over, now, is_incident=True)
                closed.append((corridor, over))
            deleted = await store.purge(connection, now)
        for corridor, over in closed:
            _tell(corridor, over)
        return deleted == store.PURGE_BATCH

    async def _advance(self, corridor: str) -> bool:
        now = self._clock.now()
        until = int((now - GRACE).timestamp()) // 60 - 1
        async with self._engine.begin() as connection:
            read = await self._read(connection, corridor, until, now)
        if read is None:
            return False
        for incident in read.incidents:
            _tell(corridor, incident)
        if Act.PROBE in read.acts and until - read.last_minute < FRESH_MINUTES:
            # After the commit: no transaction stays open across a call to the outside.
            answered = await self._probe(corridor)
            telemetry.PROBES.labels(corridor, "yes" if answered else "no").inc()
        return read.minutes == MINUTES_PER_ROUND

    async def _read(
        self, connection: AsyncConnection, corridor: str, until: int, now: datetime
    ) -> _Read | None:
        row = await store.claim(connection, corridor, now)
        is_ahead = await _is_ahead(connection, row, until)
        after = until - 1 if is_ahead else row.minute
        found = await store.sightings(connection, corridor, after, until, MINUTES_PER_ROUND)
        if not found:
            return None
        course = _Course(await self._begin(connection, row, is_ahead=is_ahead))
        before_first = after - EVENT_MINUTES - 1
        earlier = await store.sightings(
            connection, corridor, before_first, after, EVENT_MINUTES + 1
        )
        known = {minute: _readable(contents) for minute, contents in (earlier | found).items()}
        # How long the queue is now says nothing of minutes that are long over.
        waited = await store.queue_age_s(connection, corridor, now) if until in found else None
        for minute in found:
            if known[minute]:
                age = waited if minute == until else None
                seen = merged(minute, known[minute], age, _gap_share(known, minute))
                course.goes_on(seen, self._terms)
        for incident in course.incidents:
            await store.write_incident(
                connection, corridor, incident, now, is_incident=self._terms.bounds.incidents
            )
        if course.minutes:
            await store.add_minutes(connection, corridor, course.minutes)
        last, standing = max(found), course.standing
        told = {} if course.forecast is None else {"forecast": told_of(course.forecast)}
        await store.write_standing(
            connection,
            corridor,
            standing.posture,
            **told,
            minute=last,
            memory=write_corridor(standing.corridor, standing.alarm),
            alarm_minute=standing.alarm.since,
            has_learnt=standing.has_learnt(self._terms),
            hold_time=end_of(last) + HOLD,
            update_time=now,
        )
        return _Read(len(found), last, course.acts, course.incidents)

    async def _begin(
        self, connection: AsyncConnection, row: Row[Any], *, is_ahead: bool
    ) -> tuple[Standing, Sequence[Incident]]:
        """The standing that was written down. If what is remembered cannot be read, all is learnt
        anew, and nobody knows what becomes of an incident that was open. Of what was read by a
        clock that was ahead, what is usual stays."""
        standing = Standing()
        incident = await store.open_incident(connection, row.corridor)
        if row.memory:
            try:
                corridor, alarm = read_corridor(row.memory)
            except StateError as error:
                telemetry.UNREADABLE.labels(telemetry.MEMORY).inc()
                log.error("foresight_memory_unreadable", corridor=row.corridor, reason=str(error))
            else:
                if incident is None and alarm.stands:
                    # It was closed while nobody watched the corridor.
                    alarm = Alarm()
                if not is_ahead:
                    posture = Posture(row.discount, row.concurrency_share, row.has_incident)
                    return Standing(corridor, alarm, posture, incident), ()
                log.warning("foresight_was_ahead", corridor=row.corridor, minute=row.minute)
                standing = Standing(Corridor(State(usual=corridor.state.usual)))
        if incident is None:
            return standing, ()
        return standing, [
            abandoned(incident, max(row.minute, incident.raise_minute), self._terms.bounds)
        ]


def _tell(corridor: str, incident: Incident) -> None:
    if not incident.state.is_open:
        telemetry.ALARMS.labels(corridor, incident.state.value).inc()
    log.warning(
        "foresight_alarm",
        corridor=corridor,
        change=None if incident.telling is None else incident.telling.change.value,
        state=incident.state.value,
        raise_minute=incident.raise_minute,
        lead_minutes=incident.lead_minutes,
        acted=incident.acted,
    )


async def _is_ahead(connection: AsyncConnection, row: Row[Any], until: int) -> bool:
    """Whether the corridor was read further than time is, by our clock and by the database's: else
    nothing would be foreseen until the time has come, and nobody would notice."""
    last = until + MOST_MINUTES_AHEAD
    if row.minute <= last:
        return False
    now = await store.time(connection)
    return bool(row.minute > int(now.timestamp()) // 60 + MOST_MINUTES_AHEAD)


def end_of(minute: int) -> datetime:
    """When a minute is over."""
    return datetime.fromtimestamp((minute + 1) * 60, UTC)


def _gap_share(known: Mapping[int, Sequence[Sighting]], minute: int) -> float | None:
    """Which share of the events that calls promised two minutes ago has not come by now."""
    promised = minute - EVENT_MINUTES
    came = [one for at in range(promised - 1, minute + 1) for one in known.get(at, ())]
    return gap_share(known.get(promised, ()), came)


def _readable(contents: Sequence[Any]) -> list[Sighting]:
    """The sightings that can be read: one process that writes what none understands does not keep
    the others' from being read."""
    found = []
    for content in contents:
        try:
            found.append(read_sighting(content))
        except SightingError as error:
            telemetry.UNREADABLE.labels(telemetry.SIGHTING).inc()
            log.error("foresight_sighting_unreadable", reason=str(error))
    return found
