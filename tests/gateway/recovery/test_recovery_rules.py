"""How a payment comes to where Stripe has it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.bookkeeping.facts import HoldForgotten, HoldPlaced, HoldReleased, ReleaseReason
from gateway.bookkeeping.ledger_log import LedgerHold
from gateway.ids import RequestMetadata, derived_id
from gateway.payments.domain.intents import IntentStatus
from gateway.payments.domain.money_facts import facts_of
from gateway.payments.domain.payment import (
    CaptureMethod,
    FailureCode,
    NextAction,
    Payment,
    PaymentFailure,
)
from gateway.payments.domain.processing import next_look_time
from gateway.payments.domain.reconcile import reconcile
from gateway.payments.domain.states import HOLDING, PaymentState
from gateway.recovery.rules import (
    LEFT_TO_A_PERSON,
    Fate,
    asking_attempt,
    attempt_id,
    carries_only_an_id,
    facts_of_left_holds,
    fate_of,
    is_behind,
    knows_charge,
    later_attempt,
    may_be_behind,
    standing_hold,
    steps_to_stripe,
    under_hold,
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


def test_the_hold_that_was_captured_is_that_of_the_charge() -> None:
    captured = replace(STANDING, is_captured=True, is_released=True)
    assert standing_hold((captured, LATER), "default") == FIRST


UNDER_WAY = replace(payment_in(PaymentState.AUTHORIZING), hold_id=FIRST, payment_intent_id="")
BEGUN = (CHECKED, FIRST)


@pytest.mark.parametrize(
    ("corridor", "holds", "expected"),
    [
        ("default", (), FIRST),
        ("default", (STANDING,), FIRST),
        ("default", (RELEASED,), FIRST),
        # A later attempt is lost: here, or through another corridor.
        ("default", (RELEASED, LATER), "op_later"),
        ("default", (RELEASED, replace(LATER, is_captured=True)), "op_later"),
        ("default", (RELEASED, replace(LATER, corridor="backup")), FIRST),
        ("backup", (RELEASED, replace(LATER, corridor="backup")), "op_later"),
        ("backup", (STANDING,), SECOND),
    ],
)
def test_what_is_under_way_has_asked_stripe_unless_a_later_attempt_has(
    corridor: str, holds: tuple[LedgerHold, ...], expected: str
) -> None:
    at_stripe = replace(RECEIVED, corridor=corridor)
    assert UNDER_WAY.corridor == "default"
    assert asking_attempt(UNDER_WAY, at_stripe, BEGUN, holds) == expected


def test_what_is_under_way_goes_on_where_a_later_attempt_has_led_it() -> None:
    assert steps_to_stripe(UNDER_WAY, RECEIVED, "pi_1", FIRST, NOW) == ([], None)
    at_stripe = replace(RECEIVED, corridor="backup")
    changes, operation = steps_to_stripe(UNDER_WAY, at_stripe, "pi_1", "op_later", NOW)
    facts = [fact for change in changes for fact in facts_of(change, NOW)]
    # The hold of the attempt before is released where it was placed.
    assert [(fact.id, fact.corridor) for fact in facts] == [
        (f"released.{FIRST}", "default"),
        ("hold.op_later", "backup"),
    ]
    assert changes[-1].after.state is PaymentState.AUTHORIZING
    assert operation is not None
    assert operation.id == "op_later"


@pytest.mark.parametrize("state", [PaymentState.REQUIRES_ACTION, PaymentState.PROCESSING])
def test_a_charge_is_booked_under_the_later_hold_and_the_earlier_is_released(
    state: PaymentState,
) -> None:
    payment = replace(payment_in(state), hold_id=FIRST)
    for status, last in (
        (IntentStatus.CAPTURED, "captured.op_later.1"),
        (IntentStatus.AUTHORIZED, "hold.op_later"),
    ):
        there = replace(seen(status), authorized_minor=10_00, captured_minor=10_00)
        change = reconcile(payment, there, NOW, TIMING, decided=False)
        assert change is not None
        moved, left = under_hold(change, "op_later", NOW)
        assert [fact.id for fact in left] == [f"released.{FIRST}"]
        facts = [fact.id for fact in facts_of(moved, NOW)]
        assert (facts[0], facts[-1]) == ("hold.op_later", last)
        assert (moved.after.hold_id != "") is (status is IntentStatus.AUTHORIZED)
        assert under_hold(change, FIRST, NOW) == (change, [])
        assert under_hold(change, None, NOW) == (change, [])


def test_holds_of_attempts_that_sent_nothing_are_released_where_they_stand() -> None:
    there = LedgerHold("op_there", "backup")
    captured = LedgerHold("op_captured", "default", is_captured=True)
    holds = (there, RELEASED, captured, LATER)
    placed, released = facts_of_left_holds(RECEIVED, [there.id], holds, LATER.id, NOW)
    assert isinstance(placed, HoldPlaced)
    assert isinstance(released, HoldReleased)
    assert (placed.corridor, placed.hold_id, placed.amount_minor) == ("backup", "op_there", 10_00)
    assert (released.requires, released.reason) == (placed.id, ReleaseReason.FAILED)
    assert (released.corridor, released.merchant_id) == ("backup", "merchant")


def test_a_hold_of_a_lost_attempt_is_forgotten_so_that_the_next_of_its_id_places_it_anew() -> None:
    there = LedgerHold("op_there", "backup", revision=2)
    (forgotten,) = facts_of_left_holds(RECEIVED, [FIRST], (there, LATER), LATER.id, NOW)
    assert isinstance(forgotten, HoldForgotten)
    assert (forgotten.id, forgotten.hold_revision) == ("forgotten.op_there.2", 2)
    assert (forgotten.corridor, forgotten.amount_minor) == ("backup", 10_00)
    placed = HoldPlaced(
        corridor="backup",
        currency=RECEIVED.currency,
        effective_time=NOW,
        payment_id=RECEIVED.id,
        merchant_id=RECEIVED.merchant_id,
        hold_id="op_there",
        amount_minor=10_00,
    )
    # Neither that, nor that it is released, has been reported.
    assert forgotten.id not in {placed.id, f"released.{placed.hold_id}"}
    assert forgotten.hold == placed.id


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


# What is explained by nothing that the database knows, once nothing is under way.
UNEXPLAINED = frozenset(PaymentState) - {*HOLDING, PaymentState.SUCCEEDED, *LEFT_TO_A_PERSON}


@pytest.mark.parametrize("state", PaymentState)
def test_stripe_is_asked_about_a_charge_that_nothing_known_explains(state: PaymentState) -> None:
    off_session = payment_in(state, payment_intent_id="pi_1", off_session=True)
    for payment in (off_session, payment_in(state)):
        for corridor in ("default", "backup"):
            asked = may_be_behind(payment, corridor, under_way=False)
            assert asked == (state in UNEXPLAINED or _went_on(payment, corridor))
            assert may_be_behind(payment, corridor, under_way=True) == _went_on(payment, corridor)


def _went_on(payment: Payment, corridor: str) -> bool:
    is_sent_first = payment.state is PaymentState.AUTHORIZING and not payment.payment_intent_id
    return is_sent_first and corridor != payment.corridor


@pytest.mark.parametrize("state", sorted(UNEXPLAINED))
def test_a_customer_who_was_there_may_have_paid_without_us(state: PaymentState) -> None:
    """With the client_secret of the PaymentIntent, on the merchant's page."""
    for values in ({"off_session": False}, {"off_session": True, "customer_returned": True}):
        payment = payment_in(state, payment_intent_id="pi_1", **values)
        assert not may_be_behind(payment, "default", under_way=False)
        # There is no secret of it elsewhere.
        assert may_be_behind(payment, "backup", under_way=False)


