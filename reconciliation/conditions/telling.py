"""Tells of conditions as of any other break: opened, aged, assigned, watched and ended."""

import json
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.conditions.condition import (
    Changes,
    Condition,
    Identity,
    Told,
    changes,
)
from reconciliation.matching.breaks import sentence
from reconciliation.matching.policy import BreakKind, Policy
from reconciliation.runs import store
from reconciliation.runs.matcher import BEGINNING
from runtime.clock import Clock
from runtime.sql_files import read_sql

_TOLD = read_sql(__file__, "told_conditions")
_WRITE = read_sql(__file__, "write_conditions")
_KEEP_ASSIGNEES = read_sql(__file__, "keep_assignees_of_subjects")


class Conditions:
    """Writes down which conditions have come to hold and which hold no more."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock

    @property
    def policy(self) -> Policy:
        """The ages that it goes by."""
        return self._policy

    async def tell_all(
        self,
        connection: AsyncConnection,
        kinds: Collection[BreakKind],
        corridor: str,
        found: Iterable[Condition],
        subjects: str = "",
    ) -> None:
        """Of these kinds, in this corridor (empty: in all), of subjects that begin so, exactly
        those that were found hold.

        A part of the caller's transaction, of which nothing may wait after it: it takes the lock of
        changes, and so that of events.
        """
        await self._tell(connection, kinds, corridor, found, subjects, is_everything=True)

    async def add(self, connection: AsyncConnection, found: Collection[Condition]) -> None:
        """These hold, until people accept them; the others are left as they are. Part of the
        caller's transaction as `tell_all` is."""
        kinds = {condition.kind for condition in found}
        await self._tell(connection, kinds, "", found, "", is_everything=False)

    async def _tell(
        self,
        connection: AsyncConnection,
        kinds: Collection[BreakKind],
        corridor: str,
        found: Iterable[Condition],
        subjects: str,
        *,
        is_everything: bool,
    ) -> None:
        now = self._clock.now()
        place = await store.lock(connection, BEGINNING)
        told = await _told(connection, kinds, corridor, subjects)
        due = changes(found, told, is_everything=is_everything)
        if not due.begun and not due.ended:
            return
        change = await store.begin_change(
            connection,
            "CONDITION",
            place,
            place.last_ordinal,
            place.due_until,
            self._policy.version,
            now,
        )
        await store.end(connection, change, due.ended)
        added = await self._write(connection, change.number, due)
        if added and due.ended:
            values = {"added": added, "ended": list(due.ended), "now": now}
            await connection.exec_driver_sql(_KEEP_ASSIGNEES, values)
        await store.tell(
            connection,
            change,
            due_before=place.due_until,
            due_until=place.due_until,
            added=added,
            ended=due.ended,
        )

    async def _write(
        self, connection: AsyncConnection, change_number: int, due: Changes
    ) -> list[int]:
        if not due.begun:
            return []
        rows = await connection.exec_driver_sql(
            _WRITE,
            {
                "change_number": change_number,
                "conditions": json.dumps([self._row(condition) for condition in due.begun]),
            },
        )
        return [int(difference_id) for difference_id in rows.scalars()]

    def _row(self, condition: Condition) -> dict[str, Any]:
        ages = self._policy.kinds[condition.kind]
        calendar = self._policy.calendars.of(condition.corridor)
        overdue = condition.overdue or ages.overdue.after(condition.since, calendar)
        return {
            "kind": condition.kind.value,
            "corridor": condition.corridor,
            "subject": condition.subject,
            "amounts": condition.amounts,
            "since": condition.since.isoformat(),
            "due": ages.due.after(condition.since, calendar).isoformat(),
            "overdue": overdue.isoformat(),
            "sentence": sentence(condition.says, condition.amounts, condition.since, ages.action),
        }


async def accepted(
    connection: AsyncConnection, kind: BreakKind, corridor: str, subjects: str
) -> Collection[Identity]:
    """Conditions of a kind and a corridor, of subjects that begin so, that people have accepted."""
    return (await _told(connection, [kind], corridor, subjects)).accepted


async def _told(
    connection: AsyncConnection, kinds: Collection[BreakKind], corridor: str, subjects: str
) -> Told:
    rows = await connection.exec_driver_sql(
        _TOLD,
        {
            "kinds": sorted(kind.value for kind in kinds),
            "corridor": corridor,
            "subjects": subjects,
        },
    )
    holding: dict[Identity, int] = {}
    accepted: set[Identity] = set()
    for row in rows:
        amounts = tuple((code, int(amount)) for code, amount in row.amounts)
        identity = BreakKind(row.kind), row.corridor, row.subject, amounts
        if row.is_accepted:
            accepted.add(identity)
        else:
            holding[identity] = row.difference_id
    return Told(holding, accepted)
