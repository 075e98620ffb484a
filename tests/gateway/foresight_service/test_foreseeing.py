"""The leader foresees a ramp before the objective breaks, treats the corridor so, and undoes it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Row, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.foresight.actions import NEUTRAL, Bounds
from gateway.foresight.incident import IncidentState
from gateway.foresight.record import LEAST_LEAD_MINUTES
from gateway.foresight.sighting import Sighting
from gateway.foresight_service import store
from gateway.foresight_service.board import PostureBoard, held_of
from gateway.foresight_service.foreseeing import HOLD, MINUTES_PER_ROUND, end_of
from gateway.foresight_service.store import KEEP_MINUTES, KEEP_SIGHTINGS, ForesightStore
from gateway.stripe_client.concurrency import ConcurrencyLimit, ConcurrencyPolicy
from tests.gateway.foresight_service.course import (
    CALLS_OF_ONE,
    FIRST,
    LAST,
    LEARNING,
    PROCESSES,
    RAMP_FROM,
    RAMP_UNTIL,
    TERMS,
    Leader,
    course,
    keep_course,
)

# A payment that waits for its corridor since :t.
QUEUED = """
    INSERT INTO operation (
        id, kind, subject_id, corridor, connected_account, params, state, attempt, send_count,
        fencing_token, next_attempt_time, deadline, queued, queue_time, expires_payment,
        failure_code, failure_param, create_time
    )
    VALUES (
        'op_1', 'CHECK', 'pay_1', 'default', '', '{}', 'PENDING', 1, 0, 0, :t, :t, TRUE, :t, FALSE,
        '', '', :t
    )
