"""request_ids: the same id with the same body gets the same answer, with another one a conflict."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import ERRORS
from gateway.identity import fingerprint_at_stripe
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

# The body is lost, so that nobody can say in what it differs.
UNKNOWN_FIELDS = Differences(("body",), 1)


@dataclass(frozen=True, slots=True)
class Command:
    """A request that changes something."""

    request_id: str
    message: Message
    request_ids: RequestIds

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


async def find_request(connection: AsyncConnection, command: Command) -> RequestRecord | None:
    """The same request, if it came before. Raises REQUEST_ID_REUSED if it was another one."""
    known = await store.known_request(connection, command.request_id)
    if known is not None:
        if known.fingerprint is None:
            command.request_ids.check(command.message, known)
        else:
            _check_fingerprint(command, known.method, known.fingerprint)
    return known


def _check_fingerprint(command: Command, method: str, fingerprint: str) -> None:
    """Raises REQUEST_ID_REUSED unless it is the request that Stripe has kept the fingerprint of."""
    if method != method_of(command.message):
        raise request_id_reused(ERRORS, command.request_id, OTHER_METHOD)
    if fingerprint != fingerprint_at_stripe(command.message):
        raise request_id_reused(ERRORS, command.request_id, UNKNOWN_FIELDS)


async def known_request(connection: AsyncConnection, command: Command) -> RequestRecord:
    """The same request, whose id is known to be taken. Raises REQUEST_ID_REUSED."""
    known = await find_request(connection, command)
    assert known is not None, "its id is taken"
    return known
