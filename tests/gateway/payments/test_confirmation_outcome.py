"""What each answer of Stripe's to a confirmation leads to, after the customer has acted."""

import pytest

from gateway.operations.operation import GivenUp, OperationKind, OperationState
from gateway.payments.domain.authorization_outcome import apply_confirmation
from gateway.payments.domain.decision import Decision, StripeReply
from gateway.payments.domain.payment import NextAction, Payment
from gateway.payments.domain.states import PaymentState
from gateway.stripe_client.outcome import NotSentReason, OutcomeClass
from tests.gateway.payments.outcomes import (
    KNOWN,
    NOW,
    REASON,
    REFUSAL,
    REFUSED,
    RETRY_AFTER,
    SEEN,
    TIMING,
    decision,
    ended,
    intent,
    not_sent,
    operation,
    payment_in,
    reply,
    step,
    unknown_for,
    with_backup,
)

S, Op = PaymentState, OperationState
CONFIRM = operation(OperationKind.CONFIRM)
ACTION = NextAction("https://bank.example/3ds")
CONFIRMING = payment_in(S.AUTHORIZING, payment_intent_id="pi_1", next_action=ACTION)


def confirmed(payment: Payment, answer: StripeReply | GivenUp) -> Decision:
    return apply_confirmation(payment, CONFIRM, answer, with_backup())


@pytest.mark.parametrize("status", SEEN)
def test_a_confirmation_shows_where_the_payment_is(status: str) -> None:
    transition, state, values = SEEN[status]
    expected = decision(
        CONFIRMING,
        ended(CONFIRM, Op.SUCCEEDED),
        step(CONFIRMING, transition, state, **values),
    )
    shown = intent(status)
    assert confirmed(CONFIRMING, reply(OutcomeClass.SUCCEEDED, object=shown)) == expected
    refused = reply(OutcomeClass.REJECTED, REFUSED, intent=shown)
    assert confirmed(CONFIRMING, refused) == expected


def test_a_confirmation_that_was_never_sent_leaves_the_action_to_do() -> None:
    assert confirmed(CONFIRMING, GivenUp()) == decision(
        CONFIRMING,
        ended(CONFIRM, Op.FAILED, "deadline"),
        step(
            CONFIRMING,
            "action_required",
            S.REQUIRES_ACTION,
            next_action=ACTION,
            wake_time=NOW + TIMING.action,
        ),
    )
    assert confirmed(KNOWN, GivenUp()) == decision(KNOWN, ended(CONFIRM, Op.FAILED, "deadline"))


def test_a_confirmation_that_was_declined() -> None:
    done = confirmed(CONFIRMING, reply(OutcomeClass.DECLINED, REFUSAL))
    assert done.operation == ended(CONFIRM, Op.DECLINED, "card_declined", REFUSAL)
    assert (done.payment.state, done.payment.decline) == (S.DECLINED, REASON)
    shown = reply(OutcomeClass.REJECTED, REFUSED, intent=intent("requires_payment_method"))
    assert confirmed(CONFIRMING, shown).operation == ended(CONFIRM, Op.DECLINED)


@pytest.mark.parametrize(
    "answer",
    [
        reply(OutcomeClass.REJECTED, REFUSED, retry_after=RETRY_AFTER),
        reply(OutcomeClass.UNKNOWN, REFUSED, retry_after=RETRY_AFTER, intent=intent("succeeded")),
        not_sent(NotSentReason.BREAKER_OPEN, failure=REFUSED, retry_after=RETRY_AFTER),
    ],
)
def test_a_confirmation_of_which_nothing_is_seen_is_unknown(answer: StripeReply) -> None:
    later = unknown_for(CONFIRM, RETRY_AFTER, "parameter_invalid")
    assert confirmed(CONFIRMING, answer) == decision(CONFIRMING, later)
