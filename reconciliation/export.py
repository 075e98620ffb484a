"""`python -m reconciliation.export`: writes closed periods to a folder, for keeping and proof."""

import asyncio
import json
import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import grpc
import uvloop
from pydantic_settings import SettingsConfigDict

from reconciliation.v1 import period_service_pb2 as pb
from reconciliation.v1.period_service_pb2_grpc import PeriodServiceStub
from runtime.client_arguments import (
    CommandSettings,
    add_connection_arguments,
    open_service_channel,
)
from runtime.command_failures import CommandError, of_call, of_file
from runtime.command_line import command_parser
from runtime.errors import from_rpc_error

PREFIX = "RECONCILIATION_CLIENT_"
COMPLETE, STOPPED, REFUSED = 0, 1, 2
NOTE, ITEMS, MATCHES = "statement.note", "items.jsonl", "matches.jsonl"
SOURCES, BANK, BANK_FILES = "sources.jsonl", "bank.jsonl", "bank"
NOT_FOUND = "PERIOD_NOT_FOUND"


class ClientSettings(CommandSettings):
    """Who the command is."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)
    service_name: ClassVar[str] = "reconciliation-client"


async def export(stub: Any, folder: Path) -> int:
    """Writes each closing that is not in the folder yet; how many are in it then. One that is there
    is whole."""
    number = 1
    while True:
        place = folder / f"{number:06}"
        if not place.is_dir():
            try:
                await _write(stub, number, place)
            except grpc.aio.AioRpcError as error:
                if from_rpc_error(error).reason == NOT_FOUND:
                    shutil.rmtree(_unfinished(place))
                    return number - 1
                raise
        number += 1


async def _write(stub: Any, number: int, place: Path) -> None:
    unfinished = _unfinished(place)
    unfinished.mkdir(parents=True, exist_ok=True)
    bank = _BankFiles(unfinished)
    with (
        closing(bank),
        (unfinished / ITEMS).open("wb") as items,
        (unfinished / MATCHES).open("wb") as matches,
        (unfinished / SOURCES).open("wb") as sources,
    ):
        async for part in stub.ExportPeriod(pb.ExportPeriodRequest(closing_number=number)):
            if part.statement:
                (unfinished / NOTE).write_bytes(part.statement.encode())
            items.writelines(leaf + b"\n" for leaf in part.items)
            matches.writelines(leaf + b"\n" for leaf in part.matches)
            sources.writelines(line + b"\n" for line in part.sources)
            if part.bank_file:
                bank.begin(part.bank_file)
            bank.add(part.bank_file_bytes)
        for file in (items, matches, sources):
            file.flush()
            os.fsync(file.fileno())
    unfinished.rename(place)


class _BankFiles:
    """The leaves of banks' files, and each file under its hash."""

    def __init__(self, place: Path) -> None:
        self._folder = place / BANK_FILES
        self._folder.mkdir(exist_ok=True)
        self._leaves = (place / BANK).open("wb")
        self._file: BinaryIO | None = None

    def begin(self, leaf: bytes) -> None:
        """A further file."""
        self._end()
        self._leaves.write(leaf + b"\n")
        self._file = (self._folder / json.loads(leaf)["sha256"]).open("wb")

    def add(self, piece: bytes) -> None:
        """More of it."""
        if piece:
            assert self._file is not None, "a file's leaf comes before its bytes"
            self._file.write(piece)

    def close(self) -> None:
        """All of them are there."""
        self._end()
        _keep(self._leaves)

    def _end(self) -> None:
        if self._file is not None:
            _keep(self._file)
        self._file = None


def _keep(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _unfinished(place: Path) -> Path:
    """Where it is written until it is whole."""
    return place.with_suffix(".part")


async def run(arguments: Namespace) -> int:
    """Runs the command; answers its exit status."""
    try:
        channel = open_service_channel(
            arguments, ClientSettings, ["reconciliation.v1.PeriodService"]
        )
        async with channel:
            count = await export(PeriodServiceStub(channel), arguments.out)
    except CommandError as error:
        print(f"reconciliation.export: {error.message}", file=sys.stderr)
        return REFUSED
    except grpc.aio.AioRpcError as error:
        failed = of_call(error, arguments.address)
        again = "; run the same command again to go on" if failed.passing else ""
        print(f"reconciliation.export: {failed.message}{again}", file=sys.stderr)
        return STOPPED if failed.passing else REFUSED
    except OSError as error:
        print(f"reconciliation.export: {of_file(error).message}", file=sys.stderr)
        return REFUSED
    print(f"{arguments.out}: {count} closed periods", file=sys.stderr)
    return COMPLETE


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; answers its exit status."""
    parser = command_parser(
        "reconciliation.export",
        "Writes the statements of closed periods, with the items and matches that they cover.\n"
        "Run again, it goes on. It can be checked by `python -m reconciliation.verify`.",
    )
    add_connection_arguments(parser, "reconciliation", PREFIX)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a folder")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
