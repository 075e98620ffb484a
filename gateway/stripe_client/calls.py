"""One call to Stripe from decision to outcome: mode, limits, breaker, sending, sending again."""

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import stripe

from gateway.stripe_client import telemetry
from gateway.stripe_client.call import (
    Call,
    CallObserver,
    CorridorMode,
    Modes,
    Options,
    Priority,
    RetryPolicy,
    Send,
    UnknownCorridorError,
    priority_of,
)
from gateway.stripe_client.classify import Health, Verdict, classify_error, classify_timeout
from gateway.stripe_client.corridor_client import CorridorClient
from gateway.stripe_client.gate import MIN_REQUEST_SECONDS, Gate
from gateway.stripe_client.http_client import answer_of
from gateway.stripe_client.outcome import Outcome, OutcomeClass, follow
from runtime.deadline import remaining
from runtime.telemetry import tracer

# Stripe's limit: https://docs.stripe.com/api/idempotent_requests
MAX_IDEMPOTENCY_KEY_CHARACTERS = 255
# A server that asks for a longer wait than this is asked again by a worker, not by this loop.
MAX_DELAY_SECONDS = 10.0


_uniform = random.SystemRandom().random


class StripeCalls:
    """Makes calls over the corridors' clients.

    `sleep` and `uniform`, which gives numbers in [0, 1), are what back-off uses.
    """

    def __init__(
        self,
        clients: Mapping[str, CorridorClient],
        default_corridor: str,
        modes: Modes,
        *,
        retry: RetryPolicy | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[], float] = _uniform,
        observer: CallObserver | None = None,
    ) -> None:
        if default_corridor not in clients:
            raise UnknownCorridorError(default_corridor)
        _keep_sdk_silent()
        self._clients = dict(clients)
        self.default_corridor = default_corridor
        self._modes = modes
        self._retry = retry or RetryPolicy()
        self._monotonic = monotonic
        self._sleep = sleep
        self._gate = Gate(modes, sleep)
        self._uniform = uniform
        self._observer = observer
        self._tracer = tracer(__name__)

    @property
    def corridors(self) -> list[str]:
        """The names of the corridors, sorted."""
        return sorted(self._clients)

    def corridor_client(self, corridor: str) -> CorridorClient:
        """The client of a corridor. Raises `UnknownCorridorError`."""
        try:
            return self._clients[corridor]
        except KeyError:
            raise UnknownCorridorError(corridor) from None

    def available(self, corridor: str, endpoint_group: str) -> bool:
        """Whether something new would be sent now."""
        corridor_client = self.corridor_client(corridor)
        mode = self._modes.mode_of(corridor)
        return mode is CorridorMode.OPEN and corridor_client.breaker(endpoint_group).would_admit

    def is_slow(self, corridor: str) -> bool:
        """Whether calls that change something take long now, so that callers need not wait."""
        return self.corridor_client(corridor).pace.is_slow

    async def post(
        self,
        endpoint_group: str,
        corridor: str,
        idempotency_key: str,
        send: Send,
        *,
        connected_account: str | None = None,
        begins: bool = False,
        priority: Priority | None = None,
        object_id: str = "",
    ) -> Outcome:
        """A call that changes something. There is none without an idempotency key. `object_id` is
        the object that it changes, where Stripe limits how often."""
        if not 1 <= len(idempotency_key) <= MAX_IDEMPOTENCY_KEY_CHARACTERS:
            raise ValueError("a POST needs an idempotency key of 1 to 255 characters")
        options: Options = {"idempotency_key": idempotency_key, "stripe_account": connected_account}
        call = Call(
            endpoint_group,
            send,
            options,
            begins,
            priority_of(priority),
            changes=True,
            object_id=object_id,
        )
        return await self._run(corridor, call)

    async def get(
        self,
        endpoint_group: str,
        corridor: str,
        send: Send,
        *,
        connected_account: str | None = None,
        priority: Priority | None = None,
        seconds: float | None = None,
    ) -> Outcome:
        """A call that only reads. Its UNKNOWN is harmless. `seconds` is for what takes longer than
        the corridor's requests may."""
        options: Options = {"stripe_account": connected_account}
        call = Call(endpoint_group, send, options, False, priority_of(priority), seconds=seconds)
        return await self._run(corridor, call)

    async def delete(
        self,
        endpoint_group: str,
        corridor: str,
        send: Send,
        *,
        connected_account: str | None = None,
    ) -> Outcome:
        """A call that removes something: idempotent by itself, so Stripe takes no key."""
        options: Options = {"stripe_account": connected_account}
        call = Call(endpoint_group, send, options, False, Priority.BACKGROUND, changes=True)
        return await self._run(corridor, call)

    async def _run(self, corridor: str, call: Call) -> Outcome:
        corridor_client = self.corridor_client(corridor)
        with self._tracer.start_as_current_span(f"stripe {call.endpoint_group}") as span:
            outcome = await self._send_until_decided(corridor_client, call)
            span.set_attribute("gateway.corridor", corridor)
            span.set_attribute("gateway.priority", call.priority.value)
            span.set_attribute("gateway.outcome", outcome.outcome_class.value)
            span.set_attribute("gateway.attempts", outcome.attempts)
            if outcome.failure is not None:
                span.set_attribute("gateway.stripe_code", outcome.failure.code)
                span.set_attribute("gateway.stripe_type", outcome.failure.type)
                span.set_attribute("gateway.stripe_param", outcome.failure.param)
                span.set_attribute("gateway.stripe_request_id", outcome.failure.stripe_request_id)
        telemetry.call_ended(corridor, call.endpoint_group, outcome)
        return outcome

    async def _send_until_decided(self, corridor: CorridorClient, call: Call) -> Outcome:
        outcome: Outcome | None = None
        attempt, sent = 1, 0
        while True:
            verdict, went_out = await self._attempt(corridor, call, outcome)
            sent += went_out
            outcome = follow(outcome, replace(verdict.outcome, attempts=sent))
            delay = self._delay_before_next(verdict, attempt)
            if delay is None:
                return outcome
            telemetry.will_resend(
                corridor.name,
                call.endpoint_group,
                outcome,
                attempt=attempt,
                delay_seconds=delay,
            )
            await self._sleep(delay)
            attempt += 1

    def _delay_before_next(self, verdict: Verdict, attempt: int) -> float | None:
        """The wait before the next request; None if there is none, which is so at the latest
        after the policy's last attempt."""
        if not verdict.retry or attempt >= self._retry.max_attempts:
            return None
        pause = self._retry.backoff.pause(attempt, self._uniform(), verdict.outcome.retry_after)
        delay = pause.total_seconds()
        left = remaining()
        longest = MAX_DELAY_SECONDS if left is None else min(MAX_DELAY_SECONDS, left)
        if delay + MIN_REQUEST_SECONDS > longest:
            return None
        return delay

    async def _attempt(
        self, corridor: CorridorClient, call: Call, earlier: Outcome | None
    ) -> tuple[Verdict, bool]:
        passage = await self._gate.enter(corridor, call, earlier)
        if isinstance(passage, Verdict):
            return passage, False
        verdict: Verdict | None = None
        ticket = None if self._observer is None else self._observer.begun(corridor.name)
        try:
            verdict = await self._request(corridor, call, remaining())
        finally:
            passage.close(verdict)
            if self._observer is not None and ticket is not None:
                self._observer.ended(ticket, call, verdict)
        if verdict.outcome.not_sent_reason is not None:
            telemetry.not_sent(corridor.name, call.endpoint_group, verdict.outcome.not_sent_reason)
        return verdict, True

    async def _request(self, corridor: CorridorClient, call: Call, left: float | None) -> Verdict:
        limit = max(corridor.request_timeout_seconds, call.seconds or 0.0)
        cut_short = left is not None and left < limit
        started = self._monotonic()
        try:
            async with asyncio.timeout(left if cut_short else limit):
                answer = await call.send(corridor.client, call.options)
        except stripe.StripeError as error:
            return classify_error(error)
        except TimeoutError:
            return classify_timeout(cut_short=cut_short)
        finally:
            telemetry.request_took(corridor.name, call.endpoint_group, self._monotonic() - started)
        # Who reads a file makes the answer: there is none of Stripe's but its bytes.
        told = answer if isinstance(answer, dict) else answer_of(answer)
        done = Outcome(OutcomeClass.SUCCEEDED, object=told)
        return Verdict(done, retry=False, health=Health.ANSWERED)


def _keep_sdk_silent() -> None:
    """Keeps the SDK from printing and reporting what it sends: names, addresses, cards."""
    if os.environ.get("STRIPE_LOG") or stripe.log is not None:
        raise RuntimeError("STRIPE_LOG prints customers' data to standard error: unset it")
    stripe.enable_telemetry = False
    logging.getLogger("stripe").setLevel(logging.WARNING)
