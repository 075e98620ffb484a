"""Routing orders a client's payment methods for a corridor: it charges the one that is believed to
be approved, and keeps to it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.routing.attribution import Attribution, Cause
from gateway.routing.decision import Lesson, chosen_again, learn_from
from gateway.routing.features import Context
from gateway.routing.state import RoutingState
from gateway.routing_service import store
from gateway.routing_service.record import decision_of
from gateway.routing_service.steps import Arm, Step
from gateway.routing_service.terms import SPACE
from gateway.v1 import routing_service_pb2
from gateway.v1.corridor_pb2 import CorridorMode
from gateway.v1.payment_pb2 import (
    CorridorAlternative,
    Payment,
    PaymentMethod,
    PaymentMethodType,
    PaymentState,
)
from gateway.v1.routing_service_pb2_grpc import RoutingServiceStub
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import Shop
from tests.gateway.routing_service.beliefs import POLICY, begin_with, decisions
from tests.gateway.routing_service.conftest import RoutedShop
from tests.gateway.routing_service.test_routing_rpcs import learnt_of_all

SUCCEEDED = PaymentState.PAYMENT_STATE_SUCCEEDED


def prefers_mastercard(now: datetime) -> RoutingState:
    """What is believed after all Mastercard cards were approved and no Visa card was."""
    state = RoutingState.new(SPACE, ("default", "backup"), now.timestamp())
    for number in range(160):
        network = ("VISA", "MASTERCARD")[number % 2]
        context = Context("US", network, "CREDIT", "EUR", 2_000, 12, False, 0, False)
        approved = network == "MASTERCARD"
        said = Attribution(
            Cause.APPROVED if approved else Cause.ISSUER, failed=False, approved=approved
        )
        lesson = Lesson(
            "US", network, SPACE.slots(context), ("default", "backup")[number // 2 % 2], 0, said
        )
        state = learn_from(POLICY, state, lesson, now_s=now.timestamp())
    return state


async def known_cards(shop: Shop) -> tuple[PaymentMethod, PaymentMethod]:
    """A Visa and a Mastercard card that have paid before: their kind is known by that."""
    visa, mastercard = (
        PaymentMethod(token=f"pm_card_{each}", type=PaymentMethodType.PAYMENT_METHOD_TYPE_CARD)
        for each in ("visa", "mastercard")
    )
    for card in (visa, mastercard):
        paid = await shop.create(payment_method=card, stay_in_corridor=True)
        assert paid.state == SUCCEEDED
    return visa, mastercard


def own(card: PaymentMethod) -> CorridorAlternative:
    return CorridorAlternative(corridor="default", payment_method=card)


def methods_by_key(twin: Twin, payments: list[Payment]) -> Mapping[str, Any]:
    """The uses of the idempotency keys of these payments."""
    keys = twin.requests.posts_by_key()["keys"]
    ids = [payment.id for payment in payments]
    return {key: use for key, use in keys.items() if any(each in key for each in ids)}


async def test_the_card_that_is_approved_is_charged_and_the_record_says_why(
    routed_shop: RoutedShop, engine: AsyncEngine, twin: Twin
) -> None:
    now = datetime.now(UTC)
    await begin_with(engine, prefers_mastercard(now), Step.FULL, now)
    async with routed_shop() as shop:
        visa, mastercard = await known_cards(shop)
        payments = [
            await shop.create(payment_method=visa, alternatives=[own(mastercard)]) for _ in range(8)
        ]
        rows = await decisions(engine)
        for payment in payments:
            row = rows[payment.id]
            decision = decision_of(row)
            assert [(score.corridor, score.method) for score in decision.scores] == [
                ("default", 0), ("backup", 0), ("default", 1)
            ]  # fmt: skip
            assert chosen_again(decision) == row.action
            followed = row.arm == Arm.ROUTED
            assert (row.corridor, row.method) == (
                (row.action, row.action_method) if followed else ("default", 0)
            )
            assert (payment.state, payment.corridor) == (SUCCEEDED, row.corridor)
            # What was charged is the payment's own from then on, and the other one is beside it.
            charged = mastercard if row.method else visa
            assert payment.payment_method == charged
            assert row.network == ("MASTERCARD" if row.method else "VISA")
            if followed:
                first = payment.payment_method if payment.corridor == "default" else mastercard
                assert [each.payment_method for each in payment.alternatives] == [
                    visa if first == mastercard else mastercard
                ]
        assert sum(rows[payment.id].method for payment in payments) >= 5
        # Nothing that names a card is in the record.
        assert visa.token not in str(rows)
        assert mastercard.token not in str(rows)
        again = await shop.create(
            request_id=payments[0].request_id, payment_method=visa, alternatives=[own(mastercard)]
        )
        assert (again.id, again.payment_method) == (payments[0].id, payments[0].payment_method)
        stub: Any = RoutingServiceStub(shop.channel)
        request = routing_service_pb2.ExplainRoutingRequest(payment_id=payments[0].id)
        told = (await stub.ExplainRouting(request)).decision
        row = rows[payments[0].id]
        assert (told.method, told.routing_method) == (row.method, row.action_method)
        assert [each.method for each in told.candidates] == [0, 0, 1]
        await learnt_of_all(engine)
    uses = methods_by_key(twin, payments)
    assert len(uses) == len(payments)
    assert {len(use["accounts"]) for use in uses.values()} == {1}


@pytest.mark.parametrize("routing", ["off", "shadow"])
async def test_off_and_in_the_shadow_the_first_is_charged(
    routed_shop: RoutedShop, engine: AsyncEngine, routing: str
) -> None:
    now = datetime.now(UTC)
    await begin_with(engine, prefers_mastercard(now), Step.FULL, now)
    async with routed_shop(routing) as shop:
        visa, mastercard = await known_cards(shop)
        payment = await shop.create(payment_method=visa, alternatives=[own(mastercard)])
        assert (payment.corridor, payment.payment_method) == ("default", visa)
        assert list(payment.alternatives) == [own(mastercard)]
        # With its own corridor shut it goes on with the payment's own card, as it always did.
        await shop.set_mode("default", CorridorMode.CORRIDOR_MODE_CLOSED)
        elsewhere = await shop.create(payment_method=visa, alternatives=[own(mastercard)])
        assert (elsewhere.corridor, elsewhere.payment_method.token) == ("backup", visa.token)
    rows = await decisions(engine)
    assert set(rows) == ({payment.id} if routing == "shadow" else set())
    for row in rows.values():
        assert (row.corridor, row.method, row.propensity) == ("default", 0, 1.0)
        assert (row.action, row.action_method) == ("default", 1)


async def test_what_was_chosen_is_charged_after_the_process_is_gone_whatever_is_believed_then(
    routed_shop: RoutedShop, engine: AsyncEngine, twin: Twin
) -> None:
    """Stripe's answer is lost, the gateway ends, and the next one follows the operators' order."""
    now = datetime.now(UTC)
    version = await begin_with(engine, prefers_mastercard(now), Step.FULL, now)
    fault = {"kind": "hang", "when": "after", "path": "/v1/payment_intents", "method": "POST"}
    async with routed_shop(webhooks=False, call_seconds=2.0) as shop:
        visa, mastercard = await known_cards(shop)
        twin.add_fault(**fault, account="default")
        for _ in range(20):
            payment = await shop.create(payment_method=visa, alternatives=[own(mastercard)])
            row = (await decisions(engine))[payment.id]
            if row.method == 1:
                break
    assert row.method == 1
    assert payment.state != SUCCEEDED
    twin.faults.clear()
    async with engine.begin() as connection:
        await store.add_step(connection, Step.SHADOW, version, "x", "a test", {}, datetime.now(UTC))
    async with routed_shop() as shop:
        await shop.watch_until(payment.id, SUCCEEDED)
        done = await shop.get(payment.id)
        assert (done.corridor, done.payment_method) == ("default", mastercard)
        again = await shop.create(
            request_id=payment.request_id, payment_method=visa, alternatives=[own(mastercard)]
        )
        assert (again.id, again.payment_method) == (payment.id, mastercard)
    assert (await decisions(engine))[payment.id] == row
    uses = methods_by_key(twin, [payment])
    assert [len(use["accounts"]) for use in uses.values()] == [1]
    intents = twin.books()["default"]["payment_intents"]
    assert [each["status"] for each in intents if each["id"] == done.payment_intent_id] == [
        "succeeded"
    ]
