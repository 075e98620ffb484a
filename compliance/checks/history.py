"""What was let through before: counted by customer, merchant and card, in buckets of time. Pure.

A payment counts once, when a check first lets it through, at the time that the check went by. What
waits or is refused has moved no money and does not count. Buckets are five minutes wide, hours when
they are a few hours old, days when they are a few days old, and gone after a month, so that what is
kept of a customer has a bound whatever it pays. A window begins with the start of the unit in which
it would begin to the minute: an hour goes back to five minutes, a day to the hour, the others to
the day in UTC. Amounts are minor units and are added within one currency alone.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import NamedTuple

from compliance.checks.canonical import microseconds, time_of

_MINUTE_US = 60_000_000
HOUR_MINUTES = 60
DAY_MINUTES = 24 * HOUR_MINUTES
FINE_MINUTES = 5
# How old the end of an hour or a day is when its buckets become one, so that clocks which differ by
# less than the rest of it find every window whole.
FINE_FOR_MINUTES = 2 * HOUR_MINUTES
HOURS_FOR_MINUTES = 2 * DAY_MINUTES
KEPT_FOR_MINUTES = 32 * DAY_MINUTES
# Three hours of fine ones, three days of hours, 33 days, and as many again ahead of a clock as fit
# in the hour by which it may be behind.
MAX_BUCKETS = 36 + 72 + 33 + 12
# The customers that a card is known to have paid for; who came first is forgotten.
MAX_CUSTOMERS = 32


class Scope(StrEnum):
    """Whose payments are counted together."""

    CUSTOMER = "CUSTOMER"
    MERCHANT = "MERCHANT"
    CARD = "CARD"


class Window(StrEnum):
    """How far back it is counted. Records of decisions have the figures in this order."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"


# The first minute of each window, since 1970.
Firsts = tuple[int, ...]
# Window: (length, unit), both in minutes.
_EXTENTS: dict[Window, tuple[int, int]] = {
    Window.HOUR: (HOUR_MINUTES, FINE_MINUTES),
    Window.DAY: (DAY_MINUTES, HOUR_MINUTES),
    Window.WEEK: (7 * DAY_MINUTES, DAY_MINUTES),
    Window.MONTH: (30 * DAY_MINUTES, DAY_MINUTES),
}


@dataclass(frozen=True)
class CountedPayment:
    """A payment as it counts. `card` and `customer_id` are empty where they are not known.

    `is_near` if the amount was just under the review limit of the policy that let it through.
    """

    reference_id: str
    merchant_id: str
    customer_id: str
    card: str
    currency_code: str
    amount_minor: int
    count_time: datetime
    is_near: bool = False

    @cached_property
    def keys(self) -> tuple[tuple[Scope, str], ...]:
        """All that it counts for."""
        named = (
            (Scope.CUSTOMER, self.customer_id),
            (Scope.MERCHANT, self.merchant_id),
            (Scope.CARD, self.card),
        )
        return tuple((scope, key) for scope, key in named if key)


@dataclass(frozen=True)
class HistoryFacts:
    """What was let through before of one customer, merchant or card, without the payment itself.

    Tuples have a figure for each window, in the order of `Window`: `counts` of payments in any
    currency, the others of those in the payment's currency. `other_customers` is of cards only.
    """

    scope: Scope
    counts: tuple[int, ...]
    currency_counts: tuple[int, ...]
    amounts_minor: tuple[int, ...]
    near_counts: tuple[int, ...]
    other_customers: tuple[int, ...] = ()
    last_time: datetime | None = None


class Bucket(NamedTuple):
    """What was counted from a minute on, since 1970, for so many minutes."""

    start: int
    minutes: int
    payments: int = 0
    amount_minor: int = 0
    near_payments: int = 0


