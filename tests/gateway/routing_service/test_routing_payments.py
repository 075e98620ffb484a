"""Payments of a running gateway: where routing sends them, and what is written of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.v1.decision_pb2 import Verdict
from gateway.config import GatewaySettings
from gateway.operations import store as operation_store
from gateway.operations.operation import Operation, OperationKind
from gateway.payments.domain.history import PaymentHistory
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.routing import routed
from gateway.payments.domain.stripe_params import authorize_params, encode
from gateway.payments.store import history
from gateway.payments.store.history import history_of
from gateway.payments.store.rows import payment_row
from gateway.routing.codec import load
from gateway.routing.decision import chosen_again
from gateway.routing.features import Context
from gateway.routing_service import store
from gateway.routing_service.record import decision_of
from gateway.routing_service.steps import SHARES, Arm, Step, arm_of, seed_of
from gateway.routing_service.terms import SPACE
from gateway.v1.corridor_pb2 import CorridorMode
from gateway.v1.payment_pb2 import PaymentState, UnavailablePolicy
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import Shop
from tests.gateway.payments.test_states import new_payment
from tests.gateway.routing_service.beliefs import begin_with, decisions, leaning, learnt
from tests.gateway.routing_service.conftest import RoutedShop

SUCCEEDED = PaymentState.PAYMENT_STATE_SUCCEEDED
QUEUE = UnavailablePolicy.UNAVAILABLE_POLICY_QUEUE
CLOSED = CorridorMode.CORRIDOR_MODE_CLOSED


async def prefers_backup(engine: AsyncEngine, step: Step = Step.FULL) -> str:
    now = datetime.now(UTC)
    return await begin_with(engine, leaning("backup", "default", now), step, now)


def charges(twin: Twin, account: str) -> int:
    return len(twin.books()[account]["charges"])


async def routed_payment(shop: Shop, engine: AsyncEngine, **fields: Any) -> Any:
    """A payment that routing has sent to `backup`, however many it takes to draw one."""
    for _ in range(20):
        payment = await shop.create(**fields)
        row = (await decisions(engine))[payment.id]
        if row.corridor == "backup":
            return payment
    raise AssertionError("twenty payments went home")


async def test_payments_go_where_their_record_says(
    routed_shop: RoutedShop, engine: AsyncEngine, twin: Twin, compliance: FakeCompliance
) -> None:
    version = await prefers_backup(engine)
    async with routed_shop() as shop:
        payments = [await shop.create() for _ in range(8)]
        rows = await decisions(engine)
        assert set(rows) == {payment.id for payment in payments}
        for payment in payments:
            row = rows[payment.id]
            assert payment.state == SUCCEEDED
            assert payment.corridor == row.corridor
            assert row.arm == arm_of(payment.id, SHARES[Step.FULL])
            assert row.seed == seed_of(payment.id)
            decision = decision_of(row)
            assert chosen_again(decision) == row.action
            assert [score.corridor for score in decision.scores] == ["default", "backup"]
            assert row.corridor == (row.action if row.arm == Arm.ROUTED else "default")
            # Nobody's card, name or merchant is among what it was decided by.
            assert row.merchant_id == "m_1"
            # What the client asked for stays what it was.
            assert list(payment.failovers) == list(payment.alternatives) == []
        # What comes of the first may have taught the next ones already.
        assert rows[payments[0].id].model_version == version
        async with engine.connect() as connection:
            state = load(await store.model_state(connection, version), SPACE)
        assert state.learned == 80
    sent = [payment.corridor for payment in payments]
    assert "backup" in sent
    assert [asked.corridor for asked in compliance.requests] == sent
    assert charges(twin, "default") + charges(twin, "backup") == len(payments)
    assert charges(twin, "backup") == sent.count("backup")


async def test_what_comes_again_stays_where_it_is(
    routed_shop: RoutedShop, engine: AsyncEngine, twin: Twin
) -> None:
    """One request is one charge in one account, whatever routing believes by then."""
    await prefers_backup(engine)
    async with routed_shop() as shop:
        payment = await routed_payment(shop, engine)
        rows = await decisions(engine)
        async with engine.begin() as connection:
            now = datetime.now(UTC)
            await store.add_step(
                connection, Step.SHADOW, rows[payment.id].model_version, "x", "a test", {}, now
            )
    async with routed_shop() as shop:
        again = await shop.create(request_id=payment.request_id)
        assert (again.id, again.corridor) == (payment.id, "backup")
        assert await decisions(engine) == rows
    keys = twin.requests.posts_by_key()["keys"]
    assert all(len(use["accounts"]) == 1 for use in keys.values())
    assert sum(payment.id in key for key in keys) == 1


async def test_shadow_changes_nothing(
    routed_shop: RoutedShop, engine: AsyncEngine, twin: Twin
) -> None:
    await prefers_backup(engine)
    async with routed_shop("shadow") as shop:
        payments = [await shop.create() for _ in range(3)]
        rows = await decisions(engine)
    for payment in payments:
        row = rows[payment.id]
        assert (payment.state, payment.corridor) == (SUCCEEDED, "default")
        assert (row.mode, row.arm, row.corridor) == ("SHADOW", "RULES", "default")
        # What was done was certain; what routing would have done is written down.
        assert (row.propensity, row.share, row.explored) == (1.0, 0.0, False)
    assert "backup" in {row.action for row in rows.values()}
    assert (charges(twin, "default"), charges(twin, "backup")) == (3, 0)


async def test_off_decides_nothing_and_sends_what_was_asked_for(
    routed_shop: RoutedShop, engine: AsyncEngine, twin: Twin
) -> None:
    assert GatewaySettings.model_fields["routing"].default == "off"
    await prefers_backup(engine)
    async with routed_shop("off") as shop:
        payment = await shop.create()
        assert (payment.state, payment.corridor) == (SUCCEEDED, "default")
        assert await decisions(engine) == {}
    keys = twin.requests.posts_by_key()["keys"]
    assert [key for key in keys if payment.id in key] == [f"{payment.id}-default-1"]


def test_what_stays_at_home_is_sent_byte_by_byte_as_without_routing() -> None:
    """Shadow, and the arm of the rules: what the call is made of is the very payment asked for."""
    payment = new_payment()
    assert encode(authorize_params(routed(payment, payment.home))) == encode(
        authorize_params(payment)
    )
    assert payment_row(routed(payment, payment.home)) == payment_row(payment)


@pytest.mark.parametrize("fields", [{"stay_in_corridor": True}, {"merchant_id": "opted_out"}])
async def test_who_has_no_choice_is_not_decided_about(
    routed_shop: RoutedShop, engine: AsyncEngine, tmp_path: Path, fields: dict[str, Any]
) -> None:
    await prefers_backup(engine)
    terms = tmp_path / "routing.toml"
    terms.write_text("[merchants.opted_out]\noff = true\n", encoding="utf-8")
    async with routed_shop(routing_terms_file=terms) as shop:
        payments = [await shop.create(**fields) for _ in range(3)]
        assert {payment.corridor for payment in payments} == {"default"}
        assert await decisions(engine) == {}


async def test_a_corridor_that_cannot_be_used_is_no_candidate(
    routed_shop: RoutedShop, engine: AsyncEngine
) -> None:
    """Also the payment's own one: the rules of failover say what happens then."""
    await prefers_backup(engine)
    async with routed_shop() as shop:
        await shop.set_mode("backup", CLOSED)
        assert (await shop.create()).corridor == "default"
        await shop.set_mode("backup", CorridorMode.CORRIDOR_MODE_OPEN)
        await shop.set_mode("default", CLOSED)
        payment = await shop.create()
        assert payment.corridor == "backup"
        assert [left.reason for left in payment.failovers] == ["CORRIDOR_CLOSED"]
        assert await decisions(engine) == {}


