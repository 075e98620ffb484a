"""What is done next with an operation follows from what is written down."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.operation import (
    BACKOFF,
    KEY_HORIZON,
    LOOK_UPS_PER_DOUBLING,
    MAX_REQUEST_LIFETIME,
    MAX_SENDS,
    Operation,
    OperationKind,
    OperationState,
    Step,
    decided,
    next_attempt,
    next_step,
    proven_by_silence,
    put_off,
    sent,
)
from gateway.stripe_client.outcome import KEPT_FAILURE

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def new_operation() -> Operation:
    return Operation(
        id="op_01",
        subject_id="pay_01",
        kind=OperationKind.AUTHORIZE,
        state=OperationState.PENDING,
        corridor="default",
        create_time=NOW,
        next_attempt_time=NOW,
        deadline=NOW + timedelta(days=3),
    )


def test_an_unsent_operation_is_sent_until_its_deadline_and_then_given_up() -> None:
    operation = new_operation()
    assert next_step(operation, operation.deadline - SECOND) is Step.SEND
    assert next_step(operation, operation.deadline) is Step.GIVE_UP


def test_a_sent_operation_is_never_sent_again_past_the_key_horizon() -> None:
    operation = sent(new_operation(), NOW)
    assert next_step(operation, NOW + KEY_HORIZON - SECOND) is Step.SEND
    assert next_step(operation, NOW + KEY_HORIZON) is Step.RESOLVE
    # A later send does not move the horizon of the first.
    again = sent(put_off(operation, NOW, SECOND, unknown=True), NOW + timedelta(hours=20))
    assert next_step(again, NOW + KEY_HORIZON) is Step.RESOLVE


def test_a_key_that_keeps_a_failure_is_not_sent_again_but_found_out() -> None:
    operation = put_off(
        sent(new_operation(), NOW), NOW, SECOND, unknown=True, failure_code=KEPT_FAILURE
    )
    assert next_step(operation, NOW + SECOND) is Step.RESOLVE
    # Nothing found yet: it is looked for again, and its last send does not move.
    again = put_off(operation, NOW + SECOND, SECOND, unknown=True)
    assert next_step(again, NOW + 2 * SECOND) is Step.RESOLVE
    assert proven_by_silence(again, NOW + MAX_REQUEST_LIFETIME)
    # A new attempt has a key of its own.
    assert next_step(next_attempt(again, NOW), NOW) is Step.SEND
    assert not sent(next_attempt(again, NOW), NOW).failure_code


def test_look_ups_become_rarer_the_longer_nothing_is_found() -> None:
    operation = sent(new_operation(), NOW)
    operation = replace(operation, failure_code=KEPT_FAILURE)
    times = [NOW + SECOND]
    while times[-1] < NOW + MAX_REQUEST_LIFETIME:
        waits = put_off(operation, times[-1], SECOND / 1_000, unknown=True)
        times.append(waits.next_attempt_time)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[0] == SECOND / LOOK_UPS_PER_DOUBLING
    assert gaps[-1] == BACKOFF.last
    assert len(times) < 100
    # What is sent again waits as it was told to.
    again = put_off(
        sent(new_operation(), NOW), NOW + MAX_REQUEST_LIFETIME / 2, SECOND, unknown=True
    )
    assert again.next_attempt_time == NOW + MAX_REQUEST_LIFETIME / 2 + SECOND


def test_after_its_deadline_or_too_many_sends_it_is_only_found_out() -> None:
    operation = replace(sent(new_operation(), NOW), deadline=NOW + SECOND)
    assert next_step(operation, NOW + SECOND) is Step.RESOLVE
    tired = replace(sent(new_operation(), NOW), send_count=MAX_SENDS)
    assert next_step(tired, NOW) is Step.RESOLVE


def test_the_key_depends_on_the_operation_and_its_attempt_alone() -> None:
    operation = new_operation()
    key = operation.idempotency_key
    later = sent(put_off(sent(operation, NOW), NOW, SECOND, unknown=True), NOW + SECOND)
    assert later.idempotency_key == key
    assert next_attempt(later, NOW).idempotency_key != key
    assert len(key) <= 255


def test_only_certainty_resets_the_horizon() -> None:
    operation = sent(new_operation(), NOW)
    assert put_off(operation, NOW, SECOND, unknown=True).first_send_time == NOW
    assert put_off(operation, NOW, SECOND, unknown=False).first_send_time is None


def test_silence_is_proof_only_after_a_while() -> None:
    operation = sent(new_operation(), NOW)
    assert not proven_by_silence(operation, NOW + MAX_REQUEST_LIFETIME - SECOND)
    assert proven_by_silence(operation, NOW + MAX_REQUEST_LIFETIME)


def test_an_open_state_decides_nothing() -> None:
    with pytest.raises(AssertionError):
        decided(new_operation(), OperationState.UNKNOWN, NOW)


@given(
    st.integers(min_value=0, max_value=10_000),
    st.floats(min_value=0, max_value=1, exclude_max=True),
    st.none() | st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=1)),
)
def test_backoff_is_bounded_and_heeds_the_server(
    send_count: int, jitter: float, at_least: timedelta | None
) -> None:
    wait = BACKOFF.pause(send_count, jitter, at_least)
    floor = at_least or timedelta(0)
    assert floor <= wait <= max(BACKOFF.last, floor)
