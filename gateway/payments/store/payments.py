"""Payments, refunds, declines and requests in the database. Every function runs on the caller's
connection, inside the caller's transaction; whoever changes a payment locks its row first."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, insert, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ids import RequestMetadata
from gateway.payments.domain.decline_retries import DeclinedAttempt
from gateway.payments.domain.payment import Change, Decline, Payment
from gateway.payments.domain.refund import Refund
from gateway.payments.domain.retry_policy import MAX_ATTEMPTS
from gateway.payments.domain.states import PaymentState
from gateway.payments.domain.stripe_params import CAPTURE
from gateway.payments.store.rows import event_row, payment_of, payment_row, refund_of, refund_row
from gateway.payments.store.schema import (
    DECLINE,
    DISPUTE,
    EVENT,
    FIXED_OF_PAYMENT,
    PAYMENT,
    REFUND,
    REQUEST,
    ROUTING_DECISION,
    ROUTING_FAILOVER,
    ROUTING_RETRY,
)

# More than a payment can have: those made outside the engine come on top.
MAX_REFUNDS = 1_000
# Disputes in these states leave it to Stripe's balance whether the payment can be refunded.
REFUNDABLE_DISPUTES = ("WARNING_NEEDS_RESPONSE", "WARNING_UNDER_REVIEW", "WARNING_CLOSED", "WON")


# The requests that a PaymentIntent carries.
_CARRIED = {"": "CreatePaymentRequest", CAPTURE: "CapturePaymentRequest"}


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request_id, the body it came with, and what it led to."""

    request_id: str
    method: str
    body: bytes
    create_time: datetime
    payment_id: str | None = None
    operation_id: str | None = None
    refund_id: str | None = None
    refusal: Mapping[str, Any] | None = None
    # Of a request that is known from what Stripe keeps of it: its body is lost.
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """Which payments to list; what is None or empty matches all."""

    merchant_id: str = ""
    customer_id: str = ""
    state: PaymentState | None = None
    create_time_from: datetime | None = None
    create_time_to: datetime | None = None


async def remember_request(connection: AsyncConnection, record: RequestRecord) -> bool:
    """Writes the request down; False if its id is taken (another's commit is waited for)."""
    statement = (
        upsert(REQUEST)
        .values(
            request_id=record.request_id,
            method=record.method,
            body=record.body,
            payment_id=record.payment_id,
            operation_id=record.operation_id,
            refund_id=record.refund_id,
            refusal=record.refusal,
            fingerprint=record.fingerprint,
            create_time=record.create_time,
        )
        .on_conflict_do_nothing()
        .returning(REQUEST.c.request_id)
    )
    return (await connection.execute(statement)).first() is not None


async def remember_carried_requests(
    connection: AsyncConnection,
    carrier: Mapping[str, Any],
    payment_id: str,
    now: datetime,
    refund_id: str | None = None,
) -> bool:
    """Writes down the requests that a PaymentIntent or a refund of Stripe's carries, where the
    database has lost them: then they get their first outcome again. Whether one had been lost."""
    metadata: Mapping[str, str] = carrier.get("metadata") or {}
    lost = False
    methods = _CARRIED if refund_id is None else {"": "RefundPaymentRequest"}
    for what, method in methods.items():
        request_metadata = RequestMetadata.read(metadata, what)
        if request_metadata is not None and request_metadata.request_id:
            record = RequestRecord(
                request_metadata.request_id,
                method,
                body=b"",
                create_time=now,
                payment_id=payment_id,
                refund_id=refund_id,
                fingerprint=request_metadata.fingerprint,
            )
            lost |= await remember_request(connection, record)
    return lost


async def known_request(connection: AsyncConnection, request_id: str) -> RequestRecord | None:
    """The request that was written down under this id."""
    row = (
        await connection.execute(select(REQUEST).where(REQUEST.c.request_id == request_id))
    ).first()
    return RequestRecord(**row._mapping) if row is not None else None


async def add_payment(connection: AsyncConnection, payment: Payment) -> None:
    """Inserts a new payment."""
    await connection.execute(insert(PAYMENT), payment_row(payment))


async def add_routing_decision(connection: AsyncConnection, record: Mapping[str, Any]) -> None:
    """Inserts the record of where a new payment is charged, and why."""
    await connection.execute(upsert(ROUTING_DECISION).on_conflict_do_nothing(), dict(record))


async def add_routing_failover(connection: AsyncConnection, record: Mapping[str, Any]) -> None:
    """Inserts the record of where a payment goes on that was not charged, and why."""
    await connection.execute(upsert(ROUTING_FAILOVER).on_conflict_do_nothing(), dict(record))


