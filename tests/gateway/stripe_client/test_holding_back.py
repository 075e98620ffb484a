"""Calls that are not sent: modes, breaker, limits."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import pytest

from gateway.stripe_client.breaker import BreakerPolicy
from gateway.stripe_client.call import CorridorMode, Priority, background
from gateway.stripe_client.concurrency import ConcurrencyPolicy
from gateway.stripe_client.limiter import Rate
from gateway.stripe_client.outcome import NotSentReason, OutcomeClass
from runtime.deadline import within
from tests.gateway.stripe_client.conftest import ONE_ATTEMPT, PATIENT_BREAKER, bench
from tests.gateway.stripe_client.scripted_stripe import HANG, Answer, ScriptedStripe, error

FAILURE = error(500, type="api_error")
QUICK: dict[str, Any] = {"request_timeout_seconds": 2, "breaker": PATIENT_BREAKER}


async def test_closed_sends_nothing(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url) as it:
        it.modes.mode = CorridorMode.CLOSED
        created = await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
        read = await it.stripe_client.retrieve_payment_intent("default", "pi_1")
        assert not it.stripe_client.available("default")
    assert created.not_sent_reason is NotSentReason.CORRIDOR_CLOSED
    assert read.not_sent_reason is NotSentReason.CORRIDOR_CLOSED
    assert stripe_server.seen == []


async def test_drained_finishes_but_does_not_begin(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url) as it:
        it.modes.mode = CorridorMode.DRAIN
        new = await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
        resent = await it.stripe_client.create_payment_intent(
            "default", {"amount": 1}, "key-1", resend=True
        )
        captured = await it.stripe_client.capture_payment_intent("default", "pi_1", {}, "key-2")
        account = await it.stripe_client.accounts.create_account("default", {}, "key-3")
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
            it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
        )
        await stripe_server.arrived.wait()
        it.modes.mode = CorridorMode.DRAIN
        stripe_server.script[0] = Answer()
        outcome = await call
    assert outcome.succeeded
    assert outcome.attempts == 2


async def test_open_breaker_sends_nothing_and_says_when(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(FAILURE)
    policy = BreakerPolicy(min_calls=2, open_seconds=10, slow_seconds=0.5, probes=1)
    async with bench(stripe_server.url, ONE_ATTEMPT, breaker=policy) as it:
        for number in range(2):
            await it.stripe_client.create_payment_intent("default", {"amount": 1}, f"key-{number}")
        held = await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-2")
        assert not it.stripe_client.available("default")
        assert it.stripe_client.available("default", "refunds"), "each group has its own breaker"
        assert held.not_sent_reason is NotSentReason.BREAKER_OPEN
        assert held.retry_after == timedelta(seconds=10)
        assert len(stripe_server.seen) == 2

        it.clock.advance(timedelta(seconds=10))
        stripe_server.will(Answer())
        assert (
            await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-2")
        ).succeeded
        assert it.stripe_client.available("default")


async def test_breaker_that_opens_between_two_requests_keeps_unknown(
    stripe_server: ScriptedStripe,
) -> None:
    stripe_server.will(FAILURE)
    policy = BreakerPolicy(min_calls=1, slow_seconds=0.5)
    async with bench(stripe_server.url, breaker=policy) as it:
        outcome = await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
    assert outcome.outcome_class is OutcomeClass.UNKNOWN
    assert outcome.attempts == 1


async def test_declines_do_not_open_the_breaker(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(error(402, type="card_error", code="card_declined"))
    policy = BreakerPolicy(min_calls=2, slow_seconds=0.5)
    async with bench(stripe_server.url, ONE_ATTEMPT, breaker=policy) as it:
        for number in range(5):
            await it.stripe_client.create_payment_intent("default", {"amount": 1}, f"key-{number}")
        assert it.stripe_client.available("default")


async def test_canceled_call_gives_its_permit_back(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer(body=HANG))
    async with bench(stripe_server.url, **QUICK) as it:
        stripe_server.arrived.clear()
        call = asyncio.create_task(
            it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
        )
        await stripe_server.arrived.wait()
        breaker = it.calls.corridor_client("default").breaker("payment_intents")
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
            outcome = await it.stripe_client.create_payment_intent(
                "default", {"amount": 1}, f"key-{number}"
            )
            assert outcome.succeeded
    assert it.waits == [pytest.approx(0.1), pytest.approx(0.1)]


async def test_too_long_a_line_is_refused_at_once(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url, account_rate=Rate(per_second=0.1, burst=1)) as it:
        await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
        refused = await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-2")
    assert refused.not_sent_reason is NotSentReason.RATE_LIMITED
    assert refused.retry_after == timedelta(seconds=10)
    assert len(stripe_server.seen) == 1


async def test_customers_go_before_background_work(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url, account_rate=Rate(per_second=0.1, burst=4)) as it:
        for number in range(3):
            await it.stripe_client.create_payment_intent("default", {"amount": 1}, f"key-{number}")
        held_back = await it.stripe_client.accounts.retrieve_account("default", "acct_1")
        customer = await it.stripe_client.create_payment_intent(
            "default", {"amount": 1}, "key-4", priority=Priority.CUSTOMER_PRESENT
        )
    assert held_back.not_sent_reason is NotSentReason.RATE_LIMITED
    assert customer.succeeded


async def test_reads_in_the_background_are_background_work(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url, account_rate=Rate(per_second=0.1, burst=4)) as it:
        for number in range(3):
            await it.stripe_client.create_payment_intent("default", {"amount": 1}, f"key-{number}")
        with background():
            held_back = await it.stripe_client.retrieve_payment_intent("default", "pi_1")
        customer = await it.stripe_client.retrieve_payment_intent("default", "pi_1")
    assert held_back.not_sent_reason is NotSentReason.RATE_LIMITED
    assert customer.succeeded


async def test_reads_and_changes_are_counted_apart(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    slow_writes = {"payment_intents": Rate(per_second=0.1, burst=1)}
    async with bench(stripe_server.url, endpoint_rates=slow_writes) as it:
        await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
        refused = await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-2")
        read = await it.stripe_client.retrieve_payment_intent("default", "pi_1")
    assert refused.not_sent_reason is NotSentReason.RATE_LIMITED
    assert read.succeeded


async def test_one_payment_intent_is_changed_so_often_and_no_more(
    stripe_server: ScriptedStripe,
) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url, object_changes_per_hour=2) as it:
        for number in range(2):
            done = await it.stripe_client.capture_payment_intent(
                "default", "pi_1", {}, f"key-{number}"
            )
            assert done.succeeded
        refused = await it.stripe_client.cancel_payment_intent("default", "pi_1", {}, "key-2")
        other = await it.stripe_client.capture_payment_intent("default", "pi_2", {}, "key-3")
    assert refused.not_sent_reason is NotSentReason.RATE_LIMITED
    assert refused.retry_after == timedelta(minutes=30)
    assert other.succeeded


async def test_a_lock_is_contention_and_neither_load_nor_sickness(
    stripe_server: ScriptedStripe,
) -> None:
    stripe_server.will(error(429, code="lock_timeout"), Answer())
    async with bench(stripe_server.url, account_rate=Rate(per_second=1, burst=10)) as it:
        client = it.calls.corridor_client("default")
        done = await it.stripe_client.capture_payment_intent("default", "pi_1", {}, "key-1")
        assert client.buckets[0].available >= 8, "the bucket was not emptied"
        assert client.concurrency.limit == client.concurrency.policy.initial
        assert client.breaker("payment_intents").read().failures == 0
    assert done.succeeded
    assert done.attempts == 2


async def test_too_many_at_once_says_stripe_and_fewer_are_sent(
    stripe_server: ScriptedStripe,
) -> None:
    headers = {"Stripe-Rate-Limited-Reason": "global-concurrency"}
    stripe_server.will(error(429, headers))
    async with bench(
        stripe_server.url, ONE_ATTEMPT, account_rate=Rate(per_second=1, burst=10)
    ) as it:
        client = it.calls.corridor_client("default")
        refused = await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
        assert refused.not_sent_reason is NotSentReason.CONCURRENCY_LIMITED
        assert client.concurrency.limit < client.concurrency.policy.initial
        assert client.buckets[0].available == 9, "the rate was not the reason"


async def test_a_steady_time_out_shrinks_the_limit(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer(body=HANG))
    patient = BreakerPolicy(min_calls=1000, slow_seconds=0.01)
    async with bench(
        stripe_server.url, ONE_ATTEMPT, request_timeout_seconds=0.02, breaker=patient
    ) as it:
        concurrency = it.calls.corridor_client("default").concurrency
        limits = [concurrency.limit]
        for number in range(12):
            await it.stripe_client.create_payment_intent("default", {"amount": 1}, f"key-{number}")
            limits.append(concurrency.limit)
            it.clock.advance(timedelta(seconds=1))
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] == concurrency.policy.min


async def test_without_a_place_nothing_is_sent_and_nothing_is_lost(
    stripe_server: ScriptedStripe,
) -> None:
    stripe_server.will(Answer(body=HANG))
    one = ConcurrencyPolicy(initial=1, min=1, max=1)
    async with bench(stripe_server.url, concurrency=one, brown_out_seconds=0.001, **QUICK) as it:
        stripe_server.arrived.clear()
        call = asyncio.create_task(
            it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
        )
        await stripe_server.arrived.wait()
        with within(0.06):
            shed = await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-2")
        assert shed.not_sent_reason is NotSentReason.CONCURRENCY_LIMITED
        assert shed.retry_after == timedelta(seconds=1)
        stripe_server.release.set()
        await call
        concurrency = it.calls.corridor_client("default").concurrency
        assert [concurrency.under_way(priority) for priority in Priority] == [0, 0, 0]
    assert len(stripe_server.seen) == 1


async def test_429_empties_the_bucket(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(error(429), Answer())
    async with bench(
        stripe_server.url, ONE_ATTEMPT, account_rate=Rate(per_second=1, burst=10)
    ) as it:
        await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
        await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
    assert it.waits == [pytest.approx(1, abs=0.1)]
