"""What an engine knows that has run for a while: put into the database of one that has just begun.

Foresight does nothing to a corridor before it has learnt for a day what is usual there, and routing
asks for hundreds of outcomes at each step. Nobody waits for that in a sandbox. What is usual is
learnt by the engine's own rules from a history that is made of minutes which the engine has just
seen; no forecast, alarm or decision is made here.
"""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.foresight.codec import write_corridor
from gateway.foresight.signals import MEASURES, Minute
from gateway.foresight.standing import Standing, Terms, step
from gateway.foresight_service import store as foresight_store
from gateway.routing_service import store as routing_store
from gateway.routing_service.steps import ArmCount, Evidence, Step
from sandbox.polling import poll

# How far measures stray in a history, as the standard deviation of their logarithm.
STRAY = 0.1
REASON = "the sandbox shows what routing does without the evidence that is asked for in production"


async def seen_minutes(engine: AsyncEngine, corridor: str, from_minute: int) -> list[Minute]:
    """The minutes that the leader has read, from one on."""
    statement = (
        select(foresight_store.MINUTE.c.content)
        .where(
            foresight_store.MINUTE.c.corridor == corridor,
            foresight_store.MINUTE.c.minute >= from_minute,
        )
        .order_by(foresight_store.MINUTE.c.minute)
    )
    async with engine.connect() as connection:
        return [Minute(**row.content) for row in await connection.execute(statement)]


def history(calm: Sequence[Minute], minutes: int, until: int, seed: int) -> Iterator[Minute]:
    """So many minutes before one, each like a calm one that was seen, and a little off it."""
    chance = random.Random(seed)
    for minute in range(until - minutes, until):
        seen = chance.choice(calm)
        measures: dict[str, Any] = {
            name: None if value is None else value * math.exp(chance.gauss(0.0, STRAY))
            for name in MEASURES
            if name != "webhook_gap_share"
            for value in [getattr(seen, name)]
        }
        yield replace(seen, minute=minute, **measures)


def learnt(minutes: Iterable[Minute], terms: Terms) -> Standing:
    """How a corridor stands after these minutes, by the engine's own rules."""
    standing = Standing()
    for seen in minutes:
        standing, _, _ = step(standing, seen, terms)
    return standing


async def restore_standing(
    engine: AsyncEngine, corridor: str, standing: Standing, now: datetime
) -> None:
    """Has the leader go on from a standing, with the first minute after it."""
    async with engine.begin() as connection:
        await foresight_store.claim(connection, corridor, now)
        await foresight_store.write_standing(
            connection,
            corridor,
            standing.posture,
            minute=standing.corridor.state.minute,
            memory=write_corridor(standing.corridor, standing.alarm),
            alarm_minute=standing.alarm.since,
            has_learnt=True,
            hold_time=now,
            update_time=now,
        )


async def follow_routing(engine: AsyncEngine, now: datetime) -> None:
    """Lets payments follow the model in force, as far as the last step does; once the gateway's
    leader has one."""

    async def learner() -> bool:
        async with engine.connect() as connection:
            return await routing_store.learner(connection) is not None

    await poll(learner, bool)
    nothing_known = Evidence(ArmCount(0, 0), ArmCount(0, 0), 0)
    async with engine.begin() as connection:
        row = await routing_store.lock_learner(connection)
        assert row is not None, "it was there"
        await routing_store.add_step(
            connection,
            Step.FULL,
            row.model_version,
            "sandbox",
            REASON,
            nothing_known.figures,
            now,
        )
