"""The application fee of a capture and what a refund takes back: the rules alone."""

import json
from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import RequestMetadata
from gateway.payments.api.messages import without_default_fee, without_default_taking_back
from gateway.payments.domain.commands import Start, start_capture, start_refund
from gateway.payments.domain.destination_fees import (
    Amount,
    TakenBack,
    TakingBack,
    default_fee,
    newly_taken_back,
    read_taken_back,
)
from gateway.payments.domain.intents import read_intent
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.refund import RefundCause
from gateway.payments.domain.refund_outcome import refund_made_elsewhere, refund_step
from gateway.payments.domain.refusal import Refusal
from gateway.payments.domain.states import PaymentState, Transition
from gateway.recovery.rules import lost_payment
from gateway.v1.payment_service_pb2 import CapturePaymentRequest, RefundPaymentRequest
from money.v1.money_pb2 import Money
from tests.gateway.payments.test_commanding import CONTEXT, in_state
from tests.gateway.payments.test_refund import CONTEXT as OUTCOME_CONTEXT

S = PaymentState
ACCOUNT = {"destination_account": "acct_1"}
BOTH = (None, True, False)


def held(fee: int | None = 70, **values: Any) -> Payment:
    return in_state(S.AUTHORIZED, **{**ACCOUNT, "application_fee_minor": fee, **values})


def paid(fee: int | None = 70, **values: Any) -> Payment:
    return in_state(S.SUCCEEDED, **{**ACCOUNT, "application_fee_minor": fee, **values})


def params_of(started: Start | Refusal) -> dict[str, Any]:
    assert isinstance(started, Start), started
    assert started.operation is not None
    params: dict[str, Any] = json.loads(started.operation.params)
    return params


def captured(payment: Payment, amount: int | None, fee: int | None = None) -> Start | Refusal:
    asked = None if amount is None else Amount("EUR", amount)
    return start_capture(payment, asked, CONTEXT, None if fee is None else Amount("EUR", fee))


@pytest.mark.parametrize(
    ("currency", "amount", "fee", "part", "share"),
    [
        ("EUR", 1000, 70, 1000, 70),
        ("EUR", 1000, 70, 999, 69),
        ("EUR", 1000, 70, 15, 1),
        ("EUR", 1000, 70, 14, 0),
        ("EUR", 1000, 70, 1, 0),
        # All of it is the platform's: of a part all of the part, and no more.
        ("EUR", 1000, 1000, 7, 7),
        # Three decimals end in 0, Malagasy ariary in 00; króna and shilling are whole at Stripe.
        ("KWD", 10_000, 1_000, 1_990, 190),
        ("MGA", 100_000, 10_000, 9_900, 900),
        ("ISK", 3, 1, 2, 0),
        ("JPY", 500, 50, 333, 33),
    ],
)
def test_of_a_part_the_default_is_the_same_share_rounded_down(
    currency: str, amount: int, fee: int, part: int, share: int
) -> None:
    payment = held(fee, currency=currency, amount_minor=amount, authorized_minor=amount)
    assert default_fee(payment, part) == share


@given(st.integers(1, 10**12), st.data())
def test_a_default_fee_is_never_more_than_its_share_or_the_amount(
    amount: int, data: st.DataObject
) -> None:
    fee, part = data.draw(st.integers(1, amount)), data.draw(st.integers(1, amount))
    share = default_fee(held(fee, amount_minor=amount, authorized_minor=amount), part)
    assert share == floor(Fraction(fee, amount) * part)
    assert share <= part


def test_the_fee_is_sent_with_a_capture_where_stripe_would_take_another() -> None:
    assert "application_fee_amount" not in params_of(captured(held(), None))
    assert "application_fee_amount" not in params_of(captured(held(), 1000))
    assert "application_fee_amount" not in params_of(captured(held(), 900, 70))
    # None and zero are the same to Stripe, and so are the requests.
    assert params_of(captured(held(None), 900, 0)) == params_of(captured(held(None), 900))
    for amount, fee, sent in ((500, None, 35), (500, 0, 0), (500, 500, 500), (None, 0, 0)):
        params = params_of(captured(held(), amount, fee))
        assert params["application_fee_amount"] == sent
        assert params["metadata"]["engine_application_fee"] == "70"
    params = params_of(captured(held(None), None, 12))
    assert params["application_fee_amount"] == 12
    assert params["metadata"]["engine_application_fee"] == "none"


