"""Requests that break a rule are refused by field, and nothing is written or asked."""

from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.money_pb2 import Money
from gateway.v1.payment_pb2 import CorridorAlternative, PaymentMethod, UnavailablePolicy
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError, Shop, create_request, euros

QUEUE = UnavailablePolicy.UNAVAILABLE_POLICY_QUEUE


def alternative(corridor: str, token: str = "pm_1") -> CorridorAlternative:
    return CorridorAlternative(corridor=corridor, payment_method=PaymentMethod(token=token))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"request_id": ""}, "request_id"),
    ({"request_id": "r" * 129}, "request_id"),
    ({"request_id": "a b"}, "request_id"),
    ({"merchant_id": ""}, "merchant_id"),
    ({"merchant_id": "m:1"}, "merchant_id"),
    ({"customer_id": "c" * 65}, "customer_id"),
    ({"amount": None}, "amount"),
    ({"amount": euros(0)}, "amount.minor_units"),
    ({"amount": euros(-5)}, "amount.minor_units"),
    ({"amount": euros(100_000_000)}, "amount.minor_units"),
    ({"amount": Money(currency_code="eur", minor_units=1)}, "amount.currency_code"),
    ({"amount": Money(currency_code="XXX", minor_units=1)}, "amount.currency_code"),
    ({"amount": Money(currency_code="ISK", minor_units=1)}, "amount.currency_code"),
    ({"amount": Money(currency_code="KWD", minor_units=1001)}, "amount.currency_code"),
    ({"payment_method": None}, "payment_method"),
    ({"payment_method": PaymentMethod(token="4242 4242")}, "payment_method.token"),
    ({"capture_method": 9}, "capture_method"),
    ({"return_url": "javascript:alert(1)"}, "return_url"),
    ({"return_url": "https://[bad"}, "return_url"),
    ({"return_url": "https://shop.example", "off_session": True}, "return_url"),
    ({"queue_timeout": Duration(seconds=60)}, "queue_timeout"),
    ({"queue_timeout": Duration(seconds=90_000), "unavailable_policy": QUEUE}, "queue_timeout"),
    ({"queue_timeout": Duration(seconds=-1), "unavailable_policy": QUEUE}, "queue_timeout"),
    ({"description": "x" * 1001}, "description"),
    ({"description": "a\x00b"}, "description"),
    ({"statement_descriptor_suffix": "12*34"}, "statement_descriptor_suffix"),
    ({"statement_descriptor_suffix": "1234"}, "statement_descriptor_suffix"),
    ({"metadata": {"engine_payment_id": "x"}}, "metadata"),
    ({"metadata": {str(n): "" for n in range(21)}}, "metadata"),
    ({"destination_account": "cus_1"}, "destination_account"),
    ({"application_fee": euros(1)}, "application_fee"),
    (
        {"application_fee": euros(2001), "destination_account": "acct_1"},
        "application_fee",
    ),
    ({"corridor": "EU"}, "corridor"),
    ({"billing_country_code": "de"}, "billing_country_code"),
    ({"billing_country_code": "DEU"}, "billing_country_code"),
    ({"alternatives": [alternative("us", token="")]}, "alternatives[0].payment_method.token"),
    ({"alternatives": [alternative("")]}, "alternatives[0].corridor"),
    ({"alternatives": [alternative("us"), alternative("us")]}, "alternatives"),
    ({"alternatives": [alternative("us")], "corridor": "us"}, "alternatives"),
    ({"alternatives": [alternative("us")], "stay_in_corridor": True}, "alternatives"),
    ({"alternatives": [alternative("us")], "destination_account": "acct_1"}, "alternatives"),
    ({"alternatives": [alternative(f"c{n}") for n in range(9)]}, "alternatives"),
]


async def test_every_wrong_field_is_named_and_nothing_is_written(
    shop: Shop, twin: Twin, compliance: FakeCompliance
) -> None:
    for fields, field in WRONG:
        with pytest.raises(RefusedError) as refused:
            await shop.create(**fields)
        error = refused.value.error
        assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST"), fields
        assert field in [violation.field for violation in error.violations], fields
    assert not compliance.requests
    assert not twin.requests.matching("POST")
    listed = await shop.stub.ListPayments(pb.ListPaymentsRequest())
    assert not listed.payments


async def test_text_that_is_not_utf_8_is_refused(shop: Shop) -> None:
    raw = create_request(description="valid").SerializeToString().replace(b"valid", b"va\xffid")
    send: Any = shop.channel.unary_unary("/gateway.v1.PaymentService/CreatePayment")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await send(raw)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "description" in (refused.value.details() or "")


async def test_an_unknown_corridor_is_not_found(shop: Shop) -> None:
    with pytest.raises(RefusedError) as refused:
        await shop.create(corridor="mars")
    assert refused.value.error.reason == "CORRIDOR_NOT_FOUND"


async def test_another_currency_cannot_be_captured_or_refunded(shop: Shop) -> None:
    payment = await shop.create()
    request = pb.RefundPaymentRequest(request_id="refund-1", payment_id=payment.id)
    request.amount.CopyFrom(Money(currency_code="USD", minor_units=1))
    with pytest.raises(RefusedError) as refused:
        await shop.call("RefundPayment", request)
    assert refused.value.error.reason == "CURRENCY_MISMATCH"


async def test_a_payment_that_does_not_exist_is_not_found(shop: Shop) -> None:
    for method in ("ConfirmPayment", "CapturePayment", "CancelPayment", "RefundPayment"):
        request = getattr(pb, f"{method}Request")(
            request_id="some-1", payment_id="pay_00000000000000000000000000"
        )
        with pytest.raises(RefusedError) as refused:
            await shop.call(method, request)
        assert refused.value.error.reason == "PAYMENT_NOT_FOUND"


async def test_currencies_reach_stripe_in_its_units(shop: Shop, twin: Twin) -> None:
    amounts = [("JPY", 500), ("KWD", 12_340), ("USD", 50)]
    for currency, minor_units in amounts:
        payment = await shop.create(amount=Money(currency_code=currency, minor_units=minor_units))
        assert payment.amount_captured.minor_units == minor_units
    intents = twin.books()["default"]["payment_intents"]
    assert [(i["currency"].upper(), i["amount"]) for i in intents] == amounts
