"""Off-session payments that are tried again after declines, by the policy's data."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from compliance.v1.decision_pb2 import Verdict
from gateway.v1.payment_pb2 import (
    DeclineRetry,
    OperationKind,
    OperationState,
    Payment,
    PaymentMethod,
    PaymentState,
)
from runtime.clock import ManualClock
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.cards import bank_treats_as, saved_card
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError, Shop
from tests.gateway.running import OpenShop

S = PaymentState
BROKE = "visa_chargeDeclinedInsufficientFunds"
DAY = timedelta(days=1)
PATIENCE_SECONDS = 60.0


def retries(max_attempts: int = 3, within: timedelta = timedelta(days=14)) -> DeclineRetry:
    policy = DeclineRetry(max_attempts=max_attempts)
    policy.window.FromTimedelta(within)
    return policy


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
async def shop(open_shop: OpenShop, clock: ManualClock) -> AsyncIterator[Shop]:
    async with open_shop(clock) as opened:
        yield opened


@pytest.fixture
async def broke(twin: Twin) -> PaymentMethod:
    """A saved card without money behind it."""
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, BROKE)
    return card


async def charge(shop: Shop, card: PaymentMethod, policy: DeclineRetry | None = None) -> Payment:
    return await shop.create(
        payment_method=card, off_session=True, decline_retry=policy or retries()
    )


def succeeded_intents(twin: Twin) -> list[str]:
    intents = twin.books()["default"]["payment_intents"]
    return [intent["id"] for intent in intents if intent["status"] == "succeeded"]


async def test_a_later_attempt_succeeds_and_is_the_only_charge(
    shop: Shop, twin: Twin, clock: ManualClock, broke: PaymentMethod
) -> None:
    payment = await charge(shop, broke)
    assert payment.state == S.PAYMENT_STATE_RETRY_SCHEDULED
    assert payment.decline.decline_code == "insufficient_funds"
    due = payment.next_retry_time.ToDatetime(UTC)
    assert due - clock.now() == DAY
    assert [f.kind for f in payment.booking.facts] == ["hold_placed", "hold_released"]
    bank_treats_as(twin, broke, "visa")
    clock.advance(DAY)
    await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
    done = await shop.get(payment.id)
    assert done.payment_intent_id == payment.payment_intent_id
    assert not done.HasField("decline")
    assert [declined.attempt for declined in done.declined_attempts] == [1]
    assert done.declined_attempts[0].decline.advice_code == "try_again_later"
    facts = [fact.kind for fact in done.booking.facts]
    assert facts[:4] == ["hold_placed", "hold_released", "hold_placed", "captured"]
    assert [operation.kind for operation in done.operations] == [
        OperationKind.OPERATION_KIND_CHECK,
        OperationKind.OPERATION_KIND_AUTHORIZE,
        OperationKind.OPERATION_KIND_CHECK,
        OperationKind.OPERATION_KIND_REATTEMPT,
    ]
    assert succeeded_intents(twin) == [payment.payment_intent_id]
    keys = [request.idempotency_key for request in twin.requests.matching("POST", "/v1/payment_i")]
    assert len(keys) == len(set(keys)) == 2


async def test_attempts_end_with_a_decline_when_there_are_no_more(
    shop: Shop, twin: Twin, clock: ManualClock, broke: PaymentMethod
) -> None:
    payment = await charge(shop, broke, retries(max_attempts=3))
    clock.advance(DAY)
    second = await watch_attempt(shop, payment, 2)
    # The wait doubles.
    assert second.next_retry_time.ToDatetime(UTC) - clock.now() == 2 * DAY
    clock.advance(2 * DAY)
    await shop.watch_until(payment.id, S.PAYMENT_STATE_DECLINED)
    done = await shop.get(payment.id)
    assert [declined.attempt for declined in done.declined_attempts] == [1, 2, 3]
    assert len({declined.charge_id for declined in done.declined_attempts}) == 3
    assert not done.HasField("next_retry_time")
    facts = [fact.kind for fact in done.booking.facts]
    assert facts == ["hold_placed", "hold_released"] * 3
    assert not succeeded_intents(twin)


async def watch_attempt(shop: Shop, payment: Payment, attempt: int) -> Payment:
    """The payment as it is scheduled again after its attempt of this number was declined."""
    async for event in shop.events(payment.id):
        if event.transition == "retry_scheduled":
            attempt -= 1
        if attempt == 0:
            return event.payment
    raise AssertionError("the stream ended")


@pytest.mark.parametrize(
    "card",
    [
        "visa_chargeDeclinedStolenCard",
        "visa_chargeDeclinedLostCard",
        "chargeDeclinedFraudulent",
        "chargeDeclinedExpiredCard",
        "chargeDeclinedIncorrectCvc",
        "authenticationRequired",
    ],
)
async def test_what_cannot_pass_is_never_tried_again(
    card: str, shop: Shop, twin: Twin, clock: ManualClock
) -> None:
    method = await saved_card(twin, "visa")
    bank_treats_as(twin, method, card)
    payment = await charge(shop, method, retries(max_attempts=10))
    assert payment.state == S.PAYMENT_STATE_DECLINED
    clock.advance(timedelta(days=10))
    sent = len(twin.requests.matching("POST", "/v1/payment_intents"))
    # Another payment goes all the way through the same loops meanwhile.
    await shop.create()
    assert len(twin.requests.matching("POST", "/v1/payment_intents")) == sent + 1
    assert (await shop.get(payment.id)).state == S.PAYMENT_STATE_DECLINED


async def test_without_being_asked_for_nothing_is_tried_again(
    shop: Shop, broke: PaymentMethod
) -> None:
    payment = await shop.create(payment_method=broke, off_session=True)
    assert payment.state == S.PAYMENT_STATE_DECLINED


async def test_what_would_come_too_late_is_not_scheduled(shop: Shop, broke: PaymentMethod) -> None:
    payment = await charge(shop, broke, retries(within=DAY - timedelta(seconds=1)))
    assert payment.state == S.PAYMENT_STATE_DECLINED


async def test_a_scheduled_attempt_can_be_canceled(
    shop: Shop, twin: Twin, clock: ManualClock, broke: PaymentMethod
) -> None:
    payment = await charge(shop, broke)
    canceled = await shop.cancel(payment)
    assert canceled.state == S.PAYMENT_STATE_CANCELED
    bank_treats_as(twin, broke, "visa")
    clock.advance(DAY)
    await shop.create()
    assert (await shop.get(payment.id)).state == S.PAYMENT_STATE_CANCELED
    assert payment.payment_intent_id not in succeeded_intents(twin)


async def test_compliance_is_asked_before_each_attempt(
    shop: Shop, twin: Twin, clock: ManualClock, broke: PaymentMethod, compliance: FakeCompliance
) -> None:
    payment = await charge(shop, broke)
    compliance.verdict = Verdict.VERDICT_DENY
    clock.advance(DAY)
    await shop.watch_until(payment.id, S.PAYMENT_STATE_BLOCKED)
    assert len({request.request_id for request in compliance.requests}) == 2
    assert {request.payment_method_type for request in compliance.requests} == {""}
    # Which card it is, Stripe has told with the decline.
    first, second = [request.card_fingerprint for request in compliance.requests]
    assert first == ""
    assert second.startswith("twin")
    assert len(twin.requests.matching("POST", "/v1/payment_intents")) == 1


async def test_an_attempt_that_cannot_be_sent_is_put_off_not_lost(
    shop: Shop, twin: Twin, clock: ManualClock, broke: PaymentMethod
) -> None:
    payment = await charge(shop, broke)
    bank_treats_as(twin, broke, "visa")
    await shop.close_corridor()
    clock.advance(DAY)
    postponed = (await shop.watch_for(payment.id, "retry_postponed")).payment
    assert postponed.next_retry_time.ToDatetime(UTC) > clock.now()
    await shop.open_corridor()
    clock.advance(timedelta(hours=1))
    await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
    assert len(succeeded_intents(twin)) == 1


async def test_an_answer_that_is_lost_neither_repeats_nor_forgets_the_attempt(
    shop: Shop, twin: Twin, clock: ManualClock, broke: PaymentMethod
) -> None:
    payment = await charge(shop, broke)
    bank_treats_as(twin, broke, "visa")
    twin.add_fault(kind="reset", when="after", path=".*/confirm", count=1)
    clock.advance(DAY)
    await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
    charges = twin.books()["default"]["charges"]
    assert [charge["paid"] for charge in charges] == [False, True]
    [reattempt] = [
        operation
        for operation in (await shop.get(payment.id)).operations
        if operation.kind == OperationKind.OPERATION_KIND_REATTEMPT
    ]
    assert reattempt.state == OperationState.OPERATION_STATE_SUCCEEDED


async def test_the_networks_limit_counts_every_payment_with_the_card(
    shop: Shop, database_url: str, clock: ManualClock, broke: PaymentMethod
) -> None:
    payment = await charge(shop, broke)
    # Visa's limit: the first attempt and 15 more in 30 days. One of them was ours.
    # Not blocking the loop: the gateway in it may hold a lock that is waited for here.
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(
            "INSERT INTO payment_decline (payment_id, attempt, corridor, payment_method,"
            " card_fingerprint, charge_id, decline, decline_time)"
            " SELECT payment_id, attempt + n, corridor, 'pm_other', card_fingerprint, '', decline,"
            " decline_time + n * interval '1 hour'"
            " FROM payment_decline, generate_series(1, 15) AS n"
        )
    clock.advance(DAY)
    # Within 30 days there is no room for another attempt, and the client gave 14.
    await shop.watch_until(payment.id, S.PAYMENT_STATE_DECLINED)
    assert (await shop.get(payment.id)).decline.decline_code == "insufficient_funds"


async def test_a_policy_needs_an_absent_customer(shop: Shop) -> None:
    with pytest.raises(RefusedError) as refused:
        await shop.create(decline_retry=retries())
    [violation] = refused.value.error.violations
    assert violation.field == "decline_retry"


@pytest.mark.parametrize("what", ["charged", "declined", "nothing"])
async def test_an_attempt_that_nobody_saved_is_found_out_and_not_made_again(
    what: str,
    open_shop: OpenShop,
    twin: Twin,
    clock: ManualClock,
    broke: PaymentMethod,
    killed_before_saving: asyncio.Event,
) -> None:
    killed_before_saving.clear()
    async with open_shop(clock, webhooks=False, call_seconds=1.0) as shop:
        payment = await charge(shop, broke)
        killed_before_saving.set()
        if what == "charged":
            bank_treats_as(twin, broke, "visa")
        if what == "nothing":
            twin.add_fault(kind="error", when="before", status=500, path=".*/confirm")
        clock.advance(DAY)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await twin.requests.wait_for(
                lambda seen: any(request.path.endswith("/confirm") for request in seen)
            )
    killed_before_saving.clear()
    twin.faults.clear()
    bank_treats_as(twin, broke, "visa")
    sent = len(twin.requests.matching("POST"))
    clock.advance(timedelta(minutes=30))
    async with open_shop(clock, webhooks=False) as shop:
        if what == "charged":
            await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
        elif what == "declined":
            await watch_attempt(shop, payment, 2)
        else:
            await shop.watch_for(payment.id, "retry_postponed")
        found = await shop.get(payment.id)
    assert len(twin.requests.matching("POST")) == sent
    assert len(succeeded_intents(twin)) == (what == "charged")
    assert len(found.declined_attempts) == (2 if what == "declined" else 1)
    assert found.HasField("next_retry_time") == (what != "charged")
