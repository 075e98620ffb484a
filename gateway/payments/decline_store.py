"""Declines in the database: the attempts of a payment, and what the networks count per card."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.payments.payment import Decline, Payment
from gateway.payments.retry_policy import MAX_ATTEMPTS
from gateway.payments.retrying import DeclinedAttempt
from gateway.payments.schema import DECLINE

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
