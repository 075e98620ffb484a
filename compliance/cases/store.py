"""Where cases and what happened to them are kept.

Cases are written in two kinds of transaction: that of the decision log, on a session of its own,
and those of operators and loops. Both run the same statements. Events come last in either, since
their place in the sequence holds all others back until the end.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.cases.case import CaseChange, CaseEventKind, CaseState, ReviewCase
from compliance.checks.canonical import dumps, loads, microseconds
from compliance.checks.rulings import RulingFacts, Scope
from compliance.errors import case_not_found
from compliance.tables import CASE_EVENT, REVIEW_CASE, SUBJECT
from runtime.session import Session
from runtime.sql_files import read_sql

_LOCK = read_sql(__file__, "lock_cases")
_LAST_RULINGS = read_sql(__file__, "last_rulings")
_WRITE_CASES = read_sql(__file__, "write_cases")
_WRITE_EVENTS = read_sql(__file__, "write_events")

# Runs a statement with `%(name)s` in it, and gives its rows; those that only write have none.
Run = Callable[[str, Mapping[str, Any]], Awaitable[Sequence[Any]]]

# In this order in `lock_cases.sql`, too.
_COLUMNS = [
    REVIEW_CASE.c[name]
    for name in (
        "case_id",
        "ordinal",
        "state",
        "scope",
        "revision",
        "assignee",
        "first_approver",
        "decision_id",
        "corridor",
        "check_time",
        "open_time",
        "expire_time",
        "close_time",
        "closed_by",
        "close_note",
        "ruling",
    )
]


@dataclass(frozen=True)
class CaseEvent:
    """One thing that happened to a case, with the case as it is when it is read."""

    sequence: int
    case_id: str
    event: CaseEventKind
    revision: int
    scope: Scope | None
    client: str
    note: str
    record_time: datetime


@dataclass(frozen=True)
class CaseFilter:
    """Which cases to list; what is empty or None is no filter. Times are of the opening."""

    state: str = ""
    merchant_id: str = ""
    reference_id: str = ""
    assignee: str = ""
    unassigned: bool = False
    opened_from: datetime | None = None
    opened_before: datetime | None = None


def runs_on(connection: AsyncConnection) -> Run:
    """Runs statements in a transaction of the engine."""

    async def run(statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
        result = await connection.exec_driver_sql(statement, dict(values))
        return result.all() if result.returns_rows else ()

    return run


def runs_in(session: Session, pipeline: psycopg.AsyncPipeline) -> Run:
    """Runs statements on a session of the decision log, in its pipeline."""

    async def run(statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
        cursor = await session.execute(statement.encode(), values)
        # Before that it is not known whether there are rows.
        await pipeline.sync()
        return () if cursor.description is None else await cursor.fetchall()

    return run


async def lock_open_cases(
    run: Run, movements: Sequence[tuple[str, str]]
) -> tuple[dict[tuple[str, str], ReviewCase], dict[tuple[str, str], str]]:
    """By kind and reference: the open cases, locked; and the ids of the last decided ones.

    The second is read after the locks were waited for, so that no decision is missed.
    """
    asked = {
        "kinds": [kind for kind, _ in movements],
        "references": [reference for _, reference in movements],
    }
    cases = [case_of(row) for row in await run(_LOCK, asked)]
    rulings = await run(_LAST_RULINGS, asked)
    return (
        {(case.scope.movement.kind, case.scope.movement.reference_id): case for case in cases},
        {(kind, reference): case_id for kind, reference, case_id in rulings},
    )


async def write_changes(run: Run, changes: Sequence[CaseChange], now: datetime) -> None:
    """Writes cases and their events down. Nothing of the transaction may wait after it."""
    if not changes:
        return
    cases = [_values(place, change.case) for place, change in enumerate(changes)]
    await run(_WRITE_CASES, {"cases": json.dumps(cases)})
    events = [
        {
            "place": place,
            "case_id": change.case.case_id,
            "event": change.event.value,
            "revision": change.case.revision,
            "scope": dumps(change.case.scope) if change.is_new_scope else "",
            "client": change.client,
            "note": change.note,
            "record_time_us": microseconds(now),
        }
        for place, change in enumerate(changes)
        if change.event is not None
    ]
    if events:
        await run(_WRITE_EVENTS, {"events": json.dumps(events)})


async def lock_case(connection: AsyncConnection, case_id: str) -> ReviewCase:
    """The case, locked. Raises `CASE_NOT_FOUND`."""
    rows = await connection.execute(
        select(*_COLUMNS).where(REVIEW_CASE.c.case_id == case_id).with_for_update()
    )
    return _one(rows.one_or_none(), case_id)


async def get_case(connection: AsyncConnection, case_id: str) -> ReviewCase:
    """The case. Raises `CASE_NOT_FOUND`."""
    rows = await connection.execute(select(*_COLUMNS).where(REVIEW_CASE.c.case_id == case_id))
    return _one(rows.one_or_none(), case_id)


async def list_cases(
    connection: AsyncConnection,
    wanted: CaseFilter,
    *,
    newest_first: bool,
    after_ordinal: int | None,
    limit: int,
) -> Sequence[Any]:
    """The rows of cases in the order of their opening, those after `after_ordinal`."""
    column = REVIEW_CASE.c
    order = column.ordinal.desc() if newest_first else column.ordinal
    statement = select(*_COLUMNS).order_by(order).limit(limit)
    for name in ("state", "merchant_id", "reference_id", "assignee"):
        value = getattr(wanted, name)
        if value:
            statement = statement.where(column[name] == value)
    if wanted.unassigned:
        statement = statement.where(column.assignee == "")
    if wanted.opened_from is not None:
        statement = statement.where(column.open_time >= wanted.opened_from)
    if wanted.opened_before is not None:
        statement = statement.where(column.open_time < wanted.opened_before)
    if after_ordinal is not None:
        further = column.ordinal < after_ordinal if newest_first else column.ordinal > after_ordinal
        statement = statement.where(further)
    return (await connection.execute(statement)).all()


async def open_cases_after(connection: AsyncConnection, ordinal: int, limit: int) -> Sequence[Any]:
    """The rows of open cases in the order of their opening."""
    return await list_cases(
        connection,
        CaseFilter(state=CaseState.OPEN),
        newest_first=False,
        after_ordinal=ordinal,
        limit=limit,
    )


async def open_cases_about(
    connection: AsyncConnection, subject_ids: Sequence[str], limit: int
) -> Sequence[Any]:
    """The rows of open cases of these merchants and customers, or of these owners' merchants."""
    parents = select(SUBJECT.c.parent_subject_id).where(
        SUBJECT.c.subject_id == func.any(list(subject_ids)), SUBJECT.c.kind == "OWNER"
    )
    rows = await connection.execute(
        select(*_COLUMNS)
        .where(
            REVIEW_CASE.c.state == CaseState.OPEN.value,
            or_(
                REVIEW_CASE.c.merchant_id == func.any(list(subject_ids)),
                REVIEW_CASE.c.customer_id == func.any(list(subject_ids)),
                REVIEW_CASE.c.merchant_id.in_(parents),
            ),
        )
        .order_by(REVIEW_CASE.c.ordinal)
        .limit(limit)
    )
    return rows.all()