async def test_what_compliance_does_not_allow_there_comes_home(
    routed_shop: RoutedShop, engine: AsyncEngine, compliance: FakeCompliance, twin: Twin
) -> None:
    await prefers_backup(engine)
    compliance.verdicts = {"backup": Verdict.VERDICT_DENY}
    async with routed_shop() as shop:
        payment = await routed_payment(shop, engine)
    assert (payment.state, payment.corridor) == (SUCCEEDED, "default")
    assert [(left.corridor, left.reason) for left in payment.failovers] == [
        ("backup", "COMPLIANCE_DENY")
    ]
    assert charges(twin, "backup") == 0


async def test_nobody_waits_where_others_wait_but_at_home(
    routed_shop: RoutedShop, engine: AsyncEngine, twin: Twin
) -> None:
    """Somebody is in the queue of `backup`: routing does not put anybody behind him."""
    await prefers_backup(engine)
    now = datetime.now(UTC)
    waiting = Operation(
        id="op_1",
        kind=OperationKind.CHECK,
        subject_id="pay_1",
        corridor="backup",
        create_time=now,
        next_attempt_time=now + timedelta(hours=1),
        deadline=now + timedelta(hours=2),
        queued=True,
        queue_time=now,
    )
    async with engine.begin() as connection:
        await operation_store.add(connection, waiting)
    async with routed_shop() as shop:
        payment = await routed_payment(shop, engine, unavailable_policy=QUEUE)
        assert (payment.state, payment.corridor) == (SUCCEEDED, "default")
        assert [left.reason for left in payment.failovers] == ["QUEUE_AHEAD"]
        # Who does not wait is charged there all the same.
        assert (await routed_payment(shop, engine)).corridor == "backup"


