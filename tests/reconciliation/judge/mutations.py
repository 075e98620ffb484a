"""Defects that are put into reconciliation to show that the judge sees them.

Each replaces an attribute for the time of a block; it is an error if that is gone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from reconciliation.bank import reader
from reconciliation.bank.lines import item_of
from reconciliation.items.intake import Intake
from reconciliation.items.source import Batch
from reconciliation.matching import breaks, reconciling
from reconciliation.matching.rules import _Matching
from reconciliation.statements.continuity import identity_of
from reconciliation.statements.model import Kind
from tests.reconciliation.judge.product import KilledError

# What is let pass as nearly equal, in minor units.
TOLERANCE = 2_000
# Every so many takes of one that keeps its cursor first it dies in between.
DIES_AT = 3

Patch = tuple[Any, str, Any]


def _tolerance_on_sums() -> Patch:
    """What differs by a little is not told of."""
    original = breaks.differences_of

    def tolerant(*given: Any) -> list[Any]:
        return [
            each
            for each in original(*given)
            if "AMOUNT" not in each.kind or max(abs(n) for _, n in each.amounts) > TOLERANCE
        ]

    return reconciling, "differences_of", tolerant


def _first_candidate() -> Patch:
    """Of several that go together equally well the first is taken."""
    original = _Matching._pair

    def pair(self: Any, edges: Mapping[Any, set[Any]], rule: Any) -> None:
        taken: set[Any] = set()
        chosen: dict[Any, set[Any]] = {}
        for key in sorted(edges):
            free = sorted(other for other in edges[key] if other not in taken)
            if key in taken or not free:
                continue
            taken |= {key, free[0]}
            chosen |= {key: {free[0]}, free[0]: {key}}
        original(self, chosen, rule)

    return _Matching, "_pair", pair


def _cursor_before_data() -> Patch:
    """Where a feed goes on is committed before what came of it."""
    original = Intake.take
    takes: list[Batch] = []

    async def take(self: Any, batch: Batch) -> None:
        await original(self, Batch((), batch.cursor))
        takes.append(batch)
        if len(takes) % DIES_AT == 0:
            raise KilledError
        await original(self, batch)

    return Intake, "take", take


def _pending_lines() -> Patch:
    """Lines of days that are not over are taken as if they were booked."""
    original = reader.Chain.judged

    def judged(self: Any, statement_id: int, statement: Any) -> Any:
        made = original(self, statement_id, statement)
        if statement.kind is Kind.BOOKED:
            return made
        items = [item_of(self.account, e, identity_of(e), 1) for e in statement.entries]
        return replace(made, items=items)

    return reader.Chain, "judged", judged


MUTATIONS: Mapping[str, Callable[[], Patch]] = {
    "tolerance on sums": _tolerance_on_sums,
    "first candidate": _first_candidate,
    "cursor before data": _cursor_before_data,
    "pending lines": _pending_lines,
}


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """The defect of that name, for the time of a block."""
    owner, attribute, value = MUTATIONS[name]()
    with mock.patch.object(owner, attribute, value):
        yield


def seen_in(violations: Iterable[str], words: str) -> bool:
    """Whether a violation says it."""
    return any(words in violation for violation in violations)
