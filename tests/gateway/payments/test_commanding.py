"""What commands start, and what they refuse, at every state and at the edge of every bound."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.operations.operation import OperationKind
from gateway.payments.domain.commands import (
    MAX_REFUNDS,
    CommandContext,
    Start,
    can_return,
    start_cancel,
    start_capture,
    start_confirm,
    start_refund,
)
from gateway.payments.domain.destination_fees import Amount
from gateway.payments.domain.payment import Decline, Payment
from gateway.payments.domain.refund import RefundCause
from gateway.payments.domain.refusal import Refusal
from gateway.payments.domain.states import HOLDING, PaymentState
from tests.gateway.payments.test_states import new_payment

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CONTEXT = CommandContext(NOW, "op_9", "ref_9", 0)
S = PaymentState
WANTS_CUSTOMER = Decline("authentication_required", authentication_required=True)


def in_state(state: PaymentState, **values: Any) -> Payment:
    """A payment as it stands in a state."""
    if state in HOLDING:
        values = {"hold_id": "op_1", "payment_intent_id": "pi_1", **values}
    if state in (S.AUTHORIZED, S.CAPTURING):
        values = {"authorized_minor": 1000, "capture_before": NOW + timedelta(days=1), **values}
    if state is S.SUCCEEDED:
        values = {"authorized_minor": 1000, "captured_minor": 1000, **values}
    return new_payment(state=state, **values)


def refund(
    payment: Payment, context: CommandContext, minor_units: int | None = None
) -> Start | Refusal:
    amount = None if minor_units is None else Amount("EUR", minor_units)
    return start_refund(payment, amount, RefundCause.UNSPECIFIED, "r-1", context)


COMMANDS: dict[str, tuple[Callable[[Payment], Start | Refusal], set[PaymentState]]] = {
    "confirm": (
        lambda payment: start_confirm(payment, CONTEXT),
        {S.REQUIRES_ACTION, S.PROCESSING, S.AUTHORIZED, S.CAPTURING, S.SUCCEEDED, S.DECLINED},
    ),
    "capture": (lambda payment: start_capture(payment, None, CONTEXT), {S.AUTHORIZED}),
    "cancel": (
        lambda payment: start_cancel(payment, CONTEXT),
        {
            *(S.QUEUED, S.IN_REVIEW, S.RETRY_SCHEDULED),
            *(S.REQUIRES_ACTION, S.PROCESSING, S.AUTHORIZED),
        },
    ),
    "refund": (lambda payment: refund(payment, CONTEXT), {S.SUCCEEDED}),
}


@pytest.mark.parametrize("state", PaymentState)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_taken_in_its_states_and_refused_in_all_others(
    command: str, state: PaymentState
) -> None:
    start, allowed = COMMANDS[command]
    payment = in_state(state)
    started = start(payment)
    if state in allowed:
        assert isinstance(started, Start)
        return
    assert isinstance(started, Refusal)
    assert started.reason == "INVALID_PAYMENT_STATE"
    assert started.metadata == {
        "payment_id": payment.id,
        "payment_state": state.value,
        "action": command,
    }


def test_a_capture_is_possible_until_its_last_moment() -> None:
    payment = in_state(S.AUTHORIZED)
    assert payment.capture_before is not None
    last = replace(CONTEXT, now=payment.capture_before - timedelta(microseconds=1))
    started = start_capture(payment, None, last)
    assert isinstance(started, Start)
    assert started.operation is not None
    assert started.operation.deadline == payment.capture_before
    over = start_capture(payment, None, replace(CONTEXT, now=payment.capture_before))
    assert isinstance(over, Refusal)
    assert over.reason == "CAPTURE_WINDOW_OVER"
    assert over.metadata["capture_before_time"] == payment.capture_before.isoformat()


@pytest.mark.parametrize(("minor_units", "taken"), [(1, True), (1000, True), (1001, False)])
def test_a_capture_takes_what_was_authorised_at_most(minor_units: int, taken: bool) -> None:
    started = start_capture(in_state(S.AUTHORIZED), Amount("EUR", minor_units), CONTEXT)
    assert isinstance(started, Start) is taken
    if isinstance(started, Refusal):
        assert started.reason == "AMOUNT_EXCEEDS_AUTHORIZED"


def test_another_currency_is_refused_before_the_amount() -> None:
    started = start_capture(in_state(S.AUTHORIZED), Amount("USD", 9999), CONTEXT)
    assert isinstance(started, Refusal)
    assert started.reason == "CURRENCY_MISMATCH"


def test_the_hundredth_refund_is_the_last() -> None:
    payment = in_state(S.SUCCEEDED)
    last = refund(payment, replace(CONTEXT, refund_count=MAX_REFUNDS - 1), 1)
    assert isinstance(last, Start)
    more = refund(payment, replace(CONTEXT, refund_count=MAX_REFUNDS), 1)
    assert isinstance(more, Refusal)
    assert (more.reason, more.metadata["limit"]) == ("TOO_MANY_REFUNDS", "100")


def test_refunds_under_way_count() -> None:
    payment = in_state(S.SUCCEEDED, refunded_minor=300, refunding_minor=500)
    assert isinstance(refund(payment, CONTEXT, 200), Start)
    refused = refund(payment, CONTEXT, 201)
    assert isinstance(refused, Refusal)
    assert refused.metadata["limit_minor"] == "200"
    everything = refund(payment, CONTEXT)
    assert isinstance(everything, Start)
    assert everything.refund is not None
    assert everything.refund.amount_minor == 200
    assert isinstance(refund(replace(payment, refunding_minor=700), CONTEXT), Refusal)


def test_only_an_absent_customer_who_was_wanted_can_come_back() -> None:
    payment = in_state(S.DECLINED, off_session=True, decline=WANTS_CUSTOMER)
    assert can_return(payment)
    started = start_confirm(payment, CONTEXT, "https://shop.example/back")
    assert isinstance(started, Start)
    assert started.operation is not None
    assert started.operation.kind is OperationKind.CHECK
    assert started.payment.customer_returned
    assert started.payment.return_url == "https://shop.example/back"
    for other in (
        replace(payment, off_session=False),
        replace(payment, decline=Decline("card_declined", "stolen_card")),
        in_state(S.RETRY_SCHEDULED, off_session=True, decline=WANTS_CUSTOMER),
    ):
        assert not can_return(other)
