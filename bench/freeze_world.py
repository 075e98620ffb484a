"""A year of Stripe and its merchants, for `compliance.freeze_forecast`: it knows no rule of ours.

Stripe does what its documentation says: it asks for things with a deadline, by volume, by age, by a
campaign announced months before, or for a risk review; it wants them handed in *and* verified by
then; what is late is past due, and payouts stop at the deadline or up to 14 days after, charges
then or up to 14 days later; it moves some deadlines and drops some wishes. Merchants answer
promptly, slowly, wrongly, late or never. Some are stopped for what nobody can see before.

All is drawn from a seed before the year begins, for each wish its merchant's answers too. So the
same year can be played again with a merchant who hands in nothing from some moment on: what would
have been is not guessed.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 365
END = START + DAYS * DAY
CHARGES, PAYOUTS = "CHARGES", "PAYOUTS"
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
# https://support.stripe.com/questions/us-connected-accounts-accepting-card-payments-verification-requirement-changes
FULL_NUMBER_VOLUME = 50_000_000
TAX_ID_VOLUME, TAX_ID_AGE = 60_000, 30 * DAY
# https://support.stripe.com/questions/2023-2024-us-verification-requirements-updates-for-custom-platforms-faqs
CAMPAIGN_GRACE = 14 * DAY

# Shares of merchants by what they do when they are asked.
PROMPT, SLOW, WRONG, LATE, SILENT = "prompt", "slow", "wrong", "late", "never"
ANSWERS = {PROMPT: 0.60, SLOW: 0.12, WRONG: 0.10, LATE: 0.08, SILENT: 0.10}
# How often a merchant is asked a year.
DUE_RATE, RISK_RATE = 0.8, 0.12
REJECTED_RATE, BANK_FAILS_RATE = 0.004, 0.005
CAMPAIGNS, CAMPAIGN_SHARE = 3, 0.2
EXTENDED_SHARE, WITHDRAWN_SHARE = 0.03, 0.02


@dataclass(frozen=True)
class Attempt:
    """Something handed in, so long after it was asked for or refused, and what comes of it."""

    after: timedelta
    review: timedelta
    accepted: bool


@dataclass(frozen=True)
class Ask:
    """One wish of Stripe's; `lags` say how long after its deadline each kind stops.

    `announce_time` is when it is first seen among future requirements, if it is; until
    `ask_time` it is eventually due if it `waits`.
    """

    fields: tuple[str, ...]
    capability: str
    announce_time: datetime | None
    waits_since: datetime | None
    ask_time: datetime
    deadline: datetime
    attempts: tuple[Attempt, ...]
    early_attempt: datetime | None
    lags: dict[str, timedelta]
    extended: bool
    withdraw_time: datetime


@dataclass(frozen=True)
class AskView:
    """How a wish stands: the list of Stripe's that it is in, and the deadline there."""

    list_name: str
    deadline: datetime | None


@dataclass(frozen=True)
class Course:
    """What came of one wish: its views from when on, None once it is gone, and what stopped."""

    views: tuple[tuple[datetime, AskView | None], ...]
    stops: dict[str, tuple[datetime, datetime]]


@dataclass(frozen=True)
class Merchant:
    """A merchant with all that will be asked; amounts are minor units a day of `currency`."""

    number: int
    country: str
    currency: str
    first_time: datetime
    per_day: float
    asks: tuple[Ask, ...]
    # What is stopped for other reasons: (kinds, from, until, reason).
    blows: tuple[tuple[tuple[str, ...], datetime, datetime, str], ...]

    def volume(self, until: datetime) -> int:
        """All that was charged until then."""
        return int(max((until - self.first_time) / DAY, 0.0) * self.per_day)


@dataclass(frozen=True)
class View:
    """An account as Stripe shows it: wishes as (fields, capability, list, deadline)."""

    charges_enabled: bool
    payouts_enabled: bool
    disabled_reason: str
    wishes: tuple[tuple[Ask, AskView], ...]


@dataclass
class History:
    """The views of an account from when on, and when each kind stopped."""

    views: list[tuple[datetime, View]] = field(default_factory=list)
    stops: list[tuple[str, datetime]] = field(default_factory=list)


def play(merchant: Merchant, silent_after: datetime = NEVER) -> History:
    """The merchant's year, handing in nothing after that moment."""
    courses = [(ask, course_of(ask, silent_after)) for ask in merchant.asks]
    intervals: list[tuple[str, datetime, datetime, str]] = [
        (kind, start, end, "requirements.past_due")
        for _, course in courses
        for kind, (start, end) in course.stops.items()
    ]
    intervals += [(k, a, b, why) for kinds, a, b, why in merchant.blows for k in kinds]
    moments = {merchant.first_time}
    moments |= {time for _, course in courses for time, _ in course.views}
    moments |= {time for _, start, end, _ in intervals for time in (start, end)}
    history = History()
    was = {CHARGES: True, PAYOUTS: True}
    for moment in sorted(moments):
        if moment == NEVER:
            break
        stopped = {kind: why for kind, start, end, why in intervals if start <= moment < end}
        wishes = tuple(
            (ask, view) for ask, course in courses if (view := _view_at(course, moment)) is not None
        )
        enabled = {kind: kind not in stopped for kind in was}
        history.views.append(
            (
                moment,
                View(
                    enabled[CHARGES],
                    enabled[PAYOUTS],
                    next(iter(stopped.values()), ""),
                    wishes,
                ),
            )
        )
        history.stops += [(kind, moment) for kind in was if was[kind] and not enabled[kind]]
        was = enabled
    return history


