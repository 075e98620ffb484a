"""Clocks that were ahead, and corridors that are watched no more."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.foresight.actions import NEUTRAL, Posture
from gateway.foresight.alarm import Alarm
from gateway.foresight.codec import read_corridor, write_corridor
from gateway.foresight.incident import Incident, IncidentChange, IncidentState
from gateway.foresight.sighting import Sighting
from gateway.foresight_service import store
from gateway.foresight_service.board import LONGEST_HOLD, Held
from gateway.foresight_service.foreseeing import GRACE, MOST_MINUTES_AHEAD, Foreseeing
from gateway.foresight_service.store import incident_of
from runtime.clock import ManualClock
from tests.gateway.foresight_service.course import Leader

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
TREATED = Posture(0.5, 0.5, incident=True)
A_TICK = timedelta(microseconds=1)
DAY = 1_440
FORESEEN = {"probabilities": [0.2, 0.4, 0.6], "broken": [], "stepped": [], "signals": []}


@pytest.mark.parametrize(
    ("ahead", "posture"),
    [
        (timedelta(0), NEUTRAL),
        (A_TICK, TREATED),
        (LONGEST_HOLD, TREATED),
        (LONGEST_HOLD + A_TICK, NEUTRAL),
        (timedelta(days=1), NEUTRAL),
    ],
)
def test_a_treatment_holds_no_further_ahead_than_a_leader_says_it(
    ahead: timedelta, posture: Posture
) -> None:
    assert Held(TREATED, NOW + ahead).at(NOW) == posture


def minute_of(leader: Leader) -> int:
    """The newest minute that it may read."""
    return int((leader.clock.now() - GRACE).timestamp()) // 60 - 1


async def seen(engine: AsyncEngine, minute: int) -> None:
    async with engine.begin() as connection:
        sighting = {"default": Sighting(calls=1, latencies={100: 1})}
        await store.add_sightings(connection, "replica", {minute: sighting})


async def read_until(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        statement = select(store.CORRIDOR.c.minute)
        return int((await connection.execute(statement)).scalar_one())


async def alarms(engine: AsyncEngine) -> dict[str, Incident]:
    async with engine.connect() as connection:
        rows = await connection.execute(select(store.ALARM))
        return {row.corridor: incident_of(row) for row in rows}


async def test_after_a_clock_that_was_ahead_foresight_goes_on_in_the_present(
    engine: AsyncEngine,
) -> None:
    # The database's clock is the machine's: it judges.
    leader = Leader(engine, ManualClock(datetime.now(UTC)))
    present = minute_of(leader)
    leader.clock.advance(timedelta(days=1))
    await seen(engine, present + DAY)
    await leader.reads()
    assert await read_until(engine) == present + DAY
    raised = Incident(present + DAY, FORESEEN, acted=True)
    async with engine.begin() as connection:
        await store.write_incident(connection, "default", raised, NOW, is_incident=True)
        memory = (await connection.execute(select(store.CORRIDOR.c.memory))).scalar_one()
        corridor, _ = read_corridor(memory)
        await connection.execute(
            update(store.CORRIDOR).values(
                memory=write_corridor(corridor, Alarm(since=present + DAY)),
                alarm_minute=present + DAY,
            )
        )
    leader.clock.advance(-timedelta(days=1))
    for minute in (present, present + 1):
        await seen(engine, minute)
    await leader.reads()
    assert await read_until(engine) == present
    closed = (await alarms(engine))["default"]
    assert closed.state is IncidentState.ABANDONED
    leader.clock.advance(timedelta(minutes=1))
    await leader.reads()
    assert await read_until(engine) == present + 1
    async with engine.connect() as connection:
        memory = (await connection.execute(select(store.CORRIDOR.c.memory))).scalar_one()
    corridor, alarm = read_corridor(memory)
    assert not alarm.stands
    # What is usual was kept.
    assert corridor.state.usual.minutes == 3


@pytest.mark.parametrize("behind", [0, MOST_MINUTES_AHEAD + 30])
async def test_a_leader_whose_clock_is_behind_takes_nothing_back(
    engine: AsyncEngine, behind: int
) -> None:
    leader = Leader(engine, ManualClock(datetime.now(UTC)))
    present = minute_of(leader)
    for minute in range(present - behind - 1, present + 1):
        await seen(engine, minute)
    await leader.reads()
    leader.clock.advance(-timedelta(minutes=behind))
    await leader.reads()
    assert await read_until(engine) == present


async def test_incidents_of_corridors_that_are_gone_are_closed_and_no_others(
    engine: AsyncEngine,
) -> None:
    clock = ManualClock(NOW)
    leader = Leader(engine, clock)
    minute = minute_of(leader)
    async with engine.begin() as connection:
        for corridor, is_incident in (("default", True), ("gone", True), ("hidden", False)):
            raised = Incident(minute, FORESEEN, acted=True)
            await store.write_incident(connection, corridor, raised, NOW, is_incident=is_incident)
    clock.advance(timedelta(minutes=9))
    for _ in range(2):
        await leader.process().purge_round()
    found = await alarms(engine)
    assert {name: one.state for name, one in found.items()} == {
        "default": IncidentState.FORESEEN,
        "gone": IncidentState.ABANDONED,
        "hidden": IncidentState.ABANDONED,
    }
    assert found["gone"].end_minute == int(clock.now().timestamp()) // 60
    async with engine.connect() as connection:
        changes = (
            await connection.execute(select(store.CHANGE).order_by(store.CHANGE.c.change_number))
        ).all()
    assert [(row.corridor, row.state) for row in changes] == [
        ("default", "FORESEEN"),
        ("gone", "FORESEEN"),
        ("gone", "ABANDONED"),
    ]
    telling = incident_of(changes[-1]).telling
    assert telling is not None
    assert telling.change is IncidentChange.CLOSED
    assert telling.posture == NEUTRAL
    # A process without the setting watches none.
    nobody = Foreseeing(engine, leader._probe, (), leader.terms, clock)
    await nobody.purge_round()
    assert (await alarms(engine))["default"].state is IncidentState.ABANDONED


async def test_an_alarm_that_was_closed_meanwhile_stands_no_more(engine: AsyncEngine) -> None:
    leader = Leader(engine, ManualClock(NOW))
    minute = minute_of(leader)
    await seen(engine, minute)
    await leader.reads()
    async with engine.begin() as connection:
        memory = (await connection.execute(select(store.CORRIDOR.c.memory))).scalar_one()
        corridor, _ = read_corridor(memory)
        standing = write_corridor(corridor, Alarm(since=minute))
        await connection.execute(
            update(store.CORRIDOR).values(memory=standing, alarm_minute=minute)
        )
    leader.clock.advance(timedelta(minutes=1))
    await seen(engine, minute + 1)
    await leader.reads()
    async with engine.connect() as connection:
        row = (await connection.execute(select(store.CORRIDOR))).one()
    assert (row.minute, row.alarm_minute) == (minute + 1, None)
