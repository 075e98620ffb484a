"""How a payment comes to where Stripe has it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.bookkeeping.facts import HoldPlaced, HoldReleased, ReleaseReason
from gateway.bookkeeping.ledger_log import LedgerHold
from gateway.ids import derived_id
from gateway.payments.domain.intents import IntentStatus
from gateway.payments.domain.payment import (
    CaptureMethod,
    FailureCode,
    NextAction,
    Payment,
    PaymentFailure,
)
from gateway.payments.domain.processing import next_look_time
from gateway.payments.domain.states import HOLDING, PaymentState
from gateway.recovery.rules import (
    Fate,
    attempt_id,
    facts_of_left_holds,
    fate_of,
    later_attempt,
    standing_hold,
    steps_to_stripe,
)
from tests.gateway.payments import outcomes
from tests.gateway.payments.outcomes import CAPTURE_BEFORE, TIMING, payment_in, step
from tests.gateway.payments.test_reconcile_steps import seen

NOW = datetime(2026, 11, 29, tzinfo=UTC)
RECEIVED = Payment(
    id="pay_1",
    request_id="request-1",
    merchant_id="merchant",
    customer_id="customer",
    corridor="default",
    state=PaymentState.RECEIVED,
    currency="EUR",
    amount_minor=10_00,
    payment_method="pm_of_the_client",
    capture_method=CaptureMethod.AUTOMATIC,
    create_time=NOW,
    update_time=NOW,
)


def test_a_payment_that_was_failed_over_is_where_its_payment_intent_is() -> None:
    at_stripe = replace(
        RECEIVED, corridor="backup", payment_method="pm_there", destination_account="acct_there"
    )
    changes, operation = steps_to_stripe(RECEIVED, at_stripe, "pi_1", "op_asked", NOW)
    recovered = changes[-1].after
    assert recovered.state is PaymentState.AUTHORIZING
    assert (recovered.corridor, recovered.payment_method) == ("backup", "pm_there")
    assert recovered.destination_account == "acct_there"
    assert operation is not None
    assert operation.corridor == "backup"


def test_a_payment_in_its_own_corridor_keeps_what_its_client_has_said() -> None:
    at_stripe = replace(RECEIVED, payment_method="pm_there")
    changes, _ = steps_to_stripe(RECEIVED, at_stripe, "pi_1", "op_asked", NOW)
    assert changes[-1].after.payment_method == "pm_of_the_client"


CHECKED = derived_id("op", "pay_1")
FIRST = derived_id("op", CHECKED)
SECOND = derived_id("op", FIRST)
THIRD = derived_id("op", SECOND)


STANDING = LedgerHold(FIRST, "default")
RELEASED = LedgerHold(FIRST, "default", is_released=True)
LATER = LedgerHold("op_later", "default")


@pytest.mark.parametrize(
    ("known", "holds", "expected"),
    [
        # Nothing is known: as at the first try.
        ((), (), FIRST),
        ((CHECKED,), (), FIRST),
        # The ledger has the hold of a try that is lost.
        ((CHECKED,), (STANDING,), FIRST),
        ((), (RELEASED,), FIRST),
        ((CHECKED, FIRST), (RELEASED, LATER), "op_later"),
        # It has the hold of a try that the database knows: what was asked has come after it.
        ((CHECKED, FIRST), (RELEASED,), SECOND),
        ((CHECKED, FIRST), (STANDING,), SECOND),
        ((CHECKED, FIRST, SECOND), (RELEASED,), THIRD),
        ((CHECKED, FIRST, SECOND), (), THIRD),
        # Or in another corridor than the PaymentIntent.
        ((), (replace(STANDING, corridor="backup"),), SECOND),
        ((), (replace(STANDING, corridor="backup"), LATER), "op_later"),
    ],
)
def test_an_attempt_that_is_lost_has_an_id_that_nothing_else_has(
    known: tuple[str, ...], holds: tuple[LedgerHold, ...], expected: str
) -> None:
    assert attempt_id(RECEIVED, known, holds) == expected


def test_the_hold_that_stands_is_the_last_that_was_not_released() -> None:
    assert standing_hold((), "default") is None
    assert standing_hold((RELEASED,), "default") is None
    holds = (STANDING, LATER, replace(RELEASED, id="op_last"), LedgerHold("op_there", "backup"))
    assert standing_hold(holds, "default") == "op_later"


def test_holds_of_attempts_that_sent_nothing_are_released_where_they_stand() -> None:
    there = LedgerHold("op_there", "backup")
    captured = LedgerHold("op_captured", "default", is_captured=True)
    holds = (there, RELEASED, captured, LATER)
    placed, released = facts_of_left_holds(RECEIVED, holds, LATER.id, NOW)
    assert isinstance(placed, HoldPlaced)
    assert isinstance(released, HoldReleased)
    assert (placed.corridor, placed.hold_id, placed.amount_minor) == ("backup", "op_there", 10_00)
    assert (released.requires, released.reason) == (placed.id, ReleaseReason.FAILED)
    assert (released.corridor, released.merchant_id) == ("backup", "merchant")


REFUSED = (PaymentState.DECLINED, PaymentState.RETRY_SCHEDULED)
ACTION = NextAction()


@pytest.mark.parametrize("state", REFUSED)
def test_a_customer_who_came_back_is_waited_for(state: PaymentState) -> None:
    refused = payment_in(state, failure=PaymentFailure(FailureCode.OUTCOME_NOT_PERFORMED))
    shown = seen(IntentStatus.ACTION_REQUIRED, next_action=ACTION, charge_id="ch_2")
    assert later_attempt(refused, shown, outcomes.NOW, TIMING) == step(
        refused,
        "action_required",
        PaymentState.REQUIRES_ACTION,
        customer_returned=True,
        next_action=ACTION,
        wake_time=outcomes.NOW + TIMING.action,
        charge_id="ch_2",
        hold_id="pi_1",
        failure=None,
    )


@pytest.mark.parametrize("state", REFUSED)
def test_a_bank_that_decides_about_a_later_attempt_is_waited_for(state: PaymentState) -> None:
    refused = payment_in(state, charge_id="ch_1", capture_before=CAPTURE_BEFORE)
    shown = seen(IntentStatus.PROCESSING, charge_id="")
    assert later_attempt(refused, shown, outcomes.NOW, TIMING) == step(
        refused,
        "processing_started",
        PaymentState.PROCESSING,
        capture_before=None,
        wake_time=next_look_time(outcomes.NOW, outcomes.NOW, 0.0),
        hold_id="pi_1",
        failure=None,
    )


@pytest.mark.parametrize("state", PaymentState)
@pytest.mark.parametrize("status", IntentStatus)
def test_of_nothing_else_a_later_attempt_is_taken(
    state: PaymentState, status: IntentStatus
) -> None:
    waits = status in (IntentStatus.ACTION_REQUIRED, IntentStatus.PROCESSING)
    change = later_attempt(payment_in(state), seen(status), outcomes.NOW, TIMING)
    assert (change is not None) == (waits and state in REFUSED)


AT_STRIPE = tuple(IntentStatus)
MONEY = frozenset(AT_STRIPE) - {
    *(IntentStatus.NOT_CONFIRMED, IntentStatus.CANCELED, IntentStatus.DECLINED)
}


def fate(payment: Payment | None, status: IntentStatus | None) -> Fate:
    there = seen(status) if status is not None else None
    return fate_of(payment, there, NOW, TIMING)


def test_a_hold_is_over_when_stripe_has_nothing_of_its_payment() -> None:
    for state in PaymentState:
        assert fate(payment_in(state), None) is Fate.FORGOTTEN
    assert fate(None, None) is Fate.FORGOTTEN


@pytest.mark.parametrize("status", AT_STRIPE)
def test_a_payment_that_only_stripe_knows_is_to_be_rebuilt_first(status: IntentStatus) -> None:
    assert fate(None, status) is Fate.BEHIND


@pytest.mark.parametrize("status", AT_STRIPE)
def test_money_that_a_refused_payment_has_at_stripe_shows_that_an_attempt_is_lost(
    status: IntentStatus,
) -> None:
    for state in (PaymentState.DECLINED, PaymentState.RETRY_SCHEDULED):
        expected = Fate.BEHIND if status in MONEY else Fate.FORGOTTEN
        assert fate(payment_in(state), status) is expected


@pytest.mark.parametrize("status", AT_STRIPE)
def test_a_payment_that_has_another_hold_needs_no_second_one(status: IntentStatus) -> None:
    for state in HOLDING:
        assert fate(payment_in(state), status) is Fate.FORGOTTEN


def test_a_payment_that_was_never_sent_and_is_at_stripe_is_behind() -> None:
    waiting = replace(payment_in(PaymentState.QUEUED), payment_intent_id="")
    assert fate(waiting, IntentStatus.CAPTURED) is Fate.BEHIND


def test_money_that_a_payment_is_not_to_have_is_left_to_a_person() -> None:
    canceled = payment_in(PaymentState.CANCELED)
    assert fate(canceled, IntentStatus.CAPTURED) is Fate.CONTRADICTED
    elsewhere = replace(payment_in(PaymentState.SUCCEEDED), payment_intent_id="pi_there")
    assert fate(elsewhere, IntentStatus.CAPTURED) is Fate.CONTRADICTED
    assert fate(elsewhere, IntentStatus.DECLINED) is Fate.FORGOTTEN
