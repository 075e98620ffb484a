"""A database with a long history: each row of some tables, many times over.

And what sessions have read, so that it can be shown that a call does not read the history.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from tests.waiting import wait_until

Connection = psycopg.Connection[Any]

TABLES = """
    SELECT c.relname
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace
        AND c.relkind = 'r'
        AND c.relname NOT IN ('alembic_version', 'schema_revision')
    ORDER BY c.relname
"""
# Of each column: its type, and whether it is in a unique index or names a row, here or elsewhere.
# Generated ones are left out.
COLUMNS = """
    SELECT
        a.attname,
        format_type(a.atttypid, NULL),
        a.attname IN ('subject', 'payment_id') OR EXISTS (
            SELECT FROM pg_index AS i
            WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY(i.indkey)
        )
    FROM pg_attribute AS a
    WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
"""
# A copy's number makes a name another one: that of the row's copy, whichever table it is in.
OTHER_OF_TYPE = {
    "text": sql.SQL("t.{column} || '~' || n"),
    "bigint": sql.SQL("t.{column} + 1000000 * n"),
    "uuid": sql.SQL("gen_random_uuid()"),
}
SAME = sql.SQL("t.{column}")
COPY = sql.SQL(
    "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE"
    " SELECT {values} FROM {table} AS t CROSS JOIN generate_series(1, {copies}) AS n"
    " ON CONFLICT DO NOTHING"
)
READ = "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables"
OTHERS = """
    SELECT FROM pg_stat_activity
    WHERE datname = current_database()
        AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
"""


def never_analyse(connection: Connection) -> None:
    """The planner is told of the tables as they are now, and nobody comes by and tells it more."""
    for table in _tables(connection):
        connection.execute(
            sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = false)").format(sql.Identifier(table))
        )
    connection.execute("VACUUM ANALYZE")


def copy_rows(connection: Connection, tables: Sequence[str], copies: int) -> None:
    """Copies every row of these tables so many times; each has to have some."""
    # Neither triggers nor foreign keys, which would look up what is copied later.
    connection.execute("SET session_replication_role = replica")
    for table in tables:
        columns = connection.execute(COLUMNS.encode(), [table]).fetchall()
        values = [
            (OTHER_OF_TYPE.get(kind, SAME) if unique else SAME).format(column=sql.Identifier(name))
            for name, kind, unique in columns
        ]
        names = [sql.Identifier(name) for name, *_ in columns]
        made = connection.execute(
            COPY.format(
                table=sql.Identifier(table),
                columns=sql.SQL(", ").join(names),
                values=sql.SQL(", ").join(values),
                copies=copies,
            )
        ).rowcount
        assert made >= copies, table
    connection.execute("RESET session_replication_role")


def rows_read(connection: Connection) -> dict[str, int]:
    """How many rows of each table have been read so far, by sessions that have ended.

    Waits until there are no others: sessions tell what they read when they end, or now and then,
    as this one would which has read what it copied.
    """
    connection.execute("SELECT pg_stat_force_next_flush()")
    wait_until(lambda: connection.execute(OTHERS.encode()).fetchone() is None)
    return dict(connection.execute(READ.encode()).fetchall())


def _tables(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute(TABLES.encode()).fetchall()]
