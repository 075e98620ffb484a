"""Times of further attempts in the database, and what became of them.

Functions run on the caller's connection, inside the caller's transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.payments.store.schema import DECLINE
from gateway.routing.attribution import Cause
from gateway.routing_service.retries import RETRY_JUDGED
from gateway.routing_service.schema import RETRY, RETRY_OUTCOME
from gateway.routing_service.steps import Arm, ArmCount

_JUDGED = RETRY_OUTCOME.c.cause.in_([cause.value for cause in RETRY_JUDGED])
_SAME = and_(
    RETRY_OUTCOME.c.payment_id == RETRY.c.payment_id, RETRY_OUTCOME.c.attempt == RETRY.c.attempt
)


async def undecided_retries(
    connection: AsyncConnection, payment_ids: Collection[str]
) -> Sequence[Row[Any]]:
    """Of these payments, the times that nothing was learnt of yet, in their order."""
    statement = (
        select(RETRY)
        .outerjoin(RETRY_OUTCOME, _SAME)
        .where(RETRY.c.payment_id.in_(payment_ids), RETRY_OUTCOME.c.payment_id.is_(None))
        .order_by(RETRY.c.payment_id, RETRY.c.attempt)
    )
    return (await connection.execute(statement)).all()


async def declines(
    connection: AsyncConnection, payment_ids: Collection[str]
) -> Collection[tuple[str, int]]:
    """Of these payments, which attempts were declined."""
    statement = select(DECLINE.c.payment_id, DECLINE.c.attempt).where(
        DECLINE.c.payment_id.in_(payment_ids)
    )
    return {(row.payment_id, row.attempt) for row in await connection.execute(statement)}


async def add_retry_outcomes(
    connection: AsyncConnection, outcomes: Sequence[Mapping[str, Any]]
) -> None:
    """Writes what became of attempts."""
    if outcomes:
        await connection.execute(insert(RETRY_OUTCOME), [dict(each) for each in outcomes])


async def retries_of(
    connection: AsyncConnection, payment_id: str
) -> Sequence[tuple[Row[Any], str | None]]:
    """The times that were chosen for a payment, in order, each with the cause of its outcome."""
    found = select(RETRY).where(RETRY.c.payment_id == payment_id).order_by(RETRY.c.attempt)
    rows = (await connection.execute(found)).all()
    if not rows:
        return []
    ended = select(RETRY_OUTCOME.c.attempt, RETRY_OUTCOME.c.cause).where(
        RETRY_OUTCOME.c.payment_id == payment_id
    )
    causes = {row.attempt: row.cause for row in await connection.execute(ended)}
    return [(row, causes.get(row.attempt)) for row in rows]


async def count_retry_arms(connection: AsyncConnection, since: datetime) -> Mapping[Arm, ArmCount]:
    """Judged outcomes of both arms, of times that were chosen since one."""
    approved = func.count().filter(RETRY_OUTCOME.c.cause == Cause.APPROVED.value)
    statement = (
        select(RETRY.c.arm, func.count().label("outcomes"), approved.label("approved"))
        .join(RETRY_OUTCOME, _SAME)
        .where(RETRY.c.decide_time >= since, _JUDGED)
        .group_by(RETRY.c.arm)
    )
    found = {
        Arm(row.arm): ArmCount(row.outcomes, row.approved)
        for row in await connection.execute(statement)
    }
    return {arm: found.get(arm, ArmCount()) for arm in Arm}


async def count_learnt_retries(connection: AsyncConnection) -> int:
    """How many outcomes that say something of a time are kept."""
    statement = select(func.count()).select_from(RETRY_OUTCOME).where(_JUDGED)
    counted: int = (await connection.execute(statement)).scalar_one()
    return counted


async def report_retries(connection: AsyncConnection, since: datetime) -> Sequence[Row[Any]]:
    """By option, region, kind and arm: what was chosen since a time, and what became of it."""
    of = (RETRY.c.option, RETRY.c.region, RETRY.c.kind, RETRY.c.arm)
    statement = (
        select(
            *of,
            func.count().label("decisions"),
            func.count().filter(RETRY.c.explored).label("explored"),
            func.count().filter(_JUDGED).label("judged"),
            func.count().filter(RETRY_OUTCOME.c.cause == Cause.APPROVED.value).label("approved"),
        )
        .outerjoin(RETRY_OUTCOME, _SAME)
        .where(RETRY.c.decide_time >= since)
        .group_by(*of)
        .order_by(*of)
    )
    return (await connection.execute(statement)).all()
