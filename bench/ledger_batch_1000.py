"""`ledger.batch_1000`: transfers in batches of 1,000, against COPY of the same rows.

The limit copies the rows that the batches made into tables with the same columns and indexes and
nothing else, 1,000 transactions a commit, on the same server. Rounds alternate, because the machine
drifts; medians are compared.
"""

import asyncio
import statistics
import time
from typing import Any

import psycopg
from psycopg import sql

from bench.ledger_parts import LEDGER, closed_loop, ledger_service, transfer
from ledger.v1.transaction_mutations_pb2 import (
    BATCH_MODE_INDEPENDENT,
    BatchCreateTransactionsRequest,
    BatchItem,
)

NAME = "ledger.batch_1000"
BATCH = 1_000
CALLERS = 2
ROUNDS = 5
BATCHES_PER_ROUND = 20
TABLES = ("transactions", "entries")


async def measure() -> dict[str, Any]:
    """The benchmark's line; `limit` is COPY's rate and `ratio` the ledger's share of it."""
    async with ledger_service() as (stub, url):
        made = 0

        async def create() -> None:
            nonlocal made
            made += 1
            answer = await stub.BatchCreateTransactions(
                BatchCreateTransactionsRequest(
                    request_id=f"batch-{made}",
                    ledger=LEDGER,
                    mode=BATCH_MODE_INDEPENDENT,
                    items=[BatchItem(create=transfer()) for _ in range(BATCH)],
                )
            )
            if any(result.HasField("failure") for result in answer.results):
                raise RuntimeError("a transfer failed")

        await closed_loop(create, callers=CALLERS, calls=4)
        rates: list[float] = []
        limits: list[float] = []
        for _ in range(ROUNDS):
            first = made * BATCH
            rate = await closed_loop(create, callers=CALLERS, calls=BATCHES_PER_ROUND)
            rates.append(rate * BATCH)
            limits.append(await asyncio.to_thread(_copied_per_second, url, first, made * BATCH))
    value, limit = statistics.median(rates), statistics.median(limits)
    return {
        "name": NAME,
        "value": round(value, 1),
        "unit": "transfers/s",
        "limit": round(limit, 1),
        "limit_name": "COPY of the same rows into the same tables and indexes",
        "ratio": round(value / limit, 3),
        "callers": CALLERS,
        "transfers": ROUNDS * BATCHES_PER_ROUND * BATCH,
    }


def _copied_per_second(url: str, first: int, last: int) -> float:
    """Transactions per second that COPY brings into bare copies of the tables."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(
                sql.SQL(
                    "CREATE TABLE IF NOT EXISTS {} (LIKE {} INCLUDING INDEXES INCLUDING DEFAULTS)"
                ).format(_bare(table), sql.Identifier(table))
            )
        chunks = [
            [(table, _rows(connection, table, after)) for table in TABLES]
            for after in range(first, last, BATCH)
        ]
        started = time.perf_counter()
        for chunk in chunks:
            with connection.transaction():
                for table, rows in chunk:
                    into = sql.SQL("COPY {} FROM STDIN").format(_bare(table))
                    with connection.cursor().copy(into) as copy:
                        copy.write(rows)
        return (last - first) / (time.perf_counter() - started)


def _rows(connection: psycopg.Connection[Any], table: str, after: int) -> bytes:
    """The rows of one batch as COPY has them."""
    query = sql.SQL(
        "COPY (SELECT * FROM {} WHERE sequence > {} AND sequence <= {}) TO STDOUT"
    ).format(sql.Identifier(table), after, after + BATCH)
    with connection.cursor().copy(query) as copy:
        return b"".join(copy)


def _bare(table: str) -> sql.Identifier:
    return sql.Identifier(f"bare_{table}")