class Figures:
    """What is within the windows of one currency, in their order; grows with what is counted."""

    def __init__(self, counts: list[int], amounts_minor: list[int], near_counts: list[int]) -> None:
        self.counts = counts
        self.amounts_minor = amounts_minor
        self.near_counts = near_counts

    def add(self, payment: CountedPayment, firsts: Firsts) -> None:
        """One payment more."""
        minute = microseconds(payment.count_time) // _MINUTE_US
        for window, first in enumerate(firsts):
            if minute >= first:
                self.counts[window] += 1
                self.amounts_minor[window] += payment.amount_minor
                self.near_counts[window] += payment.is_near


@dataclass(frozen=True)
class History:
    """What is kept of one customer, merchant or card in one currency; times in microseconds."""

    buckets: tuple[Bucket, ...] = ()
    last_us: int = 0
    # Of the payment before the last one, for when the last one itself is checked again.
    before_last_us: int = 0
    # Customers of a card, with the last time of each, the newest last.
    customers: tuple[tuple[str, int], ...] = ()

    def with_payment(self, payment: CountedPayment, *, notes_customer: bool) -> "History":
        """With one payment more."""
        time_us = microseconds(payment.count_time)
        minute = time_us // _MINUTE_US
        buckets = self.buckets
        place = _place(buckets, minute)
        if place is not None:
            grown = _changed(buckets[place], payment, 1)
            buckets = (*buckets[:place], grown, *buckets[place + 1 :])
        else:
            fresh = _changed(Bucket(_floor(minute, FINE_MINUTES), FINE_MINUTES), payment, 1)
            # What is older gets wider only when an hour has passed.
            newest = buckets[-1].start if buckets else fresh.start - HOUR_MINUTES
            is_next = newest < fresh.start < _floor(newest, HOUR_MINUTES) + HOUR_MINUTES
            buckets = (*buckets, fresh) if is_next else _compacted([*buckets, fresh])
        last, before = self.last_us, self.before_last_us
        last, before = (time_us, last) if time_us >= last else (last, max(before, time_us))
        customers = self.customers
        if notes_customer and payment.customer_id:
            seen = dict(customers)
            seen[payment.customer_id] = max(time_us, seen.get(payment.customer_id, 0))
            customers = tuple(sorted(seen.items(), key=lambda item: item[::-1]))[-MAX_CUSTOMERS:]
        return History(buckets, last, before, customers)

    def without_payment(self, payment: CountedPayment) -> "History":
        """As if one payment had not been counted; customers of a card stay."""
        time_us = microseconds(payment.count_time)
        minute = time_us // _MINUTE_US
        place = _place(self.buckets, minute)
        buckets = self.buckets
        if place is not None:
            less = _changed(buckets[place], payment, -1)
            left = (less,) if less.payments > 0 else ()
            buckets = (*buckets[:place], *left, *buckets[place + 1 :])
        was_last = self.last_us == time_us
        return replace(
            self,
            buckets=buckets,
            last_us=self.before_last_us if was_last else self.last_us,
            before_last_us=0 if was_last else self.before_last_us,
        )

    def figures(self, firsts: Firsts) -> Figures:
        """What is within each window; what other clocks have counted ahead is in all of them."""
        counts: list[int] = []
        amounts_minor: list[int] = []
        near_counts: list[int] = []
        payments = amount_minor = near_payments = 0
        buckets = reversed(self.buckets)
        bucket = next(buckets, None)
        for first in firsts:
            while bucket is not None and bucket[0] + bucket[1] > first:
                payments += bucket[2]
                amount_minor += bucket[3]
                near_payments += bucket[4]
                bucket = next(buckets, None)
            counts.append(payments)
            amounts_minor.append(amount_minor)
            near_counts.append(near_payments)
        return Figures(counts, amounts_minor, near_counts)

    def other_customers(self, customer_id: str, first: int) -> set[str]:
        """The customers of a card from a minute on, besides one."""
        first_us = first * _MINUTE_US
        return {name for name, us in self.customers if us >= first_us and name != customer_id}

    def dumps(self) -> str:
        """As it is stored: JSON, written in half the time that it takes `json`."""
        buckets = ",".join(
            [
                f"[{start},{minutes},{payments},{amount_minor},{near_payments}]"
                for start, minutes, payments, amount_minor, near_payments in self.buckets
            ]
        )
        customers = ",".join([f"[{json.dumps(name)},{us}]" for name, us in self.customers])
        return (
            f'{{"buckets":[{buckets}],"last_us":{self.last_us},'
            f'"before_last_us":{self.before_last_us},"customers":[{customers}]}}'
        )

    @classmethod
    def loads(cls, text: str) -> "History":
        """The inverse of `dumps`."""
        stored = json.loads(text)
        return cls(
            tuple(map(Bucket._make, stored["buckets"])),
            stored["last_us"],
            stored["before_last_us"],
            tuple((name, us) for name, us in stored["customers"]),
        )


