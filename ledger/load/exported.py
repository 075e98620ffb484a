"""An export as input: its accounts, then its transactions in order.

What settles or reverses an earlier transaction names it by that one's request_id, which is looked
up in the export itself: memory stays the same however long the log is.
"""

import json
import re
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from ledger.export import jsonl
from ledger.export.extra import MISSING, has_parquet
from ledger.export.note import NOTE_FILE, extent_of, is_whole
from ledger.export.rows import RowError
from ledger.load.given import Bad, Given, Line
from ledger.load.history import account_of, generated_id, item_of
from runtime.command_failures import CommandError

IDS_PER_CHUNK = 1_000
MAX_CHUNKS = 64
READ_BYTES = 1024 * 1024

# A leaf's end: its keys are in order, and labels come before these.
_TAIL = re.compile(
    rb'(?:"request_id":"([^"]*)",)?(?:"reverses":"[0-9]+",)?'
    rb'"sequence":"([0-9]+)"(?:,"settles":"([0-9]+)")?}$'
)
_TAIL_BYTES = 512
# Labels could look like that, too, so what matches is checked.
_MAY_EXPIRE = re.compile(rb'"expire_time":"[^"]*","kind":"PENDING"')

Ids = list[str | None]


class Log(Protocol):
    """The accounts and leaves of an export in one of its forms."""

    def accounts(self) -> Iterator[bytes]:
        """The accounts' lines."""

    def leaves(self) -> Iterator[bytes]:
        """The leaves in order."""

    def spans(self) -> Iterator[tuple[int, bool, int | None]]:
        """Of each transaction: its sequence, whether it is a hold that expires, what it settles."""

    def ids(self, sequence: int) -> tuple[int, Ids]:
        """Request ids around a transaction that `leaves` has given, and the first one's sequence.

        None stands for a transaction without one.
        """


class LinesLog:
    """The form of JSON Lines."""

    def __init__(self, directory: Path) -> None:
        self._accounts = directory / jsonl.ACCOUNTS_FILE
        self._transactions = directory / jsonl.TRANSACTIONS_FILE
        # Where in the file each chunk of lines begins.
        self._offsets = array("q")

    def accounts(self) -> Iterator[bytes]:
        return _lines(self._accounts)

    def leaves(self) -> Iterator[bytes]:
        offset = 0
        self._offsets = array("q")
        for index, line in enumerate(_lines(self._transactions)):
            if index % IDS_PER_CHUNK == 0:
                self._offsets.append(offset)
            offset += len(line) + 1
            yield line

    def spans(self) -> Iterator[tuple[int, bool, int | None]]:
        for line in _lines(self._transactions):
            _, sequence, settles = _tail(line)
            expires = _MAY_EXPIRE.search(line) is not None and "expire_time" in json.loads(line)
            yield int(sequence), expires, int(settles) if settles else None

    def ids(self, sequence: int) -> tuple[int, Ids]:
        chunk = (sequence - 1) // IDS_PER_CHUNK
        found: Ids = []
        with self._transactions.open("rb", buffering=READ_BYTES) as file:
            file.seek(self._offsets[chunk])
            for line in file:
                request_id, _, _ = _tail(line.rstrip(b"\n"))
                found.append(request_id.decode() if request_id is not None else None)
                if len(found) == IDS_PER_CHUNK:
                    break
        return chunk * IDS_PER_CHUNK + 1, found


def _log_of(directory: Path) -> Log:
    if (directory / jsonl.TRANSACTIONS_FILE).exists():
        return LinesLog(directory)
    if not has_parquet():
        raise CommandError(f"{directory}: {MISSING}")
    from ledger.load.exported_tables import TablesLog

    return TablesLog(directory)


class Exported:
    """A whole export; places are its accounts, then its transactions."""

    def __init__(self, directory: Path) -> None:
        if not is_whole(directory):
            raise CommandError(f"{directory} is no whole export: it has no {NOTE_FILE}")
        self._note = (directory / NOTE_FILE).read_text(encoding="utf-8")
        self._extent = extent_of(self._note)
        self._directory = directory
        self._log = _log_of(directory)
        self._chunks: OrderedDict[int, Ids] = OrderedDict()

    @property
    def total(self) -> int:
        return self._extent.accounts + self._extent.transactions

    def locate(self, place: int) -> tuple[str, int]:
        accounts = self._extent.accounts
        return ("account", place) if place <= accounts else ("transaction", place - accounts)

    def identity(self) -> str:
        return sha256(self._note.encode()).hexdigest()

    def given(self, after: int) -> Iterator[Line]:
        """Accounts and transactions after a place."""
        try:
            yield from self._given(after)
        except RowError as error:
            raise CommandError(f"{self._directory}: {error}") from error

    def _given(self, after: int) -> Iterator[Line]:
        place = 0
        for line in self._log.accounts():
            place += 1
            if place > after:
                yield self._account(place, line)
        if place != self._extent.accounts:
            raise CommandError(f"{self._directory} has not the accounts that its note says")
        expiring = self._expiring()
        for leaf in self._log.leaves():
            place += 1
            if place > after:
                yield self._transaction(place, leaf, expiring)
        if place != self.total:
            raise CommandError(f"{self._directory} has not the transactions that its note says")

    def _account(self, place: int, line: bytes) -> Line:
        try:
            return Given(place, account_of(json.loads(line)), len(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Bad(place, 0, f"is not an account's line: {type(error).__name__} {error}")

    def _transaction(self, place: int, line: bytes, expiring: set[int]) -> Line:
        try:
            leaf = json.loads(line)
            sequence = int(leaf["sequence"])
            if sequence != place - self._extent.accounts:
                return Bad(place, 0, f"has the sequence {sequence}")
            earlier = leaf.get("settles") or leaf.get("reverses")
            item = item_of(
                leaf,
                None if earlier is None else self._id_of(leaf["ledger"], int(earlier), sequence),
                expires=sequence in expiring,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Bad(place, 0, f"is not a leaf: {type(error).__name__} {error}")
        return Given(place, item, len(line))

    def _expiring(self) -> set[int]:
        """The holds that keep their expiry: those that nothing in the log settles.

        The others would lapse anew if they came with a time that is in the past by now.
        """
        waiting: set[int] = set()
        for sequence, expires, settles in self._log.spans():
            if expires:
                waiting.add(sequence)
            if settles is not None:
                waiting.discard(settles)
        return waiting

    def _id_of(self, ledger: str, earlier: int, sequence: int) -> str:
        if not 0 < earlier < sequence:
            raise ValueError(f"names {earlier}, which is not before it")
        for first, ids in reversed(self._chunks.items()):
            if first <= earlier < first + len(ids):
                break
        else:
            first, ids = self._log.ids(earlier)
            self._chunks[first] = ids
            if len(self._chunks) > MAX_CHUNKS:
                self._chunks.popitem(last=False)
        self._chunks.move_to_end(first)
        return ids[earlier - first] or generated_id(ledger, earlier)


def _tail(line: bytes) -> tuple[Any, ...]:
    match = _TAIL.search(line[-_TAIL_BYTES:])
    if match is None:
        raise CommandError("a line is not a leaf: check the export with ledger.verify")
    return match.groups()


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=READ_BYTES) as file:
        for line in file:
            yield line.rstrip(b"\n")
