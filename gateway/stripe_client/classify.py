"""From an exception of the Stripe SDK to an `Outcome`.

The SDK's own attributes are not trusted: `e.code` is None on rate-limit, API, idempotency,
permission and authentication errors of API version 1, so everything is read from the error body.
Messages are never kept: some quote the whole answer, which may name people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Any

import stripe

from gateway.stripe_client.http_client import OWN_SHORTAGE, TransportError, error_of
from gateway.stripe_client.outcome import (
    KEPT_FAILURE,
    UNREADABLE_ANSWER,
    Failure,
    NotSentReason,
    Outcome,
    OutcomeClass,
    text_of,
)

SHOULD_RETRY_HEADER = "stripe-should-retry"
RETRY_AFTER_HEADER = "retry-after"
# https://docs.stripe.com/api/idempotent_requests
REPLAYED_HEADER = "idempotent-replayed"
# "global-concurrency", "endpoint-concurrency", "global-rate", "endpoint-rate", "resource-specific":
# https://docs.stripe.com/rate-limits
RATE_LIMITED_REASON_HEADER = "stripe-rate-limited-reason"
# A server that asks for more is not obeyed to the letter: the caller's deadline decides anyway.
MAX_RETRY_AFTER_SECONDS = 300


class Health(Enum):
    """What one request says about Stripe's health; the circuit breaker counts it."""

    ANSWERED = "answered"
    """Stripe works: it did what we asked, or said no for a reason of the customer's or ours."""

    FAILED = "failed"
    """Stripe, or the way to it, does not work."""

    NOT_COUNTED = "not_counted"
    """Says nothing: a rate limit, a call that we cut short, an answer of long ago, a machine of
    ours that has no descriptor left."""


@dataclass(frozen=True)
class Verdict:
    """What is made of one request."""

    outcome: Outcome
    retry: bool
    """Whether the same key and bytes may be sent again at once, after a back-off."""
    health: Health


def classify_error(error: stripe.StripeError) -> Verdict:
    """What is made of a request that ended in an exception of the SDK."""
    if isinstance(error, TransportError):
        return _transport_verdict(error)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    status = error.http_status or 0
    failure = _failure_of(error_of(error), status, text_of(headers, "request-id"))
    retry_after = _retry_after(headers)

    if status == 429 or failure.code == "rate_limit":
        reason = _reason_of_429(failure, headers)
        outcome = Outcome(
            OutcomeClass.NOT_SENT,
            failure=failure,
            retry_after=retry_after,
            not_sent_reason=reason,
        )
        return Verdict(outcome, _may_retry(headers, otherwise=True), Health.NOT_COUNTED)
    kept = text_of(headers, REPLAYED_HEADER) == "true"
    if not failure.type:
        return _kept_verdict(failure) if kept else _unreadable_verdict(failure, headers)
    if status == 402 or failure.type == "card_error":
        return Verdict(
            Outcome(OutcomeClass.DECLINED, failure=failure), retry=False, health=Health.ANSWERED
        )
    if failure.type == "idempotency_error" and status != 409:
        # Another request went out under this key before. What became of that one is not said
        # here, so this is no proof that nothing happened.
        return Verdict(
            Outcome(OutcomeClass.UNKNOWN, failure=failure), retry=False, health=Health.ANSWERED
        )
    if status in (400, 401, 403, 404):
        return Verdict(
            Outcome(OutcomeClass.REJECTED, failure=failure), retry=False, health=Health.ANSWERED
        )
    if kept:
        return _kept_verdict(failure)
    outcome = Outcome(OutcomeClass.UNKNOWN, failure=failure, retry_after=retry_after)
    conflict = status == 409
    return Verdict(
        outcome,
        retry=_may_retry(headers, otherwise=conflict or status >= 500),
        health=Health.FAILED if status >= 500 or status < 400 else Health.ANSWERED,
    )


def classify_timeout(*, cut_short: bool) -> Verdict:
    """What is made of a request without an answer; `cut_short` if it was the caller who had less
    time than a call is given."""
    return Verdict(
        Outcome(OutcomeClass.UNKNOWN, failure=Failure(code="TIMEOUT")),
        retry=not cut_short,
        health=Health.NOT_COUNTED if cut_short else Health.FAILED,
    )


def _transport_verdict(error: TransportError) -> Verdict:
    failure = Failure(code=error.transport_code)
    if error.sent:
        outcome = Outcome(OutcomeClass.UNKNOWN, failure=failure)
    elif error.transport_code == OWN_SHORTAGE:
        outcome = Outcome(
            OutcomeClass.NOT_SENT, failure=failure, not_sent_reason=NotSentReason.OWN_SHORTAGE
        )
        return Verdict(outcome, retry=True, health=Health.NOT_COUNTED)
    else:
        outcome = Outcome(
            OutcomeClass.NOT_SENT, failure=failure, not_sent_reason=NotSentReason.CONNECT_FAILED
        )
    return Verdict(outcome, retry=True, health=Health.FAILED)


def _unreadable_verdict(failure: Failure, headers: Mapping[str, str]) -> Verdict:
    """Every error of Stripe's has a type: https://docs.stripe.com/api/errors. Without one it is a
    proxy's answer, or a broken one: neither a decline nor a refusal, whatever its status, and no
    proof that Stripe was not asked. The way to Stripe does not work; it is as if the answer was
    lost."""
    outcome = Outcome(
        OutcomeClass.UNKNOWN,
        failure=replace(failure, code=UNREADABLE_ANSWER),
        retry_after=_retry_after(headers),
    )
    may_retry = _may_retry(headers, otherwise=failure.http_status >= 400)
    return Verdict(outcome, may_retry, Health.FAILED)


def _kept_verdict(failure: Failure) -> Verdict:
    """The failure of an earlier request, kept under its key: the same comes again whoever asks,
    and it says nothing about Stripe as it is now."""
    outcome = Outcome(OutcomeClass.UNKNOWN, failure=replace(failure, code=KEPT_FAILURE))
    return Verdict(outcome, retry=False, health=Health.NOT_COUNTED)


def _failure_of(body: Mapping[str, Any], status: int, request_id: str) -> Failure:
    payment_intent, setup_intent = body.get("payment_intent"), body.get("setup_intent")
    return Failure(
        code=text_of(body, "code"),
        decline_code=text_of(body, "decline_code"),
        advice_code=text_of(body, "advice_code"),
        type=text_of(body, "type"),
        param=text_of(body, "param"),
        http_status=status,
        stripe_request_id=request_id,
        payment_intent=dict(payment_intent) if isinstance(payment_intent, Mapping) else None,
        setup_intent=dict(setup_intent) if isinstance(setup_intent, Mapping) else None,
    )


def _reason_of_429(failure: Failure, headers: Mapping[str, str]) -> NotSentReason:
    if failure.code == "lock_timeout":
        return NotSentReason.OBJECT_LOCKED
    if text_of(headers, RATE_LIMITED_REASON_HEADER).endswith("-concurrency"):
        return NotSentReason.CONCURRENCY_LIMITED
    return NotSentReason.RATE_LIMITED


def _may_retry(headers: Mapping[str, str], *, otherwise: bool) -> bool:
    advice = text_of(headers, SHOULD_RETRY_HEADER)
    if advice in ("true", "false"):
        return advice == "true"
    return otherwise


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    seconds = text_of(headers, RETRY_AFTER_HEADER)
    if not (seconds.isascii() and seconds.isdigit()):
        return None
    return timedelta(seconds=min(int(seconds), MAX_RETRY_AFTER_SECONDS))
