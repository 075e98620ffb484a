"""Facts about Stripe's balance that come after a charge: transfers, disputes, payouts, the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gateway.bookkeeping.facts import Fact, PaymentFact, StripeBalance


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferCreated(PaymentFact):
    """Money of a destination charge went on to the merchant's own Stripe account."""

    transfer_id: str
    amount_minor: int
    balance: StripeBalance = StripeBalance.PENDING

    @property
    def id(self) -> str:
        return f"transfer.{self.transfer_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationFeeEarned(PaymentFact):
    """The platform's fee came back from the merchant's Stripe account."""

    application_fee_id: str
    amount_minor: int
    balance: StripeBalance = StripeBalance.PENDING

    @property
    def id(self) -> str:
        return f"application_fee.{self.application_fee_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferReversed(PaymentFact):
    """Money of a transfer came back from the merchant's Stripe account, with a refund as a rule."""

    transfer_id: str
    balance_transaction_id: str
    amount_minor: int
    balance: StripeBalance = StripeBalance.PENDING

    @property
    def id(self) -> str:
        return f"transfer_reversed.{self.balance_transaction_id}"

    @property
    def requires(self) -> str:
        return f"transfer.{self.transfer_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationFeeReturned(PaymentFact):
    """The platform gave its fee back, whole or in part."""

    application_fee_id: str
    balance_transaction_id: str
    amount_minor: int
    balance: StripeBalance = StripeBalance.PENDING

    @property
    def id(self) -> str:
        return f"application_fee_returned.{self.balance_transaction_id}"

    @property
    def requires(self) -> str:
        return f"application_fee.{self.application_fee_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeOpened(PaymentFact):
    """Stripe withdrew a disputed amount and its fee (the dispute's first balance transaction).

    An inquiry has no balance transaction and is no fact.
    """

    MAY_BE_ZERO: ClassVar[frozenset[str]] = frozenset({"fee_minor"})

    dispute_id: str
    amount_minor: int
    fee_minor: int = 0
    balance: StripeBalance = StripeBalance.AVAILABLE

    @property
    def id(self) -> str:
        return f"dispute.{self.dispute_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeWon(PaymentFact):
    """Stripe reinstated a disputed amount; `fee_minor` is what it gave back of its fee.

    `was_lost` if DisputeLost came first: an appeal was won.
    """

    MAY_BE_ZERO: ClassVar[frozenset[str]] = frozenset({"fee_minor"})

    dispute_id: str
    amount_minor: int
    fee_minor: int = 0
    was_lost: bool = False
    balance: StripeBalance = StripeBalance.AVAILABLE

    @property
    def id(self) -> str:
        return f"dispute_won.{self.dispute_id}"

    @property
    def requires(self) -> str:
        return f"{'dispute_lost' if self.was_lost else 'dispute'}.{self.dispute_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeLost(PaymentFact):
    """The dispute was decided for the cardholder: the amount held becomes the merchant's loss."""

    dispute_id: str
    amount_minor: int

    @property
    def id(self) -> str:
        return f"dispute_lost.{self.dispute_id}"

    @property
    def requires(self) -> str:
        return f"dispute.{self.dispute_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FundsAvailable(Fact):
    """A balance transaction's net went from Stripe's pending to its available balance.

    `amount_minor` has the balance transaction's sign (a refund's is below zero).
    """

    SIGNED: ClassVar[frozenset[str]] = frozenset({"amount_minor"})

    balance_transaction_id: str
    amount_minor: int

    @property
    def id(self) -> str:
        return f"available.{self.balance_transaction_id}"

    @property
    def subject(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutFact(Fact):
    """A fact about one payout from Stripe's available balance to the bank.

    `amount_minor` is below zero where Stripe takes from the bank: for a balance below zero, and
    to reverse a payout.
    """

    SIGNED: ClassVar[frozenset[str]] = frozenset({"amount_minor"})

    payout_id: str

    @property
    def subject(self) -> str:
        return f"payout.{self.payout_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutCreated(PayoutFact):
    """The amount left Stripe's available balance for the bank."""

    amount_minor: int

    @property
    def id(self) -> str:
        return f"payout.{self.payout_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutPaid(PayoutFact):
    """The bank has the amount. Stripe may still report a failure later."""

    amount_minor: int

    @property
    def id(self) -> str:
        return f"payout_paid.{self.payout_id}"

    @property
    def requires(self) -> str:
        return f"payout.{self.payout_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutFailed(PayoutFact):
    """The amount came back to Stripe's available balance; `was_paid` if PayoutPaid came first."""

    amount_minor: int
    was_paid: bool = False

    @property
    def id(self) -> str:
        return f"payout_failed.{self.payout_id}"

    @property
    def requires(self) -> str:
        return f"{'payout_paid' if self.was_paid else 'payout'}.{self.payout_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFeeCharged(Fact):
    """A fee of Stripe's that belongs to no charge: for the account, or beside another movement.

    `type` is the balance transaction's. `amount_minor` below zero is a fee that came back.
    """

    SIGNED: ClassVar[frozenset[str]] = frozenset({"amount_minor"})

    balance_transaction_id: str
    type: str
    amount_minor: int
    balance: StripeBalance = StripeBalance.PENDING

    @property
    def id(self) -> str:
        return f"fee.{self.balance_transaction_id}"

    @property
    def subject(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class ToppedUp(Fact):
    """Money came from the bank into Stripe's balance; below zero when it went back."""

    SIGNED: ClassVar[frozenset[str]] = frozenset({"amount_minor"})

    balance_transaction_id: str
    amount_minor: int
    balance: StripeBalance = StripeBalance.PENDING

    @property
    def id(self) -> str:
        return f"topup.{self.balance_transaction_id}"

    @property
    def subject(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownBalanceTransaction(Fact):
    """A balance transaction of a type that no other fact describes: it goes to suspense.

    `amount_minor` is its net with its sign; `type` is Stripe's word for it.
    """

    SIGNED: ClassVar[frozenset[str]] = frozenset({"amount_minor"})

    balance_transaction_id: str
    type: str
    amount_minor: int
    balance: StripeBalance = StripeBalance.PENDING

    @property
    def id(self) -> str:
        return f"unknown.{self.balance_transaction_id}"

    @property
    def subject(self) -> str:
        return self.id
