"""More holds fall due together than a commit expires: nobody waits, and no read counts them.

The service expires ten in a commit, so that a hundred show what a hundred thousand would.
"""

import asyncio
from datetime import datetime, timedelta

import grpc
import pytest

from ledger.limits import Limits
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.ledger_pb2 import GetLedgerRequest
from ledger.v1.transaction_mutations_pb2 import BatchItem
from runtime.clock import ManualClock
from runtime.errors import from_rpc_error
from sandbox.polling import poll
from tests.ledger.client import (
    CREDIT_NORMAL,
    LedgerClient,
    credit,
    debit,
    draft,
    failure_of,
    fresh_id,
    transfer,
)
from tests.ledger.running import OpenReplica
from tests.ledger.test_reads import stamp

PER_COMMIT = 10
HOLDS = 100
AMOUNT = 7
EXPIRY = transactions.TRANSACTION_KIND_EXPIRY
# Nothing but a request has holds expired.
STILL = Limits(expiries_per_commit=PER_COMMIT, sweep_interval_seconds=86_400.0)
SWEEPING = Limits(expiries_per_commit=PER_COMMIT, sweep_interval_seconds=0.05)
SECOND = timedelta(seconds=1)


class RunningClock(ManualClock):
    """Goes on by a microsecond whenever it is looked at, so that each commit has its own time."""

    def now(self) -> datetime:
        self.advance(timedelta(microseconds=1))
        return super().now()


@pytest.fixture
def clock() -> ManualClock:
    return RunningClock(datetime.fromisoformat("2026-01-05T12:00:00Z"))


async def due(client: LedgerClient, clock: ManualClock, holds: int = HOLDS) -> datetime:
    """A wallet all of which is held, by so many holds that have just fallen due; the moment."""
    await client.create_ledger()
    for account in ("cash", "receivable"):
        await client.account(account)
    await client.account("payable", CREDIT_NORMAL)
    await client.account("wallet", CREDIT_NORMAL, min_available_minor=0)
    await client.create(transfer("wallet", "cash", holds * AMOUNT))
    moment = clock.now() + SECOND
    held = transfer("payable", "wallet", AMOUNT, pending=True, expire_time=stamp(moment))
    for result in await client.batch(*[BatchItem(create=held)] * holds):
        assert result.HasField("transaction")
    assert await client.available("wallet") == 0
    clock.advance(SECOND)
    return moment


async def last_sequence(client: LedgerClient) -> int:
    answer = await client.stub.GetLedger(GetLedgerRequest(name=client.ledger))
    return int(answer.ledger.last_sequence)


async def drained(client: LedgerClient, sequence: int) -> None:
    """Waits until the log has come so far, by expiries that nobody asks for any more."""
    await poll(lambda: last_sequence(client), lambda last: last >= sequence)
    assert await last_sequence(client) == sequence


async def test_no_read_of_any_moment_counts_what_is_due(
    url: str, open_replica: OpenReplica, clock: ManualClock
) -> None:
    client = await open_replica(url, STILL)
    moment = await due(client, clock)
    full = HOLDS * AMOUNT
    # Nothing is recorded of it yet.
    assert await client.available("wallet") == full
    assert await client.available("wallet", record_time=stamp(moment)) == full
    trial = await client.trial()
    assert trial.totals[0].pending_debits_minor == trial.totals[0].pending_credits_minor == 0

    made = await client.create(transfer("cash", "receivable", 1))
    assert made.sequence == 1 + HOLDS + PER_COMMIT + 1, "it waited for more than a commit"
    await drained(client, 1 + HOLDS + HOLDS + 1)

    before = stamp(moment - timedelta(microseconds=1))
    assert await client.available("wallet", record_time=before) == 0
    log = await client.watched(HOLDS + 1, 1 + HOLDS)
    assert len({fact.record_time.ToDatetime() for fact in log}) == HOLDS // PER_COMMIT + 1
    for fact in log:
        for point in (
            balances.AsOf(sequence=fact.sequence),
            balances.AsOf(record_time=fact.record_time),
        ):
            request = balances.GetBalanceRequest(
                ledger=client.ledger, prefix="", as_of=point, include_holds=True
            )
            read = await client.stub.GetBalance(request)
            (total,) = read.balances
            assert (total.pending_debits_minor, total.pending_credits_minor) == (0, 0), point
            assert not read.holds
    assert (await client.verify()).intact


async def test_rules_count_by_time_what_is_due(
    url: str, open_replica: OpenReplica, clock: ManualClock
) -> None:
    client = await open_replica(url, STILL)
    await due(client, clock)
    full = HOLDS * AMOUNT
    # The last of them is far from being recorded.
    error = await failure_of(client.post(1 + HOLDS))
    assert error.reason == "HOLD_EXPIRED"
    paid = draft(debit("wallet", full), credit("cash", full))
    paid.entries[0].precondition.min_available_minor = 0
    made = await client.create(paid)
    assert made.sequence < 1 + HOLDS + HOLDS
    assert (await failure_of(client.create(transfer("payable", "wallet", 1)))).metadata == {
        "account": "wallet",
        "limit": "min_available_minor",
        "limit_minor": "0",
        "balance_minor": "-1",
    }


async def test_an_account_is_closed_once_what_it_held_is_recorded(
    url: str, open_replica: OpenReplica, clock: ManualClock
) -> None:
    client = await open_replica(url, STILL)
    await due(client, clock)
    closing = asyncio.create_task(client.close("payable"))
    made = await client.create(transfer("cash", "receivable", 1))
    assert (await closing).HasField("close_time")
    assert await last_sequence(client) == 1 + HOLDS + HOLDS + 1
    assert made.sequence < 1 + HOLDS + HOLDS, "the unrelated waited too"
    assert (await client.verify()).intact


@pytest.mark.parametrize("holds", [PER_COMMIT, PER_COMMIT + 1])
async def test_a_commit_expires_so_many(
    holds: int, url: str, open_replica: OpenReplica, clock: ManualClock
) -> None:
    client = await open_replica(url, STILL)
    await due(client, clock, holds)
    made = await client.create(transfer("cash", "receivable", 1))
    assert made.sequence == 1 + holds + PER_COMMIT + 1
    await drained(client, 1 + holds + holds + 1)


async def test_two_replicas_that_sweep_and_commit_share_the_work(
    url: str, open_replica: OpenReplica, clock: ManualClock
) -> None:
    first, second = await open_replica(url, SWEEPING), await open_replica(url, SWEEPING)
    await due(first, clock)
    payments = 60
    made = await asyncio.gather(
        *(
            client.create(transfer("cash", "receivable", 1), fresh_id())
            for _ in range(payments)
            for client in (first, second)
        ),
        return_exceptions=True,
    )
    assert [from_rpc_error(m) for m in made if isinstance(m, grpc.aio.AioRpcError)] == []
    await drained(second, 1 + HOLDS + HOLDS + 2 * payments)
    log = await first.watched(HOLDS + 2 * payments, 1 + HOLDS)
    settled = [fact.settles_sequence for fact in log if fact.kind == EXPIRY]
    assert settled == list(range(2, 2 + HOLDS)), "each once, in order"
    assert (await second.verify()).intact
