"""Kinds of payment methods and what each can do: rules over gateway/data/payment_methods.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parents[2] / "data" / "payment_methods.toml"


class PaymentMethodType(StrEnum):
    """The names of gateway.v1.PaymentMethodType; in lower case Stripe's."""

    CARD = "CARD"
    US_BANK_ACCOUNT = "US_BANK_ACCOUNT"
    SEPA_DEBIT = "SEPA_DEBIT"
    BACS_DEBIT = "BACS_DEBIT"
    AU_BECS_DEBIT = "AU_BECS_DEBIT"
    ACSS_DEBIT = "ACSS_DEBIT"

    @property
    def at_stripe(self) -> str:
        """Stripe's name."""
        return self.value.lower()

    @property
    def is_bank_debit(self) -> bool:
        """Whether a bank decides about it within days."""
        return self is not PaymentMethodType.CARD


@dataclass(frozen=True, slots=True)
class BankDebit:
    """One row of the data; `currencies` in upper case."""

    currencies: tuple[str, ...]
    mandate_with_payment: bool
    source: str


@dataclass(frozen=True, slots=True)
class MandateAcceptance:
    """That the customer accepted a mandate: online from an address and a browser, or offline."""

    ip_address: str = ""
    user_agent: str = ""
    # In seconds since the epoch, as Stripe takes it.
    accepted_at: int | None = None


def read_bank_debits(path: Path = _DATA) -> Mapping[PaymentMethodType, BankDebit]:
    """The rows of the data. Raises KeyError or ValueError if one is not sound."""
    data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        PaymentMethodType(row["type"].upper()): BankDebit(
            tuple(row["currencies"]), row["mandate_with_payment"], row["source"]
        )
        for row in data["bank_debit"]
    }


BANK_DEBITS = read_bank_debits()


def type_at_stripe(intent: Mapping[str, Any]) -> PaymentMethodType:
    """What a PaymentIntent of ours was made for."""
    names = intent.get("allowed_payment_method_types") or intent.get("payment_method_types") or ()
    for name in names:
        if name.upper() in PaymentMethodType.__members__:
            return PaymentMethodType(name.upper())
    return PaymentMethodType.CARD


def mandate_params(acceptance: MandateAcceptance) -> dict[str, Any]:
    """https://docs.stripe.com/api/payment_intents/create#create_payment_intent-mandate_data."""
    customer_acceptance: dict[str, Any] = {"type": "offline", "offline": {}}
    if acceptance.ip_address:
        customer_acceptance = {
            "type": "online",
            "online": {
                "ip_address": acceptance.ip_address,
                "user_agent": acceptance.user_agent,
            },
        }
    if acceptance.accepted_at is not None:
        customer_acceptance["accepted_at"] = acceptance.accepted_at
    return {"customer_acceptance": customer_acceptance}
