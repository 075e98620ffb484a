"""Bookkeeping with the real ledger service: the books equal Stripe's balance, to the cent."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import SecretStr

from gateway.bookkeeping.facts import (
    Fact,
    FeeCharged,
    RefundCreated,
    RefundFailed,
    ReleaseReason,
    StripeBalance,
)
from gateway.bookkeeping.ledger_client import Booked, LedgerBooks, LedgerUnavailableError
from gateway.bookkeeping.ledger_requests import batch, ledger_item
from gateway.bookkeeping.reporting import BookingState
from gateway.bookkeeping.store import BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker
from ledger.__main__ import open_service
from ledger.config import LedgerSettings
from ledger.v1.balance_pb2 import GetBalanceRequest, GetTrialBalanceRequest
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.transaction_pb2 import (
    TRANSACTION_STATE_POSTED,
    TransactionKey,
    TransactionKind,
)
from ledger.v1.transaction_reads_pb2 import GetTransactionRequest, ListTransactionsRequest
from tests.gateway.bookkeeping.conftest import (
    LEDGER,
    LIMITS,
    NOON,
    Gateway,
    about,
    captured,
    drain,
    hold,
    released,
)
from tests.gateway.bookkeeping.scenarios import Movement, Scenario, histories

if TYPE_CHECKING:
    from ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub


@pytest.fixture
def ledger_settings(service_database: Callable[[str], str]) -> LedgerSettings:
    return LedgerSettings(
        database_url=SecretStr(service_database("ledger")),
        listen_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
    )


@pytest.fixture
async def address(ledger_settings: LedgerSettings) -> AsyncIterator[str]:
    async with open_service(ledger_settings) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture
async def stub(address: str) -> AsyncIterator[LedgerServiceAsyncStub]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield LedgerServiceStub(channel)


async def posted(stub: LedgerServiceAsyncStub, prefix: str, ledger: str = LEDGER) -> int:
    """The posted balance of everything below a path of one currency, on the debit side."""
    response = await stub.GetBalance(GetBalanceRequest(ledger=ledger, prefix=prefix))
    return sum(b.posted_debits_minor - b.posted_credits_minor for b in response.balances)


async def test_the_documented_example(
    gateway: Gateway, worker: BookkeepingWorker, stub: LedgerServiceAsyncStub
) -> None:
    fee = FeeCharged(**about(1), balance_transaction_id="txn_1", charge_id="ch_1", amount_minor=262)
    refund = RefundCreated(**about(1), refund_id="re_1", amount_minor=3_000)
    steps = [
        (hold(1, 10_000), 0),
        (captured(1, 8_000), 8_000),
        (fee, 7_738),
        (refund, 4_738),
        (RefundFailed(**about(1), refund_id="re_1", amount_minor=3_000), 7_738),
    ]
    for fact, stripe_says in steps:
        await gateway.report(fact)
        await drain(worker)
        assert await posted(stub, "us/usd/stripe") == stripe_says
    assert await posted(stub, "us/usd/merchants/m_42") == -8_000
    assert await posted(stub, "us/usd/fees") == 262
    assert (await gateway.bookings("pay_1")).state is BookingState.BOOKED
    held = await stub.GetBalance(GetBalanceRequest(ledger=LEDGER, account="us/usd/stripe/pending"))
    assert held.balances[0].pending_debits_minor == 0


async def test_a_release_gives_back_the_whole_hold(
    gateway: Gateway, worker: BookkeepingWorker, stub: LedgerServiceAsyncStub
) -> None:
    account = GetBalanceRequest(ledger=LEDGER, account="us/usd/merchants/m_42/payable")
    await gateway.report(hold(1))
    await drain(worker)
    (balance,) = (await stub.GetBalance(account)).balances
    assert (balance.posted_minor, balance.pending_credits_minor) == (0, 1_000)
    await gateway.report(released(1))
    await drain(worker)
    (balance,) = (await stub.GetBalance(account)).balances
    assert (balance.posted_minor, balance.pending_credits_minor) == (0, 0)


@given(histories())
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_history_ends_with_stripes_balance(
    gateway: Gateway, address: str, stub: LedgerServiceAsyncStub, history: Scenario
) -> None:
    ledger = f"books-{uuid.uuid4().hex}"
    await _forget_bookings(gateway)
    stripe: Counter[tuple[str, str]] = Counter()
    parts = Movement()
    for step in history:
        assert await gateway.report(step.fact) == [True]
        parts.update(step.movement)
        for (corridor, currency, _), amount in step.movement.items():
            stripe[corridor, currency] += amount
    worker, channel = gateway.worker(address, ledger=ledger)
    async with channel:
        await drain(worker)
    backlog = await BookingStore(gateway.engine, ledger).backlog()
    assert (backlog.pending, backlog.refused) == (0, 0)

    for (corridor, currency), balance in stripe.items():
        assert await posted(stub, f"{corridor}/{currency.lower()}/stripe", ledger) == balance
    for (corridor, currency, part), balance in parts.items():
        path = f"{corridor}/{currency.lower()}/stripe/{StripeBalance(part)}"
        assert await posted(stub, path, ledger) == balance
    trial = await stub.GetTrialBalance(GetTrialBalanceRequest(ledger=ledger))
    for total in trial.totals:
        assert total.posted_debits_minor == total.posted_credits_minor
        assert total.pending_debits_minor == total.pending_credits_minor == 0
    log = await stub.ListTransactions(ListTransactionsRequest(ledger=ledger, page_size=1_000))
    assert sorted(t.request_id for t in log.transactions) == sorted(s.fact.id for s in history)


async def test_the_ledger_goes_down_and_comes_back(
    gateway: Gateway, ledger_settings: LedgerSettings
) -> None:
    async with open_service(ledger_settings) as server:
        address = f"127.0.0.1:{server.port}"
        worker, channel = gateway.worker(address)
        await gateway.report(hold(1))
        await drain(worker)
    async with channel:
        await gateway.report(captured(1))
        await gateway.report(hold(2), released(2))
        with pytest.raises(LedgerUnavailableError):
            await worker.run_once()
        assert (await gateway.bookings("pay_1")).state is BookingState.PENDING
        again = ledger_settings.model_copy(update={"listen_address": address})
        async with open_service(again):
            async with asyncio.timeout(30):
                await channel.channel_ready()
            await drain(worker)
            for payment in ("pay_1", "pay_2"):
                assert (await gateway.bookings(payment)).state is BookingState.BOOKED
            log = await LedgerServiceStub(channel).ListTransactions(
                ListTransactionsRequest(ledger=LEDGER)
            )
    assert [TransactionKind.Name(t.kind) for t in log.transactions if t.reference == "pay_1"] == [
        "TRANSACTION_KIND_PENDING",
        "TRANSACTION_KIND_POST",
    ]


async def test_a_crash_after_the_ledger_booked(
    gateway: Gateway, address: str, worker: BookkeepingWorker, stub: LedgerServiceAsyncStub
) -> None:
    await gateway.report(hold(1), captured(1))
    store = BookingStore(gateway.engine, LEDGER)
    (claimed,) = await store.claim(now=gateway.clock.now(), lease=LIMITS.lease, max_bookings=9)
    async with grpc.aio.insecure_channel(address) as channel:
        assert await LedgerBooks(channel, LEDGER).book([claimed.item]) == [Booked(1)]
    # Here it died.
    gateway.clock.advance(LIMITS.lease)
    await drain(worker)
    assert [b.ledger_sequence for b in (await gateway.bookings("pay_1")).bookings] == [1, 2]
    log = await stub.ListTransactions(ListTransactionsRequest(ledger=LEDGER))
    assert [t.request_id for t in log.transactions] == ["hold.op_1", "captured.op_1.1"]


async def test_two_workers_and_one_ledger(gateway: Gateway, address: str) -> None:
    payments = range(25)
    for payment in payments:
        await gateway.report(hold(payment), captured(payment))
    first, first_channel = gateway.worker(address)
    second, second_channel = gateway.worker(address)
    async with first_channel, second_channel:
        while sum(await asyncio.gather(first.run_once(), second.run_once())):
            pass
        stub = LedgerServiceStub(first_channel)
        log = await stub.ListTransactions(ListTransactionsRequest(ledger=LEDGER, page_size=1_000))
        assert await posted(stub, "us/usd/stripe") == 1_000 * len(payments)
    assert len(log.transactions) == 2 * len(payments)


async def test_a_refusal_of_the_real_ledger_is_kept(
    gateway: Gateway, address: str, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1, 500), captured(1, 501))
    await gateway.report(hold(2))
    await drain(worker)
    hold_1, capture_1 = (await gateway.bookings("pay_1")).bookings
    assert hold_1.state is BookingState.BOOKED
    assert (capture_1.state, capture_1.failure_reason) == (
        BookingState.REFUSED,
        "AMOUNT_EXCEEDS_HOLD",
    )
    assert (await gateway.bookings("pay_2")).state is BookingState.BOOKED


async def test_a_gateway_that_was_restored_finds_its_facts_booked(
    gateway: Gateway, worker: BookkeepingWorker, stub: LedgerServiceAsyncStub
) -> None:
    """The facts come from other sources now, a second later; each form of write is among them."""
    refund: dict[str, Any] = {"refund_id": "re_1", "amount_minor": 300}

    facts: list[Fact] = [
        hold(1),
        captured(1),
        RefundCreated(**about(1), **refund),
        RefundFailed(**about(1), **refund),
        hold(2),
        released(2),
    ]
    await gateway.report(*facts)
    await drain(worker)
    first = await gateway.bookings("pay_1"), await gateway.bookings("pay_2")
    await _forget_bookings(gateway)

    later = NOON + timedelta(seconds=1)
    await gateway.report(*(replace(fact, effective_time=later) for fact in facts))
    await drain(worker)
    again = await gateway.bookings("pay_1"), await gateway.bookings("pay_2")
    for before, after in zip(first, again, strict=True):
        assert after.state is BookingState.BOOKED
        assert [b.ledger_sequence for b in after.bookings] == [
            b.ledger_sequence for b in before.bookings
        ]
    log = await stub.ListTransactions(ListTransactionsRequest(ledger=LEDGER))
    assert len(log.transactions) == len(facts)


async def test_a_hold_that_a_lost_attempt_released_is_placed_anew(
    gateway: Gateway, worker: BookkeepingWorker, stub: LedgerServiceAsyncStub
) -> None:
    """The attempts took nothing; made again after a restore, they take something, or nothing for
    another reason, before or after the hold is booked."""
    await gateway.report(*(fact(payment) for payment in (1, 2, 3) for fact in (hold, released)))
    await drain(worker)
    await _forget_bookings(gateway)

    later = NOON + timedelta(seconds=1)
    holds = [replace(hold(payment), effective_time=later) for payment in (1, 2, 3)]
    otherwise = [replace(released(payment), reason=ReleaseReason.FAILED) for payment in (2, 3)]
    await gateway.report(*holds[:2])
    await drain(worker)
    await gateway.report(captured(1), otherwise[0], holds[2], otherwise[1])
    await drain(worker)
    for payment in ("pay_1", "pay_2", "pay_3"):
        assert (await gateway.bookings(payment)).state is BookingState.BOOKED
    log = await stub.ListTransactions(ListTransactionsRequest(ledger=LEDGER))
    made = [transaction.request_id for transaction in log.transactions][6:]
    assert made == ["hold.op_1:1", "hold.op_2:1", "captured.op_1.1:1", "released.op_2:1"]
    standing = await stub.GetTransaction(
        GetTransactionRequest(ledger=LEDGER, key=TransactionKey(request_id="hold.op_1:1"))
    )
    assert standing.standing.state == TRANSACTION_STATE_POSTED


async def test_what_an_older_release_booked_by_a_sequence_is_booked(
    gateway: Gateway, worker: BookkeepingWorker, stub: LedgerServiceAsyncStub
) -> None:
    """Its answer was lost, and a newer release asks again, which names holds by request id."""
    await gateway.report(hold(1), hold(2))
    await drain(worker)
    items = [
        ledger_item(fact, revision=0, required_revision=0) for fact in (captured(1), released(2))
    ]
    items[0].operation.post.pending.sequence = 1
    items[1].operation.void.pending.sequence = 2
    answer = await stub.BatchCreateTransactions(batch(LEDGER, items))
    assert [result.WhichOneof("result") for result in answer.results] == ["transaction"] * 2
    await gateway.report(captured(1), released(2))
    await drain(worker)
    for payment in ("pay_1", "pay_2"):
        assert (await gateway.bookings(payment)).state is BookingState.BOOKED


async def test_a_fact_that_says_something_else_than_the_ledger_is_refused(
    gateway: Gateway, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1))
    await drain(worker)
    await _forget_bookings(gateway)

    await gateway.report(replace(hold(1, 1_001), effective_time=NOON + timedelta(seconds=1)))
    await drain(worker)
    (booking,) = (await gateway.bookings("pay_1")).bookings
    assert (booking.state, booking.failure_reason) == (
        BookingState.REFUSED,
        "REQUEST_ID_REUSED",
    )


async def test_a_fact_that_the_ledger_refused_is_not_taken_for_booked(
    gateway: Gateway, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1, 500), captured(1, 501))
    await drain(worker)
    await _forget_bookings(gateway)

    later = NOON + timedelta(seconds=1)
    await gateway.report(hold(1, 500), replace(captured(1, 501), effective_time=later))
    await drain(worker)
    assert [b.state for b in (await gateway.bookings("pay_1")).bookings] == [
        BookingState.BOOKED,
        BookingState.REFUSED,
    ]


async def _forget_bookings(gateway: Gateway) -> None:
    """A new history begins; only the table's owner can do that."""
    owner = await psycopg.AsyncConnection.connect(gateway.url, autocommit=True)
    async with owner:
        await owner.execute("TRUNCATE booking")
