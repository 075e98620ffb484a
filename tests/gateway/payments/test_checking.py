"""What compliance's answer leads to, in every state that asks for it and with every past."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.operations.operation import GivenUp, OperationKind, OperationState, sent
from gateway.payments.domain.apply import apply_outcome
from gateway.payments.domain.check_outcome import DecisionContext, authorization
from gateway.payments.domain.commands import check_operation
from gateway.payments.domain.decision import CheckReply
from gateway.payments.domain.payment import ComplianceRecord, Decline, DeclineRetry, Payment
from gateway.payments.domain.reconcile import Timing
from gateway.payments.domain.states import PaymentState
from tests.gateway.payments.test_states import new_payment

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CONTEXT = DecisionContext(NOW, Timing(), 0.5)
S = PaymentState
BROKE = Decline("card_declined", "insufficient_funds", "try_again_later")
WITHIN = timedelta(days=2)
PASTS = {
    "first": {},
    "retried": {
        "off_session": True,
        "decline_retry": DeclineRetry(3, WITHIN),
        "decline_count": 1,
        "decline": BROKE,
        "payment_intent_id": "pi_1",
    },
    "returned": {
        "off_session": True,
        "customer_returned": True,
        "decline_count": 1,
        "decline": Decline("authentication_required", authentication_required=True),
        "payment_intent_id": "pi_1",
    },
}
# A first attempt is never RETRY_SCHEDULED, and another one never RECEIVED or QUEUED.
WAITING = [
    *(("first", state) for state in (S.RECEIVED, S.QUEUED, S.IN_REVIEW)),
    *((past, state) for past in ("retried", "returned") for state in (S.RETRY_SCHEDULED,)),
    *((past, S.IN_REVIEW) for past in ("retried", "returned")),
]


def waiting(past: str, state: PaymentState) -> Payment:
    values = {"queue_deadline": NOW + timedelta(hours=1)} if state is S.QUEUED else {}
    return new_payment(state=state, **values, **PASTS[past])


def verdict(name: str) -> CheckReply:
    return CheckReply(ComplianceRecord("dec_1", name, (), "2026-11-01T00:00:00Z"))


def after(
    payment: Payment, reply: CheckReply | GivenUp, context: DecisionContext = CONTEXT
) -> Payment:
    operation = sent(check_operation(payment, "op_1", NOW, timedelta(minutes=10)), NOW)
    return apply_outcome(payment, operation, None, reply, context, resend=False).payment


@pytest.mark.parametrize(("past", "state"), WAITING)
def test_each_answer_has_its_one_consequence(past: str, state: PaymentState) -> None:
    payment = waiting(past, state)
    assert after(payment, verdict("ALLOW")).state is S.AUTHORIZING
    assert after(payment, verdict("DENY")).state is S.BLOCKED
    assert after(payment, verdict("REVIEW")).state is S.IN_REVIEW
    silent = after(payment, CheckReply(None)).state
    over = after(payment, GivenUp()).state
    if state in (S.QUEUED, S.IN_REVIEW):
        assert (silent, over) == (state, S.EXPIRED)
    elif past == "first":
        assert (silent, over) == (S.FAILED, S.FAILED)
    elif past == "retried":
        assert (silent, over) == (S.RETRY_SCHEDULED, S.RETRY_SCHEDULED)
    else:
        assert (silent, over) == (S.DECLINED, S.DECLINED)


@pytest.mark.parametrize("state", [S.RETRY_SCHEDULED, S.IN_REVIEW])
def test_an_attempt_begins_within_the_clients_time_and_the_check(state: PaymentState) -> None:
    payment = waiting("retried", state)
    last = payment.create_time + WITHIN + timedelta(minutes=10)
    at_last = DecisionContext(last, Timing(), 0.5)
    assert after(payment, verdict("ALLOW"), at_last).state is S.AUTHORIZING
    too_late = DecisionContext(last + timedelta(microseconds=1), Timing(), 0.5)
    done = after(payment, verdict("ALLOW"), too_late)
    assert (done.state, done.decline, done.hold_id) == (S.DECLINED, BROKE, "")


def test_another_attempt_confirms_the_payment_intent_that_there_is() -> None:
    first = authorization(waiting("first", S.RECEIVED), "op_2", NOW)
    again = authorization(waiting("retried", S.RETRY_SCHEDULED), "op_2", NOW)
    assert first.kind is OperationKind.AUTHORIZE
    assert again.kind is OperationKind.REATTEMPT
    assert again.state is OperationState.RUNNING
    assert '"off_session":true' in again.params
    assert "off_session" not in authorization(waiting("returned", S.IN_REVIEW), "op_2", NOW).params


def test_a_charge_that_is_begun_anew_has_the_key_of_the_payment_and_the_account() -> None:
    """Nothing was sent before; and if a database has forgotten that something was, Stripe knows."""
    payment = new_payment(state=S.COMPLIANCE_CHECKED)
    first, anew = (authorization(payment, name, NOW) for name in ("op_1", "op_2"))
    assert (first.idempotency_key, first.params) == (anew.idempotency_key, anew.params)
    elsewhere = authorization(replace(payment, corridor="backup"), "op_3", NOW)
    assert elsewhere.idempotency_key != first.idempotency_key
    # Another attempt after a decline confirms the PaymentIntent that there is.
    declined = replace(payment, decline_count=1, payment_intent_id="pi_1")
    again, later = (authorization(declined, name, NOW) for name in ("op_4", "op_5"))
    assert again.idempotency_key != later.idempotency_key