def test_a_fee_that_cannot_be_is_refused_and_named() -> None:
    over = captured(held(), 500, 501)
    assert isinstance(over, Refusal)
    assert (over.reason, over.metadata["field"]) == (
        "APPLICATION_FEE_EXCEEDS_AMOUNT",
        "application_fee",
    )
    assert (over.metadata["limit_minor"], over.metadata["requested_minor"]) == ("500", "501")
    over = captured(held(), None, 1001)
    assert isinstance(over, Refusal)
    assert over.metadata["limit_minor"] == "1000"
    nowhere = captured(in_state(S.AUTHORIZED), None, 0)
    assert isinstance(nowhere, Refusal)
    assert (nowhere.reason, nowhere.metadata["field"]) == (
        "NO_DESTINATION_ACCOUNT",
        "application_fee",
    )
    other = start_capture(held(), None, CONTEXT, Amount("USD", 1))
    assert isinstance(other, Refusal)
    assert other.reason == "CURRENCY_MISMATCH"
    # What Stripe would take anyway is never refused.
    assert isinstance(captured(held(1000), 1), Start)


def refunded(payment: Payment, reverse: bool | None, fee: bool | None) -> Start | Refusal:
    asked = TakingBack(reverse, fee)
    return start_refund(payment, None, RefundCause.UNSPECIFIED, "r-1", CONTEXT, asked)


@pytest.mark.parametrize(
    ("reverse", "fee", "reverses", "returns"),
    [
        (None, None, True, True),
        (True, None, True, True),
        (True, True, True, True),
        (None, True, True, True),
        (None, False, True, False),
        (True, False, True, False),
        (False, None, False, False),
        (False, False, False, False),
    ],
)
def test_what_a_refund_takes_back(
    reverse: bool | None, fee: bool | None, *, reverses: bool, returns: bool
) -> None:
    started = refunded(paid(), reverse, fee)
    params = params_of(started)
    assert params.get("reverse_transfer", False) is reverses
    assert params.get("refund_application_fee", False) is returns
    assert isinstance(started, Start)
    assert started.refund is not None
    assert (started.refund.reverse_transfer, started.refund.refund_application_fee) == (
        reverses,
        returns,
    )


def test_without_a_fee_the_transfer_alone_is_taken_back() -> None:
    for payment in (paid(None), paid(70, application_fee_captured_minor=0)):
        for reverse in BOTH:
            params = params_of(refunded(payment, reverse, None))
            assert ("reverse_transfer" in params) is (reverse is not False)
            assert "refund_application_fee" not in params
        for fee in (True, False):
            refused = refunded(payment, None, fee)
            assert isinstance(refused, Refusal)
            assert (refused.reason, refused.metadata["field"]) == (
                "NO_APPLICATION_FEE",
                "refund_application_fee",
            )
    # A fee that the capture brought is one.
    late = paid(None, application_fee_captured_minor=5)
    assert params_of(refunded(late, None, None))["refund_application_fee"] is True


def test_without_a_destination_nothing_is_taken_back() -> None:
    payment = in_state(S.SUCCEEDED)
    params = params_of(refunded(payment, None, None))
    assert not {"reverse_transfer", "refund_application_fee"} & params.keys()
    assert params["expand"] == ["balance_transaction"]
    for reverse, fee, field in (
        (True, None, "reverse_transfer"),
        (False, None, "reverse_transfer"),
        (None, True, "refund_application_fee"),
        (None, False, "refund_application_fee"),
    ):
        refused = refunded(payment, reverse, fee)
        assert isinstance(refused, Refusal)
        assert (refused.reason, refused.metadata["field"]) == ("NO_DESTINATION_ACCOUNT", field)


def money(minor_units: int) -> Money:
    return Money(currency_code="EUR", minor_units=minor_units)


def test_a_default_that_is_written_out_is_the_same_capture() -> None:
    plain = CapturePaymentRequest(request_id="r", payment_id="p", amount=money(500))
    for fee, payment in ((35, held()), (0, held(None)), (35, paid()), (0, held(1))):
        said = CapturePaymentRequest(
            request_id="r", payment_id="p", amount=money(500), application_fee=money(fee)
        )
        assert without_default_fee(said, payment) == plain
    said = CapturePaymentRequest(request_id="r", payment_id="p", application_fee=money(70))
    assert without_default_fee(said, held()) == CapturePaymentRequest(
        request_id="r", payment_id="p"
    )
    for fee in (34, 36, 0, 70):
        other = CapturePaymentRequest(
            request_id="r", payment_id="p", amount=money(500), application_fee=money(fee)
        )
        assert without_default_fee(other, held()) == other
    # Where it is refused, it is not left out.
    elsewhere = CapturePaymentRequest(request_id="r", payment_id="p", application_fee=money(0))
    assert without_default_fee(elsewhere, in_state(S.AUTHORIZED)) == elsewhere


