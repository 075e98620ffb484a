"""`compliance.freeze_forecast`: a simulated year of 2,000 merchants, foreseen by the real rules.

The world (`freeze_world.py`) shows accounts as Stripe does and knows nothing of the rules; the
rules see snapshots, volumes, and the lengths that they have learnt from earlier snapshots, none of
it before it has happened. Counted are all freezes, the unforeseeable too:

- `value`: the share of freezes whose alarm stood when they came;
- `median_lead_days`: for how long it had stood;
- `false_alarm_share`: of all alarms, those that would not have come true although the merchant
  handed in nothing more from the alarm on: the same year is played again with one who does not;
- `averted_share`: of all alarms, those that did not come true since somebody acted.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bench.freeze_world import DAY, DAYS, END, START, Merchant, View, play, world
from compliance.accounts.requirements import Requirement, RequirementLists, merge
from compliance.forecast.durations import Durations
from compliance.forecast.record import Episode, Outcome, step
from compliance.forecast.rules import AccountState, Kind, Model, Standing, Volume, forecast
from compliance.forecast.spans import EndedSpan, Span, advance, answer_lengths, review_lengths
from compliance.forecast.stripe_figures import THRESHOLDS, read_delays, read_thresholds

NAME = "compliance.freeze_forecast"
MERCHANTS = 2_000
SEED = 20_260_101
FORESEEN_AT_LEAST, LEAD_AT_LEAST_DAYS, FALSE_AT_MOST = 0.95, 7.0, 0.10
# An alarm comes true if the merchant, left alone, is stopped within this.
TRUE_WITHIN = 120 * DAY
LEARNT_FROM = 180 * DAY
RECENT_DAYS = 28


@dataclass
class Watched:
    """A merchant with what is known of it from snapshots."""

    merchant: Merchant
    upcoming: list[tuple[datetime, View]]
    stops: list[tuple[str, datetime]]
    view: View | None = None
    requirements: tuple[Requirement, ...] = ()
    spans: tuple[Span, ...] = ()
    episodes: dict[Kind, Episode | None] = field(default_factory=dict)


class Alarm(NamedTuple):
    """An alarm without a break, and whether the kind stopped while it stood."""

    merchant: Merchant
    kind: Kind
    start: datetime
    came_true: bool


@dataclass
class Year:
    """What was learnt and told so far."""

    ended: list[EndedSpan] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    leads: dict[tuple[int, str, datetime], timedelta] = field(default_factory=dict)


async def measure() -> dict[str, Any]:
    """The benchmark's line."""
    return run(SEED, MERCHANTS)


def run(seed: int, count: int) -> dict[str, Any]:
    """A year of so many merchants."""
    watched = []
    for merchant in world(seed, count):
        history = play(merchant)
        watched.append(Watched(merchant, history.views[::-1], history.stops))
    year = Year()
    thresholds, delays = read_thresholds(THRESHOLDS), read_delays()
    for day in range(DAYS):
        morning = START + day * DAY
        open_spans = [span for one in watched for span in one.spans]
        recent = [item for item in year.ended if item.until > morning - LEARNT_FROM]
        model = Model(
            reviews=Durations.of(review_lengths(recent, open_spans, morning)),
            answers=Durations.of(answer_lengths(recent, open_spans, morning)),
            thresholds=thresholds,
            delays=delays,
        )
        for one in watched:
            _look_through_a_day(one, year, model, morning)
    return _line(watched, year)


def _look_through_a_day(one: Watched, year: Year, model: Model, morning: datetime) -> None:
    """At each change of the account, and once in the morning."""
    if one.requirements or any(one.episodes.values()):
        _look(one, year, model, morning, stopped=())
    while one.upcoming and one.upcoming[-1][0] < morning + DAY:
        moment, view = one.upcoming.pop()
        before, one.view = one.view, view
        one.requirements = merge(_lists(view))
        one.spans, ended = advance(one.spans, one.requirements, moment)
        year.ended += ended
        stopped = tuple(
            kind
            for kind in Kind
            if before is not None and _enabled(before, kind) and not _enabled(view, kind)
        )
        _look(one, year, model, moment, stopped=stopped)


