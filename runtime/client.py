"""Channels to other services: mutual TLS, keepalive, retries, deadlines, traces."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from opentelemetry.instrumentation.grpc import aio_client_interceptors

from runtime import deadline
from runtime.auth import channel_credentials
from runtime.config import ServiceSettings
from runtime.message_size import MAX_MESSAGE_BYTES

DEFAULT_TIMEOUT_SECONDS = 10.0
MAX_ATTEMPTS = 4
KEEPALIVE_MS = 20_000
KEEPALIVE_TIMEOUT_MS = 5_000
# A peer that restarts is back within seconds; gRPC's own default waits up to two minutes.
MAX_RECONNECT_BACKOFF_MS = 2_000


class DeadlineInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    """Gives each call what is left of the deadline of the call it is made for."""

    def __init__(self, default_timeout_seconds: float) -> None:
        self._default = default_timeout_seconds

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        bounds = (client_call_details.timeout, deadline.remaining())
        given = [bound for bound in bounds if bound is not None]
        timeout = min(given) if given else self._default
        details = grpc.aio.ClientCallDetails(
            method=client_call_details.method,
            timeout=timeout,
            metadata=client_call_details.metadata,
            credentials=client_call_details.credentials,
            wait_for_ready=client_call_details.wait_for_ready,
        )
        return await continuation(details, request)


def open_channel(
    address: str,
    settings: ServiceSettings,
    *,
    idempotent_services: Sequence[str],
    default_timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> grpc.aio.Channel:
    """A channel to the service at `host:port`, secured as the settings say.

    Calls to `idempotent_services` (full names) are retried by gRPC when the peer cannot be
    reached; all of ours are, because each mutation carries a `request_id`.
    """
    options = [
        ("grpc.service_config", _service_config(idempotent_services)),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_BACKOFF_MS),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    tracing: Sequence[Any] = aio_client_interceptors()  # type: ignore[no-untyped-call]
    interceptors = [*tracing, DeadlineInterceptor(default_timeout)]
    if settings.uses_tls:
        return grpc.aio.secure_channel(
            address, channel_credentials(settings), options=options, interceptors=interceptors
        )
    return grpc.aio.insecure_channel(address, options=options, interceptors=interceptors)


def _service_config(idempotent_services: Sequence[str]) -> str:
    """https://github.com/grpc/proposal/blob/master/A6-client-retries.md"""
    return json.dumps(
        {
            "methodConfig": [
                {
                    "name": [{"service": service} for service in idempotent_services],
                    "retryPolicy": {
                        "maxAttempts": MAX_ATTEMPTS,
                        "initialBackoff": "0.05s",
                        "maxBackoff": "1s",
                        "backoffMultiplier": 2,
                        # A server that stops answers calls that come in that moment with
                        # CANCELLED; what the caller itself cancels is never retried.
                        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                    },
                }
            ],
            "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.2},
        }
    )
