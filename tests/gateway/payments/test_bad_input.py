"""Requests that break a rule are refused by field, and nothing is written or asked."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.payment_pb2 import (
    CaptureMethod,
    CorridorAlternative,
    DeclineRetry,
    MandateAcceptance,
    Payment,
    PaymentMethod,
    PaymentMethodType,
    PaymentState,
    UnavailablePolicy,
)
from money.v1.money_pb2 import Money
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError, Shop, create_request, euros

MANUAL = CaptureMethod.CAPTURE_METHOD_MANUAL
QUEUE = UnavailablePolicy.UNAVAILABLE_POLICY_QUEUE


def alternative(corridor: str, token: str = "pm_1") -> CorridorAlternative:
    return CorridorAlternative(corridor=corridor, payment_method=PaymentMethod(token=token))


def retry(max_attempts: int, seconds: int) -> DeclineRetry:
    return DeclineRetry(max_attempts=max_attempts, window=Duration(seconds=seconds))


SEPA = PaymentMethodType.PAYMENT_METHOD_TYPE_SEPA_DEBIT
BACS = PaymentMethodType.PAYMENT_METHOD_TYPE_BACS_DEBIT


def debit(kind: "PaymentMethodType.ValueType") -> dict[str, Any]:
    return {
        "payment_method": PaymentMethod(token="pm_1", type=kind),
        "mandate_acceptance": MandateAcceptance(),
    }


def pounds(minor_units: int) -> Money:
    return Money(currency_code="GBP", minor_units=minor_units)


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
    ({"amount": euros(1_000_000_000_000)}, "amount.minor_units"),
    ({"amount": Money(currency_code="ISK", minor_units=10_000_000_000)}, "amount.minor_units"),
    ({"amount": Money(currency_code="eur", minor_units=1)}, "amount.currency_code"),
    ({"amount": Money(currency_code="XXX", minor_units=1)}, "amount.currency_code"),
    ({"amount": Money(currency_code="MGA", minor_units=5_050)}, "amount.currency_code"),
    ({"amount": Money(currency_code="KWD", minor_units=1001)}, "amount.currency_code"),
    ({"payment_method": None}, "payment_method"),
    ({"payment_method": PaymentMethod(token="4242 4242")}, "payment_method.token"),
    ({"payment_method": PaymentMethod(token="4242424242424242")}, "payment_method.token"),
    ({"payment_method": PaymentMethod(token="sk_test_1")}, "payment_method.token"),
    ({"payment_method": PaymentMethod(token="tok_visa")}, "payment_method.token"),
    (
        {"payment_method": PaymentMethod(token="pm_1", stripe_customer_id="pm_1")},
        "payment_method.stripe_customer_id",
    ),
    ({"capture_method": 9}, "capture_method"),
    ({"return_url": "javascript:alert(1)"}, "return_url"),
    ({"return_url": "https://[bad"}, "return_url"),
    ({"return_url": "https://shop.example", "off_session": True}, "return_url"),
    ({"queue_timeout": Duration(seconds=60)}, "queue_timeout"),
    ({"queue_timeout": Duration(seconds=90_000), "unavailable_policy": QUEUE}, "queue_timeout"),
    ({"queue_timeout": Duration(seconds=-1), "unavailable_policy": QUEUE}, "queue_timeout"),
    ({"description": "x" * 1001}, "description"),
    ({"description": "a\x00b"}, "description"),
    ({"description": "paid with 4242 4242 4242 4242"}, "description"),
    ({"description": "our key is sk_live_1"}, "description"),
    ({"statement_descriptor_suffix": "No 378282246310005"}, "statement_descriptor_suffix"),
    ({"statement_descriptor_suffix": "12*34"}, "statement_descriptor_suffix"),
    ({"statement_descriptor_suffix": "1234"}, "statement_descriptor_suffix"),
    ({"metadata": {"engine_payment_id": "x"}}, "metadata"),
    ({"metadata": {str(n): "" for n in range(21)}}, "metadata"),
    ({"metadata": {"items[0]": "book"}}, "metadata"),
    ({"metadata": {"card": "4242-4242-4242-4242"}}, "metadata"),
    ({"metadata": {"4242424242424242": "card"}}, "metadata"),
    ({"metadata": {"key": "rk_test_1"}}, "metadata"),
    ({"destination_account_id": "cus_1"}, "destination_account_id"),
    ({"application_fee": euros(1)}, "application_fee"),
    (
        {"application_fee": euros(2001), "destination_account_id": "acct_1"},
        "application_fee",
    ),
    ({"corridor": "EU"}, "corridor"),
    ({"save_payment_method": True}, "save_payment_method"),
    ({"decline_retry": retry(3, 3600)}, "decline_retry"),
    ({"decline_retry": retry(1, 3600), "off_session": True}, "decline_retry.max_attempts"),
    ({"decline_retry": retry(11, 3600), "off_session": True}, "decline_retry.max_attempts"),
    ({"decline_retry": retry(3, 3599), "off_session": True}, "decline_retry.window"),
    ({"decline_retry": retry(3, 2_592_001), "off_session": True}, "decline_retry.window"),
    ({"decline_retry": DeclineRetry(max_attempts=3)}, "decline_retry.window"),
    ({"billing_country_code": "de"}, "billing_country_code"),
    ({"billing_country_code": "DEU"}, "billing_country_code"),
    ({"alternatives": [alternative("us", token="")]}, "alternatives[0].payment_method.token"),
    ({"alternatives": [alternative("")]}, "alternatives[0].corridor"),
    ({"alternatives": [alternative("us"), alternative("us")]}, "alternatives"),
    ({"alternatives": [alternative("us", "pm_card_visa")], "corridor": "us"}, "alternatives"),
    ({"alternatives": [alternative("us")], "stay_in_corridor": True}, "alternatives"),
    ({"alternatives": [alternative("us")], "destination_account_id": "acct_1"}, "alternatives"),
    ({"alternatives": [alternative(f"c{n}") for n in range(9)]}, "alternatives"),
    ({"payment_method": PaymentMethod(token="pm_1", type=99)}, "payment_method.type"),  # type: ignore[arg-type]
    ({"mandate_acceptance": MandateAcceptance()}, "mandate_acceptance"),
    *(
        ({**debit(SEPA), **fields}, field)
        for fields, field in (
            ({"mandate_acceptance": None}, "mandate_acceptance"),
            ({"off_session": True}, "mandate_acceptance"),
            (
                {"off_session": True, "mandate_acceptance": None},
                "payment_method.stripe_customer_id",
            ),
            ({"capture_method": MANUAL}, "capture_method"),
            ({"amount": euros(100_000_000)}, "amount.minor_units"),
            ({"amount": Money(currency_code="USD", minor_units=1)}, "amount.currency_code"),
            ({"statement_descriptor_suffix": "SHOES"}, "statement_descriptor_suffix"),
            ({"destination_account_id": "acct_1"}, "destination_account_id"),
            ({"alternatives": [alternative("us")]}, "alternatives"),
            (
                {"mandate_acceptance": MandateAcceptance(ip_address="203.0.113.7")},
                "mandate_acceptance.ip_address",
            ),
            (
                {"mandate_acceptance": MandateAcceptance(user_agent="Firefox")},
                "mandate_acceptance.user_agent",
            ),
            (
                {"mandate_acceptance": MandateAcceptance(ip_address="a", user_agent="b")},
                "mandate_acceptance.ip_address",
            ),
            (
                {"mandate_acceptance": MandateAcceptance(ip_address="::1%a b", user_agent="b")},
                "mandate_acceptance.ip_address",
            ),
            (
                {"mandate_acceptance": MandateAcceptance(ip_address="::1", user_agent="b" * 1001)},
                "mandate_acceptance.user_agent",
            ),
        )
    ),
    ({**debit(BACS), "amount": pounds(1)}, "mandate_acceptance"),
    (
        {**debit(BACS), "amount": pounds(1), "mandate_acceptance": None},
        "payment_method.stripe_customer_id",
    ),
    (
        {
            "alternatives": [
                CorridorAlternative(
                    corridor="us", payment_method=PaymentMethod(token="pm_1", type=SEPA)
                )
            ]
        },
        "alternatives[0].payment_method.type",
    ),
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
    amounts = [
        ("JPY", 500, 500),
        ("KWD", 12_340, 12_340),
        ("USD", 50, 50),
        # 1,500,000 rupiah and forint: more than eight digits in minor units.
        ("IDR", 150_000_000, 150_000_000),
        ("HUF", 150_000_000, 150_000_000),
        ("ISK", 5_000, 500_000),
        ("UGX", 40_000, 4_000_000),
        ("MGA", 500_000, 5_000),
    ]
    for currency, minor_units, _ in amounts:
        amount = Money(currency_code=currency, minor_units=minor_units)
        payment = await shop.create(
            amount=amount, capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL
        )
        assert payment.amount_authorized.minor_units == minor_units
        capture = pb.CapturePaymentRequest(
            request_id=f"capture-{currency}", payment_id=payment.id, amount=amount
        )
        payment = (await shop.call("CapturePayment", capture)).payment
        assert payment.amount_captured.minor_units == minor_units
        asked = pb.RefundPaymentRequest(
            request_id=f"refund-{currency}", payment_id=payment.id, amount=amount
        )
        refund = (await shop.call("RefundPayment", asked)).refund
        assert refund.amount == amount
    books = twin.books()["default"]
    sent = [(currency, at_stripe) for currency, _, at_stripe in amounts]
    for objects, amount_at_stripe in (
        ("payment_intents", "amount"),
        ("charges", "amount_captured"),
        ("refunds", "amount"),
    ):
        told = [(each["currency"].upper(), each[amount_at_stripe]) for each in books[objects]]
        assert sorted(told) == sorted(sent), objects


async def test_of_requests_at_the_same_moment_with_other_bodies_one_is_taken(
    shop: Shop, twin: Twin
) -> None:
    amounts = [1000 + number for number in range(8)]

    async def create(minor_units: int) -> Payment | RefusedError:
        try:
            return await shop.create(request_id="once", amount=euros(minor_units))
        except RefusedError as refused:
            return refused

    answers = await asyncio.gather(*(create(minor_units) for minor_units in amounts))
    [taken] = [answer for answer in answers if isinstance(answer, Payment)]
    refused = [answer.error for answer in answers if isinstance(answer, RefusedError)]
    assert len(refused) == len(amounts) - 1
    assert {(error.reason, error.metadata["differing_fields"]) for error in refused} == {
        ("REQUEST_ID_REUSED", "amount.minor_units")
    }
    [intent] = twin.books()["default"]["payment_intents"]
    assert intent["amount"] == taken.amount.minor_units


async def test_a_deadline_that_is_over_charges_at_most_once(shop: Shop, twin: Twin) -> None:
    for timeout in (0.0, 0.001, 0.002):
        with pytest.raises(RefusedError) as refused:
            await shop.create(request_id="late", timeout=timeout)
        assert refused.value.error.code is grpc.StatusCode.DEADLINE_EXCEEDED
    payment = await shop.create(request_id="late")
    assert payment.state == PaymentState.PAYMENT_STATE_SUCCEEDED
    assert len(twin.books()["default"]["payment_intents"]) == 1


async def test_a_page_token_belongs_to_its_list(shop: Shop) -> None:
    for _ in range(2):
        await shop.create()
    page = await shop.stub.ListPayments(pb.ListPaymentsRequest(page_size=1))
    for request in (
        pb.ListPaymentsRequest(page_token="forged"),
        pb.ListPaymentsRequest(page_token=page.next_page_token[:-2] + "AA"),
        pb.ListPaymentsRequest(page_token=page.next_page_token, merchant_id="m_2"),
    ):
        with pytest.raises(RefusedError) as refused:
            await shop.call("ListPayments", request)
        assert refused.value.error.reason == "INVALID_PAGE_TOKEN"
