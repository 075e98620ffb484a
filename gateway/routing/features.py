"""What routing knows of a payment: coarse buckets, and nothing that would name a card or a person.

A context is turned into slots, positions in the tables of a model. The slots of a feature are all
of its buckets, the last being that of what is unknown; so a table has a fixed size, whatever comes.
"""

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

OTHER = "OTHER"
MAX_BUCKETS = 64

AMOUNT_EDGES_MINOR = (1_000, 5_000, 20_000, 100_000)
"""Upper ends of the buckets of amounts, in minor units; amounts of a currency are only compared
with amounts of that currency where both are features."""
HOUR_BUCKET_HOURS = 4
VELOCITY_MOST = 2
"""Payments of this customer and card in the window; more count as many."""


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a payment before a corridor is chosen."""

    region: str
    """Where the card was issued, such as EU."""
    network: str
    """VISA, MASTERCARD, …"""
    funding: str
    """CREDIT, DEBIT or PREPAID."""
    currency: str
    amount_minor: int
    hour: int
    """Of the day in UTC, 0 to 23."""
    recurring: bool
    """Not the first payment of its kind with this card."""
    velocity: int
    """Other payments of this customer and card in the window."""
    retry: bool
    """Tried again after a decline."""
    risk: str = "NORMAL"
    """Stripe's `risk_level` of an earlier attempt: NORMAL, ELEVATED or HIGHEST."""

    def __post_init__(self) -> None:
        if self.amount_minor < 0:
            raise ValueError(f"amount_minor: {self.amount_minor} is negative")
        if not 0 <= self.hour <= 23:
            raise ValueError(f"hour: {self.hour} is not within 0 and 23")
        if self.velocity < 0:
            raise ValueError(f"velocity: {self.velocity} is negative")


# The parts of a context that features are made of, and the two of them that are numbers.
BUCKETED = ("amount", "hour", "recurring", "velocity", "retry")
NAMED = ("region", "network", "funding", "currency", "risk")


@dataclass(frozen=True)
class Vocabulary:
    """The values that have a bucket of their own; all others share one, OTHER."""

    region: tuple[str, ...] = ("EU", "UK", "US", "CA", "LATAM", "APAC", "MEA")
    network: tuple[str, ...] = ("VISA", "MASTERCARD", "AMEX", "DISCOVER", "JCB", "UNIONPAY")
    funding: tuple[str, ...] = ("CREDIT", "DEBIT", "PREPAID")
    currency: tuple[str, ...] = ("EUR", "USD", "GBP", "CHF", "BRL", "MXN", "JPY", "AUD", "SGD")
    risk: tuple[str, ...] = ("NORMAL", "ELEVATED", "HIGHEST")

    def __post_init__(self) -> None:
        for field in fields(self):
            values = getattr(self, field.name)
            if len(set(values)) != len(values) or OTHER in values:
                raise ValueError(f"{field.name}: a value is there twice, or is {OTHER}")
            if not 1 <= len(values) < MAX_BUCKETS:
                raise ValueError(f"{field.name}: {len(values)} values, 1 to {MAX_BUCKETS - 1}")


@dataclass(frozen=True, slots=True)
class Feature:
    """A crossing of parts of the context; () is the same for every payment."""

    parts: tuple[str, ...]
    spread: float
    """How far corridors differ by it, at first: the standard deviation of log-odds."""
    half_life_s: float
    """After so long without news, half of what was learnt is gone."""

    @property
    def name(self) -> str:
        """The parts and, of what forgets within hours, that it is of the moment."""
        of = " × ".join(self.parts) or "all"
        return f"{of}, now" if self.half_life_s < HOUR_S * 4 else of


HOUR_S = 3_600.0
SLOW_S, QUICK_S = 24 * HOUR_S, 0.75 * HOUR_S

FEATURES: tuple[Feature, ...] = (
    Feature((), 0.25, SLOW_S),
    Feature(("region",), 0.40, SLOW_S),
    Feature(("network",), 0.25, SLOW_S),
    Feature(("funding",), 0.20, SLOW_S),
    Feature(("currency",), 0.15, SLOW_S),
    Feature(("amount",), 0.15, SLOW_S),
    Feature(("hour",), 0.10, SLOW_S),
    Feature(("recurring",), 0.20, SLOW_S),
    Feature(("velocity",), 0.10, SLOW_S),
    Feature(("retry",), 0.10, SLOW_S),
    Feature(("risk",), 0.10, SLOW_S),
    Feature(("region", "network"), 0.25, SLOW_S),
    Feature(("region", "funding"), 0.20, SLOW_S),
    Feature(("region", "hour"), 0.15, SLOW_S),
    Feature((), 0.20, QUICK_S),
    Feature(("region",), 0.25, QUICK_S),
    Feature(("network",), 0.25, QUICK_S),
)
"""What a corridor's own part of the model is made of."""

