"""The eleven scenarios: what a client does, and what must come of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import grpc

from compliance.v1 import case_pb2 as case
from compliance.v1.decision_pb2 import REASON_CODE_PAYER_UNIDENTIFIED
from compliance.v1.freeze_forecast_pb2 import (
    FREEZE_KIND_CHARGES,
    FREEZE_KIND_PAYOUTS,
    FREEZE_OUTCOME_CLEARED,
)
from gateway.v1 import dispute_pb2
from gateway.v1 import payment_pb2 as payment
from sandbox.demo.shop import Shop
from sandbox.polling import poll

# Enough failing calls for the sandbox's circuit breaker to open, resends included.
CAUGHT_PAYMENTS = 3
GUEST = REASON_CODE_PAYER_UNIDENTIFIED
DAYS_LEFT = 5
SANCTIONED_NAME = "Synthetic Blocked Trading Company LLC"


class UnexpectedError(AssertionError):
    """A scenario went otherwise than it must."""


@dataclass(frozen=True)
class Parties:
    """Who trades in the scenarios."""

    merchant: str
    customer: str


@dataclass(frozen=True)
class Scenario:
    """One way for a payment to go. `play` gives the ids of its payments, settled."""

    title: str
    play: Callable[[Shop, Parties], Awaitable[Sequence[str]]]


async def success(shop: Shop, parties: Parties) -> Sequence[str]:
    """An ordinary card, captured at once."""
    made = await shop.pay(parties.merchant, parties.customer, 49_99, "visa")
    read = await shop.settled(made.id)
    expect_state(read, payment.PAYMENT_STATE_SUCCEEDED)
    expect("captured", read.amount_captured.minor_units, 49_99)
    expect("a fee is known", read.fee.minor_units > 0, True)
    return [made.id]


async def decline(shop: Shop, parties: Parties) -> Sequence[str]:
    """The bank says no: a state, not an error."""
    card = "visa_chargeDeclinedInsufficientFunds"
    made = await shop.pay(parties.merchant, parties.customer, 80_00, card)
    read = await shop.settled(made.id)
    expect_state(read, payment.PAYMENT_STATE_DECLINED)
    expect("decline code", read.decline.decline_code, "insufficient_funds")
    expect("captured", read.amount_captured.minor_units, 0)
    return [made.id]


async def three_d_secure(shop: Shop, parties: Parties) -> Sequence[str]:
    """The customer has to authenticate, does, and the client confirms."""
    made = await shop.pay(
        parties.merchant,
        parties.customer,
        120_00,
        "threeDSecure2Required",
        return_url="https://shop.example/back",
    )
    expect_state(made, payment.PAYMENT_STATE_REQUIRES_ACTION)
    expect("there is a page to go to", bool(made.next_action.redirect_url), True)
    await shop.twin.authenticate(made.payment_intent_id)
    await shop.confirm(made.id)
    read = await shop.settled(made.id)
    expect_state(read, payment.PAYMENT_STATE_SUCCEEDED)
    expect("captured", read.amount_captured.minor_units, 120_00)
    return [made.id]


async def manual_capture(shop: Shop, parties: Parties) -> Sequence[str]:
    """A hold of which a part is captured later; the rest is released."""
    made = await shop.pay(
        parties.merchant,
        parties.customer,
        100_00,
        "visa",
        capture_method=payment.CAPTURE_METHOD_MANUAL,
    )
    expect_state(made, payment.PAYMENT_STATE_AUTHORIZED)
    expect("a deadline is shown", made.HasField("capture_before_time"), True)
    await shop.capture(made.id, 70_00)
    read = await shop.settled(made.id)
    expect_state(read, payment.PAYMENT_STATE_SUCCEEDED)
    expect("captured", read.amount_captured.minor_units, 70_00)
    return [made.id]


async def refund(shop: Shop, parties: Parties) -> Sequence[str]:
    """Two refunds in turn; a third would be more than was captured and is refused."""
    made = await shop.pay(parties.merchant, parties.customer, 60_00, "mastercard")
    await shop.settled(made.id)
    await shop.refund(made.id, 20_00)
    await shop.until(made.id, lambda read: read.amount_refunded.minor_units == 20_00)
    await shop.refund(made.id)
    await shop.until(made.id, lambda read: read.amount_refunded.minor_units == 60_00)
    await expect_error(grpc.StatusCode.FAILED_PRECONDITION, shop.refund(made.id, 1))
    read = await shop.settled(made.id)
    expect_state(read, payment.PAYMENT_STATE_SUCCEEDED)
    expect("refunds", [item.amount.minor_units for item in read.refunds], [20_00, 40_00])
    return [made.id]


async def stripe_outage(shop: Shop, parties: Parties) -> Sequence[str]:
    """Stripe fails: what was sent is found out, what may wait is queued, none is charged twice."""
    wait = {"unavailable_policy": payment.UNAVAILABLE_POLICY_QUEUE}
    await shop.twin.set_outage("error")
    # These are sent, and whether Stripe acted is not known; their failures open the breaker.
    caught = [
        asyncio.ensure_future(
            shop.pay(parties.merchant, parties.customer, 10_00 + number, "visa", **wait)
        )
        for number in range(CAUGHT_PAYMENTS)
    ]
    await poll(shop.corridor, lambda corridor: not corridor.available)
    # These two are not sent at all.
    queued = await shop.pay(parties.merchant, parties.customer, 25_00, "visa", **wait)
    expect_state(queued, payment.PAYMENT_STATE_QUEUED)
    expect("place in the queue", queued.queue.position > 0, True)
    await expect_error(
        grpc.StatusCode.UNAVAILABLE,
        shop.pay(parties.merchant, parties.customer, 26_00, "visa"),
    )
    await shop.twin.set_outage("off")
    ids = [made.id for made in (*await asyncio.gather(*caught), queued)]
    for identifier in ids:
        expect_state(await shop.settled(identifier), payment.PAYMENT_STATE_SUCCEEDED)
    return ids


async def blocked_merchant(shop: Shop, parties: Parties) -> Sequence[str]:
    """The merchant's name is on a sanctions list and an operator says it is the same company."""
    merchant = await shop.add_merchant(SANCTIONED_NAME)
    expect("the name matches", await shop.confirm_matches(merchant) > 0, True)
    made = await shop.pay(merchant, parties.customer, 500_00, "visa")
    read = await shop.settled(made.id)
    expect_state(read, payment.PAYMENT_STATE_BLOCKED)
    expect("Stripe was asked", bool(read.payment_intent_id), False)
    return [made.id]


