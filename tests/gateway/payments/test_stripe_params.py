"""The parameters of the requests to Stripe, written out: every one of them is money, or whose.

Each table has a request as it must be with nothing optional, and what each option adds to it.
https://docs.stripe.com/api/payment_intents/create and the pages beside it.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.ids import NO_REQUEST, RequestMetadata
from gateway.payments.domain.payment import CaptureMethod, Payment
from gateway.payments.domain.refund import Refund, RefundCause, RefundState
from gateway.payments.domain.stripe_params import (
    authorize_params,
    cancel_params,
    capture_params,
    confirm_params,
    encode,
    payment_request_metadata,
    reattempt_params,
    refund_params,
    refunds_fee,
)
from tests.gateway.payments.test_states import new_payment

NOW = datetime(2026, 11, 1, tzinfo=UTC)
REQUEST = RequestMetadata("prod", "r-1", "f00d")
URL = "https://shop.example/back"

PLAIN_PAYMENT = {
    "amount": 1000,
    "currency": "eur",
    "payment_method": "pm_1",
    "allowed_payment_method_types": ["card"],
    "confirm": True,
    "capture_method": "automatic_async",
    "metadata": {"engine_payment_id": "pay_1"},
    "expand": ["latest_charge"],
}
# What a payment has, and what its request has beside PLAIN_PAYMENT or instead.
OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "none": ({}, {}),
    "manual capture": (
        {"capture_method": CaptureMethod.MANUAL},
        {"capture_method": "manual"},
    ),
    "saves the method": ({"save_payment_method": True}, {"setup_future_usage": "off_session"}),
    "customer is away": ({"off_session": True}, {"off_session": True}),
    "customer came back": ({"off_session": True, "customer_returned": True}, {}),
    "customer": ({"payment_method_customer": "cus_1"}, {"customer": "cus_1"}),
    "return url": ({"return_url": URL}, {"return_url": URL}),
    "description": ({"description": "Two chairs"}, {"description": "Two chairs"}),
    "suffix": (
        {"statement_descriptor_suffix": "CHAIRS"},
        {"statement_descriptor_suffix": "CHAIRS"},
    ),
    "destination": (
        {"destination_account": "acct_1"},
        {"transfer_data": {"destination": "acct_1"}},
    ),
    "fee": ({"application_fee_minor": 70}, {"application_fee_amount": 70}),
    "fee of nothing": ({"application_fee_minor": 0}, {"application_fee_amount": 0}),
    "no decimals": ({"currency": "JPY"}, {"currency": "jpy"}),
    # ISO 4217 has no decimals of it, Stripe two: https://docs.stripe.com/currencies#special-cases
    "other decimals at Stripe": (
        {"currency": "ISK", "application_fee_minor": 5},
        {"currency": "isk", "amount": 100_000, "application_fee_amount": 500},
    ),
    "metadata": (
        {
            "metadata": {"order": "7", "engine_payment_id": "forged", "engine_deployment": "x"},
            "request_metadata": {"engine_deployment": "prod"},
        },
        {
            "metadata": {
                "order": "7",
                "engine_payment_id": "pay_1",
                "engine_deployment": "prod",
            }
        },
    ),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_payment_is_asked_for_with_exactly_what_it_has(option: str) -> None:
    values, added = OPTIONS[option]
    assert authorize_params(new_payment(**values)) == {**PLAIN_PAYMENT, **added}


def test_all_that_a_payment_can_have_goes_into_one_request() -> None:
    alone = ("no decimals", "other decimals at Stripe", "customer came back")
    values: dict[str, Any] = {}
    expected: dict[str, Any] = dict(PLAIN_PAYMENT)
    for name, (has, added) in OPTIONS.items():
        if name not in alone:
            values |= has
            expected |= added
    assert authorize_params(new_payment(**values)) == expected


@pytest.mark.parametrize(
    ("values", "added"),
    [
        ({}, {}),
        ({"return_url": URL}, {"return_url": URL}),
        ({"off_session": True}, {"off_session": True}),
        # Nobody is there to be sent back.
        ({"off_session": True, "return_url": URL}, {"off_session": True}),
        (
            {"off_session": True, "customer_returned": True, "return_url": URL},
            {"return_url": URL},
        ),
    ],
)
def test_another_attempt_confirms_with_the_same_method(
    values: dict[str, Any], added: dict[str, Any]
) -> None:
    plain = {"payment_method": "pm_1", "expand": ["latest_charge"]}
    assert reattempt_params(new_payment(**values)) == {**plain, **added}


def test_a_confirmation_names_where_the_customer_comes_back_to() -> None:
    assert confirm_params(new_payment()) == {"expand": ["latest_charge"]}
    assert confirm_params(new_payment(return_url=URL)) == {
        "expand": ["latest_charge"],
        "return_url": URL,
    }


CAPTURE_METADATA = {
    "engine_deployment": "prod",
    "engine_capture_request_id": "r-1",
    "engine_capture_fingerprint": "f00d",
}


@pytest.mark.parametrize(
    ("made_with", "taken", "added", "noted"),
    [
        (None, None, {}, {}),
        (70, 70, {}, {}),
        # To Stripe no fee and one of nothing are the same.
        (0, None, {}, {}),
        (None, 0, {}, {}),
        (0, 0, {}, {}),
        (70, 35, {"application_fee_amount": 35}, {"engine_application_fee": "70"}),
        (70, None, {"application_fee_amount": 0}, {"engine_application_fee": "70"}),
        (70, 0, {"application_fee_amount": 0}, {"engine_application_fee": "70"}),
        (0, 1, {"application_fee_amount": 1}, {"engine_application_fee": "0"}),
        (None, 1, {"application_fee_amount": 1}, {"engine_application_fee": "none"}),
    ],
)
def test_a_capture_says_the_fee_where_it_is_another_than_before(
    made_with: int | None, taken: int | None, added: dict[str, Any], noted: dict[str, str]
) -> None:
    payment = new_payment(application_fee_minor=made_with)
    assert capture_params(payment, 500, taken, REQUEST) == {
        "amount_to_capture": 500,
        "metadata": {**CAPTURE_METADATA, **noted},
        "expand": ["latest_charge.balance_transaction"],
        **added,
    }


def test_a_capture_is_in_stripes_units() -> None:
    payment = new_payment(currency="ISK", application_fee_minor=4)
    params = capture_params(payment, 50, 3, REQUEST)
    assert params["amount_to_capture"] == 5000
    assert params["application_fee_amount"] == 300
    # What we note for ourselves is in our own units.
    assert params["metadata"]["engine_application_fee"] == "4"


def test_a_cancellation_says_why() -> None:
    wanted = {"cancellation_reason": "requested_by_customer", "expand": ["latest_charge"]}
    assert cancel_params(expired=False) == wanted
    abandoned = {"cancellation_reason": "abandoned", "expand": ["latest_charge"]}
    assert cancel_params(expired=True) == abandoned


def new_refund(**values: Any) -> Refund:
    return Refund(
        id="ref_1",
        request_id="r-1",
        payment_id="pay_1",
        state=RefundState.PENDING,
        amount_minor=300,
        create_time=NOW,
        update_time=NOW,
        **values,
    )


REFUND_METADATA = {
    "engine_deployment": "prod",
    "engine_request_id": "r-1",
    "engine_fingerprint": "f00d",
    "engine_payment_id": "pay_1",
    "engine_refund_id": "ref_1",
}
PLAIN_REFUND = {
    "payment_intent": "pi_1",
    "amount": 300,
    "expand": ["balance_transaction"],
    "metadata": REFUND_METADATA,
}
DESTINATION_EXPAND = [
    "balance_transaction",
    "charge.application_fee",
    "transfer_reversal.transfer",
]
KEEPS_FEE = {"metadata": {**REFUND_METADATA, "engine_refund_application_fee": "none"}}


@pytest.mark.parametrize(
    ("values", "added"),
    [
        ({}, {}),
        ({"cause": RefundCause.REQUESTED_BY_CUSTOMER}, {"reason": "requested_by_customer"}),
        ({"cause": RefundCause.DUPLICATE}, {"reason": "duplicate"}),
        ({"cause": RefundCause.FRAUDULENT}, {"reason": "fraudulent"}),
        ({"reverse_transfer": True}, {"reverse_transfer": True}),
        ({"reverse_transfer": False}, {}),
        (
            {"reverse_transfer": True, "refund_application_fee": True},
            {"reverse_transfer": True, "refund_application_fee": True},
        ),
        (
            {"reverse_transfer": True, "refund_application_fee": False},
            {"reverse_transfer": True, **KEEPS_FEE},
        ),
        (
            {"reverse_transfer": False, "refund_application_fee": True},
            {"refund_application_fee": True},
        ),
        # Without the transfer, to leave the fee is the default: nothing is noted.
        ({"reverse_transfer": False, "refund_application_fee": False}, {}),
        ({"reverse_transfer": None, "refund_application_fee": False}, {}),
    ],
)
def test_a_refund_is_asked_for_with_exactly_what_it_takes_back(
    values: dict[str, Any], added: dict[str, Any]
) -> None:
    payment = new_payment(payment_intent_id="pi_1")
    assert refund_params(payment, new_refund(**values), REQUEST) == {**PLAIN_REFUND, **added}


def test_a_refund_of_a_destination_charge_brings_what_was_taken_back() -> None:
    payment = new_payment(payment_intent_id="pi_1", destination_account="acct_1", currency="ISK")
    assert refund_params(payment, new_refund(), REQUEST) == {
        **PLAIN_REFUND,
        "amount": 30_000,
        "expand": DESTINATION_EXPAND,
    }


@pytest.mark.parametrize("reversal", ["trr_1", {"id": "trr_1"}])
@pytest.mark.parametrize("metadata", [None, {}, {"engine_refund_application_fee": "other"}])
def test_a_refund_that_took_the_transfer_back_took_the_fee(
    reversal: object, metadata: object
) -> None:
    told = {"transfer_reversal": reversal, "metadata": metadata}
    assert refunds_fee(charged_with_fee(), told) is True


def charged_with_fee(**values: Any) -> Payment:
    return new_payment(**{"destination_account": "acct_1", "application_fee_minor": 70, **values})


def test_a_refund_that_did_not_take_the_fee_back() -> None:
    kept = {"engine_refund_application_fee": "none"}
    payment = charged_with_fee()
    assert refunds_fee(payment, {"transfer_reversal": "trr_1", "metadata": kept}) is False
    assert refunds_fee(payment, {"transfer_reversal": None, "metadata": {}}) is False
    assert refunds_fee(payment, {}) is False


@pytest.mark.parametrize(
    "values",
    [
        {"destination_account": ""},
        {"application_fee_minor": None},
        {"application_fee_minor": 0},
        # The capture took none, whatever was asked for at first.
        {"application_fee_captured_minor": 0},
    ],
)
def test_where_no_fee_was_taken_none_is_taken_back(values: dict[str, Any]) -> None:
    assert refunds_fee(charged_with_fee(**values), {"transfer_reversal": "trr_1"}) is None


def test_what_the_engine_asks_for_by_itself_has_no_request() -> None:
    assert refund_params(new_payment(), new_refund(), NO_REQUEST)["metadata"] == {
        **REFUND_METADATA,
        "engine_deployment": "",
        "engine_request_id": "",
        "engine_fingerprint": "",
    }


def test_a_payment_carries_its_request_and_whose_it_is() -> None:
    assert payment_request_metadata(REQUEST, "m_1", "c_1") == {
        "engine_deployment": "prod",
        "engine_request_id": "r-1",
        "engine_fingerprint": "f00d",
        "engine_merchant_id": "m_1",
        "engine_customer_id": "c_1",
    }


def test_the_same_parameters_are_the_same_bytes() -> None:
    """Stripe compares the bytes of a resend with those of the first."""
    assert encode({"b": [1, True], "a": {"d": None, "c": "é"}}) == (
        '{"a":{"c":"\\u00e9","d":null},"b":[1,true]}'
    )
    assert encode({"a": 1, "b": 2}) == encode({"b": 2, "a": 1})
