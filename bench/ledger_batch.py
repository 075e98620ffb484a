"""`ledger.batch_*`: transfers in batches of so many, against COPY of the same rows.

The limit copies the rows that the batches made into tables with the same columns and indexes and
nothing else, as many transactions a commit, by one client, on the same server.
"""

import asyncio
import time
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from bench.benchmark import Benchmark, Target, with_target
from bench.ledger_parts import RunningLedger, on_ledger
from bench.ledger_requests import uniform_pairs
from bench.ledger_rounds import in_batches
from bench.rounds import Round, alternate, compared

ROUNDS = 5
CALLERS = 2
# Batches of a round by how many transfers each has.
BATCHES_PER_ROUND = {100: 120, 1_000: 24, 8_000: 4}
TABLES = ("transactions", "entries")
TARGETS = {1_000: Target("ratio", ">=", 0.5)}


async def measure(
    ledger: RunningLedger, size: int, count: int, rounds: int = ROUNDS
) -> dict[str, Any]:
    """The benchmark's line; `limit` is COPY's rate and `ratio` the ledger's share of it."""
    transfers = partial(in_batches, ledger, uniform_pairs(), count, size, CALLERS)

    async def copies() -> Round:
        # What the round before this one has made.
        first = ledger.made - count * size
        return await asyncio.to_thread(_copy, ledger.url, first, ledger.made, size)

    value, limit = await alternate(rounds, transfers, copies)
    line = compared(
        f"ledger.batch_{size}",
        "transfers/s",
        value,
        limit,
        "COPY of the same rows into the same tables and indexes by one client",
        callers=CALLERS,
        batch=size,
    )
    return with_target(line, TARGETS.get(size))


def _copy(url: str, first: int, last: int, size: int) -> Round:
    """COPY of some transactions with their entries into bare tables, so many in each commit."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(
                sql.SQL(
                    "CREATE TABLE IF NOT EXISTS {} (LIKE {} INCLUDING INDEXES INCLUDING DEFAULTS)"
                ).format(_bare(table), sql.Identifier(table))
            )
        chunks = [
            [(_copy_into(table), _rows(connection, table, after, size)) for table in TABLES]
            for after in range(first, last, size)
        ]
        started = time.perf_counter()
        for chunk in chunks:
            with connection.transaction():
                for statement, rows in chunk:
                    with connection.cursor().copy(statement) as copy:
                        copy.write(rows)
        return Round(last - first, time.perf_counter() - started, {})


def _rows(connection: psycopg.Connection[Any], table: str, after: int, size: int) -> bytes:
    """The rows of one batch as COPY has them."""
    query = sql.SQL(
        "COPY (SELECT * FROM {} WHERE sequence > {} AND sequence <= {}) TO STDOUT (FORMAT binary)"
    ).format(sql.Identifier(table), after, after + size)
    with connection.cursor().copy(query) as copy:
        return b"".join(copy)


def _copy_into(table: str) -> sql.Composed:
    return sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(_bare(table))


def _bare(table: str) -> sql.Identifier:
    return sql.Identifier(f"bare_{table}")


BENCHMARKS = [
    Benchmark(f"ledger.batch_{size}", on_ledger(measure, size, count))
    for size, count in BATCHES_PER_ROUND.items()
]
