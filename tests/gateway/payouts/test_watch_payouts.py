"""WatchPayouts: every change of a payout, whole, in order, from a cursor."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import grpc
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.epochs import begin_epoch
from gateway.numbering import NUMBER_BATCH, Numbering, number_changes
from gateway.payouts.changes import FEED
from gateway.v1 import payout_service_pb2 as pb
from gateway.v1.payout_pb2 import Payout, PayoutState
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from runtime.clock import ManualClock
from runtime.errors import from_rpc_error
from sandbox.polling import poll
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.payouts import ARRIVAL_SECONDS
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import Shop
from tests.gateway.payouts.treasury import MERCHANT, Treasury
from tests.gateway.running import OpenGate, OpenShop

S = PayoutState
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
WAIT_SECONDS = 40.0


async def watched(
    shop: Shop, count: int, after: int = 0, epoch: int = 0
) -> list[pb.WatchPayoutsResponse]:
    """The next changes of the feed."""
    request = pb.WatchPayoutsRequest(after_sequence=after, epoch=epoch)
    seen: list[pb.WatchPayoutsResponse] = []
    stream = PayoutServiceStub(shop.channel).WatchPayouts(request)
    async with asyncio.timeout(WAIT_SECONDS):
        async for change in stream:
            seen.append(change)
            if len(seen) == count:
                break
    stream.cancel()
    return seen


async def until(shop: Shop, state: Any, after: int = 0) -> list[pb.WatchPayoutsResponse]:
    """The changes up to the first one to a state, that one included."""
    seen: list[pb.WatchPayoutsResponse] = []
    while not seen or seen[-1].payout.state != state:
        last = seen[-1].sequence if seen else after
        seen += await watched(shop, 1, last, seen[-1].epoch if seen else 0)
    return seen


async def test_a_payout_is_told_whole_with_each_change(open_shop: OpenShop, twin: Twin) -> None:
    """The platform's, which Stripe's schedule makes: it is paid, and its bank returns it."""
    twin.record_transaction("default", BalanceEntry(type="topup", amount=5_00, currency="eur"))
    async with open_shop() as shop:
        made = twin.pay_out("default", "eur")
        (first, *_) = await watched(shop, 1)
        twin.advance(seconds=ARRIVAL_SECONDS)
        paid = (await until(shop, S.PAYOUT_STATE_PAID))[-1]
        twin.fail_payout(made["id"])
        seen = await until(shop, S.PAYOUT_STATE_FAILED)
        (listed,) = (
            await PayoutServiceStub(shop.channel).ListPayouts(pb.ListPayoutsRequest())
        ).payouts
    assert [change.sequence for change in seen] == list(range(1, len(seen) + 1))
    assert {change.epoch for change in seen} == {0}
    assert seen[0] == first
    assert paid in seen
    # What never changes is told with each.
    for change in seen:
        one = change.payout
        assert (one.id, one.stripe_payout_id, one.corridor) == (listed.id, made["id"], "default")
        assert (one.amount.minor_units, one.amount.currency_code) == (5_00, "EUR")
        assert (one.automatic, one.method, one.source_type) == (True, "standard", "card")
        assert (one.destination_type, one.reconciliation_status) == ("bank_account", "completed")
        assert one.balance_transaction_id == made["balance_transaction"]
        assert one.stripe_create_time.seconds == made["created"]
        assert one.arrival_time.seconds == made["arrival_date"]
        assert (one.connected_account_id, one.merchant_id, one.primary_payout_id) == ("", "", "")
    assert (paid.payout.was_paid, paid.payout.failure_code) == (True, "")
    last = seen[-1].payout
    assert last == listed
    assert (last.was_paid, last.failure_code) == (True, "account_closed")
    at_stripe = twin.account().objects("payout").get(made["id"])
    assert last.failure_balance_transaction_id == at_stripe["failure_balance_transaction"] != ""


async def test_merchants_payouts_are_told_from_their_request_on(treasury: Treasury) -> None:
    made = await treasury.create(100_00, statement_descriptor="FERN")
    seen = await until(treasury.shop, S.PAYOUT_STATE_PENDING)
    last = seen[-1].payout
    assert last == made
    assert (last.merchant_id, last.connected_account_id) == (MERCHANT, treasury.account_id)
    assert (last.statement_descriptor, last.request_id) == ("FERN", made.request_id)
    assert {change.payout.id for change in seen} == {made.id}
    assert all(change.HasField("record_time") for change in seen)
    # Who waits at the end gets what comes.
    waiting = asyncio.create_task(watched(treasury.shop, 1, seen[-1].sequence))
    await treasury.cancel(made.id)
    ((news,),) = await asyncio.gather(waiting)
    assert (news.sequence, news.payout.state) == (seen[-1].sequence + 1, S.PAYOUT_STATE_CANCELED)


OLD_ROWS = """
INSERT INTO payout (
    id, request_id, merchant_id, account_id, corridor, state, currency, amount_minor,
    statement_descriptor, automatic, stripe_payout_id, failure_code, was_paid, create_time,
    update_time
)
SELECT
    'pyo_' || n, '', '', '', 'default', 'PAID', 'EUR', n, '', TRUE, 'po_' || n, '', TRUE,
    cast('2026-01-01' AS timestamptz) + n * interval '1 second', '2026-01-01'
