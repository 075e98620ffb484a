"""How often payments of a merchant are disputed and refunded: figures and rates. Pure.

They are counted by day from what the gateway tells (`compliance/outcomes`), and read with the other
facts of a check. A dispute counts on the day it was opened, whichever payment it is about: what
Stripe calls dispute activity, by which card networks' programmes go
(https://docs.stripe.com/disputes/measuring). Rates are basis points, rounded up: hundredths of a
percent, in integers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from compliance.checks.canonical import time_of

BASIS_POINTS = 10_000


class RateWindow(StrEnum):
    """How far back it is counted, in whole days in UTC, the last of which has not ended. Records of
    decisions have the figures in this order."""

    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"

    @property
    def days(self) -> int:
        """How many days it has."""
        return int(self.removesuffix("d"))


# Payments, captured_minor, refunds, refunded_minor, disputes, disputed_minor, as they are stored.
_NOTHING = [[0] * len(RateWindow)] * 6
MAX_WINDOW_DAYS = max(window.days for window in RateWindow)


@dataclass(frozen=True)
class RateFacts:
    """What became of a merchant's payments, as far as the gateway's feed was followed.

    Tuples have a figure for each window, in the order of `RateWindow`: `payments` that succeeded,
    `refunds` and `disputes` of any currency, amounts in minor units of the payment's currency.
    """

    # The last day of the windows in ISO 8601; empty for a merchant of whom nothing was counted.
    day: str
    # Up to when the feed was followed, and its place by then.
    follow_time: datetime
    epoch: int
    sequence: int
    payments: tuple[int, ...]
    captured_minor: tuple[int, ...]
    refunds: tuple[int, ...]
    refunded_minor: tuple[int, ...]
    disputes: tuple[int, ...]
    disputed_minor: tuple[int, ...]

    def chargeback_bp(self, window: int) -> int:
        """Disputes for 10,000 payments; -1 without payments."""
        return _rate(self.disputes[window], self.payments[window])

    def refund_bp(self, window: int) -> int:
        """Refunds for 10,000 payments; -1 without payments."""
        return _rate(self.refunds[window], self.payments[window])

    def refunded_amount_bp(self, window: int) -> int:
        """What went back of 10,000 minor units of the payment's currency; -1 without any."""
        return _rate(self.refunded_minor[window], self.captured_minor[window])


def rate_facts(row: Mapping[str, Any], currency_code: str) -> RateFacts:
    """The figures as they are stored, by currency, for a payment in one of them."""
    by_currency: Mapping[str, Sequence[Sequence[int]]] = row["figures"]
    own = by_currency.get(currency_code, _NOTHING)
    totals = [_added(figures) for figures in zip(_NOTHING, *by_currency.values(), strict=True)]
    return RateFacts(
        day=row["day"],
        follow_time=time_of(row["follow_time"]),
        epoch=row["epoch"],
        sequence=row["sequence"],
        payments=totals[0],
        captured_minor=tuple(own[1]),
        refunds=totals[2],
        refunded_minor=tuple(own[3]),
        disputes=totals[4],
        disputed_minor=tuple(own[5]),
    )


def _added(figures: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """The sum of all currencies, for each window."""
    return tuple([sum(of_window) for of_window in zip(*figures, strict=True)])


def _rate(part: int, whole: int) -> int:
    return -(-BASIS_POINTS * part // whole) if whole > 0 else -1
