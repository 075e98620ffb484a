"""A ledger with a long history, built once and kept: what reads at scale are measured on.

`python -m bench.ledger_history 10000000` builds one of ten million transactions, `--remove` removes
all that were built. Benchmarks take one of `BENCH_HISTORY` transactions (1 M unless set) and
build it where there is none yet. It is written by SQL in chunks, past the service but not past the
database's triggers, with the balances, leaves and holds that the service would have written:
VerifyLedger finds no difference.

It is kept beside the embedded server's own data and not in the project's folder, which root's
PostgreSQL, running as `nobody`, often cannot enter. A change of schema makes another one.
"""

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.ledger_parts import ACCOUNTS, RunningLedger, started
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from runtime.command_line import command_parser
from runtime.migrations import migrate_to
from runtime.state_folder import default_directory
from sandbox.addresses import free_port
from sandbox.embedded_postgres import EmbeddedPostgres

SIZE_VARIABLE = "BENCH_HISTORY"
DEFAULT_SIZE = 1_000_000
DATABASE = "ledger_history"
CHUNK = 100_000
# Holds are settled within a hundred transactions, which must not be cut apart.
BLOCK = 100
SNAPSHOT_CHUNK = 50_000
SNAPSHOT_ENTRIES = 1_000_000
BEHIND_TIMEOUT_SECONDS = 1_800.0
BEHIND_POLL_SECONDS = 0.5
PROJECT = Path(__file__).parent.parent
SQL = Path(__file__).parent / "sql"
BULK_SETTINGS = {"max_wal_size": "'4GB'", "checkpoint_timeout": "'30min'"}
SESSION_SETTINGS = (
    "SET synchronous_commit = off",
    "SET work_mem = '256MB'",
    "SET maintenance_work_mem = '1GB'",
    "SET jit = off",
)
# Made again when the rows are there, which is faster than keeping them up to date.
LATER_INDEXES = """
    SELECT i.indexname, i.indexdef
    FROM pg_indexes AS i
    WHERE i.schemaname = 'public' AND i.tablename IN ('transactions', 'entries')
        AND i.indexname NOT LIKE '%_pkey'
    ORDER BY i.indexname
"""
LAG = """
    SELECT h.last_sequence - least(s.last_sequence, coalesce(c.tree_size, 0))
    FROM ledger_heads AS h
    INNER JOIN snapshot_heads AS s ON h.ledger_id = s.ledger_id
    CROSS JOIN (SELECT max(k.tree_size) AS tree_size FROM checkpoints AS k) AS c
"""
Connection = psycopg.Connection[Any]


def history_size() -> int:
    """How many transactions the benchmarks of this run want."""
    return int(os.environ.get(SIZE_VARIABLE, DEFAULT_SIZE))


@asynccontextmanager
async def ledger_with_history() -> AsyncIterator[RunningLedger]:
    """A ledger service on the history of this run, once all behind the log has caught up."""
    async with _opened(history_size()) as postgres:
        url = postgres.database_url(DATABASE)
        port = free_port()
        environment = {
            "ENV": "sandbox",
            "LOG_LEVEL": "WARNING",
            "LEDGER_DATABASE_URL": url,
            "LEDGER_LISTEN_ADDRESS": f"127.0.0.1:{port}",
            "LEDGER_HTTP_ADDRESS": f"127.0.0.1:{free_port()}",
        }
        async with started(port, environment, "ledger") as (channel, pid):
            await _caught_up(url)
            postgres_pid = int((postgres.data / "postmaster.pid").read_text().splitlines()[0])
            address = environment["LEDGER_LISTEN_ADDRESS"]
            stub = LedgerServiceStub(channel)
            yield RunningLedger(address, channel, stub, url, pid, postgres_pid)


@asynccontextmanager
async def _opened(size: int) -> AsyncIterator[EmbeddedPostgres]:
    """The server, built and opened in a thread."""
    server = history_server(size)
    postgres = await asyncio.to_thread(server.__enter__)
    try:
        yield postgres
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


@contextmanager
def history_server(size: int) -> Iterator[EmbeddedPostgres]:
    """A durable server with a history of so many transactions, built if need be."""
    if size % BLOCK:
        raise ValueError(f"a history has a multiple of {BLOCK} transactions")
    directory = _directory(size)
    finished = directory / "finished"
    if not finished.exists():
        _remove(f"bench-{size}-*")
    server = EmbeddedPostgres(directory)
    server.open()
    try:
        if not finished.exists():
            build(server, size)
            finished.touch()
        yield server
    finally:
        server.close()


