"""One call to Stripe from decision to outcome: mode, limits, breaker, sending, sending again."""

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import stripe

from gateway.rails import events
from gateway.rails.backoff import RetryPolicy
from gateway.rails.call import (
    Call,
    Modes,
    Options,
    Priority,
    RailMode,
    Send,
    UnknownCorridorError,
)
from gateway.rails.classify import Health, Verdict, classify_error, classify_timeout
from gateway.rails.line import Line
from gateway.rails.outcome import NotSentReason, Outcome, OutcomeClass, follow
from runtime.deadline import remaining
from runtime.telemetry import tracer

# Stripe's limit: https://docs.stripe.com/api/idempotent_requests
MAX_IDEMPOTENCY_KEY_CHARACTERS = 255
# With less time than this left, a request would be cut off before Stripe could answer.
MIN_REQUEST_SECONDS = 0.05
# Nobody waits longer than this for a token, however far away the deadline is.
MAX_TURN_SECONDS = 5.0
# A server that asks for a longer wait than this is asked again by a worker, not by this loop.
MAX_DELAY_SECONDS = 10.0


_uniform = random.SystemRandom().random


class StripeCalls:
    """Makes calls over the corridors' lines.

    `sleep` and `uniform`, which gives numbers in [0, 1), are what back-off uses.
    """

    def __init__(
        self,
        lines: Mapping[str, Line],
        default_corridor: str,
        modes: Modes,
        *,
        retry: RetryPolicy | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        if default_corridor not in lines:
            raise UnknownCorridorError(default_corridor)
        _keep_sdk_silent()
        self._lines = dict(lines)
        self.default_corridor = default_corridor
        self._modes = modes
        self._retry = retry or RetryPolicy()
        self._monotonic = monotonic
        self._sleep = sleep
        self._uniform = uniform
        self._tracer = tracer(__name__)

    @property
    def corridors(self) -> list[str]:
        """The names of the corridors, sorted."""
        return sorted(self._lines)

    def line(self, corridor: str) -> Line:
        """The line of a corridor. Raises `UnknownCorridorError`."""
        try:
            return self._lines[corridor]
        except KeyError:
            raise UnknownCorridorError(corridor) from None

    def available(self, corridor: str, endpoint_group: str) -> bool:
        """Whether something new would be sent now."""
        line = self.line(corridor)
        mode = self._modes.mode_of(corridor)
        return mode is RailMode.OPEN and line.breaker(endpoint_group).would_admit

    async def post(
        self,
        endpoint_group: str,
        corridor: str,
        idempotency_key: str,
        send: Send,
        *,
        stripe_account: str | None = None,
        begins: bool = False,
        priority: Priority = Priority.CUSTOMER_PRESENT,
    ) -> Outcome:
        """A call that changes something. There is none without an idempotency key."""
        if not 1 <= len(idempotency_key) <= MAX_IDEMPOTENCY_KEY_CHARACTERS:
            raise ValueError("a POST needs an idempotency key of 1 to 255 characters")
        options: Options = {"idempotency_key": idempotency_key, "stripe_account": stripe_account}
        return await self._run(corridor, Call(endpoint_group, send, options, begins, priority))

    async def get(
        self,
        endpoint_group: str,
        corridor: str,
        send: Send,
        *,
        stripe_account: str | None = None,
        priority: Priority = Priority.CUSTOMER_PRESENT,
    ) -> Outcome:
        """A call that only reads. Its UNKNOWN is harmless."""
        options: Options = {"stripe_account": stripe_account}
        return await self._run(corridor, Call(endpoint_group, send, options, False, priority))

    async def delete(
        self,
        endpoint_group: str,
        corridor: str,
        send: Send,
        *,
        stripe_account: str | None = None,
    ) -> Outcome:
        """A call that removes something: idempotent by itself, so Stripe takes no key."""
        options: Options = {"stripe_account": stripe_account}
        return await self._run(
            corridor, Call(endpoint_group, send, options, False, Priority.BACKGROUND)
        )

    async def _run(self, corridor: str, call: Call) -> Outcome:
        line = self.line(corridor)
        with self._tracer.start_as_current_span(f"stripe {call.endpoint_group}") as span:
            outcome = await self._send_until_settled(line, call)
            span.set_attribute("gateway.corridor", corridor)
            span.set_attribute("gateway.outcome", outcome.outcome_class.value)
            span.set_attribute("gateway.attempts", outcome.attempts)
            if outcome.failure is not None:
                span.set_attribute("gateway.stripe_code", outcome.failure.code)
                span.set_attribute("gateway.stripe_request_id", outcome.failure.stripe_request_id)
        events.call_ended(corridor, call.endpoint_group, outcome)
        return outcome

    async def _send_until_settled(self, line: Line, call: Call) -> Outcome:
        outcome: Outcome | None = None
        attempt, sent = 1, 0
        while True:
            verdict, went_out = await self._attempt(line, call, outcome)
            sent += went_out
            outcome = follow(outcome, replace(verdict.outcome, attempts=sent))
            delay = self._delay_before_next(verdict, attempt)
            if delay is None:
                return outcome
            events.will_resend(
                line.name, call.endpoint_group, outcome, attempt=attempt, delay_seconds=delay
            )
            await self._sleep(delay)
            attempt += 1

    def _delay_before_next(self, verdict: Verdict, attempt: int) -> float | None:
        """The wait before the next request; None if there is none, which is so at the latest
        after the policy's last attempt."""
        if not verdict.retry or attempt >= self._retry.max_attempts:
            return None
        delay = self._retry.delay_seconds(attempt, self._uniform, verdict.outcome.retry_after)
        left = remaining()
        longest = MAX_DELAY_SECONDS if left is None else min(MAX_DELAY_SECONDS, left)
        if delay + MIN_REQUEST_SECONDS > longest:
            return None
        return delay

    async def _attempt(
        self, line: Line, call: Call, earlier: Outcome | None
    ) -> tuple[Verdict, bool]:
        begins = call.begins and (earlier is None or earlier.outcome_class is OutcomeClass.NOT_SENT)
        mode = self._modes.mode_of(line.name)
        if mode is RailMode.CLOSED:
            return self._held_back(line, call, NotSentReason.CORRIDOR_CLOSED), False
        if mode is RailMode.DRAIN and begins:
            return self._held_back(line, call, NotSentReason.CORRIDOR_DRAINED), False
        breaker = line.breaker(call.endpoint_group)
        if not breaker.would_admit:
            return self._breaker_open(line, call), False
        if (refusal := await self._take_turn(line, call)) is not None:
            return refusal, False
        left = remaining()
        if left is not None and left < MIN_REQUEST_SECONDS:
            line.give_back_turn(call.endpoint_group)
            return self._held_back(line, call, NotSentReason.DEADLINE), False
        permit = breaker.admit()
        if permit is None:
            line.give_back_turn(call.endpoint_group)
            return self._breaker_open(line, call), False
        health = Health.NOT_COUNTED
        try:
            verdict = await self._request(line, call, left)
            health = verdict.health
        finally:
            permit.give_back(health)
        if verdict.outcome.not_sent_reason is NotSentReason.RATE_LIMITED:
            line.slow_down()
        if verdict.outcome.not_sent_reason is not None:
            events.not_sent(line.name, call.endpoint_group, verdict.outcome.not_sent_reason)
        return verdict, True

    async def _request(self, line: Line, call: Call, left: float | None) -> Verdict:
        limit = line.request_timeout_seconds
        cut_short = left is not None and left < limit
        started = self._monotonic()
        try:
            async with asyncio.timeout(left if cut_short else limit):
                answer = await call.send(line.client, call.options)
        except stripe.StripeError as error:
            return classify_error(error)
        except TimeoutError:
            return classify_timeout(cut_short=cut_short)
        finally:
            events.request_took(line.name, call.endpoint_group, self._monotonic() - started)
        done = Outcome(OutcomeClass.SUCCEEDED, object=answer.to_dict())
        return Verdict(done, retry=False, health=Health.ANSWERED)

    async def _take_turn(self, line: Line, call: Call) -> Verdict | None:
        background = call.priority is Priority.BACKGROUND
        wait = line.turn_wait_seconds(call.endpoint_group, background=background)
        left = remaining()
        longest = MAX_TURN_SECONDS if left is None else min(MAX_TURN_SECONDS, left)
        if wait > longest:
            return self._held_back(line, call, NotSentReason.RATE_LIMITED, timedelta(seconds=wait))
        async with line.turn(call.endpoint_group):
            if wait > 0:
                events.waited_for_turn(line.name, call.endpoint_group, wait)
                await self._sleep(wait)
        return None

    def _breaker_open(self, line: Line, call: Call) -> Verdict:
        seconds = line.breaker(call.endpoint_group).seconds_to_probe()
        return self._held_back(
            line, call, NotSentReason.BREAKER_OPEN, timedelta(seconds=max(seconds, 1.0))
        )

    def _held_back(
        self,
        line: Line,
        call: Call,
        reason: NotSentReason,
        retry_after: timedelta | None = None,
    ) -> Verdict:
        events.not_sent(line.name, call.endpoint_group, reason)
        outcome = Outcome(OutcomeClass.NOT_SENT, not_sent_reason=reason, retry_after=retry_after)
        return Verdict(outcome, retry=False, health=Health.NOT_COUNTED)


def _keep_sdk_silent() -> None:
    """Keeps the SDK from printing and reporting what it sends: names, addresses, cards."""
    if os.environ.get("STRIPE_LOG") or stripe.log is not None:
        raise RuntimeError("STRIPE_LOG prints customers' data to standard error: unset it")
    stripe.enable_telemetry = False
    logging.getLogger("stripe").setLevel(logging.WARNING)