Key = tuple[Scope, str]
_NONE = History()
_NOTHING: dict[str, History] = {}


class Histories:
    """What was counted for the customers, merchants and cards of some payments, as it grows.

    It has to hold all currencies of each of their keys, and how each payment counts already.
    """

    def __init__(
        self,
        stored: Iterable[tuple[Scope, str, str, History]] = (),
        counted: Iterable[CountedPayment] = (),
    ) -> None:
        """`stored` are scope, key, currency and what is kept of them."""
        self._by_key: dict[Key, dict[str, History]] = {}
        for scope, key, currency_code, history in stored:
            self._by_key.setdefault((scope, key), {})[currency_code] = history
        self._counted = {payment.reference_id: payment for payment in counted}
        self._changed: set[tuple[Scope, str, str]] = set()
        self._new: dict[str, CountedPayment] = {}
        # What was added up of them, and from which minutes on.
        self._figures: dict[tuple[Scope, str, str], tuple[Firsts, Figures]] = {}

    def facts_of(self, payment: CountedPayment) -> tuple[HistoryFacts, ...]:
        """What was let through besides this payment, as of its time."""
        own = self._counted.get(payment.reference_id)
        firsts = firsts_of(payment.count_time)
        return tuple([self._facts(key, payment, own, firsts) for key in payment.keys])

    def count(self, payment: CountedPayment) -> None:
        """The payment is let through; one that has changed since it was counted counts as it is."""
        own = self._counted.get(payment.reference_id)
        if own is not None:
            if replace(own, count_time=payment.count_time, is_near=payment.is_near) == payment:
                return
            for key in own.keys:
                held = self._by_key.get(key, {}).get(own.currency_code)
                # What is counted for somebody else than this batch asks about is left as it is.
                if held is not None:
                    self._put(key, own.currency_code, held.without_payment(own))
        code = payment.currency_code
        for key in payment.keys:
            held = self._by_key.get(key, {}).get(code, _NONE)
            known = self._figures.get((*key, code))
            self._put(key, code, held.with_payment(payment, notes_customer=key[0] is Scope.CARD))
            if known is not None:
                firsts, figures = known
                figures.add(payment, firsts)
                self._figures[(*key, code)] = known
        self._counted[payment.reference_id] = self._new[payment.reference_id] = payment

    @property
    def changes(self) -> list[tuple[Scope, str, str, History]]:
        """What has to be stored anew."""
        return [
            (scope, key, currency_code, self._by_key[scope, key][currency_code])
            for scope, key, currency_code in sorted(self._changed)
        ]

    @property
    def counted(self) -> list[CountedPayment]:
        """The payments that count otherwise than before."""
        return list(self._new.values())

    def _put(self, key: Key, currency_code: str, history: History) -> None:
        self._by_key.setdefault(key, {})[currency_code] = history
        self._changed.add((*key, currency_code))
        self._figures.pop((*key, currency_code), None)

    def _facts(
        self, key: Key, payment: CountedPayment, own: CountedPayment | None, firsts: Firsts
    ) -> HistoryFacts:
        held = self._by_key.get(key, _NOTHING)
        if own is not None and own.currency_code in held and key in own.keys:
            held = {**held, own.currency_code: held[own.currency_code].without_payment(own)}
            figures = {code: history.figures(firsts) for code, history in held.items()}
        else:
            figures = {code: self._figures_of(key, code, firsts) for code in held}
        of_currency = figures.get(payment.currency_code) or _NONE.figures(firsts)
        counts = [found.counts for found in figures.values()] or [of_currency.counts]
        last_us = max([history.last_us for history in held.values()], default=0)
        # Most pay in one currency.
        of_all = counts[0] if len(counts) == 1 else map(sum, zip(*counts, strict=True))
        return HistoryFacts(
            scope=key[0],
            counts=tuple(of_all),
            currency_counts=tuple(of_currency.counts),
            amounts_minor=tuple(of_currency.amounts_minor),
            near_counts=tuple(of_currency.near_counts),
            other_customers=_other_customers(held.values(), payment.customer_id, firsts)
            if key[0] is Scope.CARD
            else (),
            last_time=time_of(last_us) if last_us else None,
        )

    def _figures_of(self, key: Key, code: str, firsts: Firsts) -> Figures:
        """Added up once for all that ask in the same minutes: a batch may be of one merchant."""
        known = self._figures.get((*key, code))
        if known is None or known[0] != firsts:
            known = firsts, self._by_key[key][code].figures(firsts)
            self._figures[(*key, code)] = known
        return known[1]


