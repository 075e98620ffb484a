"""Mutations that happen once for each `request_id`, whatever is sent again: kept in one table of a
service, in the transaction of what they change."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from runtime.clock import Clock
from runtime.errors import ServiceError
from runtime.idempotency import RequestIds, encoded, method_of

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


class Mutations:
    """Runs mutations in a transaction with the record of their answer."""

    def __init__(
        self, engine: AsyncEngine, table: Table, request_ids: RequestIds, clock: Clock
    ) -> None:
        """`table` has the columns method, request_id, request, response, failure, record_time; the
        first two are its key."""
        self._engine = engine
        self._table = table
        self._request_ids = request_ids
        self._clock = clock

    async def run(self, request: Any, response_type: type[R], action: Action[R]) -> R:
        """The answer of `action`, or the one given to the same request before.

        Two calls with one request_id at a time: the second waits for the first to commit. Raises
        what `action` raised, the first time and every time after if it was decided.
        """
        service, methods = _service_of(request)
        column = self._table.c
        async with self._engine.begin() as connection:
            # The lock ends with the transaction, when the record is there for the next one to see.
            await connection.exec_driver_sql(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
                (f"{service}/{request.request_id}",),
            )
            before = await connection.execute(
                select(
                    column.method, column.request.label("body"), column.response, column.failure
                ).where(column.method.in_(methods), column.request_id == request.request_id)
            )
            row = before.one_or_none()
            if row is not None:
                self._request_ids.check(request, row)
                return _answer(row.response, row.failure, response_type)
            try:
                async with connection.begin_nested():
                    response = await action(connection)
            except ServiceError as error:
                if error.code not in _DECIDED:
                    raise
                failure = error
            else:
                await self._record(connection, request, response=response)
                return response
            await self._record(connection, request, failure=failure.to_status())
        raise failure

    async def _record(
        self,
        connection: AsyncConnection,
        request: Any,
        *,
        response: Message | None = None,
        failure: Message | None = None,
    ) -> None:
        await connection.execute(
            insert(self._table).values(
                method=method_of(request),
                request_id=request.request_id,
                request=encoded(request),
                response=None if response is None else response.SerializeToString(),
                failure=None if failure is None else failure.SerializeToString(),
                record_time=self._clock.now(),
            )
        )


def _service_of(request: Message) -> tuple[str, list[str]]:
    """The gRPC service that takes such requests, in which their ids are unique, and its methods.

    Rows of older builds have the method's name instead of its request's.
    """
    (service,) = request.DESCRIPTOR.file.services_by_name.values()
    methods = [name for m in service.methods for name in (m.name, m.input_type.name)]
    return service.full_name, methods


def _answer(response: bytes | None, failure: bytes | None, kind: type[R]) -> R:
    if failure is not None:
        raise ServiceError.from_status(status_pb2.Status.FromString(failure))
    answer = kind()
    answer.ParseFromString(response or b"")
    return answer
