"""What the balance transaction of a charge means: conversion, fee, what went on, availability.

Stripe reports it with `charge.updated`, after the capture. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.bookkeeping.balance_facts import (
    ApplicationFeeEarned,
    DebitMoved,
    DebitSettled,
    FundsAvailable,
    TransferCreated,
)
from gateway.bookkeeping.facts import Converted, Fact, FeeCharged, StripeBalance


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledCharge:
    """A captured charge and its balance transaction (`charge.balance_transaction`, expanded).

    `currency` and `captured_minor` are the charge's; `settled_currency`, `settled_minor`,
    `fee_minor` and `available` the balance transaction's `currency`, `amount`, `fee` and whether
    its `status` is "available". Currencies are upper-case ISO 4217, amounts minor units. Ids of
    the transfer and the application fee of a destination charge are empty where it has none.

    `effective_time` is that of the capture, and so of all that settles with it: a period that
    ends between capture and fee would have the one without the other. `available_time` is the
    balance transaction's `available_on`, "the date that the transaction's net funds become
    available" (https://docs.stripe.com/api/balance_transactions/object).
    """

    corridor: str
    payment_id: str
    merchant_id: str
    charge_id: str
    currency: str
    captured_minor: int
    balance_transaction_id: str
    settled_currency: str
    settled_minor: int
    fee_minor: int
    available: bool
    effective_time: datetime
    available_time: datetime | None = None
    transfer_id: str = ""
    transfer_minor: int = 0
    application_fee_id: str = ""
    application_fee_minor: int = 0


def settlement_facts(charge: SettledCharge) -> list[Fact]:
    """The facts to report, in order, after the charge's capture. Reporting them again is safe."""
    when = charge.effective_time
    facts: list[Fact] = []
    if charge.settled_currency != charge.currency:
        facts.append(
            Converted(
                corridor=charge.corridor,
                payment_id=charge.payment_id,
                merchant_id=charge.merchant_id,
                currency=charge.currency,
                effective_time=when,
                balance_transaction_id=charge.balance_transaction_id,
                amount_minor=charge.captured_minor,
                settled_minor=charge.settled_minor,
                settled_currency=charge.settled_currency,
            )
        )
    if charge.fee_minor:
        facts.append(
            FeeCharged(
                corridor=charge.corridor,
                payment_id=charge.payment_id,
                merchant_id=charge.merchant_id,
                currency=charge.settled_currency,
                effective_time=when,
                balance_transaction_id=charge.balance_transaction_id,
                charge_id=charge.charge_id,
                amount_minor=charge.fee_minor,
            )
        )
    net_minor = charge.settled_minor - charge.fee_minor
    if charge.available and net_minor:
        facts.append(
            FundsAvailable(
                corridor=charge.corridor,
                currency=charge.settled_currency,
                effective_time=max(when, charge.available_time or when),
                balance_transaction_id=charge.balance_transaction_id,
                amount_minor=net_minor,
            )
        )
    if charge.transfer_id and charge.transfer_minor:
        facts.append(
            TransferCreated(
                corridor=charge.corridor,
                payment_id=charge.payment_id,
                merchant_id=charge.merchant_id,
                currency=charge.settled_currency,
                effective_time=when,
                transfer_id=charge.transfer_id,
                amount_minor=charge.transfer_minor,
            )
        )
    if charge.application_fee_id and charge.application_fee_minor:
        facts.append(
            ApplicationFeeEarned(
                corridor=charge.corridor,
                payment_id=charge.payment_id,
                merchant_id=charge.merchant_id,
                currency=charge.settled_currency,
                effective_time=when,
                application_fee_id=charge.application_fee_id,
                amount_minor=charge.application_fee_minor,
            )
        )
    return facts


def settled_debit(
    moved: DebitMoved, currency: str, captured_minor: int, when: datetime
) -> list[Fact]:
    """The facts to report, in order, after the capture of a bank debit that `moved` before:
    `captured_minor` of the payment's `currency`, captured `when`. Reporting them again is safe."""
    assert moved.amount_minor > 0, "what was taken out is never captured"
    settled = DebitSettled(
        corridor=moved.corridor,
        payment_id=moved.payment_id,
        merchant_id=moved.merchant_id,
        currency=moved.currency,
        effective_time=when,
        balance_transaction_id=moved.balance_transaction_id,
        amount_minor=moved.amount_minor,
    )
    charge = SettledCharge(
        corridor=moved.corridor,
        payment_id=moved.payment_id,
        merchant_id=moved.merchant_id,
        charge_id=moved.charge_id,
        currency=currency,
        captured_minor=captured_minor,
        balance_transaction_id=moved.balance_transaction_id,
        settled_currency=moved.currency,
        settled_minor=moved.amount_minor,
        fee_minor=moved.fee_minor,
        # Of what was pending the sweep says when it became available.
        available=moved.balance is StripeBalance.AVAILABLE,
        effective_time=when,
    )
    return [settled, *settlement_facts(charge)]
