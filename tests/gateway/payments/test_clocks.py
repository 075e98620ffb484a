"""Workers whose clocks are minutes apart share the work without losing or doubling any of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.v1.payment_pb2 import CaptureMethod, Payment, PaymentState
from runtime.clock import Clock
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import Shop
from tests.gateway.running import OpenShop

S = PaymentState
APART = timedelta(minutes=5)
PAYMENTS = 4
INTENTS = "/v1/payment_intents"
FAULTS: list[dict[str, Any]] = [
    {"kind": "hang", "when": "after", "count": 2},
    {"kind": "reset", "when": "after", "count": 2},
    {"kind": "error", "when": "before", "status": 502, "count": 2},
]


class ShiftedClock:
    """A machine's clock that is wrong by a constant."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return datetime.now(UTC) + self._by


async def reached(shop: Shop, payment: Payment, state: "PaymentState.ValueType") -> Payment:
    """The payment once it is in a state."""
    return await poll(lambda: shop.get(payment.id), lambda read: read.state == state)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault['kind']} {fault['when']}")
async def test_workers_that_are_ten_minutes_apart_charge_once(
    open_shop: OpenShop, twin: Twin, fault: dict[str, Any]
) -> None:
    slow: Clock = ShiftedClock(-APART)
    fast: Clock = ShiftedClock(APART)
    # Webhooks as old as that would be refused; without them the workers are on their own.
    quick = {"webhooks": False, "answer_seconds": 0.5, "call_seconds": 1.5, "lease_seconds": 2.0}
    async with open_shop(slow, **quick) as one, open_shop(fast, **quick) as two:
        twin.add_fault(**fault, path=INTENTS, method="POST")
        shops = [one, two] * (PAYMENTS // 2)
        made = await asyncio.gather(*(shop.create() for shop in shops))
        settled = [await reached(one, payment, S.PAYMENT_STATE_SUCCEEDED) for payment in made]
        held = await two.create(capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL)
        held = await one.capture(await reached(one, held, S.PAYMENT_STATE_AUTHORIZED))
        held = await reached(two, held, S.PAYMENT_STATE_SUCCEEDED)
    for payment in [*settled, held]:
        facts = [f.kind for f in payment.booking.facts if f.kind != "fee_charged"]
        assert facts == ["hold_placed", "captured"]
    charges = twin.books()["default"]["charges"]
    assert sorted(c["id"] for c in charges) == sorted(p.charge_id for p in [*settled, held])
