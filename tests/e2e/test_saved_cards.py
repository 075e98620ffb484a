"""Saved cards as a new user tries them: by reflection alone, with no stub in the way."""

from pathlib import Path
from typing import Any

from gateway.v1.payment_pb2 import BookingState
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import Shop
from sandbox.engine import Engine
from sandbox.polling import poll
from sandbox.twin_admin import TwinAdmin
from tests.e2e.buf import buf_curl, call

CUSTOMERS, PAYMENTS = "gateway.v1.CustomerService", "gateway.v1.PaymentService"


async def payment_after(port: int, home: Path, method: str, request: dict[str, Any]) -> Any:
    """The payment once a call is carried out: on a busy machine the answer may come before."""
    answered = await poll(
        lambda: call(port, home, f"{PAYMENTS}/{method}", request),
        lambda answer: answer["payment"]["state"] != "PAYMENT_STATE_AUTHORIZING",
    )
    return answered["payment"]


async def test_a_card_is_saved_charged_and_confirmed_with_buf_curl(
    engine: Engine, shop: Shop, parties: Parties, twin: TwinAdmin, tmp_path: Path
) -> None:
    port = engine.ports.gateway
    methods = await buf_curl(port, tmp_path, "--list-methods", "")
    assert f"{CUSTOMERS}/SavePaymentMethod" in methods
    name, customer = shop.new_id("buf"), parties.customer
    made = await call(
        port,
        tmp_path,
        f"{CUSTOMERS}/CreateCustomer",
        {"request_id": f"{name}-1", "customer_id": customer},
    )
    saved = await call(
        port,
        tmp_path,
        f"{CUSTOMERS}/SavePaymentMethod",
        {
            "request_id": f"{name}-2",
            "customer_id": customer,
            "payment_method_id": "pm_card_authenticationRequired",
            "return_url": "https://shop.example/back",
        },
    )
    assert saved["setup"]["state"] == "PAYMENT_METHOD_SETUP_STATE_REQUIRES_ACTION"
    assert saved["setup"]["nextAction"]["redirectUrl"]
    await twin.authenticate(saved["setup"]["id"])
    listed = await call(
        port, tmp_path, f"{CUSTOMERS}/ListPaymentMethods", {"customer_id": customer}
    )
    [card] = listed["paymentMethods"]
    request = {
        "request_id": f"{name}-3",
        "merchant_id": parties.merchant,
        "customer_id": customer,
        "amount": {"currency_code": "USD", "minor_units": "1900"},
        "payment_method": {
            "token": card["paymentMethodId"],
            "stripe_customer_id": made["customer"]["stripeCustomerId"],
        },
        "off_session": True,
    }
    declined = await payment_after(port, tmp_path, "CreatePayment", request)
    assert declined["state"] == "PAYMENT_STATE_DECLINED"
    assert declined["decline"]["authenticationRequired"]
    payment_id = declined["id"]
    back = await payment_after(
        port,
        tmp_path,
        "ConfirmPayment",
        {
            "request_id": f"{name}-4",
            "payment_id": payment_id,
            "return_url": "https://shop.example/back",
        },
    )
    assert back["state"] == "PAYMENT_STATE_REQUIRES_ACTION"
    await twin.authenticate(back["paymentIntentId"])
    paid = await payment_after(
        port,
        tmp_path,
        "ConfirmPayment",
        {"request_id": f"{name}-5", "payment_id": payment_id},
    )
    assert paid["state"] == "PAYMENT_STATE_SUCCEEDED"
    # The ledger has a hold of each attempt: the first one released, the second one captured.
    settled = await shop.settled(payment_id)
    assert settled.booking.state == BookingState.BOOKING_STATE_BOOKED
    kinds = [fact.kind for fact in settled.booking.facts]
    assert kinds[:4] == ["hold_placed", "hold_released", "hold_placed", "captured"]
