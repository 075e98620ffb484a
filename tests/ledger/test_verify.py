"""VerifyLedger finds what somebody with every right in the database did to it, and names it."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta

import grpc
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ledger.connections import read_connections
from ledger.limits import Limits
from ledger.sealing import Sealer
from ledger.seals import Seals
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1.transaction_mutations_pb2 import (
    BatchCreateTransactionsResponse,
    BatchItem,
    BatchItemResult,
)
from ledger.v1.transaction_pb2 import REMAINDER_KEEP, Transaction
from runtime.clock import ManualClock
from tests.ledger.client import CREDIT_NORMAL, LedgerClient, failure_of, transfer
from tests.ledger.running import HOUR_MS, SIGNER, START, OpenReplica, serving
from tests.ledger.test_as_of import extend
from tests.ledger.test_reads import stamp
from tests.plugin import Databases

TRANSFERS = 1_200
# After the transfers: a reversal, a hold, its post of a part, its void, and a hold that stays.
REVERSAL, HELD, POSTED, VOIDED, OPEN, LAST = (TRANSFERS + n for n in (1, 2, 3, 4, 5, 5))


# Nobody else changes anything or seals.
STILL = Limits(snapshot_transactions=0)


@pytest.fixture(scope="module")
async def written(
    postgres_url: str, template_of: Callable[[str], str]
) -> AsyncIterator[tuple[str, datetime]]:
    """The name of a database to be copied, and the time at which it was left: a ledger with
    everything in it that is kept besides entries, sealed twice."""
    databases, clock = Databases(postgres_url), ManualClock(START)
    url = databases.make("verified", template_of("ledger"))
    async with serving(url, clock, STILL, seal_interval_ms=HOUR_MS) as served:
        await write(served.client, url, clock)
    extend(url, LAST)
    yield str(conninfo_to_dict(url)["dbname"]), clock.now()
    databases.drop()


async def write(client: LedgerClient, url: str, clock: ManualClock) -> None:
    await client.create_ledger()
    await client.account("cash")
    await client.account("wallet", CREDIT_NORMAL)
    reads = read_connections(url, 1)
    sealer = Sealer(Seals(reads), SIGNER, clock, interval_ms=HOUR_MS)
    for day in range(2):
        clock.advance(timedelta(days=1))
        moments = [stamp(clock.now() - timedelta(minutes=n % 97)) for n in range(TRANSFERS // 2)]
        await client.batch(
            *(
                BatchItem(create=transfer("wallet", "cash", 1 + day, effective_time=moment))
                for moment in moments
            )
        )
        await sealer.seal_all()
    await client.reverse(TRANSFERS)
    await client.hold("cash", "wallet", 40)
    await client.post(HELD, {0: 30, 1: 30}, remainder=REMAINDER_KEEP)
    await client.void(HELD)
    await client.hold("cash", "wallet", 50, expire_time=stamp(clock.now() + timedelta(days=9)))
    await sealer.seal_all()
    await reads.close()


@pytest.fixture
def url(postgres_url: str, written: tuple[str, datetime]) -> Iterator[str]:
    """A copy of that database."""
    databases = Databases(postgres_url)
    yield databases.make("test_ledger", written[0])
    databases.drop()


@pytest.fixture
async def used(
    open_replica: OpenReplica, url: str, clock: ManualClock, written: tuple[str, datetime]
) -> LedgerClient:
    """A service on that copy, at the time at which it was left."""
    clock.advance(written[1] - clock.now())
    return await open_replica(url, STILL, seal_interval_ms=HOUR_MS)


async def tampered(url: str, table: str, statement: str) -> None:
    """Changes rows as a superuser who has switched the triggers off, and on again."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        # Foreign keys are triggers of the system's own.
        await connection.execute("SET session_replication_role = replica")
        cursor = await connection.execute(statement.encode())
        assert cursor.rowcount > 0
        await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())


async def test_an_untouched_ledger_is_intact(used: LedgerClient) -> None:
    found = await used.verify()
    assert not found.HasField("first_difference"), found.first_difference
    assert (found.intact, found.sequence, found.account_count) == (True, LAST, 2)
    assert found.entry_count == 2 * TRANSFERS + 2 + 2 + 4 + 2 + 2


