"""What one commit point of a payment writes, as values: decided from what was last written, to be
written only if that still stands."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from gateway.bookkeeping.facts import Fact
from gateway.bookkeeping.reporting import booking_row
from gateway.bookkeeping.telemetry import trace_parent
from gateway.operations.operation import Operation, OperationKind
from gateway.operations.store import operation_row
from gateway.payments.domain.decision import Decision
from gateway.payments.domain.money_facts import facts_of
from gateway.payments.domain.payment import Change, Payment
from gateway.payments.store.payments import RequestRecord
from gateway.payments.store.rows import event_row, payment_row


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A request with the payment that it makes and the payment's first operation.

    `alone` says that it may only be written while nobody waits in the queue for its corridor.
    """

    request: RequestRecord
    change: Change
    operation: Operation
    now: datetime
    alone: bool = False
    # The row of `routing_decision`, if routing had a say.
    routing: Mapping[str, Any] | None = None

    @property
    def payment_id(self) -> str:
        """The payment that it makes."""
        return self.change.after.id

    @property
    def changes(self) -> tuple[Change, ...]:
        """The one step of a new payment."""
        return (self.change,)


@dataclass(frozen=True, slots=True)
class Progress:
    """What an operation led to: written if the payment is still `before` and the lease ours."""

    before: Payment
    changes: tuple[Change, ...]
    operation: Operation
    now: datetime
    follow_up: Operation | None = None
    # Of whoever decided it: the committer writes in nobody's name.
    trace_parent: str | None = field(default_factory=trace_parent)

    @property
    def payment_id(self) -> str:
        """The payment that it is about."""
        return self.before.id

    @property
    def facts(self) -> list[Fact]:
        """What the ledger shall know of it."""
        return [fact for change in self.changes for fact in facts_of(change, self.now)]


@dataclass(frozen=True, slots=True)
class News:
    """A step without an operation, with its own facts: written if the payment is still `before`."""

    before: Payment
    change: Change
    facts: list[Fact]
    now: datetime
    trace_parent: str | None = field(default_factory=trace_parent)

    @property
    def payment_id(self) -> str:
        """The payment that it is about."""
        return self.before.id

    @property
    def changes(self) -> tuple[Change, ...]:
        """The one step."""
        return (self.change,)


Writes = NewPayment | Progress | News


def is_grouped(decision: Decision) -> bool:
    """Whether all that a decision writes is what a `Progress` has: a refund, the history of a
    card's declines, a bank debit that was paid and what routing said of a failover are written by
    the general path."""
    if decision.operation.kind is OperationKind.REFUND or decision.routing is not None:
        return False
    assert decision.retry is None or any(change.is_decline for change in decision.changes)
    return not any(change.is_decline or change.settles_debit for change in decision.changes)


def encode(parts: Sequence[Writes]) -> str:
    """The parameter of `commit_writes.sql`: each part under its number."""
    return json.dumps(
        [
            {"number": number, **(_new(part) if isinstance(part, NewPayment) else _progress(part))}
            for number, part in enumerate(parts)
        ],
        default=_text_of,
        separators=(",", ":"),
    )


def _new(part: NewPayment) -> dict[str, Any]:
    payment = part.change.after
    return {
        "payment_id": payment.id,
        "request": asdict(part.request),
        "behind_nobody_in": payment.corridor if part.alone else None,
        "payment": payment_row(payment),
        "new_operation": operation_row(part.operation),
        "events": [event_row(part.change)],
        "routing": part.routing,
    }


def _progress(part: Progress | News) -> dict[str, Any]:
    changes = part.changes
    operation = part.operation if isinstance(part, Progress) else None
    follow_up = part.follow_up if isinstance(part, Progress) else None
    return {
        "payment_id": part.before.id,
        "revision": part.before.revision,
        "payment": payment_row(changes[-1].after) if changes else None,
        "operation": operation_row(operation) if operation is not None else None,
        "new_operation": operation_row(follow_up) if follow_up is not None else None,
        "events": [event_row(change) for change in changes],
        "facts": [booking_row(fact, part.now, part.trace_parent) for fact in part.facts],
    }


def _text_of(value: Any) -> str:
    """A value that JSON does not know, as PostgreSQL reads it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds()} seconds"
    assert isinstance(value, bytes), value
    return f"\\x{value.hex()}"
