"""Group commit, on the tables themselves: each payment all or nothing, whatever others do."""

import asyncio
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.reporting import CHANNEL, booking_state
from gateway.operations import store as operation_store
from gateway.operations.operation import Operation, OperationState, decided
from gateway.operations.store import FIXED_OF_OPERATION, OPERATION
from gateway.payments.domain.card import Card
from gateway.payments.domain.money_facts import ChargeFee, fee_facts, fee_step
from gateway.payments.domain.payment import (
    ComplianceRecord,
    Decline,
    FailureCode,
    NextAction,
    Payment,
    PaymentFailure,
    ThreeDSecure,
    take,
)
from gateway.payments.domain.radar import RadarOutcome
from gateway.payments.domain.states import PaymentState, Transition
from gateway.payments.operations import KINDS
from gateway.payments.store import payments as store
from gateway.payments.store.group_commit import MAX_COMMITS, STATEMENT, PaymentCommitter
from gateway.payments.store.recording import record_changes
from gateway.payments.store.schema import FIXED_OF_PAYMENT, PAYMENT
from gateway.payments.store.writes import News, Progress, encode
from runtime.connections import Connections
from sandbox.polling import poll
from tests.gateway.payments.commit_points import (
    LEASE,
    NOW,
    allowed,
    captured,
    new,
    stored,
    transitions,
)


async def test_a_payment_is_stored_as_it_was_written(
    engine: AsyncEngine, committer: PaymentCommitter
) -> None:
    begun = new(metadata={"order": "\u00e9\\x'\""}, queue_timeout=timedelta(minutes=15))
    first = allowed(begun)
    second = captured(first)
    assert first.follow_up is not None
    for part in (begun, first, second):
        assert await committer.submit(part)
    payment, operations = await stored(engine, begun.payment_id)
    assert payment == second.changes[-1].after
    assert operations == [first.operation, second.operation]
    assert await transitions(engine, begun.payment_id) == [
        "received", "compliance_allowed", "authorization_started", "captured",
    ]  # fmt: skip
    async with engine.connect() as connection:
        booked = await booking_state(connection, begun.payment_id)
        request = await store.known_request(connection, begun.request.request_id)
    assert [booking.kind for booking in booked.bookings] == ["hold_placed", "captured"]
    assert request == begun.request


async def test_whatever_a_payment_can_hold_is_stored_as_the_general_path_stores_it(
    engine: AsyncEngine, committer: PaymentCommitter
) -> None:
    begun = new()
    payment = begun.change.after
    values: dict[str, Any] = {
        "decline": Decline("card_declined", "insufficient_funds", "try_again_later"),
        "failure": PaymentFailure(FailureCode.STRIPE_REJECTED, "parameter_invalid", "amount"),
        "next_action": NextAction("https://example.com", "secret"),
        "compliance": ComplianceRecord("dec_1", "ALLOW", ("a", "b"), "2026-11-01T00:00:00Z"),
        "capture_before": NOW + timedelta(days=7, microseconds=1),
        "queue_deadline": NOW + timedelta(minutes=1),
        "wake_time": NOW,
        "fee_minor": -3,
        "fee_currency": "USD",
        "radar_outcome": RadarOutcome("blocked", "highest", 0, reason="rule"),
        "card_fingerprint": "fp_1",
        "card": Card("visa", "credit", "DE"),
        "three_d_secure": ThreeDSecure("any", "large"),
    }
    change = take(payment, Transition.COMPLIANCE_ALLOWED, NOW, **values)
    ended = decided(begun.operation, OperationState.SUCCEEDED, NOW)
    assert await committer.submit(begun)
    assert await committer.submit(Progress(payment, (change,), ended, NOW))
    assert (await stored(engine, payment.id))[0] == change.after


def test_every_column_that_can_change_is_one_of_the_values() -> None:
    columns = {column.name for column in PAYMENT.columns}
    assert columns == {field.name for field in fields(Payment)}
    assert columns >= FIXED_OF_PAYMENT
    assert {column.name for column in OPERATION.columns} == {
        *(field.name for field in fields(Operation)),
        "operation_number",
    }
    assert {column.name for column in OPERATION.columns} >= FIXED_OF_OPERATION


