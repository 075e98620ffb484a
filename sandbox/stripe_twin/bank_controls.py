"""What a test does at the twin's bank, by the twin's clock; the admin API offers the same."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sandbox.stripe_twin.accounts import TwinState
from sandbox.twin_bank.bank import TwinBank, day_of, truth
from sandbox.twin_bank.bank_account import BankAccount
from sandbox.twin_bank.books import OwnEntry
from sandbox.twin_bank.faults import ActiveBankFault, BankFault
from sandbox.twin_bank.files import FileFormat, write
from sandbox.twin_bank.practice import Practice
from sandbox.twin_bank.statement import IssuedFile, Statement


class BankControls:
    """The bank that the payouts of a twin's accounts go to; accounts are named as files do."""

    def __init__(self, state: TwinState) -> None:
        self._state = state

    @property
    def bank(self) -> TwinBank:
        """The bank itself."""
        return self._state.shared.bank

    def today(self) -> date:
        """The bank's day."""
        return day_of(self._state.shared.clock.time())

    def open(
        self,
        account: str = "default",
        currency: str = "usd",
        *,
        identification: str = "",
        opening: int = 0,
        **practice: Any,
    ) -> BankAccount:
        """Opens an account for what a Stripe account pays out in a currency from now on.

        `practice` is what `Practice` has. Raises KeyError, ValueError.
        """
        return self.bank.open(
            self._state.find(account).account_id,
            currency.upper(),
            self.today(),
            identification=identification,
            opening=opening,
            practice=Practice(**practice),
        )

    def book(self, identification: str, own: OwnEntry) -> None:
        """Something of the company's own comes or goes. Raises KeyError, ValueError."""
        self.bank.account(identification).book_own(own, self.today())

    def files(self, identification: str) -> Sequence[IssuedFile]:
        """The statements that were delivered, in their order. Raises KeyError."""
        return self._closed(identification).files

    def content(self, identification: str, name: str, file_format: FileFormat) -> bytes:
        """A statement's file, by its id or the day that it is of; `today` for the report.

        Raises KeyError, and ValueError for a format that it is not offered in.
        """
        return write(self.statement(identification, name), file_format)

    def statement(self, identification: str, name: str) -> Statement:
        """A statement by its file's id or the day that it is of, or the report of `today`."""
        account = self._closed(identification)
        if name == "today":
            return account.report(self.today())
        for file in account.files:
            if name in (file.file_id, file.statement.day.isoformat()):
                return file.statement
        raise KeyError(f"no statement {name}")

    def faults(self, identification: str) -> Sequence[ActiveBankFault]:
        """The faults that are on. Raises KeyError."""
        return self._closed(identification).faults

    def add_fault(self, identification: str, **fault: Any) -> str:
        """Switches on what `BankFault` has, for days that are not over; its id. Raises KeyError,
        ValueError."""
        account = self.bank.account(identification)
        return account.add_fault(BankFault(**fault), self.today())

    def clear_faults(self, identification: str, fault_id: str | None = None) -> None:
        """Switches all faults of an account or one off. Raises KeyError."""
        self.bank.account(identification).clear_faults(fault_id, self.today())

    def truth(self, identification: str) -> dict[str, Any]:
        """The bank's books of an account and each fault that was done. Raises KeyError."""
        return truth(self.bank.account(identification), self.today())

    def _closed(self, identification: str) -> BankAccount:
        account = self.bank.account(identification)
        account.close_until(self.today())
        return account
