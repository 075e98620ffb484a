"""Rules over what was let through before: velocity, structuring, sums, sleepers, profiles. Pure.

More payments before never make a verdict better, but for two measures of what is unusual: a payment
in between wakes an account, and larger ones raise an average.
"""

from collections.abc import Iterator
from datetime import timedelta

from compliance.checks.facts import CheckFacts, CheckKind
from compliance.checks.findings import Code, Finding
from compliance.checks.history import HistoryFacts, Scope, Window
from compliance.checks.history_limits import HistoryLimit, Measure
from compliance.checks.policy import CurrencyLimits, Policy

_DAY = timedelta(days=1)
_INDEX = {window.value: index for index, window in enumerate(Window)}
_VELOCITY = {
    Scope.CUSTOMER: Code.CUSTOMER_VELOCITY,
    Scope.MERCHANT: Code.MERCHANT_VELOCITY,
    Scope.CARD: Code.CARD_VELOCITY,
}
_CODES = {
    Measure.CUMULATIVE_AMOUNT: Code.CUMULATIVE_AMOUNT,
    Measure.NEAR_LIMIT_COUNT: Code.STRUCTURING,
    Measure.DORMANT_DAYS: Code.DORMANT_ACCOUNT_WAKES,
    Measure.AVERAGE_PERCENT: Code.AMOUNT_OUT_OF_PROFILE,
    Measure.CUSTOMERS: Code.CARD_OF_MANY_CUSTOMERS,
}


def history_is_within_limits(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """What was let through before, and this payment with it, is within the policy's limits."""
    if facts.kind is not CheckKind.PAYMENT or not facts.history:
        return
    limits = policy.limits_of(facts.currency_code)
    by_scope = {history.scope: history for history in facts.history}
    for limit in policy.history_limits:
        history = by_scope.get(limit.scope)
        if history is None:
            continue
        measured = _measured(limit, history, facts, policy, limits)
        if measured > limit.over:
            yield Finding(
                _CODES.get(limit.measure, _VELOCITY[limit.scope]),
                _subject_id(limit.scope, facts),
                f"{limit.name} over {limit.over}",
                outcome=limit.outcome,
                measured=measured,
            )


def _measured(
    limit: HistoryLimit,
    history: HistoryFacts,
    facts: CheckFacts,
    policy: Policy,
    limits: CurrencyLimits | None,
) -> int:
    """The figure, rounded up; -1 where there is nothing to measure."""
    index = _INDEX.get(limit.window, 0)
    if limit.measure is Measure.COUNT:
        return history.counts[index] + 1
    if limit.measure is Measure.CUSTOMERS:
        is_known = bool(facts.customer_id)
        return history.other_customers[index] + is_known if history.other_customers else -1
    if limit.measure is Measure.AVERAGE_PERCENT:
        return _of_average(limit, history, facts, index)
    # Without a limit of its currency a payment waits for people anyway.
    if limits is None:
        return -1
    if limit.measure is Measure.NEAR_LIMIT_COUNT:
        is_near = policy.is_near_limit(facts.currency_code, facts.amount_minor)
        return history.near_counts[index] + 1 if is_near else -1
    if limit.measure is Measure.DORMANT_DAYS:
        if history.last_time is None or _percent(facts.amount_minor, limits) < limit.at_least:
            return -1
        return (facts.as_of - history.last_time) // _DAY
    return _percent(history.amounts_minor[index] + facts.amount_minor, limits)


def _of_average(limit: HistoryLimit, history: HistoryFacts, facts: CheckFacts, index: int) -> int:
    count, total = history.currency_counts[index], history.amounts_minor[index]
    if count < max(limit.at_least, 1) or total <= 0:
        return -1
    return _ceiling(100 * facts.amount_minor * count, total)


def _percent(amount_minor: int, limits: CurrencyLimits) -> int:
    """Of the review limit; a limit of nothing is passed by anything."""
    return _ceiling(100 * amount_minor, max(limits.review_over_minor, 1))


def _ceiling(value: int, divisor: int) -> int:
    return -(-value // divisor)


def _subject_id(scope: Scope, facts: CheckFacts) -> str:
    if scope is Scope.CARD:
        return ""
    return facts.customer_id if scope is Scope.CUSTOMER else facts.merchant_id
