"""What a call reads does not grow with the books, whatever the planner knows of them.

A plan is kept for as long as its session, and PostgreSQL makes it anew only after ANALYZE. One that
was made while the tables were empty takes whole tables for small ones.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import sql

import ledger.shards as service
from bench import ledger_history as history
from bench.ledger_parts import ACCOUNTS, account_name
from bench.ledger_parts import LEDGER as LARGE
from ledger.v1 import account_pb2 as accounts
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.ledger_pb2 import GetLedgerRequest
from ledger.v1.transaction_mutations_pb2 import BatchItem
from runtime.clock import ManualClock
from runtime.connections import Connections
from sandbox.polling import poll
from tests.ledger.client import LedgerClient, transfer
from tests.ledger.raw_sql import TABLES
from tests.ledger.running import serving

SIZE = 4_000
CHUNK = 2_000
# Of a call with what follows it (seals, snapshots, the feed), the same for any size. The books have
# more transactions, and twice as many entries and accounts.
MOST_ROWS = 3_000
# Rows that sessions have read of tables, by whatever scan.
READ = """
    SELECT coalesce(sum(s.seq_tup_read) + sum(s.idx_tup_fetch), 0)::bigint
    FROM pg_stat_user_tables AS s
    WHERE s.relname IN (SELECT c.relname FROM ({tables}) AS c (relname))
"""
BEHIND = """
    SELECT h.last_sequence - least(s.last_sequence, c.tree_size)
    FROM ledger_heads AS h
    INNER JOIN snapshot_heads AS s ON h.ledger_id = s.ledger_id
    CROSS JOIN LATERAL (
        SELECT coalesce(max(k.tree_size), 0) AS tree_size
        FROM checkpoints AS k
        WHERE k.ledger_id = h.ledger_id
    ) AS c