async def lock_overdue(
    connection: AsyncConnection, now: datetime, checked_before: datetime, limit: int
) -> Sequence[Any]:
    """The rows of open cases whose time is over, or that nobody has asked about since, locked;
    those that somebody works on are left to him."""
    rows = await connection.execute(
        select(*_COLUMNS)
        .where(
            REVIEW_CASE.c.state == CaseState.OPEN.value,
            or_(
                REVIEW_CASE.c.expire_time <= now,
                REVIEW_CASE.c.check_time <= checked_before,
            ),
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return rows.all()


async def events_after(
    connection: AsyncConnection, sequence: int, limit: int, case_id: str = ""
) -> Sequence[Any]:
    """The rows of what happened, in order, to one case or to all."""
    statement = (
        select(CASE_EVENT)
        .where(CASE_EVENT.c.sequence > sequence)
        .order_by(CASE_EVENT.c.sequence)
        .limit(limit)
    )
    if case_id:
        statement = statement.where(CASE_EVENT.c.case_id == case_id)
    return (await connection.execute(statement)).all()


async def last_sequence(connection: AsyncConnection) -> int:
    """The last event's place; 0 if there is none."""
    rows = await connection.execute(select(func.coalesce(func.max(CASE_EVENT.c.sequence), 0)))
    return int(rows.scalar_one())


async def sequence_before(connection: AsyncConnection, time: datetime) -> int:
    """The place after which all events are that were recorded at a time or later."""
    rows = await connection.execute(
        select(func.min(CASE_EVENT.c.sequence)).where(CASE_EVENT.c.record_time >= time)
    )
    first = rows.scalar_one()
    return await last_sequence(connection) if first is None else int(first) - 1


async def cases_of(connection: AsyncConnection, case_ids: Sequence[str]) -> Mapping[str, Any]:
    """The rows of these cases, by their ids."""
    rows = await connection.execute(
        select(*_COLUMNS).where(REVIEW_CASE.c.case_id == func.any(list(case_ids)))
    )
    return {row.case_id: row for row in rows}


def _one(row: Any, case_id: str) -> ReviewCase:
    if row is None:
        raise case_not_found(case_id)
    return case_of(row)


def case_of(row: Any) -> ReviewCase:
    """The case of a row. Raises `ValueError` if this version cannot read it."""
    values = dict(zip((column.name for column in _COLUMNS), row, strict=True))
    ruling = values.pop("ruling")
    return ReviewCase(
        state=CaseState(values.pop("state")),
        scope=loads(values.pop("scope"), Scope),
        ruling=None if ruling is None else loads(ruling, RulingFacts),
        **values,
    )


def event_of(row: Any) -> CaseEvent:
    """The event of a row. Raises `ValueError` if this version cannot read it."""
    return CaseEvent(
        sequence=row.sequence,
        case_id=row.case_id,
        event=CaseEventKind(row.event),
        revision=row.revision,
        scope=loads(row.scope, Scope) if row.scope else None,
        client=row.client,
        note=row.note,
        record_time=row.record_time,
    )


def _values(place: int, case: ReviewCase) -> dict[str, Any]:
    movement = case.scope.movement
    return {
        "place": place,
        "case_id": case.case_id,
        "state": case.state.value,
        "kind": movement.kind,
        "reference_id": movement.reference_id,
        "merchant_id": movement.merchant_id,
        "customer_id": movement.customer_id,
        "scope": dumps(case.scope),
        "revision": case.revision,
        "assignee": case.assignee,
        "first_approver": case.first_approver,
        "decision_id": case.decision_id,
        "corridor": case.corridor,
        "check_time_us": microseconds(case.check_time),
        "open_time_us": microseconds(case.open_time),
        "expire_time_us": microseconds(case.expire_time),
        "close_time_us": None if case.close_time is None else microseconds(case.close_time),
        "closed_by": case.closed_by,
        "close_note": case.close_note,
        "ruling": None if case.ruling is None else dumps(case.ruling),
    }
