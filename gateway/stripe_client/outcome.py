"""What came of a call to Stripe: one of five classes, and nothing else.

The class decides what may happen next, so it is never guessed: whatever is not known to have
failed before it was sent, or to have been decided by Stripe, is UNKNOWN.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any


class OutcomeClass(StrEnum):
    """What is known about the effect of a call."""

    SUCCEEDED = "SUCCEEDED"
    """Stripe did it; `object` is what Stripe answered."""

    DECLINED = "DECLINED"
    """The card's issuer or Stripe's fraud rules said no (HTTP 402). The same key repeats the
    answer; another try needs another key."""

    REJECTED = "REJECTED"
    """Our request was wrong, or not allowed. Nothing happened at Stripe."""

    NOT_SENT = "NOT_SENT"
    """Nothing reached the part of Stripe that acts: send it again, with the same key."""

    UNKNOWN = "UNKNOWN"
    """It may have happened. Only the same key with the same bytes, or a search, may follow."""


class NotSentReason(StrEnum):
    """Why a call was not sent."""

    CORRIDOR_CLOSED = "CORRIDOR_CLOSED"
    """Operators have closed the corridor."""

    CORRIDOR_DRAINED = "CORRIDOR_DRAINED"
    """Operators drain the corridor and the call would begin something new."""

    BREAKER_OPEN = "BREAKER_OPEN"
    """Stripe fails or is slow; the circuit breaker stops calls."""

    RATE_LIMITED = "RATE_LIMITED"
    """Our limiter had no token in time, or Stripe answered 429."""

    CONCURRENCY_LIMITED = "CONCURRENCY_LIMITED"
    """As many requests as the corridor bears are under way, or Stripe answered 429 for that."""

    OBJECT_LOCKED = "OBJECT_LOCKED"
    """Stripe answered 429 `lock_timeout`: another call holds the object. Not a sign of load."""

    CONNECT_FAILED = "CONNECT_FAILED"
    """No connection to Stripe could be made."""

    OWN_SHORTAGE = "OWN_SHORTAGE"
    """This machine had no descriptor or memory left for a connection. Says nothing of Stripe."""

    DEADLINE = "DEADLINE"
    """Too little time was left to send it."""


# The code of a failure that Stripe keeps under its key: sending the key again brings it again.
KEPT_FAILURE = "KEPT_FAILURE"
# The code of what is not in Stripe's form: https://docs.stripe.com/api/errors
UNREADABLE_ANSWER = "UNREADABLE_ANSWER"


@dataclass(frozen=True)
class Failure:
    """Why Stripe said no, or what is known of an UNKNOWN. Holds no personal data but
    `payment_intent` and `setup_intent`."""

    code: str = ""
    """Stripe's `error.code` ("card_declined", "resource_missing"); ours in upper case where Stripe
    gave none ("TIMEOUT", "CONNECTION_LOST", "UNREADABLE_ANSWER", "KEPT_FAILURE")."""
    decline_code: str = ""
    """The issuer's reason ("insufficient_funds")."""
    advice_code: str = ""
    """Whether to try again: confirm_card_data, do_not_try_again, try_again_later."""
    type: str = ""
    """Stripe's `error.type` ("card_error", "invalid_request_error", "idempotency_error")."""
    param: str = ""
    """The request parameter at fault."""
    http_status: int = 0
    """0 when no answer came."""
    stripe_request_id: str = ""
    """"req_…": what Stripe's support asks for."""
    payment_intent: dict[str, Any] | None = None
    """The PaymentIntent as the failure left it, where Stripe sends it along."""
    setup_intent: dict[str, Any] | None = None
    """The SetupIntent as the failure left it, where Stripe sends it along."""

    @property
    def reason(self) -> str:
        """The code, or the type where Stripe gives no code: something to go by in any case."""
        return self.code or self.type


@dataclass(frozen=True)
class Outcome:
    """What came of a call, retries included."""

    outcome_class: OutcomeClass
    object: dict[str, Any] | None = None
    """Stripe's object, if SUCCEEDED; a list is {"data": […], "has_more": …}."""
    failure: Failure | None = None
    """Present unless SUCCEEDED or never sent."""
    retry_after: timedelta | None = None
    """How long to wait before sending again, if NOT_SENT or UNKNOWN and if it is known."""
    not_sent_reason: NotSentReason | None = None
    """Present if NOT_SENT."""
    attempts: int = 0
    """Requests that went out."""

    @property
    def succeeded(self) -> bool:
        """Whether Stripe did it."""
        return self.outcome_class is OutcomeClass.SUCCEEDED

    @property
    def decided(self) -> bool:
        """Whether Stripe has decided: no further call can change the answer to this key."""
        return self.outcome_class in (
            OutcomeClass.SUCCEEDED,
            OutcomeClass.DECLINED,
            OutcomeClass.REJECTED,
        )


# Answered before Stripe looks at the idempotency key, so they say nothing about an earlier
# request with that key: https://docs.stripe.com/api/idempotent_requests
STATUSES_BEFORE_IDEMPOTENCY: frozenset[int] = frozenset({401, 403, 429})


def follow(earlier: Outcome | None, later: Outcome) -> Outcome:
    """What is known after `later`, when `earlier` came of the same key before it.

    An UNKNOWN is only resolved by an answer that knows the key: neither a call that was not sent
    nor one refused ahead of the idempotency layer makes it undone.
    """
    if earlier is None or earlier.outcome_class is not OutcomeClass.UNKNOWN:
        return later
    blind = (
        later.outcome_class is OutcomeClass.REJECTED
        and later.failure is not None
        and later.failure.http_status in STATUSES_BEFORE_IDEMPOTENCY
    )
    if later.decided and not blind:
        return later
    return replace(
        earlier,
        failure=later.failure or earlier.failure,
        retry_after=later.retry_after or earlier.retry_after,
        attempts=later.attempts,
    )


def is_missing(outcome: Outcome) -> bool:
    """Whether Stripe does not know what the call was about."""
    return outcome.failure is not None and outcome.failure.code == "resource_missing"


def names_lost_method(failure: Failure) -> bool:
    """Whether a refusal is about a payment method that is not there, or cannot be used any more.

    Stripe has no code for one that was detached, or used up without a customer, but names the
    parameter: https://docs.stripe.com/api/payment_methods/detach
    """
    about_method = failure.param.rstrip("]").endswith("payment_method")
    return about_method and failure.code in ("resource_missing", "")


def refused_for_good(outcome: Outcome) -> bool:
    """Whether Stripe has refused these very parameters; a wrong key of ours is mended instead."""
    return (
        outcome.outcome_class in (OutcomeClass.REJECTED, OutcomeClass.DECLINED)
        and outcome.failure is not None
        and outcome.failure.http_status not in STATUSES_BEFORE_IDEMPOTENCY
    )


def text_of(values: Mapping[str, Any], name: str) -> str:
    """A string of one of Stripe's objects; empty if it is missing, null or of another kind."""
    value = values.get(name)
    return value if isinstance(value, str) else ""