async def add_routing_retry(connection: AsyncConnection, record: Mapping[str, Any]) -> None:
    """Inserts the record of when a declined payment is tried again, and why."""
    await connection.execute(upsert(ROUTING_RETRY).on_conflict_do_nothing(), dict(record))


async def save_payment(connection: AsyncConnection, payment: Payment) -> None:
    """Writes what can change of a payment whose row the caller has locked."""
    row = {
        name: value for name, value in payment_row(payment).items() if name not in FIXED_OF_PAYMENT
    }
    await connection.execute(update(PAYMENT).where(PAYMENT.c.id == payment.id).values(row))


async def get_payment(connection: AsyncConnection, payment_id: str) -> Payment | None:
    """The payment as it stands."""
    row = (await connection.execute(select(PAYMENT).where(PAYMENT.c.id == payment_id))).first()
    return payment_of(row) if row is not None else None


async def lock_payment(connection: AsyncConnection, payment_id: str) -> Payment | None:
    """The payment, locked until the transaction ends."""
    statement = select(PAYMENT).where(PAYMENT.c.id == payment_id).with_for_update()
    row = (await connection.execute(statement)).first()
    return payment_of(row) if row is not None else None


async def payment_id_of_intent(connection: AsyncConnection, payment_intent_id: str) -> str | None:
    """The payment that a PaymentIntent belongs to, if we know already."""
    statement = select(PAYMENT.c.id).where(PAYMENT.c.payment_intent_id == payment_intent_id)
    found: str | None = (await connection.execute(statement)).scalar()
    return found


async def payment_of_intent(connection: AsyncConnection, payment_intent_id: str) -> Payment | None:
    """The payment that a PaymentIntent belongs to as it stands, if we know already."""
    statement = select(PAYMENT).where(
        PAYMENT.c.payment_intent_id == payment_intent_id, PAYMENT.c.payment_intent_id != ""
    )
    row = (await connection.execute(statement)).first()
    return payment_of(row) if row is not None else None


async def list_payments(
    connection: AsyncConnection,
    wanted: PaymentFilter,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Payment]:
    """Payments, newest first, beginning after the position."""
    conditions = [
        PAYMENT.c[name] == value
        for name, value in (
            ("merchant_id", wanted.merchant_id),
            ("customer_id", wanted.customer_id),
        )
        if value
    ]
    if wanted.state:
        # As a literal, for the index of rare states: a plan for any state cannot use it.
        conditions.append(PAYMENT.c.state == literal(wanted.state, literal_execute=True))
    if wanted.create_time_from is not None:
        conditions.append(PAYMENT.c.create_time >= wanted.create_time_from)
    if wanted.create_time_to is not None:
        conditions.append(PAYMENT.c.create_time < wanted.create_time_to)
    if after is not None:
        conditions.append(tuple_(PAYMENT.c.create_time, PAYMENT.c.id) < tuple_(*after))
    statement = (
        select(PAYMENT)
        .where(and_(True, *conditions))
        .order_by(PAYMENT.c.create_time.desc(), PAYMENT.c.id.desc())
        .limit(limit)
    )
    return [payment_of(row) for row in await connection.execute(statement)]


