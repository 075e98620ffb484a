"""Routing in the database: decisions and what became of them, models, the learner's cursor, steps.

Functions run on the caller's connection, inside the caller's transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Row,
    Table,
    and_,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.operations.operation import OperationKind
from gateway.operations.store import OPERATION
from gateway.routing.attribution import Cause
from gateway.routing_service.lessons import Attempt
from gateway.routing_service.schema import (
    DECISION,
    FAILOVER,
    FAILOVER_OUTCOME,
    LEARNER,
    MODEL,
    OUTCOME,
    STEP,
)
from gateway.routing_service.steps import Arm, ArmCount, Step, Subject

# How long decisions and their outcomes are kept.
KEEP_DECISIONS = timedelta(days=90)
# What says something of the corridor.
JUDGED = (Cause.APPROVED, Cause.ISSUER, Cause.CORRIDOR)

_MODEL_WITHOUT_STATE = tuple(column for column in MODEL.c if column is not MODEL.c.state)


async def learner(connection: AsyncConnection) -> Row[Any] | None:
    """How far the learner is; None before it has begun."""
    return (await connection.execute(select(LEARNER))).first()


async def lock_learner(connection: AsyncConnection) -> Row[Any] | None:
    """The same, locked: who learns and who puts another model in force wait for each other."""
    return (await connection.execute(select(LEARNER).with_for_update())).first()


async def begin_learner(
    connection: AsyncConnection, sequence: int, version: str, now: datetime
) -> None:
    """The learner's row, unless another process has made it."""
    values = {
        "only_one": True, "sequence": sequence, "model_version": version, "round_time": now
    }  # fmt: skip
    await connection.execute(upsert(LEARNER).values(values).on_conflict_do_nothing())


async def move_learner(connection: AsyncConnection, **values: object) -> None:
    """Writes how far the locked learner is."""
    await connection.execute(update(LEARNER).values(values))


async def add_model(
    connection: AsyncConnection,
    version: str,
    state: bytes,
    learned: int,
    code_version: str,
    now: datetime,
) -> None:
    """Keeps a model under the hash of its bytes; one that is there stays."""
    values = {
        "version": version,
        "state": state,
        "learned": learned,
        "code_version": code_version,
        "create_time": now,
    }
    await connection.execute(upsert(MODEL).values(values).on_conflict_do_nothing())


async def model_state(connection: AsyncConnection, version: str) -> bytes:
    """The bytes of a model that is kept."""
    statement = select(MODEL.c.state).where(MODEL.c.version == version)
    return bytes((await connection.execute(statement)).scalar_one())


async def find_model(connection: AsyncConnection, version: str) -> Row[Any] | None:
    """A model without its bytes."""
    statement = select(*_MODEL_WITHOUT_STATE).where(MODEL.c.version == version)
    return (await connection.execute(statement)).first()