async def test_progress_is_told_and_can_be_gone_on_from(used: LedgerClient, url: str) -> None:
    request = audit.VerifyLedgerRequest(ledger="main")
    told = [message async for message in used.audit.VerifyLedger(request)]
    reached = [message.sequence for message in told]
    assert reached == sorted(reached)
    assert len(set(reached)) >= 3
    assert {message.last_sequence for message in told} == {LAST}
    assert [message.done for message in told] == [False] * (len(told) - 1) + [True]
    await tampered(
        url, "transactions", "UPDATE transactions SET reference = 'x' WHERE sequence = 5"
    )
    first = (await used.verify()).first_difference
    assert (first.projection, first.sequence) == ("leaf_hash", 5)
    assert (await used.verify(after_sequence=500)).intact
    error = await failure_of(used.verify(after_sequence=LAST + 1))
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_NOT_REACHED")


ANSWER = BatchCreateTransactionsResponse(
    results=[BatchItemResult(transaction=Transaction(sequence=9_999))]
).SerializeToString()
FORGED = """
    WITH t AS (
        INSERT INTO transactions (
            ledger_id, sequence, kind, entry_count, record_time, body, leaf_hash
        )
        SELECT 1, last_sequence + 1, 1, 2, now() + '1 year', '', sha256('') FROM ledger_heads
    ),
    e AS (
        INSERT INTO entries
        SELECT
            ledger_id, last_sequence + 1, n, n + 1, n + 1, 1, NULL, 5, 999, 999, 50, 50, n + 2
        FROM ledger_heads, generate_series(0, 1) AS n
    )
    UPDATE ledger_heads
    SET last_sequence = last_sequence + 1, last_record_time = now() + '1 year'
"""
TAMPERING = [
    ("ledger_heads", "SET last_sequence = last_sequence + 1", "head", "", LAST + 1),
    ("ledger_heads", "SET last_account_number = 3", "head", "", LAST),
    ("transactions", "SET record_time = record_time - interval '2d' WHERE sequence = 700",
     "record_time", "", 700),
    ("transactions", "SET entry_count = 3 WHERE sequence = 7", "entries", "", 7),
    ("transactions", "SET effective_time = NULL WHERE sequence = 7", "effective_time", "cash", 7),
    ("entries", "SET amount = 5 WHERE sequence = 700 AND entry_index = 0", "zero_sum", "", 700),
    ("entries", "SET amount = 5 WHERE sequence = 700", "running_balance", "cash", 700),
    ("entries", "SET posted_debits = 2 WHERE sequence = 1 AND entry_index = 0",
     "running_balance", "cash", 1),
    ("entries", f"SET version = 9 WHERE sequence = {LAST} AND entry_index = 0",
     "running_balance", "wallet", LAST),
    ("entries", f"SET source_entry_index = 0 WHERE sequence = {REVERSAL}",
     "reversal", "cash", REVERSAL),
    ("transactions", "SET kind = 2 WHERE sequence = 9", "leaf_hash", "", 9),
    ("transactions", "SET request_id = 'another' WHERE sequence = 9", "leaf_hash", "", 9),
    ("transactions", "SET leaf_hash = sha256('') WHERE sequence = 9", "leaf_hash", "", 9),
    ("accounts", "SET name = 'purse' WHERE account_number = 2", "leaf_hash", "", 1),
    ("accounts", "SET min_posted = 0 WHERE account_number = 2", "checkpoint", "", TRANSFERS // 2),
    ("holds", f"SET remaining = 49 WHERE sequence = {OPEN}", "hold", "cash", OPEN),
    ("holds", "SET expire_time = NULL WHERE expire_time IS NOT NULL", "hold", "cash", OPEN),
    ("balances", "SET posted_debits = 1 WHERE account_number = 1", "balance", "cash", LAST),
    ("balances", "SET version = 1 WHERE account_number = 2", "balance", "wallet", LAST),
    ("decisions", "SET request_id = t.request_id FROM transactions AS t"
     f" WHERE t.sequence = {REVERSAL} AND operation = 6 AND decisions.request_id ="
     " (SELECT min(d.request_id) FROM decisions AS d WHERE d.operation = 6)",
     "request_id", "", REVERSAL),
    ("decisions", f"SET answer = '\\x{ANSWER.hex()}' WHERE operation = 5", "decision", "", 9_999),
    ("dated_marks", "SET debits = debits + 1 WHERE account_number = 1 AND position = 3",
     "dated_mark", "cash", 130),
    ("dated_runs", "SET debits = debits + 1 WHERE account_number = 1 AND level = 1"
     " AND position = 3", "dated_run", "cash", 130),
    ("dated_runs", "SET credits = credits + 1 WHERE account_number = 2 AND level = 2",
     "dated_run", "wallet", 1_036),
    ("dated_runs", "SET position = 9999 WHERE account_number = 1 AND level = 1 AND position = 3",
     "dated_run", "cash", 0),
    ("hold_spans", f"SET closed_sequence = {LAST} WHERE entry_index = 0",
     "hold_span", "wallet", HELD),
    ("snapshot_heads", f"SET last_sequence = {LAST + 5}", "snapshot_head", "", LAST),
    ("sealed_nodes", "SET hash = sha256('') WHERE level = 9 AND position = 1",
     "sealed_node", "", 1_024),
    ("checkpoints", f"SET root_hash = sha256('') WHERE tree_size = {TRANSFERS}",
     "checkpoint", "", TRANSFERS),
    ("checkpoints", f"SET note = replace(note, 's 2 ', 's 1 ') WHERE tree_size = {LAST}",
     "checkpoint", "", LAST),
    ("checkpoints", f"SET account_count = 1 WHERE tree_size = {LAST}", "checkpoint", "", LAST),
]  # fmt: skip


@pytest.mark.parametrize(("table", "change", "projection", "account", "sequence"), TAMPERING)
async def test_one_changed_row_is_named(
    used: LedgerClient,
    url: str,
    table: str,
    change: str,
    projection: str,
    account: str,
    sequence: int,
) -> None:
    await tampered(url, table, f"UPDATE {table} {change}")
    found = await used.verify()
    assert not found.intact
    first = found.first_difference
    assert (first.projection, first.account, first.sequence) == (projection, account, sequence)
    assert first.expected != first.found


@pytest.mark.parametrize(
    ("table", "where", "projection", "sequence"),
    [
        ("transactions", "sequence = 600", "sequence", 600),
        ("entries", "sequence = 600 AND entry_index = 1", "entries", 600),
        ("entries", f"sequence = {LAST}", "entries", LAST),
        ("balances", "account_number = 2", "balance", LAST),
        ("holds", f"sequence = {OPEN}", "hold", OPEN),
        ("hold_spans", "entry_index = 0", "hold_span", HELD),
        ("dated_marks", "account_number = 1 AND position = 3", "dated_mark", 162),
        ("dated_runs", "account_number = 1 AND level = 1 AND position = 3", "dated_run", 130),
        ("sealed_nodes", "level = 8 AND position = 0", "sealed_node", 256),
        ("checkpoints", f"tree_size = {TRANSFERS}", "checkpoint", LAST),
        ("accounts", "account_number = 2", "head", LAST),
    ],
)
async def test_a_missing_row_is_named(
    used: LedgerClient, url: str, table: str, where: str, projection: str, sequence: int
) -> None:
    await tampered(url, table, f"DELETE FROM {table} WHERE {where}")
    first = (await used.verify()).first_difference
    assert (first.projection, first.sequence) == (projection, sequence)


async def test_a_release_of_another_accounts_hold_is_named(used: LedgerClient, url: str) -> None:
    """Both sides are released of as much, so that nothing else is wrong but the spans."""
    swapped = "SET source_entry_index = 1 - source_entry_index"
    await tampered(url, "entries", f"UPDATE entries {swapped} WHERE sequence = {VOIDED}")
    assert (await used.verify()).first_difference.projection == "hold_span"
    await tampered(url, "hold_spans", "DELETE FROM hold_spans")
    await tampered(url, "snapshot_heads", "UPDATE snapshot_heads SET last_sequence = 0")
    first = (await used.verify()).first_difference
    assert (first.projection, first.account, first.sequence) == ("settlement", "cash", VOIDED)


async def test_what_a_writer_of_his_own_added_is_found(used: LedgerClient, url: str) -> None:
    """The service's role can add a transaction that balances but lies about the totals."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SET ROLE ledger_service")
        await connection.execute(FORGED.encode())
    first = (await used.verify()).first_difference
    assert (first.projection, first.sequence) == ("running_balance", LAST + 1)
    assert first.found.split()[0] == "999"
