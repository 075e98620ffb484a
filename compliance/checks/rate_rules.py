"""Rules over how often a merchant's payments are disputed and refunded. Pure.

One dispute or refund more never makes a verdict better. One payment more may: it makes the same
number of disputes a smaller share.
"""

from collections.abc import Iterator

from compliance.checks.facts import CheckFacts, CheckKind
from compliance.checks.findings import Code, Finding
from compliance.checks.policy import Policy
from compliance.checks.rate_limits import RateLimit, RateMeasure
from compliance.checks.rates import RateFacts, RateWindow

_INDEX = {window.value: index for index, window in enumerate(RateWindow)}
_CODES = {
    RateMeasure.CHARGEBACKS: Code.CHARGEBACK_RATE,
    RateMeasure.REFUNDS: Code.REFUND_RATE,
    RateMeasure.REFUNDED_AMOUNT: Code.REFUND_RATE,
}
NOT_KNOWN, TOO_OLD = "not known", "too old"


def rates_are_within_limits(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """What became of the merchant's payments is known, and within the policy's limits.

    Figures that are too old are judged all the same.
    """
    if facts.kind is not CheckKind.PAYMENT:
        return
    rates = facts.rates
    if policy.rates_max_age is not None and policy.unknown_rates_outcome:
        state = _missing(facts, policy)
        if state:
            yield Finding(
                Code.CHARGEBACK_RATE,
                facts.merchant_id,
                state,
                outcome=policy.unknown_rates_outcome,
            )
    if rates is None:
        return
    for limit in policy.rate_limits:
        measured = _measured(limit, rates)
        if measured > limit.over_bp:
            yield Finding(
                _CODES[limit.measure],
                facts.merchant_id,
                f"{limit.name} over {limit.over_bp}",
                outcome=limit.outcome,
                measured=measured,
            )


def _missing(facts: CheckFacts, policy: Policy) -> str:
    if facts.rates is None:
        return NOT_KNOWN
    return TOO_OLD if policy.has_old_rates(facts.rates, facts.as_of) else ""


def _measured(limit: RateLimit, rates: RateFacts) -> int:
    """The rate; -1 where there are too few payments to judge."""
    index = _INDEX[limit.window]
    if rates.payments[index] < limit.at_least:
        return -1
    if limit.measure is RateMeasure.CHARGEBACKS:
        return rates.chargeback_bp(index)
    if limit.measure is RateMeasure.REFUNDS:
        return rates.refund_bp(index)
    return rates.refunded_amount_bp(index)
