"""What this process sees of its corridors, minute by minute: requests to Stripe as they go out and
end, webhooks as they come in, and how the process itself is doing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.foresight.sighting import (
    CALLS,
    MOST_CAME,
    MOST_PROMISED,
    Sighting,
    bucket_of,
    mark_of,
    smallest,
)
from gateway.foresight_service import telemetry
from gateway.routing.attribution import CUSTOMERS_OWN, FRAUD_RULES
from gateway.stripe_client.call import Call
from gateway.stripe_client.classify import Health, Verdict
from gateway.stripe_client.client import PAYMENT_INTENTS
from gateway.stripe_client.outcome import Failure, NotSentReason, OutcomeClass, text_of
from gateway.webhooks_in.event import ReceivedEvent
from runtime.clock import Clock

SECONDS_A_MINUTE = 60
# A request whose caller gave it up sooner than this says nothing of the corridor.
LEAST_GIVEN_UP_SECONDS = 2.0
# An event that comes later than this is one that was lost and found again, or sent once more after
# we were away: no lag.
MOST_LAG_SECONDS = 900.0
# Minutes that wait for the database; what is older is let go.
MAX_PENDING_MINUTES = 15

# So many times the marks that are told are kept in a minute: a busy one has many more, and fifteen
# minutes may wait for the database.
MOST_MARKS = 4

# https://docs.stripe.com/declines/codes
FUNDS = frozenset(
    {"card_velocity_exceeded", "insufficient_funds", "withdrawal_count_limit_exceeded"}
)
FRAUD = FRAUD_RULES | {
    "fraudulent",
    "lost_card",
    "pickup_card",
    "restricted_card",
    "security_violation",
    "stolen_card",
}
ERROR, TIMED_OUT, RATE_LIMITED = "errors", "timeouts", "rate_limited"
ISSUER_DECLINE, FRAUD_DECLINE, FUNDS_DECLINE = "issuer_declines", "fraud_declines", "funds_declines"


@dataclass
class _Tally:
    """A corridor's minute in the making."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CALLS, 0))
    latencies: dict[int, int] = field(default_factory=dict)
    webhooks: int = 0
    webhook_lag_s: float = 0.0
    promised: set[int] = field(default_factory=set)
    came: set[int] = field(default_factory=set)
    in_flight_age_s: float | None = None


@dataclass
class _Vitals:
    """How the process did in a minute: the mean of what was measured; pools by their worst."""

    loop_lags_ms: list[float] = field(default_factory=list)
    pool_waits_ms: list[float] = field(default_factory=list)
    database_latencies_ms: list[float] = field(default_factory=list)


@dataclass
class _Minute:
    tallies: dict[str, _Tally]
    vitals: _Vitals = field(default_factory=_Vitals)


class Evidence:
    """Gathers what is seen; `monotonic` tells seconds on a clock that never jumps."""

    def __init__(
        self, corridors: Sequence[str], clock: Clock, monotonic: Callable[[], float]
    ) -> None:
        self._corridors = tuple(corridors)
        self._clock = clock
        self._monotonic = monotonic
        self._minutes: dict[int, _Minute] = {}
        # By ticket, in the order of their start.
        self._under_way: dict[str, dict[int, float]] = {name: {} for name in corridors}
        self._tickets: dict[int, str] = {}
        self._next_ticket = 0

    @property
    def minute(self) -> int:
        """The minute that runs now."""
        return int(self._clock.now().timestamp()) // SECONDS_A_MINUTE

    def begun(self, corridor: str) -> int:
        """A request goes out; the ticket is for `ended`."""
        self._next_ticket += 1
        if corridor in self._under_way:
            self._tickets[self._next_ticket] = corridor
            self._under_way[corridor][self._next_ticket] = self._monotonic()
        return self._next_ticket

    def ended(self, ticket: int, call: Call, verdict: Verdict | None) -> None:
        """It came back or was given up; without a verdict it was broken off, and says nothing."""
        corridor = self._tickets.pop(ticket, None)
        if corridor is None:
            return
        seconds = self._monotonic() - self._under_way[corridor].pop(ticket)
        if verdict is None or not says_something(verdict, seconds):
            return
        tally = self._tally(corridor)
        tally.counts["calls"] += 1
        kind = kind_of(verdict)
        if kind is not None:
            tally.counts[kind] += 1
        # How long reading takes depends on what is read, and files are none of the corridor's.
        if call.changes and verdict.outcome.outcome_class is not OutcomeClass.NOT_SENT:
            bucket = bucket_of(seconds * 1_000)
            tally.latencies[bucket] = tally.latencies.get(bucket, 0) + 1
        if (changed := promised_by(call, verdict)) is not None:
            _keep(tally.promised, mark_of(changed), MOST_PROMISED)

    def webhook_stored(self, received: ReceivedEvent) -> None:
        """An event came in that had not come before."""
        event = received.event
        lag = max(0.0, (received.receive_time - event.created_time).total_seconds())
        if event.corridor not in self._under_way or lag > MOST_LAG_SECONDS:
            return
        tally = self._tally(event.corridor)
        _keep(tally.came, mark_of(event.object_id), MOST_CAME)
        tally.webhooks += 1
        tally.webhook_lag_s += lag

    def event_loop_was_late(self, lag_ms: float) -> None:
        """The process woke up so much later than it wanted to."""
        self._now().vitals.loop_lags_ms.append(lag_ms)
        self._look_at_requests()

    def database_answered(self, pool_wait_ms: float, latency_ms: float) -> None:
        """A connection was to be had after so long, and the database answered on it."""
        vitals = self._now().vitals
        vitals.pool_waits_ms.append(pool_wait_ms)
        vitals.database_latencies_ms.append(latency_ms)

    def take(self) -> Mapping[int, Mapping[str, Sighting]]:
        """What was seen in minutes that are over, by minute and corridor; they are kept until
        `taken`. Of a minute in which nobody looked there is nothing."""
        now = self.minute
        for minute in sorted(minute for minute in self._minutes if minute < now)[
            :-MAX_PENDING_MINUTES
        ]:
            telemetry.UNSAVED_MINUTES.inc()
            del self._minutes[minute]
        return {
            minute: {name: _sighting(seen.tallies[name], seen.vitals) for name in self._corridors}
            for minute, seen in sorted(self._minutes.items())
            if minute < now
        }

    def taken(self, minutes: Sequence[int]) -> None:
        """They are in the database."""
        for minute in minutes:
            self._minutes.pop(minute, None)

    def _look_at_requests(self) -> None:
        now, tallies = self._monotonic(), self._now().tallies
        for corridor, under_way in self._under_way.items():
            oldest = next(iter(under_way.values()), now)
            tallies[corridor].in_flight_age_s = now - oldest

    def _tally(self, corridor: str) -> _Tally:
        return self._now().tallies[corridor]

    def _now(self) -> _Minute:
        minute = self.minute
        found = self._minutes.get(minute)
        if found is None:
            found = _Minute({name: _Tally() for name in self._corridors})
            self._minutes[minute] = found
        return found


