"""When Stripe will stop a merchant's charges or payouts: pure, total, by what is known at `as_of`.

Stripe names a date, `current_deadline`, by which what is due has to be handed in *and* verified;
`future_requirements` become requirements at theirs, possibly past due at once; what is only
eventually due becomes due at volumes and times, most of which are not public:
https://docs.stripe.com/api/accounts/object#account_object-requirements-current_deadline
https://docs.stripe.com/connect/handling-api-verification

The moment expected is the earliest of all causes', so that an earlier deadline or one requirement
more never makes it later. Whether that is an alarm depends on the time that is left and on how
likely nobody prevents it: by how long merchants have taken to answer and Stripe to verify.

Of an account of which not everything was seen, nothing is taken for done: each kind that is not
stopped has a forecast that says so, without a moment if none is known, and a cause that was told
before and cannot be seen now stands.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from compliance.accounts.requirements import PAST_DUE, Requirement
from compliance.checks.connected_account import matters
from compliance.checks.facts import CheckKind, RequirementFacts
from compliance.forecast.durations import Durations
from compliance.forecast.spans import Stage, stage_of
from compliance.forecast.stripe_figures import VolumeThreshold

# Stripe's reviews take minutes, by hand hours; what is seen here takes the place of this:
# https://docs.stripe.com/connect/required-verification-information
DEFAULT_REVIEW_TIME = timedelta(days=3)
# Nine reviews of ten are over by the review time that a forecast goes by.
REVIEW_SHARE = 0.9
# From then on before the last moment to hand something in, a forecast may be an alarm.
NOTICE = timedelta(days=14)
# It is one if nobody prevents the freeze at least as likely as this.
ALARM_CHANCE = 0.7
# What is handed in is an alarm unless nine of ten reviews such as this one are over in time: who
# waits for Stripe can do nothing more, and is not to be told that all is well.
LATE_REVIEW_CHANCE = 0.1
# A volume is projected no further than this.
VOLUME_HORIZON = timedelta(days=60)
MAX_CAUSES = 50
# No moment is known: later than any that is.
UNDATED = datetime(9999, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What Stripe stops."""

    CHARGES = "CHARGES"
    PAYOUTS = "PAYOUTS"


class Ground(StrEnum):
    """Why a moment is expected."""

    # Due or past due, and nothing was handed in.
    UNANSWERED = "UNANSWERED"
    # Handed in, and perhaps not verified in time.
    UNVERIFIED = "UNVERIFIED"
    # Asked for from a date on that Stripe has announced.
    ANNOUNCED = "ANNOUNCED"
    # Asked for from a volume or an age on.
    THRESHOLD = "THRESHOLD"


class Uncertainty(StrEnum):
    """Why a forecast may miss something."""

    # The gateway did not see all that Stripe has, or had more than a snapshot holds.
    TRUNCATED = "TRUNCATED"


@dataclass(frozen=True)
class Standing:
    """A requirement, and since when it has been in its stage."""

    requirement: Requirement
    since: datetime


@dataclass(frozen=True)
class Volume:
    """Charges in one currency: all so far, what a day brings lately, and when the first was."""

    currency_code: str
    total_minor: int
    per_day_minor: int
    first_time: datetime


@dataclass(frozen=True)
class AccountState:
    """An account as the last snapshot has it; capabilities are those that it asks for.

    `truncated` if the snapshot is not the whole of it: there may be more standings.
    """

    country_code: str
    charges_enabled: bool
    payouts_enabled: bool
    capabilities: tuple[str, ...]
    standings: tuple[Standing, ...]
    truncated: bool = False


@dataclass(frozen=True)
class Model:
    """What a forecast goes by besides the account: lengths seen, Stripe's figures."""

    reviews: Durations
    answers: Durations
    thresholds: Sequence[VolumeThreshold]
    delays: Mapping[str, timedelta]

    @property
    def review_time(self) -> timedelta:
        """How long a review is expected to take; the default until enough were seen."""
        seen = self.reviews.quantile(REVIEW_SHARE)
        if seen is not None:
            return seen
        # Seen, but the slowest are still open: no shorter than what has been.
        return max(DEFAULT_REVIEW_TIME, self.reviews.known_until)


