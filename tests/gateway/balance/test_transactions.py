"""BalanceTransactionService: what moved at Stripe, listed and watched, and what payouts contain."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.balance.changes import FEED
from gateway.balance.service import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from gateway.epochs import begin_epoch
from gateway.limits import Limits
from gateway.numbering import NUMBER_BATCH, WATCH_BATCH, Numbering, number_changes
from gateway.v1 import balance_transaction_service_pb2 as pb
from gateway.v1.balance_transaction_pb2 import BalanceTransaction, BalanceTransactionState
from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from gateway.v1.payout_service_pb2 import ListPayoutsRequest
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from runtime.clock import ManualClock
from runtime.errors import ReceivedError, from_rpc_error
from sandbox.polling import poll
from sandbox.stripe_twin.books import FeePart
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.twin import Twin
from tests.gateway.balance.test_sweep import OFTEN
from tests.gateway.payments.shop import Shop
from tests.gateway.running import OpenGate, OpenShop

EXPLAINED = BalanceTransactionState.BALANCE_TRANSACTION_STATE_EXPLAINED
SUSPENSE = BalanceTransactionState.BALANCE_TRANSACTION_STATE_SUSPENSE
UNEXPLAINED = BalanceTransactionState.BALANCE_TRANSACTION_STATE_UNEXPLAINED
MISSING = BalanceTransactionState.BALANCE_TRANSACTION_STATE_MISSING
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
WAIT_SECONDS = 40.0


async def listed(shop: Shop, **wanted: Any) -> list[BalanceTransaction]:
    """All that the filters match, page by page."""
    stub = BalanceTransactionServiceStub(shop.channel)
    request = pb.ListBalanceTransactionsRequest(**wanted)
    found: list[BalanceTransaction] = []
    while True:
        answer = await stub.ListBalanceTransactions(request)
        found += answer.balance_transactions
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def refused(call: Any) -> ReceivedError:
    """What a call failed with."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return from_rpc_error(error.value)


async def watched(
    shop: Shop, count: int, after: int = 0, epoch: int = 0
) -> list[pb.WatchBalanceTransactionsResponse]:
    """The next changes of the feed."""
    stub = BalanceTransactionServiceStub(shop.channel)
    request = pb.WatchBalanceTransactionsRequest(after_sequence=after, epoch=epoch)
    seen: list[pb.WatchBalanceTransactionsResponse] = []
    stream = stub.WatchBalanceTransactions(request)
    async with asyncio.timeout(WAIT_SECONDS):
        async for change in stream:
            seen.append(change)
            if len(seen) == count:
                break
    stream.cancel()
    return seen


def settled(count: int) -> Callable[[list[BalanceTransaction]], bool]:
    """That so many are listed, and none waits."""
    return lambda found: len(found) >= count and all(one.state != UNEXPLAINED for one in found)


