"""What became of a payment, and how it counts for its merchant. Pure.

A change that the gateway tells of has the payment as it was right after it. What is counted of the
payment follows from that and from what was counted before, so that a change that comes again, or
after one that came later, changes nothing, and one that is missed is made up for by the next. A
payment counts on the day on which it was captured, a refund on the day on which Stripe has made it,
a dispute on the day on which Stripe opened it, all in UTC.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

# What changes what is counted: gateway/payments/domain/states.py.
DISPUTED = frozenset({"dispute_opened", "dispute_updated", "dispute_closed"})
COUNTED = frozenset({"captured", "refund_succeeded", "refund_failed"}) | DISPUTED
# How many refunds of a payment are kept apart; what is sent back after them is added to the newest.
MAX_REFUNDS = 1_000
# Stripe's words for what is no chargeback: an inquiry of the bank's, which takes no money, and what
# was settled before it became one. https://docs.stripe.com/api/disputes/object#dispute_object-status
NO_CHARGEBACK = frozenset(
    {"WARNING_NEEDS_RESPONSE", "WARNING_UNDER_REVIEW", "WARNING_CLOSED", "PREVENTED"}
)


class Place(NamedTuple):
    """A place in the gateway's feed; what is of a higher epoch comes after a lower one."""

    epoch: int
    sequence: int


class DayKey(NamedTuple):
    """What is counted together; the day is ISO 8601."""

    merchant_id: str
    day: str
    currency_code: str


class Counts(NamedTuple):
    """What is counted of a day, or by how much that changes. Amounts are minor units."""

    payments: int = 0
    captured_minor: int = 0
    refunds: int = 0
    refunded_minor: int = 0
    disputes: int = 0
    disputed_minor: int = 0

    def plus(self, other: "Counts", times: int = 1) -> "Counts":
        """The sum; with `times` of -1 the difference."""
        return Counts(*[mine + times * more for mine, more in zip(self, other, strict=True)])


@dataclass(frozen=True)
class Change:
    """A payment as it was right after a change; amounts are minor units of its currency."""

    place: Place
    payment_id: str
    merchant_id: str
    currency_code: str
    captured_minor: int
    # What Stripe has sent back, refunds that failed taken off.
    refunded_minor: int
    record_time: datetime
    transition: str

    @property
    def tells_of_disputes(self) -> bool:
        """Whether the payment's disputes are to be looked at."""
        return self.transition in DISPUTED


@dataclass(frozen=True)
class CountedRefund:
    """A refund as it counts."""

    day: str
    amount_minor: int


@dataclass(frozen=True)
class PaymentOutcome:
    """What is counted of a payment, and by which change."""

    payment_id: str
    place: Place
    merchant_id: str
    currency_code: str
    day: str
    captured_minor: int
    refunds: tuple[CountedRefund, ...] = ()

    @property
    def counts(self) -> dict[DayKey, Counts]:
        """What it adds to which day."""
        own = DayKey(self.merchant_id, self.day, self.currency_code)
        found = {own: Counts(payments=1, captured_minor=self.captured_minor)}
        for refund in self.refunds:
            key = own._replace(day=refund.day)
            one = Counts(refunds=1, refunded_minor=refund.amount_minor)
            found[key] = found.get(key, Counts()).plus(one)
        return found


@dataclass(frozen=True)
class DisputeOutcome:
    """A dispute as it counts; one that is no chargeback does not."""

    dispute_id: str
    payment_id: str
    merchant_id: str
    currency_code: str
    day: str
    amount_minor: int
    is_chargeback: bool

    @property
    def counts(self) -> dict[DayKey, Counts]:
        """What it adds to which day."""
        if not self.is_chargeback:
            return {}
        key = DayKey(self.merchant_id, self.day, self.currency_code)
        return {key: Counts(disputes=1, disputed_minor=self.amount_minor)}


def day_of(time: datetime) -> str:
    """The day in UTC."""
    return time.astimezone(UTC).date().isoformat()


def outcome_after(before: PaymentOutcome | None, change: Change) -> PaymentOutcome | None:
    """What is counted of the payment after a change; None as long as nothing was captured."""
    if before is None:
        if change.captured_minor <= 0:
            return None
        before = PaymentOutcome(
            change.payment_id,
            Place(-1, 0),
            change.merchant_id,
            change.currency_code,
            day_of(change.record_time),
            change.captured_minor,
        )
    if change.place <= before.place:
        return before
    return replace(
        before,
        place=change.place,
        merchant_id=change.merchant_id,
        currency_code=change.currency_code,
        captured_minor=change.captured_minor,
        refunds=_refunds_after(before.refunds, change),
    )


def difference(
    pairs: Iterable[tuple[Mapping[DayKey, Counts], Mapping[DayKey, Counts]]],
) -> dict[DayKey, Counts]:
    """By how much each day changes when what counts becomes something else; only what does."""
    found: dict[DayKey, Counts] = {}
    for before, after in pairs:
        for counts, times in ((before, -1), (after, 1)):
            for key, more in counts.items():
                found[key] = found.get(key, Counts()).plus(more, times)
    return {key: counts for key, counts in found.items() if any(counts)}


def _refunds_after(refunds: tuple[CountedRefund, ...], change: Change) -> tuple[CountedRefund, ...]:
    """One more, if more was sent back; what came back is taken off the newest of that amount, or
    else off the newest ones."""
    more = change.refunded_minor - sum(refund.amount_minor for refund in refunds)
    if more > 0 and len(refunds) < MAX_REFUNDS:
        return (*refunds, CountedRefund(day_of(change.record_time), more))
    if more > 0:
        newest = replace(refunds[-1], amount_minor=refunds[-1].amount_minor + more)
        return (*refunds[:-1], newest)
    left = list(refunds)
    for place in range(len(left) - 1, -1, -1):
        if more < 0 and left[place].amount_minor == -more:
            del left[place]
            return tuple(left)
    while more < 0 and left:
        newest = left.pop()
        more += newest.amount_minor
        if more > 0:
            left.append(replace(newest, amount_minor=more))
            more = 0
    return tuple(left)