"""


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def standing(engine: AsyncEngine) -> Row[Any]:
    async with engine.connect() as connection:
        return (await connection.execute(select(store.CORRIDOR))).one()


async def alarms(engine: AsyncEngine) -> list[Row[Any]]:
    async with engine.connect() as connection:
        rows = await connection.execute(select(store.ALARM).order_by(store.ALARM.c.raise_minute))
        return list(rows)


async def number_of(engine: AsyncEngine, what: Any) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(select(func.count()).select_from(what))).scalar_one())


def board_of(leader: Leader) -> tuple[PostureBoard, ConcurrencyLimit]:
    """How another process follows."""
    limit = ConcurrencyLimit(ConcurrencyPolicy(), lambda: 0.0)
    return PostureBoard(ForesightStore(leader.engine), {"default": limit}, leader.clock), limit


async def test_a_ramp_is_foreseen_before_it_breaks_and_all_is_undone_after(
    engine: AsyncEngine, leader: Leader
) -> None:
    await keep_course(engine)
    board, limit = board_of(leader)
    ended = counted("gateway_foresight_alarms_total", corridor="default", state="ENDED")
    await leader.comes_to(RAMP_FROM - 1)
    assert await alarms(engine) == []
    row = await standing(engine)
    assert (row.minute, row.has_learnt) == (FIRST + RAMP_FROM - 1, True)
    assert held_of(row).posture == NEUTRAL

    told: list[str] = []
    most_discount, least_share = 0.0, 1.0
    for at in range(RAMP_FROM, LAST):
        await leader.comes_to(at)
        await board.refresh()
        found = await alarms(engine)
        if found and found[-1].state not in told:
            told.append(found[-1].state)
        if found and found[-1].state == IncidentState.FORESEEN:
            # Before it breaks the corridor is treated so, and not as if it were closed.
            assert 0 < board.discount("default") < TERMS.bounds.most_discount
            assert TERMS.bounds.least_concurrency < limit.share < 1
        most_discount = max(most_discount, board.discount("default"))
        least_share = min(least_share, limit.share)
        if told[-1:] == [IncidentState.ENDED]:
            break
    assert told == [IncidentState.FORESEEN, IncidentState.BROKEN, IncidentState.ENDED]
    (alarm,) = await alarms(engine)
    lead = alarm.breach_minute - alarm.raise_minute
    assert RAMP_FROM <= alarm.raise_minute - FIRST < RAMP_UNTIL
    assert lead >= LEAST_LEAD_MINUTES
    assert alarm.acted
    assert alarm.foreseen["part"] == "latency"
    assert alarm.foreseen["probabilities"][-1] >= TERMS.alarm.raise_at
    # Once broken it went as far as operators allow, and no further.
    assert most_discount == pytest.approx(TERMS.bounds.most_discount)
    assert least_share == pytest.approx(TERMS.bounds.least_concurrency)
    assert leader.probed
    assert (board.discount("default"), limit.share) == (0.0, 1.0)
    row = await standing(engine)
    assert (row.alarm_minute, held_of(row).posture) == (None, NEUTRAL)
    after = counted("gateway_foresight_alarms_total", corridor="default", state="ENDED")
    assert after == ended + 1
    # One minute of each that processes saw, with the calls of both.
    assert await number_of(engine, store.MINUTE) == row.minute - FIRST + 1
    async with engine.connect() as connection:
        content = (await connection.execute(select(store.MINUTE.c.content).limit(1))).scalar_one()
    assert content["calls"] == PROCESSES * CALLS_OF_ONE


async def test_two_leaders_at_once_raise_one_alarm(engine: AsyncEngine, leader: Leader) -> None:
    await keep_course(engine)
    leader.clock.advance(leader.time_of(RAMP_UNTIL - 1) - leader.clock.now())
    await asyncio.gather(leader.reads(), leader.reads())
    (alarm,) = await alarms(engine)
    assert alarm.state == IncidentState.BROKEN
    assert await number_of(engine, store.MINUTE) == RAMP_UNTIL
    # What lies far back asks for no probe now; the last minute may.
    assert len(leader.probed) <= 2


async def test_nothing_is_done_before_enough_is_learnt(engine: AsyncEngine, leader: Leader) -> None:
    leader.terms = replace(TERMS, learning_minutes=LAST)
    await keep_course(engine)
    await leader.comes_to(RAMP_UNTIL - 1)
    (alarm,) = await alarms(engine)
    assert not alarm.acted
    row = await standing(engine)
    assert (row.has_learnt, held_of(row).posture, leader.probed) == (False, NEUTRAL, [])
    assert row.alarm_minute == alarm.raise_minute


async def test_without_bounds_that_allow_it_nothing_is_done_and_no_incident_is_shown(
    engine: AsyncEngine, leader: Leader
) -> None:
    off = Bounds(most_discount=0, least_concurrency=1, probe_every_minutes=None, incidents=False)
    leader.terms = replace(TERMS, bounds=off)
    await keep_course(engine)
    await leader.comes_to(RAMP_UNTIL - 1)
    (alarm,) = await alarms(engine)
    assert (alarm.is_incident, alarm.state) == (False, IncidentState.BROKEN)
    assert held_of(await standing(engine)).posture == NEUTRAL
    assert leader.probed == []


async def test_a_probe_that_is_not_answered_is_counted(engine: AsyncEngine, leader: Leader) -> None:
    leader.answers = False
    leader.terms = replace(TERMS, bounds=Bounds(probe_every_minutes=1))
    await keep_course(engine)
    before = counted("gateway_foresight_probes_total", corridor="default", answered="no")
    await leader.comes_to(RAMP_UNTIL - 2)
    await leader.comes_to(RAMP_UNTIL - 1)
    assert leader.probed == ["default", "default"]
    after = counted("gateway_foresight_probes_total", corridor="default", answered="no")
    assert after == before + 2


async def test_a_minute_is_read_when_its_grace_is_over_and_not_before(
    engine: AsyncEngine, leader: Leader
) -> None:
    await keep_course(engine)
    leader.clock.advance(end_of(FIRST) - leader.clock.now())
    await leader.reads()
    assert (await standing(engine)).minute == 0
    await leader.comes_to(0)
    row = await standing(engine)
    assert (row.minute, row.hold_time) == (FIRST, end_of(FIRST) + HOLD)
    # One transaction reads so many, and the next goes on.
    leader.clock.advance(leader.time_of(MINUTES_PER_ROUND + 1) - leader.clock.now())
    process = leader.process()
    assert await process.round()
    assert (await standing(engine)).minute == FIRST + MINUTES_PER_ROUND
    assert not await process.round()
    assert (await standing(engine)).minute == FIRST + MINUTES_PER_ROUND + 1


async def test_a_corridor_whose_memory_is_lost_begins_anew(
    engine: AsyncEngine, leader: Leader
) -> None:
    await keep_course(engine)
    await leader.comes_to(RAMP_UNTIL - 2)
    (alarm,) = await alarms(engine)
    async with engine.begin() as connection:
        await connection.execute(update(store.CORRIDOR).values(memory='{"form": "another/1"}'))
    before = counted("gateway_foresight_unreadable_total", kind="memory")
    await leader.comes_to(RAMP_UNTIL - 1)
    assert counted("gateway_foresight_unreadable_total", kind="memory") == before + 1
    first = (await alarms(engine))[0]
    assert (first.raise_minute, first.state) == (alarm.raise_minute, IncidentState.ABANDONED)
    row = await standing(engine)
    assert (row.has_learnt, held_of(row).posture) == (False, NEUTRAL)


async def test_a_sighting_that_cannot_be_read_does_not_hide_the_others(
    engine: AsyncEngine, leader: Leader
) -> None:
    seen = course(0)
    async with engine.begin() as connection:
        await store.add_sightings(
            connection, "replica-0", {minute: seen[minute] for minute in (FIRST, FIRST + 2)}
        )
        broken = [
            {
                "corridor": "default",
                "minute": FIRST + at,
                "replica": "later",
                "content": {"calls": -1},
            }
            for at in (0, 1)
        ]
        await connection.execute(insert(store.SIGHTING), broken)
    before = counted("gateway_foresight_unreadable_total", kind="sighting")
    await leader.comes_to(2)
    assert counted("gateway_foresight_unreadable_total", kind="sighting") == before + 2
    assert (await standing(engine)).minute == FIRST + 2
    async with engine.connect() as connection:
        minutes = (await connection.execute(select(store.MINUTE.c.minute))).scalars().all()
    # Of the minute in between nothing is known.
    assert sorted(minutes) == [FIRST, FIRST + 2]


async def test_events_that_calls_promise_are_missed_two_minutes_later(
    engine: AsyncEngine, leader: Leader
) -> None:
    minutes = {
        FIRST: Sighting(calls=4, promised=(1, 2, 3, 4), came=(1,)),
        FIRST + 1: Sighting(calls=1, came=(2,)),
        FIRST + 2: Sighting(calls=1, came=(3,)),
        # It is too late for the fourth.
        FIRST + 3: Sighting(calls=1, came=(4,)),
    }
    async with engine.begin() as connection:
        of_default = {minute: {"default": seen} for minute, seen in minutes.items()}
        await store.add_sightings(connection, "replica-0", of_default)
    for at in range(4):
        await leader.comes_to(at)
    gap = store.MINUTE.c.content["webhook_gap_share"].as_float()
    async with engine.connect() as connection:
        shares = (await connection.execute(select(gap).order_by(store.MINUTE.c.minute))).scalars()
        assert list(shares) == [None, None, 0.25, None]


async def test_the_queue_of_a_corridor_is_looked_at(engine: AsyncEngine, leader: Leader) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(QUEUED), {"t": leader.time_of(-6)})
        now = leader.time_of(-1)
        assert await store.queue_age_s(connection, "default", now) == 300.0
        assert await store.queue_age_s(connection, "eu", now) == 0.0


async def test_what_was_kept_for_long_enough_is_deleted(
    engine: AsyncEngine, leader: Leader
) -> None:
    now = leader.clock.now()
    minute, day = int(now.timestamp()) // 60, 1_440
    kept = minute - day * KEEP_MINUTES.days
    seen = minute - day * KEEP_SIGHTINGS.days
    async with engine.begin() as connection:
        for at in (seen - 1, seen):
            await store.add_sightings(connection, "r", {at: {"default": Sighting(calls=1)}})
        rows = [{"corridor": "default", "minute": at, "content": {}} for at in (kept - 1, kept)]
        await connection.execute(insert(store.MINUTE), rows)
    assert not await leader.process().purge_round()
    async with engine.connect() as connection:
        left = (await connection.execute(select(store.MINUTE.c.minute))).scalars().all()
        sighted = (await connection.execute(select(store.SIGHTING.c.minute))).scalars().all()
    assert (left, sighted) == ([kept], [seen])


async def test_how_a_corridor_is_treated_ends_by_itself_when_nobody_leads(
    engine: AsyncEngine, leader: Leader
) -> None:
    await keep_course(engine)
    await leader.comes_to(RAMP_UNTIL - 1)
    board, limit = board_of(leader)
    # A process that has just started treats it as usual until it has read otherwise.
    assert (board.discount("default"), limit.share) == (0.0, 1.0)
    await board.refresh()
    assert (board.discount("default"), limit.share) == (0.5, 0.5)
    assert board.discount("nowhere") == 0.0
    until = (await standing(engine)).hold_time
    leader.clock.advance(until - leader.clock.now() - HOLD / 100)
    board.apply()
    assert limit.share == 0.5
    leader.clock.advance(HOLD / 100)
    # Though the database is away, and nothing new was read.
    assert board.discount("default") == 0.0
    board.apply()
    assert limit.share == 1.0
    assert LEARNING < RAMP_FROM