@dataclass(frozen=True)
class Cause:
    """Why something stops, and when; `chance` is how likely nobody prevents it in time.

    `expected_time` may have passed: Stripe may stop at any moment. It stops by `latest_time`, if
    it does as it has done before. `source` is the page that a threshold is from, else empty.
    """

    ground: Ground
    field: str
    expected_time: datetime
    latest_time: datetime
    chance: float
    capabilities: tuple[str, ...]
    alternative_fields: tuple[str, ...]
    hosted_only: bool
    source: str


@dataclass(frozen=True)
class Forecast:
    """That something stops at `expected_time`, unless what is wanted is handed in by `act_by_time`.

    The causes are the earliest first. `latest_time` is that of the first cause; `chance` the
    highest of all. Without a cause, which only an uncertain forecast is, the three times are
    `UNDATED` and the chance is 0: nobody knows.
    """

    kind: Kind
    expected_time: datetime
    latest_time: datetime
    act_by_time: datetime
    chance: float
    is_alarm: bool
    causes: tuple[Cause, ...]
    # Forecasts of earlier releases were all taken for certain.
    uncertainty: Uncertainty | None = None

    @property
    def is_dated(self) -> bool:
        """Whether any moment is known."""
        return bool(self.causes)


_NOTHING_TOLD: Mapping[Kind, Forecast] = {}


def forecast(
    state: AccountState,
    volumes: Sequence[Volume],
    model: Model,
    as_of: datetime,
    told: Mapping[Kind, Forecast] = _NOTHING_TOLD,
) -> tuple[Forecast, ...]:
    """At most one for each kind; none for what is stopped already or has no date.

    `told` is what was forecast before, which counts for an account of which not all is seen.
    """
    review_time = model.review_time
    found: list[Forecast] = []
    for kind in Kind:
        enabled = state.charges_enabled if kind is Kind.CHARGES else state.payouts_enabled
        if not enabled:
            continue
        causes = sorted(
            (
                *_causes(state, volumes, model, kind, review_time, as_of),
                *_unseen_causes(state, told.get(kind), as_of),
            ),
            key=lambda cause: (cause.expected_time, -cause.chance, cause.field),
        )
        uncertainty = Uncertainty.TRUNCATED if state.truncated else None
        if not causes:
            if uncertainty is not None:
                found.append(_undated(kind, uncertainty))
            continue
        first = causes[0]
        found.append(
            Forecast(
                kind=kind,
                expected_time=first.expected_time,
                latest_time=first.latest_time,
                act_by_time=first.expected_time - review_time,
                chance=max(cause.chance for cause in causes),
                is_alarm=any(_alarms(cause, review_time, as_of) for cause in causes),
                causes=tuple(causes[:MAX_CAUSES]),
                uncertainty=uncertainty,
            )
        )
    return tuple(found)


def _undated(kind: Kind, uncertainty: Uncertainty) -> Forecast:
    return Forecast(
        kind=kind,
        expected_time=UNDATED,
        latest_time=UNDATED,
        act_by_time=UNDATED,
        chance=0.0,
        is_alarm=False,
        causes=(),
        uncertainty=uncertainty,
    )


def _unseen_causes(state: AccountState, told: Forecast | None, as_of: datetime) -> Iterator[Cause]:
    """What was told before and cannot be seen now: it may be beyond the cut as well as done."""
    if not state.truncated or told is None:
        return
    seen = {standing.requirement.field for standing in state.standings}
    for cause in told.causes:
        if cause.field not in seen:
            yield replace(cause, chance=1.0) if cause.expected_time <= as_of else cause


def _alarms(cause: Cause, review_time: timedelta, as_of: datetime) -> bool:
    if cause.expected_time - as_of > review_time + NOTICE:
        return False
    if cause.ground is Ground.UNVERIFIED:
        return cause.chance > LATE_REVIEW_CHANCE
    return cause.chance >= ALARM_CHANCE


