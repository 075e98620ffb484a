"""What happened to money at Stripe, as facts that bookkeeping turns into ledger transactions.

A fact is reported by whoever learns of it (an operation's answer, a webhook, a reconciliation),
in the database transaction that records the same knowledge elsewhere. Two of them may report the
same fact: its `id` is computed from what it is about, never from who noticed it, so the second
report finds the first.

Amounts are integers in the currency's minor unit of ISO 4217: zero-decimal and
three-decimal currencies need no special case here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

HOLD_PREFIX = "hold."
RELEASED_PREFIX = "released."
CAPTURED_PREFIX = "captured."
FORGOTTEN_PREFIX = "forgotten."
_CURRENCY = re.compile(r"[A-Z]{3}")
# What may be in an account's path and in a ledger request id (1..128 bytes there, prefix and
# suffix included).
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class StripeBalance(StrEnum):
    """Which part of Stripe's balance an amount moved in: of the payments balance by
    `balance_transaction.status`, of another balance by `balance_transaction.balance_type`."""

    PENDING = "pending"
    AVAILABLE = "available"
    ISSUING = "issuing"
    PREFUNDING = "refund_and_dispute_prefunding"
    RISK_RESERVED = "risk_reserved"

    @property
    def is_of_payments(self) -> bool:
        """Whether it is a part of what payments come into and payouts go out of."""
        return self in (StripeBalance.PENDING, StripeBalance.AVAILABLE)

    @classmethod
    def besides_payments(cls, balance_type: object) -> StripeBalance | None:
        """The part that is a balance of its own (`balance_transaction.balance_type`); None for the
        payments balance.

        A balance that this release does not know counts as that of payments: the sum differs from
        what Stripe says of it then, and people are told.
        """
        return next(
            (part for part in cls if part == balance_type and not part.is_of_payments), None
        )


class ReleaseReason(StrEnum):
    """Why a hold ended without a capture."""

    DECLINED = "declined"
    CANCELED = "canceled"
    EXPIRED = "expired"
    FAILED = "failed"
    # Of an attempt that a restored database has lost, and that Stripe knows nothing of.
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What every fact says. `corridor` names the Stripe account, `currency` is upper-case ISO 4217.

    `effective_time` is when it happened at Stripe, with its time zone; it is not part of the
    fact's identity, because an answer and a webhook about one thing may differ by a second.

    Raises ValueError for a name, currency, time or amount that cannot be booked.
    """

    # Names of amount fields that are not simply positive.
    MAY_BE_ZERO: ClassVar[frozenset[str]] = frozenset()
    SIGNED: ClassVar[frozenset[str]] = frozenset()

    corridor: str
    currency: str
    effective_time: datetime

    def __post_init__(self) -> None:
        if not _CURRENCY.fullmatch(self.currency):
            raise ValueError(f"currency must be upper-case ISO 4217, is {self.currency!r}")
        if self.effective_time.tzinfo is None:
            raise ValueError("effective_time must have a time zone")
        for field in fields(self):
            value = getattr(self, field.name)
            named = field.name == "corridor" or field.name.endswith("_id")
            if named and not _NAME.fullmatch(value):
                raise ValueError(f"{field.name} must be 1 to 64 of [A-Za-z0-9_-], is {value!r}")
            if not field.name.endswith("_minor"):
                continue
            if (value == 0 and field.name not in self.MAY_BE_ZERO) or (
                value < 0 and field.name not in self.SIGNED
            ):
                raise ValueError(f"{field.name} of {type(self).__name__} cannot be {value}")

    @property
    def id(self) -> str:
        """The fact's identity: the same for every report of it, different for any other fact."""
        raise NotImplementedError

    @property
    def subject(self) -> str:
        """What it is about. Facts of one subject are booked in the order they were reported."""
        raise NotImplementedError

    @property
    def requires(self) -> str | None:
        """The id of the fact that must have been reported before this one."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFact(Fact):
    """A fact about one payment of one merchant."""

    payment_id: str
    merchant_id: str

    @property
    def subject(self) -> str:
        return f"payment.{self.payment_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPlaced(PaymentFact):
    """Authorising starts: `amount_minor` may soon be charged.

    `hold_id` is one attempt to authorise (the authorize operation's id, which is new when the
    payer tries again with another card). Report it before the first byte goes to Stripe.
    """

    hold_id: str
    amount_minor: int

    @property
    def id(self) -> str:
        return f"{HOLD_PREFIX}{self.hold_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased(PaymentFact):
    """The attempt ended with nothing charged; `amount_minor` is what the hold held.

    Never report it while the outcome is UNKNOWN.
    """

    hold_id: str
    amount_minor: int
    reason: ReleaseReason

    @property
    def id(self) -> str:
        return f"{RELEASED_PREFIX}{self.hold_id}"

    @property
    def requires(self) -> str:
        return f"{HOLD_PREFIX}{self.hold_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldForgotten(PaymentFact):
    """A hold that stands in the ledger, of an attempt that the database has lost and of which
    Stripe has nothing; `amount_minor` is what it held.

    No fact of ours has reported the hold: the ledger has it under `hold_revision`. The same attempt
    may be made once more; then its hold is placed anew, under its next request id.
    """

    hold_id: str
    hold_revision: int
    amount_minor: int
    reason: ReleaseReason = ReleaseReason.FORGOTTEN

    @property
    def id(self) -> str:
        return f"{FORGOTTEN_PREFIX}{self.hold_id}.{self.hold_revision}"

    @property
    def hold(self) -> str:
        """The id of the fact that placed the hold."""
        return f"{HOLD_PREFIX}{self.hold_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured(PaymentFact):
    """`amount_minor` of the hold was charged, by automatic or manual capture, in full or in part.

    `final` says that the rest of the hold is released, which is what Stripe does unless a
    multicapture asks otherwise; `capture_number` counts the captures of one hold from 1.
    """

    hold_id: str
    charge_id: str
    amount_minor: int
    capture_number: int = 1
    final: bool = True

    @property
    def id(self) -> str:
        return f"{CAPTURED_PREFIX}{self.hold_id}.{self.capture_number}"

    @property
    def requires(self) -> str:
        return f"{HOLD_PREFIX}{self.hold_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeCharged(PaymentFact):
    """Stripe's fee for a charge, read from the balance transaction that `charge.updated` names.

    `currency` is the fee's own (the settlement currency). `amount_minor` below zero is a fee that
    Stripe gave back. A fee of zero moves nothing: do not report it.
    """

    SIGNED: ClassVar[frozenset[str]] = frozenset({"amount_minor"})

    balance_transaction_id: str
    charge_id: str
    amount_minor: int

    @property
    def id(self) -> str:
        return f"fee.{self.balance_transaction_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted(PaymentFact):
    """Stripe settled a charge or a refund in another currency than it was made in.

    `amount_minor` of `currency` became `settled_minor` of `settled_currency`, both without sign,
    the latter zero where less than a minor unit is left; `incoming` is true for a charge or a
    failed refund and false for a refund, `balance` the part that the amount was booked in. Read
    from the balance transaction (its `currency`, `amount` and `exchange_rate`).
    """

    MAY_BE_ZERO: ClassVar[frozenset[str]] = frozenset({"settled_minor"})

    balance_transaction_id: str
    amount_minor: int
    settled_minor: int
    settled_currency: str
    incoming: bool = True
    balance: StripeBalance = StripeBalance.PENDING

    def __post_init__(self) -> None:
        Fact.__post_init__(self)
        if not _CURRENCY.fullmatch(self.settled_currency):
            raise ValueError(f"settled_currency is not ISO 4217: {self.settled_currency!r}")
        if self.settled_currency == self.currency:
            raise ValueError("a conversion needs two currencies")

    @property
    def id(self) -> str:
        return f"converted.{self.balance_transaction_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundCreated(PaymentFact):
    """Stripe took a refund from its balance; `balance` says from which part.

    Stripe takes refunds from the available balance: https://docs.stripe.com/refunds
    """

    refund_id: str
    amount_minor: int
    balance: StripeBalance = StripeBalance.AVAILABLE

    @property
    def id(self) -> str:
        return f"refund.{self.refund_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFailed(PaymentFact):
    """A refund that had been taken from the balance came back, whole (`refund.failed`)."""

    refund_id: str
    amount_minor: int

    @property
    def id(self) -> str:
        return f"refund_failed.{self.refund_id}"

    @property
    def requires(self) -> str:
        return f"refund.{self.refund_id}"
