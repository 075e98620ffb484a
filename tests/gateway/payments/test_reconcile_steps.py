"""The step that a PaymentIntent leads to, whole, and which states cover which statuses."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.payments.domain.intents import IntentSnapshot, IntentStatus
from gateway.payments.domain.payment import (
    Change,
    Decline,
    DeclineRetry,
    FailureCode,
    NextAction,
    Payment,
    PaymentFailure,
)
from gateway.payments.domain.processing import next_look_time
from gateway.payments.domain.reconcile import capture_wake_time, covers, reconcile
from gateway.payments.domain.states import PaymentState
from tests.gateway.payments.outcomes import (
    CAPTURE_BEFORE,
    CREATED,
    NOW,
    TIMING,
    payment_in,
    step,
)

S, In = PaymentState, IntentStatus
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
BROKE = Decline("card_declined", "insufficient_funds")
STOLEN = Decline("card_declined", "stolen_card")
BEFORE: dict[str, Any] = {
    "decline": BROKE,
    "failure": PaymentFailure(FailureCode.OUTCOME_NOT_PERFORMED),
}


def seen(status: IntentStatus, **values: Any) -> IntentSnapshot:
    return IntentSnapshot(
        **{
            "status": status,
            "payment_intent_id": "pi_1",
            "charge_id": "ch_1",
            "currency": "EUR",
            "authorized_minor": 0,
            "captured_minor": 0,
            "capture_before": None,
            "expired": False,
            "next_action": None,
            "decline": STOLEN if status is In.DECLINED else None,
            **values,
        }
    )


def reconciled(payment: Payment, shown: IntentSnapshot, *, decided: bool = False) -> Change | None:
    return reconcile(payment, shown, NOW, TIMING, decided=decided, jitter=0.5)


@pytest.mark.parametrize("state", [S.AUTHORIZING, S.RETRY_SCHEDULED, S.DECLINED, S.FAILED])
def test_what_was_captured_is_no_failure_any_more(state: PaymentState) -> None:
    payment = payment_in(state, authorized_minor=900, **BEFORE)
    shown = seen(In.CAPTURED, authorized_minor=700, captured_minor=700, application_fee_minor=35)
    assert reconciled(payment, shown) == step(
        payment,
        "captured",
        S.SUCCEEDED,
        payment_intent_id="pi_1",
        charge_id="ch_1",
        authorized_minor=900,
        captured_minor=700,
        capture_time=NOW,
        application_fee_captured_minor=35,
        hold_id="",
        decline=None,
        failure=None,
    )


@pytest.mark.parametrize("state", [S.AUTHORIZING, S.RETRY_SCHEDULED, S.DECLINED, S.FAILED])
@pytest.mark.parametrize(
    ("known", "told", "deadline"),
    [
        (None, CAPTURE_BEFORE, CAPTURE_BEFORE),
        (CAPTURE_BEFORE, None, CAPTURE_BEFORE),
        (CAPTURE_BEFORE - DAY, CAPTURE_BEFORE, CAPTURE_BEFORE),
        (None, None, NOW + 7 * DAY),
    ],
)
def test_what_was_authorised_is_no_failure_any_more(
    state: PaymentState, known: Any, told: Any, deadline: Any
) -> None:
    payment = payment_in(state, capture_before=known, charge_id="ch_0", **BEFORE)
    shown = seen(In.AUTHORIZED, authorized_minor=800, capture_before=told, charge_id="")
    assert reconciled(payment, shown) == step(
        payment,
        "authorized",
        S.AUTHORIZED,
        payment_intent_id="pi_1",
        # What is not told is as it was.
        charge_id="ch_0",
        authorized_minor=800,
        capture_before=deadline,
        wake_time=deadline - DAY,
        hold_id=payment.hold_id or "pi_1",
        decline=None,
        failure=None,
    )


@pytest.mark.parametrize(
    ("left", "wake"),
    [(DAY + HOUR, HOUR), (DAY, DAY), (HOUR, HOUR), (DAY + MINUTE, MINUTE)],
)
def test_an_authorisation_is_looked_at_a_day_before_its_end_and_then(
    left: timedelta, wake: timedelta
) -> None:
    assert capture_wake_time(NOW + left, NOW) == NOW + wake


@pytest.mark.parametrize("state", [S.AUTHORIZING, S.REQUIRES_ACTION, S.EXPIRED, S.FAILED])
@pytest.mark.parametrize("declined_before", [0, 1])
def test_what_a_bank_decides_about_later(state: PaymentState, declined_before: int) -> None:
    payment = payment_in(
        state, capture_before=CAPTURE_BEFORE, decline_count=declined_before, **BEFORE
    )
    expected = step(
        payment,
        "processing_started",
        S.PROCESSING,
        payment_intent_id="pi_1",
        charge_id="ch_1",
        capture_before=None,
        wake_time=NOW + 45 * MINUTE,
        hold_id=payment.hold_id or "pi_1",
        failure=None,
    )
    assert reconciled(payment, seen(In.PROCESSING), decided=True) == expected
    # It may be the attempt before: the operation of this one finds out.
    another = bool(declined_before) and state is S.AUTHORIZING
    assert reconciled(payment, seen(In.PROCESSING)) == (None if another else expected)


@pytest.mark.parametrize("state", [S.AUTHORIZING, S.REQUIRES_ACTION, S.CANCELING])
def test_a_decline_that_is_told_is_the_present_one_or_the_one_before(state: PaymentState) -> None:
    retried: dict[str, Any] = {
        "decline_count": 1,
        "decline": STOLEN,
        "charge_id": "ch_1",
        "off_session": True,
        "decline_retry": DeclineRetry(5, 20 * DAY),
    }
    payment = payment_in(state, **retried)
    declined: dict[str, Any] = {
        "decline": STOLEN,
        "decline_count": 2,
        "payment_intent_id": "pi_1",
        "hold_id": "",
        "wake_time": None,
    }
    told = seen(In.DECLINED)
    expected = step(payment, "declined", S.DECLINED, charge_id="ch_1", **declined)
    assert reconciled(payment, told, decided=True) == expected
    assert reconciled(payment, told) is None
    # Another charge, or another reason, is another decline: but for one that is under way.
    for other in (replace(told, charge_id="ch_2"), replace(told, decline=BROKE)):
        change = reconciled(payment, other)
        assert (change is not None) is (state is S.REQUIRES_ACTION)
    bare = reconciled(payment, replace(told, charge_id=""), decided=True)
    assert bare == expected


def test_an_action_is_to_be_done_in_its_time() -> None:
    action = NextAction("https://bank.example/3ds")
    shown = seen(In.ACTION_REQUIRED, next_action=action)
    payment = payment_in(S.AUTHORIZING)
    assert reconciled(payment, shown, decided=True) == step(
        payment,
        "action_required",
        S.REQUIRES_ACTION,
        payment_intent_id="pi_1",
        charge_id="ch_1",
        next_action=action,
        wake_time=NOW + TIMING.action,
    )
    assert reconciled(payment, shown) is None


@pytest.mark.parametrize("expired", [False, True])
def test_what_was_canceled_holds_nothing(expired: bool) -> None:
    payment = payment_in(S.AUTHORIZED, authorized_minor=900)
    name, state = ("expired", S.EXPIRED) if expired else ("canceled", S.CANCELED)
    assert reconciled(payment, seen(In.CANCELED, expired=expired)) == step(
        payment,
        name,
        state,
        payment_intent_id="pi_1",
        charge_id="ch_1",
        authorized_minor=0,
        hold_id="",
    )


# What each state says all of; of every other, nothing is covered.
COVERED = {
    S.AUTHORIZED: {In.AUTHORIZED},
    S.PROCESSING: {In.PROCESSING, In.NOT_CONFIRMED},
    S.SUCCEEDED: set(In) - {In.CANCELED},
}


@pytest.mark.parametrize("state", PaymentState)
@pytest.mark.parametrize("status", IntentStatus)
def test_what_a_state_covers(state: PaymentState, status: IntentStatus) -> None:
    payment = payment_in(state, payment_intent_id="pi_1")
    covered = status in COVERED.get(state, set())
    assert covers(payment, seen(status, captured_minor=1000)) is covered
    assert not covers(payment, seen(status, payment_intent_id="pi_2"))
    # More was captured than is known.
    more = covers(payment, seen(status, captured_minor=1001))
    assert more is (covered and state is not S.SUCCEEDED)


@pytest.mark.parametrize(
    ("processing_for", "wait"),
    [
        (timedelta(0), 30 * MINUTE),
        (2 * HOUR, 30 * MINUTE),
        (4 * HOUR, HOUR),
        (24 * HOUR, 6 * HOUR),
        (30 * DAY, 6 * HOUR),
    ],
)
def test_looks_become_rarer(processing_for: timedelta, wait: timedelta) -> None:
    assert next_look_time(NOW - processing_for, NOW, 0.0) == NOW + wait
    assert next_look_time(NOW - processing_for, NOW, 0.5) == NOW + 1.5 * wait
    assert CREATED < NOW


@pytest.mark.parametrize("jitter", [-0.001, 1.0, 1.5])
def test_a_jitter_is_a_fraction(jitter: float) -> None:
    with pytest.raises(AssertionError):
        next_look_time(NOW, NOW, jitter)