def course_of(ask: Ask, silent_after: datetime) -> Course:
    """What comes of a wish."""
    views: list[tuple[datetime, AskView | None]] = []
    if ask.waits_since is not None:
        views.append((ask.waits_since, AskView("eventually_due", None)))
    if ask.announce_time is not None:
        views.append((ask.announce_time, AskView("future", ask.ask_time)))
        early = ask.early_attempt
        if early is not None and early <= silent_after:
            return Course((*views, (early, None)), {})
    deadline = ask.deadline
    changes: list[tuple[datetime, str]] = [(ask.ask_time, "currently_due")]
    moment, resolved = ask.ask_time, NEVER
    for attempt in ask.attempts:
        handed_in = moment + attempt.after
        if handed_in > min(silent_after, ask.withdraw_time):
            break
        moment = handed_in + attempt.review
        changes.append((handed_in, "pending_verification"))
        if attempt.accepted:
            resolved = moment
            break
        changes.append((moment, "currently_due"))
    if ask.withdraw_time < min(resolved, deadline):
        resolved = ask.withdraw_time
    extension = deadline - DAY
    if ask.extended and extension > ask.ask_time and resolved > extension:
        deadline += CAMPAIGN_GRACE
        standing = [name for time, name in changes if time <= extension][-1]
        changes.append((extension, standing))
    else:
        extension = NEVER
    standing = [name for time, name in changes if time <= deadline][-1]
    if standing == "currently_due":
        changes.append((deadline, "currently_due"))
    for time, name in sorted(changes, key=lambda change: change[0]):
        if time >= resolved:
            break
        shown = ask.deadline if time < extension else deadline
        late = name == "currently_due" and time >= deadline
        views.append((time, AskView("past_due" if late else name, shown)))
    views.append((resolved, None))
    stops = {
        kind: (deadline + lag, resolved)
        for kind, lag in ask.lags.items()
        if resolved > deadline + lag
    }
    return Course(tuple(views), stops)


def _view_at(course: Course, moment: datetime) -> AskView | None:
    shown: AskView | None = None
    for time, view in course.views:
        if time > moment:
            break
        shown = view
    return shown


def world(seed: int, count: int) -> list[Merchant]:
    """The merchants of a year."""
    draw = random.Random(seed)
    campaigns = [
        (START + (100 + 85 * n) * DAY, draw.choice((60, 90, 120)) * DAY, f"campaign_{n}")
        for n in range(CAMPAIGNS)
    ]
    return [_merchant(draw, number, campaigns) for number in range(count)]


def _merchant(
    draw: random.Random, number: int, campaigns: Sequence[tuple[datetime, timedelta, str]]
) -> Merchant:
    country = draw.choices(("US", "DE", "GB", "FR"), (60, 20, 10, 10))[0]
    currency = {"US": "USD", "GB": "GBP"}.get(country, "EUR")
    first = START + draw.uniform(-500, 330) * DAY
    per_day = 30_000 * math.exp(draw.gauss(0, 1.5))
    asks = list(_asks(draw, country, first, per_day, campaigns))
    blows: list[tuple[tuple[str, ...], datetime, datetime, str]] = []
    if draw.random() < REJECTED_RATE:
        at = _moment(draw, first)
        blows.append(((CHARGES, PAYOUTS), at, NEVER, "rejected.fraud"))
    if draw.random() < BANK_FAILS_RATE:
        at = _moment(draw, first)
        blows.append(((PAYOUTS,), at, at + draw.uniform(1, 20) * DAY, ""))
    return Merchant(number, country, currency, first, per_day, tuple(asks), tuple(blows))


def _asks(
    draw: random.Random,
    country: str,
    first: datetime,
    per_day: float,
    campaigns: Sequence[tuple[datetime, timedelta, str]],
) -> Iterator[Ask]:
    for number in range(_poisson(draw, DUE_RATE)):
        yield _due(draw, first, number)
    for number in range(_poisson(draw, RISK_RATE)):
        yield _ask(
            draw,
            (f"interv_{number}.other_supportability_inquiry.form",),
            _moment(draw, first),
            draw.uniform(4, 12) * DAY,
        )
    for begin, notice, name in campaigns:
        if draw.random() < CAMPAIGN_SHARE and first < begin - notice:
            yield _campaign(draw, begin, notice, name)
    if country != "US":
        return
    # Who has not given a number yet is asked for it at a volume or an age.
    if draw.random() < 0.5:
        reached = first + FULL_NUMBER_VOLUME / per_day * DAY
        yield from _at_threshold(draw, "person_1.id_number", first, reached)
    if draw.random() < 0.3:
        reached = first + min(TAX_ID_VOLUME / per_day * DAY, TAX_ID_AGE)
        yield from _at_threshold(draw, "company.tax_id", first, reached)


