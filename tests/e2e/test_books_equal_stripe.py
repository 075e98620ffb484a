"""After everything that a payment can do, the ledger's Stripe accounts equal Stripe's balance."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from reconciliation.balances.reading import BalanceReading
from reconciliation.breaks.store import moment_now
from reconciliation.conditions.telling import Conditions
from reconciliation.items.intake import Intake
from reconciliation.items.source import ItemSource
from reconciliation.liquidity.gauges import parts_of
from reconciliation.liquidity.store import positions_at
from reconciliation.matching.item import ItemKey, Leg, Source
from reconciliation.part import DATABASE_ROLE
from reconciliation.sources.balance_transactions import BalanceTransactionSource
from reconciliation.sources.ledger import LedgerSource
from reconciliation.sources.payouts import PayoutSource
from runtime.notifier import Notifier
from runtime.postgres import create_engine
from runtime.tasks import cancel
from sandbox.addresses import Ports, at
from sandbox.clients import Clients, open_clients
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import Shop
from sandbox.engine import Engine, running_engine
from sandbox.polling import poll
from sandbox.reconciliation import LEDGER, books_difference
from sandbox.twin_admin import TwinAdmin
from tests.e2e.conftest import migrated_databases
from tests.e2e.scenario_steps import MATURITY_SECONDS, advance, pay
from tests.e2e.scenarios_of_debits import (
    debit_canceled,
    debit_converted,
    debit_paid,
    debit_refused,
    debit_returned,
)
from tests.e2e.scenarios_of_disputes import (
    dispute_appealed,
    dispute_converted,
    dispute_converted_in_parts,
    dispute_in_parts,
    dispute_lost,
    dispute_prevented,
    dispute_won,
    inquiry,
)
from tests.e2e.scenarios_of_payments import (
    another_corridor,
    available_at_once,
    canceled_hold,
    charge_of_somebody_else,
    converted_refund_that_fails,
    destination_charge,
    destination_charge_converted,
    destination_charge_in_part,
    dinars,
    failed_refund,
    matured,
    refund_taken_that_no_event_told,
    refund_that_waits_for_balance,
    refund_that_waits_in_vain,
    refunds_in_yen,
    yen,
)
from tests.e2e.scenarios_of_the_balance import (
    account_fees,
    fee_that_no_event_told,
    moved_besides_payments,
    payout_above_a_minimum,
    payout_advanced,
    payout_below_zero,
    payout_on_its_way,
    payout_paid_and_failed,
    payout_split,
    payout_that_no_event_told,
    topped_up,
    unknown_movements,
)
from tests.plugin import NewDatabase, TemplateOf
from tests.reconciliation.books import POLICY, Books


@pytest.fixture(scope="module")
def own_databases(postgres_url: str, template_of: TemplateOf) -> Iterator[dict[str, str]]:
    with migrated_databases(postgres_url, template_of) as databases:
        yield databases


@pytest.fixture(scope="module")
async def engine(
    own_databases: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Engine]:
    """An engine of this module's own, because the clock of its twin is moved."""
    logs = tmp_path_factory.mktemp("books")
    async with running_engine(Ports.free(), logs, own_databases) as engine:
        yield engine


@pytest.fixture
async def clients(engine: Engine) -> AsyncIterator[Clients]:
    async with open_clients(engine.ports) as clients:
        yield clients


@pytest.fixture
async def twin(engine: Engine) -> AsyncIterator[TwinAdmin]:
    async with TwinAdmin.open(engine.twin_url) as twin:
        yield twin


@pytest.fixture
async def reconciled(service_database: NewDatabase) -> AsyncIterator[Books]:
    """Reconciliation with a database of its own."""
    url = service_database("reconciliation")
    opened = create_engine(url, role=DATABASE_ROLE, pool_size=4, application_name="test")
    yield Books(opened)
    await opened.dispose()


@pytest.mark.parametrize(
    "scenario",
    [
        yen,
        dinars,
        available_at_once,
        canceled_hold,
        refunds_in_yen,
        failed_refund,
        converted_refund_that_fails,
        refund_that_waits_for_balance,
        refund_taken_that_no_event_told,
        refund_that_waits_in_vain,
        dispute_won,
        dispute_lost,
        dispute_appealed,
        dispute_in_parts,
        dispute_converted,
        dispute_converted_in_parts,
        inquiry,
        dispute_prevented,
        matured,
        payout_on_its_way,
        payout_paid_and_failed,
        payout_that_no_event_told,
        fee_that_no_event_told,
        account_fees,
        topped_up,
        moved_besides_payments,
        debit_paid,
        debit_refused,
        debit_canceled,
        debit_returned,
        debit_converted,
        unknown_movements,
        charge_of_somebody_else,
        another_corridor,
        destination_charge,
        destination_charge_in_part,
        destination_charge_converted,
    ],
    ids=lambda scenario: scenario.__name__,
)
async def test_the_ledger_equals_stripe(
    scenario: Callable[[Shop, Parties, Engine], Awaitable[None]],
    engine: Engine,
    shop: Shop,
    parties: Parties,
    clients: Clients,
    twin: TwinAdmin,
) -> None:
    await pay(shop, parties, "USD", 1_00, "visa")
    await scenario(shop, parties, engine)
    await twin.webhooks_delivered()
    # What became available at once is booked beside its payment, perhaps a moment later.
    await poll(lambda: books_difference(clients, twin), lambda found: not found)
    assert (await twin.books())["charges"]


