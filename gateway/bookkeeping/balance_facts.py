"""Facts about Stripe's balance that come after a charge: transfers, disputes, payouts, the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gateway.bookkeeping.chart import Contra
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
class DebitMoved(PaymentFact):
    """One balance transaction of a bank debit: Stripe counts a debit in its balance as soon as it
    is submitted, days before the bank pays or refuses, and takes one that was refused out again.

    `amount_minor` and `fee_minor` are the balance transaction's, with their signs: above zero what
    was submitted, below zero what was taken out. Whether the bank has paid by then says nothing
    about it.
    """

    MAY_BE_ZERO: ClassVar[frozenset[str]] = frozenset({"fee_minor"})
    SIGNED: ClassVar[frozenset[str]] = frozenset({"amount_minor", "fee_minor"})

    balance_transaction_id: str
    charge_id: str
    amount_minor: int
    fee_minor: int = 0
    balance: StripeBalance = StripeBalance.PENDING

    @property
    def id(self) -> str:
        return f"debit_moved.{self.balance_transaction_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebitSettled(PaymentFact):
    """The bank has paid a bank debit: what was submitted is booked as a capture with its fee, in
    place of what `DebitMoved` said of the same balance transaction."""

    balance_transaction_id: str
    amount_minor: int

    @property
    def id(self) -> str:
        return f"debit_settled.{self.balance_transaction_id}"

    @property
    def requires(self) -> str:
        return f"debit_moved.{self.balance_transaction_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeMoved(PaymentFact):
    """One balance transaction of a dispute, of which there may be any number.

    `amount_minor` has the balance transaction's sign: below zero Stripe withdrew, above zero it
    reinstated; `fee_minor` is Stripe's fee beside it, below zero what came back of one. One of
    them may be zero. What the dispute's state is says nothing about it.
    """

    MAY_BE_ZERO: ClassVar[frozenset[str]] = frozenset({"amount_minor", "fee_minor"})
    SIGNED: ClassVar[frozenset[str]] = frozenset({"amount_minor", "fee_minor"})

    dispute_id: str
    balance_transaction_id: str
    amount_minor: int
    fee_minor: int = 0
    balance: StripeBalance = StripeBalance.AVAILABLE

    def __post_init__(self) -> None:
        Fact.__post_init__(self)
        if self.amount_minor == 0 == self.fee_minor:
            raise ValueError("amount_minor and fee_minor of DisputeMoved cannot both be 0")

    @property
    def id(self) -> str:
        return f"dispute_moved.{self.balance_transaction_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeDecided(PaymentFact):
    """The dispute was won, lost or prevented: what one of its balance transactions moved is the
    merchant's for good.

    `amount_minor` is that balance transaction's, with its sign. One fact for each, and not one of
    their sum, because some may come to be known, or be made, after the decision.
    """

    SIGNED: ClassVar[frozenset[str]] = frozenset({"amount_minor"})

    dispute_id: str
    balance_transaction_id: str
    amount_minor: int

    @property
    def id(self) -> str:
        return f"dispute_decided.{self.balance_transaction_id}"

    @property
    def requires(self) -> str:
        return f"dispute_moved.{self.balance_transaction_id}"


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
class AccountMoved(Fact):
    """Money moved for a reason besides payments that the balance transaction's type tells: a
    reserve, an advance, an issued card.

    `amount_minor` is the balance transaction's with its sign, without its fee; `type` is Stripe's
    word for it, and `contra` the account that this release books such a type against.
    """

    SIGNED: ClassVar[frozenset[str]] = frozenset({"amount_minor"})

    balance_transaction_id: str
    type: str
    contra: Contra
    amount_minor: int
    balance: StripeBalance = StripeBalance.PENDING

    @property
    def id(self) -> str:
        return f"moved.{self.balance_transaction_id}"

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
