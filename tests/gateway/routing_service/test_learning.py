"""One learner of all: each attempt once, nothing forgotten by a restart, and back to the operators'
order when routed payments do worse."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.ids import derived_id
from gateway.payments.domain.payment import Change, Decline
from gateway.payments.domain.states import PaymentState
from gateway.payments.store.events import number_events
from gateway.payments.store.rows import event_row, payment_row
from gateway.payments.store.schema import EVENT, PAYMENT
from gateway.routing.codec import content_hash, dump
from gateway.routing.decision import decide
from gateway.routing.state import MAX_CORRIDORS, RoutingState
from gateway.routing_service import learner as learning
from gateway.routing_service import schema, store
from gateway.routing_service.board import STALE_AFTER, ModelBoard
from gateway.routing_service.learner import Learner
from gateway.routing_service.pruning import KEEP_MODELS, pruning
from gateway.routing_service.record import Circumstances, row_of
from gateway.routing_service.steps import MIN_ARM_OUTCOMES, Arm, Mode, Step, Subject
from gateway.routing_service.store import KEEP_DECISIONS
from gateway.routing_service.telemetry import FallBack
from gateway.routing_service.terms import SPACE, RoutingTerms
from gateway.stripe_client.failover import Candidate, Route
from runtime.clock import ManualClock
from tests.gateway.payments.test_states import new_payment
from tests.gateway.routing_service.beliefs import (
    CONTEXT,
    POLICY,
    begin_with,
    decisions,
    leaning,
    outcomes,
)
from tests.gateway.running import OpenGate

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
CORRIDORS = ("default", "backup")
NEW = RoutingState.new(SPACE, CORRIDORS, NOW.timestamp())
APPROVED = ("captured", {"state": PaymentState.SUCCEEDED, "authorized_minor": 1000})
DECLINED = (
    "declined",
    {"state": PaymentState.DECLINED, "decline": Decline("card_declined", "do_not_honor")},
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


def learner_of(
    engine: AsyncEngine, clock: ManualClock, mode: Mode = Mode.STAGED, gate: Any = None
) -> Learner:
    return Learner(engine, gate or OpenGate(), mode, RoutingTerms(), CORRIDORS, clock)


class ClosedGate(OpenGate):
    """The gate of a database that has lost something."""

    closed = True


def decision_row(payment_id: str, arm: Arm, now: datetime) -> dict[str, Any]:
    decision = decide(POLICY, NEW, CONTEXT, CORRIDORS, seed=1, now_s=now.timestamp())
    given = Circumstances(
        mode=Mode.STAGED,
        share=0.25,
        model_version=content_hash(dump(NEW)),
        policy_hash="p",
        space_hash=NEW.space_hash,
        decide_time=now,
    )
    candidates = [Candidate(name, Route(name, "pm_1")) for name in CORRIDORS]
    return row_of(payment_id, "m_1", decision, arm, CONTEXT, candidates, given)


async def tell(
    engine: AsyncEngine,
    endings: Iterable[tuple[str, Arm, tuple[str, dict[str, Any]]]],
    now: datetime = NOW,
    *,
    decided: bool = True,
) -> None:
    """Payments that were decided about and ended so, as the stream of events tells of them."""
    payments, rows, events = [], [], []
    for payment_id, arm, (transition, values) in endings:
        row = decision_row(payment_id, arm, now)
        made = {"id": payment_id, "request_id": payment_id, "create_time": now, "update_time": now}
        before = new_payment(**made)
        after = new_payment(
            **made, corridor=row["corridor"], revision=1 if decided else 2, **values
        )
        payments.append(payment_row(after))
        rows.append(row)
        events.append(event_row(Change(before, after, transition)))
    async with engine.begin() as connection:
        if decided:
            await connection.execute(insert(PAYMENT), payments)
            await connection.execute(insert(schema.DECISION), rows)
        await connection.execute(insert(EVENT), events)
        await number_events(connection)


async def in_force(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        row = await store.learner(connection)
        assert row is not None
        model = await store.find_model(connection, row.model_version)
        assert model is not None
        assert content_hash(await store.model_state(connection, model.version)) == model.version
        return model


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_what_came_before_is_not_looked_at_and_what_comes_is_learnt_once(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    await tell(engine, [("pay_0", Arm.RULES, APPROVED)])
    learner = learner_of(engine, clock)
    assert not await learner.round()
    assert (await in_force(engine)).learned == 0
    await tell(engine, [("pay_1", Arm.RULES, APPROVED), ("pay_2", Arm.ROUTED, DECLINED)])
    before = counted("gateway_routing_lessons_total", cause="ISSUER")
    await learner.round()
    first = await in_force(engine)
    assert first.learned == 2
    assert counted("gateway_routing_lessons_total", cause="ISSUER") == before + 1
    # Later news of the same payments, and a second look, teach nothing more.
    await tell(engine, [("pay_1", Arm.RULES, ("canceled", {}))], decided=False)
    await learner.round()
    await learner.round()
    assert (await in_force(engine)).version == first.version
    found = await outcomes(engine)
    assert {name: row.cause for name, row in found.items()} == {
        "pay_1": "APPROVED",
        "pay_2": "ISSUER",
    }


async def test_a_restart_and_another_process_go_on_where_one_ended(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    one, other = learner_of(engine, clock), learner_of(engine, clock)
    await one.round()
    await tell(engine, [("pay_1", Arm.RULES, APPROVED)])
    await one.round()
    # The other one takes over, and the first one again: neither works on what it knew before.
    await tell(engine, [("pay_2", Arm.RULES, APPROVED)])
    await other.round()
    await tell(engine, [("pay_3", Arm.RULES, APPROVED)])
    await one.round()
    assert (await in_force(engine)).learned == 3
    await learner_of(engine, clock).round()
    assert (await in_force(engine)).learned == 3
    boards = [ModelBoard(engine, clock) for _ in range(2)]
    for board in boards:
        await board.refresh()
    first, second = [board.known for board in boards]
    assert first is not None
    assert first == second
    assert first.state.learned == 3
    assert first.version == (await in_force(engine)).version


async def test_what_dies_in_between_has_learnt_nothing(
    engine: AsyncEngine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(engine, clock)
    await learner.round()
    await tell(engine, [("pay_1", Arm.RULES, APPROVED)])

    async def die(*_: object) -> int:
        raise InterruptedError

    with monkeypatch.context() as patched:
        patched.setattr(learning, "prune", die)
        with pytest.raises(InterruptedError):
            await learner.round()
    assert (await in_force(engine)).learned == 0
    assert await outcomes(engine) == {}
    await learner.round()
    assert (await in_force(engine)).learned == 1


async def test_nothing_is_learnt_while_the_database_has_lost_something(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    assert not await learner_of(engine, clock, gate=ClosedGate()).round()
    async with engine.connect() as connection:
        assert await store.learner(connection) is None


async def test_a_model_is_stale_when_nobody_is_up_to_date(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    board = ModelBoard(engine, clock)
    await board.refresh()
    assert board.problem() is FallBack.NO_MODEL
    learner = learner_of(engine, clock)
    await learner.round()
    await board.refresh()
    clock.advance(STALE_AFTER)
    assert board.problem() is None
    clock.advance(timedelta(microseconds=1))
    assert board.problem() is FallBack.STALE
    # Nothing new was learnt, and the learner is there.
    await learner.round()
    await board.refresh()
    assert board.problem() is None


async def test_a_model_of_a_learner_whose_clock_was_ahead_is_stale_too(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    await learner_of(engine, ManualClock(NOW + STALE_AFTER)).round()
    board = ModelBoard(engine, clock)
    await board.refresh()
    assert board.problem() is None
    # Otherwise it would be fresh for an hour, though nobody learns.
    await learner_of(engine, ManualClock(NOW + timedelta(hours=1))).round()
    await board.refresh()
    assert board.problem() is FallBack.STALE
    await learner_of(engine, clock).round()
    await board.refresh()
    assert board.problem() is None


async def test_a_model_is_stale_while_much_is_to_be_learnt_yet(
    engine: AsyncEngine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin_with(engine, NEW, Step.FULL, NOW)
    await tell(engine, [(f"pay_{n}", Arm.RULES, APPROVED) for n in range(3)])
    # It was off for a day, and reads what has come meanwhile.
    clock.advance(timedelta(days=1))
    monkeypatch.setattr(learning, "MAX_EVENTS", 2)
    learner, board = learner_of(engine, clock), ModelBoard(engine, clock)
    assert await learner.round()
    await board.refresh()
    assert board.problem() is FallBack.STALE
    assert not await learner.round()
    await board.refresh()
    assert board.problem() is None
    assert (await in_force(engine)).learned == 3


async def test_a_payment_that_cannot_be_learnt_from_does_not_keep_the_others_from_it(
    engine: AsyncEngine, clock: ManualClock, database_url: str
) -> None:
    learner = learner_of(engine, clock)
    await learner.round()
    await tell(engine, [(f"pay_{n}", Arm.RULES, APPROVED) for n in range(4)])
    # What no release can read; buckets that are none of this release's, and some that are, and
    # meant something else in the release that decided.
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        for statement in (
            r"UPDATE payment_event SET snapshot = '\x6e6f' WHERE payment_id = 'pay_0'",
            'UPDATE routing_decision SET slots = \'{"own": [90000], "common": [90001]}\''
            " WHERE payment_id = 'pay_1'",
            "UPDATE routing_decision SET features_hash = 'another' WHERE payment_id = 'pay_2'",
        ):
            await connection.execute(statement.encode())
    assert not await learner.round()
    assert (await in_force(engine)).learned == 1
    # What they came to counts all the same, where it can be read.
    assert set(await outcomes(engine)) == {"pay_1", "pay_2", "pay_3"}


async def test_where_nobody_learns_what_is_old_is_deleted_too(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    await begin_with(engine, NEW, Step.SHADOW, NOW)
    await tell(engine, [("pay_1", Arm.RULES, APPROVED)])
    await learner_of(engine, clock).round()
    for passed, left in ((KEEP_DECISIONS, {"pay_1"}), (timedelta(microseconds=1), set())):
        clock.advance(passed)
        await pruning(engine, clock).attempt()
        assert set(await decisions(engine)) == set(await outcomes(engine)) == left


async def test_corridors_that_are_gone_give_way_when_a_model_is_full(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    gone = [f"gone-{number}" for number in range(MAX_CORRIDORS)]
    full = RoutingState.new(SPACE, gone, NOW.timestamp())
    await begin_with(engine, full, Step.SHADOW, NOW)
    await tell(engine, [("pay_1", Arm.RULES, APPROVED)])
    await learner_of(engine, clock).round()
    board = ModelBoard(engine, clock)
    await board.refresh()
    assert board.known is not None
    assert board.known.state.learned == 1
    assert board.known.state.corridors
    assert board.known.state.corridors.keys() <= set(CORRIDORS)


async def test_a_model_of_other_features_is_not_used_and_learning_begins_anew(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    await begin_with(engine, leaning("backup", "default", NOW), Step.SHADOW, NOW)
    raw = b'{"form":"another"}'
    version = content_hash(raw)
    async with engine.begin() as connection:
        await store.add_model(connection, version, raw, 9, "old", NOW)
        await connection.execute(update(schema.LEARNER).values(model_version=version))
    board = ModelBoard(engine, clock)
    await board.refresh()
    assert board.problem() is FallBack.NO_MODEL
    await tell(engine, [("pay_1", Arm.RULES, APPROVED)])
    await learner_of(engine, clock).round()
    assert (await in_force(engine)).learned == 1
    await board.refresh()
    assert board.problem() is None


def many(arm: Arm, count: int, approved: int) -> list[tuple[str, Arm, Any]]:
    return [
        (derived_id("pay", arm, str(n)), arm, APPROVED if n < approved else DECLINED)
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("mode", "routed", "undone"),
    [(Mode.STAGED, 100, True), (Mode.STAGED, 190, False), (Mode.SHADOW, 100, False)],
)
async def test_routing_is_undone_when_routed_payments_do_worse(
    engine: AsyncEngine, clock: ManualClock, mode: Mode, routed: int, undone: bool
) -> None:
    await begin_with(engine, NEW, Step.SECOND, NOW)
    count = MIN_ARM_OUTCOMES
    await tell(engine, [*many(Arm.RULES, count, 190), *many(Arm.ROUTED, count, routed)])
    before = counted("gateway_routing_undone_total", subject="CORRIDOR")
    learner = learner_of(engine, clock, mode)
    await learner.round()
    assert counted("gateway_routing_undone_total", subject="CORRIDOR") == before + undone
    async with engine.connect() as connection:
        step = await store.last_step(connection)
    assert step is not None
    assert step.step == ("SHADOW" if undone else "SECOND")
    if undone:
        assert step.client == ""
        assert (step.evidence["rules_success"], step.evidence["routed_success"]) == (0.95, 0.5)
        board = ModelBoard(engine, clock)
        await board.refresh()
        assert board.steps[Subject.CORRIDOR] is Step.SHADOW
        # The new step has no evidence against it: it is not taken again and again.
        clock.advance(timedelta(minutes=2))
        await learner.round()
        assert counted("gateway_routing_undone_total", subject="CORRIDOR") == before + 1


async def test_what_is_old_is_deleted_and_what_a_step_names_is_kept(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    named = await begin_with(engine, NEW, Step.SHADOW, NOW)
    await tell(engine, [("pay_1", Arm.RULES, APPROVED)])
    learner = learner_of(engine, clock)
    await learner.round()
    async with engine.begin() as connection:
        for number in range(KEEP_MODELS + 3):
            await store.add_model(connection, f"{number:064x}", b"x", 0, "old", NOW)
    clock.advance(KEEP_DECISIONS)
    await learner.round()
    assert set(await outcomes(engine)) == {"pay_1"}
    current = (await in_force(engine)).version
    clock.advance(timedelta(microseconds=1))
    await learner.round()
    assert await outcomes(engine) == {}
    async with engine.connect() as connection:
        left = set((await connection.execute(select(schema.MODEL.c.version))).scalars())
    newest = {f"{number:064x}" for number in range(3, KEEP_MODELS + 3)}
    assert left == newest | {named, current}
