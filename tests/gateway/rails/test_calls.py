"""Sending, sending again, and holding back."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway.rails.backoff import RetryPolicy
from gateway.rails.breaker import BreakerPolicy
from gateway.rails.calls import Priority, RailMode, UnknownCorridorError
from gateway.rails.limiter import Rate
from gateway.rails.outcome import NotSentReason, OutcomeClass
from runtime.deadline import within
from tests.gateway.rails.conftest import ONE_ATTEMPT, PATIENT_BREAKER, bench
from tests.gateway.rails.scripted_stripe import HANG, RESET, Answer, ScriptedStripe, error

FAILURE = error(500, type="api_error")
QUICK: dict[str, Any] = {"request_timeout_seconds": 2, "breaker": PATIENT_BREAKER}


async def test_same_key_and_bytes_go_out_until_stripe_answers(
    stripe_server: ScriptedStripe,
) -> None:
    stripe_server.will(FAILURE, Answer(body=RESET), Answer())
    async with bench(stripe_server.url, **QUICK) as it:
        outcome = await it.rails.create_payment_intent(
            "default", {"amount": 100, "metadata": {"a": "b"}}, "key-1", stripe_account="acct_1"
        )
    assert outcome.succeeded
    assert outcome.attempts == 3
    assert {request.body for request in stripe_server.seen} == {"amount=100&metadata[a]=b"}
    assert {request.headers["Idempotency-Key"] for request in stripe_server.seen} == {"key-1"}
    assert {request.headers["Stripe-Account"] for request in stripe_server.seen} == {"acct_1"}
    # Full jitter with a random number of a half: half of 0.2 s, then half of 0.4 s.
    assert it.waits == [pytest.approx(0.1), pytest.approx(0.2)]


async def test_attempts_are_bounded(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(FAILURE)
    async with bench(stripe_server.url, RetryPolicy(max_attempts=3), **QUICK) as it:
        outcome = await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
    assert outcome.outcome_class is OutcomeClass.UNKNOWN
    assert len(stripe_server.seen) == 3


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (error(500, {"Stripe-Should-Retry": "false"}, type="api_error"), 1),
        (error(500, {"Stripe-Should-Retry": "true"}, type="api_error"), 4),
        (error(429, {"Stripe-Should-Retry": "false"}), 1),
        (error(429), 4),
        (error(409, type="idempotency_error", code="idempotency_key_in_use"), 4),
        (error(424, type="api_error"), 1),
        (error(424, {"Stripe-Should-Retry": "true"}, type="api_error"), 4),
        (error(402, {"Stripe-Should-Retry": "true"}, type="card_error"), 1),
        (error(400, type="invalid_request_error"), 1),
        (error(400, type="idempotency_error"), 1),
        (error(401), 1),
    ],
)
async def test_what_is_sent_again(
    stripe_server: ScriptedStripe, answer: Answer, requests: int
) -> None:
    stripe_server.will(answer)
    async with bench(stripe_server.url, **QUICK) as it:
        await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
    assert len(stripe_server.seen) == requests


async def test_deadline_bounds_the_waits(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(error(500, {"Retry-After": "9"}, type="api_error"))
    async with bench(stripe_server.url, **QUICK) as it:
        with within(5):
            outcome = await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
    assert outcome.outcome_class is OutcomeClass.UNKNOWN
    assert outcome.retry_after == timedelta(seconds=9)
    assert it.waits == []
    assert len(stripe_server.seen) == 1


async def test_no_request_goes_out_without_time_for_the_answer(
    stripe_server: ScriptedStripe,
) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url) as it:
        with within(0.01):
            outcome = await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
    assert outcome.not_sent_reason is NotSentReason.DEADLINE
    assert stripe_server.seen == []


async def test_a_call_cut_short_by_its_caller_does_not_count_against_stripe(
    stripe_server: ScriptedStripe,
) -> None:
    stripe_server.will(Answer(body=HANG))
    policy = BreakerPolicy(min_calls=1, slow_seconds=1)
    async with bench(stripe_server.url, request_timeout_seconds=2, breaker=policy) as it:
        with within(0.1):
            outcome = await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
        assert outcome.outcome_class is OutcomeClass.UNKNOWN
        assert it.rails.available("default")


@pytest.mark.parametrize(
    "blind",
    [error(401), error(403), error(429), error(429, code="lock_timeout")],
    ids=lambda answer: str(answer.status),
)
async def test_an_answer_that_does_not_know_the_key_leaves_unknown_unknown(
    stripe_server: ScriptedStripe, blind: Answer
) -> None:
    stripe_server.will(Answer(body=RESET), blind)
    async with bench(stripe_server.url, RetryPolicy(max_attempts=2), **QUICK) as it:
        outcome = await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
    assert outcome.outcome_class is OutcomeClass.UNKNOWN
    assert outcome.attempts == 2


async def test_closed_sends_nothing(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url) as it:
        it.modes.mode = RailMode.CLOSED
        created = await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
        read = await it.rails.retrieve_payment_intent("default", "pi_1")
        assert not it.rails.available("default")
    assert created.not_sent_reason is NotSentReason.CORRIDOR_CLOSED
    assert read.not_sent_reason is NotSentReason.CORRIDOR_CLOSED
    assert stripe_server.seen == []


async def test_drained_finishes_but_does_not_begin(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url) as it:
        it.modes.mode = RailMode.DRAIN
        new = await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
        resent = await it.rails.create_payment_intent(
            "default", {"amount": 1}, "key-1", resend=True
        )
        captured = await it.rails.capture_payment_intent("default", "pi_1", {}, "key-2")
        account = await it.rails.accounts.create_account("default", {}, "key-3")
    assert new.not_sent_reason is NotSentReason.CORRIDOR_DRAINED
    assert account.not_sent_reason is NotSentReason.CORRIDOR_DRAINED
    assert resent.succeeded
    assert captured.succeeded


async def test_a_call_whose_outcome_is_unknown_goes_on_while_drained(
    stripe_server: ScriptedStripe,
) -> None:
    stripe_server.will(Answer(body=HANG))
    async with bench(stripe_server.url, **QUICK) as it:
        stripe_server.arrived.clear()
        call = asyncio.create_task(
            it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
        )
        await stripe_server.arrived.wait()
        it.modes.mode = RailMode.DRAIN
        stripe_server.script[0] = Answer()
        outcome = await call
    assert outcome.succeeded
    assert outcome.attempts == 2


async def test_open_breaker_sends_nothing_and_says_when(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(FAILURE)
    policy = BreakerPolicy(min_calls=2, open_seconds=10, slow_seconds=0.5, probes=1)
    async with bench(stripe_server.url, ONE_ATTEMPT, breaker=policy) as it:
        for number in range(2):
            await it.rails.create_payment_intent("default", {"amount": 1}, f"key-{number}")
        held = await it.rails.create_payment_intent("default", {"amount": 1}, "key-2")
        assert not it.rails.available("default")
        assert it.rails.available("default", "refunds"), "each group has its own breaker"
        assert held.not_sent_reason is NotSentReason.BREAKER_OPEN
        assert held.retry_after == timedelta(seconds=10)
        assert len(stripe_server.seen) == 2

        it.clock.advance(timedelta(seconds=10))
        stripe_server.will(Answer())
        assert (await it.rails.create_payment_intent("default", {"amount": 1}, "key-2")).succeeded
        assert it.rails.available("default")


async def test_breaker_that_opens_between_two_requests_keeps_unknown(
    stripe_server: ScriptedStripe,
) -> None:
    stripe_server.will(FAILURE)
    policy = BreakerPolicy(min_calls=1, slow_seconds=0.5)
    async with bench(stripe_server.url, breaker=policy) as it:
        outcome = await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
    assert outcome.outcome_class is OutcomeClass.UNKNOWN
    assert outcome.attempts == 1


async def test_declines_do_not_open_the_breaker(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(error(402, type="card_error", code="card_declined"))
    policy = BreakerPolicy(min_calls=2, slow_seconds=0.5)
    async with bench(stripe_server.url, ONE_ATTEMPT, breaker=policy) as it:
        for number in range(5):
            await it.rails.create_payment_intent("default", {"amount": 1}, f"key-{number}")
        assert it.rails.available("default")


async def test_canceled_call_gives_its_permit_back(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer(body=HANG))
    async with bench(stripe_server.url, **QUICK) as it:
        stripe_server.arrived.clear()
        call = asyncio.create_task(
            it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
        )
        await stripe_server.arrived.wait()
        breaker = it.calls.line("default").breaker("payment_intents")
        assert breaker.read().in_flight == 1
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        assert breaker.read().in_flight == 0
        assert breaker.read().calls == 0


async def test_calls_wait_for_their_turn(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url, account_rate=Rate(per_second=10, burst=2)) as it:
        for number in range(4):
            outcome = await it.rails.create_payment_intent(
                "default", {"amount": 1}, f"key-{number}"
            )
            assert outcome.succeeded
    assert it.waits == [pytest.approx(0.1), pytest.approx(0.1)]


async def test_too_long_a_line_is_refused_at_once(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url, account_rate=Rate(per_second=0.1, burst=1)) as it:
        await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
        refused = await it.rails.create_payment_intent("default", {"amount": 1}, "key-2")
    assert refused.not_sent_reason is NotSentReason.RATE_LIMITED
    assert refused.retry_after == timedelta(seconds=10)
    assert len(stripe_server.seen) == 1


async def test_customers_go_before_background_work(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url, account_rate=Rate(per_second=0.1, burst=4)) as it:
        for number in range(3):
            await it.rails.create_payment_intent("default", {"amount": 1}, f"key-{number}")
        background = await it.rails.accounts.retrieve_account("default", "acct_1")
        customer = await it.rails.create_payment_intent(
            "default", {"amount": 1}, "key-4", priority=Priority.CUSTOMER_PRESENT
        )
    assert background.not_sent_reason is NotSentReason.RATE_LIMITED
    assert customer.succeeded


async def test_429_empties_the_bucket(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(error(429), Answer())
    async with bench(
        stripe_server.url, ONE_ATTEMPT, account_rate=Rate(per_second=1, burst=10)
    ) as it:
        await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
        await it.rails.create_payment_intent("default", {"amount": 1}, "key-1")
    assert it.waits == [pytest.approx(1, abs=0.1)]


async def test_keys_are_required(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url) as it:
        for key in ("", "k" * 256):
            with pytest.raises(ValueError, match="idempotency key"):
                await it.rails.create_payment_intent("default", {"amount": 1}, key)
        with pytest.raises(UnknownCorridorError):
            await it.rails.create_payment_intent("nowhere", {"amount": 1}, "key-1")
    assert stripe_server.seen == []


async def test_decisions_are_counted(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(error(429), Answer())

    def count(name: str, **labels: str) -> float:
        labels = {"corridor": "default", "endpoint_group": "refunds", **labels}
        return REGISTRY.get_sample_value(f"gateway_stripe_{name}", labels) or 0.0

    before = (
        count("resends_total"),
        count("not_sent_total", reason="RATE_LIMITED"),
        count("outcomes_total", outcome="SUCCEEDED"),
        count("request_seconds_count"),
    )
    async with bench(stripe_server.url) as it:
        await it.rails.create_refund("default", {"payment_intent": "pi_1"}, "key-1")
    after = (
        count("resends_total"),
        count("not_sent_total", reason="RATE_LIMITED"),
        count("outcomes_total", outcome="SUCCEEDED"),
        count("request_seconds_count"),
    )
    assert [new - old for old, new in zip(before, after, strict=True)] == [1, 1, 1, 2]


async def test_search_by_metadata_goes_through_the_pages(stripe_server: ScriptedStripe) -> None:
    def intent(number: int, operation: str) -> dict[str, object]:
        return {
            "id": f"pi_{number}",
            "object": "payment_intent",
            "metadata": {"operation_id": operation},
        }

    def page(*intents: dict[str, object], more: bool) -> Answer:
        body = {"object": "list", "data": list(intents), "has_more": more, "url": "/v1/x"}
        return Answer(body=body)

    stripe_server.will(
        page(intent(3, "op_x"), intent(2, "op_1"), more=True), page(intent(1, "op_1"), more=False)
    )
    start = datetime(2026, 11, 22, tzinfo=UTC)
    async with bench(stripe_server.url) as it:
        outcome = await it.rails.find_payment_intents(
            "default",
            {"operation_id": "op_1"},
            created_from=start,
            created_to=start + timedelta(hours=1),
        )
    assert outcome.object is not None
    assert [found["id"] for found in outcome.object["data"]] == ["pi_2", "pi_1"]
    assert outcome.object["complete"] is True
    assert stripe_server.seen[1].query["starting_after"] == "pi_2"
    assert stripe_server.seen[0].query["created[gte]"] == str(int(start.timestamp()))
