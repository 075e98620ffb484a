"""Fetching snapshots: once for all who ask, in rounds before they age."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import grpc
import pytest

from compliance.accounts.gateway_source import (
    AccountReference,
    AccountUnavailableError,
    GatewayAccounts,
)
from compliance.accounts.refreshing import SnapshotRefresher
from compliance.accounts.snapshot import AccountContent, AccountSnapshot
from compliance.accounts.store import LinkedAccount
from compliance.v1 import subject_pb2
from runtime.clock import ManualClock
from runtime.postgres import create_engine
from tests.compliance.conftest import START
from tests.compliance.guard import Guard, codes
from tests.plugin import NewDatabase


@dataclass
class HeldSource:
    """A source that answers when it is told to."""

    release: asyncio.Event = field(default_factory=asyncio.Event)
    fetched: list[str] = field(default_factory=list)

    async def fetch(self, account: AccountReference, max_age: timedelta) -> AccountSnapshot:
        self.fetched.append(account.connected_account_id)
        await self.release.wait()
        if account.connected_account_id == "acct_lost":
            raise AccountUnavailableError("NOT_FOUND")
        content = AccountContent(True, True, True, "", "DE", False, (), (), "ACTIVE", (), ())
        return AccountSnapshot(account.connected_account_id, "main", "mrc_1", content, START)


def linked(account_id: str) -> LinkedAccount:
    return LinkedAccount("sub", "main", account_id, "", "Name", is_person=False)


async def test_one_fetch_for_all_who_ask_at_a_time(service_database: NewDatabase) -> None:
    url = service_database("compliance")
    engine = create_engine(url, role="compliance_service", pool_size=2, application_name="test")
    source = HeldSource()
    refresher = SnapshotRefresher(engine, source, ManualClock(START))
    waiting = [asyncio.create_task(refresher.fetch(linked("acct_1"), timeout=30)) for _ in range(5)]
    with pytest.raises(AccountUnavailableError):
        await refresher.fetch(linked("acct_1"), timeout=0.01)
    source.release.set()
    assert len({id(snapshot) for snapshot in await asyncio.gather(*waiting)}) == 1
    assert source.fetched == ["acct_1"]
    with pytest.raises(AccountUnavailableError):
        await refresher.fetch(linked("acct_lost"), timeout=30)
    await refresher.close()
    await engine.dispose()


async def test_rounds_refresh_what_was_not_fetched_lately(guard: Guard) -> None:
    merchants = [await guard.merchant() for _ in range(3)]
    left = await guard.merchant()
    await guard.set_state(left, subject_pb2.SUBJECT_STATE_CLOSED)
    gone = await guard.merchant(account="acct_gone")
    engine = create_engine(
        guard.database_url, role="compliance_service", pool_size=4, application_name="test"
    )
    async with grpc.aio.insecure_channel(guard.merchants.address) as channel:
        refresher = SnapshotRefresher(engine, GatewayAccounts(channel), guard.clock)
        assert await refresher.refresh_round() == 4
        assert len(guard.merchants.syncs) == 3
        # Only the one that could not be fetched is tried again at once.
        assert await refresher.refresh_round() == 1
        guard.clock.advance(timedelta(minutes=10, seconds=1))
        assert await refresher.refresh_round() == 4
        await refresher.close()
    await engine.dispose()
    assert codes(await guard.check(merchants[0])) == []
    assert codes(await guard.check(gone)) == ["SNAPSHOT_MISSING"]
