"""Trained models in the database: what they were trained on, beside the bytes in `routing_model`.

Functions run on the caller's connection, inside the caller's transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, exists, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.routing_service.schema import MODEL, STEP, TRAINING


async def add_training(
    connection: AsyncConnection,
    version: str,
    provenance: Mapping[str, Any],
    client: str,
    now: datetime,
    *,
    truncated: bool,
) -> None:
    """Writes down what a model was trained on; who trained the same before stays."""
    values = {
        "version": version,
        "provenance": dict(provenance),
        "truncated": truncated,
        "client": client,
        "create_time": now,
    }
    await connection.execute(upsert(TRAINING).values(values).on_conflict_do_nothing())


async def trainings(
    connection: AsyncConnection, versions: Collection[str]
) -> Mapping[str, Row[Any]]:
    """Of these models, those that were trained; `promoted` says whether a step names it."""
    promoted = exists().where(STEP.c.model_version == TRAINING.c.version).label("promoted")
    statement = select(TRAINING, promoted).where(TRAINING.c.version.in_(versions))
    return {row.version: row for row in await connection.execute(statement)}


async def trained_models(
    connection: AsyncConnection, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """Models that were trained, without their bytes, the newest first."""
    columns = [column for column in MODEL.c if column is not MODEL.c.state]
    statement = (
        select(*columns)
        .join(TRAINING, TRAINING.c.version == MODEL.c.version)
        .order_by(MODEL.c.model_number.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(MODEL.c.model_number < before)
    return (await connection.execute(statement)).all()
