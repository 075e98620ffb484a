"""request_ids: the same id with the same body gets the same answer, with another one a conflict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import ERRORS
from gateway.identity import fingerprint_at_stripe
from gateway.payments.domain.payment import Payment
from gateway.payments.store import payments as store
from gateway.payments.store.payments import RequestRecord
from gateway.payments.store.snapshot import PaymentSnapshot
from runtime.idempotency import (
    OTHER_METHOD,
    Differences,
    RequestIds,
    encoded,
    method_of,
    request_id_reused,
)

# Gives a request the one form of all that mean the same for a payment: what is at a default that
# the payment decides is left out. What `Validator.canonicalise` is for the others.
Settle = Callable[[Message, Payment], Message]

# The body is lost, so that nobody can say in what it differs.
UNKNOWN_FIELDS = Differences(("body",), 1)


@dataclass(frozen=True, slots=True)
class Command:
    """A request that changes something."""

    request_id: str
    message: Message
    request_ids: RequestIds
    settle: Settle | None = None

    def about(self, payment: Payment) -> "Command":
        """The command with the request in the form that it has for its payment."""
        if self.settle is None:
            return self
        return replace(self, message=self.settle(self.message, payment))

    def settled(self, kept: RequestRecord, payment: Payment) -> RequestRecord:
        """What was kept of a request of the same method, in the same form: a payment that has
        gone on since may decide otherwise than it did then."""
        if self.settle is None or kept.method != method_of(self.message):
            return kept
        first = type(self.message).FromString(kept.body)
        return replace(kept, body=encoded(self.settle(first, payment)))

    def record(
        self,
        payment_id: str,
        now: datetime,
        *,
        operation_id: str | None = None,
        refund_id: str | None = None,
        refusal: Mapping[str, Any] | None = None,
    ) -> RequestRecord:
        """The request and what it led to, as it is kept for good."""
        return RequestRecord(
            request_id=self.request_id,
            method=method_of(self.message),
            body=encoded(self.message),
            create_time=now,
            payment_id=payment_id,
            operation_id=operation_id,
            refund_id=refund_id,
            refusal=refusal,
        )


@dataclass(frozen=True, slots=True)
class Done:
    """What a command led to: the payment, the refund if it made one, and the payment's snapshot if
    an answer can be told from it."""

    payment_id: str
    refund_id: str | None = None
    snapshot: PaymentSnapshot | None = None


async def find_request(
    connection: AsyncConnection, command: Command, payment: Payment | None = None
) -> RequestRecord | None:
    """The same request, if it came before; `payment` is the one that it names. Raises
    REQUEST_ID_REUSED if it was another one."""
    known = await store.known_request(connection, command.request_id)
    if known is not None:
        if known.fingerprint is None:
            kept = known if payment is None else command.settled(known, payment)
            command.request_ids.check(command.message, kept)
        else:
            _check_fingerprint(command, known.method, known.fingerprint)
    return known


def _check_fingerprint(command: Command, method: str, fingerprint: str) -> None:
    """Raises REQUEST_ID_REUSED unless it is the request that Stripe has kept the fingerprint of."""
    if method != method_of(command.message):
        raise request_id_reused(ERRORS, command.request_id, OTHER_METHOD)
    if fingerprint != fingerprint_at_stripe(command.message):
        raise request_id_reused(ERRORS, command.request_id, UNKNOWN_FIELDS)


async def known_request(
    connection: AsyncConnection, command: Command, payment: Payment | None = None
) -> RequestRecord:
    """The same request, whose id is known to be taken. Raises REQUEST_ID_REUSED."""
    known = await find_request(connection, command, payment)
    assert known is not None, "its id is taken"
    return known
