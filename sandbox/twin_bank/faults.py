"""What a bank's statements may have wrong, switched on by a test; and what was done wrong so far.

The bank's own books stay right: a fault is in what is told.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.twin_bank.books import Entry, EntryKind


class BankFaultKind(StrEnum):
    """What goes wrong."""

    ROW_MISSING = "row_missing"
    ROW_DOUBLED = "row_doubled"
    # It is in the next statement.
    ROW_LATE = "row_late"
    ROW_OTHER_AMOUNT = "row_other_amount"
    STATEMENT_MISSING = "statement_missing"
    # Delivered twice, byte by byte the same.
    STATEMENT_DOUBLED = "statement_doubled"
    # It has what the one before had, too, from that one's opening balance on.
    STATEMENT_OVERLAPPING = "statement_overlapping"
    # Delivered after the next one.
    STATEMENT_OUT_OF_ORDER = "statement_out_of_order"
    FALSE_CLOSING_BALANCE = "false_closing_balance"


ROW_FAULTS = frozenset(
    {
        BankFaultKind.ROW_MISSING,
        BankFaultKind.ROW_DOUBLED,
        BankFaultKind.ROW_LATE,
        BankFaultKind.ROW_OTHER_AMOUNT,
    }
)
_BY_AN_AMOUNT = (BankFaultKind.ROW_OTHER_AMOUNT, BankFaultKind.FALSE_CLOSING_BALANCE)
MAX_DIFFERENCE_MINOR = 10**12


class BankFault(BaseModel):
    """A rule of an account.

    It hits `count` rows or statements after it has let `skip` pass; `entries` are the kinds of
    entries that it hits, all if empty. `by` is the difference in minor units of another amount or
    a false closing balance. With `balances` "hide" the statement comes out all the same, and those
    after it go on from there, as if the bank believed it; with "show" the balances are the true
    ones, so that a reader sees that something is wrong.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: BankFaultKind
    count: int = Field(default=1, ge=1)
    skip: int = Field(default=0, ge=0)
    entries: frozenset[EntryKind] = frozenset()
    by: int = Field(default=0, ge=-MAX_DIFFERENCE_MINOR, le=MAX_DIFFERENCE_MINOR)
    balances: Literal["hide", "show"] = "hide"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.by != 0) != (self.kind in _BY_AN_AMOUNT):
            raise ValueError("by: another amount and a false closing balance have one, no other")
        if self.kind not in ROW_FAULTS and (self.entries or self.balances != "hide"):
            raise ValueError("entries, balances: they are for faults of rows")
        return self


@dataclass(slots=True)
class ActiveBankFault:
    """A rule that is switched on, with what it has done so far."""

    fault_id: str
    fault: BankFault
    hits: int = 0
    passed: int = 0

    def hits_row(self, entry: Entry) -> bool:
        """Whether a row is to be told wrong; counts it if so."""
        fault = self.fault
        if fault.kind not in ROW_FAULTS or (fault.entries and entry.kind not in fault.entries):
            return False
        # An amount of nothing, or a credit that becomes a debit, would be another fault.
        if fault.kind is BankFaultKind.ROW_OTHER_AMOUNT and (
            (entry.amount + fault.by) * entry.amount <= 0
        ):
            return False
        return self._takes()

    def hits_statement(self, *, has_previous: bool) -> bool:
        """Whether a statement is to go wrong; counts it if so."""
        kind = self.fault.kind
        if kind in ROW_FAULTS:
            return False
        if kind is BankFaultKind.STATEMENT_OVERLAPPING and not has_previous:
            return False
        return self._takes()

    def _takes(self) -> bool:
        if self.hits >= self.fault.count:
            return False
        if self.passed < self.fault.skip:
            self.passed += 1
            return False
        self.hits += 1
        return True


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that was done: in which statement, and by how many minor units what the statements
    list is more than what was booked. `reference` is the row's, `transfers` are its payouts."""

    fault_id: str
    kind: BankFaultKind
    day: date
    number: int
    amount: int
    reference: str = ""
    transfers: tuple[str, ...] = ()
