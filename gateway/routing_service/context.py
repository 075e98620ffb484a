"""What routing knows of a payment before it is charged, as coarse buckets and nothing else. Pure.

What kind of card it is, how risky Radar has found earlier charges, and how often there were any, is
known of cards and customers that have paid before. Nothing is asked of Stripe for it, and no text
that somebody has written goes in.
"""

from datetime import datetime, timedelta

from gateway.payments.domain.history import Bucket, Past, PaymentHistory
from gateway.payments.domain.payment import Payment
from gateway.routing.features import OTHER, Context
from gateway.routing_service.regions import region_of

RISK_WINDOW = timedelta(days=30)
"""A rating of an earlier charge counts for so long."""


def context_of(payment: Payment, history: PaymentHistory, now: datetime) -> Context:
    """What is known of a new payment, and of what came before it."""
    region, network = scope_of(payment, history)
    card, pasts = history.kind_of_card, (history.customer, history.card)
    return Context(
        region=region,
        network=network,
        funding=_word(card.funding) if card is not None else OTHER,
        currency=payment.currency,
        amount_minor=payment.amount_minor,
        hour=now.hour,
        recurring=payment.off_session,
        velocity=velocity_of(pasts),
        retry=any(past.declined for past in pasts),
        risk=risk_of(pasts, now),
    )


def scope_of(payment: Payment, history: PaymentHistory | None) -> tuple[str, str]:
    """Region and network of a payment: of its card if that is known, else the billing address tells
    the region, and the network is OTHER."""
    card = history.kind_of_card if history is not None else None
    if card is None:
        return region_of(payment.billing_country), OTHER
    return region_of(card.country or payment.billing_country), _word(card.network)


def velocity_of(pasts: tuple[Past, ...]) -> Bucket:
    """How often the customer or the card, whichever more, has paid within the hour."""
    return max(past.velocity.hour for past in pasts)


def risk_of(pasts: tuple[Past, ...], now: datetime) -> str:
    """The highest level that Radar has given an earlier charge of the customer or of the card;
    OTHER if it has rated none.

    The score behind a level is left out: not every account has it, and where a level begins is
    the account's own setting.
    """
    since = now - RISK_WINDOW
    for level, times in (
        ("HIGHEST", [past.highest_time for past in pasts]),
        ("ELEVATED", [past.elevated_time for past in pasts]),
    ):
        if any(when is not None and when >= since for when in times):
            return level
    return "NORMAL" if any(past.rated for past in pasts) else OTHER


def _word(stripes: str) -> str:
    """Stripe's word as a bucket has it; what has no bucket shares one."""
    return stripes.upper() or OTHER