async def test_every_movement_at_stripe_is_matched_with_what_was_booked(
    engine: Engine, shop: Shop, parties: Parties, reconciled: Books
) -> None:
    """Of all that the scenarios before did, not in sum but one by one: nothing is on one side
    alone, and nothing differs. Another worker may have played them, so those that take several
    transactions for one movement are played here."""
    for scenario in (converted_refund_that_fails, debit_converted, dispute_converted):
        await scenario(shop, parties, engine)
    paid = await pay(shop, parties, "USD", 10_00, "visa")
    refund = (await shop.refund(paid, 4_00)).refunds[0].stripe_refund_id

    async def stand() -> tuple[set[Any], set[Any]]:
        await reconciled.run()
        matches, differences = (await reconciled.stand())[Leg.BOOKED]
        return {key for _, members in matches for key in members}, differences

    def is_matched(found: tuple[set[Any], set[Any]]) -> bool:
        matched, differences = found
        last = any(f"refund.{refund}:" in key.key for key in matched)
        return last and not differences

    async with followed(engine, reconciled):
        matched, differences = await poll(stand, is_matched)
    assert differences == set()
    assert {key.source for key in matched} == {Source.LEDGER, Source.STRIPE}


async def test_what_each_payout_contains_is_matched_with_it(
    engine: Engine,
    shop: Shop,
    parties: Parties,
    clients: Clients,
    reconciled: Books,
    twin: TwinAdmin,
) -> None:
    """Of all payouts that Stripe tells the content of, split and negative ones among them, those
    that follow instant and failed ones, and those above a minimum; and the ledger has all of it.
    The judge is the twin."""
    for scenario in (
        payout_paid_and_failed,
        payout_split,
        payout_above_a_minimum,
        payout_advanced,
        payout_below_zero,
    ):
        await scenario(shop, parties, engine)
    # What was advanced is paid back, and is in the next one, with the instant payout itself.
    await advance(engine, MATURITY_SECONDS)
    await shop.twin.record_transaction("topup", 500_00)
    await twin.pay_out("usd")
    await twin.webhooks_delivered()
    await poll(lambda: books_difference(clients, twin), lambda found: not found)
    books = await twin.books()
    expected = contents(books)
    assert {len(members) for members in expected} > {2}

    async def stand() -> tuple[set[Any], set[Any]]:
        await reconciled.run()
        matches, differences = (await reconciled.stand())[Leg.CONTENT]
        return {members for _, members in matches}, differences

    async with followed(engine, reconciled):
        matched, differences = await poll(stand, lambda found: found == (expected, set()))
    assert matched == expected
    assert differences == set()
    # In the other leg the bank is expected to have them.
    _, awaited = (await reconciled.stand())[Leg.BANKED]
    assert {key.key for _, (key,), *_ in awaited} == {
        payout["id"] for payout in books["payouts"] if payout["status"] != "failed"
    }
    # And what is where is what the twin has, with no drift.
    paid = [one for one in books["payouts"] if one["currency"] == "usd"]
    expected_minor = {
        **books["balances"]["usd"],
        "in_transit": sum(one["amount"] for one in paid if one["status"] != "failed"),
        "late": 0,
        # No account of a bank is declared.
        "at_bank": None,
    }
    async with grpc.aio.insecure_channel(at(engine.ports.gateway)) as gateway:
        conditions = Conditions(POLICY, reconciled.clock)
        stub = BalanceTransactionServiceStub(gateway)
        reading = BalanceReading(reconciled.engine, stub, conditions, reconciled.clock)

        async def liquidity() -> dict[str, int | None]:
            await reading.round()
            async with reconciled.engine.connect() as connection:
                moment = moment_now(reconciled.clock.now())
                (position,) = await positions_at(connection, moment, {}, "default", "USD")
            return parts_of(position)

        assert await poll(liquidity, lambda found: found == expected_minor) == expected_minor
    assert await reconciled.rows("SELECT FROM difference WHERE kind = 'BALANCE_DRIFT'") == []


def contents(books: dict[str, Any]) -> set[frozenset[ItemKey]]:
    """What goes together by the twin's own books: each payout that lists its content, those that
    were split off it, and what it lists but for them."""
    groups: dict[str, set[ItemKey]] = {}
    payouts = {payout["id"]: payout for payout in books["payouts"]}
    transactions = {moved["id"]: moved for moved in books["balance_transactions"]}
    for payout_id, payout in payouts.items():
        if payout["automatic"]:
            primary = books["split_payouts"].get(payout_id, payout_id)
            groups.setdefault(primary, set()).add(ItemKey(Source.PAYOUT, "default", payout_id))
    for transaction_id, payout_id in books["paid_out"].items():
        moved = transactions[transaction_id]
        itself = moved["type"] == "payout" and payouts[moved["source"]]["automatic"]
        if moved["net"] and not itself:
            groups[payout_id].add(ItemKey(Source.STRIPE, "default", transaction_id))
    return {frozenset(members) for members in groups.values()}


@asynccontextmanager
async def followed(engine: Engine, reconciled: Books) -> AsyncIterator[None]:
    """Reconciliation takes what the ledger and the gateway tell."""
    async with (
        grpc.aio.insecure_channel(at(engine.ports.ledger)) as ledger,
        grpc.aio.insecure_channel(at(engine.ports.gateway)) as gateway,
    ):
        sources: list[ItemSource] = [
            LedgerSource(LedgerServiceStub(ledger), LEDGER),
            BalanceTransactionSource(BalanceTransactionServiceStub(gateway)),
            PayoutSource(PayoutServiceStub(gateway)),
        ]
        following = [
            asyncio.create_task(
                Intake(reconciled.engine, source, Notifier(), reconciled.clock).loop().run()
            )
            for source in sources
        ]
        try:
            yield
        finally:
            await cancel(*following)
