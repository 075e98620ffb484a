"""What is believed of the times at which declined payments are tried again.

One table of what a time adds and one of what makes a decline hard whatever the time, as the model
of approval has them (approval.py), of other features: the hour where the customer lives, how many
days after the decline, and what kind of decline it was. Money comes to an account on some days and
at some hours, and issuers' limits end with theirs.
"""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from gateway.routing.approval import Fading, Table, fade, learn
from gateway.routing.features import (
    HOUR_BUCKET_HOURS,
    SLOW_S,
    Feature,
    Layout,
    Slots,
    Vocabulary,
)

MOST_DAYS = 4
"""Days after the decline that have a bucket of their own; later ones share the last."""
USUAL_LOG_ODDS = -1.0
"""That a declined payment is approved when it is tried again, before anything is seen: 27 %."""
RANK_LOG_ODDS = 0.05
"""How much better each time is believed to be than the next later one, at first: the earliest is
what the rules would do."""
FORGETS_S = 14 * SLOW_S
"""Half of what was learnt of times is gone after so long: a payment is tried again after days."""


class DeclineKind(StrEnum):
    """Why the attempt before was declined, coarsely."""

    FUNDS = "FUNDS"
    """No money, or a limit of the account's."""
    ISSUER = "ISSUER"
    """The issuer said no and not why."""
    TECHNICAL = "TECHNICAL"
    """Nobody has judged it."""
    OTHER = "OTHER"


_KINDS = {
    DeclineKind.FUNDS: (
        "insufficient_funds",
        "withdrawal_count_limit_exceeded",
        "card_velocity_exceeded",
    ),
    DeclineKind.ISSUER: ("do_not_honor", "generic_decline", "call_issuer", "approve_with_id"),
    DeclineKind.TECHNICAL: (
        "issuer_not_available",
        "processing_error",
        "reenter_transaction",
        "try_again_later",
    ),
}
KIND_OF_CODE = MappingProxyType({code: kind for kind, codes in _KINDS.items() for code in codes})

_VOCABULARY = Vocabulary()
_REGIONS = {name: place for place, name in enumerate(_VOCABULARY.region)}
_PLACES = {kind: place for place, kind in enumerate(DeclineKind)}
SIZES = MappingProxyType(
    {
        "hour": 24 // HOUR_BUCKET_HOURS,
        "day": MOST_DAYS + 1,
        "region": len(_VOCABULARY.region) + 1,
        "kind": len(DeclineKind),
    }
)
FEATURES: tuple[Feature, ...] = (
    Feature(("hour",), 0.4, FORGETS_S),
    Feature(("day",), 0.4, FORGETS_S),
    Feature(("kind", "hour"), 0.3, FORGETS_S),
    Feature(("kind", "day"), 0.3, FORGETS_S),
    Feature(("region", "hour"), 0.3, FORGETS_S),
)
"""What a time adds."""
COMMON_FEATURES: tuple[Feature, ...] = (
    Feature((), 1.0, 2 * FORGETS_S),
    Feature(("kind",), 0.7, 2 * FORGETS_S),
    Feature(("region",), 0.5, 2 * FORGETS_S),
)
"""What makes a decline hard whenever it is tried again."""
OWN, COMMON = Layout.of(FEATURES, SIZES), Layout.of(COMMON_FEATURES, SIZES)
SPACE_HASH = hashlib.sha256(
    repr((FEATURES, COMMON_FEATURES, dict(SIZES), _KINDS)).encode()
).hexdigest()[:16]
"""Names the features: tables of others are not for these."""


class TimeBuckets(NamedTuple):
    """A time for another attempt, as the model sees it."""

    region: str
    """EU, …; OTHER if it is not known."""
    kind: DeclineKind
    hour: int
    """Of the day in that region, 0 to 23."""
    day: int
    """Days from the decline's to this one, 0 the same day."""


def slots_of(time: TimeBuckets) -> Slots:
    """Where a time is in both tables."""
    buckets = {
        "hour": time.hour // HOUR_BUCKET_HOURS,
        "day": min(time.day, MOST_DAYS),
        "region": _REGIONS.get(time.region, len(_REGIONS)),
        "kind": _PLACES[time.kind],
    }
    return Slots(OWN.slots(buckets), COMMON.slots(buckets))


def offset(rank: int) -> float:
    """Log-odds of approval before anything is seen, by rank from the earliest time on."""
    return USUAL_LOG_ODDS - RANK_LOG_ODDS * rank


@dataclass(frozen=True, slots=True)
class RetryBeliefs:
    """What is believed of all times."""

    own: Table = field(default_factory=lambda: Table.new(OWN))
    common: Table = field(default_factory=lambda: Table.new(COMMON))
    learned: int = 0
    """Attempts that went into it."""

    def after(self, slots: Slots, rank: int, *, approved: bool) -> "RetryBeliefs":
        """What is believed after an attempt at a time of these slots."""
        common, own = learn(
            self.common, self.own, slots.common, slots.own, offset(rank), approved=approved
        )
        return RetryBeliefs(own, common, self.learned + 1)

    def faded(self, seconds: float) -> "RetryBeliefs":
        """What is left of it after a time in which nothing was seen."""
        return RetryBeliefs(
            fade(self.own, Fading.over(OWN, seconds)),
            fade(self.common, Fading.over(COMMON, seconds)),
            self.learned,
        )