def _look(
    one: Watched, year: Year, model: Model, as_of: datetime, stopped: tuple[Kind, ...]
) -> None:
    assert one.view is not None, "an account that is looked at was seen"
    merchant = one.merchant
    since = {span.field: span.since for span in one.spans}
    state = AccountState(
        country_code=merchant.country,
        charges_enabled=one.view.charges_enabled,
        payouts_enabled=one.view.payouts_enabled,
        capabilities=("card_payments", "transfers"),
        standings=tuple(Standing(item, since[item.field]) for item in one.requirements),
    )
    volume = Volume(
        merchant.currency,
        merchant.volume(as_of),
        (merchant.volume(as_of) - merchant.volume(as_of - RECENT_DAYS * DAY)) // RECENT_DAYS,
        merchant.first_time,
    )
    told = {item.kind: item for item in forecast(state, (volume,), model, as_of)}
    for kind in Kind:
        before = one.episodes.get(kind)
        is_stop = kind in stopped
        after, _ = step(before, told.get(kind), kind, stopped=is_stop, as_of=as_of)
        if is_stop and before is not None and before.alarm_time is not None:
            year.leads[(merchant.number, kind.value, as_of)] = as_of - before.alarm_time
        if before is not None and before.alarm_time is not None:
            ends = after is None or after.alarm_time is None or after.outcome is not Outcome.OPEN
            if ends:
                year.alarms.append(Alarm(merchant, kind, before.alarm_time, is_stop))
        one.episodes[kind] = None if after is None or after.end_time else after


def _line(watched: list[Watched], year: Year) -> dict[str, Any]:
    stops = [
        (one.merchant.number, kind, moment)
        for one in watched
        for kind, moment in one.stops
        if START <= moment < END
    ]
    leads = [year.leads[stop] for stop in stops if stop in year.leads]
    for one in watched:
        for kind, episode in one.episodes.items():
            if episode is not None and episode.alarm_time is not None:
                year.alarms.append(Alarm(one.merchant, kind, episode.alarm_time, False))
    unfounded = [alarm for alarm in year.alarms if not alarm.came_true and not _would(alarm)]
    averted = sum(not alarm.came_true for alarm in year.alarms) - len(unfounded)
    foreseen = len(leads) / len(stops)
    lead = statistics.median(length / DAY for length in leads)
    false_share = len(unfounded) / len(year.alarms)
    return {
        "name": NAME,
        "value": round(foreseen, 4),
        "unit": "share of freezes foreseen",
        "limit": FORESEEN_AT_LEAST,
        "limit_name": "what is promised",
        "ratio": round(foreseen / FORESEEN_AT_LEAST, 3),
        "merchants": len(watched),
        "freezes": len(stops),
        "unforeseeable": sum(
            START <= moment < END
            for one in watched
            for kinds, moment, _, _ in one.merchant.blows
            for _ in kinds
        ),
        "alarms": len(year.alarms),
        "median_lead_days": round(lead, 1),
        "false_alarm_share": round(false_share, 4),
        "averted_share": round(averted / len(year.alarms), 4),
        "target": f"value >= {FORESEEN_AT_LEAST:g}, median_lead_days >= {LEAD_AT_LEAST_DAYS:g}, "
        f"false_alarm_share <= {FALSE_AT_MOST:g}",
        "met": foreseen >= FORESEEN_AT_LEAST
        and lead >= LEAD_AT_LEAST_DAYS
        and false_share <= FALSE_AT_MOST,
    }


def _would(alarm: Alarm) -> bool:
    """Whether the kind stops if the merchant hands in nothing more from the alarm on."""
    alone = play(alarm.merchant, silent_after=alarm.start)
    return any(
        stopped == alarm.kind.value and alarm.start < moment <= alarm.start + TRUE_WITHIN
        for stopped, moment in alone.stops
    )


def _enabled(view: View, kind: Kind) -> bool:
    return view.charges_enabled if kind is Kind.CHARGES else view.payouts_enabled


def _lists(view: View) -> Iterator[RequirementLists]:
    """Stripe's lists, one for each wish: each field is in one of them only."""
    for ask, shown in view.wishes:
        fields = ask.fields
        due = shown.list_name in ("currently_due", "past_due")
        yield RequirementLists(
            capability=ask.capability,
            future=shown.list_name == "future",
            currently_due=fields if due or shown.list_name == "future" else (),
            past_due=fields if shown.list_name == "past_due" else (),
            eventually_due=fields if shown.list_name != "pending_verification" else (),
            pending_verification=fields if shown.list_name == "pending_verification" else (),
            deadline_time=shown.deadline,
            alternatives=(),
            errors=(),
        )