@pytest.mark.parametrize("under_way", [True, False])
def test_an_attempt_under_way_explains_no_charge_in_another_corridor(under_way: bool) -> None:
    """It was not sent there, and the payment went on elsewhere."""
    for corridor, expected in (("default", False), ("backup", True)):
        assert may_be_behind(UNDER_WAY, corridor, under_way=under_way) is expected
    there = replace(seen(IntentStatus.CAPTURED), payment_intent_id="pi_there")
    assert is_behind(UNDER_WAY, there, "backup", NOW, TIMING)
    refused = replace(there, status=IntentStatus.DECLINED)
    assert not is_behind(UNDER_WAY, refused, "backup", NOW, TIMING)


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


@pytest.mark.parametrize("status", AT_STRIPE)
def test_only_what_a_recovery_can_take_up_is_behind(status: IntentStatus) -> None:
    """Else the guard closed again after it."""
    for state in UNEXPLAINED:
        payment = payment_in(state, payment_intent_id="pi_1")
        expected = status in MONEY and fate(payment, status) is Fate.BEHIND
        assert is_behind(payment, seen(status), "default", NOW, TIMING) is expected
    for state in LEFT_TO_A_PERSON:
        for payment_intent_id in ("", "pi_1", "pi_2"):
            payment = payment_in(state, payment_intent_id=payment_intent_id)
            assert not is_behind(payment, seen(status), "default", NOW, TIMING)


REQUEST = RequestMetadata("default", "r", "f" * 32).as_metadata()


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"engine_payment_id": "pay_1"}, True),
        ({"engine_request_id": "r"}, True),
        ({"gateway_merchant_id": "shop-1"}, True),
        # A capture of this release of what an earlier one has authorised.
        ({"engine_payment_id": "pay_1", "engine_deployment": "default"}, True),
        ({"engine_payment_id": "pay_1", **REQUEST}, False),
        ({"gateway_merchant_id": "shop-1", **REQUEST}, False),
        ({"order": "1"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_what_an_earlier_release_made_carries_only_an_id(
    metadata: dict[str, str] | None, expected: bool
) -> None:
    assert carries_only_an_id({"metadata": metadata}) is expected


def test_a_charge_is_known_that_its_payment_stands_by() -> None:
    for state in PaymentState:
        payment = payment_in(state, charge_id="ch_1")
        refused = state in (*REFUSED, PaymentState.FAILED)
        assert knows_charge(payment, "ch_1") is not refused
        assert not knows_charge(payment, "ch_2")


def test_money_that_a_payment_is_not_to_have_is_left_to_a_person() -> None:
    canceled = payment_in(PaymentState.CANCELED)
    assert fate(canceled, IntentStatus.CAPTURED) is Fate.CONTRADICTED
    elsewhere = replace(payment_in(PaymentState.SUCCEEDED), payment_intent_id="pi_there")
    assert fate(elsewhere, IntentStatus.CAPTURED) is Fate.CONTRADICTED
    assert fate(elsewhere, IntentStatus.DECLINED) is Fate.FORGOTTEN
