"""Opens, changes and ends cases in the transaction that writes the decisions which found them."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from prometheus_client import Counter

from compliance.cases.case import CaseChange, CaseEventKind, CaseState, Checked, after_check
from compliance.cases.store import Run, lock_open_cases, write_changes
from compliance.checks.facts import CheckKind
from runtime.clock import Clock

OPENED = Counter("compliance_cases_opened_total", "Cases that a check has opened.", ["kind"])
CLOSED = Counter("compliance_cases_closed_total", "Cases by how they ended.", ["state"])
for _kind in CheckKind:
    OPENED.labels(_kind.value)
for _state in CaseState:
    if _state is not CaseState.OPEN:
        CLOSED.labels(_state.value)


class CaseKeeping:
    """Keeps cases in step with what checks find."""

    def __init__(self, open_for: timedelta, clock: Clock) -> None:
        """A case that nobody decides expires after `open_for`."""
        self._open_for = open_for
        self._clock = clock

    async def keep(self, run: Run, checked: Sequence[Checked]) -> tuple[CaseChange, ...]:
        """Writes down what follows from checks, the last of each movement; what it was.

        Only one transaction at a time opens cases: its caller holds the decision log's lock, or
        only looks at cases that are open.
        """
        last = {(c.scope.movement.kind, c.scope.movement.reference_id): c for c in checked}
        if not last:
            return ()
        cases, rulings = await lock_open_cases(run, sorted(last))
        changes = tuple(
            change
            for movement, found in sorted(last.items(), key=lambda item: item[0])
            for change in after_check(
                cases.get(movement),
                rulings.get(movement, ""),
                found,
                f"case_{uuid.uuid4().hex}",
                self._open_for,
            )
        )
        await write_changes(run, changes, self._clock.now())
        return changes


def count(changes: Sequence[CaseChange]) -> None:
    """Counts what was committed."""
    for change in changes:
        if change.event is CaseEventKind.OPENED:
            OPENED.labels(change.case.scope.movement.kind).inc()
        elif change.event is not None and change.case.state is not CaseState.OPEN:
            CLOSED.labels(change.case.state.value).inc()
