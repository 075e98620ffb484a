"""Where policy versions are kept; each document is stored as the text that is hashed."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.checks.canonical import dumps, loads
from compliance.checks.policy import Policy
from compliance.errors import policy_version_not_found
from compliance.tables import POLICY_VERSION


@dataclass(frozen=True)
class StoredPolicy:
    """A row of `policy_version` with its place in the order of creation."""

    ordinal: int
    state: str
    policy: Policy
    content_hash: bytes
    create_time: datetime
    activate_time: datetime | None


async def ensure_built_in(connection: AsyncConnection, built_in: Policy, now: datetime) -> None:
    """Stores the built-in policy and brings it into force if nothing is.

    Raises `RuntimeError` if another document has its version: decisions under it could not be
    replayed.
    """
    document = dumps(built_in)
    in_force = await connection.execute(
        select(POLICY_VERSION.c.policy_version).where(POLICY_VERSION.c.state == "ACTIVE")
    )
    is_first = in_force.one_or_none() is None
    await connection.execute(
        upsert(POLICY_VERSION)
        .values(
            policy_version=built_in.version,
            state="ACTIVE" if is_first else "DRAFT",
            document=document,
            content_hash=hashlib.sha256(document.encode()).digest(),
            create_time=now,
            activate_time=now if is_first else None,
        )
        .on_conflict_do_nothing()
    )
    stored = await get_policy(connection, built_in.version)
    if stored.policy != built_in:
        raise RuntimeError(f"policy {built_in.version} was stored with another document")


async def active_policy(connection: AsyncConnection) -> Policy:
    """The policy in force, which there always is one of."""
    rows = await connection.execute(
        select(POLICY_VERSION).where(POLICY_VERSION.c.state == "ACTIVE")
    )
    return _stored(rows.mappings().one()).policy


async def get_policy(connection: AsyncConnection, version: str) -> StoredPolicy:
    """One version. Raises `POLICY_VERSION_NOT_FOUND`."""
    rows = await connection.execute(
        select(POLICY_VERSION).where(POLICY_VERSION.c.policy_version == version)
    )
    row = rows.mappings().one_or_none()
    if row is None:
        raise policy_version_not_found(version)
    return _stored(row)


async def list_policies(
    connection: AsyncConnection, *, state: str, before_ordinal: int | None, limit: int
) -> list[StoredPolicy]:
    """Versions, the newest first; an empty state is all."""
    statement = select(POLICY_VERSION).order_by(POLICY_VERSION.c.ordinal.desc()).limit(limit)
    if state:
        statement = statement.where(POLICY_VERSION.c.state == state)
    if before_ordinal is not None:
        statement = statement.where(POLICY_VERSION.c.ordinal < before_ordinal)
    rows = await connection.execute(statement)
    return [_stored(row) for row in rows.mappings()]


def _stored(row: Any) -> StoredPolicy:
    return StoredPolicy(
        ordinal=row["ordinal"],
        state=row["state"],
        policy=loads(row["document"], Policy),
        content_hash=bytes(row["content_hash"]),
        create_time=row["create_time"],
        activate_time=row["activate_time"],
    )
