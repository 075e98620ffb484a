"""Reads the decision log and recomputes its chain."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.checks.canonical import loads
from compliance.checks.decision import DecisionRecord
from compliance.checks.decision_log import Place
from compliance.checks.messages import LoggedDecision
from compliance.errors import decision_not_found
from compliance.tables import DECISION

FIRST_PREVIOUS_HASH = bytes(32)
VERIFY_PAGE = 500

_COLUMNS = [
    DECISION.c[name]
    for name in ("sequence", "decision_id", "record", "request", "kind", "previous_hash", "hash")
]


@dataclass(frozen=True)
class Verification:
    """What verifying a part of the log found; `first_broken` is 0 if nothing is."""

    first_broken: int
    last_sequence: int
    last_hash: bytes
    complete: bool


def chain_hash(previous_hash: bytes, request: bytes, record: str) -> bytes:
    """A decision's hash: SHA-256 over previous hash, SHA-256 of the request, and record."""
    return hashlib.sha256(
        previous_hash + hashlib.sha256(request).digest() + record.encode()
    ).digest()


async def decision_of_request(connection: AsyncConnection, request_id: str) -> LoggedDecision:
    """The decision of a request, which has to exist."""
    rows = await connection.execute(select(*_COLUMNS).where(DECISION.c.request_id == request_id))
    return _logged(rows.mappings().one())


async def get_decision(connection: AsyncConnection, decision_id: str) -> LoggedDecision:
    """The decision. Raises `DECISION_NOT_FOUND`."""
    rows = await connection.execute(select(*_COLUMNS).where(DECISION.c.decision_id == decision_id))
    row = rows.mappings().one_or_none()
    if row is None:
        raise decision_not_found(decision_id)
    return _logged(row)


async def list_decisions(
    connection: AsyncConnection,
    filters: Mapping[str, str],
    *,
    from_us: int | None,
    until_us: int | None,
    before_sequence: int | None,
    limit: int,
) -> list[LoggedDecision]:
    """Decisions, the newest first; times are microseconds since 1970, the second exclusive."""
    statement = select(*_COLUMNS).order_by(DECISION.c.sequence.desc()).limit(limit)
    for name, value in filters.items():
        statement = statement.where(DECISION.c[name] == value)
    if from_us is not None:
        statement = statement.where(DECISION.c.record_time_us >= from_us)
    if until_us is not None:
        statement = statement.where(DECISION.c.record_time_us < until_us)
    if before_sequence is not None:
        statement = statement.where(DECISION.c.sequence < before_sequence)
    rows = await connection.execute(statement)
    return [_logged(row) for row in rows.mappings()]


async def decisions_after(
    connection: AsyncConnection, sequence: int, limit: int
) -> list[tuple[int, str]]:
    """Sequences and records of the decisions that follow."""
    rows = await connection.execute(
        select(DECISION.c.sequence, DECISION.c.record)
        .where(DECISION.c.sequence > sequence)
        .order_by(DECISION.c.sequence)
        .limit(limit)
    )
    return [(row.sequence, row.record) for row in rows]


async def verify(connection: AsyncConnection, first: int, limit: int) -> Verification:
    """Recomputes the hashes of at most `limit` decisions from `first` on, and their links."""
    expected = first
    previous = await _hash_before(connection, first)
    for start in range(0, limit, VERIFY_PAGE):
        size = min(VERIFY_PAGE, limit - start)
        rows = await connection.execute(
            select(*_COLUMNS)
            .where(DECISION.c.sequence >= expected)
            .order_by(DECISION.c.sequence)
            .limit(size)
        )
        page = [_logged(row) for row in rows.mappings()]
        for logged in page:
            if previous is None or not _is_whole(logged, expected, previous):
                return Verification(expected, expected - 1, previous or b"", complete=False)
            previous = logged.place.hash
            expected += 1
        if len(page) < size:
            return _sound(first, expected, previous, complete=True)
    rest = await connection.execute(
        select(DECISION.c.sequence).where(DECISION.c.sequence >= expected).limit(1)
    )
    return _sound(first, expected, previous, complete=rest.one_or_none() is None)


def _sound(first: int, expected: int, last: bytes | None, *, complete: bool) -> Verification:
    found = expected > first
    return Verification(0, expected - 1 if found else 0, (last or b"") if found else b"", complete)


async def _hash_before(connection: AsyncConnection, sequence: int) -> bytes | None:
    if sequence <= 1:
        return FIRST_PREVIOUS_HASH
    rows = await connection.execute(
        select(DECISION.c.hash).where(DECISION.c.sequence == sequence - 1)
    )
    found = rows.scalar_one_or_none()
    return None if found is None else bytes(found)


def _is_whole(logged: LoggedDecision, expected: int, previous: bytes) -> bool:
    place = logged.place
    return (
        place.sequence == expected
        and place.previous_hash == previous
        and place.hash == chain_hash(previous, logged.body, logged.record)
    )


def _logged(row: Any) -> LoggedDecision:
    return LoggedDecision(
        Place(row["sequence"], bytes(row["previous_hash"]), bytes(row["hash"])),
        row["decision_id"],
        row["record"],
        bytes(row["request"]),
        row["kind"],
    )


def record_of(logged: LoggedDecision) -> DecisionRecord:
    """What was decided, as the rules see it."""
    return loads(logged.record, DecisionRecord)
