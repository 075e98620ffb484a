"""A ledger that was restored from a backup, or that lost its last commits, is noticed, and what it
lacks is booked again. With the real ledger service and its real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import grpc
import pytest
from prometheus_client import REGISTRY
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from gateway.bookkeeping.facts import Fact
from gateway.bookkeeping.ledger_check import LedgerCheck
from gateway.bookkeeping.ledger_client import Booked, LedgerBehindError, LedgerBooks, Renewed
from gateway.bookkeeping.ledger_log import LedgerLog
from gateway.bookkeeping.ledger_requests import LedgerItem, ledger_item
from gateway.bookkeeping.mapping import fact_id_of
from gateway.bookkeeping.rebooking import Rebooked, Rebooking
from gateway.bookkeeping.reporting import BookingState
from gateway.bookkeeping.standing import NO_CHECKPOINT, StopReason
from gateway.bookkeeping.store import BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker
from gateway.config import DATABASE_ROLE
from ledger.__main__ import open_service
from ledger.config import LedgerSettings
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.transaction_reads_pb2 import ListTransactionsRequest
from runtime.acts import open_act_log
from runtime.clock import SystemClock
from sandbox.polling import poll
from tests.commands import run
from tests.gateway.bookkeeping.conftest import LEDGER, Gateway, captured, drain, hold, released
from tests.plugin import Databases

SEAL_INTERVAL_MS = 10
# Two facts of ours fit on a page, so that comparisons have several.
PAGE = 2


@dataclass
class Ledger:
    """A ledger service of which backups are made and restored, always at one address."""

    databases: Databases
    url: str
    address: str = "127.0.0.1:0"
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        settings = LedgerSettings(
            database_url=SecretStr(self.url),
            listen_address=self.address,
            http_address="127.0.0.1:0",
            seal_interval_ms=SEAL_INTERVAL_MS,
        )
        server = await self._stack.enter_async_context(open_service(settings))
        self.address = f"127.0.0.1:{server.port}"

    async def stop(self) -> None:
        await self._stack.aclose()

    async def back_up(self) -> str:
        """The URL of a copy of the database as it is now."""
        await self.stop()
        copy = self.databases.make("test_ledger", str(conninfo_to_dict(self.url)["dbname"]))
        await self.start()
        return copy

    async def restore(self, url: str) -> None:
        """Goes on with another database."""
        await self.stop()
        self.url = url
        await self.start()


@dataclass
class Books:
    """The gateway's bookkeeping with this ledger."""

    gateway: Gateway
    ledger: Ledger
    channel: grpc.aio.Channel
    worker: BookkeepingWorker

    @property
    def store(self) -> BookingStore:
        return BookingStore(self.gateway.engine, LEDGER)

    @property
    def log(self) -> LedgerLog:
        return LedgerLog(self.channel, LEDGER, page_size=PAGE)

    async def book(self, *facts: Fact) -> None:
        await self.gateway.report(*facts)
        await drain(self.worker)

    async def book_past_us(self, *facts: Fact) -> None:
        """Somebody else has the ledger book facts; the gateway learns nothing of it."""
        for fact in facts:
            (outcome,) = await LedgerBooks(self.channel, LEDGER).book([_item(fact)])
            assert isinstance(outcome, Booked)

    async def back_up(self) -> str:
        copy = await self.ledger.back_up()
        await self._connected()
        return copy

    async def restore(self, url: str) -> None:
        await self.ledger.restore(url)
        await self._connected()

    async def check(self) -> StopReason | None:
        return await LedgerCheck(self.store.standing, self.log, self.gateway.clock).check()

    async def sealed(self, tree_size: int) -> None:
        """Waits until the ledger's newest checkpoint has this size."""
        await poll(self.log.checkpoint, lambda newest: newest.tree_size == tree_size)

    async def rebook(self) -> Rebooked:
        return await self.rebooking().run()

    def rebooking(self) -> Rebooking:
        self.lines: list[str] = []
        return Rebooking(self.store, self.log, self.worker, self.gateway.clock, self.lines.append)

    async def request_ids(self) -> list[str]:
        """Of all transactions that the ledger has, in its order."""
        listed = await LedgerServiceStub(self.channel).ListTransactions(
            ListTransactionsRequest(ledger=LEDGER, page_size=1_000)
        )
        return [transaction.request_id for transaction in listed.transactions]

    async def assert_booked(self, *payments: int) -> None:
        """Each fact is booked, where the ledger really has it."""
        log = await self.request_ids()
        assert len(log) == len(set(log))
        for payment in payments:
            bookings = (await self.gateway.bookings(f"pay_{payment}")).bookings
            assert bookings
            for booking in bookings:
                assert booking.state is BookingState.BOOKED, booking
                assert booking.ledger_sequence is not None
                assert fact_id_of(log[booking.ledger_sequence - 1]) == booking.fact_id

    async def _connected(self) -> None:
        async with asyncio.timeout(30):
            await self.channel.channel_ready()


