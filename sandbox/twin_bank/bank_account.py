"""An account at the bank: what comes is booked on business days, and each of them has a statement.

Days are of UTC and are closed when the account is next looked at, so that nothing has to be
scheduled.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from sandbox.twin_bank.books import (
    MAX_MINOR_UNITS,
    Entry,
    EntryMaker,
    OwnEntry,
    Transfer,
    Waiting,
)
from sandbox.twin_bank.business_days import business_days_after, is_business_day, on_or_after
from sandbox.twin_bank.faults import ActiveBankFault, BankFault, BankFaultKind, Injected
from sandbox.twin_bank.practice import Practice
from sandbox.twin_bank.statement import IssuedFile, Statement

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an account is: its number at the bank, how files name it, where it begins."""

    number: int
    identification: str
    is_iban: bool
    currency: str
    opening: int
    practice: Practice


class BankAccount:
    """One account. `books` is the truth; `files` is what was told, in the order of delivery."""

    def __init__(self, terms: Terms, today: date) -> None:
        self.terms = terms
        self.books: list[Entry] = []
        self.files: list[IssuedFile] = []
        self.injected: list[Injected] = []
        self.faults: list[ActiveBankFault] = []
        self._today = today
        self._opened = today - _DAY
        self._waiting: list[Waiting] = []
        self._transfers: dict[str, Transfer] = {}
        self._numbers: Counter[int] = Counter()
        self._fault_count = 0
        # The balance as the statements have it so far.
        self._told = terms.opening
        # Rows for the next statement, and whether its balance has them, too.
        self._late: list[tuple[Entry, bool]] = []
        self._previous: Statement | None = None
        # A statement that is delivered after the next one.
        self._held: Statement | None = None

    @property
    def balance(self) -> int:
        """What is on the account at the end of the last day that is over, in minor units."""
        return self.terms.opening + sum(entry.amount for entry in self.books)

    @property
    def told_balance(self) -> int:
        """The same as the statements have it."""
        return self._told

    def waiting(self) -> tuple[Waiting, ...]:
        """What is still to be booked."""
        return tuple(self._waiting)

    def take(self, transfer: Transfer, today: date) -> None:
        """A payout arrives, or Stripe debits. Raises ValueError if it did so before."""
        self.close_until(today)
        if transfer.transfer_id in self._transfers:
            raise ValueError(f"{transfer.transfer_id} has come already")
        practice = self.terms.practice
        day = business_days_after(practice.calendar, today, practice.business_days_late)
        self._transfers[transfer.transfer_id] = transfer
        self._waiting.append(Waiting(day, transfer))

    def give_back(self, transfer_id: str, today: date) -> None:
        """What came goes back, or what was taken comes back; what is not booked yet never is.

        Of a transfer that the bank has never seen there is nothing to give back.
        """
        self.close_until(today)
        transfer = self._transfers.pop(transfer_id, None)
        if transfer is None:
            return
        left = [item for item in self._waiting if item.transfer is not transfer]
        if len(left) < len(self._waiting):
            self._waiting = left
            return
        day = on_or_after(self.terms.practice.calendar, today)
        self._waiting.append(Waiting(day, transfer, is_return=True))

    def book_own(self, own: OwnEntry, today: date) -> None:
        """Something of the company's own comes or goes. Raises ValueError for nothing at all, and
        for what no statement has room for."""
        self.close_until(today)
        if own.amount == 0:
            raise ValueError("amount: nothing is not booked")
        if abs(self.balance) + abs(own.amount) > MAX_MINOR_UNITS:
            raise ValueError("amount: the balance would be larger than a statement can say")
        day = on_or_after(self.terms.practice.calendar, today)
        self._waiting.append(Waiting(day, own=own))

    def add_fault(self, fault: BankFault, today: date) -> str:
        """Switches a fault on, for the days that are not over; its id."""
        self.close_until(today)
        self._fault_count += 1
        active = ActiveBankFault(f"bank-fault-{self._fault_count}", fault)
        self.faults.append(active)
        return active.fault_id

    def clear_faults(self, fault_id: str | None, today: date) -> None:
        """Switches all faults or one off. What they did stays known."""
        self.close_until(today)
        self.faults = [active for active in self.faults if fault_id not in (None, active.fault_id)]

    def close_until(self, today: date) -> None:
        """Closes each day before `today`, with a statement of each business day."""
        while self._today < today:
            if is_business_day(self.terms.practice.calendar, self._today):
                self._close(self._today)
            self._today += _DAY

    def report(self, today: date) -> Statement:
        """What will be booked today as far as it is known, from the balance of the last statement;
        it changes until the day is over."""
        self.close_until(today)
        entries = self._entries_of(today)
        return self._statement(
            today, self._numbers[today.year] + 1, [*entries], self._told, is_final=False
        )

    def _entries_of(self, day: date) -> list[Entry]:
        """The entries of a day as it stands. Days without business have none."""
        due = [item for item in self._waiting if item.day == day]
        terms = self.terms
        return EntryMaker(terms.practice, terms.number, day).make(due)

    def _close(self, day: date) -> None:
        entries = self._entries_of(day)
        self._waiting = [item for item in self._waiting if item.day != day]
        self.books += entries
        self._numbers[day.year] += 1
        number = self._numbers[day.year]
        rows = [entry for entry, _ in self._late]
        effect = sum(entry.amount for entry, counts in self._late if counts)
        self._late = []
        for entry in entries:
            told, counted = self._tell(entry, day, number)
            rows += told
            effect += counted
        statement = self._statement(day, number, rows, self._told)
        statement = replace(statement, closing=self._told + effect)
        self._told += effect
        self._deliver(statement)
        self._previous = statement

    def _statement(
        self,
        day: date,
        number: int,
        rows: Sequence[Entry],
        opening: int,
        *,
        is_final: bool = True,
    ) -> Statement:
        terms = self.terms
        return Statement(
            account=terms.identification,
            is_iban=terms.is_iban,
            currency=terms.currency,
            number=number,
            first_day=day,
            day=day,
            opened=self._previous.day if self._previous else self._opened,
            opening=opening,
            closing=opening + sum(entry.amount for entry in rows),
            entries=tuple(rows),
            is_final=is_final,
        )

    def _tell(self, entry: Entry, day: date, number: int) -> tuple[list[Entry], int]:
        """The rows that the statement has for an entry, and what they do to its balance."""
        active = next((active for active in self.faults if active.hits_row(entry)), None)
        if active is None:
            return [entry], entry.amount
        fault = active.fault
        hides = fault.balances == "hide"
        match fault.kind:
            case BankFaultKind.ROW_MISSING:
                rows: list[Entry] = []
            case BankFaultKind.ROW_DOUBLED:
                rows = [entry, entry]
            case BankFaultKind.ROW_LATE:
                rows = []
                self._late.append((entry, hides))
            case _:
                rows = [entry.with_amount(entry.amount + fault.by)]
        told = sum(row.amount for row in rows)
        transfers = tuple(share.transfer_id for share in entry.shares)
        self.injected.append(
            Injected(
                active.fault_id,
                fault.kind,
                day,
                number,
                told - entry.amount,
                entry.reference,
                transfers,
            )
        )
        return rows, told if hides else entry.amount

    def _deliver(self, statement: Statement) -> None:
        """Adds a statement to the files, as far as no fault keeps it from that."""
        previous, held = self._previous, self._held
        self._held = None
        active = next(
            (
                active
                for active in self.faults
                if active.hits_statement(has_previous=previous is not None)
            ),
            None,
        )
        rows = sum(entry.amount for entry in statement.entries)
        match active.fault.kind if active else None:
            case BankFaultKind.STATEMENT_MISSING:
                told, amount = [], -rows
            case BankFaultKind.STATEMENT_DOUBLED:
                told, amount = [statement, statement], rows
            case BankFaultKind.STATEMENT_OVERLAPPING:
                assert previous is not None
                told = [_joined(previous, statement)]
                amount = sum(entry.amount for entry in previous.entries)
            case BankFaultKind.STATEMENT_OUT_OF_ORDER:
                told, amount = [], 0
                self._held = statement
            case BankFaultKind.FALSE_CLOSING_BALANCE:
                assert active is not None
                told = [replace(statement, closing=statement.closing + active.fault.by)]
                amount = active.fault.by
            case _:
                told, amount = [statement], 0
        if active is not None:
            self.injected.append(
                Injected(
                    active.fault_id, active.fault.kind, statement.day, statement.number, amount
                )
            )
        if held is not None:
            told.append(held)
        for each in told:
            self.files.append(IssuedFile(f"file-{len(self.files) + 1:05}", each))


def _joined(first: Statement, second: Statement) -> Statement:
    """One statement of two days, under the second's number."""
    return replace(
        second,
        first_day=first.first_day,
        opened=first.opened,
        opening=first.opening,
        entries=(*first.entries, *second.entries),
    )
