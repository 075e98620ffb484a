"""What is claimed by whom, and rows that cannot be read."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.operations import store
from gateway.operations.operation import Operation, OperationKind, OperationState, decided
from gateway.operations.store import OPERATION
from gateway.payments.operations import KINDS
from gateway.payments.store.queue import claim_queue_head
from tests.gateway.operations.test_leases import LEASE, NOW, add, add_payment, claim

BROKEN = ["{", "[]", "null", ""]


async def break_row(engine: AsyncEngine, operation: Operation, **values: Any) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            update(OPERATION).where(OPERATION.c.id == operation.id).values(**values)
        )


def dead_letters() -> float:
    labels = {"items": "operations", "failure": "unreadable"}
    return REGISTRY.get_sample_value("loop_items_failed_total", labels) or 0


@pytest.mark.parametrize("params", BROKEN)
async def test_a_row_that_cannot_be_read_becomes_a_dead_letter_and_its_neighbours_go_on(
    engine: AsyncEngine, params: str
) -> None:
    payments = [await add_payment(engine) for _ in range(3)]
    operations = [await add(engine, payment) for payment in payments]
    await break_row(engine, operations[1], params=params)
    counted = dead_letters()
    claimed = await claim(engine, NOW)
    assert {operation.id for operation in claimed} == {operations[0].id, operations[2].id}
    assert dead_letters() == counted + 1
    async with engine.connect() as connection:
        dead = await store.get(connection, operations[1].id)
        # It may have happened: nothing else is begun in its place.
        assert await store.open_operation_of(connection, payments[1]) == dead
    assert (dead.state, dead.failure_code) == (OperationState.DEAD_LETTER, "UNREADABLE")
    assert dead.open
    assert dead.lease_until is None
    # Nobody works it, nor what comes after it of the same payment.
    await add(engine, payments[1])
    assert await claim(engine, NOW + 2 * LEASE) != []
    assert payments[1] not in {each.subject_id for each in await claim(engine, NOW + 4 * LEASE)}


async def test_a_dead_letter_that_was_mended_goes_on(engine: AsyncEngine) -> None:
    operation = await add(engine, await add_payment(engine))
    await break_row(engine, operation, params="{")
    assert await claim(engine, NOW) == []
    await break_row(engine, operation, params="{}", state=OperationState.PENDING)
    [claimed] = await claim(engine, NOW)
    assert claimed.id == operation.id


async def test_one_in_the_queue_that_cannot_be_read_lets_the_others_pass(
    engine: AsyncEngine,
) -> None:
    payments = sorted([await add_payment(engine) for _ in range(3)])
    operations = [await add(engine, payment, queued=True, queue_time=NOW) for payment in payments]
    await break_row(engine, operations[0], params="{")
    async with engine.begin() as connection:
        head = await claim_queue_head(connection, "default", NOW, NOW + LEASE, 1)
    assert head == []
    async with engine.begin() as connection:
        head = await claim_queue_head(connection, "default", NOW, NOW + LEASE, 3)
    assert [each.subject_id for each in head] == payments[1:]


async def test_a_process_claims_the_kinds_that_it_has(engine: AsyncEngine) -> None:
    await add(engine, await add_payment(engine))
    newer = await add(engine, await add_payment(engine))
    await break_row(engine, newer, kind="OF_A_NEWER_VERSION")
    assert len(await claim(engine, NOW)) == 1
    async with engine.begin() as connection:
        left = select(OPERATION.c.state).where(OPERATION.c.id == newer.id)
        assert (await connection.execute(left)).scalar_one() == OperationState.PENDING
        kinds = [OperationKind.CREATE_PAYOUT]
        assert await store.claim(connection, kinds, NOW + 2 * LEASE, NOW + 3 * LEASE, 10) == []


async def test_the_longest_due_are_claimed_first_and_no_more_than_asked_for(
    engine: AsyncEngine,
) -> None:
    times = [NOW - timedelta(minutes=number) for number in (1, 3, 2)]
    operations = [
        await add(engine, await add_payment(engine), next_attempt_time=time) for time in times
    ]
    async with engine.begin() as connection:
        claimed = await store.claim(connection, KINDS, NOW, NOW + LEASE, 2)
    assert {each.id for each in claimed} == {operations[1].id, operations[2].id}


async def test_what_has_ended_keeps_no_parameters(engine: AsyncEngine) -> None:
    payment = await add_payment(engine)
    await add(engine, payment, params='{"name": "Ada Mapleton"}')
    [claimed] = await claim(engine, NOW)
    async with engine.begin() as connection:
        await store.save(connection, decided(claimed, OperationState.SUCCEEDED, NOW))
        [kept] = await store.operations_of(connection, payment)
    assert kept.params == "{}"


async def test_news_hurries_what_would_have_waited(engine: AsyncEngine) -> None:
    payment = await add_payment(engine)
    later = NOW + timedelta(minutes=1)
    await add(engine, payment, next_attempt_time=later)
    async with engine.begin() as connection:
        assert await store.hurry(connection, payment, NOW)
        assert not await store.hurry(connection, payment, NOW)
    assert len(await claim(engine, NOW)) == 1
