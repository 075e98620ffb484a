"""Writing down what was decided: the payment, its events, its refund and the facts for the books,
all in the caller's one transaction."""

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.bookkeeping.facts import Captured
from gateway.bookkeeping.reporting import debits_moved, enqueue, time_reported
from gateway.bookkeeping.settlement import settled_debit
from gateway.payments.domain.money_facts import facts_of, facts_of_refund
from gateway.payments.domain.payment import CREATED, Change, Payment
from gateway.payments.domain.refund import Refund
from gateway.payments.store import payments as store

TRANSITIONS = Counter(
    "gateway_payment_transitions_total", "Steps of payments by transition.", ["transition"]
)


async def record_new(connection: AsyncConnection, payment: Payment) -> None:
    """Writes a new payment and its first event."""
    await store.add_payment(connection, payment)
    await _add_events(connection, [Change(None, payment, CREATED)])


async def record_changes(
    connection: AsyncConnection, changes: Sequence[Change], now: datetime
) -> None:
    """Writes the steps of one payment, whose row the caller has locked.

    Group commit writes payment, events and facts, and nothing else: what comes on top here is
    named by `writes.is_grouped`.
    """
    if not changes:
        return
    await store.save_payment(connection, changes[-1].after)
    await _add_events(connection, changes)
    for change in changes:
        if change.is_decline:
            await store.add_decline(connection, change.after, now)
        for fact in facts_of(change, now):
            await enqueue(connection, fact, now)
        if change.settles_debit:
            await _settle_debit(connection, change.after, now)


async def _settle_debit(connection: AsyncConnection, payment: Payment, now: datetime) -> None:
    """Books the capture of a bank debit in place of what the balance has shown of it before."""
    for moved in await debits_moved(connection, payment.id):
        if moved.charge_id == payment.charge_id and moved.amount_minor > 0:
            when = payment.capture_time or now
            for fact in settled_debit(moved, payment.currency, payment.captured_minor, when):
                await enqueue(connection, fact, now)


async def captured_time(connection: AsyncConnection, payment: Payment) -> datetime | None:
    """When a payment was captured, as its capture is booked. A release that did not keep it with
    the payment has reported the capture all the same."""
    return payment.capture_time or await time_reported(connection, payment.id, Captured)


async def record_refund(
    connection: AsyncConnection, payment: Payment, before: Refund, after: Refund, now: datetime
) -> None:
    """Writes what became of a refund."""
    if before == after:
        return
    await store.save_refund(connection, after)
    for fact in facts_of_refund(payment, before, after, now):
        await enqueue(connection, fact, now)


async def _add_events(connection: AsyncConnection, changes: Sequence[Change]) -> None:
    await store.add_events(connection, changes)
    count_transitions(changes)


def count_transitions(changes: Sequence[Change]) -> None:
    """Counts steps that were written."""
    for change in changes:
        TRANSITIONS.labels(change.transition).inc()
