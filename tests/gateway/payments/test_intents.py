"""What is read of a PaymentIntent: every field, and what is missing, null or in part."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.payments.domain.intents import (
    INTENT_STATUSES,
    IntentSnapshot,
    IntentStatus,
    UnreadableIntentError,
    decline_of,
    id_of,
    read_intent,
)
from gateway.payments.domain.payment import Decline, NextAction

# https://docs.stripe.com/payments/paymentintents/lifecycle
STATUSES = {
    "requires_confirmation": "NOT_CONFIRMED",
    "requires_action": "ACTION_REQUIRED",
    "processing": "PROCESSING",
    "requires_capture": "AUTHORIZED",
    "succeeded": "CAPTURED",
    "canceled": "CANCELED",
    "requires_payment_method": "DECLINED",
}


def shown(status: str = "processing", **values: Any) -> dict[str, Any]:
    return {"id": "pi_1", "status": status, "currency": "eur", **values}


def snapshot(status: str = "PROCESSING", **values: Any) -> IntentSnapshot:
    return IntentSnapshot(
        **{
            "status": IntentStatus(status),
            "payment_intent_id": "pi_1",
            "charge_id": "",
            "currency": "EUR",
            "authorized_minor": 0,
            "captured_minor": 0,
            "capture_before": None,
            "expired": False,
            "next_action": NextAction() if status == "ACTION_REQUIRED" else None,
            "decline": Decline("") if status == "DECLINED" else None,
            "application_fee_minor": None,
            **values,
        }
    )


@pytest.mark.parametrize("status", STATUSES)
def test_a_bare_payment_intent_says_where_it_is_and_nothing_else(status: str) -> None:
    assert read_intent(shown(status)) == snapshot(STATUSES[status])
    nulls = dict.fromkeys(
        (
            *("latest_charge", "amount_received", "amount_capturable", "application_fee_amount"),
            *("next_action", "client_secret", "last_payment_error", "cancellation_reason"),
        )
    )
    assert read_intent(shown(status, **nulls)) == snapshot(STATUSES[status])


def test_what_has_no_currency_has_none() -> None:
    for told in ({"id": "pi_1", "status": "processing"}, shown(currency=None)):
        assert read_intent(told) == snapshot(currency="")


def test_every_status_is_read() -> None:
    assert {name: status.value for name, status in INTENT_STATUSES.items()} == STATUSES


@pytest.mark.parametrize("status", ["", "requires_source", None])
def test_a_status_that_is_not_known_is_not_guessed(status: str | None) -> None:
    with pytest.raises(UnreadableIntentError, match=r"^status .* of 'pi_1'$") as raised:
        read_intent(shown(status="processing") | {"status": status})
    assert repr(status) in str(raised.value)


DEADLINE = datetime(2026, 11, 8, tzinfo=UTC)


def charge(**values: Any) -> dict[str, Any]:
    card = {"capture_before": int(DEADLINE.timestamp())}
    return {"id": "ch_1", "payment_method_details": {"card": card}, **values}


@pytest.mark.parametrize(
    ("status", "values", "read"),
    [
        ("requires_capture", {"amount_capturable": 900}, {"authorized_minor": 900}),
        # It may capture less than it has authorised, and then as much was authorised at least.
        (
            "succeeded",
            {"amount_received": 700},
            {"captured_minor": 700, "authorized_minor": 700},
        ),
        (
            "succeeded",
            {"amount_received": 700, "amount_capturable": 900},
            {"captured_minor": 700, "authorized_minor": 900},
        ),
        (
            "requires_capture",
            {"amount_received": 700, "amount_capturable": 300},
            {"captured_minor": 700, "authorized_minor": 300},
        ),
        (
            "succeeded",
            {"currency": "isk", "amount_received": 70_000, "application_fee_amount": 500},
            {
                "currency": "ISK",
                "captured_minor": 700,
                "authorized_minor": 700,
                "application_fee_minor": 5,
            },
        ),
        ("processing", {"latest_charge": "ch_1"}, {"charge_id": "ch_1"}),
        ("processing", {"latest_charge": charge()}, {"charge_id": "ch_1"}),
    ],
)
def test_amounts_and_the_charge(status: str, values: dict[str, Any], read: dict[str, Any]) -> None:
    expanded = isinstance(values.get("latest_charge"), dict)
    deadline = {"capture_before": DEADLINE} if expanded else {}
    expected = snapshot(STATUSES[status], **read, **deadline)
    assert read_intent(shown(status, **values)) == expected


@pytest.mark.parametrize(
    "values",
    [{"amount_received": 50}, {"amount_capturable": 50}, {"application_fee_amount": 50}],
)
def test_a_part_of_a_minor_unit_is_not_read(values: dict[str, Any]) -> None:
    received = {"amount_received": 100} | values
    with pytest.raises(UnreadableIntentError, match=r"50 ISK .* in 'pi_1'"):
        read_intent(shown("succeeded", currency="isk", **received))


@pytest.mark.parametrize(
    ("asked", "at_charge", "received", "fee"),
    [
        (70, None, 1000, 70),
        # As the charge says if it is expanded: a capture can take another than was asked for.
        (70, 35, 1000, 35),
        (70, 0, 1000, 0),
        (None, 35, 1000, 35),
        # Stripe takes no more of a part than the part.
        (70, None, 69, 69),
        (70, 71, 70, 70),
        (70, None, None, 0),
        (0, None, 1000, 0),
        (None, None, 1000, None),
    ],
)
def test_the_application_fee_that_the_capture_took(
    asked: int | None, at_charge: int | None, received: int | None, fee: int | None
) -> None:
    told = shown(
        "succeeded",
        application_fee_amount=asked,
        amount_received=received,
        latest_charge=charge(application_fee_amount=at_charge),
    )
    assert read_intent(told).application_fee_minor == fee


@pytest.mark.parametrize(
    ("told", "deadline"),
    [
        ("ch_1", None),
        ({"id": "ch_1"}, None),
        ({"id": "ch_1", "payment_method_details": None}, None),
        ({"id": "ch_1", "payment_method_details": {"card": None}}, None),
        ({"id": "ch_1", "payment_method_details": {"card": {}}}, None),
        ({"id": "ch_1", "payment_method_details": {"card": {"capture_before": None}}}, None),
        (charge(), DEADLINE),
    ],
)
def test_the_networks_deadline_for_a_capture(told: Any, deadline: datetime | None) -> None:
    read = read_intent(shown("requires_capture", latest_charge=told))
    assert (read.charge_id, read.capture_before) == ("ch_1", deadline)


@pytest.mark.parametrize(
    ("reason", "expired"),
    [
        ("automatic", True),
        ("expired", True),
        ("requested_by_customer", False),
        ("abandoned", False),
        (None, False),
    ],
)
def test_who_canceled(reason: str | None, expired: bool) -> None:
    assert read_intent(shown("canceled", cancellation_reason=reason)).expired is expired


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"redirect_to_url": {"url": "https://bank.example"}}, NextAction("https://bank.example")),
        ({"redirect_to_url": {"url": ""}}, NextAction("", "pi_1_secret")),
        ({"redirect_to_url": {}}, NextAction("", "pi_1_secret")),
        ({"redirect_to_url": None}, NextAction("", "pi_1_secret")),
        ({"type": "use_stripe_sdk"}, NextAction("", "pi_1_secret")),
        (None, NextAction("", "pi_1_secret")),
    ],
)
def test_what_the_customer_is_to_do(action: Any, expected: NextAction) -> None:
    told = {"next_action": action, "client_secret": "pi_1_secret"}
    assert read_intent(shown("requires_action", **told)).next_action == expected
    # The secret is for the customer's browser alone, and only while it needs it.
    assert read_intent(shown("requires_capture", **told)).next_action is None


ERROR = {
    "code": "card_declined",
    "decline_code": "insufficient_funds",
    "advice_code": "try_again_later",
    "network_advice_code": "02",
    "payment_method": {"card": {"brand": "visa", "fingerprint": "fp_1"}},
}


def test_all_that_a_decline_says() -> None:
    read = read_intent(shown("requires_payment_method", last_payment_error=ERROR))
    assert read.decline == Decline(
        code="card_declined",
        decline_code="insufficient_funds",
        advice_code="try_again_later",
        authentication_required=False,
        network_advice_code="02",
        card_brand="visa",
        card_fingerprint="fp_1",
    )
    # An error that lies behind it says nothing about where it is now.
    assert read_intent(shown("succeeded", last_payment_error=ERROR)).decline is None


@pytest.mark.parametrize("method", [None, {}, {"card": None}, {"card": {}}])
def test_a_decline_without_a_card(method: Any) -> None:
    error = {"code": "card_declined", "payment_method": method}
    read = read_intent(shown("requires_payment_method", last_payment_error=error))
    assert read.decline == Decline("card_declined")


@pytest.mark.parametrize(
    ("code", "decline_code", "wanted"),
    [
        ("authentication_required", "", True),
        ("card_declined", "authentication_required", True),
        ("card_declined", "authentication_required_", False),
        ("card_declined", "stolen_card", False),
    ],
)
def test_whether_the_customer_is_wanted(code: str, decline_code: str, wanted: bool) -> None:
    expected = Decline(code, decline_code, "advice", authentication_required=wanted)
    assert decline_of(code, decline_code, "advice") == expected


@pytest.mark.parametrize(
    ("related", "name"),
    [("ch_1", "ch_1"), ({"id": "ch_1"}, "ch_1"), (None, ""), ({}, ""), ({"id": 7}, ""), (7, "")],
)
def test_the_id_of_what_may_be_expanded(related: Any, name: str) -> None:
    assert id_of(related) == name
