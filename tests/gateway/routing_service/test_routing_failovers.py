"""Payments that their corridor does not take, with more than one to go on to: routing says which,
writes down why, and learns what became of it."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.v1.decision_pb2 import Verdict
from gateway.routing.decision import chosen_again
from gateway.routing_service import schema, store
from gateway.routing_service.pruning import prune
from gateway.routing_service.record import decision_of
from gateway.routing_service.steps import Arm, Step
from gateway.routing_service.store import KEEP_DECISIONS
from gateway.v1 import routing_pb2, routing_service_pb2
from gateway.v1.corridor_pb2 import CorridorMode
from gateway.v1.payment_pb2 import PaymentState
from gateway.v1.routing_service_pb2_grpc import RoutingServiceStub
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import Shop
from tests.gateway.routing_service.beliefs import begin_with, decisions, leaning, learnt
from tests.gateway.routing_service.conftest import RoutedShop
from tests.gateway.routing_service.test_learning import decision_row
from tests.gateway.running import OpenShop

SUCCEEDED = PaymentState.PAYMENT_STATE_SUCCEEDED
CLOSED = CorridorMode.CORRIDOR_MODE_CLOSED
OTHERS = ("backup", "europe")


@pytest.fixture
def three_accounts(open_shop: OpenShop, twin: Twin, tmp_path: Path) -> RoutedShop:
    """Opens a gateway whose `default` fails over to two accounts that share its tokens."""
    shared = {"failover_to": list(OTHERS), "shared_tokens_with": list(OTHERS)}
    declared = [
        {
            "name": name,
            "api_key": twin.account(name).secret_key,
            "api_base": twin.url,
            "webhook_secrets": [twin.account(name).webhook_secret],
            **values,
        }
        for name, values in (("default", shared), ("backup", {}), ("europe", {}))
    ]
    file = tmp_path / "corridors.json"
    file.write_text(json.dumps(declared), encoding="utf-8")

    @asynccontextmanager
    async def opened(routing: str = "staged", **values: Any) -> AsyncIterator[Shop]:
        async with open_shop(
            stripe_corridors_file=file, routing=routing, **{"call_seconds": 5.0, **values}
        ) as shop:
            await shop.set_mode("default", CLOSED)
            yield shop

    return opened


async def prefers_europe(engine: AsyncEngine) -> None:
    now = datetime.now(UTC)
    await begin_with(engine, leaning("europe", "backup", now), Step.FULL, now)


async def failovers(engine: AsyncEngine) -> Mapping[tuple[str, int], Row[Any]]:
    """All choices after the first, by payment and number."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(schema.FAILOVER))
        return {(row.payment_id, row.hop): row for row in rows}


