"""What clients saw of a ledger: every request with when it was first sent and what it came to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1.transaction_pb2 import Transaction


@dataclass
class Call:
    """One request until its answer, retries included. Times are of this process's monotonic clock.

    `answer` is a message, or the failure that the ledger decided on; None if none ever came.
    """

    request: Any
    first_sent: float
    answered: float = float("inf")
    answer: Any = None

    @property
    def request_id(self) -> str:
        return str(self.request.request_id)


@dataclass
class History:
    """All calls in the order they ended, and what each watcher was brought, in its order."""

    calls: list[Call] = field(default_factory=list)
    watched: list[list[Transaction]] = field(default_factory=list)


def acknowledged(call: Call) -> Iterator[tuple[int, Transaction]]:
    """The transactions that an answer says are made, each with its position in the request."""
    if isinstance(call.answer, Transaction):
        yield 0, call.answer
    elif isinstance(call.answer, mutations.BatchCreateTransactionsResponse):
        for position, result in enumerate(call.answer.results):
            if result.HasField("transaction"):
                yield position, result.transaction


def asked_ids(calls: Sequence[Call]) -> set[str]:
    """The request_ids that clients gave to transactions, of batches those of their items."""
    ids: set[str] = set()
    for call in calls:
        if isinstance(call.request, mutations.BatchCreateTransactionsRequest):
            ids |= {item.request_id for item in call.request.items}
        else:
            ids.add(call.request_id)
    return ids - {""}
