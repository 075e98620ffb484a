"""Operators who let routing decide in full, by its own RPCs.

Each step asks for hundreds of outcomes, and nobody waits for those here: they are put into the
database as of an engine that has run for a while, and taken out again, so that every decision that
is judged was made by the engine.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

from gateway.routing.codec import content_hash, dump, load
from gateway.routing_service.learner import CODE_VERSION
from gateway.routing_service.steps import MIN_SHADOW_OUTCOMES
from gateway.routing_service.terms import SPACE
from gateway.v1 import routing_pb2 as routing
from gateway.v1 import routing_service_pb2 as pb
from gateway.v1.routing_service_pb2_grpc import RoutingServiceStub
from sandbox.polling import poll
from tests.chaos.cluster import Cluster

STEPS = (
    routing.ROUTING_STEP_FIRST,
    routing.ROUTING_STEP_SECOND,
    routing.ROUTING_STEP_FULL,
)
# Enough for the interval to lie within the margin.
OUTCOMES_OF_EACH_ARM = 500
CALL_SECONDS = 20.0
# The evidence is of after the step that was taken last, however long that took.
AFTERWARDS = timedelta(minutes=1)
_DECISIONS = """
INSERT INTO routing_decision (
    payment_id, merchant_id, mode, arm, share, corridor, propensity, action, seed, explored,
    model_version, policy_hash, features_hash, region, network, slots, scores, excluded, decide_time
)
SELECT
    'history-' || arm || number, 'history', 'STAGED', arm, 0.5, 'default', 1, 'default', 0, false,
    '', '', '', 'OTHER', 'OTHER', '{}', '[]', '[]', %(now)s
FROM generate_series(1, %(count)s) AS number CROSS JOIN unnest(ARRAY['RULES', 'ROUTED']) AS arm
"""
_OUTCOMES = """
INSERT INTO routing_outcome (payment_id, arm, corridor, region, cause, was_unknown, learn_time)
SELECT payment_id, arm, corridor, region, 'APPROVED', false, %(now)s FROM routing_decision
WHERE merchant_id = 'history'
"""
_FORGET = (
    "DELETE FROM routing_outcome WHERE payment_id LIKE 'history-%'",
    "DELETE FROM routing_decision WHERE merchant_id = 'history'",
)


async def let_routing_decide(cluster: Cluster, now: datetime) -> None:
    """Takes every step up to the last, once the leader has a model, which is then one that has
    learnt from enough. `now` is what the gateways' clocks show."""
    url = cluster.databases["gateway"]
    async with (
        await psycopg.AsyncConnection.connect(url) as database,
        cluster.channel("gateway-1") as channel,
    ):
        stub: Any = RoutingServiceStub(channel)

        async def models() -> Any:
            return await stub.ListModels(pb.ListModelsRequest(page_size=1), timeout=CALL_SECONDS)

        await poll(models, lambda listed: bool(listed.models))
        version = await _teach(database, now)
        for number, step in enumerate(STEPS):
            if number:
                await _compare(database, now + number * AFTERWARDS)
            await stub.PromoteModel(
                pb.PromoteModelRequest(
                    request_id=f"chaos-step-{number}",
                    model_version=version,
                    step=step,
                    reason="chaos",
                    override_reason="no verdict is awaited in a run of minutes",
                ),
                timeout=CALL_SECONDS,
            )
        await _forget(database)


async def _teach(database: psycopg.AsyncConnection[Any], now: datetime) -> str:
    """Has the model in force be one that has learnt from enough; its version."""
    async with database.transaction():
        row = await (
            await database.execute(
                "SELECT state FROM routing_learner JOIN routing_model ON version = model_version"
                " FOR UPDATE OF routing_learner"
            )
        ).fetchone()
        assert row is not None, "a learner has begun"
        state = load(row[0], SPACE)
        learned = state.learned + MIN_SHADOW_OUTCOMES
        raw = dump(replace(state, learned=learned))
        version = content_hash(raw)
        await database.execute(
            "INSERT INTO routing_model (version, state, learned, code_version, create_time)"
            " VALUES (%s, %s, %s, %s, %s)",
            [version, raw, learned, CODE_VERSION, now],
        )
        await database.execute("UPDATE routing_learner SET model_version = %s", [version])
    return version


async def _compare(database: psycopg.AsyncConnection[Any], now: datetime) -> None:
    """As many outcomes of payments that followed routing as of the others, since the last step."""
    await _forget(database)
    async with database.transaction():
        given = {"now": now, "count": OUTCOMES_OF_EACH_ARM}
        await database.execute(_DECISIONS, given)
        await database.execute(_OUTCOMES, given)


async def _forget(database: psycopg.AsyncConnection[Any]) -> None:
    async with database.transaction():
        for statement in _FORGET:
            await database.execute(statement)
