"""What the gateways' database has of routing and foresight, once both have caught up."""

import contextlib
from collections import defaultdict
from typing import Any

import psycopg
from psycopg.rows import dict_row

from gateway.foresight.signals import Minute
from gateway.routing_service.lessons import TRANSITIONS
from gateway.routing_service.steps import MIN_SHADOW_OUTCOMES
from sandbox.polling import poll
from tests.chaos.evidence import (
    AlarmRecord,
    Believed,
    Decided,
    IncidentChange,
    Intelligence,
    Learnt,
    StandingRecord,
)

# Until the leader has learnt from the last change, and incidents have their numbers.
CATCH_UP_SECONDS = 30.0
_BEHIND = """
SELECT count(*) FROM payment_event, routing_learner
WHERE payment_event.sequence > routing_learner.sequence AND transition = ANY(%(transitions)s)
UNION ALL SELECT count(*) FROM foresight_alarm WHERE is_incident AND told IS DISTINCT FROM state
UNION ALL SELECT count(*) FROM foresight_change WHERE sequence IS NULL
"""
_CHARGES = (
    "SELECT unnest(ARRAY[id, key_prefix]) AS key, subject_id, corridor FROM operation"
    " WHERE kind = 'AUTHORIZE'"
)
_DECIDED = (
    "SELECT *, 0 AS hop FROM routing_decision",
    "SELECT * FROM routing_failover",
)
_LEARNT = (
    "SELECT *, 0 AS hop FROM routing_outcome",
    "SELECT * FROM routing_failover_outcome",
)

Database = psycopg.AsyncConnection[Any]


async def first_charges(database: Database) -> dict[str, tuple[str, str]]:
    """By the beginning of each key that makes a PaymentIntent, its payment and corridor."""
    rows = await _rows(database, _CHARGES)
    return {row["key"]: (row["subject_id"], row["corridor"]) for row in rows}


async def recorded(database: Database) -> Intelligence:
    """All of one moment."""
    await database.rollback()

    async def behind() -> int:
        # Each look in a transaction of its own, to see what was written since.
        counts = await _rows(database, _BEHIND, transitions=sorted(TRANSITIONS))
        await database.rollback()
        return sum(row["count"] for row in counts)

    # Whoever does not catch up has not learnt, or told, what it should have: the judge sees that.
    with contextlib.suppress(TimeoutError):
        await poll(behind, lambda count: count == 0, CATCH_UP_SECONDS)
    await database.rollback()
    await database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    minutes: dict[str, list[Minute]] = defaultdict(list)
    for row in await _rows(database, "SELECT * FROM foresight_minute ORDER BY corridor, minute"):
        minutes[row["corridor"]].append(Minute(**row["content"]))
    models = await _rows(
        database,
        "SELECT learned FROM routing_learner JOIN routing_model ON version = model_version",
    )
    steps = await _rows(database, "SELECT step FROM routing_step ORDER BY step_number")
    return Intelligence(
        steps=tuple(row["step"] for row in steps),
        decided=tuple(
            [_decided(row) for query in _DECIDED for row in await _rows(database, query)]
        ),
        learnt=tuple(
            [
                Learnt(**{name: row[name] for name in Learnt.__annotations__})
                for query in _LEARNT
                for row in await _rows(database, query)
            ]
        ),
        learned=models[0]["learned"] if models else 0,
        # Who lets routing decide gives the model so many.
        taught=MIN_SHADOW_OUTCOMES if steps else 0,
        minutes={corridor: tuple(seen) for corridor, seen in minutes.items()},
        standings=tuple(
            StandingRecord(
                row["corridor"],
                row["minute"],
                row["alarm_minute"],
                row["discount"],
                row["concurrency_share"],
                row["has_incident"],
            )
            for row in await _rows(database, "SELECT * FROM foresight_corridor ORDER BY corridor")
        ),
        alarms=tuple(
            AlarmRecord(**{name: row[name] for name in AlarmRecord.__annotations__})
            for row in await _rows(
                database, "SELECT * FROM foresight_alarm ORDER BY corridor, raise_minute"
            )
        ),
        incidents=tuple(
            IncidentChange(**{name: row[name] for name in IncidentChange.__annotations__})
            for row in await _rows(database, "SELECT * FROM foresight_change ORDER BY sequence")
        ),
    )


def _decided(row: dict[str, Any]) -> Decided:
    return Decided(
        payment_id=row["payment_id"],
        hop=row["hop"],
        arm=row["arm"],
        share=row["share"],
        corridor=row["corridor"],
        propensity=row["propensity"],
        action=row["action"],
        seed=row["seed"],
        explored=row["explored"],
        believed=tuple(Believed(**score) for score in row["scores"]),
        excluded=tuple(each["corridor"] for each in row["excluded"]),
        decide_time=row["decide_time"],
    )


async def _rows(database: Database, query: str, **values: Any) -> list[dict[str, Any]]:
    async with database.cursor(row_factory=dict_row) as cursor:
        # All texts are of this module.
        await cursor.execute(query.encode(), values)
        return await cursor.fetchall()