def test_requests_that_are_equal_send_the_same_and_others_do_not() -> None:
    """For each payment, what is sent is the same exactly if the requests mean the same."""
    for payment in (paid(), paid(None), paid(9, application_fee_captured_minor=0)):
        forms: dict[bytes, str] = {}
        for reverse in BOTH:
            for fee in BOTH:
                if reverse is False and fee is True:
                    continue
                started = refunded(payment, reverse, fee)
                if isinstance(started, Refusal):
                    continue
                request = RefundPaymentRequest(
                    request_id="r", payment_id="p", reverse_transfer=reverse,
                    refund_application_fee=fee,
                )  # fmt: skip
                form = without_default_taking_back(request, payment)
                params = json.dumps(params_of(started), sort_keys=True)
                assert forms.setdefault(form.SerializeToString(), params) == params
        assert len(set(forms.values())) == len(forms)
    plain = RefundPaymentRequest(request_id="r", payment_id="p", reverse_transfer=True)
    assert without_default_taking_back(plain, in_state(S.SUCCEEDED)) == plain


def told(reversed_: int, returned: int) -> dict[str, Any]:
    """A refund at Stripe with what it expands to."""
    return {
        "id": "re_1",
        "status": "succeeded",
        "amount": 400,
        "balance_transaction": "txn_1",
        "transfer_reversal": {
            "id": "trr_1",
            "transfer": {"amount_reversed": reversed_, "currency": "usd"},
        },
        "charge": {"application_fee": {"amount_refunded": returned, "currency": "usd"}},
    }


def test_what_was_taken_back_is_read_and_never_becomes_less() -> None:
    payment = paid(refunding_minor=400)
    first = newly_taken_back(payment, read_taken_back(told(400, 28)))
    payment = replace(payment, **first)
    assert (payment.transfer_reversed_minor, payment.transfer_reversed_currency) == (400, "USD")
    assert (payment.application_fee_refunded_minor, payment.application_fee_refunded_currency) == (
        28,
        "USD",
    )
    assert newly_taken_back(payment, read_taken_back(told(300, 20))) == {}
    for silent in ({}, {"charge": "ch_1", "transfer_reversal": "trr_1"}, {"charge": None}):
        assert read_taken_back(silent) == TakenBack()
    # A part of a minor unit is left to the sweep.
    half = told(0, 0)
    half["transfer_reversal"]["transfer"] = {"amount_reversed": 150, "currency": "isk"}
    assert read_taken_back(half).transfer_minor == 0


def test_news_of_it_alone_is_a_step_of_its_own() -> None:
    stripe_refund = told(400, 28)
    refund, started = refund_made_elsewhere(paid(), stripe_refund, "ref_1", "", OUTCOME_CONTEXT)
    assert refund.refund_application_fee is None
    change = refund_step(started.after, refund, refund, OUTCOME_CONTEXT, stripe_refund)
    assert change is not None
    assert change.transition is Transition.REFUND_UPDATED
    assert refund_step(change.after, refund, refund, OUTCOME_CONTEXT, stripe_refund) is None


def intent(**values: Any) -> dict[str, Any]:
    """A captured PaymentIntent of ours."""
    metadata = RequestMetadata("d", "r-1", "f").as_metadata()
    return {
        "id": "pi_1",
        "status": "succeeded",
        "created": 1,
        "currency": "eur",
        "amount": 1000,
        "amount_received": 500,
        "latest_charge": "ch_1",
        "transfer_data": {"destination": "acct_1"},
        "metadata": {**metadata, "engine_payment_id": "pay_1", **values.pop("metadata", {})},
        **values,
    }


def test_the_fee_that_was_captured_is_what_stripe_says_and_no_more_than_the_amount() -> None:
    assert read_intent(intent()).application_fee_minor is None
    assert read_intent(intent(application_fee_amount=0)).application_fee_minor == 0
    assert read_intent(intent(application_fee_amount=70)).application_fee_minor == 70
    assert read_intent(intent(application_fee_amount=900)).application_fee_minor == 500
    charge = {"id": "ch_1", "application_fee_amount": 35}
    seen = read_intent(intent(application_fee_amount=70, latest_charge=charge))
    assert seen.application_fee_minor == 35


def test_a_lost_payment_has_the_fee_that_it_was_made_with() -> None:
    for metadata, fee in (
        ({}, 35),
        ({"engine_application_fee": "70"}, 70),
        ({"engine_application_fee": "none"}, None),
    ):
        lost = lost_payment(intent(application_fee_amount=35, metadata=metadata), "default")
        assert lost is not None
        assert lost.application_fee_minor == fee
