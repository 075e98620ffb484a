"""A step that acts rests on a verdict that accepts the model, or on an operator's word."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.routing_service import schema, store
from gateway.routing_service.judgement_log import newest_judgement
from gateway.routing_service.judgements import (
    JUDGEMENT_VALID,
    Judgement,
    JudgementProblem,
    problem_with_judgement,
)
from gateway.routing_service.pruning import prune
from gateway.routing_service.steps import MIN_SHADOW_OUTCOMES, Step, Subject
from gateway.routing_service.terms import RoutingTerms
from gateway.v1 import routing_pb2, routing_service_pb2
from gateway.v1.routing_service_pb2_grpc import RoutingServiceStub
from tests.gateway.routing_service.beliefs import FEW_LESSONS, FIGURES, begin_with, leaning
from tests.gateway.routing_service.conftest import RoutedShop
from tests.gateway.routing_service.test_routing_rpcs import promote, refused

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
A_MOMENT = timedelta(microseconds=1)
TERMS = RoutingTerms().digest
pb: Any = routing_service_pb2

ACCEPTED = Judgement(1, True, (), TERMS, NOW)


@pytest.mark.parametrize(
    ("newest", "problem"),
    [
        (None, JudgementProblem.MISSING),
        (ACCEPTED, None),
        (replace(ACCEPTED, accepted=False, refusals=("WORSE",)), JudgementProblem.REFUSED),
        (replace(ACCEPTED, until_time=NOW - JUDGEMENT_VALID), None),
        (
            replace(ACCEPTED, until_time=NOW - JUDGEMENT_VALID - A_MOMENT),
            JudgementProblem.OUTDATED,
        ),
        (replace(ACCEPTED, policy_hash="0" * 16), JudgementProblem.OTHER_TERMS),
    ],
)
def test_which_verdict_a_step_may_rest_on(
    newest: Judgement | None, problem: JudgementProblem | None
) -> None:
    assert problem_with_judgement(newest, TERMS, NOW) is problem


def verdict(version: str, until: datetime, **values: Any) -> dict[str, Any]:
    """The row of one that accepts a model."""
    return {
        "subject": "CORRIDOR",
        "candidate": "MODEL",
        "model_version": version,
        "policy_hash": TERMS,
        "accepted": True,
        "refusals": [],
        "decision_count": 5_000,
        "gain": 0.02,
        "gain_low": 0.01,
        "gain_high": 0.03,
        "looks": 1,
        "since_time": until - timedelta(days=7),
        "until_time": until,
        "client": "somebody",
        "judge_time": until,
        **values,
    }


async def judge(engine: AsyncEngine, *rows: dict[str, Any]) -> None:
    async with engine.begin() as connection:
        for row in rows:
            await connection.execute(insert(schema.JUDGEMENT), row)


async def test_a_step_is_taken_by_a_verdict_or_by_word(
    routed_shop: RoutedShop, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    seen = replace(leaning("backup", "default", now, FEW_LESSONS), learned=MIN_SHADOW_OUTCOMES)
    version = await begin_with(engine, seen, Step.SHADOW, now)
    async with routed_shop() as shop:
        stub: Any = RoutingServiceStub(shop.channel)

        async def told(**values: Any) -> dict[str, str]:
            error = await refused(stub.PromoteModel(promote(version, override_reason="", **values)))
            assert (error.code, error.reason) == (
                grpc.StatusCode.FAILED_PRECONDITION,
                "ROUTING_NOT_JUDGED",
            )
            assert (error.metadata["step"], error.metadata["model_version"]) == ("FIRST", version)
            return dict(error.metadata)

        assert (await told())["problem"] == "MISSING"
        # What was judged is another policy, another model or another subject.
        await judge(
            engine,
            verdict(version, now, candidate="ORDER"),
            verdict("0" * 64, now),
            verdict(version, now, subject="RETRY_TIME"),
        )
        assert (await told())["problem"] == "MISSING"
        # Nothing was tried out in the shadow: the real verdict cannot but refuse.
        evaluated = await stub.EvaluatePolicy(
            pb.EvaluatePolicyRequest(recorded_routing={}), timeout=120
        )
        assert evaluated.evaluation.model_version == version
        metadata = await told()
        assert (metadata["problem"], metadata["refusals"]) == ("REFUSED", "THIN_SUPPORT")
        await judge(engine, verdict(version, now - timedelta(days=2)))
        assert (await told())["problem"] == "OUTDATED"
        await judge(engine, verdict(version, now, policy_hash="0" * 16))
        assert (await told())["problem"] == "OTHER_TERMS"

        by_word = promote(version, override_reason="the shadow has shown enough")
        change = (await stub.PromoteModel(by_word)).change
        assert (change.client, change.override_reason) == (
            "sandbox",
            "the shadow has shown enough",
        )
        assert not change.HasField("judgement_number")
        assert change.subject == routing_pb2.ROUTING_SUBJECT_CORRIDOR
        back = pb.RollBackModelRequest(request_id="b-1", reason="once more, by the verdict")
        back_at = (await stub.RollBackModel(back)).change
        assert (back_at.step, back_at.override_reason) == (routing_pb2.ROUTING_STEP_SHADOW, "")

        await judge(engine, verdict(version, now, candidate="RECORDED"))
        async with engine.connect() as connection:
            newest = await newest_judgement(connection, Subject.CORRIDOR, version)
        assert newest is not None
        # A word that was not needed is not what it rests on.
        change = (await stub.PromoteModel(promote(version, override_reason="anyway"))).change
        assert (change.judgement_number, change.override_reason) == (newest.number, "")


async def test_old_verdicts_are_deleted_but_for_those_that_a_step_rests_on(
    engine: AsyncEngine,
) -> None:
    version = await begin_with(
        engine, leaning("backup", "default", NOW, FEW_LESSONS), Step.SHADOW, NOW
    )
    before = NOW - store.KEEP_DECISIONS
    times = (before - A_MOMENT, before - A_MOMENT, before)
    await judge(engine, *[verdict(version, NOW, judge_time=time) for time in times])
    async with engine.begin() as connection:
        await store.add_step(
            connection, Step.FIRST, version, "x", "y", FIGURES, NOW, judgement_number=1
        )
        assert await prune(connection, NOW) == 1
        left = await connection.execute(
            select(schema.JUDGEMENT.c.judgement_number).order_by(
                schema.JUDGEMENT.c.judgement_number
            )
        )
        assert list(left.scalars()) == [1, 3]
