"""`warehouse.load`: transactions a second into a DuckDB file, proven equal, beside DuckDB alone.

Made-up leaves of a ledger, four entries each, are loaded in spans as the command does: staged, read
as JSON with declared types, written as rows, summed over all accounts and compared, committed. The
limit inserts the same rows into tables of the same form from Arrow batches, a transaction a span.
"""

import asyncio
import json
import random
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa

from bench.benchmark import Target, with_target
from runtime.clock import SystemClock
from runtime.sql_files import read_sql
from warehouse import duckdb_sink
from warehouse.duckdb_sink import DuckDbSink
from warehouse.loader import load_proven
from warehouse.sink import Span
from warehouse.totals import Key, Totals

NAME = "warehouse.load"
TARGET = Target("ratio", ">=", 0.5)
LEDGER = "bench"
ACCOUNTS = 1_000
SPANS, LEAVES = 5, 20_000
ENTRIES = 4
SEED = 14
START = datetime(2026, 1, 1, tzinfo=UTC)
TRANSACTION_COLUMNS = (
    "ledger",
    "sequence",
    "kind",
    "record_time",
    "effective_time",
    "request_id",
    "leaf",
)
ENTRY_COLUMNS = (
    *("ledger", "sequence", "entry_index", "account", "currency", "direction", "effect"),
    *("amount_minor", "record_time", "effective_time"),
)


def leaves_of(first: int, draw: random.Random) -> tuple[list[bytes], dict[Key, Totals]]:
    """So many transactions in order, and what they add to their accounts."""
    leaves, added = [], dict[Key, Totals]()
    for sequence in range(first, first + LEAVES):
        time_text = (START + timedelta(seconds=sequence)).isoformat().replace("+00:00", "Z")
        entries = []
        for index in range(ENTRIES):
            account, amount = f"us/eur/merchants/m_{draw.randrange(ACCOUNTS)}/payable", 100
            direction = ("DEBIT", "CREDIT")[index % 2]
            before = added.get(Key(account, "EUR"), Totals())
            added[Key(account, "EUR")] = Totals(
                before.posted_debits + amount * (direction == "DEBIT"),
                before.posted_credits + amount * (direction == "CREDIT"),
            )
            entries.append(
                {
                    "account": account,
                    "amount": str(amount),
                    "currency": "EUR",
                    "direction": direction,
                    "effect": "POST",
                    "pending_credits": "0",
                    "pending_debits": "0",
                    "posted_credits": "100",
                    "posted_debits": "100",
                    "version": str(sequence),
                }
            )
        leaf = {
            "effective_time": time_text,
            "entries": entries,
            "kind": "DIRECT",
            "ledger": LEDGER,
            "record_time": time_text,
            "request_id": f"captured.pi_{sequence}.1",
            "sequence": str(sequence),
        }
        leaves.append(json.dumps(leaf, separators=(",", ":")).encode())
    return leaves, added


async def measure() -> dict[str, Any]:
    """The benchmark's line."""
    return await asyncio.to_thread(_measure)


def _measure() -> dict[str, Any]:
    draw = random.Random(SEED)
    loads, alone, proofs = [], [], []
    with TemporaryDirectory() as folder:
        sink = DuckDbSink(Path(folder) / "proven.duckdb", SystemClock())
        sink.prepare()
        plain = Path(folder) / "plain.duckdb"
        DuckDbSink(plain, SystemClock()).prepare()
        books: dict[Key, Totals] = {}
        for number in range(SPANS):
            leaves, added = leaves_of(1 + number * LEAVES, draw)
            for key, more in added.items():
                books[key] = Totals(
                    *map(sum, zip(books.get(key, Totals()), more, strict=True)),
                )
            span = Span(LEDGER, sink.position(LEDGER), leaves, START)
            begun = time.perf_counter()
            load_proven(sink, span, books)
            loads.append(time.perf_counter() - begun)
            alone.append(_insert(plain, leaves))
        rows = _count(plain)
        assert rows == _count(sink.path) == SPANS * LEAVES * ENTRIES
        proofs.append(_proof(sink.path))
    rate, limit = LEAVES / statistics.median(loads), LEAVES / statistics.median(alone)
    line = {
        "name": NAME,
        "value": round(rate),
        "unit": "transactions/s",
        "limit": round(limit),
        "limit_name": "DuckDB's insert of the same rows from Arrow",
        "ratio": round(rate / limit, 3),
        "entries": ENTRIES,
        "rounds": SPANS,
        "items": LEAVES,
        "proof_ms": round(1000 * statistics.median(proofs), 1),
        "proof_rows": rows,
    }
    return with_target(line, TARGET)


def _insert(path: Path, leaves: list[bytes]) -> float:
    """Seconds for the same rows from Arrow, which are made before the clock starts."""
    contents = [json.loads(leaf) for leaf in leaves]
    times = [datetime.fromisoformat(content["record_time"]) for content in contents]
    transactions = pa.table(
        {
            "ledger": [LEDGER] * len(leaves),
            "sequence": [int(content["sequence"]) for content in contents],
            "kind": ["DIRECT"] * len(leaves),
            "record_time": times,
            "effective_time": times,
            "request_id": [content["request_id"] for content in contents],
            "leaf": [leaf.decode() for leaf in leaves],
        }
    )
    flat = [
        (int(content["sequence"]), index, entry, when)
        for content, when in zip(contents, times, strict=True)
        for index, entry in enumerate(content["entries"])
    ]
    entries = pa.table(
        {
            "ledger": [LEDGER] * len(flat),
            "sequence": [sequence for sequence, *_ in flat],
            "entry_index": [index for _, index, *_ in flat],
            "account": [entry["account"] for *_, entry, _ in flat],
            "currency": ["EUR"] * len(flat),
            "direction": [entry["direction"] for *_, entry, _ in flat],
            "effect": ["POST"] * len(flat),
            "amount_minor": [int(entry["amount"]) for *_, entry, _ in flat],
            "record_time": [when for *_, when in flat],
            "effective_time": [when for *_, when in flat],
        }
    )
    begun = time.perf_counter()
    with duckdb.connect(path) as connection:
        connection.begin()
        for table, columns, arrow in (
            ("ledger_transaction", TRANSACTION_COLUMNS, transactions),
            ("ledger_entry", ENTRY_COLUMNS, entries),
        ):
            connection.register("batch", arrow)
            named = ", ".join(columns)
            connection.execute(f"INSERT INTO {table} ({named}) SELECT {named} FROM batch")
            connection.unregister("batch")
        connection.commit()
    return time.perf_counter() - begun


def _count(path: Path) -> int:
    with duckdb.connect(path) as connection:
        row = connection.execute("SELECT count(*) FROM ledger_entry").fetchone()
    assert row is not None
    return int(row[0])


def _proof(path: Path) -> float:
    """Seconds for summing all rows once more, which every load does."""
    with duckdb.connect(path) as connection:
        begun = time.perf_counter()
        connection.execute(
            read_sql(duckdb_sink.__file__, "totals").format(**duckdb_sink.NAMES),
            {"ledger": LEDGER, "moment": START},
        ).fetchall()
        return time.perf_counter() - begun
