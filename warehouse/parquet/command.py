"""`python -m warehouse parquet`: exports a warehouse as Parquet files."""

from argparse import ArgumentParser, Namespace
from contextlib import AsyncExitStack
from pathlib import Path

from runtime.clock import Clock
from runtime.command_failures import CommandError
from runtime.command_line import command_parser
from runtime.object_storage import open_object_storage, read_location
from runtime.progress import Progress
from warehouse.jobs import CANNOT, EQUAL, Runner
from warehouse.parquet.exporter import Exporter, Write
from warehouse.parquet.manifest import ManifestError
from warehouse.parquet.places import Folder, Objects, Place
from warehouse.wiring import MISSING, URL_VARIABLE, open_sinks

S3_SCHEME = "s3://"
EPILOG = f"""\
exit status:
  0  everything that is in the warehouse is exported
  1  it stopped on the way (storage, another export, interrupted): the same command goes on
  2  it cannot be done like that (arguments, package)
  3  refused: a file does not hold what was given, rows are missing in the warehouse, or it has
     another past than what has been exported

A PostgreSQL is named by {URL_VARIABLE} or the file in {URL_VARIABLE}_FILE. Storage takes the
credentials that every AWS client finds."""


def parser() -> ArgumentParser:
    """The command's arguments."""
    made = command_parser(
        "warehouse parquet",
        "Exports what is new in a warehouse as Parquet files. A file is never changed; a reader\n"
        "reads those that a manifest names, and no others.",
        EPILOG,
    )
    made.add_argument(
        "--to",
        required=True,
        metavar="PLACE",
        help="a folder, or s3://BUCKET/PREFIX?endpoint=…&region=…",
    )
    made.add_argument(
        "--duckdb", type=Path, metavar="FILE", help=f"a DuckDB file; else {URL_VARIABLE}"
    )
    made.add_argument("--quiet", action="store_true", help="say nothing but failures")
    return made


async def run(arguments: Namespace, progress: Progress, clock: Clock) -> int:
    """Runs the command; answers its exit status."""
    async with AsyncExitStack() as stack:
        try:
            _check_there(arguments.duckdb)
            sink, facts = open_sinks(arguments.duckdb, clock)
            write = _writer()
            place = await open_place(stack, arguments.to)
        except CommandError as error:
            progress.fail(f"warehouse: {error.message}")
            return CANNOT

        def prepare() -> None:
            sink.prepare()
            facts.prepare()

        async def export() -> None:
            try:
                manifest = await Exporter(facts, place, write, progress, clock).export()
            except ManifestError as error:
                raise CommandError(str(error)) from None
            if manifest is None:
                progress.say("nothing is new since the last export")
                return
            rows = sum(file.rows for file in manifest.files)
            files = len(manifest.files)
            progress.say(f"manifest {manifest.number:,}: {rows:,} rows in {files:,} files")

        runner = Runner(progress, prepare)
        status = await runner.prepare()
        return status if status != EQUAL else await runner.attempt("export", export())


async def open_place(stack: AsyncExitStack, told: str) -> Place:
    """Where `--to` says. Raises `CommandError`."""
    if not told.startswith(S3_SCHEME):
        return Folder(Path(told))
    try:
        location = read_location(told)
    except ValueError as error:
        raise CommandError(f"--to {error}") from None
    return Objects(await stack.enter_async_context(open_object_storage(location)))


def _check_there(duckdb_file: Path | None) -> None:
    """What is written to is made where there is none; what is read from has to be there."""
    if duckdb_file is not None and not duckdb_file.exists():
        raise CommandError(f"--duckdb {duckdb_file}: there is no such file")


def _writer() -> Write:
    try:
        from warehouse.parquet.files import parquet_bytes
    except ModuleNotFoundError:
        raise CommandError(MISSING) from None
    return parquet_bytes
