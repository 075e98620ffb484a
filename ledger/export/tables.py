"""A folder that a ledger's accounts and transactions are added to as Parquet tables."""

from pathlib import Path

from ledger.export.extra import PART_TRANSACTIONS
from ledger.export.parquet import (
    ACCOUNTS_FILE,
    TableWriter,
    accounts_writer,
    count_of,
    is_part,
    part_name,
    part_writer,
    parts,
)
from ledger.export.rows import account_row, transaction_row
from runtime.command_failures import CommandError


class ParquetTarget:
    """Whole files are kept; what a killed run left unfinished is written again."""

    def __init__(
        self, directory: Path, through_sequence: int, part_transactions: int = PART_TRANSACTIONS
    ) -> None:
        self._directory = directory
        self._through = through_sequence
        self._part_transactions = part_transactions
        for left in directory.glob("*.parquet.partial"):
            left.unlink()
        accounts = directory / ACCOUNTS_FILE
        self.accounts = count_of(accounts) if accounts.exists() else 0
        self.sequence = self._count_parts()
        self._accounts: TableWriter | None = None
        self._accounts_done = accounts.exists()
        self._part: TableWriter | None = None

    @staticmethod
    def owns(name: str) -> bool:
        """Whether a file of this name belongs to this form."""
        whole = name.removesuffix(".partial")
        return whole == ACCOUNTS_FILE or is_part(whole)

    def add_account(self, line: bytes) -> None:
        """Adds the next account."""
        if self._accounts is None:
            self._accounts = accounts_writer(self._directory)
        self._accounts.add(account_row(line), len(line))
        self.accounts += 1

    def add_transaction(self, leaf: bytes) -> None:
        """Adds the next transaction; a part that is full gets its name."""
        self._finish_accounts()
        if self._part is None:
            self._part = part_writer(self._directory, self.sequence + 1)
        self._part.add(transaction_row(leaf), len(leaf))
        self.sequence += 1
        if self._part.written == self._part_transactions:
            self._part.finish()
            self._part = None

    def finish(self) -> None:
        """Has everything on disk, under its name."""
        self._finish_accounts()
        if self._part is not None:
            self._part.finish()
            self._part = None

    def close(self) -> None:
        """Leaves whole files alone."""
        for writer in (self._accounts, self._part):
            if writer is not None:
                writer.abandon()
        self._accounts = self._part = None

    def _finish_accounts(self) -> None:
        if self._accounts_done:
            return
        # A ledger without accounts has a table without rows.
        writer = self._accounts or accounts_writer(self._directory)
        writer.finish()
        self._accounts, self._accounts_done = None, True

    def _count_parts(self) -> int:
        """The last transaction of the parts that are there, each of which has to be full."""
        last = 0
        for path in parts(self._directory):
            count = count_of(path)
            full = min(self._part_transactions, self._through - last)
            if path.name != part_name(last + 1) or count != full:
                raise CommandError(f"{path}: is not the part that was begun with")
            last += count
        return last
