"""What is sent to clients can be read in JavaScript without losing a cent."""

import json
from datetime import UTC, datetime
from typing import Any

from gateway.payments.store.events import StoredEvent
from gateway.v1.payment_pb2 import PAYMENT_STATE_SUCCEEDED, Payment
from gateway.webhooks_out.messages import body_of
from money.v1.money_pb2 import Money

LARGE = 2**63 - 1


def no_number(digits: str) -> Any:
    raise AssertionError(f"{digits} is a number, which JavaScript may round")


def test_amounts_and_sequences_are_strings() -> None:
    amount = Money(currency_code="JPY", minor_units=LARGE)
    payment = Payment(
        id="pay_1", state=PAYMENT_STATE_SUCCEEDED, amount=amount, amount_captured=amount
    )
    body = body_of(
        StoredEvent(
            epoch=LARGE,
            sequence=LARGE,
            payment_id="pay_1",
            merchant_id="m-1",
            transition="captured",
            previous_state="AUTHORIZED",
            snapshot=payment.SerializeToString(),
            record_time=datetime(2026, 11, 29, tzinfo=UTC),
        )
    )
    data = json.loads(body, parse_int=no_number, parse_float=no_number)["data"]
    assert data["payment"]["amountCaptured"] == {"currencyCode": "JPY", "minorUnits": str(LARGE)}
    assert (data["epoch"], data["sequence"]) == (str(LARGE), str(LARGE))
