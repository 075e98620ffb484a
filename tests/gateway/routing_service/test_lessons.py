"""What each way in which an attempt can end teaches, and what teaches nothing yet."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.routing.attribution import Cause, Ending
from gateway.routing_service.lessons import TRANSITIONS, Attempt, learnt_of, result_of
from gateway.v1.payment_pb2 import CorridorFailover, Decline, Failure, Payment

SENT = datetime(2026, 11, 30, 12, tzinfo=UTC)
ENDED = SENT + timedelta(seconds=2)
NOW = SENT + timedelta(seconds=62)
DECISION: Any = SimpleNamespace(
    corridor="backup",
    method=0,
    region="EU",
    network="OTHER",
    slots={"own": [1, 2], "common": [3]},
    scores=[{"corridor": "home"}, {"corridor": "backup"}],
)
HOME, BACKUP = (
    CorridorFailover(corridor=name, reason="BREAKER_OPEN") for name in ("home", "backup")
)
ONCE, TWICE = Attempt(1, SENT, ENDED), Attempt(2, SENT, ENDED)


def payment(corridor: str = "backup", **values: Any) -> Payment:
    return Payment(corridor=corridor, **values)


def declined(code: str, decline_code: str = "") -> Payment:
    return payment(decline=Decline(code=code, decline_code=decline_code))


def left(corridor: str, reason: str) -> Payment:
    return payment("home", failovers=[CorridorFailover(corridor=corridor, reason=reason)])


def failed(code: str, reason: str = "") -> Payment:
    return payment(failure=Failure(code=code, not_sent_reason=reason))


@pytest.mark.parametrize(
    ("transition", "seen", "cause", "health"),
    [
        ("authorized", payment(), Cause.APPROVED, False),
        ("captured", payment(), Cause.APPROVED, False),
        ("declined", declined("card_declined", "do_not_honor"), Cause.ISSUER, False),
        ("retry_scheduled", declined("card_declined", "generic_decline"), Cause.ISSUER, False),
        ("declined", declined("card_declined", "insufficient_funds"), Cause.CUSTOMER, False),
        ("declined", declined("incorrect_cvc"), Cause.CUSTOMER, False),
        ("declined", declined("card_declined", "processing_error"), Cause.CORRIDOR, True),
        ("declined", declined("card_declined", "highest_risk_level"), Cause.NOBODY, None),
        # It was too late to try it.
        ("declined", payment(), Cause.NOBODY, None),
        ("failed_over", left("backup", "CONNECT_FAILED"), Cause.CORRIDOR, True),
        ("failed_over", left("backup", "BREAKER_OPEN"), Cause.NOBODY, None),
        ("failed_over", left("backup", "ACCOUNT_REFUSED"), Cause.NOBODY, None),
        ("failed_over", left("backup", "COMPLIANCE_DENY"), Cause.NOBODY, None),
        # It came home, and went through there: that says nothing of where it was first.
        ("captured", left("backup", "BREAKER_OPEN"), Cause.NOBODY, None),
        ("received", left("backup", "QUEUE_AHEAD"), Cause.NOBODY, None),
        ("failed", failed("stripe_rejected"), Cause.NOBODY, None),
        ("failed", failed("corridor_unavailable", "CONNECT_FAILED"), Cause.CORRIDOR, True),
        ("failed", failed("corridor_unavailable", "CORRIDOR_CLOSED"), Cause.NOBODY, None),
        ("failed", failed("compliance_unavailable"), Cause.NOBODY, None),
        ("failed", failed("outcome_not_performed"), Cause.CORRIDOR, True),
        ("canceled", payment(), Cause.NOBODY, None),
        ("expired", payment(), Cause.NOBODY, None),
        ("compliance_denied", payment(), Cause.NOBODY, None),
    ],
)
def test_what_an_ending_is_put_down_to(
    transition: str, seen: Payment, cause: Cause, health: bool | None
) -> None:
    learnt = learnt_of(transition, seen, DECISION, ONCE, ENDED, NOW)
    assert learnt is not None
    (lesson,) = learnt.lessons
    assert (learnt.attribution.cause, lesson.attribution.failed) == (cause, health)
    assert (lesson.corridor, lesson.rank, lesson.age_s) == ("backup", 1, 60.0)


@pytest.mark.parametrize(
    ("transition", "seen"),
    [
        ("queued", payment()),
        ("compliance_allowed", payment()),
        ("authorization_started", payment()),
        ("action_required", payment()),
        # Another corridor than that of the decision, and not through it.
        ("captured", payment("third")),
    ],
)
def test_what_is_not_decided_teaches_nothing(transition: str, seen: Payment) -> None:
    assert learnt_of(transition, seen, DECISION, ONCE, ENDED, NOW) is None


@pytest.mark.parametrize(
    ("transition", "seen", "ending"),
    [
        # It had been there before it was chosen again: what came of that is not of this choice.
        ("failed_over", payment("backup", failovers=[HOME, BACKUP, HOME]), None),
        ("captured", payment("backup", failovers=[HOME, BACKUP, HOME]), Ending.SUCCEEDED),
        ("failed_over", payment("home", failovers=[HOME, BACKUP, HOME, BACKUP]), Ending.NOT_SENT),
        # Told late: of before the choice.
        ("failed", payment("backup", failovers=[HOME, BACKUP]), None),
    ],
)
def test_a_later_choice_is_taught_by_what_came_after_it(
    transition: str, seen: Payment, ending: Ending | None
) -> None:
    result = result_of(transition, seen, "backup", hop=3)
    assert (result.ending if result is not None else None) is ending
    learnt = learnt_of(transition, seen, DECISION, ONCE, ENDED, NOW, 3)
    assert (learnt is not None) is (ending is not None)


def test_events_that_are_not_looked_at_end_nothing() -> None:
    for transition in ("received", "refund_started", "fee_known", "dispute_opened"):
        assert transition not in TRANSITIONS
        assert result_of(transition, payment(), "backup") is None


def test_an_answer_in_time_tells_how_long_it_took() -> None:
    learnt = learnt_of("captured", payment(), DECISION, ONCE, ENDED, NOW)
    assert learnt is not None
    assert [lesson.latency_s for lesson in learnt.lessons] == [2.0]
    # An event told it first: nobody knows when the call was answered.
    early = learnt_of("captured", payment(), DECISION, Attempt(1, SENT, None), ENDED, NOW)
    assert early is not None
    assert [lesson.latency_s for lesson in early.lessons] == [None]


@pytest.mark.parametrize(
    ("seen", "transition", "approved"),
    [
        (payment(), "captured", True),
        (declined("card_declined", "do_not_honor"), "declined", False),
    ],
)
def test_what_was_unknown_failed_then_and_was_answered_now(
    seen: Payment, transition: str, approved: bool
) -> None:
    learnt = learnt_of(transition, seen, DECISION, TWICE, ENDED, NOW)
    assert learnt is not None
    hung, answered = learnt.lessons
    assert learnt.was_unknown
    assert (hung.attribution.failed, hung.timed_out, hung.age_s) == (True, True, 62.0)
    assert (answered.attribution.failed, answered.attribution.approved) == (None, approved)


def test_what_never_happened_counts_as_the_failure_that_it_was() -> None:
    learnt = learnt_of("failed", failed("outcome_not_performed"), DECISION, TWICE, ENDED, NOW)
    assert learnt is not None
    assert [lesson.timed_out for lesson in learnt.lessons] == [True]
    assert result_of("failed", failed("outcome_not_performed"), "backup").ending is Ending.UNKNOWN  # type: ignore[union-attr]