def _directory(size: int) -> Path:
    """Where a history is kept: another place for another schema."""
    digest = hashlib.sha256()
    migrations = PROJECT / "ledger" / "migrations" / "versions"
    for file in sorted([*migrations.glob("*.sql"), *SQL.glob("history_*.sql")]):
        digest.update(file.read_bytes())
    return default_directory().parent / f"bench-{size}-{digest.hexdigest()[:8]}"


def build(server: EmbeddedPostgres, size: int) -> None:
    """Makes the history's database in a new server and fills it."""
    started_at = time.monotonic()
    url = server.database_url(DATABASE)
    migrate_to(url, "ledger")
    with psycopg.connect(url, autocommit=True) as connection:
        for name, value in BULK_SETTINGS.items():
            connection.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
        connection.execute("SELECT pg_reload_conf()")
        for setting in SESSION_SETTINGS:
            connection.execute(setting.encode())
        fill(connection, size)
        for name in BULK_SETTINGS:
            connection.execute(f"ALTER SYSTEM RESET {name}".encode())
        connection.execute("SELECT pg_reload_conf()")
        # Once more with the usual settings, so that the log of what was written is let go.
        connection.execute("CHECKPOINT")
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    _say(f"{size:,} transactions in {time.monotonic() - started_at:.0f} s, {row[0] / 1e9:.1f} GB")


def fill(connection: Connection, size: int, chunk: int = CHUNK) -> None:
    """Writes so many transactions into an empty database of the ledger, as its owner."""
    _run(connection, "history_begin", accounts=ACCOUNTS)
    indexes = connection.execute(LATER_INDEXES).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}".encode())
    connection.execute("SELECT setseed(0.5)")
    row = connection.execute("SELECT now() - %s * interval '1 millisecond'", [size]).fetchone()
    assert row is not None
    for first in range(1, size + 1, chunk):
        last = min(first + chunk - 1, size)
        _run(connection, "history_chunk", first=first, last=last, start=row[0], accounts=ACCOUNTS)
        _say(f"{last:,} of {size:,} transactions", passing=True)
    _run(connection, "history_end", last=size)
    for name, definition in indexes:
        _say(f"index {name}", passing=True)
        connection.execute(definition.encode())
    _say("statistics", passing=True)
    connection.execute("VACUUM ANALYZE")
    reached = 0
    while reached < size:
        row = connection.execute(
            "SELECT extend_snapshots(1, %s, %s)", [SNAPSHOT_CHUNK, SNAPSHOT_ENTRIES]
        ).fetchone()
        assert row is not None
        reached = row[0]
        _say(f"snapshots of {reached:,} of {size:,} transactions", passing=True)
    connection.execute("VACUUM ANALYZE dated_marks, dated_runs, hold_spans, snapshot_heads")


def _run(connection: Connection, name: str, **parameters: Any) -> None:
    """Runs the statements of a file."""
    text = (SQL / f"{name}.sql").read_text(encoding="utf-8")
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute(text.encode(), parameters)


async def _caught_up(url: str) -> None:
    """Returns when sealing and snapshots have covered the whole log."""
    async with asyncio.timeout(BEHIND_TIMEOUT_SECONDS):
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            while True:
                row = await (await connection.execute(LAG.encode())).fetchone()
                if row is not None and row[0] == 0:
                    return
                _say(f"{row[0] if row else '?'} transactions to seal", passing=True)
                await asyncio.sleep(BEHIND_POLL_SECONDS)


def _remove(pattern: str) -> None:
    """Removes histories that nobody uses."""
    for directory in default_directory().parent.glob(pattern):
        server = EmbeddedPostgres(directory, keep=False)
        server.open()
        server.close()
        _say(f"removed {directory}")


def _say(text: str, *, passing: bool = False) -> None:
    """Progress on the terminal: what passes is written over by what comes next."""
    if passing and not sys.stderr.isatty():
        return
    print(f"\r\x1b[Kbench: {text}", end="" if passing else "\n", file=sys.stderr, flush=True)


def main() -> None:
    """Builds a history, or removes all."""
    parser = command_parser("bench.ledger_history", __doc__ or "")
    parser.add_argument("transactions", nargs="?", type=int, default=history_size())
    parser.add_argument("--remove", action="store_true", help="remove what was built")
    arguments = parser.parse_args()
    if arguments.remove:
        _remove("bench-*")
        return
    with history_server(arguments.transactions) as server:
        print(server.database_url(DATABASE))


if __name__ == "__main__":
    main()