def firsts_of(as_of: datetime) -> Firsts:
    """Where each window begins."""
    return _firsts_of(microseconds(as_of) // _MINUTE_US)


# Checks of some minutes: their clocks differ by less.
@lru_cache(maxsize=16)
def _firsts_of(minute: int) -> Firsts:
    return tuple([_floor(minute - length, unit) for length, unit in _EXTENTS.values()])


def _other_customers(held: Iterable[History], customer_id: str, firsts: Firsts) -> tuple[int, ...]:
    histories = [history for history in held if history.customers]
    if not histories:
        return (0,) * len(firsts)
    return tuple(
        len(set().union(*[history.other_customers(customer_id, first) for history in histories]))
        for first in firsts
    )


def _floor(minute: int, unit: int) -> int:
    return minute - minute % unit


def _place(buckets: tuple[Bucket, ...], minute: int) -> int | None:
    """Which bucket a minute is in; most payments are in the newest."""
    for place in range(len(buckets) - 1, -1, -1):
        if buckets[place].start <= minute:
            return place if minute < buckets[place].start + buckets[place].minutes else None
    return None


def _changed(bucket: Bucket, payment: CountedPayment, times: int) -> Bucket:
    start, minutes, payments, amount_minor, near_payments = bucket
    return Bucket(
        start,
        minutes,
        payments + times,
        amount_minor + times * payment.amount_minor,
        near_payments + times * payment.is_near,
    )


def _compacted(buckets: list[Bucket]) -> tuple[Bucket, ...]:
    """In order, with older ones made wider; the newest bucket's start counts as now."""
    buckets.sort()
    now = buckets[-1].start
    compact: list[Bucket] = []
    for bucket in buckets:
        start, minutes = bucket[0], bucket[1]
        # There is nothing wider than a day; of most histories nearly all buckets are days.
        wide = minutes if minutes == DAY_MINUTES else _width(bucket, now)
        if wide != minutes:
            start, minutes = _floor(start, wide), wide
        if start + minutes <= now - KEPT_FOR_MINUTES:
            continue
        if compact and start < compact[-1].start + compact[-1].minutes:
            known = compact.pop()
            bucket = Bucket(
                known.start,
                max(minutes, known.minutes),
                known.payments + bucket.payments,
                known.amount_minor + bucket.amount_minor,
                known.near_payments + bucket.near_payments,
            )
        elif wide != bucket.minutes:
            bucket = bucket._replace(start=start, minutes=minutes)
        compact.append(bucket)
    return tuple(compact)


def _width(bucket: Bucket, now: int) -> int:
    start, minutes = bucket[0], bucket[1]
    if start - start % DAY_MINUTES + DAY_MINUTES <= now - HOURS_FOR_MINUTES:
        return DAY_MINUTES
    if start - start % HOUR_MINUTES + HOUR_MINUTES <= now - FINE_FOR_MINUTES:
        return max(minutes, HOUR_MINUTES)
    return minutes
