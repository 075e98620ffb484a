"""The chart of accounts: which ledger accounts a corridor has in each currency.

docs/chart-of-accounts.md explains it with an example. Every path begins with the corridor and the
currency, so the ledger's balances by prefix answer the questions people ask: `us/usd/stripe/` is
Stripe's balance, `us/usd/merchants/m_42/` is what we owe the merchant.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.bookkeeping.facts import StripeBalance


class Side(StrEnum):
    """The side of an account on which an entry stands, or on which the account grows."""

    DEBIT = "debit"
    CREDIT = "credit"

    @property
    def opposite(self) -> Side:
        return Side.CREDIT if self is Side.DEBIT else Side.DEBIT


class Contra(StrEnum):
    """What moves Stripe's balance besides payments, by the account that it is booked against."""

    FEES = "fees"
    BANK = "bank"
    RESERVES = "reserves"
    """What Stripe keeps back, until it gives it back."""
    ADVANCES = "advances"
    """What Stripe paid ahead of its time, until it takes it again."""
    CONNECT_COLLECTIONS = "connect_collections"
    """What the platform paid for debts of connected accounts."""
    CONTRIBUTIONS = "contributions"
    ISSUING = "issuing"
    """What was spent and is held by cards that Stripe issues for us."""
    FINANCIAL_ACCOUNTS = "financial_accounts"
    CUSTOMER_BALANCES = "customer_balances"
    """What customers sent to the bank that no payment of theirs took."""
    BALANCE_PAYMENTS = "balance_payments"
    """What was paid to others out of the balance."""
    TAX_FUNDS = "tax_funds"

    @property
    def normal_side(self) -> Side:
        """What we owe grows on credit; what we have and what we spent on debit."""
        owed = (Contra.ADVANCES, Contra.CUSTOMER_BALANCES)
        return Side.CREDIT if self in owed else Side.DEBIT


# The parts of Stripe's balance that every corridor has; the others are made when they are needed.
_SHARED_PARTS = (StripeBalance.PENDING, StripeBalance.AVAILABLE)


def corridor_of(path: str) -> str:
    """The corridor that an account belongs to."""
    return path.partition("/")[0]


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """One ledger account: its path, its only currency and the side on which it grows."""

    path: str
    currency: str
    normal_side: Side


@dataclass(frozen=True, slots=True)
class Chart:
    """The accounts of one corridor in one currency."""

    corridor: str
    currency: str

    @property
    def prefix(self) -> str:
        """Where the paths of these accounts begin, with the closing slash."""
        return f"{self.corridor}/{self.currency.lower()}/"

    @property
    def shared_accounts(self) -> tuple[Account, ...]:
        """The accounts that the corridor has once in this currency."""
        return (
            *(self.stripe(balance) for balance in _SHARED_PARTS),
            self.fees,
            self.application_fees,
            self.conversion,
            self.payouts_in_transit,
            self.bank,
            self.suspense,
        )

    @property
    def debit_accounts(self) -> tuple[Account, ...]:
        """The accounts that the corridor has once it has taken bank debits."""
        return (self.debits_undecided,)

    def merchant_accounts(self, merchant_id: str) -> tuple[Account, ...]:
        """The accounts that each merchant has."""
        return (
            self.payable(merchant_id),
            self.refunds(merchant_id),
            self.disputes_held(merchant_id),
        )

    def stripe(self, balance: StripeBalance) -> Account:
        """Money that Stripe holds for us; pending and available together are the balance of
        payments."""
        return self._account(f"stripe/{balance}", Side.DEBIT)

    def payable(self, merchant_id: str) -> Account:
        """What was captured for the merchant and is owed to it."""
        return self._account(f"merchants/{merchant_id}/payable", Side.CREDIT)

    def refunds(self, merchant_id: str) -> Account:
        """What went back to the merchant's customers; lessens what is owed to it."""
        return self._account(f"merchants/{merchant_id}/refunds", Side.DEBIT)

    def disputes_held(self, merchant_id: str) -> Account:
        """What Stripe withdrew for disputes that are not decided yet, less what it gave back."""
        return self._account(f"merchants/{merchant_id}/disputes_held", Side.DEBIT)

    @property
    def fees(self) -> Account:
        """What Stripe charged us: an expense of the platform."""
        return self._account("fees", Side.DEBIT)

    @property
    def application_fees(self) -> Account:
        """What the platform kept of destination charges: its revenue."""
        return self._account("application_fees", Side.CREDIT)

    @property
    def debits_undecided(self) -> Account:
        """What Stripe's balance counts of bank debits whose bank has neither paid nor refused."""
        return self._account("debits_undecided", Side.CREDIT)

    @property
    def conversion(self) -> Account:
        """The other leg of amounts that Stripe converted; open positions by currency."""
        return self._account("conversion", Side.DEBIT)

    @property
    def payouts_in_transit(self) -> Account:
        """What left Stripe for the bank and has not arrived."""
        return self._account("payouts_in_transit", Side.DEBIT)

    @property
    def bank(self) -> Account:
        """What arrived at the bank."""
        return self._account("bank", Side.DEBIT)

    def contra(self, contra: Contra) -> Account:
        """What a movement besides payments is booked against."""
        return self._account(contra, contra.normal_side)

    @property
    def suspense(self) -> Account:
        """What moved at Stripe for a reason we do not know: to be explained by people."""
        return self._account("suspense", Side.CREDIT)

    def _account(self, name: str, normal_side: Side) -> Account:
        return Account(self.prefix + name, self.currency, normal_side)