def _causes(
    state: AccountState,
    volumes: Sequence[Volume],
    model: Model,
    kind: Kind,
    review_time: timedelta,
    as_of: datetime,
) -> Iterator[Cause]:
    for standing in state.standings:
        requirement = standing.requirement
        if not _concerns(requirement, kind):
            continue
        ground, expected, source = _moment(state, standing, volumes, model, as_of)
        if expected is None:
            continue
        latest = expected + model.delays[kind]
        if ground is Ground.THRESHOLD and latest < as_of:
            # Stripe has not asked for it since: the figure is not what it goes by here.
            continue
        yield Cause(
            ground=ground,
            field=requirement.field,
            expected_time=expected,
            latest_time=latest,
            chance=_chance(ground, expected, standing, model, review_time, as_of),
            capabilities=requirement.capabilities,
            alternative_fields=requirement.alternative_fields,
            hosted_only=requirement.hosted_only,
            source=source,
        )


def _concerns(requirement: Requirement, kind: Kind) -> bool:
    facts = RequirementFacts(
        requirement.field,
        requirement.severity,
        requirement.deadline_time,
        requirement.capabilities,
        requirement.future,
    )
    return matters(facts, CheckKind.PAYMENT if kind is Kind.CHARGES else CheckKind.PAYOUT)


def _moment(
    state: AccountState,
    standing: Standing,
    volumes: Sequence[Volume],
    model: Model,
    as_of: datetime,
) -> tuple[Ground, datetime | None, str]:
    """On what ground a moment is expected, and which; None if nobody knows one."""
    requirement = standing.requirement
    deadline = requirement.deadline_time
    stage = stage_of(requirement)
    if requirement.severity >= PAST_DUE:
        since = standing.since
        return Ground.UNANSWERED, since if deadline is None else min(deadline, since), ""
    if stage is Stage.DUE:
        return Ground.UNANSWERED, deadline, ""
    if stage is Stage.PENDING:
        return Ground.UNVERIFIED, deadline, ""
    if requirement.future:
        return Ground.ANNOUNCED, deadline, ""
    moments = [
        (moment, threshold.source)
        for threshold in model.thresholds
        if threshold.start_time <= as_of
        and threshold.concerns(requirement, state.country_code, state.capabilities)
        for volume in volumes
        if volume.currency_code == threshold.currency_code
        for moment in _reached(threshold, volume, as_of)
    ]
    if not moments:
        return Ground.THRESHOLD, None, ""
    moment, source = min(moments)
    return Ground.THRESHOLD, moment, source


def _reached(threshold: VolumeThreshold, volume: Volume, as_of: datetime) -> Iterator[datetime]:
    """When the volume or the age is reached, or was, as the merchant goes on."""
    if threshold.days is not None:
        yield volume.first_time + threshold.days
    if threshold.volume_minor is None:
        return
    missing = threshold.volume_minor - volume.total_minor
    if volume.per_day_minor <= 0:
        if missing <= 0:
            yield as_of
        return
    days = missing / volume.per_day_minor
    # How long ago matters no more than how far ahead.
    horizon = VOLUME_HORIZON.days
    if days <= horizon:
        yield as_of + timedelta(days=max(days, -horizon))


def _chance(
    ground: Ground,
    expected: datetime,
    standing: Standing,
    model: Model,
    review_time: timedelta,
    as_of: datetime,
) -> float:
    left = expected - as_of
    if left <= timedelta(0):
        return 1.0
    so_far = max(as_of - standing.since, timedelta(0))
    if ground is Ground.UNVERIFIED:
        if model.reviews.is_known:
            return model.reviews.chance_of_more(so_far, left)
        in_time = so_far <= review_time and standing.since + review_time <= expected
        return 0.0 if in_time else 1.0
    if ground is Ground.THRESHOLD:
        # Nobody has been asked yet: as one who is asked now and has until then.
        so_far = timedelta(0)
    return model.answers.chance_of_more(so_far, left - review_time)
