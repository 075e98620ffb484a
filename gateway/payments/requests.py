"""request_ids: the same id with the same body gets the same answer, with another one a conflict."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.payments.store import payments as store
from gateway.payments.store.payments import RequestRecord
from gateway.payments.store.snapshot import PaymentSnapshot
from runtime.idempotency import RequestIds, encoded, method_of


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
        command.request_ids.check(command.message, known)
    return known


async def known_request(connection: AsyncConnection, command: Command) -> RequestRecord:
    """The same request, whose id is known to be taken. Raises REQUEST_ID_REUSED."""
    known = await find_request(connection, command)
    assert known is not None, "its id is taken"
    return known
