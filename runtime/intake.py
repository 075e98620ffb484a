"""Reading requests: how many at a time, how large, for how long, and where they are decoded."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol, TypeVar

import grpc

from runtime import memory
from runtime.admission import (
    LARGE_BYTES_IN_HAND,
    OPEN_READS,
    OPERATORS_READS,
    READ_SECONDS,
    READS,
    ByteBudget,
    NoRoomError,
    Quota,
)
from runtime.beside import LARGE_REQUEST_BYTES, beside, this_request_is_large

# Of a request to health or reflection: a name of a service or of a file.
MAX_OPEN_REQUEST_BYTES = 4 * 1024
MAX_OPEN_STREAMS = 256
# After a large request: what it took is free only when gRPC has sent its answer, and others may
# be done with soon.
TIDY_SECONDS = 1.0

_Handler = Any
Request = TypeVar("Request")


class UnfitRequestError(Exception):
    """The bytes of a request that are not looked into; `problem` says why."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class SlowRequestError(TimeoutError):
    """A request that did not come in time."""


async def read_message(
    context: Any, gate: asyncio.Semaphore | None, max_bytes: int
) -> bytes | None:
    """The next message of a call, when the gate lets it be read; None if there is no more.

    Raises `SlowRequestError`, and `UnfitRequestError` for one that is too large.
    """
    try:
        async with asyncio.timeout(READ_SECONDS):
            if gate is None:
                data = await context.read()
            else:
                async with gate:
                    data = await context.read()
    except TimeoutError:
        raise SlowRequestError from None
    if data is grpc.aio.EOF:
        return None
    if len(data) > max_bytes:
        raise UnfitRequestError(f"has {len(data)} bytes, and may have {max_bytes}")
    return bytes(data)


async def _only_message(context: Any, gate: asyncio.Semaphore | None, max_bytes: int) -> bytes:
    data = await read_message(context, gate, max_bytes)
    if data is None:
        raise UnfitRequestError("is missing")
    return data


class Sized(Protocol):
    """What the intake knows of a method."""

    @property
    def max_bytes(self) -> int: ...

    @property
    def batch(self) -> bool: ...


class Intake:
    """What a server is reading, and the large requests that it has in hand."""

    def __init__(self, large_bytes: int = LARGE_BYTES_IN_HAND) -> None:
        self.budget = ByteBudget(large_bytes)
        self._reads = asyncio.Semaphore(READS)
        self._operators_reads = asyncio.Semaphore(OPERATORS_READS)
        self._tidying: asyncio.TimerHandle | None = None

    async def read(self, method: Sized, context: Any, *, operator: bool) -> tuple[bytes, int]:
        """A request, and how many bytes of the budget it holds: for `done_with`, if there are any.

        Raises `NoRoomError`, `SlowRequestError`, and `UnfitRequestError` for one that is too large.
        """
        if method.batch:
            return await self._read_batch(method, context)
        data = await _only_message(
            context, self._operators_reads if operator else self._reads, method.max_bytes
        )
        if len(data) <= LARGE_REQUEST_BYTES:
            return data, 0
        self.budget.take(len(data))
        return data, len(data)

    async def _read_batch(self, method: Sized, context: Any) -> tuple[bytes, int]:
        held = method.max_bytes
        await self.budget.take_in_turn(held)
        try:
            data = await _only_message(context, None, method.max_bytes)
        except BaseException:
            self.budget.give_back(held)
            raise
        # A batch may be small.
        kept = len(data) if len(data) > LARGE_REQUEST_BYTES else 0
        self.budget.give_back(held - kept)
        return data, kept

    async def decoded(self, decode: Callable[[bytes], Request], data: bytes) -> Request:
        """What the bytes are."""
        if len(data) > LARGE_REQUEST_BYTES:
            this_request_is_large()
        return await beside(decode, data, size=len(data))

    def done_with(self, held: int) -> None:
        """A large request is answered."""
        self.budget.give_back(held)
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(TIDY_SECONDS, self._tidy)

    def _tidy(self) -> None:
        self._tidying = None
        # Without the interpreter, and beside the event loop: it takes some milliseconds.
        asyncio.get_running_loop().run_in_executor(None, memory.give_back)

    def close(self) -> None:
        """Ends what works beside the event loop."""
        if self._tidying is not None:
            self._tidying.cancel()


class OpenMethods:
    """Health and reflection, which everybody with a certificate may call: little is read of them,
    and little at a time, so that whoever has no other rights takes nothing from those who have."""

    def __init__(self) -> None:
        self._reads = asyncio.Semaphore(OPEN_READS)
        # Of reflection: such streams may rest between two questions, which must not keep others
        # from asking for health.
        self._streamed_reads = asyncio.Semaphore(OPEN_READS)
        self._streams = Quota("calls to health and reflection", MAX_OPEN_STREAMS)

    def wrap(self, handler: _Handler) -> _Handler:
        """The handler, with bounds."""
        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        return make(self._bounded(handler), None, handler.response_serializer)

    def _bounded(self, handler: _Handler) -> Any:
        if handler.request_streaming:
            behavior = handler.stream_stream or handler.stream_unary
        else:
            behavior = handler.unary_stream or handler.unary_unary

        async def argument(context: Any) -> Any:
            if handler.request_streaming:
                return self._requests(handler, context)
            data = await _only_message(context, self._reads, MAX_OPEN_REQUEST_BYTES)
            return handler.request_deserializer(data)

        async def call(_requests: Any, context: Any) -> Any:
            try:
                self._streams.enter(operator=False)
            except NoRoomError as error:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"too many {error.what}")
            try:
                return await behavior(await self._or_abort(argument(context), context), context)
            finally:
                self._streams.leave()

        async def stream(_requests: Any, context: Any) -> AsyncIterator[Any]:
            try:
                self._streams.enter(operator=False)
            except NoRoomError as error:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"too many {error.what}")
            try:
                given = await self._or_abort(argument(context), context)
                async for response in behavior(given, context):
                    yield response
            finally:
                self._streams.leave()

        return stream if inspect.isasyncgenfunction(behavior) else call

    async def _requests(self, handler: _Handler, context: Any) -> AsyncIterator[Any]:
        while True:  # Until the caller has no more to ask.
            reading = read_message(context, self._streamed_reads, MAX_OPEN_REQUEST_BYTES)
            data = await self._or_abort(reading, context)
            if data is None:
                return
            yield handler.request_deserializer(data)

    @staticmethod
    async def _or_abort(reading: Any, context: Any) -> Any:
        try:
            return await reading
        except UnfitRequestError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the request {error.problem}")
        except SlowRequestError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the request did not come")
