"""The Parquet form of an export, as the leaves and account lines that its rows stand for."""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from ledger.export import parquet
from ledger.export.rows import RowError
from ledger.verify.finding import Finding

ACCOUNTS_FILE = parquet.ACCOUNTS_FILE
is_part = parquet.is_part


class Tables:
    """An export of a table of accounts and of parts of the log."""

    def __init__(self, directory: Path) -> None:
        self._accounts = directory / ACCOUNTS_FILE
        self._parts = parquet.parts(directory)
        self._firsts = [parquet.first_of(path) for path in self._parts]

    def accounts(self) -> Iterator[bytes]:
        try:
            yield from parquet.account_lines(self._accounts)
        except RowError as error:
            raise Finding(str(error)) from error

    def transactions(self) -> Iterator[bytes]:
        number = 0
        for path, first in zip(self._parts, self._firsts, strict=True):
            if first != number + 1:
                raise Finding(f"begins after transaction {number}", path.name)
            try:
                for leaf in parquet.leaves(path):
                    yield leaf
                    number += 1
            except RowError as error:
                raise Finding(str(error)) from error

    def reversed_sequences(self) -> Iterator[int]:
        for path in self._parts:
            try:
                for row in parquet.rows_of(path, parquet.TRANSACTIONS, ["reverses"]):
                    if row["reverses"] is not None:
                        yield row["reverses"]
            except RowError as error:
                raise Finding(str(error)) from error

    def place_of_account(self, number: int) -> str:
        return f"{ACCOUNTS_FILE}, row {number}"

    def place_of_transaction(self, number: int) -> str:
        part = max(bisect_right(self._firsts, number) - 1, 0)
        if not self._parts:
            return parquet.part_name(1)
        row = number - self._firsts[part] + 1
        return f"{self._parts[part].name}, row {row}, sequence {number}"
