"""The JSON Lines form of an export: the lines that the ledger sends, one after another."""

import json
import os
from pathlib import Path

from runtime.command_failures import CommandError

ACCOUNTS_FILE = "accounts.jsonl"
TRANSACTIONS_FILE = "transactions.jsonl"
WRITE_BYTES = 1024 * 1024
# How far back the last line end is searched at a time.
READ_BACK_BYTES = 1024 * 1024


class LineFile:
    """A file of numbered lines, which a killed run may have left with a broken last one."""

    def __init__(self, path: Path, key: str) -> None:
        """Opens the file for more lines, cut off after its last whole one, and counts them."""
        path.touch()
        with path.open("rb+") as file:
            end, line = _last_line(file.fileno(), os.fstat(file.fileno()).st_size)
            file.truncate(end)
        self.count = _number(path, line, key) if line else 0
        self._file = path.open("ab", buffering=WRITE_BYTES)

    def add(self, line: bytes) -> None:
        """Adds a line, which is given without its end."""
        self._file.write(line + b"\n")
        self.count += 1

    def finish(self) -> None:
        """Has everything on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        """Leaves what is there for the next run."""
        self._file.close()


class JsonLinesTarget:
    """A folder that lines are added to."""

    def __init__(self, directory: Path) -> None:
        self._accounts = LineFile(directory / ACCOUNTS_FILE, "number")
        self._transactions = LineFile(directory / TRANSACTIONS_FILE, "sequence")

    @staticmethod
    def owns(name: str) -> bool:
        """Whether a file of this name belongs to this form."""
        return name in {ACCOUNTS_FILE, TRANSACTIONS_FILE}

    @property
    def accounts(self) -> int:
        """The number of the last account."""
        return self._accounts.count

    @property
    def sequence(self) -> int:
        """The sequence of the last transaction."""
        return self._transactions.count

    def add_account(self, line: bytes) -> None:
        """Adds the next account."""
        self._accounts.add(line)

    def add_transaction(self, leaf: bytes) -> None:
        """Adds the next transaction."""
        self._transactions.add(leaf)

    def finish(self) -> None:
        """Has everything on disk."""
        self._accounts.finish()
        self._transactions.finish()

    def close(self) -> None:
        """Leaves what is there for the next run."""
        self._accounts.close()
        self._transactions.close()


def _last_line(descriptor: int, size: int) -> tuple[int, bytes]:
    """Where the last whole line ends, and the line; (0, b"") if there is none."""
    tail, start = b"", size
    while start > 0:
        step = min(READ_BACK_BYTES, start)
        start -= step
        tail = os.pread(descriptor, step, start) + tail
        end = tail.rfind(b"\n")
        before = tail.rfind(b"\n", 0, max(end, 0))
        if end >= 0 and (before >= 0 or start == 0):
            return start + end + 1, tail[before + 1 : end]
    return 0, b""


def _number(path: Path, line: bytes, key: str) -> int:
    try:
        return int(json.loads(line)[key])
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path}: the last line is not one of an export") from error
