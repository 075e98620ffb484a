"""Channels to other services: mutual TLS, keepalive, replicas, retries, deadlines, traces."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from opentelemetry.instrumentation.grpc import aio_client_interceptors

from runtime import deadline
from runtime.auth import channel_credentials
from runtime.config import ServiceSettings
from runtime.message_size import MAX_MESSAGE_BYTES
from runtime.service_target import parse_target

DEFAULT_TIMEOUT_SECONDS = 10.0
MAX_ATTEMPTS = 4
KEEPALIVE_MS = 20_000
KEEPALIVE_TIMEOUT_MS = 5_000
# A peer that restarts is back within seconds; gRPC's own default waits up to two minutes.
MAX_RECONNECT_BACKOFF_MS = 2_000
# gRPC's own default is half a minute, in which a second replica can go before the first one's
# successor is known.
MIN_LOOKUP_MS = 2_000
# Each attempt that fails takes one, each call that succeeds puts a fifth back, and below half of
# them nothing is tried again: whom many call that cannot answer is not called even more.
RETRY_TOKENS = 20
# A replica that is killed fails all that it was asked, at once, and the others are well.
RETRY_TOKENS_OF_REPLICAS = 1_000


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
    """A channel to the service at an address of `runtime.service_target`, secured as the settings
    say. Raises `ValueError` for another.

    Replicas get calls in turn, each for as long as its health says SERVING. Calls to
    `idempotent_services` (full names) are retried by gRPC, at another replica if there is one,
    when a peer cannot be reached; all of ours are, because each mutation carries a `request_id`.
    """
    target = parse_target(address)
    options = [
        (
            "grpc.service_config",
            _service_config(idempotent_services, shares_calls=target.shares_calls),
        ),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_BACKOFF_MS),
        ("grpc.dns_min_time_between_resolutions_ms", MIN_LOOKUP_MS),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    tracing: Sequence[Any] = aio_client_interceptors()  # type: ignore[no-untyped-call]
    interceptors = [*tracing, DeadlineInterceptor(default_timeout)]
    if settings.uses_tls:
        return grpc.aio.secure_channel(
            target.uri, channel_credentials(settings), options=options, interceptors=interceptors
        )
    return grpc.aio.insecure_channel(target.uri, options=options, interceptors=interceptors)


def _service_config(idempotent_services: Sequence[str], *, shares_calls: bool) -> str:
    """https://github.com/grpc/grpc/blob/master/doc/service_config.md"""
    tokens = RETRY_TOKENS_OF_REPLICAS if shares_calls else RETRY_TOKENS
    config: dict[str, Any] = {
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
        "retryThrottling": {"maxTokens": tokens, "tokenRatio": 0.2},
    }
    if shares_calls:
        config["loadBalancingConfig"] = [{"round_robin": {}}]
        # The server's health as a whole, asked for by a stream to each replica.
        config["healthCheckConfig"] = {"serviceName": ""}
    return json.dumps(config)
