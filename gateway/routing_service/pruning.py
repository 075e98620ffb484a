"""Deletes what was kept long enough: by whoever learns, else by a task of its own."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.routing_service.schema import (
    DECISION,
    FAILOVER,
    FAILOVER_OUTCOME,
    JUDGEMENT,
    LEARNER,
    MODEL,
    OUTCOME,
    RETRY,
    RETRY_OUTCOME,
    STEP,
    TRAINING,
)
from gateway.routing_service.store import KEEP_DECISIONS
from runtime.clock import Clock
from runtime.loops import Loop

# Models that are kept besides those that a step or a verdict names or that are in force, and of
# those that were trained so many more.
KEEP_MODELS = 200
KEEP_TRAINED = 50
PRUNE_BATCH = 1_000
REST_SECONDS = 600.0

_CHOICES = ((DECISION, OUTCOME), (FAILOVER, FAILOVER_OUTCOME), (RETRY, RETRY_OUTCOME))


async def prune(connection: AsyncConnection, now: datetime) -> int:
    """Deletes some of what was kept long enough; how many of the kind of which there were most, of
    which `PRUNE_BATCH` says that there may be more."""
    before = now - KEEP_DECISIONS
    pruned = [await _prune_choices(connection, *tables, before) for tables in _CHOICES]
    pruned.append(await _prune_judgements(connection, before))
    await _prune_models(connection)
    return max(pruned)


def pruning(engine: AsyncEngine, clock: Clock) -> Loop:
    """For where nobody learns."""

    async def round_() -> bool:
        async with engine.begin() as connection:
            return await prune(connection, clock.now()) == PRUNE_BATCH

    return Loop("routing purge", round_, poll_seconds=REST_SECONDS)


async def _prune_choices(
    connection: AsyncConnection, choice: Table, outcome: Table, before: datetime
) -> int:
    """Choices, with what became of them."""
    old = (
        select(*choice.primary_key)
        .where(choice.c.decide_time < before)
        .order_by(choice.c.decide_time)
        .limit(PRUNE_BATCH)
    )
    keys = [tuple(row) for row in await connection.execute(old)]
    if keys:
        for table in (outcome, choice):
            await connection.execute(delete(table).where(tuple_(*table.primary_key).in_(keys)))
    return len(keys)


async def _prune_judgements(connection: AsyncConnection, before: datetime) -> int:
    """Verdicts that no step rests on."""
    named = select(STEP.c.judgement_number).where(STEP.c.judgement_number.is_not(None))
    old = (
        select(JUDGEMENT.c.judgement_number)
        .where(JUDGEMENT.c.judge_time < before, JUDGEMENT.c.judgement_number.not_in(named))
        .order_by(JUDGEMENT.c.judgement_number)
        .limit(PRUNE_BATCH)
    )
    numbers = (await connection.execute(old)).scalars().all()
    if numbers:
        await connection.execute(delete(JUDGEMENT).where(JUDGEMENT.c.judgement_number.in_(numbers)))
    return len(numbers)


async def _prune_models(connection: AsyncConnection) -> None:
    """What models were trained on, then the models."""
    await connection.execute(
        delete(TRAINING).where(
            _is_older(TRAINING.c.training_number, KEEP_TRAINED),
            *_is_unnamed(TRAINING.c.version),
        )
    )
    await connection.execute(
        delete(MODEL).where(
            _is_older(MODEL.c.model_number, KEEP_MODELS),
            *_is_unnamed(MODEL.c.version),
            MODEL.c.version.not_in(select(TRAINING.c.version)),
        )
    )


def _is_older(number: Any, kept: int) -> ColumnElement[bool]:
    """Whether a row is not among the newest so many."""
    newest = select(number).order_by(number.desc())
    oldest_kept: ColumnElement[bool] = number < newest.offset(kept - 1).limit(1).scalar_subquery()
    return oldest_kept


def _is_unnamed(version: Any) -> list[ColumnElement[bool]]:
    """Whether no step and no verdict names a model, and it is not in force."""
    return [version.not_in(select(table.c.model_version)) for table in (STEP, JUDGEMENT, LEARNER)]