async def approved_case(shop: Shop, parties: Parties) -> Sequence[str]:
    """A guest pays more than guests may: an operator looks at it, and lets it through."""
    made = await shop.pay(parties.merchant, "", 1_500_00, "visa")
    expect_state(made, payment.PAYMENT_STATE_IN_REVIEW)
    opened = await shop.case_of(made.id)
    expect("what was found", [f.reason.code for f in opened.findings], [GUEST])
    expect("state of the case", (await shop.approve(opened)).state, case.CASE_STATE_APPROVED)
    read = await shop.settled(made.id)
    expect_state(read, payment.PAYMENT_STATE_SUCCEEDED)
    return [made.id]


async def saved_merchant(shop: Shop, parties: Parties) -> Sequence[str]:
    """Stripe will stop a merchant in five days: it is told what to hand in, and is not stopped."""
    merchant, account = await shop.add_connected_merchant("Saltmarsh Bicycles LLC")
    before = await shop.pay(merchant, parties.customer, 75_00, "visa")
    deadline = int(time.time()) + DAYS_LEFT * 24 * 3600
    wanted = {"currently_due": ["company.tax_id"], "current_deadline": deadline}
    await shop.twin.change_account(account, requirements=wanted)
    expected = await poll(lambda: shop.freezes(merchant), lambda found: len(found) == 2)
    stopping = {FREEZE_KIND_CHARGES, FREEZE_KIND_PAYOUTS}
    expect("what would stop", {one.kind for one in expected}, stopping)
    expect("whole days left", {one.days_left for one in expected}, {DAYS_LEFT - 1})
    link = await shop.requirement_link(merchant)
    expect("asked for", [one.field for one in link.requirements], ["company.tax_id"])
    await shop.twin.complete_onboarding(account)
    ended = await poll(lambda: shop.freezes_that_ended(merchant), lambda found: len(found) == 2)
    expect("outcomes", {one.outcome for one in ended}, {FREEZE_OUTCOME_CLEARED})
    after = await shop.pay(merchant, parties.customer, 76_00, "visa")
    for made in (before, after):
        expect_state(await shop.settled(made.id), payment.PAYMENT_STATE_SUCCEEDED)
    return [before.id, after.id]


