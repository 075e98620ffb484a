"""The commit points of a payment, as the process that runs it hands them to the committer."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.ids import derived_id
from gateway.operations import store as operation_store
from gateway.operations.operation import Operation, OperationState, decided, sent
from gateway.payments.domain.check_outcome import authorization
from gateway.payments.domain.commands import check_operation
from gateway.payments.domain.payment import CREATED, Change, Payment, take
from gateway.payments.domain.states import Transition
from gateway.payments.store import payments as store
from gateway.payments.store.payments import RequestRecord
from gateway.payments.store.schema import EVENT
from gateway.payments.store.writes import NewPayment, Progress
from tests.gateway.payments.test_states import new_payment

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LEASE = timedelta(seconds=45)


def new(**values: Any) -> NewPayment:
    """What CreatePayment writes for a new payment."""
    payment_id = derived_id("pay", uuid.uuid4().hex)
    alone = values.pop("alone", False)
    payment = new_payment(**{"id": payment_id, "request_id": payment_id, **values})
    operation = check_operation(
        payment, derived_id("op", uuid.uuid4().hex), NOW, timedelta(minutes=10)
    )
    operation = replace(sent(operation, NOW), lease_until=NOW + LEASE, fencing_token=1)
    record = RequestRecord(payment.request_id, "CreatePaymentRequest", b"\x00\xff", NOW, payment_id)
    return NewPayment(record, Change(None, payment, CREATED), operation, NOW, alone=alone)


def allowed(begun: NewPayment) -> Progress:
    """What follows when compliance has allowed it: with a hold for the books."""
    payment = begun.change.after
    first = take(payment, Transition.COMPLIANCE_ALLOWED, NOW)
    follow_up = authorization(first.after, derived_id("op", uuid.uuid4().hex), NOW)
    follow_up = replace(follow_up, lease_until=NOW + LEASE, fencing_token=1)
    second = take(first.after, Transition.AUTHORIZATION_STARTED, NOW, hold_id=follow_up.id)
    ended = decided(begun.operation, OperationState.SUCCEEDED, NOW)
    return Progress(payment, (first, second), ended, NOW, follow_up)


def captured(progress: Progress) -> Progress:
    """What follows when Stripe has charged."""
    payment = progress.changes[-1].after
    assert progress.follow_up is not None
    change = take(
        payment,
        Transition.CAPTURED,
        NOW,
        authorized_minor=payment.amount_minor,
        captured_minor=payment.amount_minor,
        payment_intent_id=f"pi_{payment.id}",
        charge_id=f"ch_{payment.id}",
        hold_id="",
    )
    ended = decided(progress.follow_up, OperationState.SUCCEEDED, NOW)
    return Progress(payment, (change,), ended, NOW)


async def stored(engine: AsyncEngine, payment_id: str) -> tuple[Payment | None, list[Operation]]:
    async with engine.connect() as connection:
        payment = await store.get_payment(connection, payment_id)
        return payment, await operation_store.operations_of(connection, payment_id)


async def transitions(engine: AsyncEngine, payment_id: str) -> list[str]:
    statement = select(EVENT.c.transition).where(EVENT.c.payment_id == payment_id)
    async with engine.connect() as connection:
        rows = await connection.execute(statement.order_by(EVENT.c.event_number))
        return list(rows.scalars())
