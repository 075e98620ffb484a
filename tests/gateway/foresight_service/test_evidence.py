"""What a process sees of its corridors, each in its minute and its class."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from gateway.foresight.sighting import MOST_CAME, Sighting, mark_of, quantile, smallest
from gateway.foresight_service.evidence import (
    ERROR,
    FRAUD_DECLINE,
    FUNDS_DECLINE,
    ISSUER_DECLINE,
    LEAST_GIVEN_UP_SECONDS,
    MAX_PENDING_MINUTES,
    MOST_LAG_SECONDS,
    MOST_MARKS,
    RATE_LIMITED,
    TIMED_OUT,
    Evidence,
    _keep,
    decline_kind,
    kind_of,
    promised_by,
    says_something,
)
from gateway.stripe_client.call import Call, Priority
from gateway.stripe_client.classify import Health, Verdict, classify_timeout
from gateway.stripe_client.outcome import Failure, NotSentReason, Outcome, OutcomeClass
from gateway.webhooks_in.event import ReceivedEvent, StripeEvent
from runtime.clock import ManualClock

START = datetime(2026, 11, 30, 12, 0, 1, tzinfo=UTC)
MINUTE = int(START.timestamp()) // 60


async def _send(_client: stripe.StripeClient, _options: Any) -> Any:
    raise AssertionError("nothing is sent here")


def call(*, changes: bool = True) -> Call:
    return Call("payment_intents", _send, {}, False, Priority.BACKGROUND, changes=changes)


def verdict(
    outcome: OutcomeClass,
    health: Health = Health.ANSWERED,
    reason: NotSentReason | None = None,
    **failure: str,
) -> Verdict:
    told = Failure(**failure) if failure else None  # type: ignore[arg-type]
    return Verdict(Outcome(outcome, failure=told, not_sent_reason=reason), False, health)


WELL = verdict(OutcomeClass.SUCCEEDED)
DOWN = verdict(OutcomeClass.UNKNOWN, Health.FAILED, code="CONNECTION_LOST")


@dataclass
class Seen:
    """Evidence with its clocks."""

    evidence: Evidence
    clock: ManualClock

    def passes(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def request(self, seconds: float, ended: Verdict | None, *, changes: bool = True) -> None:
        ticket = self.evidence.begun("eu")
        self.passes(seconds)
        self.evidence.ended(ticket, call(changes=changes), ended)

    def last(self) -> Sighting:
        """What was seen in the minute that ends now."""
        minute = self.evidence.minute
        self.passes(60)
        return self.evidence.take()[minute]["eu"]


@pytest.fixture
def seen() -> Seen:
    clock = ManualClock(START)
    return Seen(Evidence(["eu", "us"], clock, lambda: (clock.now() - START).total_seconds()), clock)


def test_requests_are_counted_where_they_end(seen: Seen) -> None:
    seen.request(0.3, WELL)
    seen.request(0.3, DOWN)
    ticket = seen.evidence.begun("eu")
    seen.passes(70)
    seen.evidence.ended(ticket, call(), WELL)
    first = seen.evidence.take()[MINUTE]
    assert (first["eu"].calls, first["eu"].errors) == (2, 1)
    assert quantile(first["eu"].latencies, 0.5) == pytest.approx(300, rel=0.05)
    assert first["us"] == Sighting()
    assert list(seen.evidence.take()) == [MINUTE]
    seen.evidence.taken([MINUTE])
    assert seen.evidence.take() == {}
    assert seen.last().calls == 1


def test_only_what_changes_something_has_a_latency(seen: Seen) -> None:
    seen.request(9.0, WELL, changes=False)
    limited = verdict(OutcomeClass.NOT_SENT, Health.NOT_COUNTED, NotSentReason.RATE_LIMITED)
    seen.request(0.1, limited)
    found = seen.last()
    assert (found.calls, found.rate_limited, found.latencies) == (2, 1, {})


def test_what_was_broken_off_or_is_of_another_says_nothing(seen: Seen) -> None:
    seen.request(1.0, None)
    stranger = seen.evidence.begun("nowhere")
    seen.evidence.ended(stranger, call(), WELL)
    seen.evidence.ended(999, call(), WELL)
    seen.evidence.event_loop_was_late(1.0)
    found = seen.last()
    assert (found.calls, found.in_flight_age_s) == (0, 0.0)


def test_the_oldest_request_that_runs_is_looked_at(seen: Seen) -> None:
    oldest = seen.evidence.begun("eu")
    seen.passes(7)
    seen.evidence.begun("eu")
    seen.passes(5)
    seen.evidence.event_loop_was_late(4.0)
    seen.evidence.event_loop_was_late(8.0)
    seen.evidence.ended(oldest, call(), None)
    found = seen.last()
    assert (found.in_flight_age_s, found.event_loop_lag_ms) == (12.0, 6.0)
    assert (found.pool_wait_ms, found.database_latency_ms) == (None, None)


def test_the_database_is_told_by_its_mean_and_the_pool_by_its_worst(seen: Seen) -> None:
    seen.evidence.database_answered(1.0, 2.0)
    seen.evidence.database_answered(9.0, 4.0)
    found = seen.last()
    assert (found.pool_wait_ms, found.database_latency_ms) == (9.0, 3.0)


def event(lag_seconds: float, corridor: str = "eu") -> ReceivedEvent:
    made = START - timedelta(seconds=lag_seconds)
    return ReceivedEvent(
        StripeEvent(
            event_id="evt_1",
            corridor=corridor,
            stripe_account=None,
            event_type="charge.updated",
            object_id="ch_1",
            subject="ch_1",
            created_time=made,
            live_mode=False,
            object={},
            body="{}",
        ),
        START,
    )


def test_webhooks_lag_unless_they_were_lost_before(seen: Seen) -> None:
    for lag in (2.0, -1.0, MOST_LAG_SECONDS, MOST_LAG_SECONDS + 0.1):
        seen.evidence.webhook_stored(event(lag))
    seen.evidence.webhook_stored(event(5.0, "nowhere"))
    found = seen.last()
    assert (found.webhooks, found.webhook_lag_s) == (3, 2.0 + MOST_LAG_SECONDS)


def test_what_calls_promise_and_what_comes_have_the_same_marks(seen: Seen) -> None:
    made = Verdict(Outcome(OutcomeClass.SUCCEEDED, object={"id": "ch_1"}), False, Health.ANSWERED)
    seen.request(0.1, made)
    seen.request(0.1, made, changes=False)
    seen.request(0.1, DOWN)
    seen.evidence.webhook_stored(event(1.0))
    found = seen.last()
    assert found.promised == found.came == (mark_of("ch_1"),)
    of_charges = Call("charges", _send, {}, False, Priority.BACKGROUND, changes=True)
    assert promised_by(of_charges, made) is None


def test_minutes_wait_for_the_database_but_not_for_ever(seen: Seen) -> None:
    for _ in range(MAX_PENDING_MINUTES + 2):
        seen.request(0.0, WELL)
        seen.passes(60)
    waiting = list(seen.evidence.take())
    assert waiting == list(range(MINUTE + 2, MINUTE + 2 + MAX_PENDING_MINUTES))


@pytest.mark.parametrize(
    ("ended", "kind"),
    [
        (WELL, None),
        (DOWN, ERROR),
        (verdict(OutcomeClass.REJECTED, code="parameter_missing"), None),
        (classify_timeout(cut_short=False), TIMED_OUT),
        (
            verdict(OutcomeClass.NOT_SENT, Health.FAILED, NotSentReason.CONNECT_FAILED),
            ERROR,
        ),
        (
            verdict(OutcomeClass.NOT_SENT, Health.NOT_COUNTED, NotSentReason.CONCURRENCY_LIMITED),
            RATE_LIMITED,
        ),
        (verdict(OutcomeClass.NOT_SENT, Health.NOT_COUNTED, NotSentReason.OBJECT_LOCKED), None),
        (verdict(OutcomeClass.DECLINED, decline_code="do_not_honor"), ISSUER_DECLINE),
    ],
)
def test_each_end_has_its_class(ended: Verdict, kind: str | None) -> None:
    assert says_something(ended, 1.0)
    assert kind_of(ended) == kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("insufficient_funds", FUNDS_DECLINE),
        ("fraudulent", FRAUD_DECLINE),
        ("highest_risk_level", FRAUD_DECLINE),
        ("incorrect_cvc", None),
        ("generic_decline", ISSUER_DECLINE),
        ("issuer_not_available", ISSUER_DECLINE),
    ],
)
def test_each_decline_has_its_class(code: str, kind: str | None) -> None:
    assert decline_kind(Failure(code="card_declined", decline_code=code)) == kind
    assert decline_kind(Failure(code=code)) == kind


def test_what_says_nothing_of_the_corridor() -> None:
    given_up = classify_timeout(cut_short=True)
    assert not says_something(given_up, LEAST_GIVEN_UP_SECONDS - 0.01)
    assert says_something(given_up, LEAST_GIVEN_UP_SECONDS)
    ours = verdict(OutcomeClass.NOT_SENT, Health.NOT_COUNTED, NotSentReason.OWN_SHORTAGE)
    kept = verdict(OutcomeClass.UNKNOWN, Health.NOT_COUNTED, code="KEPT_FAILURE")
    assert not says_something(ours, 9.0)
    assert not says_something(kept, 9.0)


def test_of_a_busy_minute_no_more_marks_are_kept_than_a_few_times_what_is_told() -> None:
    chance = random.Random(7)
    kept: set[int] = set()
    seen = [chance.randrange(2**32) for _ in range(20_000)]
    most = 0
    for mark in seen:
        _keep(kept, mark, MOST_CAME)
        most = max(most, len(kept))
    assert most <= MOST_MARKS * MOST_CAME + 1
    assert smallest(kept, MOST_CAME) == smallest(seen, MOST_CAME)