async def dispute(shop: Shop, parties: Parties) -> Sequence[str]:
    """The card holder objects, evidence is handed in, and the bank decides for the card holder."""
    made = await shop.pay(parties.merchant, parties.customer, 90_00, "createDispute")
    expect_state(await shop.settled(made.id), payment.PAYMENT_STATE_SUCCEEDED)
    opened = await shop.dispute_of(made.id, dispute_pb2.DISPUTE_STATE_NEEDS_RESPONSE)
    expect("disputed", opened.amount.minor_units, 90_00)
    await shop.submit_evidence(opened.id, {"product_description": "A first edition."})
    await shop.twin.decide_dispute(opened.stripe_dispute_id, "lose")
    await shop.dispute_of(made.id, dispute_pb2.DISPUTE_STATE_LOST)
    await shop.settled(made.id)
    return [made.id]


async def payout(shop: Shop, parties: Parties) -> Sequence[str]:
    """Stripe pays to the bank what is available, less the refunds and the dispute before."""
    made = await shop.pay(parties.merchant, parties.customer, 400_00, "bypassPending")
    expect_state(await shop.settled(made.id), payment.PAYMENT_STATE_SUCCEEDED)
    await shop.twin.pay_out()
    return [made.id]


SCENARIOS = (
    Scenario("Success", success),
    Scenario("Decline", decline),
    Scenario("3-D Secure", three_d_secure),
    Scenario("Manual capture, in part", manual_capture),
    Scenario("Refunds", refund),
    Scenario("Stripe outage, queued", stripe_outage),
    Scenario("Blocked merchant", blocked_merchant),
    Scenario("Case, approved", approved_case),
    Scenario("Merchant saved from a freeze", saved_merchant),
    Scenario("Dispute, lost", dispute),
    Scenario("Payout to the bank", payout),
)


def state_name(state: "payment.PaymentState.ValueType") -> str:
    """`SUCCEEDED` of `PAYMENT_STATE_SUCCEEDED`."""
    return payment.PaymentState.Name(state).removeprefix("PAYMENT_STATE_")


def expect(what: str, found: object, wanted: object) -> None:
    """Raises `UnexpectedError` unless both are equal."""
    if found != wanted:
        raise UnexpectedError(f"{what}: {found!r} instead of {wanted!r}")


def expect_state(read: payment.Payment, wanted: "payment.PaymentState.ValueType") -> None:
    """Raises `UnexpectedError` unless the payment is in that state."""
    expect(f"state of {read.id}", state_name(read.state), state_name(wanted))


async def expect_error(code: grpc.StatusCode, call: Awaitable[object]) -> None:
    """Raises `UnexpectedError` unless the call fails with the code."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        expect("error", error.code(), code)
    else:
        raise UnexpectedError(f"a call succeeded instead of failing with {code.name}")
