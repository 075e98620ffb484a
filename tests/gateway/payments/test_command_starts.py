"""What a command sets in motion, whole: the payment's step, the operation, the refund; and each
refusal with all that it tells."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.ids import RequestMetadata
from gateway.operations.operation import Operation, OperationKind, OperationState
from gateway.payments.domain.commands import (
    CommandContext,
    Start,
    start_cancel,
    start_capture,
    start_confirm,
    start_refund,
)
from gateway.payments.domain.destination_fees import Amount, TakingBack
from gateway.payments.domain.payment import Decline, NextAction, Payment
from gateway.payments.domain.refund import Refund, RefundCause, RefundState
from gateway.payments.domain.refusal import Refusal
from gateway.payments.domain.states import PaymentState
from tests.gateway.payments.outcomes import CAPTURE_BEFORE, CREATED, NOW, payment_in, step

S, K = PaymentState, OperationKind
CONTEXT = CommandContext(NOW, "op_9", "ref_9", 0, RequestMetadata("prod", "r-9", "f00d"))
ACTION = NextAction("https://bank.example/3ds")
URL = "https://shop.example/back"
AUTHORIZED = payment_in(
    S.AUTHORIZED,
    payment_intent_id="pi_1",
    authorized_minor=900,
    capture_before=CAPTURE_BEFORE,
)
WITH_FEE = replace(AUTHORIZED, destination_account="acct_1", application_fee_minor=70)
CAPTURED = payment_in(S.SUCCEEDED, payment_intent_id="pi_1", refunded_minor=100, refunding_minor=50)
TRANSFERRED = replace(CAPTURED, destination_account="acct_1", application_fee_captured_minor=70)


def asks(kind: OperationKind, deadline: timedelta, params: str = "{}", **values: Any) -> Operation:
    """The operation as a command leaves it: to be done at once."""
    return Operation(
        id="op_9",
        subject_id="pay_1",
        kind=kind,
        state=OperationState.PENDING,
        corridor="default",
        create_time=NOW,
        next_attempt_time=NOW,
        deadline=NOW + deadline,
        params=params,
        **values,
    )


@pytest.mark.parametrize("url", ["", URL])
def test_a_confirmation_goes_on_with_the_customers_action(url: str) -> None:
    payment = payment_in(S.REQUIRES_ACTION, next_action=ACTION, return_url=url, wake_time=NOW)
    change = step(payment, "confirmation_started", S.AUTHORIZING, next_action=ACTION)
    params = '{"expand":["latest_charge"]}'
    if url:
        params = f'{{"expand":["latest_charge"],"return_url":"{url}"}}'
    operation = asks(K.CONFIRM, timedelta(minutes=10), params)
    assert start_confirm(payment, CONTEXT) == Start(change.after, change, operation)


@pytest.mark.parametrize(
    "state", [S.PROCESSING, S.AUTHORIZED, S.CAPTURING, S.SUCCEEDED, S.DECLINED]
)
def test_where_the_customer_has_acted_there_is_nothing_to_do(state: PaymentState) -> None:
    payment = payment_in(state)
    assert start_confirm(payment, CONTEXT, URL) == Start(payment)


@pytest.mark.parametrize("url", ["", URL])
def test_a_customer_who_came_back_is_checked_anew(url: str) -> None:
    wanted = Decline("authentication_required", authentication_required=True)
    payment = payment_in(S.DECLINED, off_session=True, decline=wanted)
    change = step(
        payment,
        "customer_returned",
        S.RETRY_SCHEDULED,
        customer_returned=True,
        return_url=url,
    )
    operation = asks(K.CHECK, timedelta(minutes=10), queue_time=CREATED)
    expected = Start(change.after, change, operation)
    started = start_confirm(payment, CONTEXT, url) if url else start_confirm(payment, CONTEXT)
    assert started == expected
    assert expected.change == change


CAPTURE_PARAMS = (
    '{{"amount_to_capture":{0},"expand":["latest_charge.balance_transaction"],"metadata":'
    '{{"engine_capture_fingerprint":"f00d","engine_capture_request_id":"r-9",'
    '"engine_deployment":"prod"}}}}'
)
FEE_PARAMS = (
    '{{"amount_to_capture":{0},"application_fee_amount":{1},"expand":["latest_charge.balance_transaction"],"metadata":'
    '{{"engine_application_fee":"{2}","engine_capture_fingerprint":"f00d",'
    '"engine_capture_request_id":"r-9","engine_deployment":"prod"}}}}'
)


@pytest.mark.parametrize(
    ("payment", "amount", "fee", "captured", "params"),
    [
        (AUTHORIZED, None, None, 900, CAPTURE_PARAMS.format(900)),
        (AUTHORIZED, 899, None, 899, CAPTURE_PARAMS.format(899)),
        # Of a part the same share of the fee, rounded down: 70 * 500 / 1000, 70 * 900 / 1000.
        (WITH_FEE, 500, None, 500, FEE_PARAMS.format(500, 35, 70)),
        (WITH_FEE, None, None, 900, FEE_PARAMS.format(900, 63, 70)),
        (WITH_FEE, 500, 70, 500, CAPTURE_PARAMS.format(500)),
        (WITH_FEE, 500, 500, 500, FEE_PARAMS.format(500, 500, 70)),
        (WITH_FEE, 500, 0, 500, FEE_PARAMS.format(500, 0, 70)),
        (
            replace(WITH_FEE, application_fee_minor=None),
            *(500, 20, 500, FEE_PARAMS.format(500, 20, "none")),
        ),
    ],
)
def test_a_capture_is_for_as_long_as_the_money_is_held(
    payment: Payment, amount: int | None, fee: int | None, captured: int, params: str
) -> None:
    started = start_capture(
        payment,
        None if amount is None else Amount("EUR", amount),
        CONTEXT,
        None if fee is None else Amount("EUR", fee),
    )
    change = step(payment, "capture_started", S.CAPTURING)
    operation = asks(K.CAPTURE, timedelta(days=5), params, amount_minor=captured)
    assert started == Start(change.after, change, operation)


@pytest.mark.parametrize("state", [S.QUEUED, S.IN_REVIEW, S.RETRY_SCHEDULED])
@pytest.mark.parametrize("expires", [False, True])
def test_what_only_waits_is_canceled_by_itself(state: PaymentState, expires: bool) -> None:
    payment = payment_in(state, wake_time=NOW)
    name, after = ("expired", S.EXPIRED) if expires else ("canceled", S.CANCELED)
    change = step(payment, name, after)
    started = start_cancel(payment, CONTEXT, expires=expires)
    assert started == Start(change.after, change, withdraws=True)


@pytest.mark.parametrize("state", [S.REQUIRES_ACTION, S.PROCESSING, S.AUTHORIZED])
@pytest.mark.parametrize("expires", [False, True])
def test_what_is_at_stripe_is_canceled_there(state: PaymentState, expires: bool) -> None:
    action = ACTION if state is S.REQUIRES_ACTION else None
    payment = payment_in(state, next_action=action, wake_time=NOW)
    change = step(payment, "cancellation_started", S.CANCELING, next_action=action)
    why = "abandoned" if expires else "requested_by_customer"
    operation = asks(
        K.CANCEL,
        timedelta(days=2),
        f'{{"cancellation_reason":"{why}","expand":["latest_charge"]}}',
        expires_payment=expires,
    )
    started = start_cancel(payment, CONTEXT, expires=expires)
    assert started == Start(change.after, change, operation)
    if not expires:
        assert start_cancel(payment, CONTEXT) == started


REFUND_PARAMS = (
    '{{"amount":{0},"expand":[{1}],"metadata":{{"engine_deployment":"prod",'
    '"engine_fingerprint":"f00d","engine_payment_id":"pay_1",{2}"engine_refund_id":"ref_9",'
    '"engine_request_id":"r-9"}},"payment_intent":"pi_1"{3}}}'
)
PLAIN = '"balance_transaction"'
EXPANDED = '"balance_transaction","charge.application_fee","transfer_reversal.transfer"'
KEPT = '"engine_refund_application_fee":"none",'
REVERSES, TAKES_FEE = ',"reverse_transfer":true', ',"refund_application_fee":true'


@pytest.mark.parametrize(
    ("payment", "amount", "asked", "amount_minor", "takes_back", "params"),
    [
        (CAPTURED, None, (None, None), 850, (None, None), (PLAIN, "", "")),
        (CAPTURED, 850, (None, None), 850, (None, None), (PLAIN, "", "")),
        (CAPTURED, 1, (None, None), 1, (None, None), (PLAIN, "", "")),
        (
            *(TRANSFERRED, 300, (None, None), 300, (True, True)),
            (EXPANDED, "", f"{TAKES_FEE}{REVERSES}"),
        ),
        (TRANSFERRED, 300, (True, False), 300, (True, False), (EXPANDED, KEPT, REVERSES)),
        (TRANSFERRED, 300, (False, None), 300, (False, False), (EXPANDED, "", "")),
        (TRANSFERRED, 300, (False, True), 300, (False, True), (EXPANDED, "", TAKES_FEE)),
        (
            *(replace(TRANSFERRED, application_fee_captured_minor=0), 300, (None, None)),
            *(300, (True, None), (EXPANDED, "", REVERSES)),
        ),
    ],
)
def test_a_refund_is_of_so_much_and_takes_back_so_much(
    payment: Payment,
    amount: int | None,
    asked: tuple[bool | None, bool | None],
    amount_minor: int,
    takes_back: tuple[bool | None, bool | None],
    params: tuple[str, str, str],
) -> None:
    started = start_refund(
        payment,
        None if amount is None else Amount("EUR", amount),
        RefundCause.UNSPECIFIED,
        "r-9",
        CONTEXT,
        TakingBack(*asked),
    )
    change = step(payment, "refund_started", S.SUCCEEDED, refunding_minor=50 + amount_minor)
    refund = Refund(
        id="ref_9",
        request_id="r-9",
        payment_id="pay_1",
        state=RefundState.PENDING,
        amount_minor=amount_minor,
        cause=RefundCause.UNSPECIFIED,
        reverse_transfer=takes_back[0],
        refund_application_fee=takes_back[1],
        create_time=NOW,
        update_time=NOW,
    )
    operation = asks(
        K.REFUND,
        timedelta(days=7),
        REFUND_PARAMS.format(amount_minor, *params),
        refund_id="ref_9",
        amount_minor=amount_minor,
    )
    assert started == Start(change.after, change, operation, refund)


def test_a_refund_keeps_its_cause() -> None:
    started = start_refund(CAPTURED, None, RefundCause.DUPLICATE, "r-9", CONTEXT)
    assert isinstance(started, Start)
    assert started.refund is not None
    assert started.refund.cause is RefundCause.DUPLICATE


def refund_of(
    payment: Payment,
    amount: Amount | None = None,
    asked: TakingBack | None = None,
    **values: Any,
) -> Start | Refusal:
    return start_refund(
        payment,
        amount,
        RefundCause.UNSPECIFIED,
        "r-9",
        replace(CONTEXT, **values),
        asked or TakingBack(),
    )


EUR_901, USD_1 = Amount("EUR", 901), Amount("USD", 1)
LATE = replace(CONTEXT, now=CAPTURE_BEFORE)
REFUSED: dict[str, tuple[Callable[[], Start | Refusal], str, str, dict[str, str]]] = {
    "state": (
        lambda: start_capture(CAPTURED, None, CONTEXT),
        "INVALID_PAYMENT_STATE",
        "a payment that is SUCCEEDED cannot be asked to capture",
        {"payment_state": "SUCCEEDED", "action": "capture"},
    ),
    "currency of a capture": (
        lambda: start_capture(AUTHORIZED, USD_1, LATE),
        "CURRENCY_MISMATCH",
        "the payment is in EUR",
        {"expected_currency_code": "EUR", "currency_code": "USD"},
    ),
    "currency of a fee": (
        lambda: start_capture(WITH_FEE, None, LATE, USD_1),
        "CURRENCY_MISMATCH",
        "the payment is in EUR",
        {"expected_currency_code": "EUR", "currency_code": "USD"},
    ),
    "currency of a refund": (
        lambda: refund_of(CAPTURED, USD_1, refund_count=100),
        "CURRENCY_MISMATCH",
        "the payment is in EUR",
        {"expected_currency_code": "EUR", "currency_code": "USD"},
    ),
    "time": (
        lambda: start_capture(AUTHORIZED, EUR_901, LATE),
        "CAPTURE_WINDOW_OVER",
        "the time to capture this authorisation is over",
        {"capture_before_time": "2026-11-06T00:03:00+00:00"},
    ),
    "more than authorised": (
        lambda: start_capture(AUTHORIZED, EUR_901, CONTEXT, Amount("EUR", 1)),
        "AMOUNT_EXCEEDS_AUTHORIZED",
        "more than was authorised",
        {"limit_minor": "900", "requested_minor": "901"},
    ),
    "fee without a destination": (
        lambda: start_capture(AUTHORIZED, None, CONTEXT, Amount("EUR", 901)),
        "NO_DESTINATION_ACCOUNT",
        "the payment has no destination_account_id, which application_fee needs",
        {"field": "application_fee"},
    ),
    "fee of more than is captured": (
        lambda: start_capture(WITH_FEE, Amount("EUR", 500), CONTEXT, Amount("EUR", 501)),
        "APPLICATION_FEE_EXCEEDS_AMOUNT",
        "the application fee is more than what is captured",
        {"field": "application_fee", "limit_minor": "500", "requested_minor": "501"},
    ),
    "too many refunds": (
        lambda: refund_of(CAPTURED, None, refund_count=100, charged_back=True),
        "TOO_MANY_REFUNDS",
        "a payment has at most 100 refunds",
        {"limit": "100"},
    ),
    "disputed": (
        lambda: refund_of(replace(CAPTURED, disputed_minor=850), Amount("EUR", 851)),
        "PAYMENT_DISPUTED",
        "a dispute has taken this payment's money; it cannot be refunded",
        {"disputed_minor": "850"},
    ),
    "more than is left": (
        lambda: refund_of(replace(CAPTURED, disputed_minor=50), Amount("EUR", 801)),
        "AMOUNT_EXCEEDS_REFUNDABLE",
        "more than is left to refund",
        {"limit_minor": "800", "requested_minor": "801"},
    ),
    "nothing is left": (
        lambda: refund_of(replace(CAPTURED, refunded_minor=950)),
        "AMOUNT_EXCEEDS_REFUNDABLE",
        "more than is left to refund",
        {"limit_minor": "0", "requested_minor": "0"},
    ),
    "no transfer": (
        lambda: refund_of(
            CAPTURED, None, TakingBack(reverse_transfer=False, refund_application_fee=True)
        ),
        "NO_DESTINATION_ACCOUNT",
        "the payment has no destination_account_id, which reverse_transfer needs",
        {"field": "reverse_transfer"},
    ),
    "no transfer to take the fee of": (
        lambda: refund_of(CAPTURED, None, TakingBack(refund_application_fee=False)),
        "NO_DESTINATION_ACCOUNT",
        "the payment has no destination_account_id, which refund_application_fee needs",
        {"field": "refund_application_fee"},
    ),
    "no fee": (
        lambda: refund_of(
            replace(TRANSFERRED, application_fee_captured_minor=0),
            None,
            TakingBack(refund_application_fee=False),
        ),
        "NO_APPLICATION_FEE",
        "no application fee was taken of this payment, which refund_application_fee needs",
        {"field": "refund_application_fee"},
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_refusal_tells_all_that_a_client_needs(why: str) -> None:
    refused, reason, message, metadata = REFUSED[why]
    assert refused() == Refusal(reason, message, {"payment_id": "pay_1", **metadata})


def test_a_fee_of_all_and_a_transfer_that_stays_are_taken() -> None:
    assert isinstance(refund_of(TRANSFERRED, None, TakingBack(reverse_transfer=False)), Start)
    # A dispute has left one minor unit.
    assert isinstance(refund_of(replace(CAPTURED, disputed_minor=849)), Start)
    everything = start_capture(WITH_FEE, None, CONTEXT, Amount("EUR", 900))
    assert isinstance(everything, Start)