@pytest.fixture
def databases(postgres_url: str) -> Iterator[Databases]:
    databases = Databases(postgres_url)
    yield databases
    databases.drop()


@pytest.fixture
async def ledger_service(databases: Databases) -> AsyncIterator[Ledger]:
    ledger = Ledger(databases, databases.make("test_ledger"))
    await ledger.start()
    yield ledger
    await ledger.stop()


@pytest.fixture
async def books(gateway: Gateway, ledger_service: Ledger) -> AsyncIterator[Books]:
    worker, channel = gateway.worker(ledger_service.address)
    async with channel:
        yield Books(gateway, ledger_service, channel, worker)


async def test_a_restored_ledger_stops_the_booking_and_gets_what_it_lacks(books: Books) -> None:
    await books.book(hold(1), captured(1), hold(2))
    backup = await books.back_up()
    await books.book(released(2), hold(3), captured(3), hold(4))
    assert await books.check() is None
    await books.restore(backup)

    assert await books.check() is StopReason.BEHIND
    assert _behind() == 1
    await books.gateway.report(hold(5))
    with pytest.raises(LedgerBehindError, match="BEHIND"):
        await books.worker.run_once()
    assert len(await books.request_ids()) == 3

    assert await books.rebook() == Rebooked(missing=4, refused=0)
    await books.assert_booked(1, 2, 3, 4, 5)
    assert await books.check() is None
    assert _behind() == 0
    await books.book(captured(4))
    await books.assert_booked(4)


async def test_the_next_booking_notices_it_too(books: Books) -> None:
    await books.book(hold(1))
    backup = await books.back_up()
    await books.book(hold(2))
    await books.restore(backup)

    await books.gateway.report(hold(3))
    with pytest.raises(LedgerBehindError, match="SEQUENCE_REUSED"):
        await books.worker.run_once()
    # The ledger has it; we do not believe it before the two were compared.
    assert (await books.gateway.bookings("pay_3")).state is BookingState.PENDING
    assert await books.check() is StopReason.SEQUENCE_REUSED

    assert await books.rebook() == Rebooked(missing=1, refused=0)
    assert await books.request_ids() == ["hold.op_1", "hold.op_3", "hold.op_2"]
    await books.assert_booked(1, 2, 3)


async def test_what_builds_on_what_is_lost_notices_it_and_touches_nothing_else(
    books: Books,
) -> None:
    """By a hold's sequence it would have been another payment's hold that is released."""
    await books.book(hold(1))
    backup = await books.back_up()
    await books.book(hold(2))
    await books.restore(backup)
    # It gets the sequence that the second had.
    await books.book_past_us(hold(3))

    await books.gateway.report(released(2))
    with pytest.raises(LedgerBehindError, match="TRANSACTION_GONE"):
        await books.worker.run_once()
    assert await books.check() is StopReason.TRANSACTION_GONE
    assert await books.request_ids() == ["hold.op_1", "hold.op_3"]

    # The ledger keeps its refusal: the release has another request id now.
    assert await books.rebook() == Rebooked(missing=1, refused=0)
    assert await books.request_ids() == ["hold.op_1", "hold.op_3", "hold.op_2", "released.op_2:1"]
    await books.assert_booked(1, 2)


async def test_a_refusal_that_was_not_written_down_is_no_answer_after_the_rebooking(
    books: Books,
) -> None:
    await books.book(hold(1))
    backup = await books.back_up()
    await books.book(hold(2))
    await books.restore(backup)
    (refused,) = await LedgerBooks(books.channel, LEDGER).book([_item(captured(2))])
    assert isinstance(refused, Renewed)
    assert (refused.reason, refused.is_behind) == ("TRANSACTION_NOT_FOUND", True)

    await books.gateway.report(captured(2))
    assert await books.rebook() == Rebooked(missing=1, refused=0)
    assert await books.request_ids() == ["hold.op_1", "hold.op_2", "captured.op_2.1:1"]
    await books.assert_booked(1, 2)


async def test_an_account_that_is_lost_is_noticed_and_made_again(books: Books) -> None:
    await books.book(hold(1))
    backup = await books.back_up()
    await books.book(replace(hold(2), merchant_id="m_new"))
    await books.restore(backup)

    await books.gateway.report(replace(hold(3), merchant_id="m_new"))
    with pytest.raises(LedgerBehindError, match="TRANSACTION_GONE"):
        await books.worker.run_once()
    assert await books.rebook() == Rebooked(missing=1, refused=0)
    await books.assert_booked(1, 2, 3)
    assert sorted(await books.request_ids()) == ["hold.op_1", "hold.op_2", "hold.op_3:1"]


async def test_a_restored_ledger_that_others_have_filled_up_is_noticed(books: Books) -> None:
    await books.book(hold(1))
    backup = await books.back_up()
    await books.book(hold(2))
    await books.restore(backup)
    await books.book_past_us(hold(8), hold(9))

    assert await books.check() is StopReason.OTHER_TRANSACTION
    assert await books.rebook() == Rebooked(missing=1, refused=0)
    await books.assert_booked(1, 2)


