"""Where what was let through before is kept, and read from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from compliance.checks.canonical import dumps, loads
from compliance.checks.history import CountedPayment, Histories, History, HistoryFacts, Scope
from runtime.arrays import TextArray, texts
from runtime.connections import Connections
from runtime.sql_files import read_sql

READ_HISTORY = read_sql(__file__, "read_history")
_COUNTED, _DECIDED = "COUNTED", "DECIDED"
# Customers and cards come by too seldom, and are short.
MIN_REMEMBERED_CHARACTERS = 1_000
# Of 40 kB each at the most.
MAX_REMEMBERED = 128


@dataclass(frozen=True)
class ReadHistory:
    """What `READ_HISTORY` found."""

    histories: Histories
    # Requests that were decided before.
    decided: frozenset[str]


class RememberedHistories:
    """Long histories that were just written: a merchant's changes with each of its payments, and
    reading it again would take longer than all else of a small batch.

    They are found by the very text that is stored, so that whatever has been written since, by
    whomever, is read as it is.
    """

    def __init__(self) -> None:
        self._by_text: dict[str, History] = {}

    @property
    def count(self) -> int:
        """How many are remembered."""
        return len(self._by_text)

    def dumps(self, history: History) -> str:
        """As it is stored."""
        text = history.dumps()
        if len(text) >= MIN_REMEMBERED_CHARACTERS:
            self._by_text[text] = history
            if len(self._by_text) > MAX_REMEMBERED:
                del self._by_text[next(iter(self._by_text))]
        return text

    def loads(self, text: str) -> History:
        """The inverse of `dumps`. What is read under the log's lock is written anew, as a rule."""
        return self._by_text.pop(text, None) or History.loads(text)


def asked_of(
    payments: Iterable[CountedPayment], request_ids: Sequence[str] = ()
) -> dict[str, TextArray]:
    """What to ask `READ_HISTORY` for, each once and in one order; see `lookups_of`."""
    asked = list(payments)
    keys = sorted({key for payment in asked for key in payment.keys})
    return {
        "scopes": texts([scope.value for scope, _ in keys]),
        "keys": texts([key for _, key in keys]),
        "references": texts(sorted({payment.reference_id for payment in asked})),
        "requests": texts(request_ids),
    }


def read_history_of(
    rows: Iterable[Sequence[Any]], load: Callable[[str], History] = History.loads
) -> ReadHistory:
    """The answer of `READ_HISTORY`; `load` reads what is kept of one."""
    stored: list[tuple[Scope, str, str, History]] = []
    counted: list[CountedPayment] = []
    decided: list[str] = []
    for scope, key, currency_code, content in rows:
        if scope == _DECIDED:
            decided.append(key)
        elif scope == _COUNTED:
            counted.append(loads(content, CountedPayment))
        else:
            stored.append((Scope(scope), key, currency_code, load(content)))
    return ReadHistory(Histories(stored, counted), frozenset(decided))


async def facts_of(
    connections: Connections, payment: CountedPayment | None
) -> tuple[HistoryFacts, ...]:
    """What was let through besides a payment, for whoever only looks."""
    if payment is None:
        return ()
    rows = await connections.fetch(READ_HISTORY, asked_of([payment]))
    return read_history_of(rows).histories.facts_of(payment)


def to_write(histories: Histories, remembered: RememberedHistories) -> dict[str, TextArray]:
    """What `append_decisions.sql` is told of what counts otherwise than before."""
    changes, counted = histories.changes, histories.counted
    return {
        "scopes": texts([scope.value for scope, _, _, _ in changes]),
        "keys": texts([key for _, key, _, _ in changes]),
        "currencies": texts([currency_code for _, _, currency_code, _ in changes]),
        "histories": texts([remembered.dumps(history) for _, _, _, history in changes]),
        "references": texts([payment.reference_id for payment in counted]),
        "payments": texts([dumps(payment) for payment in counted]),
    }
