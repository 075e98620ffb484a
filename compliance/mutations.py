"""Mutations that happen once for each `request_id`, whatever is sent again."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.errors import ERRORS, request_id_reused
from compliance.tables import MUTATION
from runtime.clock import Clock
from runtime.errors import ServiceError
from runtime.idempotency import differences

R = TypeVar("R", bound=Message)
Action = Callable[[AsyncConnection], Awaitable[R]]

# What an answer decided for good; anything else may go well when it is sent again.
_DECIDED = frozenset(
    {
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED,
    }
)
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Mutations:
    """Runs mutations in a transaction with the record of their answer."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def run(self, method: str, request: Any, response_type: type[R], action: Action[R]) -> R:
        """The answer of `action`, or the one given to the same request before.

        Two calls with one request_id at a time: the second waits for the first to commit. Raises
        what `action` raised, the first time and every time after if it was decided.
        """
        async with self._engine.begin() as connection:
            # The lock ends with the transaction, when the record is there for the next one to see.
            await connection.exec_driver_sql(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
                (f"{method}/{request.request_id}",),
            )
            before = await connection.execute(
                select(MUTATION.c.request, MUTATION.c.response, MUTATION.c.failure).where(
                    MUTATION.c.method == method, MUTATION.c.request_id == request.request_id
                )
            )
            row = before.one_or_none()
            if row is not None:
                return _repeat(request, row.request, row.response, row.failure, response_type)
            try:
                async with connection.begin_nested():
                    response = await action(connection)
            except ServiceError as error:
                if error.code not in _DECIDED:
                    raise
                failure = error
            else:
                await self._record(connection, method, request, response=response)
                return response
            status = failure.to_status()
            await self._record(connection, method, request, failure=status)
        raise failure

    async def _record(
        self,
        connection: AsyncConnection,
        method: str,
        request: Any,
        *,
        response: Message | None = None,
        failure: Message | None = None,
    ) -> None:
        await connection.execute(
            insert(MUTATION).values(
                method=method,
                request_id=request.request_id,
                request=request.SerializeToString(deterministic=True),
                response=None if response is None else response.SerializeToString(),
                failure=None if failure is None else failure.SerializeToString(),
                record_time=self._clock.now(),
            )
        )


def _repeat(
    request: Any, first: bytes, response: bytes | None, failure: bytes | None, kind: type[R]
) -> R:
    stored = type(request).FromString(first)
    if differing := differences(stored, request):
        raise request_id_reused(request.request_id, differing)
    if failure is not None:
        raise _failure(failure)
    answer = kind()
    answer.ParseFromString(response or b"")
    return answer


def _failure(stored: bytes) -> ServiceError:
    status = status_pb2.Status.FromString(stored)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    return ServiceError(
        _CODES[status.code],
        info.reason,
        status.message,
        domain=ERRORS.name,
        metadata=dict(info.metadata),
    )