async def test_one_that_cannot_be_written_leaves_its_neighbours_alone(
    engine: AsyncEngine, committer: PaymentCommitter
) -> None:
    begun = [new() for _ in range(4)]
    assert await asyncio.gather(*map(committer.submit, begun)) == [True] * 4
    overtaken, fenced, locked, sound = map(allowed, begun)
    async with engine.begin() as connection:
        # Somebody changed the first, has claimed the second, and holds the third right now.
        change = take(overtaken.before, Transition.COMPLIANCE_DENIED, NOW)
        await record_changes(connection, [change], NOW)
        await operation_store.claim(connection, KINDS, NOW + LEASE, NOW + 2 * LEASE, limit=10)
    fenced_by_claim = [overtaken, fenced, locked]
    sound = replace(sound, operation=replace(sound.operation, fencing_token=2))
    locked = replace(locked, operation=replace(locked.operation, fencing_token=2))
    async with engine.begin() as connection:
        await store.lock_payment(connection, locked.payment_id)
        parts = [overtaken, fenced, locked, sound]
        written = await asyncio.gather(*map(committer.submit, parts))
    assert written == [False, False, False, True]
    for part in fenced_by_claim:
        _, operations = await stored(engine, part.payment_id)
        assert [operation.open for operation in operations] == [True]
        async with engine.connect() as connection:
            assert (await booking_state(connection, part.payment_id)).bookings == ()
    assert await committer.submit(locked), "nobody holds it any more"


async def test_a_fact_without_the_one_it_builds_on_is_not_written(
    engine: AsyncEngine, committer: PaymentCommitter
) -> None:
    begun = new()
    assert await committer.submit(begun)
    first = allowed(begun)
    # Its hold was never reported.
    without_hold = replace(
        captured(first), before=begun.change.after, operation=first.operation, follow_up=None
    )
    assert not await committer.submit(without_hold)
    payment, _ = await stored(engine, begun.payment_id)
    assert payment is not None
    assert payment.state is PaymentState.RECEIVED


async def test_a_row_that_the_database_refuses_leaves_its_neighbours_to_the_general_path(
    engine: AsyncEngine, committer: PaymentCommitter
) -> None:
    bad, good = new(amount_minor=-1), new()
    assert await asyncio.gather(*map(committer.submit, [bad, good])) == [False, False]
    assert (await stored(engine, good.payment_id))[0] is None
    assert await committer.submit(good)


async def test_the_same_request_twice_at_once_makes_one_payment(
    engine: AsyncEngine, committer: PaymentCommitter
) -> None:
    twins = [new(request_id="same"), new(request_id="same")]
    written = await asyncio.gather(*map(committer.submit, twins))
    assert sorted(written) == [False, True]
    kept = [payment for twin in twins if (payment := (await stored(engine, twin.payment_id))[0])]
    assert len(kept) == 1


async def test_two_processes_with_the_same_requests_make_each_payment_once(
    engine: AsyncEngine, connections: Connections
) -> None:
    names = [f"request-{number}" for number in range(40)]
    one, other = PaymentCommitter(connections), PaymentCommitter(connections)
    written = await asyncio.gather(
        *(one.submit(new(request_id=name)) for name in names),
        *(other.submit(new(request_id=name)) for name in reversed(names)),
    )
    assert sum(written) == len(names)
    async with engine.connect() as connection:
        count = await connection.execute(text("SELECT count(*) FROM payment"))
        assert count.scalar_one() == len(names)


async def test_two_processes_that_run_one_operation_write_it_once(
    engine: AsyncEngine, connections: Connections
) -> None:
    one, other = PaymentCommitter(connections), PaymentCommitter(connections)
    begun = new()
    assert await one.submit(begun)
    written = await asyncio.gather(
        one.submit(allowed(begun)), other.submit(allowed(begun)), one.submit(allowed(begun))
    )
    assert sum(written) == 1
    assert len(await transitions(engine, begun.payment_id)) == 3


