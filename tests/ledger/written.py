"""What requests have written: the rows of the tables they can write to, and where the log ends."""

from typing import NamedTuple

import psycopg
from psycopg import sql

# Written by requests. What is sealed, kept or recomputed behind them follows these.
TABLES = (
    "ledgers",
    "accounts",
    "account_closures",
    "transactions",
    "entries",
    "balances",
    "holds",
    "decisions",
)
_COUNTS = sql.SQL(" UNION ALL ").join(
    sql.SQL("SELECT {}, count(*) FROM {}").format(table, sql.Identifier(table)) for table in TABLES
)


class Written(NamedTuple):
    """Rows by table, and (ledger, last sequence, last account number) of each head."""

    rows: dict[str, int]
    heads: list[tuple[int, int, int]]
    revision: int

    def with_decisions(self, count: int) -> "Written":
        """The same with so many refusals more, each in a commit of its own."""
        rows = {**self.rows, "decisions": self.rows["decisions"] + count}
        return Written(rows, self.heads, self.revision + count)


def written(url: str) -> Written:
    """What is in the database now."""
    with psycopg.connect(url) as connection:
        rows: dict[str, int] = dict(connection.execute(_COUNTS).fetchall())
        heads = connection.execute(
            "SELECT ledger_id, last_sequence, last_account_number FROM ledger_heads ORDER BY 1"
        ).fetchall()
        revision = connection.execute("SELECT sum(revision)::bigint FROM ledger_heads").fetchone()
    assert revision is not None, "sum() gives a row"
    return Written(rows, heads, revision[0])
