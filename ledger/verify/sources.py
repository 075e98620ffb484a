"""The files of an export, whichever form they have, as leaves and account lines.

A source gives the bytes that the checkpoint covers, in order, and can say for the n-th of them
where in which file it is. It is read as a stream.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from ledger.export.extra import MISSING, has_parquet
from ledger.verify.finding import Finding, UnusableError

NOTE_FILE = "checkpoint.note"
ACCOUNTS_FILE = "accounts.jsonl"
TRANSACTIONS_FILE = "transactions.jsonl"
# As much as a message may have: 20,000 entries, and notes each byte of which is escaped as six.
MAX_LINE_BYTES = 32 * 1024 * 1024
READ_BYTES = 1_048_576

# Quotes inside a JSON string are escaped, so this is a key; that of a label at worst.
_REVERSES = re.compile(rb'"reverses":"([1-9][0-9]{0,18})"')


class Source(Protocol):
    """An export's accounts and transactions."""

    def accounts(self) -> Iterator[bytes]:
        """The account lines in order of their numbers, without line ends."""
        ...

    def transactions(self) -> Iterator[bytes]:
        """The leaves in order of their sequences."""
        ...

    def reversed_sequences(self) -> Iterator[int]:
        """At least the sequences that some transaction reverses, in any order."""
        ...

    def place_of_account(self, number: int) -> str:
        """Where the n-th account is, from 1."""
        ...

    def place_of_transaction(self, number: int) -> str:
        """Where the n-th transaction is, from 1."""
        ...


class JsonLines:
    """An export of two files of lines."""

    def __init__(self, directory: Path) -> None:
        self._accounts = directory / ACCOUNTS_FILE
        self._transactions = directory / TRANSACTIONS_FILE

    def accounts(self) -> Iterator[bytes]:
        return _lines(self._accounts)

    def transactions(self) -> Iterator[bytes]:
        return _lines(self._transactions)

    def reversed_sequences(self) -> Iterator[int]:
        for line in _lines(self._transactions):
            for match in _REVERSES.finditer(line):
                yield int(match[1])

    def place_of_account(self, number: int) -> str:
        return f"{ACCOUNTS_FILE}, line {number}"

    def place_of_transaction(self, number: int) -> str:
        return f"{TRANSACTIONS_FILE}, line {number}"


def source_of(directory: Path) -> Source:
    """The source of an export's folder, which holds an export and nothing else."""
    if not directory.is_dir():
        raise UnusableError("is not a folder with an export", directory)
    names = {path.name for path in directory.iterdir()}
    if any(name.endswith(".parquet") for name in names):
        if not has_parquet():
            raise UnusableError(MISSING, directory)
        # Only who has this form needs the extra.
        from ledger.verify import tables

        _check_names(names, {tables.ACCOUNTS_FILE}, tables.is_part)
        return tables.Tables(directory)
    _check_names(names, {ACCOUNTS_FILE, TRANSACTIONS_FILE}, lambda _: False)
    return JsonLines(directory)


def _check_names(names: set[str], needed: set[str], may_be: Callable[[str], bool]) -> None:
    """Raises unless an export of these files has all of them and none besides."""
    missing = {NOTE_FILE, *needed} - names
    if missing:
        raise Finding("is missing", min(missing))
    extra = {name for name in names - {NOTE_FILE, *needed} if not may_be(name)}
    if extra:
        raise Finding("is no part of an export, and no checkpoint covers it", min(extra))


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file without their ends."""
    with path.open("rb", buffering=READ_BYTES) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if not line.endswith(b"\n"):
                why = "is too long" if len(line) > MAX_LINE_BYTES else "is cut off: no line end"
                raise Finding(why, f"{path.name}, line {number}")
            yield line[:-1]