"""
Call = Callable[[], Awaitable[Any]]


class Books:
    """A service with one session for reads and one for commits, and what both have read."""

    def __init__(self, owner: psycopg.Connection[Any]) -> None:
        self.owner = owner
        self.pools: list[Connections] = []

    def one_session(self, opened: Callable[[Any, int], Connections]) -> Any:
        """The way to a pool, of one session."""

        def opened_with_one(database: Any, _size: int) -> Connections:
            self.pools.append(opened(database, 1))
            return self.pools[-1]

        return opened_with_one

    async def settled(self) -> None:
        """Returns when sealing and snapshots have followed the logs of all ledgers."""
        await poll(self._behind, lambda found: not any(found))

    async def rows_read(self, call: Call) -> int:
        """How many rows the service reads for a call, and for what comes of it."""
        return (await self.rows_and_answer(call))[0]

    async def rows_and_answer(self, call: Call) -> tuple[int, Any]:
        """The same, with what is answered."""
        before = await self._read()
        answer = await call()
        await self.settled()
        return await self._read() - before, answer

    async def _read(self) -> int:
        for pool in self.pools:
            # Sessions tell what they read once a second, unless they are asked to.
            await pool.fetch("SELECT pg_stat_force_next_flush()")
        row = self.owner.execute(READ.format(tables=TABLES).encode()).fetchone()
        assert row is not None
        return int(row[0])

    async def _behind(self) -> list[int]:
        return [row[0] for row in self.owner.execute(BEHIND.encode()).fetchall()]


@pytest.fixture
async def books(
    url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Books, LedgerClient]]:
    """A service that has begun while there was nothing, and a ledger with many accounts."""
    with psycopg.connect(url, autocommit=True) as owner:
        history._run(owner, "history_begin", accounts=ACCOUNTS)
        for (table,) in owner.execute(TABLES.encode()).fetchall():
            # Nobody comes by and tells the planner.
            owner.execute(
                sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = false)").format(
                    sql.Identifier(table)
                )
            )
        owner.execute("VACUUM ANALYZE")
        made = Books(owner)
        for name in ("read_connections", "commit_connections"):
            monkeypatch.setattr(service, name, made.one_session(getattr(service, name)))
        async with serving(url, clock) as served:
            yield made, served.client


async def test_no_call_reads_more_of_large_books(
    books: tuple[Books, LedgerClient], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, client = books
    await client.create_ledger()
    for number in range(3):
        await client.account(account_name(number))
    # Plans are made: nothing is there yet.
    for _, call in calls(client, clock, "small"):
        await call()
    await made.settled()
    start = clock.now()
    for first in range(1, SIZE + 1, CHUNK):
        last = first + CHUNK - 1
        history._run(
            made.owner, "history_chunk", first=first, last=last, start=start, accounts=ACCOUNTS
        )
    history._run(made.owner, "history_end", last=SIZE)
    clock.advance(timedelta(milliseconds=SIZE))
    client.ledger = LARGE
    # As when a minute has passed.
    monkeypatch.setattr("runtime.session.MAX_PLANS_SECONDS", 0.0)

    # What came all at once is followed first: its accounts are sealed once, for instance.
    for _, call in calls(client, clock, "first"):
        await made.rows_read(call)
    for statistics in ("empty", "current"):
        found = {
            name: await made.rows_read(call) for name, call in calls(client, clock, statistics)
        }
        for name, as_of in (("now", None), ("then", balances.AsOf(sequence=SIZE))):
            some: dict[str, Any] = {"page_size": 10, "as_of": as_of}
            whole = await client.trial(**some)
            token = whole.next_page_token
            # Its totals are those of all accounts, which the first page has read.
            page = await made.rows_and_answer(partial(client.trial, page_token=token, **some))
            found[f"next page of {name}"], answer = page
            assert list(answer.totals) == list(whole.totals)
        assert max(found.values()) < MOST_ROWS, (statistics, found)
        made.owner.execute("ANALYZE")


def calls(client: LedgerClient, clock: ManualClock, run: str) -> list[tuple[str, Call]]:
    """One of each kind that clients make all day."""
    one, two, three = (account_name(number) for number in range(3))
    stub = client.stub
    of: dict[str, Any] = {"ledger": client.ledger}
    some = of | {"page_size": 10}
    proof = audit.GetInclusionProofRequest(sequence=1, **of)
    now = clock.now()
    dated = transfer(one, three, 5, effective_time=now - timedelta(days=9))

    def hold(number: int) -> Call:
        soon = now + timedelta(days=1)
        return lambda: client.hold(one, two, 10, f"{run}-hold-{number}", expire_time=soon)

    def held(**more: Any) -> Call:
        request = balances.GetBalanceRequest(include_holds=True, account=two, **some, **more)
        return lambda: stub.GetBalance(request)

    return [
        ("create", lambda: client.create(transfer(one, two, 5), f"{run}-create")),
        ("again", lambda: client.create(transfer(one, two, 5), f"{run}-create")),
        ("dated", lambda: client.create(dated)),
        ("account", lambda: client.account(f"{run}/new")),
        ("hold", hold(1)),
        ("another hold", hold(2)),
        ("post", lambda: client.post(f"{run}-hold-1", {0: 5, 1: 5})),
        ("void", lambda: client.void(f"{run}-hold-2")),
        ("reverse", lambda: client.reverse(f"{run}-create")),
        ("get", lambda: client.get(f"{run}-create")),
        ("balance", lambda: client.balance(one)),
        ("balance then", lambda: client.balance(one, sequence=3)),
        ("balance of a day", lambda: client.balance(one, effective_time=now - timedelta(days=3))),
        ("accounts", lambda: stub.ListAccounts(accounts.ListAccountsRequest(**some))),
        ("transactions", lambda: stub.ListTransactions(reads.ListTransactionsRequest(**some))),
        ("ledger", lambda: stub.GetLedger(GetLedgerRequest(name=client.ledger))),
        ("one account", lambda: stub.GetAccount(accounts.GetAccountRequest(name=one, **of))),
        ("holds", held()),
        ("holds then", held(as_of=balances.AsOf(sequence=3))),
        ("batch", lambda: client.batch(*[BatchItem(create=transfer(one, two, 5))] * 3)),
        ("feed", lambda: client.watched(1)),
        ("checkpoint", lambda: client.audit.GetCheckpoint(audit.GetCheckpointRequest(**of))),
        ("proof", lambda: client.audit.GetInclusionProof(proof)),
        ("entries", lambda: stub.ListEntries(entries.ListEntriesRequest(account=one, **some))),
    ]
