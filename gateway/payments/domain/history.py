"""How often a customer and a card have paid of late, and how risky that was found: coarsely, and
nothing that names them. Of Stripe's ratings alone: no risk is computed here."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from gateway.payments.domain.card import Card

# How many of the newest payments of a customer, and of a card, are looked at: more than any bucket
# needs, so that the read is as short for a busy one.
MAX_COUNTED = 100


class Bucket(IntEnum):
    """How many payments; the value is the fewest there are in it."""

    NONE = 0
    ONE = 1
    FEW = 2
    SEVERAL = 4
    MANY = 11


class Window(StrEnum):
    """How far back payments are counted."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"

    @property
    def length(self) -> timedelta:
        """The same as a time."""
        return _LENGTHS[self]


_LENGTHS = {
    Window.HOUR: timedelta(hours=1),
    Window.DAY: timedelta(hours=24),
    Window.WEEK: timedelta(days=7),
}


def bucket_of(count: int) -> Bucket:
    """The bucket that a number of payments is in."""
    return max(bucket for bucket in Bucket if bucket <= count)


@dataclass(frozen=True, slots=True)
class Velocity:
    """How many payments there were in each window, this one not counted: a feature that rules of
    routing may use as well."""

    hour: Bucket = Bucket.NONE
    day: Bucket = Bucket.NONE
    week: Bucket = Bucket.NONE

    def within(self, window: Window) -> Bucket:
        """How many in that window."""
        return {Window.HOUR: self.hour, Window.DAY: self.day, Window.WEEK: self.week}[window]


@dataclass(frozen=True, slots=True)
class Past:
    """What a customer, or a card, has paid before, as far as it is looked at."""

    velocity: Velocity = Velocity()
    # Whether anything was captured.
    has_paid: bool = False
    # Whether anything was declined within the hour.
    declined: bool = False
    # Whether Radar has rated any of it: without that, nothing risky is known and nothing harmless.
    rated: bool = False
    # When the last payment was made whose risk Radar rated elevated or highest, and highest.
    elevated_time: datetime | None = None
    highest_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class PaymentHistory:
    """What came before a payment: of its customer, and of the card number behind its token where
    Stripe has told that of the same token before. Of a guest and of a new card there is nothing."""

    customer: Past = Past()
    card: Past = Past()
    # What kind of card that is, by the newest charge that Stripe has told it with.
    kind_of_card: Card | None = None
