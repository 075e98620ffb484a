"""Where what was let through before is kept, and read from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from compliance.checks.canonical import dumps, loads
from compliance.checks.history import CountedPayment, Histories, History, HistoryFacts, Scope
from runtime.connections import Connections
from runtime.sql_files import read_sql

READ_HISTORY = read_sql(__file__, "read_history")
_COUNTED, _DECIDED = "COUNTED", "DECIDED"


@dataclass(frozen=True)
class ReadHistory:
    """What `READ_HISTORY` found."""

    histories: Histories
    # Requests that were decided before.
    decided: frozenset[str]


def asked_of(
    payments: Iterable[CountedPayment], request_ids: Sequence[str] = ()
) -> dict[str, list[str]]:
    """What to ask `READ_HISTORY` for, each once and in one order."""
    asked = list(payments)
    keys = sorted({key for payment in asked for key in payment.keys})
    return {
        "scopes": [scope.value for scope, _ in keys],
        "keys": [key for _, key in keys],
        "references": sorted({payment.reference_id for payment in asked}),
        "requests": list(request_ids),
    }


def read_history_of(rows: Iterable[Sequence[Any]]) -> ReadHistory:
    """The answer of `READ_HISTORY`."""
    stored: list[tuple[Scope, str, str, History]] = []
    counted: list[CountedPayment] = []
    decided: list[str] = []
    for scope, key, currency_code, content in rows:
        if scope == _DECIDED:
            decided.append(key)
        elif scope == _COUNTED:
            counted.append(loads(content, CountedPayment))
        else:
            stored.append((Scope(scope), key, currency_code, History.loads(content)))
    return ReadHistory(Histories(stored, counted), frozenset(decided))


async def facts_of(
    connections: Connections, payment: CountedPayment | None
) -> tuple[HistoryFacts, ...]:
    """What was let through besides a payment, for whoever only looks."""
    if payment is None:
        return ()
    rows = await connections.fetch(READ_HISTORY, asked_of([payment]))
    return read_history_of(rows).histories.facts_of(payment)


def to_write(histories: Histories) -> dict[str, list[str]]:
    """What `append_decisions.sql` is told of what counts otherwise than before."""
    changes, counted = histories.changes, histories.counted
    return {
        "scopes": [scope.value for scope, _, _, _ in changes],
        "keys": [key for _, key, _, _ in changes],
        "currencies": [currency_code for _, _, currency_code, _ in changes],
        "histories": [history.dumps() for _, _, _, history in changes],
        "references": [payment.reference_id for payment in counted],
        "payments": [dumps(payment) for payment in counted],
    }
