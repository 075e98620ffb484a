"""A ledger service whose database is put back to an older moment under it, as by a failover."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import pytest

from runtime.errors import from_rpc_error
from sandbox.polling import poll
from tests.backups import backup_of
from tests.ledger.client import CREDIT_NORMAL, LedgerClient, transfer
from tests.ledger.running import OpenReplica


async def _accounts(client: LedgerClient) -> None:
    await client.account("cash")
    await client.account("wallet", CREDIT_NORMAL)


async def _again(call: Callable[[], Awaitable[Any]]) -> Any:
    """Repeats a call while the service finds that its connections are broken."""

    async def outcome() -> Any:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error).reason

    return await poll(outcome, lambda found: found != "DEPENDENCY_UNAVAILABLE")


async def test_a_ledger_that_is_gone_is_said_to_be_and_can_be_made_anew(
    open_replica: OpenReplica, url: str, postgres_url: str
) -> None:
    client = await open_replica(url)
    with backup_of(postgres_url, url) as backup:
        await asyncio.to_thread(backup.take)
        await _again(client.create_ledger)
        await _accounts(client)
        await client.create(transfer("wallet", "cash", 100))
        await asyncio.to_thread(backup.restore)
    assert await _again(lambda: client.create(transfer("wallet", "cash", 1))) == "LEDGER_NOT_FOUND"
    await _again(client.create_ledger)
    await _again(partial(_accounts, client))
    made = await _again(lambda: client.create(transfer("wallet", "cash", 100), "again"))
    assert made.sequence > 0


async def test_what_is_lost_counts_no_more(bank: LedgerClient, url: str, postgres_url: str) -> None:
    await bank.create(transfer("wallet", "cash", 100))
    with backup_of(postgres_url, url) as backup:
        await asyncio.to_thread(backup.take)
        await _again(lambda: bank.create(transfer("wallet", "cash", 50), "lost"))
        await asyncio.to_thread(backup.restore)
    # The wallet may not be overdrawn: of its 150 there are 100.
    assert await _again(lambda: bank.create(transfer("cash", "wallet", 150))) == "FLOOR_BREACHED"
    spent = await _again(lambda: bank.create(transfer("cash", "wallet", 100), "spent"))
    assert spent.sequence > 0


async def test_what_another_replica_wrote_after_it_is_not_taken_for_what_was_lost(
    bank: LedgerClient, open_replica: OpenReplica, url: str, postgres_url: str
) -> None:
    other = await open_replica(url)
    neighbour = LedgerClient(bank.channel, "neighbour")
    await neighbour.create_ledger()
    await _accounts(neighbour)
    await bank.create(transfer("wallet", "cash", 100))
    with backup_of(postgres_url, url) as backup:
        await asyncio.to_thread(backup.take)
        await _again(lambda: bank.create(transfer("wallet", "cash", 50), "lost"))
        await asyncio.to_thread(backup.restore)
    # As many commits as were lost, so that the log ends at the same number.
    await _again(lambda: other.create(transfer("cash", "wallet", 90), "spent"))
    # It finds the connections broken that both ledgers share: the bank's next call meets good ones.
    await _again(lambda: neighbour.create(transfer("wallet", "cash", 1), "first"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bank.create(transfer("cash", "wallet", 60))
    assert from_rpc_error(refused.value).reason == "FLOOR_BREACHED"
    assert await _again(lambda: bank.posted("wallet")) == 10
    assert (await _again(bank.verify)).intact
