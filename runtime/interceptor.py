"""What happens to every call before and after its handler.

In this order: the caller's name, the decoding, the validation rules, the deadline; then the
handler; then its error as a status. Handlers only see requests that are whole, allowed and in
their canonical form, and may answer with a message or with the bytes of one.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from prometheus_client import Counter, Histogram

from runtime import deadline
from runtime.auth import Gatekeeper
from runtime.database_errors import DATABASE_IS_GONE
from runtime.draining import Drain
from runtime.errors import STATUS_DETAILS_KEY, ErrorDomain, FieldViolation, ServiceError
from runtime.logs import get_logger, place_of
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

# What grpc hands around is typed by request and response, which differ by method.
_Handler = Any

log = get_logger(__name__)


@dataclass(frozen=True)
class _Undecodable:
    """A request that its type could not be parsed from."""

    field: str
    description: str


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of our own services; health and reflection pass untouched."""

    def __init__(
        self,
        *,
        errors: ErrorDomain,
        validator: Validator,
        gatekeeper: Gatekeeper,
        request_types: Mapping[str, Any],
        default_timeout_seconds: float,
        max_concurrent_calls: int,
        drain: Drain,
    ) -> None:
        """`request_types` maps each method's path (`/ledger.v1.LedgerService/GetLedger`) to
        the descriptor of its request."""
        self._errors = errors
        self._validator = validator
        self._gatekeeper = gatekeeper
        self._request_types = request_types
        for path in request_types:
            # There before the first: an increase from nothing is none.
            CALLS.labels(path, "INTERNAL")
        self._default_timeout_seconds = default_timeout_seconds
        self._max_concurrent_calls = max_concurrent_calls
        self._concurrent_calls = 0
        self._drain = drain
        self._wrapped: dict[str, _Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        path = handler_call_details.method
        if path not in self._request_types:
            return await continuation(handler_call_details)
        wrapped = self._wrapped.get(path)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            wrapped = self._wrapped[path] = self._wrap(path, handler)
        return wrapped

    def _wrap(self, path: str, handler: _Handler) -> _Handler:
        descriptor = self._request_types[path]
        parse: Callable[[bytes], Message] = handler.request_deserializer

        def parse_or_explain(data: bytes) -> Message | _Undecodable:
            try:
                return parse(data)
            except DecodeError:
                return _Undecodable(*undecodable_field(data, descriptor))

        serialize: Callable[[Any], bytes] = handler.response_serializer

        def serialize_unless_encoded(response: Message | bytes) -> bytes:
            return response if type(response) is bytes else serialize(response)

        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(path, handler.unary_stream),
                parse_or_explain,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(path, handler.unary_unary),
            parse_or_explain,
            serialize_unless_encoded,
        )

    def _unary(self, path: str, behavior: Any) -> Any:
        implemented = inspect.iscoroutinefunction(behavior)
        seconds = CALL_SECONDS.labels(path)
        answered = CALLS.labels(path, "OK")

        async def call(request: Any, context: Any) -> Any:
            started = time.perf_counter()
            self._concurrent_calls += 1
            try:
                self._admit(path, request, context, implemented=implemented)
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
                self._concurrent_calls -= 1
                seconds.observe(time.perf_counter() - started)

        return call

    def _stream(self, path: str, behavior: Any) -> Any:
        implemented = inspect.isasyncgenfunction(behavior)

        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            self._concurrent_calls += 1
            try:
                self._admit(path, request, context, implemented=implemented)
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
                self._concurrent_calls -= 1

        return call

    def _admit(self, path: str, request: Any, context: Any, *, implemented: bool) -> None:
        _, service, method = path.split("/")
        if self._concurrent_calls > self._max_concurrent_calls:
            raise self._errors.runtime_error(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "OVERLOADED",
                "this server has too many calls in flight",
                retry_delay=RETRY_DELAY,
            )
        self._gatekeeper.admit(context, service, method)
        if isinstance(request, _Undecodable):
            violations = [FieldViolation(request.field, request.description)]
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
                f"{service}/{method} is not implemented yet",
                metadata={"method": f"{service}/{method}"},
            )

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
