"""Which declines are tried again, when and how often: rules over gateway/data/declines.toml."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from gateway.payments.domain.payment import Decline, Payment
from gateway.payments.domain.payment_methods import PaymentMethodType

# What a client may ask for. Stripe recommends 8 attempts within two weeks:
# https://docs.stripe.com/payments/off-session-payments/smart-retries
MIN_ATTEMPTS = 2
MAX_ATTEMPTS = 10
MIN_WITHIN = timedelta(hours=1)
MAX_WITHIN = timedelta(days=30)
LONGEST_WAIT = timedelta(days=7)
ANY_BRAND = "*"
ANY_TYPE = "*"
_DATA = Path(__file__).parents[2] / "data" / "declines.toml"


class RetryClass(StrEnum):
    """What a decline says about another attempt with the same card, strictest first."""

    NEVER = "never"
    CUSTOMER = "customer"
    LATER = "later"


_STRICTEST_FIRST = tuple(RetryClass)


@dataclass(frozen=True, slots=True)
class RetryRule:
    """One row of the data; `wait` counts for LATER alone, and so does `max_attempts`, the first one
    included, where what the client wants does not."""

    retry_class: RetryClass
    wait: timedelta = timedelta(0)
    source: str = ""
    max_attempts: int | None = None


@dataclass(frozen=True, slots=True)
class NetworkLimit:
    """How many authorisations of one card may be asked for in a window."""

    attempts: int
    window: timedelta
    source: str


@dataclass(frozen=True, slots=True)
class RetryData:
    """The data file, read."""

    advice: Mapping[str, RetryRule]
    network_advice: Mapping[tuple[str, str], RetryRule]
    decline: Mapping[str, RetryRule]
    # By Stripe's type of the payment method, or ANY_TYPE, and code.
    bank_decline: Mapping[tuple[str, str], RetryRule]
    limits: Mapping[str, Sequence[NetworkLimit]]

    @property
    def longest_window(self) -> timedelta:
        """How far back declines have to be counted."""
        return max(limit.window for limits in self.limits.values() for limit in limits)


UNKNOWN = RetryRule(RetryClass.NEVER)


def _rule(row: Mapping[str, Any], sources: Mapping[str, str]) -> RetryRule:
    retry_class = RetryClass(row["class"])
    if (retry_class is RetryClass.LATER) != ("wait_hours" in row):
        raise ValueError(f"{row['code']}: wait_hours belongs to the class later, and to it alone")
    return RetryRule(
        retry_class,
        timedelta(hours=row.get("wait_hours", 0)),
        sources[row["source"]],
        row.get("max_attempts"),
    )


def read_data(path: Path = _DATA) -> RetryData:
    """The rows of the data file. Raises KeyError or ValueError if a row is not sound."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    sources: dict[str, str] = data["sources"]
    limits: dict[str, list[NetworkLimit]] = {}
    for row in data["limit"]:
        limit = NetworkLimit(row["attempts"], timedelta(hours=row["hours"]), sources[row["source"]])
        limits.setdefault(row["brand"], []).append(limit)
    return RetryData(
        advice={row["code"]: _rule(row, sources) for row in data["advice"]},
        network_advice={
            (row["brand"], row["code"]): _rule(row, sources) for row in data["network_advice"]
        },
        decline={row["code"]: _rule(row, sources) for row in data["decline"]},
        bank_decline={
            (row["type"], row["code"]): _rule(row, sources) for row in data["bank_decline"]
        },
        limits=limits,
    )


DATA = read_data()


def rule_for(
    decline: Decline, method_type: PaymentMethodType = PaymentMethodType.CARD
) -> RetryRule:
    """The strictest rule that applies to a decline; of several waits the longest. What a bank says
    of a debit has rules of its own: a card's may be tried again where that is forbidden."""
    code = decline.decline_code or decline.code
    if method_type.is_bank_debit:
        rows, type_ = DATA.bank_decline, method_type.at_stripe
        return rows.get((type_, code)) or rows.get((ANY_TYPE, code)) or UNKNOWN
    found = (
        DATA.advice.get(decline.advice_code),
        DATA.network_advice.get((decline.card_brand, decline.network_advice_code)),
        DATA.decline.get(code),
    )
    known = [rule for rule in found if rule is not None]
    if not known:
        return UNKNOWN
    return min(known, key=lambda rule: (_STRICTEST_FIRST.index(rule.retry_class), -rule.wait))


def next_attempt_time(payment: Payment, decline: Decline, now: datetime) -> datetime | None:
    """When a payment that was just declined is tried again; None if it is not.

    Only a payment whose client asked for it, and whose customer was away. `payment` is as it was
    before the decline.
    """
    policy = payment.decline_retry
    if policy is None or not payment.off_session or payment.customer_returned:
        return None
    attempts_made = payment.decline_count + 1
    rule = rule_for(decline, payment.payment_method_type)
    most = min(policy.max_attempts, rule.max_attempts or policy.max_attempts)
    if rule.retry_class is not RetryClass.LATER or attempts_made >= most:
        return None
    due = now + _wait(rule, payment.decline_count)
    return due if due <= payment.create_time + policy.within else None


@dataclass(frozen=True, slots=True)
class RetryWindow:
    """When the next attempt may be made: at `earliest`, as the rules have it, or later."""

    earliest: datetime
    latest: datetime


def retry_window(payment: Payment, decline: Decline, now: datetime) -> RetryWindow | None:
    """The times of the next attempt that cost the payment no attempt; None if there is none.

    `latest` leaves as many attempts within the client's time as `earliest` does, were each of them
    declined for the same reason. `payment` is as it was before the decline.
    """
    earliest = next_attempt_time(payment, decline, now)
    policy = payment.decline_retry
    if earliest is None or policy is None:
        return None
    rule = rule_for(decline, payment.payment_method_type)
    end, last = payment.create_time + policy.within, earliest
    most = min(policy.max_attempts, rule.max_attempts or policy.max_attempts)
    # The next attempt is the one after `decline_count + 1`; each later one waits longer.
    for declines in range(payment.decline_count + 1, most - 1):
        later = last + _wait(rule, declines)
        if later > end:
            break
        last = later
    return RetryWindow(earliest, earliest + (end - last))


def _wait(rule: RetryRule, declines_before: int) -> timedelta:
    """How long after a decline the next attempt is made, by how many came before that one."""
    doubled = rule.wait * (1 << min(declines_before, MAX_ATTEMPTS))
    return max(rule.wait, min(doubled, LONGEST_WAIT))


def earliest_within_limits(
    brand: str, declines: Sequence[datetime], not_before: datetime
) -> datetime:
    """The first moment, at `not_before` or later, at which the networks allow another attempt
    with a card that was declined at these times."""
    newest_first = sorted(declines, reverse=True)
    earliest = not_before
    for limit in DATA.limits.get(brand, DATA.limits[ANY_BRAND]):
        if len(newest_first) >= limit.attempts:
            # This one has to leave the window before another may come.
            earliest = max(earliest, newest_first[limit.attempts - 1] + limit.window)
    return earliest
