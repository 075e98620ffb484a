"""What a round of event recovery shows of an account, and where a comparison therefore begins.

A round that is whole has listed all that Stripe could not deliver, and the database has it. What
Stripe does not list so was acknowledged by us, and nothing is acknowledged before it is stored
(with a broker: before it is in the broker, see `walk_proofs`). So after a whole round the database
has every event that is older than the round, however late it came. The marker says until when, by
Stripe's clock alone. It stands in that very database: put back to an earlier state, the database
has the marker that was true of that state, and what it may lack was made after it.

That holds of a database whose earlier losses are mended: a round is whole only if the comparison
that a new incarnation of the database makes due is whole, too.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

# Stripe keeps events for 30 days: https://docs.stripe.com/api/events
EVENTS_KEPT = timedelta(days=30)
# What was made so shortly before the newest event that we knew may have been missing in the lists
# of a round, and is compared again.
#
# - `delivery_success=false` lists "events which are still pending or have failed all delivery
#   attempts" (https://docs.stripe.com/api/events/list, and `EventListParams` of stripe-python). The
#   guide says "unsuccessfully delivered to at least one of your webhook endpoints" instead
#   (https://docs.stripe.com/webhooks/process-undelivered-events): should an event not be listed
#   while it is delivered for the first time, that takes seconds.
# - A new event may come into the list after a newer one, seconds late:
#   https://blog.sequin.io/finding-and-fixing-eventual-consistency-with-stripe-events
#
# So what was made shortly before the database was seen to be another may not be listed yet when it
# is compared at once, and is compared once more, so much later at the earliest.
#
# Where there is no marker yet, it is a guess, as in releases without markers: a failover loses the
# last commits, and these are of events that were made so much earlier at most.
LOST_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True)
class Walk:
    """What came of listing events of an account."""

    stored: int
    """Events that were missing."""
    is_whole: bool
    """Whether all was listed that there was to list: neither did Stripe fail, nor were there more
    pages than a round may read."""


@dataclass(frozen=True)
class Position:
    """Where the next round goes on to list what Stripe could not deliver."""

    event_id: str
    is_whole: bool
    """Whether all that came before it was listed, in this incarnation of the database."""


def walked_until(newest_time: datetime) -> datetime:
    """The marker after a whole round at whose start an event was known that was made then."""
    return newest_time - LOST_WITHIN


def compared_since(
    marker: datetime | None, newest_time: datetime | None, now: datetime
) -> datetime | None:
    """Since when events are compared with a database that may have lost some; None if it has lost
    none, because it never had an event. `newest_time` is when the newest that it has was made."""
    if marker is None and newest_time is not None:
        marker = walked_until(newest_time)
    return None if marker is None else max(marker, now - EVENTS_KEPT)


def is_last_comparison(seen_time: datetime, begin_time: datetime) -> bool:
    """Whether a comparison that begins then finds all that a database has lost that was seen to be
    another at `seen_time`; both by one clock of ours."""
    return begin_time - seen_time >= LOST_WITHIN
