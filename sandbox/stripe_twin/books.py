"""The money of one Stripe account: balance transactions, and balances that must equal their sum.

This is the judge of chaos tests, so it keeps itself honest: each balance transaction is also
posted to a double-entry journal, and `check` proves that journal, balances and transactions agree.

Stripe's processing fee is at its published standard rates for domestic cards, one for each
country's currency: https://stripe.com/pricing and its pages per country. Surcharges for foreign
cards and for conversion are not modelled.
"""

import heapq
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sandbox.stripe_twin.currencies import step_of
from sandbox.stripe_twin.store import Collection, Identifiers, JsonObject

BASIS_POINTS = 10_000
# The balance that payments come into: https://docs.stripe.com/api/balance_transactions/object
PAYMENTS = "payments"


@dataclass(frozen=True, slots=True)
class FeeRate:
    """A share in basis points plus a fixed part in minor units."""

    basis_points: int
    fixed: int


FEE_RATES: dict[str, FeeRate] = {
    "usd": FeeRate(290, 30),
    "cad": FeeRate(290, 30),
    "eur": FeeRate(150, 25),
    "gbp": FeeRate(150, 20),
    "aud": FeeRate(170, 30),
    "jpy": FeeRate(360, 0),
}
# The twin's own choice for every other currency.
OTHER_CURRENCIES = FeeRate(290, 30)


def processing_fee(amount: int, currency: str) -> int:
    """The fee in minor units for a captured amount, its share rounded half up,
    and the whole of it to what its currency counts in."""
    rate = FEE_RATES.get(currency, OTHER_CURRENCIES)
    share = (2 * amount * rate.basis_points + BASIS_POINTS) // (2 * BASIS_POINTS)
    step = step_of(currency)
    return (2 * (share + rate.fixed) + step) // (2 * step) * step


# Card payments of a US account become available two days after they were made.
AVAILABILITY_DELAY_SECONDS = 2 * 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class FeePart:
    """A part of a balance transaction's fee: Stripe's own or the platform's application fee."""

    amount: int
    kind: str
    description: str
    application: str | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """An amount as it moves in the balance, and the rate if it was converted for that."""

    amount: int
    currency: str
    rate: float | None = None


def converted(amount: int, currency: str, rate: float) -> Settled:
    """`amount` minor units of another currency at `rate`, in `currency`; rounded half to even."""
    return Settled(round(amount * Fraction(str(rate))), currency, rate)


