"""What a payment's steps mean for the books: holds, their release, captures, refunds; and Stripe's
fee, read from the charge's balance transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.bookkeeping.facts import (
    Captured,
    Fact,
    HoldPlaced,
    HoldReleased,
    RefundCreated,
    RefundFailed,
    ReleaseReason,
    StripeBalance,
)
from gateway.bookkeeping.settlement import SettledCharge, settlement_facts
from gateway.money import from_stripe
from gateway.payments.domain.payment import Change, Payment, take
from gateway.payments.domain.refund import Refund
from gateway.payments.domain.states import Transition
from gateway.stripe_times import made_time, time_of

_REASONS = {
    Transition.DECLINED: ReleaseReason.DECLINED,
    Transition.CANCELED: ReleaseReason.CANCELED,
    Transition.EXPIRED: ReleaseReason.EXPIRED,
    Transition.FAILED: ReleaseReason.FAILED,
    Transition.QUEUED: ReleaseReason.FAILED,
    Transition.FAILED_OVER: ReleaseReason.FAILED,
    Transition.RETRY_SCHEDULED: ReleaseReason.DECLINED,
    Transition.RETRY_POSTPONED: ReleaseReason.FAILED,
}


def facts_of(change: Change, now: datetime) -> list[Fact]:
    """The facts of one step, in order, with the time that Stripe gives it; without any, with that
    of the step."""
    if change.before is None:
        return []
    before, after = change.before, change.after
    when = change.effective_time or now
    facts: list[Fact] = []
    if after.hold_id and after.hold_id != before.hold_id:
        facts.append(hold_placed(after, after.hold_id, when))
    captured = change.transition == Transition.CAPTURED
    if captured:
        when = after.capture_time or when
        hold_id = before.hold_id
        if not hold_id:
            # A charge that surfaces after its hold was released: it gets a hold of its own, unless
            # the ledger knows one that the database has lost.
            hold_id = change.surfaced_hold_id or after.payment_intent_id
            facts.append(hold_placed(after, hold_id, when))
        facts.append(
            Captured(
                corridor=after.corridor,
                currency=after.currency,
                effective_time=when,
                payment_id=after.id,
                merchant_id=after.merchant_id,
                hold_id=hold_id,
                charge_id=after.charge_id,
                amount_minor=after.captured_minor,
            )
        )
    elif before.hold_id and not after.hold_id:
        facts.append(
            HoldReleased(
                # A failover leads away from the account that the hold was placed at.
                corridor=before.corridor,
                currency=after.currency,
                effective_time=when,
                payment_id=after.id,
                merchant_id=after.merchant_id,
                hold_id=before.hold_id,
                amount_minor=before.amount_minor,
                reason=_REASONS[Transition(change.transition)],
            )
        )
    return facts


def facts_of_refund(payment: Payment, before: Refund, after: Refund, now: datetime) -> list[Fact]:
    """The facts when a refund became another: it left Stripe's balance, it came back. Until it has
    a balance transaction nothing has moved, whatever its state; `now` is for those of which Stripe
    does not tell when."""
    facts: list[Fact] = []
    if after.taken and not before.taken:
        facts.append(
            RefundCreated(
                corridor=payment.corridor,
                currency=payment.currency,
                effective_time=after.take_time or now,
                payment_id=payment.id,
                merchant_id=payment.merchant_id,
                refund_id=after.stripe_refund_id,
                amount_minor=after.amount_minor,
                balance=StripeBalance(after.balance),
            )
        )
    if after.returned and not before.returned:
        facts.append(
            RefundFailed(
                corridor=payment.corridor,
                currency=payment.currency,
                effective_time=after.return_time or now,
                payment_id=payment.id,
                merchant_id=payment.merchant_id,
                refund_id=after.stripe_refund_id,
                amount_minor=after.amount_minor,
            )
        )
    return facts


def hold_placed(payment: Payment, hold_id: str, when: datetime) -> HoldPlaced:
    """That a hold of the whole payment was placed at its corridor then."""
    return HoldPlaced(
        corridor=payment.corridor,
        currency=payment.currency,
        effective_time=when,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        hold_id=hold_id,
        amount_minor=payment.amount_minor,
    )


@dataclass(frozen=True, slots=True)
class ChargeFee:
    """What a charge's balance transaction says; `currency` is that of the settlement.

    A destination charge also names its transfer and the application fee that came back, in the
    charge's own currency.
    """

    balance_transaction_id: str
    charge_id: str
    currency: str
    fee_minor: int
    settled_minor: int
    available: bool
    transfer_id: str
    transfer_minor: int
    application_fee_id: str
    application_fee_minor: int
    # When the balance transaction was made, and when its net counts as available.
    create_time: datetime | None = None
    available_time: datetime | None = None


def fee_of(charge: Mapping[str, Any]) -> ChargeFee | None:
    """The fee of a charge whose balance transaction is expanded; None while there is none.
    Raises PartOfMinorUnitError."""
    transaction = charge.get("balance_transaction")
    if not isinstance(transaction, Mapping):
        return None
    currency, settled_in = str(charge["currency"]), str(transaction["currency"])
    captured = int(charge["amount_captured"])
    transfer = min(int((charge.get("transfer_data") or {}).get("amount") or captured), captured)
    application_fee = min(int(charge.get("application_fee_amount") or 0), transfer)
    return ChargeFee(
        balance_transaction_id=str(transaction["id"]),
        charge_id=str(charge["id"]),
        currency=settled_in.upper(),
        fee_minor=from_stripe(settled_in, int(transaction["fee"])),
        settled_minor=from_stripe(settled_in, int(transaction["amount"])),
        available=transaction["status"] == "available",
        transfer_id=str(charge.get("transfer") or ""),
        transfer_minor=from_stripe(currency, transfer),
        application_fee_id=str(charge.get("application_fee") or ""),
        application_fee_minor=from_stripe(currency, application_fee),
        create_time=made_time(transaction),
        available_time=time_of(transaction.get("available_on")),
    )


def is_fee_of(payment: Payment, fee: ChargeFee) -> bool:
    """Whether the fee is of the charge that a payment which succeeded was captured by."""
    return payment.charge_id in ("", fee.charge_id)


def fee_step(payment: Payment, fee: ChargeFee, now: datetime) -> Change:
    """The step by which a payment's fee becomes known."""
    return take(
        payment,
        Transition.FEE_KNOWN,
        now,
        fee_minor=fee.fee_minor,
        fee_currency=fee.currency,
        charge_id=payment.charge_id or fee.charge_id,
    )


def fee_facts(payment: Payment, fee: ChargeFee, now: datetime) -> list[Fact]:
    """The facts for the books: conversion, fee, availability, and what a destination received, with
    the time of the payment's capture. `now` is for what has no time at all.

    What went on of a charge that was converted is not told by the charge: it is left out.
    """
    told = fee.currency == payment.currency
    return settlement_facts(
        SettledCharge(
            corridor=payment.corridor,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            charge_id=fee.charge_id,
            currency=payment.currency,
            captured_minor=payment.captured_minor,
            balance_transaction_id=fee.balance_transaction_id,
            settled_currency=fee.currency,
            settled_minor=fee.settled_minor,
            fee_minor=fee.fee_minor,
            available=fee.available,
            effective_time=payment.capture_time or fee.create_time or now,
            available_time=fee.available_time,
            transfer_id=fee.transfer_id if told else "",
            transfer_minor=fee.transfer_minor,
            application_fee_id=fee.application_fee_id if told else "",
            application_fee_minor=fee.application_fee_minor,
        )
    )
