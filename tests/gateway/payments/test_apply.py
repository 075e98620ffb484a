"""Which rule an answer goes to, and what is not asked any more because it is known already."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.operations.operation import GivenUp, OperationKind, OperationState
from gateway.payments.domain.apply import apply_outcome, end_contradicted, is_moot, known_state
from gateway.payments.domain.decision import CheckReply, Reply
from gateway.payments.domain.intents import read_intent
from gateway.payments.domain.payment import ComplianceRecord, LeftCorridor, NextAction
from gateway.payments.domain.reconcile import ContradictionError
from gateway.payments.domain.refund import RefundState
from gateway.payments.domain.states import PaymentState
from gateway.stripe_client.failover import Elsewhere, Route, Terms
from gateway.stripe_client.outcome import OutcomeClass
from tests.gateway.payments.outcomes import (
    ASKED_REFUND,
    BACKUP,
    HOME,
    NOW,
    context,
    decision,
    ended,
    intent,
    operation,
    payment_in,
    reply,
    unknown_for,
)

S, Op, K, R = PaymentState, OperationState, OperationKind, RefundState
# In which states an operation still has something to tell.
WAITS_IN = {
    K.CHECK: {S.RECEIVED, S.QUEUED, S.IN_REVIEW, S.RETRY_SCHEDULED},
    K.AUTHORIZE: {S.AUTHORIZING},
    K.REATTEMPT: {S.AUTHORIZING},
    K.CONFIRM: {S.AUTHORIZING},
    K.CAPTURE: {S.CAPTURING},
    K.CANCEL: {S.CANCELING},
}


def allowed(verdict: str = "ALLOW") -> CheckReply:
    return CheckReply(ComplianceRecord("dec_1", verdict, (), "2026-11-01T00:03:00Z"))


@pytest.mark.parametrize("state", PaymentState)
@pytest.mark.parametrize("kind", WAITS_IN)
def test_what_is_known_already_ends_the_operation_and_leaves_the_payment(
    kind: OperationKind, state: PaymentState
) -> None:
    payment, asked = payment_in(state), operation(kind)
    assert is_moot(payment, asked, None) is (state not in WAITS_IN[kind])
    known = known_state(payment, asked, None)
    if state in WAITS_IN[kind]:
        assert known is None
        return
    assert known is (Op.DECLINED if state in (S.DECLINED, S.RETRY_SCHEDULED) else Op.SUCCEEDED)
    answer: Reply = allowed("DENY") if kind is K.CHECK else reply(OutcomeClass.UNKNOWN)
    expected = decision(payment, ended(asked, known))
    assert apply_outcome(payment, asked, None, answer, context(), resend=True) == expected


@pytest.mark.parametrize("state", RefundState)
@pytest.mark.parametrize("stripe_refund_id", ["", "re_1"])
def test_a_refund_is_known_once_it_has_ended_or_stripe_has_it(
    state: RefundState, stripe_refund_id: str
) -> None:
    payment = payment_in(S.SUCCEEDED, refunding_minor=300)
    asked = operation(K.REFUND, refund_id="ref_1")
    refund = replace(ASKED_REFUND, state=state, stripe_refund_id=stripe_refund_id)
    open_still = state is R.PENDING and not stripe_refund_id
    assert is_moot(payment, asked, refund) is not open_still
    done = apply_outcome(
        payment, asked, refund, reply(OutcomeClass.UNKNOWN), context(), resend=True
    )
    if open_still:
        assert done.operation.state is Op.UNKNOWN
        assert done.refund == refund
    else:
        assert done == decision(payment, ended(asked, Op.SUCCEEDED))


# An answer that only the rule of this kind takes so, and what it then makes of the payment.
@pytest.mark.parametrize(
    ("kind", "status", "state"),
    [
        (K.AUTHORIZE, "requires_capture", S.AUTHORIZED),
        (K.REATTEMPT, "requires_capture", S.AUTHORIZED),
        (K.CONFIRM, "requires_capture", S.AUTHORIZED),
        (K.CAPTURE, "succeeded", S.SUCCEEDED),
        (K.CANCEL, "canceled", S.CANCELED),
    ],
)
def test_an_answer_goes_to_the_rule_of_its_kind(
    kind: OperationKind, status: str, state: PaymentState
) -> None:
    waiting = payment_in(next(iter(WAITS_IN[kind])), payment_intent_id="pi_1")
    asked = operation(kind)
    answer = reply(OutcomeClass.SUCCEEDED, object=intent(status))
    done = apply_outcome(waiting, asked, None, answer, context(), resend=False)
    assert done.payment.state is state
    assert done.operation == ended(asked, Op.SUCCEEDED)


GIVEN_UP = {
    K.AUTHORIZE: (S.FAILED, Op.CANCELED, "DEADLINE"),
    K.REATTEMPT: (S.FAILED, Op.CANCELED, "DEADLINE"),
    K.CONFIRM: (S.REQUIRES_ACTION, Op.FAILED, "deadline"),
    K.CAPTURE: (S.AUTHORIZED, Op.FAILED, "deadline"),
    K.CANCEL: (S.AUTHORIZED, Op.FAILED, "deadline"),
}


@pytest.mark.parametrize("kind", GIVEN_UP)
def test_what_was_given_up_unsent_goes_to_the_rule_of_its_kind(kind: OperationKind) -> None:
    state, operation_state, code = GIVEN_UP[kind]
    waiting = payment_in(
        next(iter(WAITS_IN[kind])),
        next_action=NextAction("https://bank.example/3ds") if kind is K.CONFIRM else None,
        capture_before=None if kind is K.CONFIRM else NOW + timedelta(days=5),
    )
    asked = operation(kind)
    done = apply_outcome(waiting, asked, None, GivenUp(), context(), resend=False)
    assert done.payment.state is state
    assert done.operation == ended(asked, operation_state, code)


def test_a_check_that_was_given_up_fails_the_payment() -> None:
    asked = operation(K.CHECK)
    received = payment_in(S.RECEIVED)
    done = apply_outcome(received, asked, None, GivenUp(), context(), resend=False)
    assert done.payment.state is S.FAILED
    assert done.operation == ended(asked, Op.CANCELED, "deadline")


@pytest.mark.parametrize("kind", [K.AUTHORIZE, K.REATTEMPT, K.CAPTURE, K.CANCEL])
def test_whether_it_was_asked_before_goes_to_the_rule(kind: OperationKind) -> None:
    waiting = payment_in(next(iter(WAITS_IN[kind])))
    asked = operation(kind)
    not_sent = reply(OutcomeClass.NOT_SENT)
    again = apply_outcome(waiting, asked, None, not_sent, context(), resend=True)
    assert again == decision(waiting, unknown_for(asked, timedelta(seconds=1)))
    first = apply_outcome(waiting, asked, None, not_sent, context(), resend=False)
    assert first.operation.state is not Op.UNKNOWN


def test_whether_a_refund_was_asked_before_goes_to_the_rule() -> None:
    payment = payment_in(S.SUCCEEDED, refunding_minor=300)
    asked = operation(K.REFUND, refund_id="ref_1")
    answer = reply(OutcomeClass.NOT_SENT)
    first = apply_outcome(payment, asked, ASKED_REFUND, answer, context(), resend=False)
    assert (first.operation.state, first.refund) == (Op.PENDING, ASKED_REFUND)
    again = apply_outcome(payment, asked, ASKED_REFUND, answer, context(), resend=True)
    assert (again.operation.state, again.refund) == (Op.UNKNOWN, ASKED_REFUND)


THIRD = Route("third", "pm_3")
LEFT_HOME = LeftCorridor("default", "RATE_LIMITED", "2026-11-01T00:02:00+00:00")
FREE = Elsewhere(
    {
        "default": Terms("default", failover_to=("backup", "third")),
        "backup": Terms("backup"),
        "third": Terms("third"),
    },
    lambda _corridor: True,
)


@pytest.mark.parametrize(
    ("answer", "at_backup", "at_home"),
    [
        (allowed("ALLOW"), S.AUTHORIZING, S.AUTHORIZING),
        # Elsewhere it is only passed over: the payment goes on through the third corridor.
        (allowed("DENY"), S.RECEIVED, S.BLOCKED),
        (allowed("REVIEW"), S.RECEIVED, S.IN_REVIEW),
        (CheckReply(None), S.RECEIVED, S.FAILED),
    ],
)
def test_a_corridor_that_is_not_allowed_is_passed_over_but_the_clients_own_is_final(
    answer: CheckReply, at_backup: PaymentState, at_home: PaymentState
) -> None:
    routes = (HOME, BACKUP, THIRD)
    asked = operation(K.CHECK)
    about = context(elsewhere=FREE)
    elsewhere = payment_in(
        S.RECEIVED, routes=routes, corridor="backup", left_corridors=(LEFT_HOME,)
    )
    done = apply_outcome(elsewhere, asked, None, answer, about, resend=False)
    passed_over = at_backup is S.RECEIVED
    assert (done.payment.state, done.payment.corridor) == (
        at_backup,
        "third" if passed_over else "backup",
    )
    home = payment_in(S.RECEIVED, routes=routes)
    done = apply_outcome(home, asked, None, answer, about, resend=False)
    assert (done.payment.state, done.payment.corridor) == (at_home, "default")


def test_a_payment_that_waits_elsewhere_is_answered_as_at_home() -> None:
    """Only what was just failed over is passed on: not what is in review there."""
    waiting = payment_in(S.IN_REVIEW, routes=(HOME, BACKUP, THIRD), corridor="backup")
    asked = operation(K.CHECK)
    done = apply_outcome(
        waiting, asked, None, allowed("DENY"), context(elsewhere=FREE), resend=False
    )
    assert done.payment.state is S.BLOCKED


def test_an_answer_that_cannot_be_leaves_the_payment_and_ends_the_operation() -> None:
    payment = payment_in(S.CAPTURING, payment_intent_id="pi_1")
    error = ContradictionError(payment, read_intent(intent("requires_payment_method")))
    asked = operation(K.CAPTURE)
    expected = decision(payment, ended(asked, Op.FAILED, "contradiction"))
    assert end_contradicted(payment, asked, context(), error) == expected
    with pytest.raises(AssertionError):
        end_contradicted(replace(payment, id="pay_2"), asked, context(), error)
