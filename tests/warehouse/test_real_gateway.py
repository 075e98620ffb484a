"""The gateway itself as the source: what the warehouse has is what its API answers."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from gateway.v1.dispute_service_pb2 import ListDisputesRequest
from gateway.v1.dispute_service_pb2_grpc import DisputeServiceStub
from gateway.v1.payment_service_pb2_grpc import PaymentServiceStub
from gateway.v1.sigma_service_pb2_grpc import SigmaServiceStub
from runtime.clock import SystemClock
from sandbox.polling import poll
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.sigma import ScheduledQuery, run_query
from sandbox.stripe_twin.twin import Twin
from tests.gateway.balance.test_sweep import OFTEN
from tests.gateway.balance.test_transactions import listed, settled
from tests.gateway.running import OpenShop, running_gateway
from tests.waiting import WAIT_SECONDS
from tests.warehouse.stores import DuckDbStore
from warehouse.facts import messages, tables
from warehouse.facts.feeds import Feed, FeedReader
from warehouse.facts.gateway_feeds import BalanceTransactionFeed, PaymentFeed
from warehouse.facts.lists import ListSource, ListWalker
from warehouse.files.names import SIGMA, table_of
from warehouse.files.sigma_feed import SigmaFeed

ADDRESS = "the shop"


async def follow(feed: Feed, store: DuckDbStore, is_there: Callable[[], bool]) -> None:
    """Follows a feed until what is wanted is there."""
    async with asyncio.timeout(WAIT_SECONDS):
        async for _ in FeedReader(feed, store.facts).follow():
            if is_there():
                return


async def test_what_is_loaded_is_what_the_gateway_answers(
    open_shop: OpenShop, twin: Twin, tmp_path: Path
) -> None:
    store = DuckDbStore(tmp_path / "books.duckdb", SystemClock())
    store.sink.prepare()
    store.facts.prepare()
    async with open_shop(**OFTEN) as shop:
        payment = await shop.create()
        refund = (await shop.refund(payment, 7_00)).refund
        (charge,) = twin.account().objects("charge")
        twin.open_dispute(charge["id"], amount=3_00)
        moved = await poll(lambda: listed(shop), settled(3))
        disputes = DisputeServiceStub(shop.channel)
        await poll(
            lambda: disputes.ListDisputes(ListDisputesRequest()), lambda told: bool(told.disputes)
        )
        stub = BalanceTransactionServiceStub(shop.channel)
        count = "SELECT count(*) FROM balance_transaction WHERE state = 'EXPLAINED'"
        feed = BalanceTransactionFeed(stub, ADDRESS)
        await follow(feed, store, lambda: store.rows(count) == [(len(moved),)])
        source = ListSource(
            source=tables.DISPUTES,
            address=ADDRESS,
            table=tables.DISPUTE,
            call=disputes.ListDisputes,
            request=ListDisputesRequest,
            items=lambda page: page.disputes,
            row=messages.dispute,
        )
        await ListWalker(source, store.facts).walk()
        payments = PaymentFeed(PaymentServiceStub(shop.channel), ADDRESS, lambda _: ())
        revision = 0
        # Something may still become known of it while it is read.
        while (answered := await shop.get(payment.id)).revision > revision:
            revision = answered.revision
            wanted = f"SELECT count(*) FROM payment WHERE revision >= {revision}"
            await follow(payments, store, lambda: store.rows(wanted) == [(1,)])  # noqa: B023
    assert store.rows(
        "SELECT payment_id, state, amount_captured_minor, amount_refunded_minor,"
        " amount_disputed_minor, fee_minor, stripe_charge_id FROM payment"
    ) == [
        (
            *(payment.id, "SUCCEEDED", answered.amount_captured.minor_units),
            *(answered.amount_refunded.minor_units, answered.amount_disputed.minor_units),
            *(answered.fee.minor_units, charge["id"]),
        )
    ]
    assert store.rows("SELECT operation_id FROM payment_operation ORDER BY operation_index") == [
        (operation.id,) for operation in answered.operations
    ]
    assert store.rows("SELECT refund_id, state, amount_minor FROM refund") == [
        (refund.id, "SUCCEEDED", 7_00)
    ]
    assert store.rows("SELECT payment_id, state, amount_minor FROM dispute") == [
        (payment.id, "NEEDS_RESPONSE", 3_00)
    ]
    assert store.rows(
        "SELECT balance_transaction_id, gross_minor, fee_minor, net_minor, reporting_category"
        " FROM balance_transaction ORDER BY 1"
    ) == sorted(
        (
            *(one.id, one.amount.minor_units, one.fee.minor_units, one.net.minor_units),
            one.reporting_category,
        )
        for one in moved
    )
    assert store.rows("SELECT sum(amount_minor) FROM balance_transaction_fee") == [
        (sum(one.fee.minor_units for one in moved),)
    ]


async def test_results_of_queries_are_what_stripe_made(
    database_url: str, twin: Twin, tmp_path: Path
) -> None:
    store = DuckDbStore(tmp_path / "books.duckdb", SystemClock())
    store.sink.prepare()
    store.facts.prepare()

    def loaded() -> dict[str, str]:
        return dict(store.facts.read("loaded_sigma_files", {}))

    async with running_gateway(database_url, twin, sigma=True) as gateway:
        twin.record_transaction("default", BalanceEntry(type="charge", amount=100, fee=7))
        twin.advance(seconds=4 * 3_600)
        sql = 'SELECT id, net AS "order" FROM balance_transactions'
        run = run_query(twin.account(), ScheduledQuery(title="Nets of all", sql=sql))
        feed = SigmaFeed(SigmaServiceStub(gateway.channel), ADDRESS, loaded)
        await follow(feed, store, lambda: bool(loaded()))
    (moved,) = twin.account().books.transactions
    table = table_of(SIGMA, "Nets of all")
    assert store.rows(f'SELECT _run_id, id, "order" FROM {table}') == [
        (run["id"], moved["id"], "93")
    ]
    assert store.rows("SELECT table_name, title FROM stripe_table") == [(table, "Nets of all")]