def _keep(marks: set[int], mark: int, most: int) -> None:
    """Adds a mark; of many only the smallest are kept, which are all that is told."""
    marks.add(mark)
    if len(marks) > MOST_MARKS * most:
        marks.intersection_update(smallest(marks, most))


def promised_by(call: Call, verdict: Verdict) -> str | None:
    """The id of the PaymentIntent that a request has changed, of which an event will tell."""
    done = verdict.outcome.object
    if not call.changes or call.endpoint_group != PAYMENT_INTENTS or done is None:
        return None
    return text_of(done, "id") or None


def says_something(verdict: Verdict, seconds: float) -> bool:
    """Whether the end of a request says something of the corridor: not what its caller gave up
    soon, what our own machine could not send, nor a failure that Stripe kept of an earlier one."""
    if verdict.health is not Health.NOT_COUNTED:
        return True
    outcome = verdict.outcome
    if outcome.outcome_class is OutcomeClass.NOT_SENT:
        return outcome.not_sent_reason is not NotSentReason.OWN_SHORTAGE
    return _timed_out(verdict) and seconds >= LEAST_GIVEN_UP_SECONDS


def kind_of(verdict: Verdict) -> str | None:
    """Which of `Minute`'s counts a request belongs to besides `calls`; None if it went well, or
    ended as the customer or we have caused it."""
    outcome = verdict.outcome
    if outcome.not_sent_reason in (NotSentReason.RATE_LIMITED, NotSentReason.CONCURRENCY_LIMITED):
        return RATE_LIMITED
    if _timed_out(verdict):
        return TIMED_OUT
    if verdict.health is Health.FAILED:
        return ERROR
    if outcome.outcome_class is OutcomeClass.DECLINED and outcome.failure is not None:
        return decline_kind(outcome.failure)
    return None


def decline_kind(failure: Failure) -> str | None:
    """Whose a decline is: fraud's, that of funds, or another of the issuer's; None of the
    customer's own errors."""
    code = failure.decline_code or failure.code
    if code in FRAUD:
        return FRAUD_DECLINE
    if code in FUNDS:
        return FUNDS_DECLINE
    return None if code in CUSTOMERS_OWN else ISSUER_DECLINE


def _timed_out(verdict: Verdict) -> bool:
    failure = verdict.outcome.failure
    return failure is not None and failure.code == "TIMEOUT"


def _sighting(tally: _Tally, vitals: _Vitals) -> Sighting:
    return Sighting(
        **tally.counts,
        latencies=dict(tally.latencies),
        webhooks=tally.webhooks,
        webhook_lag_s=tally.webhook_lag_s,
        promised=smallest(tally.promised, MOST_PROMISED),
        came=smallest(tally.came, MOST_CAME),
        in_flight_age_s=tally.in_flight_age_s,
        event_loop_lag_ms=_mean(vitals.loop_lags_ms),
        pool_wait_ms=max(vitals.pool_waits_ms, default=None),
        database_latency_ms=_mean(vitals.database_latencies_ms),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
