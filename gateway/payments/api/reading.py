"""Reading payments for answers: with their operations, refunds, place in the queue and bookings."""

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.reporting import PaymentBookings, booking_state, reported
from gateway.errors import database_behind
from gateway.operations import store as operation_store
from gateway.operations.gate import Gate, absent
from gateway.payments.domain.states import PaymentState
from gateway.payments.errors import payment_not_found
from gateway.payments.rendering import (
    add_details,
    declined_attempt_message,
    payment_message,
    refund_message,
)
from gateway.payments.store import payments as store
from gateway.payments.store.queue import queue_position
from gateway.payments.store.snapshot import PaymentSnapshot
from gateway.v1 import payment_pb2, refund_pb2
from runtime.auth import caller
from runtime.rights import READ_ONLY


class PaymentReader:
    """Reads what answers about single payments show."""

    def __init__(self, engine: AsyncEngine, gate: Gate) -> None:
        # Each statement by itself: a read needs no transaction around it.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._gate = gate

    async def read(self, payment_id: str, *, known: bool = False) -> payment_pb2.Payment:
        """The whole payment as it stands now. Raises PAYMENT_NOT_FOUND, or DATABASE_BEHIND if it
        may be lost, as one is that was `known` a moment ago."""
        async with self._engine.connect() as connection:
            payment = await store.get_payment(connection, payment_id)
            if payment is None:
                raise absent(self._gate, payment_not_found(payment_id), known=known)
            operations = await operation_store.operations_of(connection, payment_id)
            refunds = []
            attempts: list[payment_pb2.DeclinedAttempt] = []
            if payment.captured_minor:
                refunds = await store.refunds_of(connection, payment_id)
            if payment.decline_count:
                declined = await store.declined_attempts(connection, payment_id)
                attempts = [declined_attempt_message(attempt) for attempt in declined]
            booked = await booking_state(connection, payment_id)
            # With it, whoever may only read could complete the payment.
            secrets = caller().role not in READ_ONLY
            message = payment_message(payment, secrets=secrets)
            message.declined_attempts.extend(attempts)
            add_details(message, operations, refunds, payment.currency, booked)
            if payment.state is PaymentState.QUEUED:
                message.queue.position = await queue_position(
                    connection, payment.corridor, payment.create_time, payment.id
                )
        return message

    async def changed(self, payment_id: str) -> payment_pb2.Payment:
        """The whole payment after what this call has changed. Raises DATABASE_BEHIND."""
        return await self.read(payment_id, known=True)

    async def read_refund(self, refund_id: str, payment: payment_pb2.Payment) -> refund_pb2.Refund:
        """One refund of the payment, which this call has made. Raises DATABASE_BEHIND if it is
        lost."""
        async with self._engine.connect() as connection:
            refund = await store.get_refund(connection, refund_id)
        if refund is None:
            raise database_behind()
        return refund_message(refund, payment.amount.currency_code)


def snapshot_message(snapshot: PaymentSnapshot) -> payment_pb2.Payment:
    """The whole payment as this process wrote it, just as `read` would have found it then."""
    message = payment_message(snapshot.payment, secrets=True)
    bookings = tuple(reported(fact, time) for fact, time in snapshot.facts)
    operations = list(snapshot.operations.values())
    add_details(message, operations, [], snapshot.payment.currency, PaymentBookings(bookings))
    return message
