"""Sending, sending again, and holding back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway.stripe_client.breaker import BreakerPolicy
from gateway.stripe_client.call import RetryPolicy, UnknownCorridorError
from gateway.stripe_client.outcome import NotSentReason, OutcomeClass
from runtime.deadline import within
from tests.gateway.stripe_client.conftest import PATIENT_BREAKER, bench
from tests.gateway.stripe_client.scripted_stripe import HANG, RESET, Answer, ScriptedStripe, error

FAILURE = error(500, type="api_error")
QUICK: dict[str, Any] = {"request_timeout_seconds": 2, "breaker": PATIENT_BREAKER}


async def test_same_key_and_bytes_go_out_until_stripe_answers(
    stripe_server: ScriptedStripe,
) -> None:
    stripe_server.will(FAILURE, Answer(body=RESET), Answer())
    async with bench(stripe_server.url, **QUICK) as it:
        outcome = await it.stripe_client.create_payment_intent(
            "default", {"amount": 100, "metadata": {"a": "b"}}, "key-1", connected_account="acct_1"
        )
    assert outcome.succeeded
    assert outcome.attempts == 3
    assert {request.body for request in stripe_server.seen} == {"amount=100&metadata[a]=b"}
    assert {request.headers["Idempotency-Key"] for request in stripe_server.seen} == {"key-1"}
    assert {request.headers["Stripe-Account"] for request in stripe_server.seen} == {"acct_1"}
    # Full jitter with a random number of a half: half of 0.2 s, then half of 0.4 s.
    assert it.waits == [pytest.approx(0.1), pytest.approx(0.2)]


async def test_the_outcome_has_what_stripe_answered_as_json_has_it(
    stripe_server: ScriptedStripe,
) -> None:
    intent = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 100,
        "latest_charge": {"id": "ch_1", "object": "charge", "balance_transaction": None},
        "metadata": {"items": "5", "data": "x"},
        "payment_method_types": ["card"],
        "a_field_of_next_year": [{"of": {"any": "shape"}}],
    }
    stripe_server.will(Answer(body=intent))
    async with bench(stripe_server.url, **QUICK) as it:
        outcome = await it.stripe_client.create_payment_intent("default", {"amount": 100}, "key-1")
    assert outcome.object == intent
    assert type(outcome.object["latest_charge"]) is dict


async def test_attempts_are_bounded(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(FAILURE)
    async with bench(stripe_server.url, RetryPolicy(max_attempts=3), **QUICK) as it:
        outcome = await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
    assert outcome.outcome_class is OutcomeClass.UNKNOWN
    assert len(stripe_server.seen) == 3


async def test_a_failure_of_long_ago_says_nothing_about_stripe_now(
    stripe_server: ScriptedStripe,
) -> None:
    """A failure that Stripe keeps under a key comes again for a day: were it counted, one such
    payment would keep the breaker open for all others."""
    replayed = error(500, {"Idempotent-Replayed": "true"}, type="api_error")
    stripe_server.will(replayed)
    breaker = BreakerPolicy(min_calls=2, slow_seconds=0.5)
    async with bench(stripe_server.url, RetryPolicy(max_attempts=3), breaker=breaker) as it:
        for _ in range(breaker.min_calls):
            outcome = await it.stripe_client.create_payment_intent(
                "default", {"amount": 1}, "key-1"
            )
            assert outcome.outcome_class is OutcomeClass.UNKNOWN
        assert it.calls.available("default", "payment_intents")
    # And asking again at once would bring the same.
    assert len(stripe_server.seen) == breaker.min_calls


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
        (error(401, type="invalid_request_error"), 1),
        (error(403), 4),
        (Answer(403, {"error": "Forbidden"}), 4),
    ],
)
async def test_what_is_sent_again(
    stripe_server: ScriptedStripe, answer: Answer, requests: int
) -> None:
    stripe_server.will(answer)
    async with bench(stripe_server.url, **QUICK) as it:
        await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
    assert len(stripe_server.seen) == requests


async def test_deadline_bounds_the_waits(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(error(500, {"Retry-After": "9"}, type="api_error"))
    async with bench(stripe_server.url, **QUICK) as it:
        with within(5):
            outcome = await it.stripe_client.create_payment_intent(
                "default", {"amount": 1}, "key-1"
            )
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
            outcome = await it.stripe_client.create_payment_intent(
                "default", {"amount": 1}, "key-1"
            )
    assert outcome.not_sent_reason is NotSentReason.DEADLINE
    assert stripe_server.seen == []


async def test_a_call_cut_short_by_its_caller_does_not_count_against_stripe(
    stripe_server: ScriptedStripe,
) -> None:
    stripe_server.will(Answer(body=HANG))
    policy = BreakerPolicy(min_calls=1, slow_seconds=1)
    async with bench(stripe_server.url, request_timeout_seconds=2, breaker=policy) as it:
        with within(0.1):
            outcome = await it.stripe_client.create_payment_intent(
                "default", {"amount": 1}, "key-1"
            )
        assert outcome.outcome_class is OutcomeClass.UNKNOWN
        assert it.stripe_client.available("default")


@pytest.mark.parametrize(
    "blind",
    [
        error(401, type="invalid_request_error"),
        error(403, type="invalid_request_error"),
        error(429),
        error(429, code="lock_timeout"),
    ],
    ids=lambda answer: str(answer.status),
)
async def test_an_answer_that_does_not_know_the_key_leaves_unknown_unknown(
    stripe_server: ScriptedStripe, blind: Answer
) -> None:
    stripe_server.will(Answer(body=RESET), blind)
    async with bench(stripe_server.url, RetryPolicy(max_attempts=2), **QUICK) as it:
        outcome = await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
    assert outcome.outcome_class is OutcomeClass.UNKNOWN
    assert outcome.attempts == 2


async def test_keys_are_required(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer())
    async with bench(stripe_server.url) as it:
        for key in ("", "k" * 256):
            with pytest.raises(ValueError, match="idempotency key"):
                await it.stripe_client.create_payment_intent("default", {"amount": 1}, key)
        with pytest.raises(UnknownCorridorError):
            await it.stripe_client.create_payment_intent("nowhere", {"amount": 1}, "key-1")
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
        await it.stripe_client.create_refund("default", {"payment_intent": "pi_1"}, "key-1")
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
        outcome = await it.stripe_client.find_payment_intents(
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