class Books:
    """All balance transactions of one account."""

    def __init__(self, identifiers: Identifiers) -> None:
        self.transactions = Collection("balance_transaction")
        self._identifiers = identifiers
        # What counts in a balance besides that of payments, by that and currency.
        self._other: dict[tuple[str, str], int] = defaultdict(int)
        self._pending: dict[str, int] = defaultdict(int)
        self._available: dict[str, int] = defaultdict(int)
        # (available_on, sequence, transaction) of what is still pending.
        self._maturing: list[tuple[int, int, JsonObject]] = []
        # Journal accounts, e.g. ("usd", "stripe_balance"); each posting sums to zero.
        self._journal: dict[tuple[str, str], int] = defaultdict(int)

    def record(
        self,
        *,
        kind: str,
        source: str | None,
        amount: int,
        currency: str,
        now: int,
        description: str | None = None,
        fees: tuple[FeePart, ...] = (),
        available_at_once: bool = False,
        delay_seconds: int = AVAILABILITY_DELAY_SECONDS,
        reporting_category: str | None = None,
        exchange_rate: float | None = None,
        balance_type: str = PAYMENTS,
    ) -> JsonObject:
        """Adds a balance transaction of `amount` minus its fees to the balance."""
        fee = sum(part.amount for part in fees)
        available_on = now if available_at_once else now + delay_seconds
        transaction: JsonObject = {
            "id": self._identifiers.new("txn"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": available_on,
            "balance_type": balance_type,
            "created": now,
            "currency": currency,
            "description": description,
            "exchange_rate": exchange_rate,
            "fee": fee,
            "fee_details": [_fee_detail(part, currency) for part in fees],
            "net": amount - fee,
            "reporting_category": reporting_category or kind,
            "source": source,
            "status": "available" if available_at_once else "pending",
            "type": kind,
        }
        self.transactions.add(transaction)
        if balance_type != PAYMENTS:
            self._other[balance_type, currency] += amount - fee
        elif available_at_once:
            self._available[currency] += amount - fee
        else:
            self._pending[currency] += amount - fee
            entry = (available_on, len(self.transactions), transaction)
            heapq.heappush(self._maturing, entry)
        self._journal[currency, "stripe_balance"] += amount - fee
        self._journal[currency, "fees"] += fee
        self._journal[currency, kind] -= amount
        return transaction

    def mature(self, now: int) -> None:
        """Moves what has become available by `now` from pending to available."""
        while self._maturing and self._maturing[0][0] <= now:
            transaction = heapq.heappop(self._maturing)[2]
            transaction["status"] = "available"
            self._pending[transaction["currency"]] -= transaction["net"]
            self._available[transaction["currency"]] += transaction["net"]

    def maturing(self, currency: str, now: int) -> list[tuple[int, int]]:
        """When what is pending in a currency becomes available, and how much each time."""
        self.mature(now)
        found: dict[int, int] = defaultdict(int)
        for available_on, _, transaction in self._maturing:
            if transaction["currency"] == currency:
                found[available_on] += transaction["net"]
        return sorted(found.items())

    def balances(self, now: int) -> dict[str, dict[str, int]]:
        """Per currency the `pending` and the `available` minor units."""
        self.mature(now)
        currencies = sorted(self._pending.keys() | self._available.keys())
        return {
            currency: {
                "pending": self._pending[currency],
                "available": self._available[currency],
            }
            for currency in currencies
        }

    def other_balances(self) -> dict[str, dict[str, int]]:
        """Minor units by currency of each balance besides that of payments."""
        balances: dict[str, dict[str, int]] = defaultdict(dict)
        for (balance_type, currency), amount in sorted(self._other.items()):
            balances[balance_type][currency] = amount
        return dict(balances)

    def journal(self) -> dict[str, dict[str, int]]:
        """Per currency the balance of each journal account; each currency sums to zero."""
        accounts: dict[str, dict[str, int]] = defaultdict(dict)
        for (currency, name), amount in sorted(self._journal.items()):
            accounts[currency][name] = amount
        return dict(accounts)

    def check(self, now: int) -> None:
        """Raises AssertionError if the balances are not the sum of the balance transactions."""
        sums: dict[str, int] = defaultdict(int)
        for transaction in self.transactions:
            if transaction["net"] != transaction["amount"] - transaction["fee"]:
                raise AssertionError(f"{transaction['id']} has a wrong net")
            parts = sum(part["amount"] for part in transaction["fee_details"])
            if parts != transaction["fee"]:
                raise AssertionError(f"{transaction['id']} has fee details of {parts}")
            sums[transaction["currency"]] += transaction["net"]
        held: dict[str, int] = defaultdict(int)
        for currency, balance in self.balances(now).items():
            held[currency] += balance["pending"] + balance["available"]
        for (_, currency), amount in self._other.items():
            held[currency] += amount
        for currency, amount in held.items():
            if amount != sums[currency]:
                raise AssertionError(f"{currency}: balances {amount}, sum {sums[currency]}")
        for currency, accounts in self.journal().items():
            if sum(accounts.values()) != 0:
                raise AssertionError(f"{currency}: the journal is out of balance: {accounts}")
            if accounts["stripe_balance"] != sums[currency]:
                raise AssertionError(f"{currency}: journal and transactions differ")


def _fee_detail(part: FeePart, currency: str) -> dict[str, Any]:
    return {
        "amount": part.amount,
        "application": part.application,
        "currency": currency,
        "description": part.description,
        "type": part.kind,
    }
