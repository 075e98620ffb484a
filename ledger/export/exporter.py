"""Fetches what a checkpoint covers into a folder, and goes on where an earlier run was stopped."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import grpc

from ledger.export import note as notes
from ledger.export.extra import MISSING, PART_TRANSACTIONS, has_parquet
from ledger.export.jsonl import JsonLinesTarget
from ledger.export.note import Extent, extent_of
from ledger.export.rows import RowError
from ledger.v1.audit_service_pb2 import GetCheckpointRequest
from ledger.v1.export_pb2 import ExportLogRequest, ExportLogResponse
from runtime.command_failures import PASSING_CODES, CommandError, of_call, of_file
from runtime.progress import Progress

if TYPE_CHECKING:
    from ledger.export.tables import ParquetTarget
    from ledger.v1.audit_service_pb2_grpc import AuditServiceAsyncStub

FORMATS = ("jsonl", "parquet")
# How long to wait before the stream is asked for again where it broke; new lines begin again.
RESUME_DELAYS_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
# The end of a leaf or of an account's line, which names its number: keys are in order.
TAIL_BYTES = 96


class Target(Protocol):
    """Where lines go: each form of an export has one."""

    @property
    def accounts(self) -> int:
        """The number of the last account."""

    @property
    def sequence(self) -> int:
        """The sequence of the last transaction."""

    def add_account(self, line: bytes) -> None:
        """Adds the next account."""

    def add_transaction(self, leaf: bytes) -> None:
        """Adds the next transaction."""

    def finish(self) -> None:
        """Has everything on disk."""

    def close(self) -> None:
        """Leaves what is there for the next run."""


class Exporter:
    """One run of the command."""

    def __init__(
        self,
        stub: "AuditServiceAsyncStub",
        address: str,
        ledger: str,
        progress: Progress,
        part_transactions: int = PART_TRANSACTIONS,
    ) -> None:
        self._stub = stub
        self._address = address
        self._ledger = ledger
        self._progress = progress
        self._part_transactions = part_transactions

    async def export(self, directory: Path, form: str) -> Extent:
        """Makes the folder a whole export; raises `CommandError` if it is not one afterwards."""
        if form == "parquet" and not has_parquet():
            raise CommandError(f"{MISSING}; or choose --format jsonl")
        try:
            with _locked(directory):
                return await self._export(directory, form)
        except OSError as error:
            raise of_file(error) from error
        except RowError as error:
            raise CommandError(f"this is no export: {error}") from error

    async def _export(self, directory: Path, form: str) -> Extent:
        extent = await self._extent(directory, form)
        if notes.is_whole(directory):
            self._progress.say(f"{directory} is a whole export already")
            return extent
        with closing(self._open(directory, form, extent)) as target:
            if target.accounts or target.sequence:
                self._progress.say(
                    f"going on after account {target.accounts:,} and "
                    f"transaction {target.sequence:,}"
                )
            await self._fetch(target, extent)
            target.finish()
        notes.finish(directory)
        return extent

    async def _extent(self, directory: Path, form: str) -> Extent:
        """What to export: what the first run began with, else the newest checkpoint."""
        kept = notes.kept_note(directory)
        _check_files(directory, form, begun=kept is not None)
        extent = None if kept is None else extent_of(kept)
        if extent is not None and extent.ledger != self._ledger:
            raise CommandError(f"{directory} holds an export of ledger {extent.ledger}")
        try:
            response = await self._stub.GetCheckpoint(
                GetCheckpointRequest(
                    ledger=self._ledger, min_tree_size=extent.transactions if extent else 0
                )
            )
        except grpc.RpcError as error:
            raise of_call(error, self._address) from error
        note = response.checkpoint.note
        offered = extent_of(note)
        if extent is None:
            notes.keep_note(directory, note)
            self._progress.say(
                f"exporting {offered.transactions:,} transactions and {offered.accounts:,} accounts"
                f" of {self._ledger}; {response.unsealed_count:,} newer ones are not sealed"
            )
            return offered
        # The log only grows, so a checkpoint once signed says the same for good.
        if (offered.transactions, offered.root_hash) != (extent.transactions, extent.root_hash):
            raise CommandError(
                f"the ledger {self._ledger} at {self._address} is not the one that the export in "
                f"{directory} was begun with"
            )
        return extent

    def _open(self, directory: Path, form: str, extent: Extent) -> Target:
        target: Target
        if form == "jsonl":
            target = JsonLinesTarget(directory)
        else:
            target = _tables()(directory, extent.transactions, self._part_transactions)
        if target.accounts > extent.accounts or target.sequence > extent.transactions:
            target.close()
            raise CommandError(f"{directory} holds more than its checkpoint covers")
        return target

    async def _fetch(self, target: Target, extent: Extent) -> None:
        """Streams until everything is there; a broken stream is asked for again."""
        failures = 0
        while (target.accounts, target.sequence) != (extent.accounts, extent.transactions):
            before = (target.accounts, target.sequence)
            try:
                await self._stream(target, extent)
            except grpc.RpcError as error:
                failures = failures + 1 if before == (target.accounts, target.sequence) else 1
                failure = of_call(error, self._address)
                if error.code() not in PASSING_CODES or failures > len(RESUME_DELAYS_SECONDS):
                    raise failure from error
                self._progress.say(f"{failure.message}; trying again")
                await asyncio.sleep(RESUME_DELAYS_SECONDS[failures - 1])
            else:
                if (target.accounts, target.sequence) != (extent.accounts, extent.transactions):
                    raise CommandError(f"{self._address} ended the stream early")

    async def _stream(self, target: Target, extent: Extent) -> None:
        call = self._stub.ExportLog(
            ExportLogRequest(
                ledger=self._ledger,
                after_account=target.accounts,
                through_account=extent.accounts,
                after_sequence=target.sequence,
                through_sequence=extent.transactions,
            )
        )
        try:
            async for response in call:
                self._add(target, response)
                self._progress.show("transactions", target.sequence, extent.transactions)
        finally:
            call.cancel()

    def _add(self, target: Target, response: ExportLogResponse) -> None:
        for line in response.accounts:
            self._check_number(line, b'"number":"%d"' % (target.accounts + 1))
            target.add_account(line)
        for leaf in response.transactions:
            self._check_number(leaf, b'"sequence":"%d"' % (target.sequence + 1))
            target.add_transaction(leaf)

    def _check_number(self, line: bytes, number: bytes) -> None:
        if number not in line[-TAIL_BYTES:] or b"\n" in line:
            raise CommandError(f"{self._address} did not send the one with {number.decode()}")


def _tables() -> "type[ParquetTarget]":
    """Imported for who asks for it: it needs the extra."""
    from ledger.export.tables import ParquetTarget

    return ParquetTarget


def _check_files(directory: Path, form: str, *, begun: bool) -> None:
    """Refuses a folder with anything that is no part of such an export."""
    owner = JsonLinesTarget if form == "jsonl" else _tables()
    own = {notes.NOTE_FILE, notes.UNFINISHED_NOTE_FILE, f"{notes.UNFINISHED_NOTE_FILE}.new"}
    for path in sorted(directory.iterdir()):
        if path.name not in own and not (begun and owner.owns(path.name)):
            raise CommandError(
                f"{path} is no part of an export in this form: choose an empty folder, or that of "
                "an export to go on with, and its --format"
            )


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Makes the folder and keeps a second run out of it; the lock goes with the process."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise CommandError(f"another export is writing to {directory}", passing=True) from error
    finally:
        os.close(descriptor)
