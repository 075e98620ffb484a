"""Where policy versions are kept; each document is stored as the text that is hashed."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.checks.canonical import dumps, loads
from compliance.checks.policy import Policy
from compliance.errors import (
    invalid_policy_state,
    match_threshold_differs,
    policy_replaced,
    policy_version_already_exists,
    policy_version_not_found,
    too_many_shadows,
)
from compliance.tables import POLICY_VERSION
from runtime.logs import get_logger

MAX_SHADOWS = 4

_BUILT_IN = re.compile(r"built-in-(\d+)")

log = get_logger(__name__)


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
    """Stores the built-in policy; in force if nothing is, or an older built-in one.

    A release brings the limits and the regulation of its time; what somebody else brought into
    force stays, and so does the built-in policy of a later release. Raises `RuntimeError` if
    another document has its version: decisions under it could not be replayed.
    """
    document = dumps(built_in)
    in_force = await connection.execute(
        select(POLICY_VERSION.c.policy_version).where(POLICY_VERSION.c.state == "ACTIVE")
    )
    active = in_force.scalar_one_or_none()
    is_first = active is None
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
    if active is not None and _is_newer(built_in.version, active):
        await _replace(connection, active, built_in.version, now)


async def insert_draft(connection: AsyncConnection, policy: Policy, now: datetime) -> StoredPolicy:
    """Stores a version. Raises `POLICY_VERSION_ALREADY_EXISTS`, `MATCH_THRESHOLD_DIFFERS`."""
    in_force = await active_policy(connection)
    if policy.match_threshold != in_force.match_threshold:
        raise match_threshold_differs(in_force.match_threshold)
    document = dumps(policy)
    inserted = await connection.execute(
        upsert(POLICY_VERSION)
        .values(
            policy_version=policy.version,
            state="DRAFT",
            document=document,
            content_hash=hashlib.sha256(document.encode()).digest(),
            create_time=now,
        )
        .on_conflict_do_nothing()
        .returning(POLICY_VERSION.c.ordinal)
    )
    if inserted.one_or_none() is None:
        raise policy_version_already_exists(policy.version)
    return await get_policy(connection, policy.version)


async def activate(
    connection: AsyncConnection, version: str, replaced: str, now: datetime
) -> StoredPolicy:
    """Brings a version into force in place of `replaced`, which is retired.

    Raises `POLICY_REPLACED` if another one is in force, `INVALID_POLICY_STATE` if this one is.
    """
    await _lock(connection)
    stored = await get_policy(connection, version)
    in_force = await active_version(connection)
    if in_force != replaced:
        raise policy_replaced(in_force)
    if stored.state == "ACTIVE":
        raise invalid_policy_state(version, stored.state)
    # There is one at any time, so that the other has to leave first.
    await _set_state(connection, in_force, "RETIRED")
    await _set_state(connection, version, "ACTIVE", activate_time=now)
    log.info("policy_activated", replaced=in_force, policy_version=version)
    return await get_policy(connection, version)


async def make_shadow(connection: AsyncConnection, version: str) -> StoredPolicy:
    """Has a version judge what is decided from now on. Raises `INVALID_POLICY_STATE` of the one in
    force or a shadow, `TOO_MANY_SHADOWS`."""
    await _lock(connection)
    stored = await get_policy(connection, version)
    if stored.state not in ("DRAFT", "RETIRED"):
        raise invalid_policy_state(version, stored.state)
    shadows = select(func.count()).where(POLICY_VERSION.c.state == "SHADOW")
    if (await connection.execute(shadows)).scalar_one() >= MAX_SHADOWS:
        raise too_many_shadows(MAX_SHADOWS)
    await _set_state(connection, version, "SHADOW")
    return await get_policy(connection, version)


async def retire(connection: AsyncConnection, version: str) -> StoredPolicy:
    """Gives up a version. Raises `INVALID_POLICY_STATE` of the one in force or a retired one."""
    await _lock(connection)
    stored = await get_policy(connection, version)
    if stored.state not in ("DRAFT", "SHADOW"):
        raise invalid_policy_state(version, stored.state)
    await _set_state(connection, version, "RETIRED")
    return await get_policy(connection, version)


async def _lock(connection: AsyncConnection) -> None:
    """One change of states at a time."""
    await connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(hashtextextended('policy states', 0))"
    )


async def _set_state(
    connection: AsyncConnection, version: str, state: str, **values: datetime
) -> None:
    await connection.execute(
        update(POLICY_VERSION)
        .where(POLICY_VERSION.c.policy_version == version)
        .values(state=state, **values)
    )


async def _replace(connection: AsyncConnection, old: str, new: str, now: datetime) -> None:
    """Brings `new` into force in place of `old`, unless somebody else did so meanwhile."""
    version = POLICY_VERSION.c.policy_version
    # Releases before this one know no word for "was in force", so that it is a draft again.
    left = await connection.execute(
        update(POLICY_VERSION)
        .where(version == old, POLICY_VERSION.c.state == "ACTIVE")
        .values(state="DRAFT")
    )
    if left.rowcount:
        await connection.execute(
            update(POLICY_VERSION).where(version == new).values(state="ACTIVE", activate_time=now)
        )
        log.info("policy_replaced", replaced=old, policy_version=new)


def _is_newer(version: str, than: str) -> bool:
    """Whether both are built-in policies and the first is of a later release."""
    numbers = [_BUILT_IN.fullmatch(name) for name in (version, than)]
    first, second = (int(found[1]) if found else None for found in numbers)
    return first is not None and second is not None and first > second


async def active_version(connection: AsyncConnection) -> str:
    """The version in force, which there always is."""
    rows = await connection.execute(
        select(POLICY_VERSION.c.policy_version).where(POLICY_VERSION.c.state == "ACTIVE")
    )
    return str(rows.scalar_one())


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
