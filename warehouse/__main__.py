"""`python -m warehouse`: loads a ledger into a warehouse, and proves each load equal to it; and the
other facts of the engine beside it."""

import asyncio
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from runtime.client_arguments import add_connection_arguments
from runtime.clock import Clock, SystemClock
from runtime.command_failures import CommandError
from runtime.command_line import command_parser
from runtime.progress import Progress
from warehouse.jobs import CANNOT, STOPPED, Runner
from warehouse.parquet import command as parquet_command
from warehouse.wiring import PREFIX, URL_VARIABLE, open_jobs, open_sinks

# How often lists that have no feed are walked while the command follows.
WALK_SECONDS = 60.0
MAX_SECONDS = 86_400
PARQUET = "parquet"
EPILOG = f"""\
exit status:
  0  the warehouse equals the ledger up to the sequence that is told, and has what the others told
  1  it stopped on the way (no answer, another load, interrupted): the same command goes on
  2  it cannot be done like that (arguments, ledger, permission, package)
  3  a load was refused: its rows do not add up to the ledger's balances, or the ledger has
     another past than the warehouse. Nothing of it was kept; a person has to look

A PostgreSQL is named by {URL_VARIABLE} or the file in {URL_VARIABLE}_FILE.
`python -m warehouse {PARQUET} --help` says how a warehouse is exported as Parquet files."""


def parser() -> ArgumentParser:
    """The command's arguments."""
    made = command_parser(
        "warehouse",
        "Loads what is new in a ledger into a warehouse. Each load is one transaction that is\n"
        "kept only if the rows add up to the ledger's trial balance at the same sequence.\n"
        "Loads the facts of the other services whose addresses are given, each of them once.",
        EPILOG,
    )
    add_connection_arguments(made, "ledger", PREFIX, is_required=False)
    made.add_argument("--ledger", metavar="NAME", help="the ledger's name")
    for service, what in (
        (
            "gateway",
            "payments, refunds, disputes, payouts, balance transactions, Billing, Stripe's files",
        ),
        ("reconciliation", "breaks and matches"),
        ("compliance", "decisions"),
    ):
        made.add_argument(
            f"--{service}-address",
            metavar="HOST:PORT",
            help=f"where the {service} service answers: {what}",
        )
    made.add_argument(
        "--duckdb", type=Path, metavar="FILE", help=f"a DuckDB file; else {URL_VARIABLE}"
    )
    made.add_argument(
        "--follow",
        type=_seconds,
        metavar="SECONDS",
        help="go on, and look for what is new so often; passing failures are tried again",
    )
    made.add_argument(
        "--walk-every",
        type=_seconds,
        metavar="SECONDS",
        default=WALK_SECONDS,
        help=f"with --follow: how often lists without a feed are read ({WALK_SECONDS:.0f})",
    )
    made.add_argument("--quiet", action="store_true", help="say nothing but failures")
    return made


async def run(arguments: Namespace, progress: Progress, clock: Clock) -> int:
    """Runs the command; answers its exit status."""
    async with AsyncExitStack() as stack:
        try:
            sink, facts = open_sinks(arguments.duckdb, clock)
            jobs = await open_jobs(stack, arguments, sink, facts, progress)
        except CommandError as error:
            progress.fail(f"warehouse: {error.message}")
            return CANNOT

        def prepare() -> None:
            sink.prepare()
            facts.prepare()

        runner = Runner(progress, prepare)
        if arguments.follow is None:
            return await runner.run_once(jobs)
        return await runner.follow(jobs, arguments.follow)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_SECONDS:
        raise ArgumentTypeError(f"more than 0 and at most {MAX_SECONDS} seconds are expected")
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; answers its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    is_export = given[:1] == [PARQUET]
    parsed = (
        parquet_command.parser().parse_args(given[1:]) if is_export else parser().parse_args(given)
    )
    work = parquet_command.run if is_export else run
    clock = SystemClock()
    progress = Progress(sys.stderr, clock, quiet=parsed.quiet)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work(parsed, progress, clock))
    except KeyboardInterrupt:
        progress.fail("warehouse: interrupted; run the same command again to go on")
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
