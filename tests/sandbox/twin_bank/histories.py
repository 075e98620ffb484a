"""What may happen at the twin's bank, drawn at random, and what has to come of it by a model that
knows nothing of how the bank works."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from sandbox.twin_bank import BankFault, BankFaultKind, OwnEntry, Practice, Transfer
from sandbox.twin_bank.bank import TwinBank
from sandbox.twin_bank.bank_account import BankAccount
from sandbox.twin_bank.business_days import Calendar
from sandbox.twin_bank.faults import ROW_FAULTS

FIRST_DAY = date(2026, 12, 21)
TEXTS = st.text("ABCxyz09 ,.()'-:/?+&<ä", max_size=60)
AMOUNTS = st.integers(-(10**7), 10**7).filter(bool)

PRACTICES = (
    st.builds(
        Practice,
        calendar=st.sampled_from(Calendar),
        business_days_late=st.integers(0, 2),
        merges=st.booleans(),
        descriptor_chars=st.sampled_from([None, 10]),
        shows_traces=st.booleans(),
        fee_taken_off=st.sampled_from([0, 15]),
        fee_charged=st.sampled_from([0, 25]),
    )
    | st.builds(
        Practice,
        merges=st.just(True),
        itemizes=st.just(True),
    )
    | st.builds(Practice, splits_above=st.integers(1, 1_000))
)

FAULTS = st.one_of(
    st.builds(
        BankFault,
        kind=st.sampled_from(sorted(ROW_FAULTS - {BankFaultKind.ROW_OTHER_AMOUNT})),
        skip=st.integers(0, 2),
        balances=st.sampled_from(["hide", "show"]),
    ),
    st.builds(
        BankFault,
        kind=st.just(BankFaultKind.ROW_OTHER_AMOUNT),
        by=st.sampled_from([-3, 700]),
        balances=st.sampled_from(["hide", "show"]),
    ),
    st.builds(
        BankFault,
        kind=st.sampled_from(
            sorted(set(BankFaultKind) - ROW_FAULTS - {BankFaultKind.FALSE_CLOSING_BALANCE})
        ),
        skip=st.integers(0, 1),
    ),
    st.builds(BankFault, kind=st.just(BankFaultKind.FALSE_CLOSING_BALANCE), by=st.just(-100)),
)

STEPS = st.one_of(
    st.tuples(st.just("pay"), AMOUNTS, TEXTS),
    st.tuples(st.just("own"), AMOUNTS, TEXTS),
    st.tuples(st.just("return"), st.integers(0, 5), st.just("")),
    st.tuples(st.just("day"), st.integers(1, 4), st.just("")),
)


@dataclass
class History:
    """A bank account that steps were taken at, and the model of what came of them."""

    account: BankAccount
    today: date = FIRST_DAY
    opening: int = 0
    """Signed minor units that have to be on the account in the end, before fees."""
    expected: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    booked_at: Counter[str] = field(default_factory=Counter)

    def take(self, step: tuple[str, Any, str]) -> None:
        """One step."""
        what, value, text = step
        match what:
            case "pay":
                name = f"po_{len(self.booked_at)}"
                self.booked_at[name] += 1
                self.sent[name] = value
                self.account.take(Transfer(name, value, f"TRACE{name}", text), self.today)
                self.expected += value
            case "own":
                own = OwnEntry(amount=value, counterparty=text, remittance=text, end_to_end_id="E")
                self.account.book_own(own, self.today)
                self.expected += value
            case "return":
                if self.sent:
                    name = sorted(self.sent)[value % len(self.sent)]
                    self.account.give_back(name, self.today)
                    self.expected -= self.sent.pop(name)
            case _:
                self.today += timedelta(value)

    def finish(self) -> None:
        """Lets all be booked that waits: at most ten days later, over the holidays."""
        self.today += timedelta(21)
        self.account.close_until(self.today)


def played(
    practice: Practice,
    steps: list[tuple[str, Any, str]],
    faults: list[BankFault] | None = None,
    opening: int = 5_000,
    currency: str = "EUR",
) -> History:
    """An account after all steps."""
    account = TwinBank().open("acct_1", currency, FIRST_DAY, opening=opening, practice=practice)
    history = History(account, opening=opening, expected=opening)
    for fault in faults or ():
        account.add_fault(fault, FIRST_DAY)
    for step in steps:
        history.take(step)
    history.finish()
    return history