async def test_what_moved_is_shown_whole_and_whose_it_was(open_shop: OpenShop, twin: Twin) -> None:
    async with open_shop(**OFTEN) as shop:
        payment = await shop.create()
        refund = (await shop.refund(payment, 7_00)).refund
        (charge,) = twin.account().objects("charge")
        dispute = twin.open_dispute(charge["id"], amount=3_00)
        for entry in (
            BalanceEntry(type="what_is_this", amount=-3, currency="eur"),
            BalanceEntry(type="topup", amount=5_00, currency="eur", balance_type="risk_reserved"),
        ):
            twin.record_transaction("default", entry)
        found = await poll(lambda: listed(shop), settled(5))
        by_type = {one.type: one for one in found}
        assert len(by_type) == len(found) == 5
        # Each is news at first, and once more when it is explained, unless both were at once.
        twin.advance(seconds=3 * 24 * 3600.0)
        free = await poll(
            lambda: listed(shop, type="charge"),
            lambda now: now[0].available and now[0].state == EXPLAINED,
        )
    told = twin.account().books.transactions.get(by_type["charge"].id)
    first = by_type["charge"]
    assert (first.corridor, first.source_id, first.source_type) == (
        "default",
        charge["id"],
        "charge",
    )
    assert (first.payment_id, first.merchant_id, first.state) == (payment.id, "m_1", EXPLAINED)
    assert (first.amount.minor_units, first.fee.minor_units, first.net.minor_units) == (
        20_00,
        55,
        19_45,
    )
    assert {first.amount.currency_code, first.net.currency_code} == {"EUR"}
    (part,) = first.fee_details
    assert (part.type, part.amount.minor_units, part.application_id) == ("stripe_fee", 55, "")
    assert (first.reporting_category, first.balance_type) == ("charge", "payments")
    assert not first.available
    assert first.stripe_create_time.seconds == told["created"]
    assert first.available_time.seconds == told["available_on"]
    assert (first.exchange_rate, first.stripe_payout_id, first.reason) == ("", "", "")
    # Its place in the list stays, its last change does not.
    (after,) = free
    assert after.sequence > max(one.sequence for one in found)
    after.sequence, after.available = first.sequence, first.available
    after.record_time.CopyFrom(first.record_time)
    assert after == first
    for kind, source, source_type in (
        ("refund", refund.stripe_refund_id, "refund"),
        ("adjustment", dispute["id"], "dispute"),
    ):
        one = by_type[kind]
        assert (one.source_id, one.source_type, one.payment_id, one.merchant_id) == (
            *(source, source_type, payment.id),
            "m_1",
        )
        assert one.available
    assert by_type["what_is_this"].state == SUSPENSE
    assert by_type["what_is_this"].payment_id == ""
    assert by_type["topup"].balance_type == "risk_reserved"
    assert by_type["topup"].available


def record(twin: Twin, count: int) -> None:
    """So many fees of the account, each of one second more than the one before."""
    for number in range(count):
        twin.account().books.record(
            kind="stripe_fee",
            source=None,
            amount=-1 - number,
            currency="usd" if number % 2 else "eur",
            now=int(NOW.timestamp()) + number,
            available_at_once=True,
            fees=(FeePart(0, "stripe_fee", "none"),),
        )


async def test_pages_filters_and_what_cannot_be_asked(open_shop: OpenShop, twin: Twin) -> None:
    record(twin, 6)
    async with open_shop(**OFTEN) as shop:
        stub = BalanceTransactionServiceStub(shop.channel)
        everything = await poll(lambda: listed(shop), settled(6))
        # A row that the sweep holds at the moment is numbered after those behind it.
        amounts = [one.net.minor_units for one in everything]
        assert sorted(amounts) == [-6, -5, -4, -3, -2, -1]

        def these(*wanted: int) -> list[Any]:
            return [one for one in everything if one.net.minor_units in wanted]

        for size in (1, 4, 5, 6, 7):
            first = await stub.ListBalanceTransactions(
                pb.ListBalanceTransactionsRequest(page_size=size)
            )
            assert len(first.balance_transactions) == min(size, 6)
            assert bool(first.next_page_token) == (size < 6)
            assert await listed(shop, page_size=size) == everything
        assert DEFAULT_PAGE_SIZE < MAX_PAGE_SIZE
        for size in (0, MAX_PAGE_SIZE, MAX_PAGE_SIZE + 1):
            assert await listed(shop, page_size=size) == everything
        dollars = await listed(shop, currency_code="USD", page_size=1)
        assert dollars == these(-2, -4, -6)
        assert await listed(shop, type="stripe_fee", corridor="default") == everything
        for nothing in ({"corridor": "other"}, {"type": "charge"}, {"stripe_payout_id": "po_1"}):
            assert await listed(shop, **nothing) == []
        # From a second on, and before another.
        begin, end = stamp(NOW + timedelta(seconds=1)), stamp(NOW + timedelta(seconds=4))
        assert await listed(shop, created_from=begin, page_size=2) == these(-2, -3, -4, -5, -6)
        assert await listed(shop, created_until=end) == these(-1, -2, -3, -4)
        assert await listed(shop, created_from=begin, created_until=end) == these(-2, -3, -4)
        # What comes to be known while pages are read is behind them, whenever Stripe made it.
        request = pb.ListBalanceTransactionsRequest(page_size=4)
        page = await stub.ListBalanceTransactions(request)
        twin.record_transaction("default", BalanceEntry(type="stripe_fee", amount=-7))
        await poll(lambda: listed(shop), settled(7))
        request.page_token = page.next_page_token
        rest = await stub.ListBalanceTransactions(request)
        assert [one.net.minor_units for one in rest.balance_transactions] == [*amounts[4:], -7]
        await refuses_what_cannot_be(shop)


