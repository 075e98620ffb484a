"""Stripe's fee for a charge, read from the charge's balance transaction.

With Stripe's default capture the balance transaction is missing in the answer to a charge and
comes with `charge.updated`: https://docs.stripe.com/payments/payment-intents/asynchronous-capture
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.bookkeeping.facts import Fact
from gateway.bookkeeping.settlement import SettledCharge, settlement_facts
from gateway.payments.payment import Change, Payment, take
from gateway.payments.states import Transition


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


def fee_of(charge: Mapping[str, Any]) -> ChargeFee | None:
    """The fee of a charge whose balance transaction is expanded; None while there is none."""
    transaction = charge.get("balance_transaction")
    if not isinstance(transaction, Mapping):
        return None
    captured = int(charge["amount_captured"])
    transfer = min(int((charge.get("transfer_data") or {}).get("amount") or captured), captured)
    return ChargeFee(
        balance_transaction_id=str(transaction["id"]),
        charge_id=str(charge["id"]),
        currency=str(transaction["currency"]).upper(),
        fee_minor=int(transaction["fee"]),
        settled_minor=int(transaction["amount"]),
        available=transaction["status"] == "available",
        transfer_id=str(charge.get("transfer") or ""),
        transfer_minor=transfer,
        application_fee_id=str(charge.get("application_fee") or ""),
        application_fee_minor=min(int(charge.get("application_fee_amount") or 0), transfer),
    )


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
    """The facts for the books: conversion, fee, availability, and what a destination received.

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
            effective_time=now,
            transfer_id=fee.transfer_id if told else "",
            transfer_minor=fee.transfer_minor,
            application_fee_id=fee.application_fee_id if told else "",
            application_fee_minor=fee.application_fee_minor,
        )
    )
