"""What happens to every call before and after its handler.

In this order: the caller's name and rights, whether there is room, reading the request, its size,
the decoding, the validation rules, the deadline; then the handler; then its error as a status.
Handlers only see requests that are whole, allowed and in their canonical form, and may answer with
a message or with the bytes of one.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from prometheus_client import Counter, Histogram

from runtime import deadline
from runtime.acts import ActLog, act_of, is_act
from runtime.admission import MAX_REQUEST_BYTES, NoRoomError, Quota
from runtime.auth import Gatekeeper, caller
from runtime.database_errors import DATABASE_IS_GONE
from runtime.draining import Drain
from runtime.durability_watch import DurabilityWatch, NotSynchronousError
from runtime.errors import STATUS_DETAILS_KEY, ErrorDomain, FieldViolation, ServiceError
from runtime.intake import Intake, OpenMethods, UnfitRequestError
from runtime.logs import get_logger, place_of
from runtime.rights import Bounds, Rights, Role
from runtime.telemetry import current_trace_id, new_trace_id
from runtime.validation import Validator
from runtime.wire import undecodable_field

CALLS = Counter("rpc_calls_total", "RPCs by method and gRPC code.", ["method", "code"])
CALL_SECONDS = Histogram(
    "rpc_call_seconds",
    "Time from the request's arrival to its answer; streams are not observed.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
# After which a call that met a full or broken server may come again.
RETRY_DELAY = timedelta(seconds=1)

# How long a request in pieces may take, with its answer, where the caller has set no deadline.
MAX_UPLOAD_SECONDS = 300.0

# What grpc hands around is typed by request and response, which differ by method.
_Handler = Any

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Method:
    """One method of ours, and how large a request of it may be."""

    path: str
    request: Any
    """The descriptor of its request."""
    max_bytes: int = MAX_REQUEST_BYTES
    batch: bool = False
    """Whether requests are large as a rule: room is taken for one before it is read."""

    @property
    def names(self) -> tuple[str, str]:
        """The service's full name and the method's."""
        _, service, method = self.path.split("/")
        return service, method


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of our own services; health's and reflection's are bounded alone.

    To gRPC every method is one that streams its requests: of such a call nothing is read until its
    handler asks for it.
    """

    def __init__(
        self,
        *,
        errors: ErrorDomain,
        validator: Validator,
        gatekeeper: Gatekeeper,
        rights: Rights,
        acts: ActLog | None,
        bounds: Bounds | None,
        durability: DurabilityWatch | None,
        methods: Iterable[Method],
        default_timeout_seconds: float,
        max_concurrent_calls: int,
        max_concurrent_streams: int,
        drain: Drain,
    ) -> None:
        self._errors = errors
        self._validator = validator
        self._gatekeeper = gatekeeper
        self._rights = rights
        self._acts = acts
        self._bounds = bounds
        self._durability = durability
        self._methods = {method.path: method for method in methods}
        for path in self._methods:
            # There before the first: an increase from nothing is none.
            CALLS.labels(path, "INTERNAL")
        self._default_timeout_seconds = default_timeout_seconds
        self._calls = Quota("calls in flight", max_concurrent_calls)
        self._streams = Quota("streams", max_concurrent_streams)
        self._intake = Intake()
        self._open = OpenMethods()
        self._drain = drain
        self._wrapped: dict[str, _Handler] = {}

    def close(self) -> None:
        """Ends what works beside the event loop."""
        self._intake.close()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        path = handler_call_details.method
        wrapped = self._wrapped.get(path)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            method = self._methods.get(path)
            wrapped = self._open.wrap(handler) if method is None else self._wrap(method, handler)
            self._wrapped[path] = wrapped
        return wrapped

    def _wrap(self, method: Method, handler: _Handler) -> _Handler:
        serialize: Callable[[Any], bytes] = handler.response_serializer

        def serialize_unless_encoded(response: Message | bytes) -> bytes:
            return response if type(response) is bytes else serialize(response)

        parse: Callable[[bytes], Message] = handler.request_deserializer
        if handler.request_streaming:
            assert not handler.response_streaming, "no method of ours streams both ways"
            return grpc.stream_unary_rpc_method_handler(
                self._upload(method, parse, handler.stream_unary), None, serialize_unless_encoded
            )
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(method, parse, handler.unary_stream), None, serialize
            )
        return grpc.stream_unary_rpc_method_handler(
            self._unary(method, parse, handler.unary_unary), None, serialize_unless_encoded
        )

    def _durable(self, method: Method, behavior: Any) -> Any:
        """The same, refused while what it writes is on no standby and has to be; so is the answer
        that it gives, when that was found meanwhile. A failure is an answer, too."""
        service, name = method.names
        rule = self._rights.get(service, {}).get(name)
        durability = self._durability
        if durability is None or not durability.required or rule is None or not rule.changes:
            return behavior

        async def durable(request: Any, context: Any) -> Any:
            durability.check()
            try:
                answer = await behavior(request, context)
            except ServiceError:
                durability.check()
                raise
            durability.check()
            return answer

        return durable

    def _kept(self, method: Method, behavior: Any) -> Any:
        """The same, with acts of operators written down before they are done."""
        service, name = method.names
        rule = self._rights.get(service, {}).get(name)
        acts = self._acts
        if acts is None or rule is None or not rule.changes:
            return behavior

        async def kept(request: Any, context: Any) -> Any:
            who = caller()
            if not is_act(who, rule):
                return await behavior(request, context)
            async with acts.act(act_of(who, f"{service}/{name}", request, rule)):
                return await behavior(request, context)

        return kept

    def _unary(self, method: Method, parse: Callable[[bytes], Message], behavior: Any) -> Any:
        path = method.path
        implemented = inspect.iscoroutinefunction(behavior)
        decode = self._decoder(method, parse, implemented=implemented)
        behavior = self._durable(method, self._kept(method, behavior))
        seconds = CALL_SECONDS.labels(path)
        answered = CALLS.labels(path, "OK")
        calls, intake, admit = self._calls, self._intake, self._gatekeeper.admit
        bounds = self._bounds
        service, name = method.names

        async def call(_requests: Any, context: Any) -> Any:
            started = time.perf_counter()
            entered, held = False, 0
            try:
                who = admit(context, service, name)
                is_operator = who.role is Role.OPERATOR
                calls.enter(operator=is_operator)
                entered = True
                data, held = await intake.read(method, context, operator=is_operator)
                request = await intake.decoded(decode, data) if held else decode(data)
                data = b""
                if who.bound_to is not None and bounds is not None:
                    await bounds.check(path, request, who.bound_to)
                left = context.time_remaining()
                if left is not None:
                    # gRPC itself ends a call at its deadline.
                    with deadline.within(left):
                        response = await behavior(request, context)
                else:
                    async with asyncio.timeout(self._default_timeout_seconds):
                        with deadline.within(self._default_timeout_seconds):
                            response = await behavior(request, context)
            except Exception as error:  # noqa: BLE001 (every failure becomes a status)
                await self._fail(path, context, error)
            else:
                answered.inc()
                return response
            finally:
                if held:
                    intake.done_with(held)
                if entered:
                    calls.leave()
                seconds.observe(time.perf_counter() - started)

        return call

    def _stream(self, method: Method, parse: Callable[[bytes], Message], behavior: Any) -> Any:
        path = method.path
        decode = self._decoder(method, parse, implemented=inspect.isasyncgenfunction(behavior))
        streams, intake, admit = self._streams, self._intake, self._gatekeeper.admit
        bounds = self._bounds
        service, name = method.names

        async def call(_requests: Any, context: Any) -> AsyncIterator[Any]:
            entered, held = False, 0
            try:
                who = admit(context, service, name)
                is_operator = who.role is Role.OPERATOR
                streams.enter(operator=is_operator)
                entered = True
                data, held = await intake.read(method, context, operator=is_operator)
                request = await intake.decoded(decode, data) if held else decode(data)
                if who.bound_to is not None and bounds is not None:
                    await bounds.check(path, request, who.bound_to)
                with deadline.within(context.time_remaining()):
                    async for response in self._drain.until(behavior(request, context)):
                        yield response
                if self._drain.begun:
                    raise self._errors.runtime_error(  # noqa: TRY301
                        grpc.StatusCode.UNAVAILABLE,
                        "DEPENDENCY_UNAVAILABLE",
                        "this server is stopping; resume the stream at another",
                        metadata={"dependency": "server"},
                        retry_delay=RETRY_DELAY,
                    )
            except Exception as error:  # noqa: BLE001 (every failure becomes a status)
                await self._fail(path, context, error)
            else:
                CALLS.labels(path, "OK").inc()
            finally:
                if held:
                    intake.done_with(held)
                if entered:
                    streams.leave()

        return call

    def _upload(self, method: Method, parse: Callable[[bytes], Message], behavior: Any) -> Any:
        """Of a request that comes in pieces, each of which is checked by itself. By the first one
        the act is known; the handler is given all of them."""
        path = method.path
        decode = self._decoder(method, parse, implemented=inspect.iscoroutinefunction(behavior))
        streams, intake, admit = self._streams, self._intake, self._gatekeeper.admit
        bounds = self._bounds
        service, name = method.names

        async def call(_requests: Any, context: Any) -> Any:
            entered = False

            async def pieces(first: Message) -> AsyncIterator[Message]:
                yield first
                while (data := await intake.read_piece(method, context)) is not None:
                    yield decode(data)

            async def whole(first: Message, context: Any) -> Any:
                return await behavior(pieces(first), context)

            try:
                who = admit(context, service, name)
                streams.enter(operator=who.role is Role.OPERATOR)
                entered = True
                data = await intake.read_piece(method, context)
                if data is None:
                    raise UnfitRequestError("is missing")  # noqa: TRY301
                first = decode(data)
                if who.bound_to is not None and bounds is not None:
                    await bounds.check(path, first, who.bound_to)
                left = context.time_remaining()
                # gRPC itself ends a call at its deadline.
                async with asyncio.timeout(None if left is not None else MAX_UPLOAD_SECONDS):
                    with deadline.within(MAX_UPLOAD_SECONDS if left is None else left):
                        kept = self._durable(method, self._kept(method, whole))
                        response = await kept(first, context)
            except Exception as error:  # noqa: BLE001 (every failure becomes a status)
                await self._fail(path, context, error)
            else:
                CALLS.labels(path, "OK").inc()
                return response
            finally:
                if entered:
                    streams.leave()

        return call

    def _decoder(
        self, method: Method, parse: Callable[[bytes], Message], *, implemented: bool
    ) -> Callable[[bytes], Message]:
        """What makes a request of its bytes, whole and in its canonical form, or raises."""
        service, name = method.names

        def decode(data: bytes) -> Message:
            try:
                request = parse(data)
            except DecodeError:
                violations = [FieldViolation(*undecodable_field(data, method.request))]
            else:
                violations = self._validator.prepare(request)
            if violations:
                first = violations[0]
                raise self._errors.runtime_error(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    "INVALID_REQUEST",
                    f"{first.field or 'the request'} {first.description}",
                    violations=violations,
                )
            if not implemented:
                raise self._errors.runtime_error(
                    grpc.StatusCode.UNIMPLEMENTED,
                    "UNIMPLEMENTED",
                    f"{service}/{name} is not implemented yet",
                    metadata={"method": f"{service}/{name}"},
                )
            return request

        return decode

    async def _fail(self, path: str, context: Any, error: Exception) -> None:
        """Answers the call with the error; always raises."""
        if isinstance(error, grpc.aio.AbortError):
            CALLS.labels(path, "ABORTED_BY_HANDLER").inc()
            raise error
        answer = error if isinstance(error, ServiceError) else self._translate(path, error)
        CALLS.labels(path, answer.code.name).inc()
        status = answer.to_status()
        details = ((STATUS_DETAILS_KEY, status.SerializeToString()),)
        await context.abort(answer.code, status.message, trailing_metadata=details)

    def _translate(self, path: str, error: Exception) -> ServiceError:
        if isinstance(error, NoRoomError):
            return self._errors.runtime_error(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "OVERLOADED",
                f"this server has too many {error.what}",
                retry_delay=RETRY_DELAY,
            )
        if isinstance(error, NotSynchronousError):
            return self._errors.runtime_error(
                grpc.StatusCode.UNAVAILABLE,
                "PRIMARY_NOT_SYNCHRONOUS",
                "no standby has what is written now, and one has to; send the same request again",
                metadata={
                    "durability": error.statement.durability,
                    "cause": error.statement.cause or "",
                },
                retry_delay=RETRY_DELAY,
            )
        if isinstance(error, UnfitRequestError):
            return self._errors.runtime_error(
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_REQUEST",
                f"the request {error.problem}",
                violations=[FieldViolation("", error.problem)],
            )
        if isinstance(error, TimeoutError):
            return self._errors.runtime_error(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                "DEPENDENCY_UNAVAILABLE",
                "the call did not finish in time; send the same request again",
                retry_delay=RETRY_DELAY,
            )
        if isinstance(error, DATABASE_IS_GONE):
            log.warning("database_unavailable", method=path, error_type=type(error).__name__)
            return self._errors.runtime_error(
                grpc.StatusCode.UNAVAILABLE,
                "DEPENDENCY_UNAVAILABLE",
                "the database cannot be reached; send the same request again",
                metadata={"dependency": "database"},
                retry_delay=RETRY_DELAY,
            )
        # The caller learns a trace id and nothing else; what went wrong is in our log. The
        # message of a database error quotes the row, which may name a person, so that it
        # stays out of the log, too: the type and the lines of code are what is needed.
        trace_id = current_trace_id() or new_trace_id()
        log.error("unexpected_error", method=path, answered_trace_id=trace_id, **place_of(error))
        return self._errors.runtime_error(
            grpc.StatusCode.INTERNAL,
            "INTERNAL",
            f"internal error, trace {trace_id}",
            metadata={"trace_id": trace_id},
        )