def stamp(time: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(time)
    return found


# What cannot be, and the field that is told.
IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"page_size": -1}, "page_size"),
    ({"corridor": "a b"}, "corridor"),
    ({"corridor": "c" * 65}, "corridor"),
    ({"currency_code": "eur"}, "currency_code"),
    ({"currency_code": "EURO"}, "currency_code"),
    ({"type": "Charge"}, "type"),
    ({"type": "t" * 65}, "type"),
    ({"stripe_payout_id": "pyo_1"}, "stripe_payout_id"),
    ({"stripe_payout_id": "po_" + "1" * 253}, "stripe_payout_id"),
    ({"created_from": stamp(NOW), "created_until": stamp(NOW)}, "created_until"),
    ({"created_from": Timestamp(nanos=-1)}, "created_from"),
]


async def refuses_what_cannot_be(shop: Shop) -> None:
    """Fields, page tokens and cursors, each with its reason."""
    stub = BalanceTransactionServiceStub(shop.channel)
    page = await stub.ListBalanceTransactions(pb.ListBalanceTransactionsRequest(page_size=1))
    tokens: list[dict[str, Any]] = [
        {"page_token": "never"},
        {"page_token": page.next_page_token, "type": "stripe_fee"},
        {"page_token": page.next_page_token[:-2]},
    ]
    for fields in tokens:
        error = await refused(listed(shop, page_size=1, **fields))
        assert error.reason == "INVALID_PAGE_TOKEN"
    for fields, field in IMPOSSIBLE:
        error = await refused(listed(shop, **fields))
        assert error.reason == "INVALID_REQUEST"
        assert [violation.field for violation in error.violations] == [field]
    last = (await listed(shop))[-1].sequence
    for after, epoch in ((last + 1_000_000, 0), (1, 77)):
        error = await refused(watched(shop, 1, after, epoch))
        assert (error.code, error.reason) == (
            grpc.StatusCode.OUT_OF_RANGE,
            "CURSOR_OUTDATED",
        )
    for after, epoch in ((-1, 0), (0, -1)):
        error = await refused(watched(shop, 1, after, epoch))
        assert error.reason == "INVALID_REQUEST"


