"""Policies judged by the decisions that are kept: by another process, with a refusal where they say
too little."""

import json
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments.store.rows import payment_row
from gateway.payments.store.schema import PAYMENT
from gateway.routing.attribution import Cause
from gateway.routing.codec import content_hash, dump
from gateway.routing.decision import decide
from gateway.routing.evaluation import MAX_LOOKS
from gateway.routing.state import RoutingState
from gateway.routing_service import decision_feed, evaluating, schema, store
from gateway.routing_service.decision_feed import (
    MAX_DECISIONS,
    DecisionFeed,
    ReaderGoneError,
    Window,
)
from gateway.routing_service.evaluating import Evaluations
from gateway.routing_service.evaluator import COLUMNS, Asked, Candidate, answer_to
from gateway.routing_service.judgement_log import newest_judgement
from gateway.routing_service.learner import CODE_VERSION
from gateway.routing_service.record import Circumstances, decision_of, row_of
from gateway.routing_service.steps import Arm, Mode, Subject
from gateway.routing_service.terms import SPACE, RoutingTerms
from gateway.stripe_client.failover import Candidate as Corridor
from gateway.stripe_client.failover import Route
from gateway.v1 import routing_pb2, routing_service_pb2
from gateway.v1.routing_service_pb2_grpc import RoutingServiceStub
from gateway.validation import VALIDATOR
from runtime.rules import MIN_TIMESTAMP_SECONDS
from tests.gateway.payments.test_states import new_payment
from tests.gateway.routing_service.beliefs import CONTEXT, leaning
from tests.gateway.routing_service.conftest import RoutedShop
from tests.gateway.routing_service.test_routing_rpcs import refused

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=8)
CORRIDORS = ("default", "backup")
TERMS = RoutingTerms()
# How good corridors are in truth: routing has found that out, the operators' order has not.
APPROVED_OF_100 = {"default": 60, "backup": 95}
SHARE = 0.5
pb: Any = routing_service_pb2


