"""A balance transaction: one movement of money on a Stripe account's balance.

https://docs.stripe.com/api/balance_transactions/object and, for the types,
https://docs.stripe.com/reports/balance-transaction-types
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.balance.types import TYPES, Way
from gateway.bookkeeping.facts import StripeBalance
from gateway.money import from_stripe

REFUNDS = TYPES.named(Way.REFUND)
PAYOUTS = TYPES.named(Way.PAYOUT)
PAYOUT_PREFIX = "po_"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeDetail:
    """A part of a fee: Stripe's word for what it is for, and the Connect application that earned
    it, if it is one's."""

    type: str
    currency: str
    amount_minor: int
    application_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One balance transaction. Amounts are signed minor units of `currency`, in upper case;
    `net_minor` is `amount_minor` less `fee_minor`."""

    corridor: str
    id: str
    type: str
    source_id: str
    currency: str
    amount_minor: int
    fee_minor: int
    net_minor: int
    is_available: bool
    create_time: datetime
    available_time: datetime
    # Stripe's decimal, for example "0.93": minor units of the source's currency times it are
    # `amount_minor`. Empty where nothing was converted.
    exchange_rate: str = ""
    # Stripe's finer word for the type.
    reporting_category: str = ""
    # None for the payments balance.
    other_balance: StripeBalance | None = None
    fee_details: tuple[FeeDetail, ...] = ()
    # What Stripe calls its source: charge, refund, payout. Empty where that is not expanded.
    source_type: str = ""

    @property
    def payout_id(self) -> str:
        """The payout that it is, or that came back with it, Stripe's id; empty if it is none."""
        return self.source_id if self.source_id.startswith(PAYOUT_PREFIX) else ""

    @property
    def begins_in(self) -> StripeBalance:
        """The part of the balance that it first counts in; decided by what never changes."""
        if self.other_balance is not None:
            return self.other_balance
        if self.type in PAYOUTS or self.available_time <= self.create_time:
            return StripeBalance.AVAILABLE
        return StripeBalance.PENDING

    @property
    def counts_in(self) -> StripeBalance:
        """The part that it counts in now. A payout lowers what is available at once, although
        it is called pending until it has arrived."""
        if self.other_balance is not None:
            return self.other_balance
        if self.type in PAYOUTS or self.is_available:
            return StripeBalance.AVAILABLE
        return StripeBalance.PENDING


def read_movement(corridor: str, transaction: Mapping[str, Any]) -> Movement:
    """The movement that Stripe describes. Raises KeyError, TypeError or ValueError if it is none.

    `source` may be expanded.
    """
    source, source_type = transaction.get("source"), ""
    if isinstance(source, Mapping):
        source_type = str(source.get("object") or "")
        source = source.get("id")
    rate = transaction.get("exchange_rate")
    if rate is not None and not float(rate) > 0:
        raise ValueError("an exchange rate is above zero")
    currency = str(transaction["currency"]).upper()
    return Movement(
        corridor=corridor,
        id=str(transaction["id"]),
        type=str(transaction["type"]),
        source_id=str(source or ""),
        currency=currency,
        amount_minor=from_stripe(currency, int(transaction["amount"])),
        fee_minor=from_stripe(currency, int(transaction["fee"])),
        net_minor=from_stripe(currency, int(transaction["net"])),
        is_available=transaction["status"] == "available",
        create_time=datetime.fromtimestamp(int(transaction["created"]), UTC),
        available_time=datetime.fromtimestamp(int(transaction["available_on"]), UTC),
        exchange_rate="" if rate is None else str(rate),
        reporting_category=str(transaction.get("reporting_category") or ""),
        other_balance=StripeBalance.besides_payments(transaction.get("balance_type")),
        fee_details=tuple(
            FeeDetail(
                type=str(detail["type"]),
                currency=str(detail["currency"]).upper(),
                amount_minor=from_stripe(str(detail["currency"]).upper(), int(detail["amount"])),
                application_id=str(detail.get("application") or ""),
            )
            for detail in transaction.get("fee_details") or ()
        ),
        source_type=source_type,
    )
