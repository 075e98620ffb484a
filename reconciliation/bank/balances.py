"""Whether the ledger's accounts of the bank are what the statements and what is open come to.

For a corridor and a currency, of all its bank accounts together:

    ledger = closing balance - what of it is not matched + payouts that are not in the bank yet

The ledger's side is `bank` and `payouts_in_transit` of docs/chart-of-accounts.md, as far as payouts
made them: what has left the balance at Stripe with a payout and has not come back.
"""

from dataclasses import dataclass
from datetime import date

from reconciliation.bank.chain import SUBJECTS, midnight
from reconciliation.conditions.condition import Condition
from reconciliation.matching.policy import BreakKind


@dataclass(frozen=True)
class BankBalance:
    """What is known of a corridor's accounts in a currency, in minor units."""

    corridor: str
    currency: str
    last_day: date
    """Of the closing balances, the earliest."""
    closing: int
    """Of all accounts."""
    unmatched_bank: int
    """Of the closing balances what no match has: what was there at first, and lines."""
    unmatched_book: int
    """Payouts that stand and that no match has."""
    ledger: int

    @property
    def difference(self) -> int:
        """What the ledger has more than that."""
        return self.ledger - (self.closing - self.unmatched_bank + self.unmatched_book)


def condition_of(balance: BankBalance) -> Condition | None:
    """What is wrong, if anything is."""
    if not balance.difference:
        return None
    return Condition(
        kind=BreakKind.BANK_BALANCE_DIFFERS,
        corridor=balance.corridor,
        subject=f"{SUBJECTS}{balance.corridor} in {balance.currency}",
        since=midnight(balance.last_day),
        says="the ledger's payouts are not what the bank's closing balances until"
        f" {balance.last_day} and what is open come to",
        amounts=((balance.currency, balance.difference),),
    )
