"""`python -m ledger.load`: imports accounts and transactions from files into a ledger."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import uvloop

from ledger.export.channel import add_connection_arguments, open_ledger
from ledger.export.extra import MISSING, has_parquet
from ledger.load.batches import batches
from ledger.load.exported import Exported
from ledger.load.given import Source
from ledger.load.jsonl import JsonLines
from ledger.load.loader import REJECTED_SUFFIX, Loader
from ledger.load.sending import Sender
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from runtime.clock import SystemClock
from runtime.command_failures import CommandError, of_file
from runtime.command_line import command_parser
from runtime.progress import Progress

COMPLETE, SOME_REFUSED, STOPPED = 0, 1, 2
PARQUET_MAGIC = b"PAR1"
EPILOG = """\
inputs, in the order given:
  a file of JSON Lines     {"account": {...}}, or {"request_id": "...", "transaction": {...}}
                           or "post", "void", "reversal": proto3 JSON of the API's inputs
  a Parquet file           direct transactions, a row per entry, or accounts
  a folder                 an export made by `python -m ledger.export`

exit status:
  0  everything is in the ledger
  1  all was read, and the ledger refused some: FILE.rejected.jsonl says what and why
  2  it stopped before the end (bad line, no answer, arguments, disk full, interrupted)

Running it again, after a kill or whatever the status was, books nothing twice."""


def parser() -> ArgumentParser:
    """The command's arguments."""
    made = command_parser(
        "ledger.load", "Imports accounts and transactions into a ledger that exists.", EPILOG
    )
    made.add_argument("input", nargs="+", type=Path, metavar="FILE", help="see below")
    add_connection_arguments(made)
    made.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="where to keep FILE.rejected.jsonl and the state of an import under way, which only "
        "saves time; default: beside FILE",
    )
    made.add_argument(
        "--check", action="store_true", help="only read the inputs and name their bad lines"
    )
    made.add_argument("--quiet", action="store_true", help="say nothing but failures")
    return made


async def run(arguments: Namespace, progress: Progress) -> int:
    """Runs the command; answers its exit status."""
    try:
        _check_names(arguments)
        sources = [(path, source_of(path)) for path in arguments.input]
        if arguments.check:
            for path, source in sources:
                count = sum(len(batch) for batch in batches(str(path), source, 0))
                progress.say(f"{path}: {count:,} accounts and transactions")
            return COMPLETE
        return await _load(arguments, sources, progress)
    except CommandError as error:
        again = "; run the same command again to go on" if error.passing else ""
        progress.fail(f"ledger.load: {error.message}{again}")
    except OSError as error:
        progress.fail(f"ledger.load: {of_file(error).message}")
    return STOPPED


def _check_names(arguments: Namespace) -> None:
    """In one folder each input needs a name of its own for what is kept of it."""
    names = [path.resolve().name for path in arguments.input]
    if arguments.work is not None and len(set(names)) < len(names):
        raise CommandError("two inputs have the same name: import them one after another")


def source_of(path: Path) -> Source:
    """The input in the form that it has; raises `CommandError` or `OSError`."""
    if path.is_dir():
        return Exported(path)
    with path.open("rb") as file:
        is_parquet = file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    if not is_parquet:
        return JsonLines(path)
    if not has_parquet():
        raise CommandError(f"{path}: {MISSING}")
    from ledger.load.tables import Table

    return Table(path)


async def _load(
    arguments: Namespace, sources: Sequence[tuple[Path, Source]], progress: Progress
) -> int:
    refused = 0
    async with open_ledger(arguments) as channel:
        sender = Sender(LedgerServiceStub(channel), arguments.address, arguments.ledger, progress)
        await sender.check_ledger()
        loader = Loader(sender, progress)
        for path, source in sources:
            whole = path.resolve()
            beside = whole if arguments.work is None else arguments.work / whole.name
            counts = await loader.load(path, source, beside)
            refused += counts.refused
            progress.say(
                f"{path}: {counts.accounts:,} accounts and {counts.transactions:,} transactions, "
                f"{counts.refused:,} of them refused"
            )
            if counts.refused:
                progress.fail(f"what was refused, and why: {beside}{REJECTED_SUFFIX}")
    return SOME_REFUSED if refused else COMPLETE


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; answers its exit status."""
    parsed = parser().parse_args(arguments)
    progress = Progress(sys.stderr, SystemClock(), quiet=parsed.quiet)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run(parsed, progress))
    except KeyboardInterrupt:
        progress.fail("ledger.load: interrupted; run the same command again to go on")
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