async def test_the_feed_has_every_change_in_order_and_goes_on_at_a_cursor(
    open_shop: OpenShop, twin: Twin, engine: AsyncEngine
) -> None:
    record(twin, 3)
    async with open_shop(**OFTEN) as shop:
        await poll(lambda: listed(shop), settled(3))
        count = max(one.sequence for one in await listed(shop))
        seen = await watched(shop, count)
        assert [one.balance_transaction.sequence for one in seen] == list(range(1, count + 1))
        assert {one.epoch for one in seen} == {0}
        # The last change of each is how it is listed.
        last = {one.balance_transaction.id: one.balance_transaction for one in seen}
        assert list(last.values()) == await listed(shop)
        middle = seen[1].balance_transaction.sequence
        assert await watched(shop, count - middle, middle) == seen[2:]
        # Who waits at the end gets what comes.
        waiting = asyncio.create_task(watched(shop, 1, count))
        twin.record_transaction("default", BalanceEntry(type="stripe_fee", amount=-9))
        (news,) = await waiting
        assert news.balance_transaction.net.minor_units == -9
        assert news.balance_transaction.sequence == count + 1
        await poll(lambda: listed(shop), settled(4))
    # After a restore what was lost is told; what both histories have goes on.
    async with engine.begin() as connection:
        epoch = await begin_epoch(connection)
    twin.record_transaction("default", BalanceEntry(type="stripe_fee", amount=-10))
    async with open_shop(**OFTEN) as shop:
        found = await poll(lambda: listed(shop), settled(5))
        end = max(one.sequence for one in found[:4])
        (first, *_) = await watched(shop, 1, end)
        assert (first.epoch, first.balance_transaction.sequence) == (epoch, end + 1)
        assert (await watched(shop, 1, end, epoch))[0] == first
        error = await refused(watched(shop, 1, end + 1, 0))
        assert error.reason == "CURSOR_OUTDATED"
        assert error.metadata == {"epoch": "0", "after_sequence": str(end)}


OLD_ROWS = """
INSERT INTO balance_transaction (
    corridor, id, type, source_id, currency, net_minor, part, create_time, available_time, state,
    next_attempt_time, last_failure
)
SELECT
    'default', 'txn_' || n, 'stripe_fee', '', 'EUR', n, 'available',
    cast('2026-01-01' AS timestamptz) + n * interval '1 second', '2026-01-01',
    CASE WHEN mod(n, 3) = 1 THEN 'OPEN' ELSE 'DONE' END, '9999-01-01',
    CASE WHEN mod(n, 3) = 1 THEN 'NOT_YET' WHEN mod(n, 3) = 2 THEN 'NOT_AT_STRIPE' END
FROM generate_series(1, %s) AS n
"""


async def test_what_an_earlier_release_has_read_is_numbered_oldest_first_in_batches(
    open_shop: OpenShop, engine: AsyncEngine, database_url: str
) -> None:
    count = NUMBER_BATCH + 1
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(OLD_ROWS, [count])
    numbering = Numbering(engine, FEED, OpenGate(), ManualClock(NOW))
    assert await numbering.round()
    assert not await numbering.round()
    assert not await numbering.round()
    async with open_shop(webhooks=False, roles="api") as shop:
        found = await listed(shop, page_size=MAX_PAGE_SIZE)
        assert await watched(shop, count) != []
        assert count > WATCH_BATCH
    assert [one.id for one in found] == [f"txn_{n}" for n in range(1, count + 1)]
    assert [one.sequence for one in found] == list(range(1, count + 1))
    assert [(one.state, one.reason) for one in found[:3]] == [
        (UNEXPLAINED, "NOT_YET"),
        (MISSING, "NOT_AT_STRIPE"),
        (EXPLAINED, ""),
    ]
    # What was not kept then is not told, which is another thing than zero.
    for field in ("amount", "fee"):
        assert not found[0].HasField(field)
    assert (found[0].net.minor_units, found[0].source_type) == (1, "")
    assert found[0].record_time.ToDatetime(UTC) == NOW


async def test_nothing_is_numbered_while_the_database_is_behind(
    engine: AsyncEngine, database_url: str
) -> None:
    class ClosedGate(OpenGate):
        closed = True

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(OLD_ROWS, [1])
    assert not await Numbering(engine, FEED, ClosedGate(), ManualClock(NOW)).round()
    async with engine.begin() as one, engine.begin() as two:
        assert await number_changes(one, FEED, NOW) == 1
        # Another process is at it.
        assert await number_changes(two, FEED, NOW) == 0


