"""Many clients, two replicas, and everything that can die does: nothing acknowledged is ever lost.

`HISTORY_SECONDS` makes it longer, `HISTORY_SEED` repeats what was asked and killed.
"""

import asyncio
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.transaction_pb2 import Transaction
from runtime.tasks import cancel
from sandbox.polling import poll
from tests.ledger.client import CREDIT_NORMAL, DEBIT_NORMAL, LedgerClient
from tests.ledger.killing.checker import check_history
from tests.ledger.killing.clients import WALLETS, Client, Watcher
from tests.ledger.killing.cluster import Cluster, running_cluster
from tests.ledger.killing.history import History
from tests.ledger.log_checks import last_totals, totals_of

SECONDS = float(os.environ.get("HISTORY_SECONDS", "20"))
CLIENTS = 16
WATCHERS = 3
LEDGER = "histories"
# What a run of the usual length has to have seen at least.
MIN_SERVICE_KILLS = 6
MIN_POSTGRES_KILLS = 2
MIN_TRANSACTIONS = 500

pytestmark = pytest.mark.usefixtures("services_are_forked")


@pytest.mark.timeout(SECONDS + 240)
async def test_what_is_acknowledged_survives_every_kill(tmp_path: Path) -> None:
    seed = int(os.environ.get("HISTORY_SEED") or secrets.randbelow(2**31))
    print(f"HISTORY_SEED={seed}")
    async with running_cluster(tmp_path) as cluster:
        channels = [cluster.channel(address) for address in cluster.replicas]
        clients = [LedgerClient(channel, LEDGER) for channel in channels]
        await prepared(clients[0])
        history, log = await played(cluster, clients, seed)
        print(f"{len(history.calls)} calls, {len(log)} transactions, {cluster.kills} killed")
        check_history(history, log)
        for client in clients:
            assert (await client.verify()).intact
            await assert_balances(client, log)
        for channel in channels:
            await channel.close()
    assert cluster.kills["service"] >= MIN_SERVICE_KILLS
    assert cluster.kills["postgres"] >= MIN_POSTGRES_KILLS
    assert len(log) >= MIN_TRANSACTIONS


async def prepared(client: LedgerClient) -> None:
    """A ledger with its accounts."""
    await client.create_ledger()
    made: list[Any] = [
        accounts.AccountInput(name="cash", currency_code="EUR", normal_balance=DEBIT_NORMAL)
    ]
    for name in ("fees", *WALLETS):
        account = accounts.AccountInput(
            name=name, currency_code="EUR", normal_balance=CREDIT_NORMAL
        )
        account.limits.min_available_minor = 0
        made.append(account)
    await client.stub.BatchCreateAccounts(
        accounts.BatchCreateAccountsRequest(request_id="accounts", ledger=LEDGER, accounts=made)
    )


async def played(
    cluster: Cluster, clients: Sequence[LedgerClient], seed: int
) -> tuple[History, list[Transaction]]:
    """What clients and watchers saw while everything was killed, and the log as it is then."""
    history = History()
    stubs = [client.stub for client in clients]
    stop = asyncio.Event()
    watchers = [Watcher(LEDGER, stubs[n % 2 :] + stubs[: n % 2]) for n in range(WATCHERS)]
    watching = [asyncio.create_task(watcher.run()) for watcher in watchers]
    async with asyncio.TaskGroup() as asking:
        for number in range(CLIENTS):
            asking.create_task(Client(number, seed, LEDGER, stubs).run(history, stop))
        await cluster.harass(Random(seed), SECONDS)
        stop.set()
    log = await whole_log(clients[0])

    async def furthest_behind() -> int:
        return min(watcher.through for watcher in watchers)

    await poll(furthest_behind, lambda through: through >= len(log))
    await cancel(*watching)
    assert all(watcher.resumed for watcher in watchers)
    # Holds may still expire: what was brought after the log was read is left out.
    history.watched = [watcher.seen[: len(log)] for watcher in watchers]
    return history, log


async def whole_log(client: LedgerClient) -> list[Transaction]:
    """The log as it is read back page by page."""
    log: list[Transaction] = []
    request = reads.ListTransactionsRequest(ledger=LEDGER, page_size=1_000)
    while True:
        page = await client.stub.ListTransactions(request)
        log += page.transactions
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return log


async def assert_balances(client: LedgerClient, log: Sequence[Transaction]) -> None:
    """The balances as of the log's end are those after each account's last entry."""
    for name, totals in last_totals(log).items():
        assert totals_of(await client.balance(name, sequence=len(log))) == totals
