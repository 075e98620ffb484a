"""The ledger as a writer by hand sees it: no service, no rules, only what the database says."""

from psycopg import AsyncConnection, sql

Connection = AsyncConnection[tuple[object, ...]]
# Entry index, account number, direction, amount.
Row = tuple[int, int, int, int]

TRANSACTION = """
    INSERT INTO transactions (
        ledger_id, sequence, kind, entry_count, record_time, body, leaf_hash
    )
    VALUES ({ledger}, {sequence}, 1, {count}, {record_time}, '', sha256(''))
"""
ENTRIES = """
    INSERT INTO entries (
        ledger_id, sequence, entry_index, account_number, direction, effect, amount,
        posted_debits, posted_credits, pending_debits, pending_credits, version
    )
    SELECT {ledger}, {sequence}, e.i, e.account, e.side, 1, e.amount, 0, 0, 0, 0, 9
    FROM (VALUES {rows}) AS e (i, account, side, amount)
"""
# All tables of the service, whoever added them; the migrations' own are none of them.
TABLES = """
    SELECT c.relname
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace
        AND c.relkind IN ('r', 'p')
        AND c.relname NOT IN ('alembic_version', 'schema_revision')
    ORDER BY c.relname
"""


def transaction(
    sequence: int, count: int = 2, *, ledger: int = 1, record_time: str = "now()"
) -> str:
    """The statement that adds a direct transaction's own row."""
    return TRANSACTION.format(
        ledger=ledger, sequence=sequence, count=count, record_time=record_time
    )


def entries(sequence: int, *rows: Row, ledger: int = 1) -> str:
    """The statement that adds entries, all of them posting."""
    values = ", ".join(str(row) for row in rows)
    return ENTRIES.format(ledger=ledger, sequence=sequence, rows=values)


async def add(connection: Connection, *rows: Row, sequence: int = 3, count: int = 2) -> None:
    """Adds a transaction with its entries in one statement, as the service does."""
    statement = f"WITH t AS ({transaction(sequence, count)}) {entries(sequence, *rows)}"
    await connection.execute(statement.encode())


async def tables(connection: Connection) -> list[str]:
    """The names of all tables."""
    return [str(row[0]) for row in await (await connection.execute(TABLES)).fetchall()]


async def count_of(connection: Connection, table: str) -> int:
    """How many rows a table has."""
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    ((count,),) = await (await connection.execute(query)).fetchall()
    assert isinstance(count, int)
    return count
