"""When 3-D Secure is asked for: rules that operators write down, the first that applies counts.

Stripe's own engine asks where the law wants it, or Radar's rules; this asks on top of it:
https://docs.stripe.com/payments/3d-secure/authentication-flow#manual-three-ds
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.payments.domain.history import Bucket, Past, PaymentHistory, Window
from gateway.payments.domain.payment import Payment, ThreeDSecure
from gateway.payments.domain.payment_methods import PaymentMethodType
from gateway.payments.domain.radar import RiskLevel


class RequestThreeDSecure(StrEnum):
    """What Stripe takes as `payment_method_options[card][request_three_d_secure]`."""

    ANY = "any"
    CHALLENGE = "challenge"
    AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True)
class VelocityCondition:
    """At least that many payments in a window before this one."""

    window: Window
    at_least: Bucket


@dataclass(frozen=True, slots=True)
class RiskCondition:
    """Radar has rated a payment of the customer or of the card so, or worse, not longer ago."""

    level: RiskLevel
    within: timedelta


@dataclass(frozen=True, slots=True)
class Rule:
    """What is asked for where all conditions hold; one that is empty or None holds always."""

    name: str
    request: RequestThreeDSecure
    currencies: frozenset[str] = frozenset()
    # Minor units by currency: of one that is not there, the rule does not apply to any amount.
    amount_from: Mapping[str, int] = field(default_factory=dict)
    # True: nothing of the customer, or without one of the card, was captured before.
    first_payment: bool | None = None
    risk: RiskCondition | None = None
    customer_velocity: VelocityCondition | None = None
    card_velocity: VelocityCondition | None = None

    @property
    def reads_history(self) -> bool:
        """Whether it needs to know what came before the payment."""
        conditions = (self.first_payment, self.risk, self.customer_velocity, self.card_velocity)
        return any(condition is not None for condition in conditions)


Rules = tuple[Rule, ...]


def may_ask(payment: Payment) -> bool:
    """Whether 3-D Secure may be asked for at all: of a card whose customer is there, before the
    first time that the money is asked for. What was decided once stays, whatever comes: the same
    request must go out again with the same parameters."""
    return (
        payment.payment_method_type is PaymentMethodType.CARD
        and not payment.off_session
        and payment.three_d_secure is None
        and not payment.payment_intent_id
        and payment.decline_count == 0
    )


def needs_history(rules: Rules, payment: Payment) -> bool:
    """Whether the decision about a payment depends on what came before it."""
    for rule in rules:
        if _fits(rule, payment):
            return rule.reads_history
    return False


def decide(
    rules: Rules, payment: Payment, history: PaymentHistory | None, now: datetime
) -> ThreeDSecure | None:
    """What is asked for a payment, and by which rule; neither where no rule applies, and None where
    nothing may be asked, or there are no rules. `history` is needed where `needs_history` says so.
    """
    if not rules or not may_ask(payment):
        return None
    for rule in rules:
        if not _fits(rule, payment):
            continue
        if rule.reads_history:
            assert history is not None, "a rule needs what came before"
            if not _followed(rule, payment, history, now):
                continue
        return ThreeDSecure(rule.request.value, rule.name)
    return ThreeDSecure()


def _fits(rule: Rule, payment: Payment) -> bool:
    """Whether the conditions hold that are about the payment alone."""
    if rule.currencies and payment.currency not in rule.currencies:
        return False
    if not rule.amount_from:
        return True
    least = rule.amount_from.get(payment.currency)
    return least is not None and payment.amount_minor >= least


def _followed(rule: Rule, payment: Payment, history: PaymentHistory, now: datetime) -> bool:
    """Whether the conditions hold that are about what came before."""
    customer, card = history.customer, history.card
    if rule.first_payment is not None:
        payer = customer if payment.customer_id else card
        if payer.has_paid is rule.first_payment:
            return False
    if rule.risk is not None and not (
        _was_risky(customer, rule.risk, now) or _was_risky(card, rule.risk, now)
    ):
        return False
    return all(
        condition is None or past.velocity.within(condition.window) >= condition.at_least
        for past, condition in ((customer, rule.customer_velocity), (card, rule.card_velocity))
    )


def _was_risky(past: Past, condition: RiskCondition, now: datetime) -> bool:
    when = past.highest_time if condition.level is RiskLevel.HIGHEST else past.elevated_time
    return when is not None and now - when <= condition.within
