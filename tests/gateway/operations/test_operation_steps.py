"""An operation after each outcome that nothing more is known of: whole, and at its edges."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.operations.operation import (
    GivenUp,
    OperationKind,
    OperationState,
    Step,
    after_outcome,
    decided,
    next_attempt,
    next_step,
    proven_by_silence,
    put_off,
    sent,
    silence,
    what_is_known,
)
from gateway.stripe_client.outcome import Failure, NotSentReason, Outcome, OutcomeClass
from tests.gateway.payments.outcomes import (
    CREATED,
    NOW,
    PAUSE,
    REFUSED,
    RETRY_AFTER,
    anew,
    ended,
    operation,
    pending_for,
    unknown_for,
)

Op, C = OperationState, OutcomeClass
PAYOUT = operation(OperationKind.CREATE_PAYOUT)
BARE = replace(REFUSED, code="")
MOMENT, MINUTE = timedelta(microseconds=1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("outcome", "after"),
    [
        (GivenUp(), ended(PAYOUT, Op.FAILED, "deadline")),
        (Outcome(C.SUCCEEDED, {"id": "po_1"}), ended(PAYOUT, Op.SUCCEEDED)),
        *[
            (Outcome(refusal, failure=failure), ended(PAYOUT, Op.FAILED, code, failure))
            for refusal in (C.REJECTED, C.DECLINED)
            for failure, code in (
                (REFUSED, "parameter_invalid"),
                (BARE, "invalid_request_error"),
                (None, ""),
            )
        ],
        (Outcome(C.UNKNOWN), unknown_for(PAYOUT, PAUSE)),
        (
            Outcome(C.UNKNOWN, failure=BARE, retry_after=RETRY_AFTER),
            unknown_for(PAYOUT, RETRY_AFTER, "invalid_request_error"),
        ),
        (
            Outcome(C.NOT_SENT, not_sent_reason=NotSentReason.BREAKER_OPEN),
            pending_for(PAYOUT, PAUSE, "BREAKER_OPEN"),
        ),
        (
            Outcome(
                C.NOT_SENT,
                failure=REFUSED,
                not_sent_reason=NotSentReason.RATE_LIMITED,
                retry_after=RETRY_AFTER,
            ),
            pending_for(PAYOUT, RETRY_AFTER, "parameter_invalid"),
        ),
        (Outcome(C.NOT_SENT), pending_for(PAYOUT, PAUSE, "")),
    ],
)
def test_what_follows_an_outcome(outcome: Outcome | GivenUp, after: Any) -> None:
    assert after_outcome(PAYOUT, outcome, NOW, 0.5) == after


def test_an_operation_before_its_first_byte_goes_out() -> None:
    waiting = replace(
        PAYOUT, state=Op.PENDING, send_count=0, first_send_time=None, failure_code="not_sent"
    )
    first = sent(waiting, NOW)
    assert first == replace(
        waiting,
        state=Op.RUNNING,
        send_count=1,
        failure_code="",
        first_send_time=NOW,
        last_send_time=NOW,
    )
    later = sent(first, NOW + MINUTE)
    assert (later.first_send_time, later.last_send_time) == (NOW, NOW + MINUTE)
    assert later.send_count == 2


def test_an_attempt_with_a_new_key() -> None:
    again = anew(PAYOUT)
    assert next_attempt(PAYOUT, NOW) == again
    waits = replace(again, next_attempt_time=NOW + MINUTE)
    assert next_attempt(PAYOUT, NOW, MINUTE) == waits
    assert waits.idempotency_key == "op_1-2"
    assert replace(waits, key_prefix="pay_1-main").idempotency_key == "pay_1-main-2"


HORIZON = timedelta(hours=23)


@pytest.mark.parametrize(
    ("values", "now", "step"),
    [
        ({"first_send_time": None}, NOW, Step.SEND),
        ({"first_send_time": None, "deadline": NOW + MOMENT}, NOW, Step.SEND),
        ({"first_send_time": None, "deadline": NOW}, NOW, Step.GIVE_UP),
        ({}, NOW, Step.SEND),
        ({"deadline": NOW + MOMENT}, NOW, Step.SEND),
        ({"deadline": NOW}, NOW, Step.RESOLVE),
        ({"send_count": 99}, NOW, Step.SEND),
        ({"send_count": 100}, NOW, Step.RESOLVE),
        ({"deadline": NOW + 3 * HORIZON}, CREATED + HORIZON - MOMENT, Step.SEND),
        ({"deadline": NOW + 3 * HORIZON}, CREATED + HORIZON, Step.RESOLVE),
        ({"failure_code": "KEPT_FAILURE"}, NOW, Step.RESOLVE),
        ({"failure_code": "kept_failure"}, NOW, Step.SEND),
    ],
)
def test_what_is_done_next(values: dict[str, Any], now: Any, step: Step) -> None:
    assert next_step(replace(PAYOUT, **values), now) is step


@pytest.mark.parametrize(
    ("sent_ago", "wait", "waits"),
    [
        # An eighth of the time since it was sent, at least as long as asked for, a minute at most.
        (timedelta(seconds=2), timedelta(seconds=1), timedelta(seconds=1)),
        (timedelta(seconds=80), timedelta(seconds=1), timedelta(seconds=10)),
        (timedelta(hours=1), timedelta(seconds=1), MINUTE),
        (timedelta(hours=1), timedelta(minutes=2), timedelta(minutes=2)),
    ],
)
def test_looks_for_what_became_of_it_become_rarer(
    sent_ago: timedelta, wait: timedelta, waits: timedelta
) -> None:
    over = replace(PAYOUT, deadline=NOW, last_send_time=NOW - sent_ago)
    assert put_off(over, NOW, wait, unknown=True) == unknown_for(over, waits)
    # What is sent again only waits for its pause.
    wanted = replace(over, deadline=NOW + MOMENT)
    assert put_off(wanted, NOW, wait, unknown=True) == unknown_for(wanted, wait)


def test_that_a_key_keeps_a_failure_is_not_forgotten() -> None:
    kept = replace(PAYOUT, failure_code="KEPT_FAILURE")
    assert put_off(kept, NOW, MINUTE, unknown=True, failure_code="x") == unknown_for(
        kept, MINUTE, "KEPT_FAILURE"
    )
    assert put_off(kept, NOW, MINUTE, unknown=False, failure_code="x") == pending_for(
        kept, MINUTE, "x"
    )


@pytest.mark.parametrize("state", [Op.PENDING, Op.RUNNING, Op.UNKNOWN, Op.DEAD_LETTER])
def test_an_open_state_decides_nothing(state: OperationState) -> None:
    with pytest.raises(AssertionError):
        decided(PAYOUT, state, NOW)


QUARREL = Failure(code="idempotency_key_in_use", type="idempotency_error", http_status=400)


@pytest.mark.parametrize(
    ("outcome", "first", "resent"),
    [
        # Another request went out under this key: its failure is kept there.
        (
            Outcome(C.REJECTED, failure=QUARREL),
            *[Outcome(C.UNKNOWN, failure=replace(QUARREL, code="KEPT_FAILURE"))] * 2,
        ),
        # It is under way still.
        (
            Outcome(C.REJECTED, failure=replace(QUARREL, http_status=409)),
            *[Outcome(C.UNKNOWN, failure=replace(QUARREL, http_status=409))] * 2,
        ),
        (Outcome(C.REJECTED, failure=REFUSED), *[Outcome(C.REJECTED, failure=REFUSED)] * 2),
        (Outcome(C.SUCCEEDED), *[Outcome(C.SUCCEEDED)] * 2),
        # What was unknown is not decided by an answer that does not know the key.
        (Outcome(C.NOT_SENT), Outcome(C.NOT_SENT), Outcome(C.UNKNOWN)),
    ],
)
def test_what_an_answer_says_of_an_operation(
    outcome: Outcome, first: Outcome, resent: Outcome
) -> None:
    assert what_is_known(outcome, resend=False) == first
    assert what_is_known(outcome, resend=True) == resent


@pytest.mark.parametrize(
    ("sent_ago", "proven"),
    [(15 * MINUTE, True), (15 * MINUTE - MOMENT, False), (timedelta(0), False)],
)
def test_silence_proves_that_nothing_happened_after_a_while(
    sent_ago: timedelta, proven: bool
) -> None:
    asked = replace(PAYOUT, last_send_time=NOW - sent_ago)
    assert proven_by_silence(asked, NOW) is proven
    nothing = Outcome(C.REJECTED, failure=Failure(code="not_performed"))
    assert silence(asked, NOW) == (nothing if proven else Outcome(C.UNKNOWN))
    with pytest.raises(AssertionError):
        silence(replace(asked, last_send_time=None), NOW)
