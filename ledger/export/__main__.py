"""`python -m ledger.export`: writes what a checkpoint covers to a folder, for keeping and proof."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import uvloop

from ledger.export.channel import add_connection_arguments, open_ledger
from ledger.export.exporter import FORMATS, Exporter
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from runtime.clock import SystemClock
from runtime.command_failures import CommandError
from runtime.command_line import command_parser
from runtime.progress import Progress

COMPLETE, STOPPED, REFUSED = 0, 1, 2
EPILOG = """\
exit status:
  0  the export is whole: checkpoint.note is in the folder
  1  it stopped on the way (no answer, disk full, interrupted, not sealed yet):
     the same command goes on
  2  it cannot be done like that (arguments, ledger, permission, another folder's content)

An export can be checked without a network by `python -m ledger.verify`."""


def parser() -> ArgumentParser:
    """The command's arguments."""
    made = command_parser(
        "ledger.export",
        "Exports a ledger's accounts and transactions up to its newest checkpoint.\n"
        "When it is stopped, the same command goes on and ends with the same bytes.",
        EPILOG,
    )
    add_connection_arguments(made)
    made.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="a folder, empty or not there yet"
    )
    made.add_argument("--format", choices=FORMATS, default="jsonl", help="default: jsonl")
    made.add_argument("--quiet", action="store_true", help="say nothing but failures")
    return made


async def run(arguments: Namespace, progress: Progress) -> int:
    """Runs the command; answers its exit status."""
    try:
        channel = open_ledger(arguments)
        async with channel:
            exporter = Exporter(
                AuditServiceStub(channel), arguments.address, arguments.ledger, progress
            )
            extent = await exporter.export(arguments.out, arguments.format)
    except CommandError as error:
        again = "; run the same command again to go on" if error.passing else ""
        progress.fail(f"ledger.export: {error.message}{again}")
        return STOPPED if error.passing else REFUSED
    progress.say(
        f"{arguments.out}: {extent.transactions:,} transactions and {extent.accounts:,} accounts"
    )
    return COMPLETE


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; answers its exit status."""
    parsed = parser().parse_args(arguments)
    progress = Progress(sys.stderr, SystemClock(), quiet=parsed.quiet)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run(parsed, progress))
    except KeyboardInterrupt:
        progress.fail("ledger.export: interrupted; run the same command again to go on")
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
