"""The history that benchmarks are measured on is one that the service could have written."""

import asyncio
from datetime import timedelta

import psycopg
import pytest

from bench import ledger_history
from bench.ledger_parts import ACCOUNTS, LEDGER, account_name
from ledger.v1 import balance_pb2 as balances
from tests.ledger.client import LedgerClient, transfer
from tests.ledger.running import OpenReplica
from tests.ledger.test_reads import stamp

SIZE = 4_000
CHUNK = 1_500
POSTED_BY = """
    SELECT coalesce(sum(CASE e.direction WHEN 1 THEN e.amount ELSE -e.amount END), 0)::bigint
    FROM entries AS e
    INNER JOIN transactions AS t ON e.ledger_id = t.ledger_id AND e.sequence = t.sequence
    WHERE e.account_number = 1 AND e.effect = 1 AND coalesce(t.effective_time, t.record_time) <= %s
"""


@pytest.fixture
async def long(open_replica: OpenReplica, url: str) -> LedgerClient:
    """A service on a history that was written in several chunks, by a clock of its own."""
    client = await open_replica(url)
    client.ledger = LEDGER

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            ledger_history.fill(connection, SIZE, CHUNK)

    await asyncio.to_thread(write)
    return client


async def test_it_is_intact_and_goes_on(long: LedgerClient) -> None:
    found = await long.verify()
    assert not found.HasField("first_difference"), found.first_difference
    assert (found.sequence, found.account_count) == (SIZE, ACCOUNTS)
    made = await long.create(transfer(account_name(0), account_name(1), 5))
    assert made.sequence == SIZE + 1
    assert (await long.verify(after_sequence=SIZE)).intact


async def test_its_past_is_the_sum_of_its_entries(long: LedgerClient, url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT max(record_time) FROM transactions")
        ((last,),) = await cursor.fetchall()
        for days in (-40, -12, -1, 0):
            moment = last + timedelta(days=days)
            cursor = await connection.execute(POSTED_BY, [moment])
            ((expected,),) = await cursor.fetchall()
            posted = await long.posted(account_name(0), effective_time=stamp(moment))
            assert posted == expected


async def test_its_holds_are_those_of_its_balances(long: LedgerClient) -> None:
    for sequence in (0, 333, 1_010, 2_060, SIZE):
        answer = await long.stub.GetBalance(
            balances.GetBalanceRequest(
                ledger=LEDGER,
                prefix="",
                as_of=balances.AsOf(sequence=sequence),
                include_holds=True,
            )
        )
        held = sum(hold.remaining_minor for hold in answer.holds)
        pending = [b.pending_debits_minor + b.pending_credits_minor for b in answer.balances]
        assert held == sum(pending)
        assert bool(held) == (sequence > 0)
