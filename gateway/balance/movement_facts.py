"""The facts of a balance transaction beyond those of its charge, refund or dispute. Pure.

What is booked first goes to the part of the balance that is decided by what never changes, so that
whoever reports it says the same; what has become available since is a fact of its own.

A fact is effective when its balance transaction was made, and availability from `available_on` on.
What went on of a charge, and the fee that came back, were made with the charge: they have the time
of its capture, `when`, as all that settles with it.
"""

from datetime import datetime
from typing import Any

from gateway.balance.movement import REFUNDS, Movement
from gateway.balance.types import TYPES
from gateway.bookkeeping.balance_facts import (
    AccountFeeCharged,
    AccountMoved,
    ApplicationFeeEarned,
    ApplicationFeeReturned,
    DebitMoved,
    FundsAvailable,
    ToppedUp,
    TransferCreated,
    TransferReversed,
    UnknownBalanceTransaction,
)
from gateway.bookkeeping.chart import Contra
from gateway.bookkeeping.facts import Converted, Fact, StripeBalance


def debit_moved(
    movement: Movement, charge_id: str, payment_id: str, merchant_id: str
) -> DebitMoved:
    """A bank debit was submitted, or taken out of the balance because its bank refused."""
    return DebitMoved(
        **_about(movement),
        payment_id=payment_id,
        merchant_id=merchant_id,
        balance_transaction_id=movement.id,
        charge_id=charge_id,
        amount_minor=movement.amount_minor,
        fee_minor=movement.fee_minor,
        balance=movement.begins_in,
    )


def refund_facts(
    movement: Movement,
    *,
    payment_id: str,
    merchant_id: str,
    currency: str,
    refunded_minor: int,
    balance: StripeBalance,
) -> list[Fact]:
    """What follows a refund, or its failure, that was booked in the payment's currency.

    `balance` is the part that the refund was booked in.
    """
    facts: list[Fact] = []
    if movement.currency != currency:
        facts.append(
            Converted(
                corridor=movement.corridor,
                currency=currency,
                effective_time=movement.create_time,
                payment_id=payment_id,
                merchant_id=merchant_id,
                balance_transaction_id=movement.id,
                amount_minor=refunded_minor,
                settled_minor=abs(movement.amount_minor),
                settled_currency=movement.currency,
                incoming=movement.type not in REFUNDS,
                balance=balance,
            )
        )
    return facts + beside(movement, balance)


def transfer_facts(
    movement: Movement,
    transfer_id: str,
    payment_id: str,
    merchant_id: str,
    when: datetime | None = None,
) -> list[Fact]:
    """The money of a destination charge went on."""
    created = TransferCreated(
        **_about(movement, when),
        payment_id=payment_id,
        merchant_id=merchant_id,
        transfer_id=transfer_id,
        amount_minor=-movement.amount_minor,
    )
    return [created, *beside(movement, created.balance)]


def transfer_reversal_facts(
    movement: Movement, transfer_id: str, payment_id: str, merchant_id: str
) -> list[Fact]:
    """Some of it came back."""
    reversed_ = TransferReversed(
        **_about(movement),
        payment_id=payment_id,
        merchant_id=merchant_id,
        transfer_id=transfer_id,
        balance_transaction_id=movement.id,
        amount_minor=movement.amount_minor,
        balance=movement.begins_in,
    )
    return [reversed_, *beside(movement, reversed_.balance)]


def application_fee_facts(
    movement: Movement,
    application_fee_id: str,
    payment_id: str,
    merchant_id: str,
    when: datetime | None = None,
) -> list[Fact]:
    """The platform's fee of a destination charge."""
    earned = ApplicationFeeEarned(
        **_about(movement, when),
        payment_id=payment_id,
        merchant_id=merchant_id,
        application_fee_id=application_fee_id,
        amount_minor=movement.amount_minor,
    )
    return [earned, *beside(movement, earned.balance)]


def application_fee_refund_facts(
    movement: Movement, application_fee_id: str, payment_id: str, merchant_id: str
) -> list[Fact]:
    """Some of that fee was given back."""
    returned = ApplicationFeeReturned(
        **_about(movement),
        payment_id=payment_id,
        merchant_id=merchant_id,
        application_fee_id=application_fee_id,
        balance_transaction_id=movement.id,
        amount_minor=-movement.amount_minor,
        balance=movement.begins_in,
    )
    return [returned, *beside(movement, returned.balance)]


def account_facts(movement: Movement) -> list[Fact]:
    """What moved besides payments, against the account of its type; what has none goes to
    suspense."""
    about = {**_about(movement), "balance_transaction_id": movement.id}
    begins_in = movement.begins_in
    contra = TYPES.account(movement.type, movement.reporting_category)
    if contra not in (None, Contra.FEES) and movement.amount_minor:
        moved: dict[str, Any] = {"amount_minor": movement.amount_minor, "balance": begins_in}
        booked: Fact = (
            ToppedUp(**about, **moved)
            if contra is Contra.BANK
            else AccountMoved(**about, **moved, type=movement.type, contra=contra)
        )
        return [booked, *beside(movement, begins_in)]
    if movement.net_minor == 0:
        return []
    if contra is not None:
        booked = AccountFeeCharged(
            **about, type=movement.type, amount_minor=-movement.net_minor, balance=begins_in
        )
    else:
        booked = UnknownBalanceTransaction(
            **about, type=movement.type, amount_minor=movement.net_minor, balance=begins_in
        )
    return [booked, *become_available(movement)]


def beside(movement: Movement, balance: StripeBalance) -> list[Fact]:
    """The fee of a movement whose gross amount was booked in `balance`, and what of both has
    become available."""
    facts: list[Fact] = []
    pending_minor = movement.amount_minor if balance is StripeBalance.PENDING else 0
    if movement.fee_minor:
        facts.append(
            AccountFeeCharged(
                **_about(movement),
                balance_transaction_id=movement.id,
                type=movement.type,
                amount_minor=movement.fee_minor,
                balance=movement.begins_in,
            )
        )
        if movement.begins_in is StripeBalance.PENDING:
            pending_minor -= movement.fee_minor
    return facts + _available(movement, pending_minor)


def become_available(movement: Movement) -> list[Fact]:
    """What has become available of a movement whose net was booked where it begins."""
    begins_pending = movement.begins_in is StripeBalance.PENDING
    return _available(movement, movement.net_minor if begins_pending else 0)


def _available(movement: Movement, pending_minor: int) -> list[Fact]:
    if movement.counts_in is StripeBalance.PENDING or pending_minor == 0:
        return []
    about = _about(movement, max(movement.create_time, movement.available_time))
    return [FundsAvailable(**about, balance_transaction_id=movement.id, amount_minor=pending_minor)]


def _about(movement: Movement, when: datetime | None = None) -> dict[str, Any]:
    return {
        "corridor": movement.corridor,
        "currency": movement.currency,
        "effective_time": when or movement.create_time,
    }
