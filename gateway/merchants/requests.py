"""Requests that change something at Stripe: written down before, answered the same ever after."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from sqlalchemy import Select, Table, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.merchants.errors import ERRORS, request_id_reused
from gateway.merchants.store import REQUEST
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
    subject_id: str
    answer: bytes | None
    create_time: datetime

    def key_is_fresh(self, now: datetime) -> bool:
        """Whether Stripe is sure to know the key still, if it ever saw it."""
        return now - self.create_time < KEY_HORIZON


class RequestBook:
    """A table of requests: merchant_request, or one of its shape.

    `personal_fields` are compared but not kept. Finding a request raises REQUEST_ID_REUSED if its
    id stands for another request, and the first failure again if that was decided.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        table: Table = REQUEST,
        subject_column: str = "merchant_id",
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._table = table
        self._subject_column = subject_column

    async def find(
        self, method: str, request: AnyMessage, *, personal_fields: Sequence[str] = ()
    ) -> StoredRequest | None:
        """The request, if it was written down before."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(self._written(request))).one_or_none()
        return self._stored(row, method, request, personal_fields) if row is not None else None

    async def begin(
        self,
        method: str,
        request: AnyMessage,
        *,
        subject_id: str,
        personal_fields: Sequence[str] = (),
    ) -> StoredRequest:
        """Writes the request down, or finds it."""
        kept = _without(request, personal_fields)
        statement = (
            insert_or_ignore(self._table)
            .values(
                {
                    "request_id": kept.request_id,
                    "method": method,
                    "body": kept.SerializeToString(deterministic=True),
                    "fingerprint": fingerprint(request),
                    "idempotency_key": f"gw-{uuid.uuid4().hex}",
                    self._subject_column: subject_id,
                    "create_time": self._clock.now(),
                }
            )
            .on_conflict_do_nothing(index_elements=["request_id"])
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)
            row = (await connection.execute(self._written(request))).one()
        return self._stored(row, method, request, personal_fields)

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
            update(self._table)
            .where(self._table.c.request_id == request_id, self._table.c.answer_time.is_(None))
            .values(answer_time=self._clock.now(), **values)
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    def _written(self, request: Any) -> Select[Any]:
        return select(self._table).where(self._table.c.request_id == request.request_id)

    def _stored(
        self, row: Any, method: str, request: AnyMessage, personal_fields: Sequence[str]
    ) -> StoredRequest:
        if row.method != method:
            raise request_id_reused(row.request_id, ["method"])
        if row.fingerprint != fingerprint(request):
            before = type(request)()
            before.ParseFromString(row.body)
            # Where what is kept is equal, the difference is in what is not.
            differing = differing_fields(before, _without(request, personal_fields))
            raise request_id_reused(row.request_id, differing or list(personal_fields))
        if row.failure is not None:
            raise _failure_of(row.failure)
        return StoredRequest(
            request_id=row.request_id,
            idempotency_key=row.idempotency_key,
            subject_id=getattr(row, self._subject_column),
            answer=row.answer,
            create_time=row.create_time,
        )


def _without(request: Any, fields: Sequence[str]) -> Any:
    kept = type(request)()
    kept.CopyFrom(request)
    for field in fields:
        kept.ClearField(field)
    return kept


def _failure_of(values: dict[str, Any]) -> ServiceError:
    return ServiceError(
        grpc.StatusCode[values["code"]],
        values["reason"],
        values["message"],
        domain=ERRORS.name,
        metadata=values["metadata"],
    )
