"""What holds for every kind of operation, whatever it asks and of whom."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.disputes import store as dispute_store
from gateway.disputes.operations import known_state as known_of_dispute
from gateway.operations.kind import Asked
from gateway.operations.operation import KEY_HORIZON, OperationKind, OperationState
from gateway.operations.runner import RunLimits
from gateway.operations.store import OPERATION, operation_of
from gateway.payments.domain.apply import known_state as known_of_payment
from gateway.payments.operations import KINDS as PAYMENT_KINDS
from gateway.payments.store import payments as payment_store
from gateway.payouts import store as payout_store
from gateway.payouts.operations import known_state as known_of_payout
from gateway.verifications import store as verification_store
from gateway.verifications.domain import known_state as known_of_verification
from runtime.clock import ManualClock
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.gateway.operations.conftest import Death, Point
from tests.gateway.operations.scenarios import (
    SCENARIOS,
    TOLD_BY_EVENTS,
    WITH_KEY,
    Scenario,
    World,
    nothing,
)
from tests.gateway.running import OpenShop

SUBJECTS = (
    *("payment", "payment_refund", "payout", "dispute", "merchant", "merchant_request"),
    *("customer", "customer_request", "verification", "verification_request"),
)
# How long an operation may take to the point at which its process dies.
DEATH_SECONDS = 60.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


class Play:
    """A scenario that is played in one process after the other."""

    def __init__(
        self, open_shop: OpenShop, twin: Twin, engine: AsyncEngine, clock: ManualClock
    ) -> None:
        self.open_shop = open_shop
        self.twin = twin
        self.engine = engine
        self.clock = clock

    @asynccontextmanager
    async def process(self, **settings: Any) -> AsyncIterator[World]:
        async with self.open_shop(self.clock, **settings) as shop:
            yield World(shop, self.twin)

    async def begin(self, scenario: Scenario, death: Death) -> Any:
        """Stands ready in one process, and is set in motion in another that only takes calls."""
        prepared = None
        if scenario.prepare is not nothing:
            async with self.process() as world:
                prepared = await scenario.prepare(world)
                await self._events_are_taken_in()
        self.twin.webhooks.pause()
        async with self.process(roles="api") as world:
            calling = asyncio.create_task(scenario.begin(world, prepared))
            async with asyncio.timeout(DEATH_SECONDS):
                await death.struck.wait()
            # Who called is told nothing, as by a process that is no more.
            calling.cancel()
            await asyncio.wait([calling])
        return prepared

    async def _events_are_taken_in(self) -> None:
        """Waits until no event is left that a process which stops would have held."""
        statement = text("SELECT count(*) FROM webhook_event WHERE state = 'PENDING'")

        async def pending() -> int:
            self.clock.advance(timedelta(seconds=1))
            async with self.engine.connect() as connection:
                return int((await connection.execute(statement)).scalar_one())

        await poll(pending, lambda count: count == 0)

    async def states(self, kind: OperationKind) -> Sequence[str]:
        """The states of the operations of a kind."""
        statement = select(OPERATION.c.state).where(OPERATION.c.kind == kind)
        async with self.engine.connect() as connection:
            return list((await connection.execute(statement)).scalars())

    async def ended(self, step: timedelta = timedelta(0)) -> None:
        """Waits until no operation is open; at each look so much time has gone by."""
        statement = select(OPERATION.c.id).where(OPERATION.c.end_time.is_(None))

        async def still_open() -> Sequence[str]:
            self.clock.advance(step)
            async with self.engine.connect() as connection:
                return list((await connection.execute(statement)).scalars())

        await poll(still_open, lambda found: not found)

    async def outcome_is_known(self, kind: OperationKind) -> None:
        """Waits until what the operation is asked for shows its outcome; no lease ends meanwhile,
        but an event whose first try failed is tried again."""
        bound = self.clock.now() + RunLimits().lease / 2

        async def known() -> bool:
            self.clock.advance(min(timedelta(milliseconds=50), bound - self.clock.now()))
            return await _is_known(self.engine, kind)

        await poll(known, bool)

    def posts(self, scenario: Scenario) -> list[Any]:
        """What Stripe was asked to do, of the scenario's kind."""
        pattern = re.compile(scenario.path)
        seen = self.twin.requests.matching("POST")
        return [request for request in seen if pattern.fullmatch(request.path)]


@pytest.fixture
def play(open_shop: OpenShop, twin: Twin, engine: AsyncEngine, clock: ManualClock) -> Play:
    return Play(open_shop, twin, engine, clock)


def test_every_kind_has_its_scenario() -> None:
    # A link is a secret that nobody but its caller is told: it is begun anew, not resumed. Only who
    # has a document can go on with its upload (tests/gateway/merchants/test_files.py).
    only_for_callers = {OperationKind.CREATE_LINK, OperationKind.CREATE_FILE}
    # Sent, looked up and applied by the class that cancels verifications, which has its scenario.
    like_another = {OperationKind.REDACT_VERIFICATION}
    assert SCENARIOS.keys() | only_for_callers | like_another == set(OperationKind)


