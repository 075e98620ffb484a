"""A ledger that acknowledges and signs only what a standby has, on two real servers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import grpc
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ledger.connections import read_connections
from ledger.sealing import Sealer
from ledger.seals import Seals
from ledger.v1 import ledger_pb2 as ledgers
from runtime.clock import ManualClock
from runtime.connections import Connections
from runtime.database import Database
from runtime.durability_watch import CONFIRM_SECONDS, DurabilityWatch, NotConfirmedError
from runtime.errors import from_rpc_error
from runtime.tasks import cancel
from sandbox.polling import poll
from tests.freezing import freeze, thaw
from tests.ledger.client import LedgerClient, failure_of, transfer
from tests.ledger.running import HOUR_MS, SIGNER, serving
from tests.ledger.sealers import checkpoints, grow, new_sealer
from tests.standbys import Pair, pair

SERVING = health_pb2.HealthCheckResponse.SERVING
# A cancelled wait ends as a success: https://www.postgresql.org/docs/current/warm-standby.html
CANCEL_WAITS = (
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
    " WHERE wait_event = 'SyncRep' AND application_name = 'ledger-commits'"
)


@pytest.fixture
def servers() -> Iterator[Pair]:
    with pair(durable=True) as both:
        yield both


class OwnSealers:
    """Sealers beside a service whose own one rests."""

    def __init__(self, reads: Connections, watch: DurabilityWatch, clock: ManualClock) -> None:
        self.seals = Seals(reads)
        self._watch = watch
        self._clock = clock

    def sealer(self, seconds: float = CONFIRM_SECONDS) -> Sealer:
        confirm = partial(self._watch.confirm, seconds=seconds)
        return Sealer(self.seals, SIGNER, self._clock, HOUR_MS, confirm)

    async def sizes(self) -> list[int]:
        return [checkpoint.tree_size for checkpoint in await checkpoints(self.seals)]


@asynccontextmanager
async def own_sealers(url: str, clock: ManualClock) -> AsyncIterator[OwnSealers]:
    database = Database(url, durability=DurabilityWatch(required=True))
    watch = asyncio.create_task(database.loop().run())
    reads = read_connections(database, 2)
    try:
        yield OwnSealers(reads, database.durability, clock)
    finally:
        await reads.close()
        await cancel(watch)


@contextmanager
def standing_standby(url: str) -> Iterator[None]:
    """The standby is sent nothing within the block, and counts as one that follows."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT pid FROM pg_stat_replication").fetchone()
    assert row is not None
    stopped = freeze(row[0])
    try:
        yield
    finally:
        thaw(stopped)


async def last_sequence(client: LedgerClient) -> int:
    answer = await client.stub.GetLedger(ledgers.GetLedgerRequest(name=client.ledger))
    return int(answer.ledger.last_sequence)


async def test_it_serves_acknowledges_and_signs_what_a_standby_has(
    servers: Pair, clock: ManualClock
) -> None:
    url, first = servers.new_database("ledger"), servers.first.server_url
    rests: dict[str, Any] = {"seal_interval_ms": HOUR_MS, "database_stall_seconds": 30.0}
    async with serving(url, clock, require_synchronous=True, **rests) as served:
        client = served.client
        health = health_pb2_grpc.HealthStub(served.channel)

        async def status() -> int:
            return int((await health.Check(health_pb2.HealthCheckRequest())).status)

        async def create() -> str:
            """Why nothing can be booked; empty once something is."""
            try:
                await client.create(transfer("cash", "safe", 1), "repeated")
            except grpc.aio.AioRpcError as error:
                return from_rpc_error(error).reason
            return ""

        # No standby is named.
        assert await status() != SERVING
        early = await failure_of(client.create_ledger())
        assert early.code is grpc.StatusCode.UNAVAILABLE
        assert early.reason == "PRIMARY_NOT_SYNCHRONOUS"
        assert early.metadata == {"durability": "ASYNCHRONOUS", "cause": "NO_STANDBY_NAMED"}
        assert early.retry_delay is not None
        servers.wait_for_second()
        await poll(status, lambda found: found == SERVING)
        await client.create_ledger()
        await client.account("cash")
        await client.account("safe")
        async with own_sealers(url, clock) as own:
            await grow(client, 1)
            await own.sealer().seal_all()
            assert await own.sizes() == [1]
            # A row is seen that no standby has: it is not signed before one has it.
            with standing_standby(first):
                waiting = asyncio.create_task(grow(client, 1))
                with psycopg.connect(first, autocommit=True) as administrator:
                    while not waiting.done():
                        administrator.execute(CANCEL_WAITS)
                        await asyncio.wait([waiting], timeout=0.05)
                await waiting
                assert await last_sequence(client) == 2
                with pytest.raises(NotConfirmedError):
                    await own.sealer(seconds=0.1).seal_all()
                assert await own.sizes() == [1]
            await own.sealer().seal_all()
            assert await own.sizes() == [1, 2]

        # Nobody has to have it any more: it goes on to be read, and nothing is written.
        servers.wait_for_nobody()
        await poll(create, lambda reason: reason == "PRIMARY_NOT_SYNCHRONOUS")
        assert await last_sequence(client) >= 2
        assert await status() == SERVING
        servers.wait_for_second()
        await poll(create, lambda reason: not reason)


async def test_what_was_read_at_another_server_is_not_signed(
    unsealed: LedgerClient, seals: Seals, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await grow(unsealed, 1)
    asked: list[tuple[str, int]] = []

    async def confirm(server: str, position: int) -> None:
        asked.append((server, position))

    moved = Sealer(seals, SIGNER, clock, HOUR_MS, confirm)
    positions = iter([("a", 1), ("b", 2)])

    async def position() -> tuple[str, int]:
        return next(positions)

    with monkeypatch.context() as moving:
        moving.setattr(seals, "position", position)
        with pytest.raises(NotConfirmedError):
            await moved.seal_all()
    assert (asked, await checkpoints(seals)) == ([], [])
    await moved.seal_all()
    ((server, until),) = asked
    assert until > 0
    assert server
    assert len(await checkpoints(seals)) == 1
    # Without a requirement nobody is asked.
    await grow(unsealed, 1)
    await new_sealer(seals, clock).seal_all()
    assert len(asked) == 1
