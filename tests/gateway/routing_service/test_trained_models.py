"""Models that operators have trained: by another process, kept with what they were trained on, put
in force by a step, and refused when their bytes are not their own."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import REGISTRY
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.routing.codec import content_hash, dump, load
from gateway.routing.training import MIN_DECISIONS
from gateway.routing_service import candidates, schema, store, training_store
from gateway.routing_service.board import ModelBoard
from gateway.routing_service.candidates import TrainedModel, Trainings, choosable
from gateway.routing_service.decision_feed import DecisionFeed, ReaderGoneError
from gateway.routing_service.pruning import KEEP_MODELS, KEEP_TRAINED, prune
from gateway.routing_service.steps import Arm, Mode, Step
from gateway.routing_service.store import KEEP_DECISIONS
from gateway.routing_service.telemetry import FallBack
from gateway.routing_service.terms import SPACE
from gateway.routing_service.trainer import Asked, answer_to
from gateway.stripe_client.failover import Terms
from gateway.v1 import routing_pb2, routing_service_pb2
from gateway.v1.routing_service_pb2_grpc import RoutingServiceStub
from gateway.validation import VALIDATOR
from runtime.clock import ManualClock
from runtime.errors import ServiceError
from tests.gateway.payments.shop import fresh
from tests.gateway.routing_service.beliefs import begin_with, decisions
from tests.gateway.routing_service.conftest import RoutedShop
from tests.gateway.routing_service.test_evaluating import (
    BEFORE,
    believing,
    kept,
    leaning_away,
    line_of,
)
from tests.gateway.routing_service.test_judgements import judge, verdict
from tests.gateway.routing_service.test_learning import (
    APPROVED,
    NEW,
    clock,
    in_force,
    learner_of,
    tell,
)
from tests.gateway.routing_service.test_routing_rpcs import learnt_of_all, promote, refused

__all__ = ["clock"]

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
FIRST, SECOND = routing_pb2.ROUTING_STEP_FIRST, routing_pb2.ROUTING_STEP_SECOND
START, END = NOW - timedelta(hours=1), NOW
# A little more than is needed.
COUNT = MIN_DECISIONS + 5
pb: Any = routing_service_pb2


@cache
def rows() -> tuple[dict[str, Any], ...]:
    return tuple(believing(leaning_away(), count=COUNT))


@cache
def said(start: datetime = START, end: datetime = END) -> Mapping[str, Any]:
    """What the other process says of these decisions."""
    asked = Asked(start.timestamp(), end.timestamp(), ("backup", "default"), "some code")
    return answer_to([asked.to_line(), *(line_of(row) for row in reversed(rows())), b"\n"])


def candidate(end: datetime = END) -> TrainedModel:
    answer = said(START, end)
    return TrainedModel(answer["model"].encode(), answer["learned"], truncated=False)


async def keep(engine: AsyncEngine, model: TrainedModel, client: str = "anna") -> str:
    async with engine.begin() as connection:
        return await candidates.keep(connection, model, client, NOW)


async def damage(database_url: str, version: str) -> None:
    """Turns one byte of a model, as its owner could and the gateway may not."""
    owner = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    async with owner:
        await owner.execute(
            "UPDATE routing_model SET state = set_byte(state, 100, get_byte(state, 100) # 1)"
            " WHERE version = %s",
            [version],
        )


def test_decisions_by_other_features_are_left_out() -> None:
    asked = Asked(0.0, 1.0, ("backup", "default"), "some code")
    lines = [line_of(row, features_hash="0" * 16) for row in rows()]
    answer = answer_to([asked.to_line(), *lines, b"\n"])
    assert (answer["model"], answer["problem"]) == ("", "TOO_FEW_DECISIONS")
    assert answer["sentence"].startswith("0 decisions")


def test_lines_that_break_off_are_no_log() -> None:
    asked = Asked(0.0, 1.0, ("backup", "default"), "some code")
    with pytest.raises(ValueError, match="break off"):
        answer_to([asked.to_line(), line_of(rows()[0])])


def test_routing_chooses_among_what_fails_over_and_where_to() -> None:
    terms = [Terms("a", failover_to=("b", "c")), Terms("b"), Terms("c"), Terms("alone")]
    assert choosable(terms) == {"a", "b", "c"}


async def test_operators_have_a_model_trained(routed_shop: RoutedShop, engine: AsyncEngine) -> None:
    """By the other process, on the rows in the database; judged where it has seen nothing,
    promoted, learnt on from and named by ExplainRouting."""
    shift = datetime.now(UTC) - timedelta(minutes=5) - NOW
    await kept(engine, rows(), shift)
    online = await begin_with(engine, NEW, Step.SHADOW, datetime.now(UTC))
    window = {"start_time": START + shift, "end_time": END + shift}
    async with routed_shop() as shop:
        stub: Any = RoutingServiceStub(shop.channel)

        async def trained(request_id: str, **values: Any) -> Any:
            request = pb.TrainModelRequest(request_id=request_id, **{**window, **values})
            return (await stub.TrainModel(request, timeout=120)).model

        model = await trained("t-1")
        told = model.training
        assert (told.candidate, told.client, told.truncated) == (True, "sandbox", False)
        assert told.start_time.ToDatetime(tzinfo=UTC) == window["start_time"]
        assert told.end_time.ToDatetime(tzinfo=UTC) == window["end_time"]
        assert (told.decision_count, told.fitted_count) == (COUNT, model.learned_count)
        assert told.fitted_count + told.held_out_count == COUNT
        assert 0.0 < told.log_loss < told.base_rate_log_loss
        assert list(told.corridors) == ["backup", "default"]
        assert told.settings["held_out_share"] == 0.2
        assert model.code_version.startswith("payment-engine ")
        async with engine.connect() as connection:
            raw = await store.model_state(connection, model.version)
        assert content_hash(raw) == model.version
        # The same again, by any request, is the same model; it is in the list once.
        assert await trained("t-1") == await trained("t-2") == model
        other = pb.TrainModelRequest(request_id="t-1", **{**window, "start_time": BEFORE})
        assert (await refused(stub.TrainModel(other))).reason == "REQUEST_ID_REUSED"
        listed = (await stub.ListModels(pb.ListModelsRequest(trained_only=True))).models
        assert list(listed) == [model]
        everything = (await stub.ListModels(pb.ListModelsRequest())).models
        assert [each.HasField("training") for each in everything if each.version == online] == [
            False
        ]

        # What was held out it may be judged on, what it was fitted to it may not.
        async def judged(**values: Any) -> Any:
            request = pb.EvaluatePolicyRequest(model_version=model.version, **values)
            return (await stub.EvaluatePolicy(request, timeout=120)).evaluation

        refusals = [each.reason for each in (await judged()).refusals]
        assert routing_pb2.POLICY_REFUSAL_REASON_TRAINED_ON_LOG in refusals
        unseen = await judged(start_time=told.held_out_time)
        assert unseen.decision_count == told.held_out_count
        assert unseen.gain.value > 0.1
        assert routing_pb2.POLICY_REFUSAL_REASON_TRAINED_ON_LOG not in [
            each.reason for each in unseen.refusals
        ]

        change = (await stub.PromoteModel(promote(model.version))).change
        assert (change.step, change.model_version) == (FIRST, model.version)
        assert change.figures.learned_count == model.learned_count
        (now,) = (await stub.ListModels(pb.ListModelsRequest(trained_only=True))).models
        assert (now.in_force, now.training.candidate) == (True, False)

    async with routed_shop() as shop:
        # A gateway that has read it.
        stub = RoutingServiceStub(shop.channel)
        payment = await shop.create()
        await learnt_of_all(engine)
        explain = pb.ExplainRoutingRequest(payment_id=payment.id)
        decision = (await stub.ExplainRouting(explain)).decision
        assert decision.trained_model_version == model.version
    # What was learnt since goes on from it.
    latest = await in_force(engine)
    assert latest.version != model.version
    async with engine.connect() as connection:
        state = load(await store.model_state(connection, latest.version), SPACE)
    assert state.prior is not None
    assert state.prior.version == model.version
    assert state.learned == model.learned_count + 1
    assert (await decisions(engine))[payment.id].trained_version == model.version


async def test_what_cannot_be_trained_on_is_refused_with_its_reason(
    routed_shop: RoutedShop, engine: AsyncEngine
) -> None:
    async with routed_shop("off") as shop:
        stub: Any = RoutingServiceStub(shop.channel)
        now = datetime.now(UTC)
        for end, problem, text in (
            (now + timedelta(hours=1), "WINDOW_OPEN", "ends in 3"),
            (now, "TOO_FEW_DECISIONS", f"0 decisions .* {MIN_DECISIONS}"),
        ):
            request = pb.TrainModelRequest(
                request_id="t-1", start_time=now - timedelta(days=1), end_time=end
            )
            error = await refused(stub.TrainModel(request, timeout=120))
            assert (error.code, error.reason) == (
                grpc.StatusCode.FAILED_PRECONDITION,
                "ROUTING_TRAINING_REFUSED",
            )
            assert dict(error.metadata) == {"problem": problem}
            assert re.search(text, error.message)
        assert not (await stub.ListModels(pb.ListModelsRequest())).models
    async with engine.connect() as connection:
        written = select(func.count()).select_from(schema.REQUEST)
        assert (await connection.execute(written)).scalar_one() == 0


async def test_a_process_that_ends_has_trained_nothing(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "START", "raise SystemExit(3)")
    with pytest.raises(ReaderGoneError, match=r"ended with 3|listens no more"):
        await Trainings(DecisionFeed(engine), ["a"]).train(START, END, NOW)


async def test_a_candidate_begins_on_the_ladder_as_all_do(engine: AsyncEngine) -> None:
    """Above SHADOW, what live payments show is of another model."""
    version = await keep(engine, candidate())
    online = await begin_with(engine, NEW, Step.SHADOW, NOW)

    async def asked(version: str, present: Step, in_force: str) -> Any:
        async with engine.connect() as connection:
            found = await candidates.to_be_put_in_force(
                connection, version, in_force, mode=Mode.STAGED, step=Step.SECOND, present=present
            )
            return found.version if found is not None else None

    assert await asked(version, Step.SHADOW, online) == version
    with pytest.raises(ServiceError, match="begins at SHADOW"):
        await asked(version, Step.FIRST, online)
    # What is in force already, or goes on from it, needs nothing.
    assert await asked(version, Step.FIRST, version) is None
    on = dump(load(candidate().raw, SPACE))
    async with engine.begin() as connection:
        await store.add_model(connection, content_hash(on), on, 1, "x", NOW)
    assert await asked(version, Step.FIRST, content_hash(on)) is None
    # Models that were learnt one payment after the other are as before.
    assert await asked(online, Step.FIRST, version) is None


async def test_one_byte_that_was_turned_and_the_rules_decide(
    engine: AsyncEngine, clock: ManualClock, database_url: str
) -> None:
    version = await keep(engine, candidate())
    good = await begin_with(engine, NEW, Step.FULL, NOW)
    async with engine.begin() as connection:
        await store.move_learner(connection, model_version=version)
    board, learner = ModelBoard(engine, clock), learner_of(engine, clock)
    await learner.round()
    await board.refresh()
    assert board.problem() is None
    assert board.known is not None
    assert board.known.trained_version == version
    await damage(database_url, version)
    # Whoever has read it before goes on with what it was.
    await board.refresh()
    assert board.problem() is None
    fresh_board, fresh_learner = ModelBoard(engine, clock), learner_of(engine, clock)
    await fresh_board.refresh()
    assert (fresh_board.known, fresh_board.problem()) == (None, FallBack.DAMAGED)
    assert REGISTRY.get_sample_value("gateway_routing_model_damaged") == 1.0
    # Nothing is learnt on from it, and nothing is lost.
    await tell(engine, [("pay_1", Arm.RULES, APPROVED)])
    assert not await fresh_learner.round()
    assert (await in_force_version(engine)) == version
    async with engine.connect() as connection:
        with pytest.raises(ServiceError, match="not those of this model"):
            await candidates.sound_state(connection, version)
    async with engine.begin() as connection:
        await store.move_learner(connection, model_version=good)
    await fresh_learner.round()
    assert (await in_force(engine)).learned == 1
    await fresh_board.refresh()
    assert fresh_board.problem() is None
    assert REGISTRY.get_sample_value("gateway_routing_model_damaged") == 0.0


async def in_force_version(engine: AsyncEngine) -> str:
    async with engine.connect() as connection:
        row = await store.learner(connection)
        assert row is not None
        return str(row.model_version)


async def test_a_damaged_model_is_not_put_in_force_by_operators(
    routed_shop: RoutedShop, engine: AsyncEngine, database_url: str
) -> None:
    version = await keep(engine, candidate())
    good = await begin_with(engine, NEW, Step.SHADOW, datetime.now(UTC))
    await damage(database_url, version)
    async with routed_shop() as shop:
        stub: Any = RoutingServiceStub(shop.channel)
        back = pb.RollBackModelRequest(request_id=fresh(), model_version=version, reason="x")
        for call in (
            stub.PromoteModel(promote(version)),
            stub.RollBackModel(back),
            stub.EvaluatePolicy(pb.EvaluatePolicyRequest(model_version=version)),
        ):
            error = await refused(call)
            assert (error.code, error.reason, dict(error.metadata)) == (
                grpc.StatusCode.DATA_LOSS,
                "ROUTING_MODEL_DAMAGED",
                {"model_version": version},
            )
    assert await in_force_version(engine) == good


async def test_candidates_outlive_models_of_the_moment_and_the_newest_are_kept(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    ends = [END + timedelta(seconds=number) for number in range(2)]
    named, current = [await keep(engine, candidate(end)) for end in ends]
    assert await keep(engine, candidate(ends[0]), "bert") == named
    async with engine.connect() as connection:
        found = await training_store.trainings(connection, [named])
    assert (found[named].client, found[named].promoted) == ("anna", False)
    await begin_with(engine, NEW, Step.SHADOW, NOW)
    provenance = found[named].provenance
    async with engine.begin() as connection:
        await store.add_step(connection, Step.FIRST, named, "anna", "a test", {}, NOW)
        await store.move_learner(connection, model_version=current)
        more = [f"{number:064x}" for number in range(KEEP_TRAINED + 2)]
        judged = more[1]
        for version in more:
            await store.add_model(connection, version, b"x", 0, "old", NOW)
            await training_store.add_training(
                connection, version, provenance, "anna", NOW, truncated=False
            )
        for number in range(KEEP_MODELS):
            await store.add_model(connection, f"{1_000 + number:064x}", b"x", 0, "old", NOW)
    await judge(engine, verdict(judged, NOW))
    async with engine.begin() as connection:
        await prune(connection, NOW)
        left = set((await connection.execute(select(schema.TRAINING.c.version))).scalars())
        models = set((await connection.execute(select(schema.MODEL.c.version))).scalars())
    assert left == {named, current, judged, *more[2:]}
    assert left < models
    assert more[0] not in models


def at(seconds: int, nanos: int = 0) -> Timestamp:
    return Timestamp(seconds=seconds, nanos=nanos)


DAYS_90 = int(KEEP_DECISIONS.total_seconds())


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"start_time": at(7), "end_time": at(8)}, []),
        ({"start_time": at(7), "end_time": at(7)}, ["end_time"]),
        ({"end_time": at(7)}, ["start_time"]),
        ({"start_time": at(7)}, ["end_time"]),
        ({"start_time": at(7), "end_time": at(7 + DAYS_90)}, []),
        ({"start_time": at(7), "end_time": at(7 + DAYS_90, 1_000)}, ["end_time"]),
    ],
)
def test_limits_of_a_request(values: dict[str, Any], fields: list[str]) -> None:
    request = pb.TrainModelRequest(request_id="t-1", **values)
    assert [violation.field for violation in VALIDATOR.violations(request)] == fields