async def test_what_changes_while_it_is_numbered_is_numbered_again(
    engine: AsyncEngine, database_url: str
) -> None:
    """A sweep holds a row: it is left for the next round, with what the sweep has written."""
    numbering = Numbering(engine, FEED, OpenGate(), ManualClock(NOW))
    with (
        psycopg.connect(database_url) as sweeping,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        connection.execute(OLD_ROWS, [2])
        sweeping.execute(
            "UPDATE balance_transaction SET state = 'DONE', last_failure = NULL WHERE id = 'txn_1'"
        )
        await numbering.round()
        ids = connection.execute("SELECT id FROM balance_transaction_change").fetchall()
        assert ids == [("txn_2",)]
        sweeping.commit()
        await numbering.round()
        rows = connection.execute(
            "SELECT sequence, id, state FROM balance_transaction_change ORDER BY sequence"
        ).fetchall()
        # A further try that ends like the one before is no change.
        connection.execute("UPDATE balance_transaction SET attempts = attempts + 1")
        assert not await numbering.round()
        count = connection.execute("SELECT count(*) FROM balance_transaction_change").fetchone()
    assert rows == [(1, "txn_2", "MISSING"), (2, "txn_1", "EXPLAINED")]
    assert count == (2,)


async def test_what_a_payout_contains_is_known_when_stripe_tells(
    open_shop: OpenShop, twin: Twin
) -> None:
    """In pages; what went out with another payout, or with none, is not among it."""
    limits = Limits(balance_page=2)
    for amount in (10_00, 20_00, -5_00, 7_00):
        twin.record_transaction(
            "default", BalanceEntry(type="topup", amount=amount, currency="eur")
        )
    payout = twin.pay_out("default", "eur")
    twin.record_transaction("default", BalanceEntry(type="topup", amount=1_00, currency="eur"))
    async with open_shop(limits=limits, **OFTEN) as shop:
        content = await poll(
            lambda: listed(shop, stripe_payout_id=payout["id"], page_size=2),
            lambda found: len(found) >= 5,
        )
        everything = await listed(shop)
        (shown,) = (await PayoutServiceStub(shop.channel).ListPayouts(ListPayoutsRequest())).payouts
    topped_up = [one.net.minor_units for one in content if one.type == "topup"]
    assert sorted(topped_up) == [-5_00, 7_00, 10_00, 20_00]
    (itself,) = [one for one in content if one.type == "payout"]
    assert (itself.source_type, itself.net.minor_units) == ("payout", -32_00)
    # The sum of all is zero: https://docs.stripe.com/reports/payout-reconciliation
    assert sum(one.net.minor_units for one in content) == 0
    assert [one.net.minor_units for one in everything if not one.stripe_payout_id] == [1_00]
    assert (shown.corridor, shown.stripe_payout_id) == ("default", payout["id"])
    assert (shown.statement_descriptor, shown.was_paid) == ("", False)


async def test_a_content_that_cannot_be_read_keeps_nothing_else_from_being_read(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    twin.record_transaction("default", BalanceEntry(type="topup", amount=10_00, currency="eur"))
    payout = twin.pay_out("default", "eur")
    with psycopg.connect(database_url, autocommit=True) as connection:

        def rows() -> list[Any]:
            return connection.execute(
                "SELECT content_after_id, content_time FROM payout"
            ).fetchall()

        async def read() -> list[Any]:
            return rows()

        def is_read(found: list[Any]) -> bool:
            return bool(found) and found[0][0] == "" and found[0][1] is not None

        async with open_shop(**OFTEN) as shop:
            await poll(read, is_read)
            # Where it had come to is not there any more: it begins again, and ends.
            connection.execute("UPDATE payout SET content_time = NULL, content_after_id = 'txn_0'")
            await poll(read, is_read)
            # Stripe lists it of payouts of its schedule alone.
            twin.account().objects("payout").get(payout["id"])["automatic"] = False
            connection.execute("UPDATE payout SET content_time = NULL")
            await poll(read, is_read)
            twin.record_transaction("default", BalanceEntry(type="stripe_fee", amount=-1))
            await poll(lambda: listed(shop), settled(3))
