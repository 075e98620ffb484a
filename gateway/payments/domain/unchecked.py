"""Which payments may be charged while compliance cannot be reached: none, unless operators say so.

Then small amounts of known customers may. Known is whose last payments compliance allowed; and
each may once, until it has been asked about another payment of his. Payments of one customer that
are asked about at the same moment do not see each other, and all of them may.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.payments.domain.payment import ComplianceRecord, Payment
from gateway.payments.domain.states import PaymentState

ALLOW = "ALLOW"
# Compliance was not reached, and the payment was let through all the same.
UNCHECKED = "UNCHECKED"
# How old what compliance said last may be.
KNOWN_WITHIN = timedelta(days=30)

_MAY_BEGIN = frozenset({PaymentState.RECEIVED, PaymentState.QUEUED})


@dataclass(frozen=True, slots=True)
class LastVerdicts:
    """What compliance said last, of a merchant's payments and of a customer's to this merchant;
    empty if it never was asked."""

    of_merchant: str = ""
    of_customer: str = ""
    customer_time: datetime | None = None


def is_small_enough(payment: Payment, up_to: Mapping[str, int]) -> bool:
    """Whether a payment is of the kind that may pass at all. `up_to` are the largest amounts in
    minor units, by currency; one that is not there lets nothing pass.

    What compliance has said anything else about than ALLOW waits for compliance.
    """
    before = payment.compliance
    return (
        payment.state in _MAY_BEGIN
        and payment.amount_minor <= up_to.get(payment.currency, -1)
        and bool(payment.customer_id)
        and (before is None or before.verdict == ALLOW)
    )


def is_known(last: LastVerdicts, now: datetime) -> bool:
    """Whether compliance allowed both of them last, and the customer not too long ago."""
    return (
        last.of_merchant in (ALLOW, UNCHECKED)
        and last.of_customer == ALLOW
        and last.customer_time is not None
        and now - last.customer_time <= KNOWN_WITHIN
    )


def unchecked(now: datetime) -> ComplianceRecord:
    """What is recorded of a payment that was let through without an answer."""
    return ComplianceRecord(
        decision_id="",
        verdict=UNCHECKED,
        merchant_reasons=(),
        decide_time=now.isoformat().replace("+00:00", "Z"),
    )
