"""Types of balance transactions and how each is booked: rules over
gateway/data/balance_transaction_types.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gateway.bookkeeping.chart import Contra

_DATA = Path(__file__).parents[1] / "data" / "balance_transaction_types.toml"


class Way(StrEnum):
    """How it is found out what of ours a balance transaction is about."""

    CHARGE = "CHARGE"
    PAYMENT = "PAYMENT"
    """A charge that is not a card's."""
    PAYMENT_FAILURE = "PAYMENT_FAILURE"
    """A bank debit, or the refund of one, that a bank refused is taken out again."""
    REFUND = "REFUND"
    REFUND_FAILURE = "REFUND_FAILURE"
    TRANSFER = "TRANSFER"
    TRANSFER_REVERSAL = "TRANSFER_REVERSAL"
    APPLICATION_FEE = "APPLICATION_FEE"
    APPLICATION_FEE_REFUND = "APPLICATION_FEE_REFUND"
    ADJUSTMENT = "ADJUSTMENT"
    """A dispute's withdrawal, its reversal, and other things."""
    PAYOUT = "PAYOUT"


@dataclass(frozen=True, slots=True)
class BalanceTypes:
    """The ways of types, and the accounts of types (and of categories of a type) that are booked
    against one as they are."""

    ways: Mapping[str, Way]
    accounts: Mapping[tuple[str, str], Contra]

    def account(self, type_: str, category: str) -> Contra | None:
        """What a movement is booked against that no way explains; None if nobody knows."""
        return self.accounts.get((type_, category)) or self.accounts.get((type_, ""))

    def named(self, *ways: Way) -> frozenset[str]:
        """The types that go these ways."""
        return frozenset(name for name, way in self.ways.items() if way in ways)


def read_types(path: Path) -> BalanceTypes:
    """Raises KeyError for a row that lacks a field, ValueError for a word that there is not or a
    type that has two rows."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    ways: dict[str, Way] = {}
    accounts: dict[tuple[str, str], Contra] = {}
    for row in (*data["type"], *data["category"]):
        name, category, books = row["type"], row.get("category", ""), row["books"]
        if not row["source"]:
            raise ValueError(f"{name} has no source")
        if (name, category) in accounts or (name in ways and not category):
            raise ValueError(f"{name} has two rows")
        if books.isupper():
            ways[name] = Way(books)
        else:
            accounts[name, category] = Contra(books)
    return BalanceTypes(ways, accounts)


TYPES = read_types(_DATA)
