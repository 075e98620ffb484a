"""What is made of every kind of answer, through the real SDK over a socket."""

import resource
from datetime import timedelta
from typing import Any

import pytest

from gateway.stripe_client.breaker import BreakerPolicy
from gateway.stripe_client.call import Priority
from gateway.stripe_client.outcome import Failure, NotSentReason, Outcome, OutcomeClass
from sandbox.addresses import at, free_port
from tests.gateway.stripe_client.conftest import ONE_ATTEMPT, PATIENT_BREAKER, bench
from tests.gateway.stripe_client.scripted_stripe import (
    ENDLESS,
    HANG,
    RESET,
    RESET_IN_BODY,
    Answer,
    ScriptedStripe,
    error,
)

DECLINE = error(
    402,
    type="card_error",
    code="card_declined",
    decline_code="insufficient_funds",
    advice_code="try_again_later",
    message="Your card, Ms Smith, has insufficient funds.",
    payment_intent={"id": "pi_1", "object": "payment_intent", "status": "requires_payment_method"},
)


async def outcome_of(server: ScriptedStripe, answer: Answer) -> Outcome:
    server.will(answer)
    async with bench(
        server.url, ONE_ATTEMPT, breaker=PATIENT_BREAKER, request_timeout_seconds=2
    ) as it:
        return await it.stripe_client.create_payment_intent("default", {"amount": 100}, "key-1")


