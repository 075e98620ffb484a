"""Declined payments that are tried again: routing says when, within the rules, and learns of it."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments.domain.payment import Decline, DeclineRetry, Payment
from gateway.payments.domain.retry_policy import RetryWindow
from gateway.payments.domain.states import Transition
from gateway.routing.attribution import Cause
from gateway.routing.codec import dump, load
from gateway.routing.decision import chosen_again
from gateway.routing.features import OTHER
from gateway.routing.retry_beliefs import DeclineKind, RetryBeliefs, TimeBuckets, slots_of
from gateway.routing.retry_times import decide_time
from gateway.routing.state import RoutingState
from gateway.routing_service import schema, store
from gateway.routing_service.evaluator import Asked, Candidate, answer_to
from gateway.routing_service.learner import Learner
from gateway.routing_service.pruning import prune, pruning
from gateway.routing_service.record import Circumstances, decision_of
from gateway.routing_service.retries import retry_lesson, retry_row, times_of
from gateway.routing_service.steps import (
    MIN_ARM_OUTCOMES,
    MIN_SHADOW_OUTCOMES,
    Arm,
    Mode,
    Step,
    Subject,
)
from gateway.routing_service.store import KEEP_DECISIONS
from gateway.routing_service.terms import SPACE, RoutingTerms
from gateway.v1 import payment_pb2, routing_pb2, routing_service_pb2
from gateway.v1.payment_pb2 import PaymentState
from gateway.v1.routing_service_pb2_grpc import RoutingServiceStub
from runtime.clock import ManualClock
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.cards import bank_treats_as, saved_card
from tests.gateway.payments.test_decline_retries import BROKE, DAY, charge
from tests.gateway.payments.test_states import new_payment
from tests.gateway.routing_service.beliefs import begin_with
from tests.gateway.routing_service.conftest import RoutedShop
from tests.gateway.routing_service.test_evaluating import line_of
from tests.gateway.routing_service.test_learning import APPROVED, in_force, tell
from tests.gateway.routing_service.test_routing_rpcs import promote, refused
from tests.gateway.running import OpenGate, OpenShop
from tests.waiting import WAIT_SECONDS

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SUCCEEDED = PaymentState.PAYMENT_STATE_SUCCEEDED
SCHEDULED = PaymentState.PAYMENT_STATE_RETRY_SCHEDULED
TERMS = RoutingTerms()
WINDOW = RetryWindow(NOW + DAY, NOW + 4 * DAY)
pb: Any = routing_service_pb2


@cache
def patient() -> RetryBeliefs:
    """What is believed after money has come on the second day, and not before."""
    beliefs = RetryBeliefs()
    for number in range(600):
        time = TimeBuckets(("US", OTHER)[number % 2], DeclineKind.FUNDS, 4 * (number % 6), 2)
        beliefs = beliefs.after(slots_of(time), 3, approved=True)
        early = slots_of(time._replace(day=1))
        beliefs = beliefs.after(early, 0, approved=False)
    return beliefs


def patient_state(now: datetime) -> RoutingState:
    state = RoutingState.new(SPACE, ("default",), now.timestamp())
    return replace(state, retries=patient())


async def retries(engine: AsyncEngine) -> Mapping[tuple[str, int], Row[Any]]:
    async with engine.connect() as connection:
        rows = await connection.execute(select(schema.RETRY))
        return {(row.payment_id, row.attempt): row for row in rows}


async def retry_causes(engine: AsyncEngine) -> Mapping[tuple[str, int], str]:
    async with engine.connect() as connection:
        rows = await connection.execute(select(schema.RETRY_OUTCOME))
        return {(row.payment_id, row.attempt): row.cause for row in rows}


def learner_at(engine: AsyncEngine, clock: ManualClock) -> Learner:
    return Learner(engine, OpenGate(), Mode.STAGED, TERMS, ("default",), clock)


def decided() -> float:
    found = [
        REGISTRY.get_sample_value(
            "gateway_routing_decisions_total", {"choice": "RETRY_TIME", "arm": arm.value}
        )
        for arm in Arm
    ]
    return sum(count or 0.0 for count in found)


async def test_payments_are_tried_again_when_their_record_says_and_that_is_learnt_from(
    open_shop: OpenShop, engine: AsyncEngine, twin: Twin
) -> None:
    clock = ManualClock(datetime.now(UTC))
    state = patient_state(clock.now())
    version = await begin_with(engine, state, Step.FULL, clock.now(), subject=Subject.RETRY_TIME)
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, BROKE)
    counted = decided()
    async with open_shop(clock, routing="staged") as shop:
        payments = [await charge(shop, card) for _ in range(4)]
        rows = await retries(engine)
        assert set(rows) == {(payment.id, 1) for payment in payments}
        assert decided() == counted + len(payments)
        for payment in payments:
            row = rows[payment.id, 1]
            assert payment.state == SCHEDULED
            assert payment.next_retry_time.ToDatetime(UTC) == row.retry_time
            decision = decision_of(row)
            assert chosen_again(decision) == row.action
            rules = decision.scores[0].corridor
            assert row.option == (row.action if row.arm == Arm.ROUTED else rules)
            assert (row.model_version, row.kind, row.share) == (version, "FUNDS", 0.95)
        # It waits for the day on which it is believed to succeed.
        assert any(row.option.startswith("2d") for row in rows.values())
        bank_treats_as(twin, card, "visa")
        last = max(row.retry_time for row in rows.values())
        clock.advance(last - clock.now())
        for payment in payments:
            await shop.watch_until(payment.id, SUCCEEDED)
        learner = learner_at(engine, clock)
        async with asyncio.timeout(WAIT_SECONDS):
            while len(await retry_causes(engine)) < len(payments):
                await learner.round()
                await asyncio.sleep(0.05)
        assert set((await retry_causes(engine)).values()) == {"APPROVED"}
        stub: Any = RoutingServiceStub(shop.channel)
        told = await stub.ExplainRouting(pb.ExplainRoutingRequest(payment_id=payments[0].id))
        (choice,) = told.retry_times
        row = rows[payments[0].id, 1]
        assert not told.HasField("decision")
        assert (choice.attempt, choice.option, choice.routing_option) == (1, row.option, row.action)
        assert choice.cause == routing_pb2.ROUTING_CAUSE_APPROVED
        assert len(choice.candidates) == len(row.scores)
        report = await stub.GetRoutingReport(
            pb.GetRoutingReportRequest(start_time=clock.now() - 7 * DAY)
        )
        assert report.retry_step == routing_pb2.ROUTING_STEP_FULL
        assert report.step == routing_pb2.ROUTING_STEP_SHADOW
        assert sum(line.approved_count for line in report.retry_lines) == len(payments)
        figures = report.retry_figures
        assert figures.rules_outcome_count + figures.routed_outcome_count == len(payments)
        back = await stub.RollBackModel(
            pb.RollBackModelRequest(
                request_id="b-1",
                reason="it waits for too long",
                subject=routing_pb2.ROUTING_SUBJECT_RETRY_TIME,
            )
        )
        assert back.change.step == routing_pb2.ROUTING_STEP_SHADOW
        assert back.change.subject == routing_pb2.ROUTING_SUBJECT_RETRY_TIME


@pytest.mark.parametrize(
    ("routing", "step", "written"),
    [("off", Step.FULL, False), ("shadow", Step.FULL, True), ("staged", Step.SHADOW, True)],
)
async def test_off_and_in_the_shadow_the_rules_say_when(
    open_shop: OpenShop, engine: AsyncEngine, twin: Twin, routing: str, step: Step, written: bool
) -> None:
    clock = ManualClock(datetime.now(UTC))
    state = patient_state(clock.now())
    await begin_with(engine, state, step, clock.now(), subject=Subject.RETRY_TIME)
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, BROKE)
    async with open_shop(clock, routing=routing) as shop:
        payment = await charge(shop, card)
    assert payment.next_retry_time.ToDatetime(UTC) - clock.now() == DAY
    rows = await retries(engine)
    assert bool(rows) is written
    if written:
        row = rows[payment.id, 1]
        assert (row.arm, row.propensity) == ("RULES", 1.0)
        assert row.retry_time - clock.now() == DAY
        assert row.option == row.scores[0]["corridor"]


def declined_payment(**values: Any) -> Payment:
    return new_payment(
        **{
            "off_session": True,
            "decline_retry": DeclineRetry(3, 14 * DAY),
            "decline_count": 1,
            "decline": Decline("card_declined", "insufficient_funds"),
            **values,
        }
    )


def row_at(
    number: int,
    beliefs: RetryBeliefs,
    arm: Arm = Arm.RULES,
    terms: RoutingTerms = TERMS,
    window: RetryWindow = WINDOW,
    **values: Any,
) -> dict[str, Any]:
    """The row of a choice by these beliefs."""
    payment = declined_payment(id=f"pay_{number:05}")
    times = times_of(payment, window, NOW)
    decision = decide_time(beliefs, terms.exploration, times, seed=number)
    given = Circumstances(
        mode=Mode.STAGED,
        share=0.5,
        model_version="f" * 64,
        policy_hash=TERMS.digest,
        space_hash="",
        decide_time=NOW,
    )
    return {**retry_row(payment, decision, arm, times, window, given), **values}


T = Transition


@pytest.mark.parametrize(
    ("transition", "code", "again", "cause", "approved"),
    [
        (T.AUTHORIZED, "", False, "APPROVED", True),
        (T.CAPTURED, "", False, "APPROVED", True),
        (T.RETRY_SCHEDULED, "insufficient_funds", True, "CUSTOMER", False),
        (T.DECLINED, "do_not_honor", True, "ISSUER", False),
        # Nobody has judged it.
        (T.DECLINED, "processing_error", True, "CORRIDOR", None),
        (T.DECLINED, "highest_risk_level", True, "NOBODY", None),
        # It was not made at that time, or not at all.
        (T.DECLINED, "insufficient_funds", False, "NOBODY", None),
        (T.RETRY_POSTPONED, "insufficient_funds", False, "NOBODY", None),
        (T.CANCELED, "", False, "NOBODY", None),
        (T.RETRY_STARTED, "", False, None, None),
        (T.AUTHORIZATION_STARTED, "", False, None, None),
    ],
)
def test_what_an_event_says_of_a_time(
    transition: Transition, code: str, again: bool, cause: str | None, approved: bool | None
) -> None:
    row: Any = type("Row", (), row_at(1, RetryBeliefs()))
    payment = payment_pb2.Payment()
    payment.decline.code, payment.decline.decline_code = "card_declined", code
    later = NOW + timedelta(hours=1)
    found = retry_lesson(transition, payment, row, later, declined_again=again)
    assert (found.cause if found is not None else None) == cause
    if found is not None:
        assert (found.approved, found.rank) == (approved, 0)
        # The very decline, and what came before it, is no outcome.
        assert retry_lesson(transition, payment, row, NOW, declined_again=again) is None


async def kept(engine: AsyncEngine, rows: list[tuple[dict[str, Any], Cause]]) -> None:
    """These choices, and what became of them."""
    async with engine.begin() as connection:
        await connection.execute(insert(schema.RETRY), [row for row, _ in rows])
        outcomes = [
            {
                **{name: row[name] for name in ("payment_id", "attempt", "arm")},
                "cause": cause.value,
                "learn_time": NOW,
            }
            for row, cause in rows
        ]
        await connection.execute(insert(schema.RETRY_OUTCOME), outcomes)


async def test_a_time_that_cannot_be_learnt_from_does_not_keep_the_others_from_it(
    engine: AsyncEngine, database_url: str
) -> None:
    learner = learner_at(engine, ManualClock(NOW))
    await learner.round()
    ids = [f"pay_{number:05}" for number in range(4)]
    rows = [
        row_at(number, RetryBeliefs(), decide_time=NOW - timedelta(hours=1)) for number in range(4)
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(schema.RETRY), rows)
    await tell(engine, [(payment_id, Arm.RULES, APPROVED) for payment_id in ids])
    # What no release can read; buckets that are none of this release's, and some that are, and
    # meant something else in the release that decided.
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        for statement in (
            r"UPDATE payment_event SET snapshot = '\x6e6f' WHERE payment_id = 'pay_00000'",
            'UPDATE routing_retry SET slots = \'{"own": [90000], "common": [90001]}\''
            " WHERE payment_id = 'pay_00001'",
            "UPDATE routing_retry SET features_hash = 'another' WHERE payment_id = 'pay_00002'",
        ):
            await connection.execute(statement.encode())
    assert not await learner.round()
    version = (await in_force(engine)).version
    async with engine.connect() as connection:
        state = load(await store.model_state(connection, version), SPACE)
    assert state.retries.learned == 1
    # What they came to counts all the same, where it can be read.
    assert await retry_causes(engine) == {(each, 1): "APPROVED" for each in ids[1:]}


async def test_times_that_do_worse_are_taken_back_and_corridors_are_not(
    engine: AsyncEngine,
) -> None:
    clock = ManualClock(NOW + timedelta(hours=1))
    state = patient_state(NOW)
    version = await begin_with(engine, state, Step.SECOND, NOW, subject=Subject.RETRY_TIME)
    async with engine.begin() as connection:
        await store.add_step(connection, Step.FULL, version, "x", "y", {}, NOW)
    beliefs = RetryBeliefs()
    rows = []
    for number in range(2 * MIN_ARM_OUTCOMES):
        arm = Arm.ROUTED if number % 2 else Arm.RULES
        # What says nothing of a time does not count for it.
        cause = Cause.CUSTOMER if arm is Arm.ROUTED else Cause.APPROVED
        rows.append((row_at(number, beliefs, arm), cause))
    rows[0] = (rows[0][0], Cause.NOBODY)
    await kept(engine, rows)
    await learner_at(engine, clock).round()
    async with engine.connect() as connection:
        step = await store.last_step(connection, Subject.RETRY_TIME)
        assert step is not None
        assert step.step == "SECOND", "one outcome is missing"
    await kept(engine, [(row_at(10_000, beliefs), Cause.APPROVED)])
    clock.advance(timedelta(minutes=2))
    before = REGISTRY.get_sample_value("gateway_routing_undone_total", {"subject": "RETRY_TIME"})
    await learner_at(engine, clock).round()
    after = REGISTRY.get_sample_value("gateway_routing_undone_total", {"subject": "RETRY_TIME"})
    assert (after or 0.0) == (before or 0.0) + 1
    async with engine.connect() as connection:
        step = await store.last_step(connection, Subject.RETRY_TIME)
        other = await store.last_step(connection)
    assert step is not None
    assert other is not None
    assert (step.step, step.client, other.step) == ("SHADOW", "", "FULL")
    assert step.evidence["rules_outcomes"] == MIN_ARM_OUTCOMES


async def test_times_are_promoted_apart_from_corridors_and_taken_back_with_them(
    routed_shop: RoutedShop, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    version = await begin_with(engine, patient_state(now), Step.FULL, now)
    row = row_at(0, RetryBeliefs())
    shown = [
        ({**row, "payment_id": f"pay_{number}"}, Cause.CUSTOMER)
        for number in range(MIN_SHADOW_OUTCOMES - 1)
    ]
    await kept(engine, [*shown, ({**row, "payment_id": "pay_x"}, Cause.NOBODY)])
    times = routing_pb2.ROUTING_SUBJECT_RETRY_TIME
    async with routed_shop() as shop:
        stub: Any = RoutingServiceStub(shop.channel)

        def asked() -> Any:
            request = promote(version)
            request.subject = times
            return request

        # One outcome is missing, however many corridors have.
        error = await refused(stub.PromoteModel(asked()))
        assert (error.reason, error.metadata["present_step"]) == ("ROUTING_EVIDENCE_THIN", "SHADOW")
        assert error.metadata["learned"] == str(MIN_SHADOW_OUTCOMES - 1)
        await kept(engine, [({**row, "payment_id": "pay_y"}, Cause.APPROVED)])
        change = (await stub.PromoteModel(asked())).change
        assert (change.step, change.subject) == (routing_pb2.ROUTING_STEP_FIRST, times)
        report = await stub.GetRoutingReport(pb.GetRoutingReportRequest())
        assert (report.step, report.retry_step) == (
            routing_pb2.ROUTING_STEP_FULL,
            routing_pb2.ROUTING_STEP_FIRST,
        )
        back = pb.RollBackModelRequest(request_id="b-1", reason="all of it")
        change = (await stub.RollBackModel(back)).change
        assert change.subject == routing_pb2.ROUTING_SUBJECT_CORRIDOR
        report = await stub.GetRoutingReport(pb.GetRoutingReportRequest())
        shadow = routing_pb2.ROUTING_STEP_SHADOW
        assert (report.step, report.retry_step) == (shadow, shadow)


async def test_old_times_are_deleted_with_what_became_of_them(engine: AsyncEngine) -> None:
    ages = (KEEP_DECISIONS, KEEP_DECISIONS + timedelta(microseconds=1))
    rows = [
        (row_at(number, RetryBeliefs(), decide_time=NOW - age), Cause.APPROVED)
        for number, age in enumerate(ages)
    ]
    await kept(engine, rows)
    async with engine.begin() as connection:
        assert await prune(connection, NOW) == 1
    assert set(await retries(engine)) == set(await retry_causes(engine)) == {("pay_00000", 1)}
    # Where nobody learns, too.
    await pruning(engine, ManualClock(NOW + timedelta(microseconds=1))).attempt()
    assert await retries(engine) == await retry_causes(engine) == {}


def test_times_are_judged_on_the_log_as_corridors_are() -> None:
    """A log that tries out, of a world in which the second day is better."""
    draw = random.Random(5)
    # Nothing is tried for the sake of the log alone: nine hundred would not have all of it.
    terms = RoutingTerms(min_share=0.0)
    narrow = RetryWindow(WINDOW.earliest, NOW + 2 * DAY)
    lines = []
    for number in range(900):
        arm = Arm.ROUTED if draw.random() < 0.5 else Arm.RULES
        row = row_at(number, patient(), arm, terms, narrow)
        chance = 0.8 if row["option"].startswith("2d") else 0.2
        cause = Cause.APPROVED if draw.random() < chance else Cause.CUSTOMER
        named = {"corridor": row["option"], "network": row["kind"], "cause": cause}
        lines.append(line_of(row, **named, method=0, action_method=0))

    def judged(candidate: Candidate, count: int = 900, **values: Any) -> dict[str, Any]:
        asked = Asked(candidate, 1, terms.model_dump_json(), subject=Subject.RETRY_TIME, **values)
        return answer_to([asked.to_line(), *lines[:count], b"\n"])

    recorded = judged(Candidate.RECORDED)
    assert recorded["refusals"] == []
    assert recorded["evaluation"]["gain"]["interval"][0] > 0.0
    # It is the very model that decided: what it would do again is what is written down.
    model = judged(Candidate.MODEL, 100, model=dump(patient_state(NOW - DAY)).decode())
    assert model["evaluation"]["ips"]["value"] == pytest.approx(
        judged(Candidate.RECORDED, 100)["evaluation"]["ips"]["value"], abs=1e-6
    )
    order = judged(Candidate.ORDER)
    assert [reason for reason, _ in order["refusals"]] == ["WORSE"]