FROM generate_series(1, %s) AS n
"""


async def test_what_was_there_before_the_feed_is_told_the_oldest_first_and_once(
    open_shop: OpenShop, engine: AsyncEngine, database_url: str
) -> None:
    count = NUMBER_BATCH + 1
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(OLD_ROWS, [count])
        numbering = Numbering(engine, FEED, OpenGate(), ManualClock(NOW))
        assert await numbering.round()
        assert not await numbering.round()
        # What changes nothing that is shown is no change; each of these is one.
        connection.execute("UPDATE payout SET update_time = now(), next_look_time = now()")
        assert not await numbering.round()
        for number, change in enumerate(CHANGES, start=1):
            connection.execute(f"UPDATE payout SET {change} WHERE id = 'pyo_1'".encode())
            await numbering.round()
            newest = "SELECT id, sequence FROM payout_change ORDER BY sequence DESC LIMIT 1"
            assert connection.execute(newest).fetchone() == ("pyo_1", count + number)
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(f"EXPLAIN {PLAN}".encode()).fetchall()
    assert any("payout_untold" in line for (line,) in plan), plan
    async with open_shop(webhooks=False, roles="api") as shop:
        seen = await watched(shop, count + len(CHANGES))
    assert [change.sequence for change in seen] == list(range(1, count + len(CHANGES) + 1))
    assert [change.payout.amount.minor_units for change in seen[:count]] == list(
        range(1, count + 1)
    )
    # What was not kept then is not told, which is another thing than nothing.
    assert not seen[0].payout.HasField("stripe_create_time")
    assert seen[0].record_time.ToDatetime(UTC) == NOW
    assert seen[-1].payout.stripe_create_time.ToDatetime(UTC) == NOW


CHANGES = (
    "state = 'FAILED'",
    "failure_code = 'account_closed'",
    "method = 'standard'",
    "destination_id = 'ba_1'",
    "reconciliation_status = 'completed'",
    "trace_id_status = 'supported'",
    "trace_id = 'REF1'",
    "original_payout_id = 'po_0'",
    "reversed_by_payout_id = 'po_x'",
    "balance_transaction_id = 'txn_1'",
    "failure_balance_transaction_id = 'txn_2'",
    "primary_payout_id = 'po_2'",
    "content_complete = TRUE",
    "arrival_time = '2026-11-30 12:00Z'",
    "return_time = '2026-11-30 12:00Z'",
    "stripe_create_time = '2026-11-30 12:00Z'",
)
PLAN = str(FEED.statement).replace(":limit", "500").replace(":now", "now()")


async def test_after_a_restore_what_was_lost_is_told(
    open_shop: OpenShop, engine: AsyncEngine, database_url: str
) -> None:
    numbering = Numbering(engine, FEED, OpenGate(), ManualClock(NOW))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(OLD_ROWS, [2])
        await numbering.round()
        async with engine.begin() as held:
            epoch = await begin_epoch(held)
            # Who begins an epoch lets nobody number.
            async with engine.begin() as other:
                assert await number_changes(other, FEED, NOW) == 0
        connection.execute("UPDATE payout SET trace_id = 'REF1' WHERE id = 'pyo_2'")
        await numbering.round()
    async with open_shop(webhooks=False, roles="api") as shop:
        (news,) = await watched(shop, 1, after=2)
        assert (news.epoch, news.sequence, news.payout.trace_id) == (epoch, 3, "REF1")
        assert (await watched(shop, 1, 2, epoch)) == [news]
        for after, of in ((3, 0), (1_000, epoch), (1, 77)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await watched(shop, 1, after, of)
            error = from_rpc_error(refused.value)
            assert (error.code, error.reason) == (
                grpc.StatusCode.OUT_OF_RANGE,
                "CURSOR_OUTDATED",
            )
        for after, of in ((-1, 0), (0, -1)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await watched(shop, 1, after, of)
            assert from_rpc_error(refused.value).reason == "INVALID_REQUEST"


async def test_what_a_release_before_has_not_kept_whole_is_asked_for(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    twin.record_transaction("default", BalanceEntry(type="topup", amount=5_00, currency="eur"))
    made = twin.pay_out("default", "eur")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(OLD_ROWS, [1])
        # As the migration leaves it.
        connection.execute(
            "UPDATE payout SET stripe_payout_id = %s, state = 'PENDING', next_look_time = now()",
            [made["id"]],
        )
    async with open_shop(webhooks=False) as shop:

        async def read() -> Payout:
            return (await watched(shop, 2))[-1].payout

        whole = await poll(read, lambda payout: payout.HasField("stripe_create_time"))
    assert (whole.destination_type, whole.method) == ("bank_account", "standard")
    assert whole.balance_transaction_id == made["balance_transaction"]