@pytest.mark.parametrize(
    ("answer", "outcome_class", "code"),
    [
        (DECLINE, OutcomeClass.DECLINED, "card_declined"),
        (
            error(402, type="card_error", code="authentication_required"),
            OutcomeClass.DECLINED,
            "authentication_required",
        ),
        (
            error(400, type="card_error", code="card_declined"),
            OutcomeClass.DECLINED,
            "card_declined",
        ),
        (
            error(400, type="invalid_request_error", code="parameter_missing", param="amount"),
            OutcomeClass.REJECTED,
            "parameter_missing",
        ),
        (
            error(404, type="invalid_request_error", code="resource_missing"),
            OutcomeClass.REJECTED,
            "resource_missing",
        ),
        (
            error(401, type="invalid_request_error", code="api_key_expired"),
            OutcomeClass.REJECTED,
            "api_key_expired",
        ),
        (
            error(403, type="invalid_request_error", code="account_invalid"),
            OutcomeClass.REJECTED,
            "account_invalid",
        ),
        (
            error(400, type="idempotency_error", message="Keys for idempotent requests…"),
            OutcomeClass.UNKNOWN,
            "",
        ),
        (
            error(409, type="idempotency_error", code="idempotency_key_in_use"),
            OutcomeClass.UNKNOWN,
            "idempotency_key_in_use",
        ),
        (error(424, type="api_error"), OutcomeClass.UNKNOWN, ""),
        (error(500, type="api_error"), OutcomeClass.UNKNOWN, ""),
        (Answer(502, "<html>Bad Gateway</html>"), OutcomeClass.UNKNOWN, "UNREADABLE_ANSWER"),
        (Answer(503, {"unexpected": True}), OutcomeClass.UNKNOWN, "UNREADABLE_ANSWER"),
        (Answer(200, "not JSON"), OutcomeClass.UNKNOWN, "UNREADABLE_ANSWER"),
        (Answer(200, [1, 2]), OutcomeClass.UNKNOWN, "UNREADABLE_ANSWER"),
        (Answer(200, ""), OutcomeClass.UNKNOWN, "UNREADABLE_ANSWER"),
        (
            Answer(302, "", {"Location": "http://127.0.0.1:9/"}),
            OutcomeClass.UNKNOWN,
            "UNREADABLE_ANSWER",
        ),
        (Answer(body=RESET), OutcomeClass.UNKNOWN, "CONNECTION_LOST"),
        (Answer(body=RESET_IN_BODY), OutcomeClass.UNKNOWN, "CONNECTION_LOST"),
        (Answer(body=ENDLESS), OutcomeClass.UNKNOWN, "ANSWER_TOO_LARGE"),
        (error(429, type="invalid_request_error"), OutcomeClass.NOT_SENT, ""),
        (
            error(429, type="invalid_request_error", code="lock_timeout"),
            OutcomeClass.NOT_SENT,
            "lock_timeout",
        ),
        (
            error(400, type="invalid_request_error", code="rate_limit"),
            OutcomeClass.NOT_SENT,
            "rate_limit",
        ),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
async def test_every_answer_has_one_class(
    stripe_server: ScriptedStripe, answer: Answer, outcome_class: OutcomeClass, code: str
) -> None:
    outcome = await outcome_of(stripe_server, answer)
    assert outcome.outcome_class is outcome_class
    assert outcome.failure is not None
    assert outcome.failure.code == code
    assert outcome.object is None
    assert outcome.attempts == 1


# What proxies answer, and what Stripe would if it were broken: none has Stripe's form.
NOT_STRIPES_FORM: list[Any] = [
    {"error": "Forbidden"},
    {"error": None},
    {"error": []},
    {"error": ["invalid_request_error"]},
    {"error": 403},
    {"error": {}},
    {"error": {"code": 403, "message": "Forbidden", "status": "PERMISSION_DENIED"}},
    {"error": {"type": None, "code": "resource_missing"}},
    {"error": {"type": ["card_error"], "payment_intent": "pi_1"}},
    {"message": "Forbidden"},
    "<html>Forbidden</html>",
    "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    "[" * 100_000,
    '{"error":' * 5_000 + "1" + "}" * 5_000,
    "null",
    "",
]


@pytest.mark.parametrize("status", [200, 302, 400, 401, 402, 403, 404, 409, 418, 500, 502, 599])
async def test_what_is_not_stripes_form_is_unknown_and_counts_as_a_failure(
    stripe_server: ScriptedStripe, status: int
) -> None:
    headers = {"Request-Id": "req_9", "Stripe-Should-Retry": "false", "Retry-After": "3"}
    bodies = NOT_STRIPES_FORM if status != 200 else ["null", "", "[]", "[" * 100_000]
    policy = PATIENT_BREAKER
    async with bench(
        stripe_server.url, ONE_ATTEMPT, breaker=policy, request_timeout_seconds=2
    ) as it:
        for number, body in enumerate(bodies, start=1):
            stripe_server.will(Answer(status, body, headers))
            outcome = await it.stripe_client.create_payment_intent("default", {}, f"key-{number}")
            assert outcome.outcome_class is OutcomeClass.UNKNOWN, body
            assert outcome.failure == Failure(
                code="UNREADABLE_ANSWER", http_status=status, stripe_request_id="req_9"
            )
            assert outcome.retry_after == timedelta(seconds=3)
            breaker = it.calls.corridor_client("default").breaker("payment_intents")
            assert breaker.read().failures == number


async def test_a_429_is_not_sent_whoever_says_it(stripe_server: ScriptedStripe) -> None:
    for body in NOT_STRIPES_FORM:
        outcome = await outcome_of(stripe_server, Answer(429, body))
        assert outcome.not_sent_reason is NotSentReason.RATE_LIMITED


async def test_a_refusal_leaves_something_to_go_by_without_a_code(
    stripe_server: ScriptedStripe,
) -> None:
    refused = error(400, type="invalid_request_error", param="amount", message="Too much.")
    outcome = await outcome_of(stripe_server, refused)
    assert outcome.outcome_class is OutcomeClass.REJECTED
    assert outcome.failure == Failure(
        type="invalid_request_error", param="amount", http_status=400, stripe_request_id="req_1"
    )


async def test_success_carries_the_object(stripe_server: ScriptedStripe) -> None:
    nested = {"id": "pi_1", "object": "payment_intent", "metadata": {"a": "b"}, "amount": 100}
    outcome = await outcome_of(stripe_server, Answer(200, nested))
    assert outcome.outcome_class is OutcomeClass.SUCCEEDED
    assert outcome.object == nested
    assert type(outcome.object["metadata"]) is dict


async def test_decline_carries_all_that_decides_about_another_try(
    stripe_server: ScriptedStripe,
) -> None:
    outcome = await outcome_of(stripe_server, DECLINE)
    assert outcome.failure is not None
    assert outcome.failure.decline_code == "insufficient_funds"
    assert outcome.failure.advice_code == "try_again_later"
    assert outcome.failure.stripe_request_id == "req_1"
    assert outcome.failure.http_status == 402
    assert outcome.failure.payment_intent is not None
    assert outcome.failure.payment_intent["status"] == "requires_payment_method"
    assert "Smith" not in repr(outcome)


async def test_code_is_read_from_the_body_where_the_sdk_has_none(
    stripe_server: ScriptedStripe,
) -> None:
    locked = await outcome_of(stripe_server, error(429, code="lock_timeout"))
    assert locked.not_sent_reason is NotSentReason.OBJECT_LOCKED
    limited = await outcome_of(stripe_server, error(429, {"Retry-After": "7"}))
    assert limited.not_sent_reason is NotSentReason.RATE_LIMITED
    assert limited.retry_after == timedelta(seconds=7)


async def test_refused_connection_was_not_sent() -> None:
    url = f"http://{at(free_port())}"
    async with bench(url, ONE_ATTEMPT) as it:
        outcome = await it.stripe_client.create_refund(
            "default", {"payment_intent": "pi_1"}, "key-1"
        )
    assert outcome.outcome_class is OutcomeClass.NOT_SENT
    assert outcome.not_sent_reason is NotSentReason.CONNECT_FAILED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_want_of_descriptors_is_not_stripes_failure(
    stripe_server: ScriptedStripe, host: str
) -> None:
    """Looking a name up fails otherwise than connecting does."""
    url = stripe_server.url.replace("127.0.0.1", host)
    async with bench(url, ONE_ATTEMPT, breaker=BreakerPolicy(min_calls=1)) as it:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            outcome = await it.stripe_client.create_refund("default", {"charge": "ch_1"}, "key-1")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert outcome.outcome_class is OutcomeClass.NOT_SENT
        assert outcome.not_sent_reason is NotSentReason.OWN_SHORTAGE
        stripe_server.will(Answer())
        outcome = await it.stripe_client.create_refund("default", {"charge": "ch_1"}, "key-1")
        assert outcome.outcome_class is OutcomeClass.SUCCEEDED


async def test_no_answer_in_time_is_unknown(stripe_server: ScriptedStripe) -> None:
    stripe_server.will(Answer(body=HANG))
    async with bench(
        stripe_server.url,
        ONE_ATTEMPT,
        request_timeout_seconds=0.2,
        breaker=PATIENT_BREAKER.__class__(slow_seconds=0.1),
    ) as it:
        outcome = await it.stripe_client.create_payment_intent(
            "default", {"amount": 1}, "key-1", priority=Priority.BACKGROUND
        )
    assert outcome.outcome_class is OutcomeClass.UNKNOWN
    assert outcome.failure is not None
    assert outcome.failure.code == "TIMEOUT"


async def test_stripe_notice_is_not_printed(
    stripe_server: ScriptedStripe, capfd: pytest.CaptureFixture[str]
) -> None:
    noticed = Answer(headers={"Stripe-Notice": "please upgrade"})
    assert (await outcome_of(stripe_server, noticed)).succeeded
    assert capfd.readouterr().err == ""
