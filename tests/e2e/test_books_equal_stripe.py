"""After everything that a payment can do, the ledger's Stripe accounts equal Stripe's balance."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import pytest

from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from reconciliation.items.intake import Intake
from reconciliation.items.source import ItemSource
from reconciliation.matching.item import Leg, Source
from reconciliation.part import DATABASE_ROLE
from reconciliation.sources.balance_transactions import BalanceTransactionSource
from reconciliation.sources.ledger import LedgerSource
from runtime.migrations import migrate
from runtime.notifier import Notifier
from runtime.postgres import create_engine
from runtime.tasks import cancel
from sandbox.addresses import Ports, at
from sandbox.clients import Clients, open_clients
from sandbox.databases import PAYING, databases_beside
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import Shop
from sandbox.engine import Engine, running_engine
from sandbox.polling import poll
from sandbox.reconciliation import LEDGER, books_difference
from sandbox.twin_admin import TwinAdmin
from tests.e2e.scenario_steps import pay
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
    payout_on_its_way,
    payout_paid_and_failed,
    payout_that_no_event_told,
    topped_up,
    unknown_movements,
)
from tests.plugin import Databases
from tests.reconciliation.books import Books


@pytest.fixture(scope="module")
def own_databases(postgres_url: str) -> Iterator[dict[str, str]]:
    with databases_beside(dict.fromkeys(PAYING, postgres_url)) as databases:
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
async def reconciled(postgres_url: str) -> AsyncIterator[Books]:
    """Reconciliation with a database of its own."""
    databases = Databases(postgres_url)
    url = databases.make("test_reconciliation")
    await asyncio.to_thread(asyncio.run, migrate(url, "reconciliation"))
    opened = create_engine(url, role=DATABASE_ROLE, pool_size=4, application_name="test")
    yield Books(opened)
    await opened.dispose()
    databases.drop()


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
    async with (
        grpc.aio.insecure_channel(at(engine.ports.ledger)) as ledger,
        grpc.aio.insecure_channel(at(engine.ports.gateway)) as gateway,
    ):
        sources: list[ItemSource] = [
            LedgerSource(LedgerServiceStub(ledger), LEDGER),
            BalanceTransactionSource(BalanceTransactionServiceStub(gateway)),
        ]
        following = [
            asyncio.create_task(
                Intake(reconciled.engine, source, Notifier(), reconciled.clock).loop().run()
            )
            for source in sources
        ]

        async def stand() -> tuple[set[Any], set[Any]]:
            await reconciled.run()
            matches, differences = (await reconciled.stand())[Leg.BOOKED]
            return {key for _, members in matches for key in members}, differences

        def is_matched(found: tuple[set[Any], set[Any]]) -> bool:
            matched, differences = found
            last = any(f"refund.{refund}:" in key.key for key in matched)
            return last and not differences

        try:
            matched, differences = await poll(stand, is_matched)
        finally:
            await cancel(*following)
    assert differences == set()
    assert {key.source for key in matched} == {Source.LEDGER, Source.STRIPE}