async def lock_payment_to_wake(
    connection: AsyncConnection, now: datetime, passed_over: Sequence[str] = ()
) -> str | None:
    """A payment whose state ends by time and that nobody else looks at, locked; its id."""
    statement = (
        select(PAYMENT.c.id)
        .where(
            PAYMENT.c.wake_time <= now,
            # No time ends this one: it is looked at, by `lock_payment_to_look_at`.
            PAYMENT.c.state != PaymentState.PROCESSING,
            PAYMENT.c.id.not_in(passed_over),
        )
        .order_by(PAYMENT.c.wake_time)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found: str | None = (await connection.execute(statement)).scalar()
    return found


async def lock_payment_to_look_at(connection: AsyncConnection, now: datetime) -> Payment | None:
    """The payment that is PROCESSING and has been due to be looked at for longest, locked; one
    that nobody else looks at."""
    statement = (
        select(PAYMENT)
        .where(PAYMENT.c.wake_time <= now, PAYMENT.c.state == PaymentState.PROCESSING)
        .order_by(PAYMENT.c.wake_time)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await connection.execute(statement)).first()
    return payment_of(row) if row is not None else None


async def set_next_look(connection: AsyncConnection, payment_id: str, wake_time: datetime) -> None:
    """When to look next at a payment, if it still is PROCESSING. That is no step of it."""
    await connection.execute(
        update(PAYMENT)
        .where(PAYMENT.c.id == payment_id, PAYMENT.c.state == PaymentState.PROCESSING)
        .values(wake_time=wake_time)
    )


async def add_refund(connection: AsyncConnection, refund: Refund) -> None:
    """Inserts a new refund of a payment that the caller has locked."""
    await connection.execute(insert(REFUND), refund_row(refund))


async def save_refund(connection: AsyncConnection, refund: Refund) -> None:
    """Writes a refund of a payment that the caller has locked."""
    await connection.execute(
        update(REFUND).where(REFUND.c.id == refund.id).values(refund_row(refund))
    )


async def get_refund(connection: AsyncConnection, refund_id: str) -> Refund | None:
    """The refund as it stands."""
    row = (await connection.execute(select(REFUND).where(REFUND.c.id == refund_id))).first()
    return refund_of(row) if row is not None else None


async def refund_of_stripe(connection: AsyncConnection, stripe_refund_id: str) -> Refund | None:
    """The refund that one of Stripe's is, if we know already."""
    statement = select(REFUND).where(REFUND.c.stripe_refund_id == stripe_refund_id)
    row = (await connection.execute(statement)).first()
    return refund_of(row) if row is not None else None


async def refunds_of(connection: AsyncConnection, payment_id: str) -> list[Refund]:
    """A payment's refunds in the order in which they were asked for."""
    statement = (
        select(REFUND)
        .where(REFUND.c.payment_id == payment_id)
        .order_by(REFUND.c.create_time, REFUND.c.id)
        .limit(MAX_REFUNDS)
    )
    return [refund_of(row) for row in await connection.execute(statement)]


async def is_charged_back(connection: AsyncConnection, payment_id: str) -> bool:
    """Whether a dispute of the payment is open or lost: neither an inquiry nor one that was won."""
    statement = select(DISPUTE.c.state).where(
        DISPUTE.c.payment_id == payment_id, DISPUTE.c.state.not_in(REFUNDABLE_DISPUTES)
    )
    return (await connection.execute(statement.limit(1))).first() is not None


async def count_refunds(connection: AsyncConnection, payment_id: str) -> int:
    """How many refunds a payment has."""
    statement = select(func.count()).where(REFUND.c.payment_id == payment_id)
    return (await connection.execute(statement)).scalar_one()


async def add_events(connection: AsyncConnection, changes: Sequence[Change]) -> None:
    """Appends the steps of one payment, each with the payment as it was after it."""
    await connection.execute(insert(EVENT), [event_row(change) for change in changes])


# No network allows as many in any window, so more need not be counted.
MAX_COUNTED = 1_000
# The attempts that a client may ask for, and those with the customer there again.
MAX_SHOWN = 10 * MAX_ATTEMPTS


async def add_decline(connection: AsyncConnection, payment: Payment, now: datetime) -> None:
    """Writes down the decline that a payment just had."""
    assert payment.decline is not None, "it was declined"
    await connection.execute(
        insert(DECLINE).values(
            payment_id=payment.id,
            attempt=payment.decline_count,
            corridor=payment.corridor,
            payment_method=payment.payment_method,
            card_fingerprint=payment.decline.card_fingerprint,
            charge_id=payment.charge_id,
            decline=asdict(payment.decline),
            decline_time=now,
        )
    )


async def decline_times(
    connection: AsyncConnection, payment: Payment, since: datetime
) -> list[datetime]:
    """When the payment's card was declined, for any payment: by its fingerprint, or by its token
    where Stripe told none. The newest come first."""
    assert payment.decline is not None, "it was declined"
    fingerprint = payment.decline.card_fingerprint
    same_card = DECLINE.c.payment_method == payment.payment_method
    if fingerprint:
        same_card = or_(same_card, DECLINE.c.card_fingerprint == fingerprint)
    statement = (
        select(DECLINE.c.decline_time)
        .where(same_card, DECLINE.c.corridor == payment.corridor, DECLINE.c.decline_time > since)
        .order_by(DECLINE.c.decline_time.desc())
        .limit(MAX_COUNTED)
    )
    return list((await connection.execute(statement)).scalars())


async def declined_attempts(connection: AsyncConnection, payment_id: str) -> list[DeclinedAttempt]:
    """A payment's refused authorisations, in order."""
    statement = (
        select(DECLINE)
        .where(DECLINE.c.payment_id == payment_id)
        .order_by(DECLINE.c.decline_number)
        .limit(MAX_SHOWN)
    )
    return [
        DeclinedAttempt(row.attempt, row.charge_id, Decline(**row.decline), row.decline_time)
        for row in await connection.execute(statement)
    ]