@pytest.mark.parametrize("kind", WITH_KEY)
async def test_a_failure_that_stripe_keeps_is_not_sent_again_but_looked_up(
    play: Play, kind: OperationKind
) -> None:
    scenario = SCENARIOS[kind]
    async with play.process() as world:
        prepared = await scenario.prepare(world)
    before = len(play.posts(scenario))
    # Nobody else tells.
    play.twin.webhooks.pause()
    play.twin.add_fault(
        kind="error", when="after", status=500, stored=True, count=1, method="POST",
        path=scenario.path,
    )  # fmt: skip
    async with play.process(answer_seconds=0.5) as world:
        await scenario.begin(world, prepared)
        # It is looked up when its time has come.
        await play.ended(timedelta(seconds=1))
        assert scenario.count(world, prepared) == 1
    assert await play.states(kind) == [OperationState.SUCCEEDED]
    sent = play.posts(scenario)[before:]
    # The first answer says nothing of the key; the next is the failure that it keeps.
    assert len(sent) == 2
    assert len({request.idempotency_key for request in sent}) == 1


@pytest.mark.parametrize("point", Point)
@pytest.mark.parametrize("kind", SCENARIOS)
async def test_whoever_comes_after_a_process_that_died_goes_on(
    play: Play, death: Death, kind: OperationKind, point: Point
) -> None:
    scenario = SCENARIOS[kind]
    death.arm(kind, point)
    prepared = await play.begin(scenario, death)
    death.disarm()
    play.clock.advance(timedelta(minutes=1))
    async with play.process() as world:
        await play.ended()
        assert scenario.count(world, prepared) == 1
    assert await play.states(kind) == [OperationState.SUCCEEDED]


@pytest.mark.parametrize("kind", WITH_KEY)
async def test_past_the_keys_horizon_nothing_is_sent_again(
    play: Play, death: Death, kind: OperationKind
) -> None:
    scenario = SCENARIOS[kind]
    death.arm(kind, Point.SENT_BEFORE_APPLIED)
    prepared = await play.begin(scenario, death)
    death.disarm()
    sent = len(play.posts(scenario))
    play.clock.advance(KEY_HORIZON)
    async with play.process() as world:
        await play.ended()
        assert scenario.count(world, prepared) == 1
    assert len(play.posts(scenario)) == sent
    assert await play.states(kind) == [OperationState.SUCCEEDED]


@pytest.mark.parametrize("kind", TOLD_BY_EVENTS)
async def test_an_operation_ends_when_an_event_has_told_its_outcome(
    play: Play, death: Death, kind: OperationKind
) -> None:
    scenario = SCENARIOS[kind]
    death.arm(kind, Point.SENT_BEFORE_APPLIED)
    await play.begin(scenario, death)
    death.disarm()
    sent = len(play.posts(scenario))
    # Before its lease ends nobody runs it; the event is taken in meanwhile.
    async with play.process():
        play.twin.webhooks.resume()
        await play.outcome_is_known(kind)
        # Now Stripe is away, so that nothing can be sent and nothing be looked up.
        play.twin.outage("reset")
        play.clock.advance(timedelta(minutes=1))
        await play.ended()
        play.twin.outage("off")
    assert await play.states(kind) == [OperationState.SUCCEEDED]
    assert len(play.posts(scenario)) == sent


@pytest.mark.parametrize("kind", SCENARIOS)
async def test_who_lost_the_lease_writes_nothing(
    play: Play, death: Death, kind: OperationKind
) -> None:
    scenario = SCENARIOS[kind]
    rows: list[Any] = []

    async def steal(asked: Asked) -> None:
        stolen = (
            update(OPERATION)
            .where(OPERATION.c.id == asked.operation.id)
            .values(fencing_token=OPERATION.c.fencing_token + 1)
        )
        async with play.engine.begin() as connection:
            await connection.execute(stolen)
        rows.append(await _rows(play.engine))

    death.kind, death.before_applying = kind, steal
    await play.begin(scenario, death)
    death.disarm()
    assert death.applied == [(None, None)]
    assert rows == [await _rows(play.engine)]


async def _rows(engine: AsyncEngine) -> Any:
    """All that an operation may write, as it stands."""
    async with engine.connect() as connection:
        return [
            (await connection.exec_driver_sql(f"SELECT t::text FROM {table} AS t ORDER BY 1")).all()
            for table in ("operation", "payment_event", "booking", *SUBJECTS)
        ]


async def _is_known(engine: AsyncEngine, kind: OperationKind) -> bool:
    """Whether what the operation is asked for shows its outcome."""
    statement = select(OPERATION).where(OPERATION.c.kind == kind)
    async with engine.connect() as connection:
        operation = operation_of((await connection.execute(statement)).one())
        if kind in PAYMENT_KINDS:
            payment = await payment_store.get_payment(connection, operation.subject_id)
            assert payment is not None
            refund_id = operation.refund_id
            refund = await payment_store.get_refund(connection, refund_id) if refund_id else None
            return known_of_payment(payment, operation, refund) is not None
        if operation.subject_id.startswith("pyo_"):
            payout = await payout_store.get(connection, operation.subject_id)
            assert payout is not None
            return known_of_payout(payout, operation) is not None
        if operation.subject_id.startswith("vfn_"):
            verification = await verification_store.find(connection, operation.subject_id)
            assert verification is not None
            return known_of_verification(verification, operation) is not None
        dispute = await dispute_store.get(connection, operation.subject_id)
        assert dispute is not None
        return known_of_dispute(dispute, operation) is not None