async def test_who_wants_to_be_alone_is_not_written_behind_others_in_line(
    engine: AsyncEngine, committer: PaymentCommitter
) -> None:
    assert await committer.submit(new(alone=True))
    waiting = new()
    async with engine.begin() as connection:
        await store.add_payment(connection, waiting.change.after)
        in_line = replace(
            waiting.operation, queued=True, state=OperationState.PENDING, lease_until=None
        )
        await operation_store.add(connection, in_line)
    last, elsewhere, hasty = new(alone=True), new(alone=True, corridor="backup"), new()
    parts = [last, elsewhere, hasty]
    assert await asyncio.gather(*map(committer.submit, parts)) == [False, True, True]


async def test_parts_that_come_together_share_a_transaction(
    engine: AsyncEngine, committer: PaymentCommitter
) -> None:
    parts = [new() for _ in range(20)]
    await asyncio.gather(*map(committer.submit, parts))
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT DISTINCT xmin::text FROM payment"))
        assert len(rows.all()) <= MAX_COMMITS


async def test_news_of_a_fee_is_written_once_and_only_on_what_it_was_decided_from(
    engine: AsyncEngine, committer: PaymentCommitter
) -> None:
    begun = new()
    first = allowed(begun)
    second = captured(first)
    for part in (begun, first, second):
        assert await committer.submit(part)
    payment = second.changes[-1].after
    fee = ChargeFee("txn_1", payment.charge_id, "EUR", 59, 1000, False, "", 0, "", 0)
    news = News(payment, fee_step(payment, fee, NOW), fee_facts(payment, fee, NOW), NOW)
    assert not await committer.submit(replace(news, before=first.changes[-1].after))
    assert await asyncio.gather(*map(committer.submit, [news, news])) == [True, False]
    known, _ = await stored(engine, payment.id)
    assert known == news.change.after
    assert known is not None
    assert known.fee_minor == 59
    async with engine.connect() as connection:
        kinds = [b.kind for b in (await booking_state(connection, payment.id)).bookings]
    assert kinds == ["hold_placed", "captured", "fee_charged"]


async def test_every_row_is_looked_up_by_an_index(connections: Connections) -> None:
    explain = f"EXPLAIN (FORMAT JSON) {STATEMENT}"
    async with connections.borrow() as connection:
        cursor = await connection.execute(
            explain, {"parts": encode([new()]), "booking_channel": CHANNEL}
        )
        row = await cursor.fetchone()
    assert row is not None
    scans = list(scans_of(row[0][0]["Plan"]))
    assert {scan["Relation Name"] for scan in scans} == {"payment", "operation", "booking"}
    for scan in scans:
        assert scan["Node Type"] in ("Index Scan", "Index Only Scan"), scan
        assert "Index Cond" in scan, scan


def scans_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a plan that read a table."""
    if "Relation Name" in node and node["Node Type"] != "ModifyTable":
        yield node
    for inner in node.get("Plans", ()):
        yield from scans_of(inner)


async def test_a_crash_between_gathering_and_commit_leaves_nothing_and_is_not_answered(
    engine: AsyncEngine, connections: Connections, postgres_url: str
) -> None:
    committer = PaymentCommitter(connections)
    assert await committer.submit(new())
    blocker = new(request_id="held")
    victim = new()
    async with engine.begin() as connection:
        # The batch waits for another writer of one request_id; meanwhile its connection dies.
        await store.remember_request(connection, blocker.request)
        written = [committer.submit(blocker), committer.submit(victim)]
        await _kill_when_waiting(postgres_url)
        results = await asyncio.gather(*written, return_exceptions=True)
    assert all(isinstance(result, psycopg.OperationalError) for result in results), results
    for part in (blocker, victim):
        assert (await stored(engine, part.payment_id))[0] is None
    assert await committer.submit(victim), "the same again, on a new connection"


async def _kill_when_waiting(postgres_url: str) -> None:
    """Kills the connection of the committer that waits for a lock, once there is one."""
    kill = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'gateway-commits' AND wait_event_type = 'Lock'
    """
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:

        async def killed() -> list[Any]:
            return await (await connection.execute(kill)).fetchall()

        await poll(killed, bool)