async def models(connection: AsyncConnection, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Models without their bytes, the newest first."""
    statement = select(*_MODEL_WITHOUT_STATE).order_by(MODEL.c.model_number.desc()).limit(limit)
    if before is not None:
        statement = statement.where(MODEL.c.model_number < before)
    return (await connection.execute(statement)).all()


async def undecided(
    connection: AsyncConnection, payment_ids: Collection[str]
) -> Mapping[str, Row[Any]]:
    """Of these payments, the decisions that nothing was learnt from yet."""
    statement = (
        select(DECISION)
        .outerjoin(OUTCOME, OUTCOME.c.payment_id == DECISION.c.payment_id)
        .where(DECISION.c.payment_id.in_(payment_ids), OUTCOME.c.payment_id.is_(None))
    )
    return {row.payment_id: row for row in await connection.execute(statement)}


async def first_attempts(
    connection: AsyncConnection, payment_ids: Collection[str]
) -> Mapping[tuple[str, str], Attempt]:
    """Of these payments, by payment and corridor, the first operation that charged there."""
    statement = (
        select(
            OPERATION.c.subject_id,
            OPERATION.c.corridor,
            OPERATION.c.send_count,
            OPERATION.c.first_send_time,
            OPERATION.c.end_time,
        )
        .where(
            OPERATION.c.subject_id.in_(payment_ids),
            OPERATION.c.kind == OperationKind.AUTHORIZE.value,
        )
        .order_by(OPERATION.c.operation_number.desc())
    )
    return {
        (row.subject_id, row.corridor): Attempt(row.send_count, row.first_send_time, row.end_time)
        for row in await connection.execute(statement)
    }


async def undecided_failovers(
    connection: AsyncConnection, payment_ids: Collection[str]
) -> Sequence[Row[Any]]:
    """Of these payments, the choices after the first that nothing was learnt from yet."""
    is_same = and_(
        FAILOVER_OUTCOME.c.payment_id == FAILOVER.c.payment_id,
        FAILOVER_OUTCOME.c.hop == FAILOVER.c.hop,
    )
    statement = (
        select(FAILOVER)
        .outerjoin(FAILOVER_OUTCOME, is_same)
        .where(FAILOVER.c.payment_id.in_(payment_ids), FAILOVER_OUTCOME.c.payment_id.is_(None))
        .order_by(FAILOVER.c.payment_id, FAILOVER.c.hop)
    )
    return (await connection.execute(statement)).all()


async def failover_attempts(
    connection: AsyncConnection, payment_ids: Collection[str]
) -> Mapping[tuple[str, int], Attempt]:
    """Of these payments, by payment and choice, the first operation that charged there since."""
    statement = (
        select(
            FAILOVER.c.payment_id,
            FAILOVER.c.hop,
            OPERATION.c.send_count,
            OPERATION.c.first_send_time,
            OPERATION.c.end_time,
        )
        .join(
            OPERATION,
            and_(
                OPERATION.c.subject_id == FAILOVER.c.payment_id,
                OPERATION.c.corridor == FAILOVER.c.corridor,
                OPERATION.c.create_time >= FAILOVER.c.decide_time,
            ),
        )
        .where(
            FAILOVER.c.payment_id.in_(payment_ids),
            OPERATION.c.kind == OperationKind.AUTHORIZE.value,
        )
        .order_by(OPERATION.c.operation_number.desc())
    )
    return {
        (row.payment_id, row.hop): Attempt(row.send_count, row.first_send_time, row.end_time)
        for row in await connection.execute(statement)
    }


async def add_outcomes(connection: AsyncConnection, outcomes: Sequence[Mapping[str, Any]]) -> None:
    """Writes what attempts came to; those with a `hop` are of choices after the first."""
    for table in (OUTCOME, FAILOVER_OUTCOME):
        rows = [dict(each) for each in outcomes if ("hop" in each) is (table is FAILOVER_OUTCOME)]
        if rows:
            await connection.execute(insert(table), rows)


async def find_decision(connection: AsyncConnection, payment_id: str) -> Row[Any] | None:
    """What was decided about a payment."""
    statement = select(DECISION).where(DECISION.c.payment_id == payment_id)
    return (await connection.execute(statement)).first()


async def find_outcome(connection: AsyncConnection, payment_id: str) -> Row[Any] | None:
    """What became of it."""
    statement = select(OUTCOME).where(OUTCOME.c.payment_id == payment_id)
    return (await connection.execute(statement)).first()


async def failovers(
    connection: AsyncConnection, payment_id: str
) -> Sequence[tuple[Row[Any], Row[Any] | None]]:
    """The choices after the first of a payment, in their order, with what became of each."""
    found = select(FAILOVER).where(FAILOVER.c.payment_id == payment_id).order_by(FAILOVER.c.hop)
    rows = (await connection.execute(found)).all()
    if not rows:
        return []
    ended = select(FAILOVER_OUTCOME).where(FAILOVER_OUTCOME.c.payment_id == payment_id)
    outcomes = {row.hop: row for row in await connection.execute(ended)}
    return [(row, outcomes.get(row.hop)) for row in rows]


async def last_step(
    connection: AsyncConnection, subject: Subject = Subject.CORRIDOR
) -> Row[Any] | None:
    """The step of a subject that counts; None before the first, which is as SHADOW."""
    statement = (
        select(STEP)
        .where(STEP.c.subject == subject.value)
        .order_by(STEP.c.step_number.desc())
        .limit(1)
    )
    return (await connection.execute(statement)).first()


async def last_steps(connection: AsyncConnection, limit: int) -> Sequence[Row[Any]]:
    """The last steps, the newest first."""
    statement = select(STEP).order_by(STEP.c.step_number.desc()).limit(limit)
    return (await connection.execute(statement)).all()


async def add_step(
    connection: AsyncConnection,
    step: Step,
    version: str,
    client: str,
    reason: str,
    evidence: Mapping[str, Any],
    now: datetime,
    *,
    subject: Subject = Subject.CORRIDOR,
    judgement_number: int | None = None,
    override_reason: str = "",
) -> None:
    """Writes a step; the caller has locked the learner. It rests on a verdict, or was taken without
    one for a reason."""
    values = {
        "step": step.value,
        "model_version": version,
        "client": client,
        "reason": reason,
        "evidence": dict(evidence),
        "step_time": now,
        "subject": subject.value,
        "judgement_number": judgement_number,
        "override_reason": override_reason,
    }
    await connection.execute(insert(STEP).values(values))


async def count_arms(connection: AsyncConnection, since: datetime) -> Mapping[Arm, ArmCount]:
    """Judged outcomes of both arms that were learnt from since a time, of payments that were
    decided since it."""
    approved = func.count().filter(OUTCOME.c.cause == Cause.APPROVED.value)
    statement = (
        select(OUTCOME.c.arm, func.count().label("outcomes"), approved.label("approved"))
        .join(DECISION, DECISION.c.payment_id == OUTCOME.c.payment_id)
        .where(
            OUTCOME.c.learn_time >= since,
            DECISION.c.decide_time >= since,
            OUTCOME.c.cause.in_([cause.value for cause in JUDGED]),
        )
        .group_by(OUTCOME.c.arm)
    )
    found = {
        Arm(row.arm): ArmCount(row.outcomes, row.approved)
        for row in await connection.execute(statement)
    }
    return {arm: found.get(arm, ArmCount()) for arm in Arm}


async def report(connection: AsyncConnection, since: datetime) -> Sequence[Row[Any]]:
    """By corridor, region and arm: what was decided since a time, and what became of it."""
    return await _report(connection, since, DECISION, OUTCOME)


async def report_failovers(connection: AsyncConnection, since: datetime) -> Sequence[Row[Any]]:
    """The same of choices after the first, by where payments went on."""
    return await _report(connection, since, FAILOVER, FAILOVER_OUTCOME)


async def _report(
    connection: AsyncConnection, since: datetime, choice: Table, outcome: Table
) -> Sequence[Row[Any]]:
    def count(*causes: Cause) -> Any:
        return func.count().filter(outcome.c.cause.in_([cause.value for cause in causes]))

    of = (choice.c.corridor, choice.c.region, choice.c.arm)
    same = [choice.c[key.name] == key for key in outcome.primary_key]
    statement = (
        select(
            *of,
            func.count().label("decisions"),
            func.count().filter(choice.c.explored).label("explored"),
            count(*JUDGED).label("judged"),
            count(Cause.APPROVED).label("approved"),
            count(Cause.CORRIDOR).label("failed"),
            func.count().filter(outcome.c.was_unknown).label("unknown"),
        )
        .outerjoin(outcome, and_(*same))
        .where(choice.c.decide_time >= since)
        .group_by(*of)
        .order_by(*of)
    )
    return (await connection.execute(statement)).all()
