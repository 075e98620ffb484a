"""Requests that change something at Stripe: written down before, answered the same ever after."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.merchants.errors import ERRORS, request_id_reused
from gateway.merchants.schema import REQUEST
from runtime.clock import Clock
from runtime.errors import ServiceError
from runtime.messages import differing_fields, fingerprint

# Stripe may forget an idempotency key after 24 hours: with less than an hour left to that, a key
# is not sent again. https://docs.stripe.com/api/idempotent_requests
KEY_HORIZON = timedelta(hours=23)

AnyMessage = TypeVar("AnyMessage", bound=Message)


@dataclass(frozen=True)
class StoredRequest:
    """A request as it was first written down."""

    request_id: str
    idempotency_key: str
    merchant_id: str
    answer: bytes | None
    create_time: datetime

    def key_is_fresh(self, now: datetime) -> bool:
        """Whether Stripe is sure to know the key still, if it ever saw it."""
        return now - self.create_time < KEY_HORIZON


class RequestBook:
    """The table merchant_request."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def begin(
        self,
        method: str,
        request: AnyMessage,
        *,
        merchant_id: str,
        personal_fields: Sequence[str] = (),
    ) -> StoredRequest:
        """Writes the request down, or finds it.

        `personal_fields` are compared but not kept. Raises REQUEST_ID_REUSED if the request_id
        stands for another request, and the first failure again if that was decided.
        """
        kept: Any = type(request)()
        kept.CopyFrom(request)
        for field in personal_fields:
            kept.ClearField(field)
        request_id: str = kept.request_id
        statement = (
            insert_or_ignore(REQUEST)
            .values(
                request_id=request_id,
                method=method,
                body=kept.SerializeToString(deterministic=True),
                fingerprint=fingerprint(request),
                idempotency_key=f"gw-{uuid.uuid4().hex}",
                merchant_id=merchant_id,
                create_time=self._clock.now(),
            )
            .on_conflict_do_nothing(index_elements=["request_id"])
        )
        written = select(REQUEST).where(REQUEST.c.request_id == request_id)
        async with self._engine.begin() as connection:
            await connection.execute(statement)
            row = (await connection.execute(written)).one()
        if row.method != method:
            raise request_id_reused(request_id, ["method"])
        if row.fingerprint != fingerprint(request):
            before = type(request)()
            before.ParseFromString(row.body)
            # Where what is kept is equal, the difference is in what is not.
            raise request_id_reused(
                request_id, differing_fields(before, kept) or list(personal_fields)
            )
        if row.failure is not None:
            raise _failure_of(row.failure)
        return StoredRequest(
            request_id=request_id,
            idempotency_key=row.idempotency_key,
            merchant_id=row.merchant_id,
            answer=row.answer,
            create_time=row.create_time,
        )

    async def answer(self, request_id: str, answer: Message) -> None:
        """Keeps the answer; the first one stands."""
        await self._settle(request_id, answer=answer.SerializeToString(deterministic=True))

    async def fail(self, request_id: str, failure: ServiceError) -> None:
        """Keeps a failure that is decided for good; the first one stands."""
        values = {
            "code": failure.code.name,
            "reason": failure.reason,
            "message": failure.message,
            "metadata": failure.metadata,
        }
        await self._settle(request_id, failure=values)

    async def _settle(self, request_id: str, **values: Any) -> None:
        statement = (
            update(REQUEST)
            .where(REQUEST.c.request_id == request_id, REQUEST.c.answer_time.is_(None))
            .values(answer_time=self._clock.now(), **values)
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)


def _failure_of(values: dict[str, Any]) -> ServiceError:
    return ServiceError(
        grpc.StatusCode[values["code"]],
        values["reason"],
        values["message"],
        domain=ERRORS.name,
        metadata=values["metadata"],
    )
