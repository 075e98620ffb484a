"""Leases and fencing, on the tables themselves."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.ids import derived_id
from gateway.operations import store as operation_store
from gateway.operations.operation import (
    Operation,
    OperationKind,
    OperationState,
    decided,
    put_off,
    sent,
)
from gateway.payments.operations import KINDS
from gateway.payments.store.queue import claim_queue_head
from gateway.payments.store.recording import record_new
from tests.gateway.payments.test_states import new_payment

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LEASE = timedelta(seconds=45)
WORKERS = 6
OPERATIONS = 30


async def add(engine: AsyncEngine, payment_id: str, **values: object) -> Operation:
    operation = Operation(
        **{
            "id": derived_id("op", uuid.uuid4().hex),
            "subject_id": payment_id,
            "kind": OperationKind.CHECK,
            "state": OperationState.PENDING,
            "corridor": "default",
            "create_time": NOW,
            "next_attempt_time": NOW,
            "deadline": NOW + timedelta(hours=1),
            **values,
        }  # type: ignore[arg-type]
    )
    async with engine.begin() as connection:
        await operation_store.add(connection, operation)
    return operation


async def add_payment(engine: AsyncEngine) -> str:
    payment_id = derived_id("pay", uuid.uuid4().hex)
    async with engine.begin() as connection:
        await record_new(connection, new_payment(id=payment_id, request_id=payment_id))
    return payment_id


async def claim(engine: AsyncEngine, now: datetime, limit: int = 100) -> list[Operation]:
    async with engine.begin() as connection:
        return await operation_store.claim(connection, KINDS, now, now + LEASE, limit)


async def claim_front(engine: AsyncEngine, now: datetime, limit: int = 100) -> list[Operation]:
    async with engine.begin() as connection:
        return await claim_queue_head(connection, "default", now, now + LEASE, limit)


async def save(engine: AsyncEngine, operation: Operation) -> None:
    async with engine.begin() as connection:
        await operation_store.save(connection, operation)


async def test_many_workers_get_each_operation_once(engine: AsyncEngine) -> None:
    for _ in range(OPERATIONS):
        await add(engine, await add_payment(engine))
    batches = await asyncio.gather(*(claim(engine, NOW, limit=10) for _ in range(WORKERS)))
    ids = [operation.id for batch in batches for operation in batch]
    assert len(ids) == len(set(ids)) == OPERATIONS


async def test_a_lease_keeps_others_away_until_it_ends(engine: AsyncEngine) -> None:
    await add(engine, await add_payment(engine))
    [first] = await claim(engine, NOW)
    assert await claim(engine, NOW + LEASE - timedelta(seconds=1)) == []
    [second] = await claim(engine, NOW + LEASE)
    assert second.fencing_token == first.fencing_token + 1


async def test_who_lost_the_lease_cannot_write(engine: AsyncEngine) -> None:
    await add(engine, await add_payment(engine))
    [first] = await claim(engine, NOW)
    [second] = await claim(engine, NOW + LEASE)
    with pytest.raises(operation_store.LeaseLostError):
        await save(engine, decided(first, OperationState.SUCCEEDED, NOW))
    await save(engine, decided(second, OperationState.FAILED, NOW))
    async with engine.connect() as connection:
        stored = await operation_store.get(connection, first.id)
    assert stored.state is OperationState.FAILED


async def test_what_is_decided_stays_decided(engine: AsyncEngine) -> None:
    await add(engine, await add_payment(engine))
    [claimed] = await claim(engine, NOW)
    await save(engine, decided(claimed, OperationState.SUCCEEDED, NOW))
    with pytest.raises(operation_store.LeaseLostError):
        await save(engine, put_off(claimed, NOW, LEASE, unknown=True))


async def test_operations_of_one_payment_run_in_order(engine: AsyncEngine) -> None:
    payment_id = await add_payment(engine)
    first = await add(engine, payment_id, next_attempt_time=NOW + timedelta(minutes=1))
    second = await add(engine, payment_id)
    # The second is due, but the first is open.
    assert await claim(engine, NOW) == []
    [claimed] = await claim(engine, NOW + timedelta(minutes=1))
    assert claimed.id == first.id
    await save(engine, decided(claimed, OperationState.SUCCEEDED, NOW))
    [claimed] = await claim(engine, NOW + timedelta(minutes=1))
    assert claimed.id == second.id


async def test_what_waits_in_line_is_taken_by_nobody_else_and_in_order(
    engine: AsyncEngine,
) -> None:
    payments = [await add_payment(engine) for _ in range(3)]
    # By the time of the payments; those of one moment by their ids.
    payments[1:] = sorted(payments[1:])
    for payment_id in reversed(payments):
        asked = NOW if payment_id == payments[0] else NOW + timedelta(seconds=1)
        await add(engine, payment_id, queued=True, queue_time=asked)
    assert await claim(engine, NOW) == []
    front = await claim_front(engine, NOW, limit=2)
    assert [operation.subject_id for operation in front] == payments[:2]
    # Nobody overtakes the head while it is taken.
    await save(engine, decided(front[1], OperationState.SUCCEEDED, NOW))
    assert await claim_front(engine, NOW) == []
    await save(engine, decided(front[0], OperationState.SUCCEEDED, NOW))
    [last] = await claim_front(engine, NOW)
    assert last.subject_id == payments[2]


async def test_nobody_passes_one_in_line_whose_time_has_not_come(engine: AsyncEngine) -> None:
    payments = sorted([await add_payment(engine) for _ in range(3)])
    later = NOW + timedelta(minutes=1)
    await add(engine, payments[0], queued=True, queue_time=NOW)
    await add(engine, payments[1], queued=True, queue_time=NOW, next_attempt_time=later)
    await add(engine, payments[2], queued=True, queue_time=NOW)
    assert [each.subject_id for each in await claim_front(engine, NOW)] == payments[:1]
    # When the time has come the lease of the first is over, too: all are taken, the first anew.
    front = await claim_front(engine, later + LEASE)
    assert [each.subject_id for each in front] == payments
    assert [each.fencing_token for each in front] == [2, 1, 1]


async def test_taking_over_makes_the_old_token_worthless(engine: AsyncEngine) -> None:
    await add(engine, await add_payment(engine))
    [claimed] = await claim(engine, NOW)
    running = replace(sent(claimed, NOW), lease_until=NOW + LEASE)
    await save(engine, running)
    async with engine.begin() as connection:
        await operation_store.take_over(
            connection, decided(running, OperationState.CANCELED, NOW, "withdrawn")
        )
    with pytest.raises(operation_store.LeaseLostError):
        await save(engine, decided(running, OperationState.SUCCEEDED, NOW))


async def test_what_an_event_has_told_ends_it_once(engine: AsyncEngine) -> None:
    """Whoever runs an operation needs no lock of its subject to end it: both may do so at once."""
    payment_id = await add_payment(engine)
    operation = await add(engine, payment_id)
    (claimed,) = await claim(engine, NOW)
    told = decided(operation, OperationState.SUCCEEDED, NOW)
    async with engine.begin() as connection:
        await operation_store.end_known(connection, told)
    async with engine.begin() as connection:
        with pytest.raises(operation_store.LeaseLostError):
            await operation_store.save(connection, decided(claimed, OperationState.FAILED, NOW))
    async with engine.begin() as connection:
        await operation_store.end_known(connection, decided(claimed, OperationState.CANCELED, NOW))
        kept = await operation_store.get(connection, operation.id)
    assert kept.state is OperationState.SUCCEEDED
    assert await claim(engine, NOW + 2 * LEASE) == []