async def test_an_unknown_outcome_keeps_its_corridor_and_is_learnt_when_it_is_decided(
    routed_shop: RoutedShop, engine: AsyncEngine, twin: Twin
) -> None:
    await prefers_backup(engine)
    fault = {"kind": "hang", "when": "after", "path": "/v1/payment_intents", "method": "POST"}
    twin.add_fault(**fault, account="backup", count=1)
    # Without webhooks: news of the charge may come before it is asked for again.
    async with routed_shop(webhooks=False, call_seconds=2.0) as shop:
        payment = await routed_payment(shop, engine)
        await shop.watch_until(payment.id, SUCCEEDED)
    found = await learnt(engine)
    assert charges(twin, "backup") == sum(row.corridor == "backup" for row in found.values())
    assert found[payment.id].cause == "APPROVED"
    (key,) = [
        use for name, use in twin.requests.posts_by_key()["keys"].items() if payment.id in name
    ]
    assert len(key["accounts"]) == 1
    assert found[payment.id].was_unknown


async def test_what_came_before_is_read_once_for_routing_and_for_rules(
    routed_shop: RoutedShop, engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first payment with a card tells what kind of card it is; the next one knows it."""
    read: list[str] = []

    async def counted(connection: Any, payment: Payment, now: datetime) -> PaymentHistory:
        read.append(payment.id)
        return await history_of(connection, payment, now)

    monkeypatch.setattr(history, "history_of", counted)
    rules = tmp_path / "three_d_secure.toml"
    rules.write_text(
        '[[rule]]\nname = "paid-before"\nrequest = "automatic"\nfirst_payment = false\n',
        encoding="utf-8",
    )
    await prefers_backup(engine)
    async with routed_shop(three_d_secure_file=rules) as shop:
        payments = [await shop.create() for _ in range(2)]
        rows = await decisions(engine)
    assert read == [payment.id for payment in payments]
    assert payments[1].three_d_secure.rule == "paid-before"
    first, second = (rows[payment.id] for payment in payments)
    assert (first.region, first.network) == ("OTHER", "OTHER")
    assert (second.region, second.network) == ("US", "VISA")
    known = Context("US", "VISA", "CREDIT", "EUR", 2_000, 0, False, 1, False, "NORMAL")
    expected = SPACE.buckets(replace(known, hour=second.decide_time.hour))
    assert second.slots["common"] == list(SPACE.common.slots(expected))