def _due(draw: random.Random, first: datetime, number: int) -> Ask:
    subject, capability, kinds = draw.choices(
        (
            ("individual.verification.document", "", (CHARGES, PAYOUTS)),
            ("company.verification.document", "card_payments", (CHARGES, PAYOUTS)),
            ("individual.address.line1", "transfers", (PAYOUTS,)),
            ("external_account", "", (PAYOUTS,)),
        ),
        (4, 3, 2, 1),
    )[0]
    fields = (f"{subject}_{number}" if subject != "external_account" else subject,)
    length = draw.choice((7, 14, 14, 21, 30, 30, 45, 60, 90)) * DAY
    return _ask(draw, fields, _moment(draw, first), length, capability=capability, kinds=kinds)


def _campaign(draw: random.Random, begin: datetime, notice: timedelta, name: str) -> Ask:
    announced = begin - notice
    early = announced + draw.uniform(0, 1) * notice if draw.random() < 0.5 else None
    graced = draw.random() < 0.7
    ask = _ask(
        draw,
        (f"company.{name}", f"representative.{name}"),
        begin,
        CAMPAIGN_GRACE if graced else draw.uniform(0, 1) * HOUR,
    )
    lags = {PAYOUTS: timedelta(0), CHARGES: CAMPAIGN_GRACE} if graced else ask.lags
    return Ask(**{**ask.__dict__, "announce_time": announced, "early_attempt": early, "lags": lags})


def _at_threshold(
    draw: random.Random, name: str, first: datetime, reached: datetime
) -> Iterator[Ask]:
    if reached < END + 90 * DAY:
        ask = _ask(draw, (name,), reached, draw.uniform(7, 30) * DAY, capability="card_payments")
        yield Ask(**{**ask.__dict__, "waits_since": first})


def _ask(
    draw: random.Random,
    fields: tuple[str, ...],
    ask_time: datetime,
    length: timedelta,
    *,
    capability: str = "",
    kinds: tuple[str, ...] = (CHARGES, PAYOUTS),
) -> Ask:
    # Payouts stop first, within the hour or days later; charges with them or later still.
    payouts = draw.uniform(0, 1) * HOUR if draw.random() < 0.6 else draw.uniform(0, 14) * DAY
    charges = payouts if draw.random() < 0.5 else payouts + draw.uniform(0, 14) * DAY
    lags = {PAYOUTS: payouts, CHARGES: charges}
    withdrawn = draw.random() < WITHDRAWN_SHARE
    return Ask(
        fields=fields,
        capability=capability,
        announce_time=None,
        waits_since=None,
        ask_time=ask_time,
        deadline=ask_time + length,
        attempts=tuple(_attempts(draw, length)),
        early_attempt=None,
        lags={kind: lags[kind] for kind in kinds},
        extended=draw.random() < EXTENDED_SHARE,
        withdraw_time=ask_time + draw.uniform(0.1, 0.95) * length if withdrawn else NEVER,
    )


def _attempts(draw: random.Random, length: timedelta) -> Iterator[Attempt]:
    answer = draw.choices(tuple(ANSWERS), tuple(ANSWERS.values()))[0]
    if answer == SILENT:
        return
    if answer == LATE:
        yield Attempt(length + draw.expovariate(1 / 6) * DAY, _review(draw), True)
        return
    if answer == SLOW:
        yield Attempt(draw.uniform(0.5, 1) * length, _review(draw), True)
        return
    if answer == WRONG:
        for _ in range(draw.choice((1, 1, 2))):
            yield Attempt(_some_days(draw, 2.5), _review(draw), False)
        yield Attempt(_some_days(draw, 3), _review(draw), True)
        return
    yield Attempt(_some_days(draw, 2), _review(draw), True)


def _review(draw: random.Random) -> timedelta:
    """Mostly by a machine, within hours; else by hand, within days."""
    if draw.random() < 0.7:
        return HOUR * math.exp(draw.gauss(0, 1.2))
    return 20 * HOUR * math.exp(draw.gauss(0, 0.8))


def _some_days(draw: random.Random, median: float) -> timedelta:
    return median * DAY * math.exp(draw.gauss(0, 1))


def _moment(draw: random.Random, first: datetime) -> datetime:
    begin = max(first, START)
    return begin + draw.uniform(0, 1) * (END - begin)


def _poisson(draw: random.Random, rate: float) -> int:
    count, left = 0, math.exp(-rate)
    product = draw.random()
    while product > left:
        count += 1
        product *= draw.random()
    return count
