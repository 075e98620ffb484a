"""Intake: POST /webhooks/stripe/{corridor}. Checks, stores, answers; deals with nothing."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from gateway.stripe_client.corridors import Corridor
from gateway.webhooks_in import telemetry
from gateway.webhooks_in.buffer import Buffer
from gateway.webhooks_in.errors import BufferUnavailableError, EventTooLargeError
from gateway.webhooks_in.event import NotAnEventError, StripeEvent, read_event
from gateway.webhooks_in.signature import SignatureProblem, find_signature_problem
from runtime.clock import Clock
from runtime.counted_log import CountedLog
from runtime.logs import get_logger

PATH = "/webhooks/stripe/{corridor}"
SIGNATURE_HEADER = "Stripe-Signature"
# Stripe's events stay far below; what is larger is not read to its end.
MAX_BODY_BYTES = 512 * 1024
BODY_SECONDS = 5.0
# Of all bodies that are being read or stored; beyond it callers are answered that it is busy.
MAX_BYTES_IN_FLIGHT = 64 * 1024 * 1024

# What a webhook is counted as that is acknowledged and not kept.
TEST_EVENT = "test_event"

log = get_logger(__name__)


class _Refusal(Exception):  # noqa: N818 — an answer, not an error
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class WebhookReceiver:
    """Takes Stripe's webhooks in.

    Answers 200 once the event is stored (or was stored before), or if it is of no concern: a test
    event at a live corridor, which Stripe sends for connected accounts. Otherwise 404 for an
    unknown corridor, 400 for what Stripe did not sign or is no event, 408, 413 and 415 for a slow,
    large or encoded body, and 503 when the event cannot be stored, so that Stripe sends it again. A
    refusal names its reason and nothing else; nothing of a refused body is stored or logged.
    Refusals are logged in one line a second, however many there are.
    """

    def __init__(
        self,
        corridors: Sequence[Corridor],
        buffer: Buffer,
        clock: Clock,
        *,
        body_seconds: float = BODY_SECONDS,
        max_bytes_in_flight: int = MAX_BYTES_IN_FLIGHT,
    ) -> None:
        self._corridors: Mapping[str, Corridor] = {
            corridor.name: corridor for corridor in corridors
        }
        for corridor in corridors:
            if not corridor.webhook_secrets:
                raise ValueError(f"corridor {corridor.name} has no webhook secret")
            for problem in SignatureProblem:
                telemetry.received.labels(corridor.name, f"signature_{problem.value}")
        self._buffer = buffer
        self._clock = clock
        self._body_seconds = body_seconds
        self._max_bytes_in_flight = max_bytes_in_flight
        self._bytes_in_flight = 0
        self._refused = CountedLog(_log_refused)

    def routes(self) -> list[web.AbstractRouteDef]:
        """For the HTTP server."""
        return [web.post(PATH, self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """Handles one webhook."""
        started = time.monotonic()
        corridor = self._corridors.get(request.match_info["corridor"])
        if corridor is None:
            # No label with the name: callers could make as many as they like.
            telemetry.received.labels("unknown", "unknown_corridor").inc()
            self._refused.add("unknown_corridor")
            return _answer(404, {"error": "unknown_corridor"})
        try:
            result = await self._take_in(request, corridor)
        except _Refusal as refusal:
            telemetry.received.labels(corridor.name, refusal.reason).inc()
            self._refused.add(f"{corridor.name}: {refusal.reason}")
            return _answer(refusal.status, {"error": refusal.reason})
        telemetry.received.labels(corridor.name, result).inc()
        telemetry.intake_seconds.labels(corridor.name).observe(time.monotonic() - started)
        return _answer(200, {"received": True})

    async def _take_in(self, request: web.Request, corridor: Corridor) -> str:
        body = bytearray()
        try:
            await self._read_into(body, request)
            return await self._verify_and_store(bytes(body), request, corridor)
        finally:
            self._bytes_in_flight -= len(body)

    async def _verify_and_store(self, body: bytes, request: web.Request, corridor: Corridor) -> str:
        headers = request.headers.getall(SIGNATURE_HEADER, [])
        problem = find_signature_problem(
            body,
            headers[0] if len(headers) == 1 else None,
            [secret.get_secret_value() for secret in corridor.webhook_secrets],
            self._clock.now(),
        )
        if problem is not None:
            raise _Refusal(400, f"signature_{problem.value}")
        event = _read(body, corridor)
        if corridor.is_live and event.live_mode is False:
            # A live Connect endpoint gets the test events of connected accounts as well, and is to
            # tell them by this: https://docs.stripe.com/connect/webhooks. Were they refused, Stripe
            # would send them again for days and switch the endpoint off in the end.
            return TEST_EVENT
        try:
            stored = await self._buffer.store(event)
        except BufferUnavailableError as error:
            log.warning("webhook_not_stored", corridor=corridor.name, error=error.reason)
            raise _Refusal(503, "not_stored") from error
        except EventTooLargeError:
            # Stripe lists it as undelivered, and recovery puts it into the inbox.
            raise _Refusal(413, "too_large_for_buffer") from None
        return "stored" if stored else "duplicate"

    async def _read_into(self, body: bytearray, request: web.Request) -> None:
        if request.headers.get("Content-Encoding", "identity") != "identity":
            # Stripe signs what it sends as it is; a decoder is one more thing to attack.
            raise _Refusal(415, "encoded")
        if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
            raise _Refusal(413, "too_large")
        try:
            async with asyncio.timeout(self._body_seconds):
                async for part in request.content.iter_any():
                    body += part
                    self._bytes_in_flight += len(part)
                    if len(body) > MAX_BODY_BYTES:
                        raise _Refusal(413, "too_large")
                    if self._bytes_in_flight > self._max_bytes_in_flight:
                        raise _Refusal(503, "busy")
        except TimeoutError:
            raise _Refusal(408, "too_slow") from None
        except web.RequestPayloadError:
            raise _Refusal(400, "broken_body") from None


def _read(body: bytes, corridor: Corridor) -> StripeEvent:
    try:
        event = read_event(body.decode("utf-8"), corridor.name)
    except UnicodeDecodeError:
        raise _Refusal(400, "not_utf8") from None
    except NotAnEventError:
        raise _Refusal(400, "not_an_event") from None
    live_at_test = event.live_mode is True and not corridor.is_live
    if live_at_test or (event.live_mode is None and corridor.is_live):
        # Stripe never does that by itself: this is a mistake in the set-up.
        raise _Refusal(400, "wrong_mode")
    return event


def _log_refused(count: int, reasons: Mapping[str, int]) -> None:
    log.warning("webhooks_refused", count=count, reasons=dict(reasons))


def _answer(status: int, body: Mapping[str, Any]) -> web.Response:
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/json", charset="utf-8"
    )