async def failover_outcomes(engine: AsyncEngine) -> Mapping[tuple[str, int], Row[Any]]:
    """What was learnt of them."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(schema.FAILOVER_OUTCOME))
        return {(row.payment_id, row.hop): row for row in rows}


async def test_payments_go_on_where_their_record_says_and_that_is_learnt_from(
    three_accounts: RoutedShop, engine: AsyncEngine, twin: Twin, compliance: FakeCompliance
) -> None:
    await prefers_europe(engine)
    async with three_accounts() as shop:
        payments = [await shop.create() for _ in range(8)]
        rows = await failovers(engine)
        # Their own corridor could not be used: at first there was nothing to choose.
        assert await decisions(engine) == {}
        assert set(rows) == {(payment.id, 1) for payment in payments}
        for payment in payments:
            row = rows[payment.id, 1]
            assert payment.state == SUCCEEDED
            assert [left.corridor for left in payment.failovers] == ["default"]
            assert payment.corridor == row.corridor
            decision = decision_of(row)
            assert chosen_again(decision) == row.action
            rules = decision.scores[0].corridor
            assert row.corridor == (row.action if row.arm == Arm.ROUTED else rules)
        stub: Any = RoutingServiceStub(shop.channel)
        request = routing_service_pb2.ExplainRoutingRequest(payment_id=payments[0].id)
        await shop.watch_until(payments[-1].id, SUCCEEDED)
        await learnt(engine)
        told = await stub.ExplainRouting(request)
        assert not told.HasField("decision")
        (choice,) = told.failovers
        assert (choice.corridor, choice.cause) == (
            payments[0].corridor,
            routing_pb2.ROUTING_CAUSE_APPROVED,
        )
        report = await stub.GetRoutingReport(routing_service_pb2.GetRoutingReportRequest())
        assert list(report.lines) == []
        went_on = {line.corridor: 0 for line in report.failover_lines}
        for line in report.failover_lines:
            assert line.judged_count == line.approved_count == line.decision_count
            went_on[line.corridor] += line.decision_count
        assert went_on == Counter(payment.corridor for payment in payments)
    found = await failover_outcomes(engine)
    assert {key: (row.corridor, row.cause) for key, row in found.items()} == {
        key: (row.corridor, "APPROVED") for key, row in rows.items()
    }
    sent = [payment.corridor for payment in payments]
    # Each drew by itself, mostly what is believed to be better.
    assert sent.count("europe") > sent.count("backup")
    # Compliance was asked about home, and then about where it went on.
    asked = [request.corridor for request in compliance.requests]
    assert asked == [corridor for each in sent for corridor in ("default", each)]
    keys = twin.requests.posts_by_key()["keys"]
    for payment in payments:
        uses = [use for key, use in keys.items() if payment.id in key]
        assert [len(use["accounts"]) for use in uses] == [1]


async def test_in_the_shadow_payments_go_on_by_the_rules(
    three_accounts: RoutedShop, engine: AsyncEngine
) -> None:
    await prefers_europe(engine)
    async with three_accounts("shadow") as shop:
        payments = [await shop.create() for _ in range(4)]
        rows = await failovers(engine)
    for payment in payments:
        row = rows[payment.id, 1]
        assert (row.mode, row.arm, row.propensity) == ("SHADOW", "RULES", 1.0)
        assert payment.corridor == row.corridor == row.scores[0]["corridor"]
    assert "europe" in {row.action for row in rows.values()}


async def test_what_is_not_allowed_there_goes_on_and_its_choice_is_nobodys_fault(
    three_accounts: RoutedShop, engine: AsyncEngine, compliance: FakeCompliance
) -> None:
    await prefers_europe(engine)
    compliance.verdicts = {"europe": Verdict.VERDICT_DENY}
    async with three_accounts() as shop:
        for _ in range(20):
            payment = await shop.create()
            row = (await failovers(engine))[payment.id, 1]
            if row.corridor == "europe":
                break
        assert (payment.state, payment.corridor) == (SUCCEEDED, "backup")
        assert [(left.corridor, left.reason) for left in payment.failovers] == [
            ("default", "CORRIDOR_CLOSED"),
            ("europe", "COMPLIANCE_DENY"),
        ]
        # The last corridor is no choice.
        assert (payment.id, 2) not in await failovers(engine)
        await shop.watch_until(payment.id, SUCCEEDED)
        await learnt(engine)
    assert (await failover_outcomes(engine))[payment.id, 1].cause == "NOBODY"


async def test_what_is_unknown_there_stays_there_and_is_learnt_when_it_is_decided(
    three_accounts: RoutedShop, engine: AsyncEngine, twin: Twin
) -> None:
    await prefers_europe(engine)
    fault = {"kind": "hang", "when": "after", "path": "/v1/payment_intents", "method": "POST"}
    twin.add_fault(**fault, account="europe", count=1)
    async with three_accounts(webhooks=False, call_seconds=2.0) as shop:
        for _ in range(20):
            payment = await shop.create()
            if (await failovers(engine))[payment.id, 1].corridor == "europe":
                break
        await shop.watch_until(payment.id, SUCCEEDED)
        assert set(await failovers(engine)) >= {(payment.id, 1)}
        assert (payment.id, 2) not in await failovers(engine)
        await learnt(engine)
    row = (await failover_outcomes(engine))[payment.id, 1]
    assert (row.corridor, row.cause, row.was_unknown) == ("europe", "APPROVED", True)
    uses = [use for key, use in twin.requests.posts_by_key()["keys"].items() if payment.id in key]
    assert [len(use["accounts"]) for use in uses] == [1]


async def test_old_choices_are_deleted_with_what_became_of_them(engine: AsyncEngine) -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    ages = (KEEP_DECISIONS, KEEP_DECISIONS + timedelta(microseconds=1))
    async with engine.begin() as connection:
        for number, age in enumerate(ages):
            row = {**decision_row("pay_1", Arm.RULES, now - age), "hop": number + 1}
            await connection.execute(insert(schema.FAILOVER), row)
            outcome = {
                name: row[name] for name in ("payment_id", "hop", "arm", "corridor", "region")
            }
            rest = {"cause": "APPROVED", "was_unknown": False, "learn_time": now}
            await store.add_outcomes(connection, [{**outcome, **rest}])
        assert await prune(connection, now) == 1
    assert set(await failovers(engine)) == set(await failover_outcomes(engine)) == {("pay_1", 1)}
