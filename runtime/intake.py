"""Reading requests: how many at a time, how large, for how long, and where they are decoded."""

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol, TypeVar

import grpc

from runtime import memory
from runtime.admission import (
    LARGE_BYTES_IN_HAND,
    OPEN_READS,
    OPERATORS_READS,
    PIECE_READS,
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


class Gate:
    """Lets so many messages be read at a moment, each for no longer than `READ_SECONDS`.

    What asyncio's semaphore and timeout do, for a fifth of the time: every call passes here. One
    timer looks after all.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()
        # Since when each reads, the longest first, and those that were told to stop.
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, context: Any, max_bytes: int) -> bytes | None:
        """The next message of a call; None if there is no more.

        Raises `NoRoomError` if no place is free in time, `SlowRequestError`, and
        `UnfitRequestError` for one that is too large.
        """
        if self._free > 0:
            self._free -= 1
        else:
            await self._turn()
        try:
            data = await self._in_time(context)
        finally:
            self._leave()
        if data is grpc.aio.EOF:
            return None
        if len(data) > max_bytes:
            raise UnfitRequestError(f"has {len(data)} bytes, and may have {max_bytes}")
        message: bytes = data
        return message

    async def only(self, context: Any, max_bytes: int) -> bytes:
        """The message of a call that has one; raises `UnfitRequestError` for none, too."""
        data = await self.read(context, max_bytes)
        if data is None:
            raise UnfitRequestError("is missing")
        return data

    async def _in_time(self, context: Any) -> Any:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "gRPC runs each call in a task"
        self._reading[task] = began = loop.time()
        if self._timer is None:
            self._timer = loop.call_at(began + READ_SECONDS, self._look)
        try:
            return await context.read()
        except asyncio.CancelledError:
            # Unless the caller has gone as well.
            if task in self._late and task.uncancel() <= 0:
                raise SlowRequestError from None
            raise
        finally:
            self._reading.pop(task, None)
            self._late.discard(task)

    def _look(self) -> None:
        """Stops those that have had their time, and comes again when the next will have had it."""
        self._timer = None
        loop = asyncio.get_running_loop()
        due = loop.time() - READ_SECONDS
        while self._reading:
            task, began = next(iter(self._reading.items()))
            if began > due:
                self._timer = loop.call_at(began + READ_SECONDS, self._look)
                return
            del self._reading[task]
            self._late.add(task)
            task.cancel()

    async def _turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(READ_SECONDS):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # It had its turn in the moment in which it was told not to wait any longer.
                self._leave()
            if isinstance(error, TimeoutError):
                raise NoRoomError("requests to read") from None
            raise

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


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
        self._reads, self._operators_reads = Gate(READS), Gate(OPERATORS_READS)
        # Of which the budget lets in a few.
        self._batch_reads = Gate(READS)
        # Of requests in pieces, whose senders may be slow: others do not wait for those.
        self._piece_reads = Gate(PIECE_READS)
        self._tidying: asyncio.TimerHandle | None = None

    async def read(self, method: Sized, context: Any, *, operator: bool) -> tuple[bytes, int]:
        """A request, and how many bytes of the budget it holds: for `done_with`, if there are any.

        Raises `NoRoomError`, `SlowRequestError`, and `UnfitRequestError` for one that is too large.
        """
        if method.batch:
            return await self._read_batch(method, context)
        gate = self._operators_reads if operator else self._reads
        data = await gate.only(context, method.max_bytes)
        if len(data) <= LARGE_REQUEST_BYTES:
            return data, 0
        self.budget.take(len(data))
        return data, len(data)

    async def read_piece(self, method: Sized, context: Any) -> bytes | None:
        """The next piece of a request; None after the last. Raises as `read` does."""
        return await self._piece_reads.read(context, method.max_bytes)

    async def _read_batch(self, method: Sized, context: Any) -> tuple[bytes, int]:
        held = method.max_bytes
        await self.budget.take_in_turn(held)
        try:
            data = await self._batch_reads.only(context, method.max_bytes)
        except BaseException:
            self.budget.give_back(held)
            raise
        # A batch may be small.
        kept = len(data) if len(data) > LARGE_REQUEST_BYTES else 0
        self.budget.give_back(held - kept)
        return data, kept

    @staticmethod
    async def decoded(decode: Callable[[bytes], Request], data: bytes) -> Request:
        """What the bytes of a large request are."""
        this_request_is_large()
        return await beside(decode, data)

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
        self._reads = Gate(OPEN_READS)
        # Of reflection: such streams may rest between two questions, which must not keep others
        # from asking for health.
        self._streamed_reads = Gate(OPEN_READS)
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
            data = await self._reads.only(context, MAX_OPEN_REQUEST_BYTES)
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
            reading = self._streamed_reads.read(context, MAX_OPEN_REQUEST_BYTES)
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
        except NoRoomError as error:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"too many {error.what}")
        except SlowRequestError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the request did not come")
