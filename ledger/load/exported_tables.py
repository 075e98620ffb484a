"""The accounts and leaves of an export in the form of Parquet, which is an extra."""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from ledger.export import parquet
from runtime.command_failures import CommandError


class TablesLog:
    """As `Log` says."""

    def __init__(self, directory: Path) -> None:
        self._accounts = directory / parquet.ACCOUNTS_FILE
        self._parts = parquet.parts(directory)
        self._firsts = [parquet.first_of(path) for path in self._parts]

    def accounts(self) -> Iterator[bytes]:
        return parquet.account_lines(self._accounts)

    def leaves(self) -> Iterator[bytes]:
        for path in self._parts:
            yield from parquet.leaves(path)

    def spans(self) -> Iterator[tuple[int, bool, int | None]]:
        columns = ["sequence", "expire_time", "settles"]
        for path in self._parts:
            for row in parquet.rows_of(path, parquet.TRANSACTIONS, columns):
                yield row["sequence"], row["expire_time"] is not None, row["settles"]

    def ids(self, sequence: int) -> tuple[int, list[str | None]]:
        part = bisect_right(self._firsts, sequence) - 1
        first = self._firsts[part]
        with parquet.open_table(self._parts[part]) as file:
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                if sequence < first + count:
                    column = file.read_row_group(group, columns=["request_id"]).column(0)
                    return first, column.to_pylist()
                first += count
        raise CommandError(f"{self._parts[part]} has no transaction {sequence}")
