"""Captures and refunds of destination charges with fees, against the twin's own books."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.payment_pb2 import CaptureMethod, Payment
from money.v1.money_pb2 import Money
from sandbox.stripe_twin.books import processing_fee
from sandbox.stripe_twin.settings import Conversion
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import RefusedError, Shop, euros, fresh
from tests.sandbox.stripe_twin.conftest import open_shop as open_merchant
from tests.sandbox.stripe_twin.merchants import onboarded_account

MANUAL = CaptureMethod.CAPTURE_METHOD_MANUAL
HISTORIES = 10


@pytest.fixture
async def account(twin: Twin) -> str:
    async with open_merchant(twin, twin.account().secret_key) as merchant:
        return await onboarded_account(merchant)


async def capture(shop: Shop, payment: Payment, request_id: str = "", **fields: Any) -> Payment:
    request = pb.CapturePaymentRequest(
        request_id=request_id or fresh(), payment_id=payment.id, **fields
    )
    answer: pb.CapturePaymentResponse = await shop.call("CapturePayment", request)
    return answer.payment


async def refund(
    shop: Shop, payment: Payment, request_id: str = "", **fields: Any
) -> pb.RefundPaymentResponse:
    request = pb.RefundPaymentRequest(
        request_id=request_id or fresh(), payment_id=payment.id, **fields
    )
    answer: pb.RefundPaymentResponse = await shop.call("RefundPayment", request)
    return answer


@dataclass
class Model:
    """What a charge and its refunds leave, reckoned by Stripe's rules; in cents.

    Of a refund that does not complete the charge a share in proportion, rounded half up."""

    captured: int
    fee: int
    refunded: int = 0
    reversed: int = 0
    returned: int = 0
    reached: set[str] = field(default_factory=set)

    def refund(self, amount: int, *, reverse: bool, fee: bool) -> None:
        self.refunded += amount
        whole = self.refunded == self.captured
        self.reached |= {"whole" if whole else "part", f"reverse {reverse}", f"fee {fee}"}
        if reverse:
            share = self.captured - self.reversed if whole else amount
            self.reversed += min(share, self.captured - self.reversed)
        if fee:
            share = self.fee - self.returned
            if not whole:
                share = min(int(self.fee * amount / self.captured + 0.5), share)
            self.returned += share

    @property
    def platform(self) -> int:
        own = -processing_fee(self.captured, "eur") + self.fee - self.returned
        return own - self.refunded + self.reversed

    @property
    def connected(self) -> int:
        return self.captured - self.fee - self.reversed + self.returned


async def test_histories_of_captures_and_refunds_leave_what_the_rules_say(
    shop: Shop, twin: Twin, account: str
) -> None:
    draw = random.Random(11)
    reached: set[str] = set()
    platform = connected = 0
    for _ in range(HISTORIES):
        amount = draw.randrange(1_000, 9_999)
        fee = draw.choice([None, draw.randrange(1, amount), amount])
        made_with: dict[str, Any] = {} if fee is None else {"application_fee": euros(fee)}
        held = await shop.create(
            amount=euros(amount),
            destination_account_id=account,
            capture_method=MANUAL,
            **made_with,
        )
        part = draw.choice([None, draw.randrange(100, amount)])
        captured = amount if part is None else part
        given = draw.choice([None, 0, draw.randrange(0, captured + 1), captured])
        fields: dict[str, Any] = {} if part is None else {"amount": euros(part)}
        if given is not None:
            fields["application_fee"] = euros(given)
        paid = await capture(shop, held, **fields)
        taken = given if given is not None else (fee or 0) * captured // amount
        reached |= {f"given {given is not None}", f"zero {given == 0}", f"part {part is not None}"}
        assert paid.application_fee_captured.minor_units == taken
        model = Model(captured, taken)
        for _ in range(draw.randrange(1, 4)):
            left = captured - model.refunded
            if not left:
                break
            back = draw.choice([left, draw.randrange(1, left + 1)])
            reverse = draw.choice([None, True, False])
            choices = [None, False] if reverse is False else [None, True, False]
            returns = draw.choice(choices) if taken else None
            asked = {"reverse_transfer": reverse, "refund_application_fee": returns}
            said: dict[str, Any] = {
                name: value for name, value in asked.items() if value is not None
            }
            answer = await refund(shop, paid, amount=euros(back), **said)
            reverses = reverse is not False
            gives = taken > 0 and (reverses if returns is None else returns)
            model.refund(back, reverse=reverses, fee=gives)
            assert answer.refund.reverse_transfer is reverses
            assert answer.refund.HasField("refund_application_fee") is (taken > 0)
            assert answer.refund.refund_application_fee is gives
            shown = answer.payment
            assert shown.amount_refunded.minor_units == model.refunded
            assert shown.transfer_reversed.minor_units == model.reversed
            assert shown.application_fee_refunded.minor_units == model.returned
        reached |= model.reached
        platform += model.platform
        connected += model.connected
    books = twin.books()["default"]
    assert sum(books["balances"]["eur"].values()) == platform
    assert sum(books["connected"][account]["balances"]["eur"].values()) == connected
    assert reached >= {
        f"{what} {yes}"
        for what in ("given", "zero", "part", "reverse", "fee")
        for yes in (True, False)
    } | {"whole", "part"}


async def test_a_default_written_out_is_the_same_request(
    shop: Shop, twin: Twin, account: str
) -> None:
    held = await shop.create(
        destination_account_id=account, application_fee=euros(300), capture_method=MANUAL
    )
    first = await capture(shop, held, "capture-1", amount=euros(1_000))
    said = await capture(shop, held, "capture-1", amount=euros(1_000), application_fee=euros(150))
    assert (said.id, said.application_fee_captured) == (first.id, euros(150))
    with pytest.raises(RefusedError) as refused:
        await capture(shop, held, "capture-1", amount=euros(1_000), application_fee=euros(300))
    assert refused.value.error.reason == "REQUEST_ID_REUSED"
    assert refused.value.error.metadata["differing_fields"] == "application_fee"
    one = await refund(shop, held, "refund-1", reverse_transfer=True)
    for fields in (
        {},
        {"refund_application_fee": True},
        {"reverse_transfer": True, "refund_application_fee": True},
    ):
        assert (await refund(shop, held, "refund-1", **fields)).refund.id == one.refund.id
    with pytest.raises(RefusedError) as refused:
        await refund(shop, held, "refund-1", refund_application_fee=False)
    assert refused.value.error.metadata["differing_fields"] == "refund_application_fee"
    assert len(twin.books()["default"]["refunds"]) == 1


async def test_what_cannot_be_is_refused_by_name_and_changes_nothing(
    shop: Shop, twin: Twin, account: str
) -> None:
    plain = await shop.create(capture_method=MANUAL)
    free = await shop.create(destination_account_id=account)
    held = await shop.create(
        destination_account_id=account, application_fee=euros(300), capture_method=MANUAL
    )
    before = len(twin.requests.matching("POST"))
    for call, reason, name in (
        (capture(shop, plain, application_fee=euros(0)), "NO_DESTINATION_ACCOUNT", "field"),
        (
            capture(shop, held, application_fee=euros(2_001)),
            "APPLICATION_FEE_EXCEEDS_AMOUNT",
            "field",
        ),
        (
            capture(shop, held, application_fee=Money(currency_code="USD", minor_units=1)),
            "CURRENCY_MISMATCH",
            "currency_code",
        ),
        (refund(shop, free, refund_application_fee=True), "NO_APPLICATION_FEE", "field"),
    ):
        with pytest.raises(RefusedError) as refused:
            await call
        assert refused.value.error.reason == reason
        assert refused.value.error.metadata[name]
    for call, path in (
        (
            capture(shop, held, amount=euros(100), application_fee=euros(101)),
            "application_fee",
        ),
        (
            capture(shop, held, amount=euros(0)),
            "amount.minor_units",
        ),
        (
            capture(
                shop, held, amount=euros(100),
                application_fee=Money(currency_code="USD", minor_units=1),
            ),
            "application_fee",
        ),
        (capture(shop, held, application_fee=euros(-1)), "application_fee.minor_units"),
        (
            refund(shop, free, reverse_transfer=False, refund_application_fee=True),
            "refund_application_fee",
        ),
        (refund(shop, free, amount=euros(0)), "amount.minor_units"),
        (shop.create(destination_account_id=account, application_fee=euros(0)),
         "application_fee.minor_units"),
    ):  # fmt: skip
        with pytest.raises(RefusedError) as refused:
            await call
        assert refused.value.error.reason == "INVALID_REQUEST"
        assert [found.field for found in refused.value.error.violations] == [path]
    assert len(twin.requests.matching("POST")) == before
    assert (await capture(shop, held)).application_fee_captured == euros(300)


async def test_of_a_converted_charge_all_that_is_taken_back_is_of_the_settlement(
    shop: Shop, twin: Twin, account: str
) -> None:
    twin.settings.conversions = {"eur": Conversion(currency="usd", rate=1.1)}
    held = await shop.create(
        destination_account_id=account, application_fee=euros(300), capture_method=MANUAL
    )
    paid = await capture(shop, held, amount=euros(1_000))
    assert paid.application_fee_captured == euros(150)
    shown = (await refund(shop, held, amount=euros(500))).payment
    assert shown.transfer_reversed == Money(currency_code="USD", minor_units=550)
    assert shown.application_fee_refunded.currency_code == "USD"
    fee = twin.account().books.transactions
    (returned,) = [item for item in fee if item["type"] == "application_fee_refund"]
    assert shown.application_fee_refunded.minor_units == -returned["amount"] == 83


async def test_what_is_taken_back_once_the_charge_has_settled_is_shown_then(
    shop: Shop, twin: Twin, account: str
) -> None:
    """Stripe makes the transfer some time after an automatic charge; the refund comes before."""
    twin.settings.settlement_seconds = 60.0
    paid = await shop.create(destination_account_id=account, application_fee=euros(300))
    made = await refund(shop, paid, amount=euros(1_000))
    assert not made.payment.HasField("transfer_reversed")
    assert made.refund.reverse_transfer
    twin.advance(seconds=120)
    told = await shop.watch_for(paid.id, "refund_updated")
    assert (told.payment.transfer_reversed, told.payment.application_fee_refunded) == (
        euros(1_000),
        euros(150),
    )
