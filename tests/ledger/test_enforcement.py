"""What the database refuses to every writer: the service's role and the owner alike."""

from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql

from tests.ledger.client import LedgerClient, transfer

APPEND_ONLY = ("ledgers", "accounts", "account_closures", "transactions", "entries", "decisions")
PROJECTIONS = ("ledger_heads", "balances", "holds")
LOGINS = ("ledger_service", None)
Connection = psycopg.AsyncConnection[tuple[object, ...]]

TRANSACTION = """
    INSERT INTO transactions (ledger_id, sequence, kind, entry_count, record_time, body)
    VALUES (1, {sequence}, 1, {count}, now(), '')
"""
ENTRIES = """
    INSERT INTO entries (
        ledger_id, sequence, entry_index, account_number, direction, effect, amount,
        posted_debits, posted_credits, pending_debits, pending_credits, version
    )
    SELECT 1, {sequence}, e.i, e.account, e.side, 1, e.amount, 0, 0, 0, 0, 9
    FROM (VALUES {rows}) AS e (i, account, side, amount)
"""


REFUSED = (psycopg.errors.RestrictViolation, psycopg.errors.InsufficientPrivilege)


@pytest.fixture(params=LOGINS, ids=["service", "owner"])
async def connection(
    request: pytest.FixtureRequest, bank: LedgerClient, url: str
) -> AsyncIterator[Connection]:
    """A connection in the service's role or as owner, to a ledger with two transactions."""
    await bank.create(transfer("payable", "cash", 100))
    await bank.create(transfer("payable", "cash", 50))
    await bank.account("gone")
    await bank.close("gone")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        if request.param is not None:
            await connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(request.param)))
        yield connection


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_what_is_recorded_is_never_changed(connection: Connection, table: str) -> None:
    name = sql.Identifier(table)
    for statement in (
        "UPDATE {} SET ledger_id = DEFAULT",
        "DELETE FROM {}",
        "TRUNCATE {} CASCADE",
    ):
        with pytest.raises(REFUSED):
            await connection.execute(sql.SQL(statement).format(name))


@pytest.mark.parametrize("table", PROJECTIONS)
async def test_projections_are_never_removed(connection: Connection, table: str) -> None:
    for statement in ("DELETE FROM {}", "TRUNCATE {} CASCADE"):
        with pytest.raises(REFUSED):
            await connection.execute(sql.SQL(statement).format(sql.Identifier(table)))


async def test_an_update_that_would_touch_nothing_is_refused_too(connection: Connection) -> None:
    with pytest.raises(REFUSED):
        await connection.execute("UPDATE entries SET amount = 1 WHERE FALSE")


async def added(
    connection: Connection, *rows: tuple[int, int, int, int], sequence: int = 3, count: int = 2
) -> None:
    """Adds a transaction with its entries in one statement, as a writer by hand would."""
    values = ", ".join(str(row) for row in rows)
    await connection.execute(
        f"WITH t AS ({TRANSACTION.format(sequence=sequence, count=count)}) "
        + ENTRIES.format(sequence=sequence, rows=values)
    )


async def count_of(connection: Connection, table: str) -> object:
    cursor = await connection.execute(
        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    )
    row = await cursor.fetchone()
    assert row is not None
    return row[0]


async def test_a_balanced_transaction_can_be_added(connection: Connection) -> None:
    await added(connection, (0, 1, 1, 5), (1, 3, 2, 5))
    assert await count_of(connection, "transactions") == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 1, 1, 5), (1, 3, 2, 6)], "does not balance"),
        ([(0, 1, 1, 5), (1, 3, 1, 5)], "does not balance"),
        ([(0, 1, 1, 5), (1, 99, 2, 5)], "unknown account"),
        ([(0, 1, 1, 5), (1, 5, 2, 5)], "closed account"),
        ([(0, 1, 1, -5), (1, 3, 2, -5)], "amount"),
        ([(0, 1, 1, 0), (1, 3, 2, 0)], "amount"),
        ([(0, 1, 1, 5), (2, 3, 2, 5)], "not the whole|no entries"),
        ([(0, 1, 1, 5), (1, 3, 2, 3), (2, 3, 2, 2)], "not the whole transaction"),
    ],
)
async def test_a_wrong_insert_fails_whoever_tries(
    connection: Connection, rows: list[tuple[int, int, int, int]], message: str
) -> None:
    with pytest.raises(psycopg.errors.IntegrityError, match=message):
        await added(connection, *rows)
    assert await count_of(connection, "entries") == 4


async def test_a_transaction_needs_entries_and_entries_a_transaction(
    connection: Connection,
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="no entries"):
        await connection.execute(TRANSACTION.format(sequence=3, count=2))
    rows = "(0, 1, 1, 5), (1, 3, 2, 5)"
    with pytest.raises(psycopg.errors.CheckViolation, match="not the whole transaction"):
        await connection.execute(ENTRIES.format(sequence=3, rows=rows))


async def test_nothing_can_be_added_to_a_recorded_transaction(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.IntegrityError):
        await connection.execute(ENTRIES.format(sequence=2, rows="(2, 1, 1, 5), (3, 3, 2, 5)"))
    with pytest.raises(psycopg.errors.IntegrityError):
        await connection.execute(ENTRIES.format(sequence=2, rows="(0, 1, 1, 5), (1, 3, 2, 5)"))


async def test_the_sequence_has_no_gaps(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="does not follow"):
        await added(connection, (0, 1, 1, 5), (1, 3, 2, 5), sequence=4)


async def test_triggers_also_hold_in_replica_mode(connection: Connection, url: str) -> None:
    owner = await psycopg.AsyncConnection.connect(url, autocommit=True)
    await owner.execute("SET session_replication_role = replica")
    with pytest.raises(psycopg.errors.RestrictViolation):
        await owner.execute("DELETE FROM entries")
    with pytest.raises(psycopg.errors.CheckViolation):
        await added(owner, (0, 1, 1, 5), (1, 3, 2, 6))
    await owner.close()


async def test_the_service_owns_nothing_and_may_not_switch_triggers_off(
    bank: LedgerClient, url: str
) -> None:
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    await connection.execute("SET ROLE ledger_service")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await connection.execute("ALTER TABLE entries DISABLE TRIGGER ALL")
    cursor = await connection.execute(
        "SELECT count(*) FROM pg_class WHERE relowner = 'ledger_service'::regrole"
    )
    assert await cursor.fetchone() == (0,)
    await connection.close()
