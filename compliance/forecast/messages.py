"""Forecasts in the form of the contract, with why in plain words."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from compliance.accounts.guidance import guide
from compliance.accounts.messages import guidance_message
from compliance.forecast.record import Change, Episode, Figures, Outcome, is_false
from compliance.forecast.rules import Cause, Ground, Kind, Uncertainty, Volume
from compliance.forecast.store import Stored, StoredChange
from compliance.v1 import freeze_forecast_pb2 as pb
from compliance.v1 import freeze_forecast_service_pb2 as service_pb
from compliance.wire_time import to_duration, to_timestamp
from money.v1.money_pb2 import Money

_DAY = timedelta(days=1)
_KINDS = {
    Kind.CHARGES: pb.FREEZE_KIND_CHARGES,
    Kind.PAYOUTS: pb.FREEZE_KIND_PAYOUTS,
}
_GROUNDS = {
    Ground.UNANSWERED: pb.FREEZE_GROUND_UNANSWERED,
    Ground.UNVERIFIED: pb.FREEZE_GROUND_UNVERIFIED,
    Ground.ANNOUNCED: pb.FREEZE_GROUND_ANNOUNCED,
    Ground.THRESHOLD: pb.FREEZE_GROUND_THRESHOLD,
}
_OUTCOMES = {
    Outcome.OPEN: pb.FREEZE_OUTCOME_OPEN,
    Outcome.FROZE: pb.FREEZE_OUTCOME_FROZE,
    Outcome.CLEARED: pb.FREEZE_OUTCOME_CLEARED,
}
_CHANGES = {
    Change.APPEARED: pb.FREEZE_FORECAST_CHANGE_KIND_APPEARED,
    Change.WORSENED: pb.FREEZE_FORECAST_CHANGE_KIND_WORSENED,
    Change.EASED: pb.FREEZE_FORECAST_CHANGE_KIND_EASED,
    Change.CLEARED: pb.FREEZE_FORECAST_CHANGE_KIND_CLEARED,
    Change.FROZE: pb.FREEZE_FORECAST_CHANGE_KIND_FROZE,
}
_UNCERTAINTIES = {
    None: pb.FREEZE_UNCERTAINTY_UNSPECIFIED,
    Uncertainty.TRUNCATED: pb.FREEZE_UNCERTAINTY_TRUNCATED,
}
_WHY_UNCERTAIN = {
    None: "",
    Uncertainty.TRUNCATED: "Not all that Stripe has of this account was seen, so that it may want"
    " more than is named here, and earlier. What it wants in full is on its hosted pages.",
}
_WHY = {
    Ground.UNANSWERED: "is due by {day} and was not handed in",
    Ground.UNVERIFIED: "was handed in and has to be verified by {day}",
    Ground.ANNOUNCED: "is required from {day} on, as Stripe has announced",
    Ground.THRESHOLD: "is asked for from a volume or an age on that is reached on {day}",
}
_WHY_PAST = {
    Ground.UNANSWERED: "was due on {day} and was not handed in",
    Ground.UNVERIFIED: "was handed in and was to be verified by {day}",
    Ground.ANNOUNCED: "is required since {day}, as Stripe had announced",
    Ground.THRESHOLD: "is asked for from a volume or an age on that was reached on {day}",
}


def kind_word(kind: pb.FreezeKind.ValueType) -> str:
    """The word of the tables; empty if none is given."""
    return next((ours.value for ours, theirs in _KINDS.items() if theirs == kind), "")


def forecast_message(stored: Stored, as_of: datetime) -> pb.FreezeForecast:
    """A forecast with the days that are left at `as_of`."""
    return _message(
        stored.forecast_id,
        stored.merchant_id,
        stored.connected_account_id,
        stored.episode,
        stored.money,
        as_of,
    )


def change_message(stored: StoredChange) -> service_pb.WatchFreezeForecastsResponse:
    """A change with the forecast as it was then."""
    return service_pb.WatchFreezeForecastsResponse(
        sequence=stored.sequence,
        change=_CHANGES[stored.change],
        forecast=_message(
            stored.forecast_id,
            stored.merchant_id,
            stored.connected_account_id,
            stored.episode,
            stored.money,
            stored.record_time,
        ),
        record_time=to_timestamp(stored.record_time),
    )


def figures_message(figures: Figures) -> pb.FreezeForecastFigures:
    """Figures; a share of nothing is unset."""
    lead = figures.median_lead
    return pb.FreezeForecastFigures(
        freeze_count=figures.freezes,
        foreseen_count=figures.foreseen,
        unforeseeable_count=figures.unforeseeable,
        alarm_count=figures.alarms,
        averted_count=figures.averted,
        false_alarm_count=figures.false,
        open_count=figures.open,
        recall=figures.recall,
        precision=figures.precision,
        median_lead=None if lead is None else to_duration(lead),
    )


def _message(
    forecast_id: str,
    merchant_id: str,
    account_id: str,
    episode: Episode,
    money: Sequence[Volume],
    as_of: datetime,
) -> pb.FreezeForecast:
    told = episode.told
    dated = told.is_dated
    return pb.FreezeForecast(
        forecast_id=forecast_id,
        merchant_id=merchant_id,
        connected_account_id=account_id,
        kind=_KINDS[episode.kind],
        expected_time=to_timestamp(told.expected_time if dated else None),
        latest_time=to_timestamp(told.latest_time if dated else None),
        act_by_time=to_timestamp(told.act_by_time if dated else None),
        days_left=max(0, (told.expected_time - as_of) // _DAY) if dated else 0,
        chance=told.chance,
        alarm=told.is_alarm,
        alarm_time=to_timestamp(episode.alarm_time),
        causes=[_cause(cause, as_of) for cause in told.causes],
        money_at_risk_per_day=[
            Money(currency_code=volume.currency_code, minor_units=volume.per_day_minor)
            for volume in money
            if volume.per_day_minor > 0
        ],
        appear_time=to_timestamp(episode.appear_time),
        outcome=_OUTCOMES[episode.outcome],
        end_time=to_timestamp(episode.end_time),
        false_alarm=is_false(episode, as_of),
        uncertainty=_UNCERTAINTIES[told.uncertainty],
        uncertainty_explanation=_WHY_UNCERTAIN[told.uncertainty],
    )


def _cause(cause: Cause, as_of: datetime) -> pb.FreezeCause:
    words = _WHY if cause.expected_time > as_of else _WHY_PAST
    why = words[cause.ground].format(day=cause.expected_time.strftime("%Y-%m-%d %H:%M UTC"))
    return pb.FreezeCause(
        ground=_GROUNDS[cause.ground],
        field=cause.field,
        expected_time=to_timestamp(cause.expected_time),
        chance=cause.chance,
        capabilities=cause.capabilities,
        alternative_fields=cause.alternative_fields,
        hosted_only=cause.hosted_only,
        source=cause.source,
        explanation=f"{cause.field} {why}",
        guidance=guidance_message(guide().field(cause.field)),
    )