COMMON = ("region", "network", "funding", "amount", "recurring", "velocity", "retry", "risk")
COMMON_FEATURES: tuple[Feature, ...] = (
    Feature((), 1.0, 7 * SLOW_S),
    *(Feature((part,), 0.5, 7 * SLOW_S) for part in COMMON),
)
"""What makes a payment hard to get approved wherever it is sent."""


class Slots(NamedTuple):
    """A payment's buckets, as the model sees them."""

    own: tuple[int, ...]
    """In a corridor's table."""
    common: tuple[int, ...]
    """In the table that all share."""


@dataclass(frozen=True)
class FeatureSpace:
    """Which slots a context has in a corridor's table and in the common one."""

    vocabulary: Vocabulary = Vocabulary()
    features: tuple[Feature, ...] = FEATURES
    common_features: tuple[Feature, ...] = COMMON_FEATURES

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """How many buckets each part has."""
        named = {part: len(getattr(self.vocabulary, part)) + 1 for part in NAMED}
        counted = {
            "amount": len(AMOUNT_EDGES_MINOR) + 1,
            "hour": 24 // HOUR_BUCKET_HOURS,
            "recurring": 2,
            "velocity": VELOCITY_MOST + 1,
            "retry": 2,
        }
        return MappingProxyType(named | counted)

    @cached_property
    def own(self) -> "Layout":
        """The layout of a corridor's table."""
        return Layout.of(self.features, self.sizes)

    @cached_property
    def common(self) -> "Layout":
        """The layout of the table that all corridors share."""
        return Layout.of(self.common_features, self.sizes)

    @cached_property
    def _positions(self) -> Mapping[str, Mapping[str, int]]:
        return {
            part: {value: n for n, value in enumerate(getattr(self.vocabulary, part))}
            for part in NAMED
        }

    def slots(self, context: Context) -> "Slots":
        """Where a context is in both tables."""
        buckets = self.buckets(context)
        return Slots(self.own.slots(buckets), self.common.slots(buckets))

    def context_in(self, slots: "Slots", amount_minor: int) -> Context:
        """A payment of these slots; values without a bucket of their own are OTHER.

        Raises ValueError for slots of another feature space.
        """
        buckets: dict[str, int] = {}
        for layout, found in ((self.own, slots.own), (self.common, slots.common)):
            for slot, (first, strides) in zip(found, layout.terms, strict=True):
                if len(strides) == 1:
                    buckets[strides[0][0]] = slot - first
        named = {}
        for part in NAMED:
            values = getattr(self.vocabulary, part)
            named[part] = values[buckets[part]] if buckets[part] < len(values) else OTHER
        context = Context(
            **named,
            amount_minor=amount_minor,
            hour=buckets["hour"] * HOUR_BUCKET_HOURS,
            recurring=bool(buckets["recurring"]),
            velocity=buckets["velocity"],
            retry=bool(buckets["retry"]),
        )
        if self.slots(context) != slots:
            raise ValueError("slots of other features, or of another amount")
        return context

    def buckets(self, context: Context) -> dict[str, int]:
        """The bucket of each part of a context."""
        positions, vocabulary = self._positions, self.sizes
        return {
            "region": positions["region"].get(context.region, vocabulary["region"] - 1),
            "network": positions["network"].get(context.network, vocabulary["network"] - 1),
            "funding": positions["funding"].get(context.funding, vocabulary["funding"] - 1),
            "currency": positions["currency"].get(context.currency, vocabulary["currency"] - 1),
            "risk": positions["risk"].get(context.risk, vocabulary["risk"] - 1),
            "amount": bisect.bisect_left(AMOUNT_EDGES_MINOR, context.amount_minor),
            "hour": context.hour // HOUR_BUCKET_HOURS,
            "recurring": int(context.recurring),
            "velocity": min(context.velocity, VELOCITY_MOST),
            "retry": int(context.retry),
        }


@dataclass(frozen=True)
class Layout:
    """Where the slots of features are in a table."""

    terms: tuple[tuple[int, tuple[tuple[str, int], ...]], ...]
    """By feature: the first slot, and each part with the slots that one bucket of it takes."""
    variances: tuple[float, ...]
    """By slot, before anything is seen."""
    half_lives_s: tuple[float, ...]

    @classmethod
    def of(cls, features: tuple[Feature, ...], sizes: Mapping[str, int]) -> "Layout":
        """The features one after the other."""
        terms: list[tuple[int, tuple[tuple[str, int], ...]]] = []
        variances: list[float] = []
        half_lives: list[float] = []
        for feature in features:
            first, width = len(variances), 1
            strides: list[tuple[str, int]] = []
            for part in feature.parts:
                strides.append((part, width))
                width *= sizes[part]
            terms.append((first, tuple(strides)))
            variances += [feature.spread**2] * width
            half_lives += [feature.half_life_s] * width
        return cls(tuple(terms), tuple(variances), tuple(half_lives))

    def slots(self, buckets: Mapping[str, int]) -> tuple[int, ...]:
        """One slot per feature."""
        return tuple(
            [
                first + sum([buckets[part] * width for part, width in strides])
                for first, strides in self.terms
            ]
        )