async def test_another_root_at_the_same_size_is_noticed(books: Books) -> None:
    await books.book(hold(1))
    backup = await books.back_up()
    await books.book_past_us(hold(8))
    await books.book(hold(2))
    await books.sealed(3)
    assert await books.check() is None

    await books.restore(backup)
    await books.book_past_us(hold(9), hold(2))
    await books.sealed(3)
    assert await books.check() is StopReason.OTHER_ROOT
    assert await books.rebook() == Rebooked(missing=0, refused=0)
    assert await books.check() is None


async def test_a_ledger_that_is_gone_altogether_is_made_and_booked_again(books: Books) -> None:
    await books.book(hold(1), captured(1))
    await books.restore(books.ledger.databases.make("test_ledger"))

    assert await books.check() is StopReason.BEHIND
    books.worker, channel = books.gateway.worker(books.ledger.address)
    async with channel:
        assert await books.rebook() == Rebooked(missing=2, refused=0)
    await books.assert_booked(1)


async def test_a_comparison_that_was_ended_is_begun_again(books: Books) -> None:
    await books.book(hold(1))
    backup = await books.back_up()
    for payment in range(2, 8):
        await books.book(hold(payment))
    await books.restore(backup)

    assert await books.rebooking().compare() == 6
    # Here it was killed: nothing is booked meanwhile.
    assert await books.check() is StopReason.REBOOKING
    with pytest.raises(LedgerBehindError, match="REBOOKING"):
        await books.worker.run_once()
    # What was set back before is not missing a second time, and is booked all the same.
    assert await books.rebook() == Rebooked(missing=0, refused=0)
    await books.assert_booked(*range(1, 8))


async def test_a_comparison_with_nothing_missing_changes_nothing(books: Books) -> None:
    facts = [hold(payment) for payment in range(PAGE + 1)]
    await books.book(*facts)
    before = [await books.gateway.bookings(f"pay_{payment}") for payment in range(PAGE + 1)]
    assert await books.rebook() == Rebooked(missing=0, refused=0)
    after = [await books.gateway.bookings(f"pay_{payment}") for payment in range(PAGE + 1)]
    assert after == before
    assert books.lines == ["compared: 2 of 3; missing: 0", "compared: 3 of 3; missing: 0"]


async def test_a_comparison_begins_where_the_last_checkpoint_agrees(books: Books) -> None:
    await books.book(hold(1), captured(1), hold(2))
    await books.sealed(3)
    assert await books.check() is None
    backup = await books.back_up()
    await books.book(hold(3))
    await books.restore(backup)
    assert await books.rebook() == Rebooked(missing=1, refused=0)
    assert books.lines == ["to be booked: 1"]


async def test_what_the_ledger_refuses_now_is_told(books: Books) -> None:
    """A capture whose hold the ledger has in another amount: people have to look."""
    await books.book(hold(1), captured(1))
    await books.restore(books.ledger.databases.make("test_ledger"))
    books.worker, channel = books.gateway.worker(books.ledger.address)
    async with channel:
        await books.book_past_us(hold(8), hold(1, 999))
        assert await books.rebook() == Rebooked(missing=2, refused=1)
    hold_1, capture_1 = (await books.gateway.bookings("pay_1")).bookings
    assert (hold_1.state, hold_1.failure_reason) == (BookingState.REFUSED, "REQUEST_ID_REUSED")
    assert capture_1.state is BookingState.PENDING


async def test_a_first_look_at_a_ledger_finds_nothing_wrong(books: Books) -> None:
    assert await books.check() is None
    assert (await books.store.standing.read()).checkpoint == NO_CHECKPOINT
    await books.book(hold(1))
    await books.sealed(1)
    assert await books.check() is None
    assert (await books.store.standing.read()).checkpoint == await books.log.checkpoint()


async def test_the_command(books: Books) -> None:
    await books.book(hold(1))
    backup = await books.back_up()
    await books.book(hold(2))
    await books.restore(backup)
    assert await books.check() is StopReason.BEHIND

    ran = await asyncio.to_thread(
        run,
        "gateway",
        "rebook",
        "--by",
        "anna",
        environment={
            "GATEWAY_DATABASE_URL": books.gateway.url,
            "GATEWAY_LEDGER_ADDRESS": books.ledger.address,
        },
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "booked again: 1; refused by the ledger: 0"
    await books.assert_booked(1, 2)
    async with open_act_log(books.gateway.url, DATABASE_ROLE, SystemClock()) as acts:
        (act,) = await acts.page("anna", {}, None, 10)
    assert (act.act.method, act.outcome) == ("gateway rebook", "OK")


def _item(fact: Fact) -> LedgerItem:
    required = 0 if fact.requires is not None else None
    return ledger_item(fact, revision=0, required_revision=required)


def _behind() -> float:
    value = REGISTRY.get_sample_value("gateway_ledger_behind")
    assert value is not None
    return value
