"""`python -m warehouse`: loads a ledger into a warehouse, and proves each load equal to it."""

import asyncio
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import uvloop
from pydantic_settings import SettingsConfigDict

from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from runtime.client_arguments import (
    CommandSettings,
    add_connection_arguments,
    open_service_channel,
)
from runtime.clock import Clock, SystemClock
from runtime.command_failures import CommandError
from runtime.command_line import command_parser
from runtime.progress import Progress
from warehouse.ledger_source import LedgerSource
from warehouse.loader import HistoryError, Loader
from warehouse.postgres_sink import PostgresSink
from warehouse.sink import AnotherLoadError, LoadRefusedError, Sink

EQUAL, STOPPED, CANNOT, REFUSED = 0, 1, 2, 3
PREFIX = "WAREHOUSE_LEDGER_"
URL_VARIABLE = "WAREHOUSE_DATABASE_URL"
MISSING = (
    "DuckDB is an extra: install requirements-warehouse.lock, or load into PostgreSQL"
    f" ({URL_VARIABLE})"
)
IDEMPOTENT_SERVICES = ("ledger.v1.LedgerService", "ledger.v1.AuditService")
EPILOG = f"""\
exit status:
  0  the warehouse equals the ledger up to the sequence that is told
  1  it stopped on the way (no answer, another load, interrupted): the same command goes on
  2  it cannot be done like that (arguments, ledger, permission, package)
  3  a load was refused: its rows do not add up to the ledger's balances, or the ledger has
     another past than the warehouse. Nothing of it was kept; a person has to look

A PostgreSQL is named by {URL_VARIABLE} or the file in {URL_VARIABLE}_FILE."""


class ClientSettings(CommandSettings):
    """Who the command is for the ledger."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)
    service_name: ClassVar[str] = "warehouse"


def parser() -> ArgumentParser:
    """The command's arguments."""
    made = command_parser(
        "warehouse",
        "Loads what is new in a ledger into a warehouse. Each load is one transaction that is\n"
        "kept only if the rows add up to the ledger's trial balance at the same sequence.",
        EPILOG,
    )
    add_connection_arguments(made, "ledger", PREFIX)
    made.add_argument("--ledger", required=True, metavar="NAME", help="the ledger's name")
    made.add_argument(
        "--duckdb", type=Path, metavar="FILE", help=f"a DuckDB file; else {URL_VARIABLE}"
    )
    made.add_argument(
        "--follow",
        type=_seconds,
        metavar="SECONDS",
        help="go on, and look for what is new so often; passing failures are tried again",
    )
    made.add_argument("--quiet", action="store_true", help="say nothing but failures")
    return made


async def run(arguments: Namespace, progress: Progress, clock: Clock) -> int:
    """Runs the command; answers its exit status."""
    try:
        sink = open_sink(arguments.duckdb, clock)
        channel = open_service_channel(arguments, ClientSettings, IDEMPOTENT_SERVICES)
    except CommandError as error:
        progress.fail(f"warehouse: {error.message}")
        return CANNOT
    async with channel:
        source = LedgerSource(
            LedgerServiceStub(channel),
            AuditServiceStub(channel),
            arguments.address,
            arguments.ledger,
        )
        loader = Loader(source, sink, progress)
        while True:
            status = await _load(loader, progress, arguments.ledger)
            if arguments.follow is None or status not in (EQUAL, STOPPED):
                return status
            await asyncio.sleep(arguments.follow)


async def _load(loader: Loader, progress: Progress, ledger: str) -> int:
    try:
        through = await loader.run()
    except (LoadRefusedError, HistoryError) as error:
        progress.fail(f"warehouse: {ledger} refused: {error}")
        return REFUSED
    except AnotherLoadError as error:
        progress.fail(f"warehouse: {error}; run the same command again to go on")
        return STOPPED
    except CommandError as error:
        again = "; run the same command again to go on" if error.passing else ""
        progress.fail(f"warehouse: {error.message}{again}")
        return STOPPED if error.passing else CANNOT
    progress.say(f"{ledger}: equal to the ledger up to transaction {through:,}")
    return EQUAL


def open_sink(duckdb_file: Path | None, clock: Clock) -> Sink:
    """The warehouse that is asked for. Raises `CommandError`."""
    url = _database_url()
    if (duckdb_file is None) == (url is None):
        raise CommandError(f"give either --duckdb or {URL_VARIABLE}")
    if url is not None:
        return PostgresSink(url, clock)
    assert duckdb_file is not None, "one of the two is given"
    try:
        from warehouse.duckdb_sink import DuckDbSink
    except ModuleNotFoundError:
        raise CommandError(MISSING) from None
    return DuckDbSink(duckdb_file, clock)


def _database_url() -> str | None:
    file = os.environ.get(f"{URL_VARIABLE}_FILE")
    if file is None:
        return os.environ.get(URL_VARIABLE)
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise CommandError(f"{URL_VARIABLE}_FILE: {file} cannot be read") from None


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86_400:
        raise ValueError
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; answers its exit status."""
    parsed = parser().parse_args(arguments)
    clock = SystemClock()
    progress = Progress(sys.stderr, clock, quiet=parsed.quiet)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run(parsed, progress, clock))
    except KeyboardInterrupt:
        progress.fail("warehouse: interrupted; run the same command again to go on")
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
