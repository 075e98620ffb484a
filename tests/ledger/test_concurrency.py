"""Many callers, two replicas, lost connections: nothing twice, nothing half done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import psycopg
import pytest

from ledger import committer
from ledger.commands import Operation
from ledger.connections import commit_connections
from ledger.decoding import item_command
from ledger.limits import Limits
from runtime.clock import ManualClock
from runtime.errors import from_rpc_error
from tests.ledger.client import LedgerClient, fresh_id, transfer
from tests.ledger.running import OpenReplica


async def test_many_callers_never_overdraw(bank: LedgerClient) -> None:
    await bank.create(transfer("wallet", "cash", 100))
    results = await asyncio.gather(
        *(bank.create(transfer("payable", "wallet", 7)) for _ in range(60)), return_exceptions=True
    )
    failures = [from_rpc_error(r) for r in results if isinstance(r, grpc.aio.AioRpcError)]
    assert len(results) - len(failures) == 100 // 7
    assert {failure.reason for failure in failures} == {"FLOOR_BREACHED"}
    assert await bank.posted("wallet") == 100 % 7
    assert (await bank.verify()).intact


async def test_two_replicas_share_one_log(
    bank: LedgerClient, open_replica: OpenReplica, url: str
) -> None:
    other = await open_replica(url)
    made = await asyncio.gather(
        *(
            client.create(transfer("wallet", "cash", 1), f"shared-{number % 80}")
            for number in range(160)
            for client in (bank, other)
        )
    )
    assert sorted({transaction.sequence for transaction in made}) == list(range(1, 81))
    assert await bank.posted("wallet") == await other.posted("wallet") == 80
    assert (await other.verify()).intact


async def test_two_replicas_never_overdraw_together(
    bank: LedgerClient, open_replica: OpenReplica, url: str
) -> None:
    other = await open_replica(url)
    await bank.create(transfer("wallet", "cash", 50))
    results = await asyncio.gather(
        *(
            client.create(transfer("payable", "wallet", 1))
            for _ in range(60)
            for client in (bank, other)
        ),
        return_exceptions=True,
    )
    assert sum(not isinstance(result, BaseException) for result in results) == 50
    assert await other.posted("wallet") == 0


async def test_an_account_closed_by_one_replica_is_closed_for_the_other(
    bank: LedgerClient, open_replica: OpenReplica, url: str
) -> None:
    other = await open_replica(url)
    await other.create(transfer("wallet", "cash", 1))
    await bank.account("short-lived")
    await other.create(transfer("short-lived", "short-lived", 1))
    await bank.close("short-lived")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await other.create(transfer("short-lived", "cash", 1))
    assert from_rpc_error(caught.value).reason == "ACCOUNT_CLOSED"


async def kill_commit_connections(url: str) -> int:
    """Ends the committers' connections, as a failing network or server would."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'ledger-commits' AND datname = current_database()"
        )
        return len(await cursor.fetchall())


async def kill_after_each_commit(url: str, stop: asyncio.Event, kills: int) -> int:
    """Ends the connections as soon as the ledger has grown, so often or until stopped."""
    killed, last = 0, -1
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for _ in range(kills):
            head = last
            while head == last and not stop.is_set():
                cursor = await connection.execute("SELECT last_sequence FROM ledger_heads")
                ((head,),) = await cursor.fetchall()
            last = head
            killed += await kill_commit_connections(url)
    return killed


async def test_lost_connections_leave_nothing_half_done(bank: LedgerClient, url: str) -> None:
    """Connections die while commits run; every request ends up made once or not at all."""
    ids = [fresh_id() for _ in range(200)]

    async def create(request_id: str) -> int:
        for _ in range(50):
            try:
                return (await bank.create(transfer("wallet", "cash", 1), request_id)).sequence
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
        raise AssertionError("never made")

    stop = asyncio.Event()
    killing = asyncio.create_task(kill_after_each_commit(url, stop, kills=20))
    made: list[int] = []
    # In small groups, so that there is always a commit under way while connections die.
    for first in range(0, len(ids), 5):
        made += await asyncio.gather(*(create(request_id) for request_id in ids[first : first + 5]))
    stop.set()
    assert await killing > 0
    assert sorted(made) == list(range(1, 201))
    assert await bank.posted("wallet") == 200
    assert (await bank.verify()).intact


@asynccontextmanager
async def stalled_ledger(url: str) -> AsyncIterator[None]:
    """Holds the head's lock, so that no commit gets through."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SELECT FROM ledger_heads FOR UPDATE")
        yield
        await connection.rollback()


@pytest.mark.parametrize(
    "limits", [Limits(queued_items=5), Limits(queued_bytes=200)], ids=["items", "bytes"]
)
async def test_a_full_queue_refuses_at_once_and_takes_nothing(
    bank: LedgerClient, open_replica: OpenReplica, url: str, limits: Limits
) -> None:
    narrow = await open_replica(url, limits)
    async with stalled_ledger(url):
        waiting = [
            asyncio.create_task(narrow.create(transfer("wallet", "cash", 1))) for _ in range(30)
        ]
        refused: set[asyncio.Task[Any]] = set()
        left = set(waiting)
        while len(refused) < 20:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            refused |= done
    await asyncio.wait(waiting)
    failures = [task.exception() for task in waiting]
    errors = [from_rpc_error(e) for e in failures if isinstance(e, grpc.RpcError)]
    assert {(error.code, error.reason) for error in errors} == {
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    }
    assert all(error.retry_delay is not None for error in errors)
    assert await bank.posted("wallet") == len(waiting) - len(errors)


async def test_a_caller_that_leaves_before_its_turn_is_dropped(
    bank: LedgerClient, url: str, clock: ManualClock
) -> None:
    connections = commit_connections(url, 1)
    alone = committer.Committer(1, "main", connections, clock, lambda *_: None)
    late = item_command("late", Operation.CREATE, transfer("wallet", "cash", 10))
    async with stalled_ledger(url):
        first = asyncio.create_task(
            alone.submit(item_command("first", Operation.CREATE, transfer("wallet", "cash", 1)))
        )
        leaving = asyncio.create_task(alone.submit(late))
        # The first one is taken as soon as the loop turns, the second one waits behind it.
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    await first
    await alone.finished()
    await connections.close()
    assert await bank.posted("wallet") == 1
    assert (await bank.create(transfer("wallet", "cash", 10), "late")).sequence == 2