def believing(
    model: RoutingState,
    share: float = SHARE,
    count: int = 1_500,
    discounts: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Rows of decisions by a model and of what came of them, each of a customer of its own."""
    rows = []
    draw = random.Random(11)
    candidates = [Corridor(name, Route(name, "pm_1")) for name in CORRIDORS]
    for number in range(count):
        now = NOW - timedelta(seconds=count - number)
        decision = decide(
            TERMS.policy_of(""),
            model,
            CONTEXT,
            CORRIDORS,
            seed=draw.getrandbits(63),
            now_s=now.timestamp(),
            discounts=discounts,
        )
        given = Circumstances(
            mode=Mode.STAGED,
            share=share,
            model_version=content_hash(dump(model)),
            policy_hash=TERMS.digest,
            space_hash=model.space_hash,
            decide_time=now,
        )
        arm = Arm.ROUTED if draw.random() < share else Arm.RULES
        row = row_of(f"pay_{number:05}", "m_1", decision, arm, CONTEXT, candidates, given)
        approved = draw.randrange(100) < APPROVED_OF_100[row["corridor"]]
        rows.append({**row, "cause": Cause.APPROVED if approved else Cause.ISSUER})
    return rows


def line_of(row: Mapping[str, Any], **values: Any) -> bytes:
    known = {
        "customer": row["payment_id"],
        "amount_minor": CONTEXT.amount_minor,
        "time_s": row["decide_time"].timestamp(),
        **row,
        **values,
    }
    return json.dumps([known[name] for name in COLUMNS]).encode() + b"\n"


def judged(candidate: Candidate, lines: Iterable[bytes], **values: Any) -> dict[str, Any]:
    asked = Asked(candidate, values.pop("looks", 1), TERMS.model_dump_json(), **values)
    return answer_to([asked.to_line(), *lines, b"\n"])


def reasons(answer: Mapping[str, Any]) -> list[str]:
    return [reason for reason, _ in answer["refusals"]]


@cache
def leaning_away() -> RoutingState:
    return leaning("backup", "default", BEFORE)


@cache
def rows_by_it() -> tuple[dict[str, Any], ...]:
    return tuple(believing(leaning_away()))


@cache
def lines_by_it() -> tuple[bytes, ...]:
    return tuple(line_of(row) for row in rows_by_it())


@cache
def judged_once(candidate: Candidate) -> Mapping[str, Any]:
    return judged(candidate, lines_by_it())


def test_what_is_better_is_accepted_with_estimates_that_are_right() -> None:
    answer = judged_once(Candidate.RECORDED)
    found = answer["evaluation"]
    assert reasons(answer) == []
    # Counted here again: weights are the candidate's share by that of both arms together.
    weighted, rewards = 0.0, 0
    for row in rows_by_it():
        reward = row["cause"] is Cause.APPROVED
        drawn = {score["corridor"]: score["propensity"] for score in row["scores"]}
        weighted += reward * drawn[row["corridor"]] / row["propensity"]
        rewards += reward
    assert found["ips"]["value"] == pytest.approx(weighted / len(rows_by_it()))
    assert found["logged"]["value"] == pytest.approx(rewards / len(rows_by_it()))
    drawn = {score["corridor"]: score["propensity"] for score in rows_by_it()[0]["scores"]}
    truth = sum(share * APPROVED_OF_100[name] / 100 for name, share in drawn.items())
    for name in ("snips", "dr"):
        low, high = found[name]["interval"]
        assert abs(found[name]["value"] - truth) < 4 * found[name]["error"]
        assert low < found[name]["value"] < high
        assert high - low < 0.1
    assert found["support"]["customers"] == found["support"]["decisions"] == len(rows_by_it())
    assert found["gain"]["interval"][0] > 0.0
    assert answer["decisions_needed"] < len(rows_by_it())
    assert f"{len(rows_by_it())} decisions" in answer["power_sentence"]


def test_what_is_worse_is_refused() -> None:
    answer = judged_once(Candidate.ORDER)
    assert reasons(answer) == ["WORSE"]
    assert answer["evaluation"]["snips"]["value"] == pytest.approx(0.6, abs=0.05)
    assert answer["decisions_needed"] is None


def test_a_model_is_judged_as_it_was_and_not_by_what_it_has_learnt_from() -> None:
    recorded = judged_once(Candidate.RECORDED)
    model = judged(Candidate.MODEL, lines_by_it(), model=dump(leaning_away()).decode())
    assert reasons(model) == []
    # It is the very model that decided: what it would do again is what is written down.
    of_model, of_record = model["evaluation"]["dr"], recorded["evaluation"]["dr"]
    assert of_model["value"] == pytest.approx(of_record["value"])
    assert of_model["interval"] == pytest.approx(of_record["interval"])
    few = lines_by_it()[:300]
    later = judged(Candidate.MODEL, few, model=dump(leaning("backup", "default", NOW)).decode())
    assert "TRAINED_ON_LOG" in reasons(later)
    other = judged(Candidate.MODEL, few, model=dump(leaning("default", "backup", BEFORE)).decode())
    assert "WORSE" in reasons(other)
    assert "TRAINED_ON_LOG" not in reasons(other)
    damaged = judged(Candidate.MODEL, few, model="{}")
    assert (reasons(damaged), damaged["evaluation"]) == (["OTHER_FEATURES"], None)


def test_a_model_is_judged_with_what_foresight_took_off_then() -> None:
    foreseen = believing(leaning_away(), count=300, discounts={"backup": 0.9})
    lines = [line_of(row) for row in foreseen]
    recorded = judged(Candidate.RECORDED, lines)["evaluation"]["ips"]["value"]
    model = judged(Candidate.MODEL, lines, model=dump(leaning_away()).decode())
    assert model["evaluation"]["ips"]["value"] == pytest.approx(recorded)


def test_what_has_no_chance_in_the_log_is_refused() -> None:
    """In the shadow nothing was tried: the log cannot say anything of another corridor."""
    shadow = [line_of(row) for row in believing(leaning_away(), share=0.0, count=500)]
    answer = judged(Candidate.RECORDED, shadow)
    assert {"NEVER_LOGGED", "LOST_MASS"} <= set(reasons(answer))
    assert "backup" in dict(answer["refusals"])["NEVER_LOGGED"]
    low, high = answer["evaluation"]["dr"]["interval"]
    assert high - low > 0.8


@pytest.mark.parametrize("customers", [0, 1])
def test_too_few_customers_say_nothing(customers: int) -> None:
    lines = [line_of(row, customer="c_1") for row in rows_by_it()[: 200 * customers]]
    answer = judged(Candidate.ORDER, lines)
    assert (reasons(answer), answer["evaluation"]) == (["THIN_SUPPORT"], None)
    assert f"{customers} customers" in dict(answer["refusals"])["THIN_SUPPORT"]


def test_decisions_by_other_features_are_left_out_and_counted() -> None:
    other = [line_of(row, features_hash="0" * 16) for row in rows_by_it()[:7]]
    answer = judged(Candidate.ORDER, [*other, *lines_by_it()[:50]])
    assert answer["other_features"] == 7
    assert answer["evaluation"]["support"]["decisions"] == 50


def test_several_looks_share_the_confidence() -> None:
    few = lines_by_it()[:300]
    once, often = judged(Candidate.ORDER, few), judged(Candidate.ORDER, few, looks=10)
    assert once["evaluation"]["confidence"] == pytest.approx(0.95)
    assert often["evaluation"]["confidence"] == pytest.approx(0.995)
    widths = [
        answer["evaluation"]["dr"]["interval"][1] - answer["evaluation"]["dr"]["interval"][0]
        for answer in (once, often)
    ]
    assert widths[0] < widths[1]


def test_decisions_that_break_off_are_no_log() -> None:
    asked = Asked(Candidate.ORDER, 1, TERMS.model_dump_json())
    with pytest.raises(ValueError, match="break off"):
        answer_to([asked.to_line(), *lines_by_it()[:3]])


async def kept(engine: AsyncEngine, rows: Iterable[dict[str, Any]], shift: timedelta) -> None:
    """These decisions, with their payments and outcomes, that much later."""
    decisions, outcomes, payments = [], [], []
    for row in rows:
        decision = {**row, "decide_time": row["decide_time"] + shift}
        cause = decision.pop("cause")
        decisions.append(decision)
        outcomes.append(
            {
                **{name: row[name] for name in ("payment_id", "arm", "corridor", "region")},
                "cause": cause.value,
                "was_unknown": False,
                "learn_time": decision["decide_time"],
            }
        )
        made = new_payment(
            id=row["payment_id"],
            request_id=row["payment_id"],
            customer_id=row["payment_id"],
            amount_minor=CONTEXT.amount_minor,
        )
        payments.append(payment_row(made))
    async with engine.begin() as connection:
        await connection.execute(insert(PAYMENT), payments)
        await connection.execute(insert(schema.DECISION), decisions)
        await connection.execute(insert(schema.OUTCOME), outcomes)


async def test_operators_have_policies_judged(
    routed_shop: RoutedShop, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process says of the rows in the database what is said of them here."""
    monkeypatch.setattr(decision_feed, "PAGE_SIZE", 150)
    rows, shift = rows_by_it()[:400], datetime.now(UTC) - timedelta(hours=1) - NOW
    await kept(engine, [{**rows[0], "cause": Cause.NOBODY}, *rows[1:]], shift)
    async with engine.begin() as connection:
        raw = dump(leaning_away())
        version = content_hash(raw)
        await store.add_model(connection, version, raw, 80, CODE_VERSION, NOW)
    expected = judged(Candidate.RECORDED, [line_of(row) for row in rows[1:]])
    async with routed_shop("off") as shop:
        stub: Any = RoutingServiceStub(shop.channel)

        async def told(**values: Any) -> Any:
            request = pb.EvaluatePolicyRequest(**values)
            return (await stub.EvaluatePolicy(request, timeout=120)).evaluation

        found = await told(recorded_routing={})
        assert (found.decision_count, found.customer_count, found.unjudged_count) == (399, 399, 1)
        assert not found.truncated
        assert found.doubly_robust.value == pytest.approx(expected["evaluation"]["dr"]["value"])
        assert found.support.effective_decision_count == pytest.approx(
            expected["evaluation"]["support"]["effective_decisions"]
        )
        assert [(each.reason, each.sentence) for each in found.refusals] == [
            (getattr(routing_pb2, f"POLICY_REFUSAL_REASON_{reason}"), sentence)
            for reason, sentence in expected["refusals"]
        ]
        assert found.accepted is (not expected["refusals"])
        assert found.first_time.ToDatetime(tzinfo=UTC) == rows[1]["decide_time"] + shift
        by_model = await told(model_version=version, max_decisions=100)
        assert (by_model.decision_count, by_model.truncated) == (100, True)
        assert by_model.last_time == found.last_time
        # Each verdict is kept under a number of its own, with what it is about.
        assert (found.judgement_number, by_model.judgement_number) == (1, 2)
        assert (found.model_version, by_model.model_version) == ("", version)
        async with engine.connect() as connection:
            newest = await newest_judgement(connection, Subject.CORRIDOR, version)
        assert newest is not None
        assert (newest.number, newest.accepted, newest.policy_hash) == (2, False, TERMS.digest)
        assert [f"POLICY_REFUSAL_REASON_{reason}" for reason in newest.refusals] == [
            routing_pb2.PolicyRefusalReason.Name(each.reason) for each in by_model.refusals
        ]
        # A window that ends at the first decision has none of them.
        nothing = await told(operators_order={}, end_time=rows[0]["decide_time"] + shift)
        assert [each.reason for each in nothing.refusals] == [
            routing_pb2.POLICY_REFUSAL_REASON_THIN_SUPPORT
        ]
        assert not (nothing.accepted)
        assert not (nothing.HasField("doubly_robust"))
        # There is no time a week before the first one that a timestamp can be.
        first = Timestamp(seconds=MIN_TIMESTAMP_SECONDS)
        assert (await told(operators_order={}, end_time=first)).decision_count == 0
        error = await refused(
            stub.EvaluatePolicy(pb.EvaluatePolicyRequest(model_version="0" * 64), timeout=120)
        )
        assert (error.code, error.reason) == (
            grpc.StatusCode.NOT_FOUND,
            "ROUTING_MODEL_NOT_FOUND",
        )


async def test_a_process_that_ends_has_judged_nothing(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluating, "START", "raise SystemExit(3)")
    asked = Asked(Candidate.ORDER, 1, TERMS.model_dump_json())
    evaluations = Evaluations(engine, DecisionFeed(engine))
    with pytest.raises(ReaderGoneError, match=r"ended with 3|listens no more"):
        await evaluations.judge(asked, Window(BEFORE, NOW, 10))


def at(seconds: int, nanos: int = 0) -> Timestamp:
    return Timestamp(seconds=seconds, nanos=nanos)


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"operators_order": {}}, []),
        ({}, ["candidate"]),
        ({"model_version": "0" * 64}, []),
        ({"model_version": "0" * 65}, ["model_version"]),
        ({"model_version": "F" * 64}, ["model_version"]),
        ({"recorded_routing": {}, "max_decisions": MAX_DECISIONS}, []),
        ({"recorded_routing": {}, "max_decisions": MAX_DECISIONS + 1}, ["max_decisions"]),
        ({"recorded_routing": {}, "max_decisions": -1}, ["max_decisions"]),
        ({"recorded_routing": {}, "looks": MAX_LOOKS}, []),
        ({"recorded_routing": {}, "looks": MAX_LOOKS + 1}, ["looks"]),
        ({"recorded_routing": {}, "looks": -1}, ["looks"]),
        ({"operators_order": {}, "start_time": at(7), "end_time": at(7, 1)}, []),
        ({"operators_order": {}, "start_time": at(7), "end_time": at(7)}, ["end_time"]),
        ({"operators_order": {}, "start_time": at(7, 1), "end_time": at(7)}, ["end_time"]),
    ],
)
def test_limits_of_a_request(values: dict[str, Any], fields: list[str]) -> None:
    found = VALIDATOR.violations(pb.EvaluatePolicyRequest(**values))
    assert [violation.field for violation in found] == fields


def test_a_row_is_the_decision_that_was_taken() -> None:
    """What the tests above stand on."""
    row = type("Row", (), rows_by_it()[0])
    assert decision_of(row).corridor == rows_by_it()[0]["action"]
    assert len(SPACE.own.terms) == len(rows_by_it()[0]["slots"]["own"])
