"""RoutingService: why a payment went where it did, and how much routing is allowed, by whom."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.routing_service import schema, store
from gateway.routing_service.steps import MIN_ARM_OUTCOMES, MIN_SHADOW_OUTCOMES, Arm, Step
from gateway.v1 import routing_pb2, routing_service_pb2
from gateway.v1.routing_service_pb2_grpc import RoutingServiceStub
from runtime.errors import ReceivedError, from_rpc_error
from tests.gateway.payments.shop import Shop, fresh
from tests.gateway.routing_service.beliefs import begin_with, decisions, leaning, learnt
from tests.gateway.routing_service.conftest import RoutedShop
from tests.gateway.routing_service.test_learning import NEW, many, tell
from tests.waiting import WAIT_SECONDS

FIRST, SECOND = routing_pb2.ROUTING_STEP_FIRST, routing_pb2.ROUTING_STEP_SECOND
pb: Any = routing_service_pb2


async def refused(call: Any) -> ReceivedError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return from_rpc_error(error.value)


def promote(
    version: str,
    step: Any = FIRST,
    request_id: str = "",
    reason: str = "a test",
    override_reason: str = "nothing was judged",
) -> Any:
    return pb.PromoteModelRequest(
        request_id=request_id or fresh(),
        model_version=version,
        step=step,
        reason=reason,
        override_reason=override_reason,
    )


async def steps_taken(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        rows = await connection.execute(
            select(schema.STEP.c.step).order_by(schema.STEP.c.step_number)
        )
        return list(rows.scalars())


async def learnt_of_all(engine: AsyncEngine) -> None:
    """Learns until every decision has been looked at: as soon as its event is numbered."""
    async with asyncio.timeout(WAIT_SECONDS):
        while set(await decisions(engine)) != set(await learnt(engine)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_payment_is_explained(routed_shop: RoutedShop, engine: AsyncEngine) -> None:
    now = datetime.now(UTC)
    version = await begin_with(engine, leaning("backup", "default", now), Step.FULL, now)
    async with routed_shop() as shop:
        stub: Any = RoutingServiceStub(shop.channel)
        payment = await shop.create()
        await learnt_of_all(engine)
        answer = await stub.ExplainRouting(pb.ExplainRoutingRequest(payment_id=payment.id))
        told = answer.decision
        assert (told.payment_id, told.corridor) == (payment.id, payment.corridor)
        assert (told.model_version, told.share) == (version, 0.95)
        assert told.cause == routing_pb2.ROUTING_CAUSE_APPROVED
        assert not told.was_unknown
        assert [each.corridor for each in told.candidates] == ["default", "backup"]
        home, backup = told.candidates
        assert backup.approval > home.approval
        assert (home.exploration, backup.exploration) == (True, False)
        assert home.propensity + backup.propensity == pytest.approx(1.0)
        # Where it would have been sent without routing, and what that would have been worth.
        assert told.rules_corridor == "default"
        gained = backup.value - home.value if told.corridor == "backup" else 0.0
        assert told.value_over_rules == pytest.approx(gained)

        stays = await shop.create(stay_in_corridor=True)
        for payment_id in (stays.id, "pay_0"):
            request = pb.ExplainRoutingRequest(payment_id=payment_id)
            error = await refused(stub.ExplainRouting(request))
            assert (error.code, error.reason, dict(error.metadata)) == (
                grpc.StatusCode.NOT_FOUND,
                "ROUTING_DECISION_NOT_FOUND",
                {"payment_id": payment_id},
            )


async def test_promotion_needs_evidence_and_says_what_is_missing(
    routed_shop: RoutedShop, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC) - timedelta(minutes=1)
    thin = leaning("backup", "default", now, (MIN_SHADOW_OUTCOMES - 2) // 2)
    version = await begin_with(engine, thin, Step.SHADOW, now)
    async with routed_shop() as shop:
        stub: Any = RoutingServiceStub(shop.channel)
        error = await refused(stub.PromoteModel(promote(version)))
        assert (error.code, error.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "ROUTING_EVIDENCE_THIN",
        )
        assert error.metadata["learned"] == str(MIN_SHADOW_OUTCOMES - 2)
        assert error.metadata["present_step"] == "SHADOW"
        # Two more outcomes are enough.
        await tell(engine, many(Arm.RULES, 2, 2), now)
        await learnt_of_all(engine)
        request = promote(version, request_id="promote-1")
        change = (await stub.PromoteModel(request)).change
        assert (change.step, change.model_version) == (FIRST, version)
        assert (change.reason, change.client) == ("a test", "sandbox")
        assert change.override_reason == "nothing was judged"
        assert change.figures.learned_count == MIN_SHADOW_OUTCOMES
        # The same again changes nothing; with another body it is refused.
        assert (await stub.PromoteModel(request)).change == change
        other = promote(version, request_id="promote-1", reason="another")
        assert (await refused(stub.PromoteModel(other))).reason == "REQUEST_ID_REUSED"
        assert await steps_taken(engine) == ["SHADOW", "FIRST"]
        # Nothing is known of routed payments yet.
        error = await refused(stub.PromoteModel(promote(version, SECOND)))
        assert error.reason == "ROUTING_EVIDENCE_THIN"
        assert error.metadata["routed_outcomes"] == "0"
        # The last step is not the next one.
        skipped = promote(version, routing_pb2.ROUTING_STEP_FULL)
        assert (await refused(stub.PromoteModel(skipped))).reason == "ROUTING_STEP_INVALID"
        nowhere = promote("0" * 64, SECOND)
        assert (await refused(stub.PromoteModel(nowhere))).reason == "ROUTING_MODEL_NOT_FOUND"
        assert await steps_taken(engine) == ["SHADOW", "FIRST"]


async def test_good_evidence_promotes_and_operators_roll_back(
    routed_shop: RoutedShop, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    earlier = await begin_with(engine, NEW, Step.FIRST, now - timedelta(minutes=1))
    count = MIN_ARM_OUTCOMES
    told = [*many(Arm.RULES, count, 150), *many(Arm.ROUTED, count, count)]
    await tell(engine, told, now)
    async with routed_shop() as shop:
        stub: Any = RoutingServiceStub(shop.channel)
        await learnt_of_all(engine)
        newest = (await stub.ListModels(pb.ListModelsRequest(page_size=1))).models[0]
        assert newest.in_force
        assert newest.learned_count == 2 * count
        change = (await stub.PromoteModel(promote(newest.version, SECOND))).change
        figures = change.figures
        assert (figures.routed_outcome_count, figures.routed_success) == (count, 1.0)
        assert figures.difference_low > 0.15
        report = await stub.GetRoutingReport(pb.GetRoutingReportRequest())
        assert (report.mode, report.step) == ("staged", SECOND)
        assert [(c.step, c.reason) for c in report.changes][:1] == [(SECOND, "a test")]
        sums = {line.arm: line for line in report.lines}
        routed = sums[routing_pb2.ROUTING_ARM_ROUTED]
        assert (routed.decision_count, routed.judged_count, routed.approved_count) == (
            *(count, count, count),
        )
        assert report.explored_share == routed.explored_count / count
        # One region alone is not apart from any.
        assert report.region_success_gap == 0.0
        back = pb.RollBackModelRequest(request_id="b-1", model_version=earlier, reason="too good")
        change = (await stub.RollBackModel(back)).change
        assert (change.step, change.model_version) == (routing_pb2.ROUTING_STEP_SHADOW, earlier)
        assert (await stub.RollBackModel(back)).change == change
        listed = (await stub.ListModels(pb.ListModelsRequest())).models
        assert [model.version for model in listed if model.in_force] == [earlier]
        unknown = pb.RollBackModelRequest(request_id="b-2", model_version="0" * 64, reason="x")
        assert (await refused(stub.RollBackModel(unknown))).reason == "ROUTING_MODEL_NOT_FOUND"
        assert await steps_taken(engine) == ["FIRST", "SECOND", "SHADOW"]


async def test_models_are_listed_page_by_page(routed_shop: RoutedShop, engine: AsyncEngine) -> None:
    now = datetime.now(UTC)
    async with engine.begin() as connection:
        for number in range(3):
            await store.add_model(connection, f"{number:064x}", b"{}", number, "old", now)
    async with routed_shop("off") as shop:
        stub: Any = RoutingServiceStub(shop.channel)
        first = await stub.ListModels(pb.ListModelsRequest(page_size=2))
        second = await stub.ListModels(
            pb.ListModelsRequest(page_size=2, page_token=first.next_page_token)
        )
        assert [model.learned_count for model in first.models] == [2, 1]
        assert [model.learned_count for model in second.models] == [0]
        assert not second.next_page_token


@pytest.mark.parametrize("mode", ["off", "shadow"])
async def test_steps_do_not_count_unless_routing_is_staged(
    routed_shop: RoutedShop, engine: AsyncEngine, mode: str
) -> None:
    async with routed_shop(mode) as shop:
        stub: Any = RoutingServiceStub(shop.channel)
        error = await refused(stub.PromoteModel(promote("0" * 64)))
        assert (error.reason, error.metadata["mode"]) == ("ROUTING_STEP_INVALID", mode)
        report = await stub.GetRoutingReport(pb.GetRoutingReportRequest())
        assert (report.mode, list(report.lines)) == (mode, [])
        if mode == "off":
            back = pb.RollBackModelRequest(request_id="b-1", reason="x")
            assert (await refused(stub.RollBackModel(back))).reason == "ROUTING_STEP_INVALID"
        await bad_input(shop)
        assert await steps_taken(engine) == []


async def bad_input(shop: Shop) -> None:
    """What cannot be meant is refused by its field."""
    stub: Any = RoutingServiceStub(shop.channel)
    good: dict[str, Any] = {
        "request_id": "r-1", "model_version": "0" * 64, "step": FIRST, "reason": "x"
    }  # fmt: skip
    cases = [
        (stub.ExplainRouting, pb.ExplainRoutingRequest(), "payment_id"),
        (stub.ExplainRouting, pb.ExplainRoutingRequest(payment_id="7"), "payment_id"),
        (stub.ListModels, pb.ListModelsRequest(page_size=-1), "page_size"),
        *(
            (stub.PromoteModel, pb.PromoteModelRequest(**{**good, field: value}), field)
            for field, value in (
                ("request_id", ""),
                ("model_version", ""),
                ("model_version", "F" * 64),
                ("model_version", "0" * 65),
                ("step", 0),
                ("step", 77),
                ("reason", ""),
                ("reason", "x" * 513),
                ("override_reason", "x" * 513),
                ("subject", 77),
            )
        ),
        (stub.RollBackModel, pb.RollBackModelRequest(request_id="r", reason=""), "reason"),
    ]
    for method, request, field in cases:
        error = await refused(method(request))
        assert error.reason == "INVALID_REQUEST", (request, error)
        assert [violation.field for violation in error.violations] == [field]
