"""Models that a test begins with, and what it finds in the database."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.routing.attribution import Attribution, Cause
from gateway.routing.codec import content_hash, dump
from gateway.routing.decision import Lesson, Policy, learn_from
from gateway.routing.features import Context
from gateway.routing.state import RoutingState
from gateway.routing_service import schema, store
from gateway.routing_service.learner import CODE_VERSION, Learner
from gateway.routing_service.steps import Mode, Step, Subject
from gateway.routing_service.terms import SPACE, RoutingTerms
from runtime.clock import SystemClock
from tests.gateway.running import OpenGate

POLICY = Policy(space=SPACE)
CONTEXT = Context("OTHER", "OTHER", "OTHER", "EUR", 2_000, 12, False, 0, False)
FIGURES = {
    "rules_outcomes": 0,
    "rules_success": 0.0,
    "routed_outcomes": 0,
    "routed_success": 0.0,
    "difference_low": 0.0,
    "difference_high": 0.0,
    "learned": 0,
}


# Too few for a corridor that approved none of them to be taken for one with an incident, which no
# discount of the other makes better.
FEW_LESSONS = 5


def leaning(to: str, away_from: str, now: datetime, lessons: int = 40) -> RoutingState:
    """What is believed after one corridor approved all and another none."""
    state = RoutingState.new(SPACE, (to, away_from), now.timestamp())
    slots = SPACE.slots(CONTEXT)
    for number in range(2 * lessons):
        approved = number % 2 == 0
        said = Attribution(
            Cause.APPROVED if approved else Cause.ISSUER, failed=False, approved=approved
        )
        lesson = Lesson("OTHER", "OTHER", slots, to if approved else away_from, 0, said)
        state = learn_from(POLICY, state, lesson, now_s=now.timestamp())
    return state


async def begin_with(
    engine: AsyncEngine,
    state: RoutingState,
    step: Step,
    now: datetime,
    sequence: int = 0,
    subject: Subject = Subject.CORRIDOR,
) -> str:
    """Puts a model in force on a fresh database, and allows a step; the model's version."""
    raw = dump(state)
    version = content_hash(raw)
    async with engine.begin() as connection:
        await store.add_model(connection, version, raw, state.learned, CODE_VERSION, now)
        await store.begin_learner(connection, sequence, version, now)
        await store.add_step(
            connection, step, version, "somebody", "a test", FIGURES, now, subject=subject
        )
    return version


async def decisions(engine: AsyncEngine) -> Mapping[str, Row[Any]]:
    """All that were written, by payment."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(schema.DECISION))
        return {row.payment_id: row for row in rows}


async def outcomes(engine: AsyncEngine) -> Mapping[str, Row[Any]]:
    """All that was learnt from, by payment."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(schema.OUTCOME))
        return {row.payment_id: row for row in rows}


async def learnt(engine: AsyncEngine) -> Mapping[str, Row[Any]]:
    """The outcomes after a learner has looked at all events that are numbered."""
    learner = Learner(
        engine, OpenGate(), Mode.STAGED, RoutingTerms(), ("default", "backup"), SystemClock()
    )
    while await learner.round():
        pass
    return await outcomes(engine)
