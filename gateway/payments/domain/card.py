"""The card behind a charge, in Stripe's words: what kind it is, and which, without its number.

https://docs.stripe.com/api/charges/object#charge_object-payment_method_details-card
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Card:
    """What many cards have in common; empty where Stripe says nothing."""

    # "visa", "mastercard": the network that the charge went through, else the card's brand.
    network: str = ""
    # "credit", "debit" or "prepaid".
    funding: str = ""
    # Where it was issued, ISO 3166-1 alpha-2.
    country: str = ""


def card_of(charge: Any) -> Card | None:
    """The kind of card of a charge; None of what is no card, or not expanded."""
    card = _card(charge)
    known = Card(
        network=str(card.get("network") or card.get("brand") or ""),
        funding=str(card.get("funding") or ""),
        country=str(card.get("country") or ""),
    )
    return known if known != Card() else None


def card_fingerprint_of(charge: Any) -> str:
    """Stripe's name of the card number behind a charge, whatever its token; empty if it is no card,
    or not told. It is for counting alone."""
    return str(_card(charge).get("fingerprint") or "")


def _card(charge: Any) -> Mapping[str, Any]:
    if not isinstance(charge, Mapping):
        return {}
    return (charge.get("payment_method_details") or {}).get("card") or {}
