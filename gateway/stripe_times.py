"""Stripe's times: whole seconds since 1970 in UTC, cut off and not rounded.

https://docs.stripe.com/api (`created` and the like are "measured in seconds since the Unix epoch").
They are kept as Stripe says them, also where they are ahead of our clock: whoever learns of the
same thing then says the same time, and the ledger takes any of the years 1 to 9999.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

# Of the year 9999, so that a time always fits.
MAX_EPOCH_SECONDS = 253_402_300_799


def time_of(seconds: object) -> datetime | None:
    """A time of Stripe's; None if it tells none, or one that no date can be."""
    if type(seconds) is not int or not 0 < seconds <= MAX_EPOCH_SECONDS:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def made_time(made: object) -> datetime | None:
    """When Stripe made one of its objects; None if it does not say so, as an id does not."""
    return time_of(made.get("created")) if isinstance(made, Mapping) else None
