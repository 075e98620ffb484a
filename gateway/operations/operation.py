"""One thing asked of Stripe for a dispute or a payout: both its state and the durable job. Pure.

The same promise as for payments (`gateway.payments.operation`), with less to tell apart: nothing
waits in the queue, and an operation that Stripe refused has ended.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.payments.domain.operation import KEY_HORIZON, MAX_SENDS, SETTLE_TIME, Step, backoff
from gateway.stripe_client.outcome import Failure, Outcome, OutcomeClass

# What an operation ends with that was given up before it was sent, or that Stripe has no trace of.
DEADLINE, NOT_PERFORMED = "deadline", "not_performed"


class OperationKind(StrEnum):
    """What is asked."""

    SUBMIT_EVIDENCE = "SUBMIT_EVIDENCE"
    ACCEPT_DISPUTE = "ACCEPT_DISPUTE"
    CHECK_PAYOUT = "CHECK_PAYOUT"
    CREATE_PAYOUT = "CREATE_PAYOUT"
    CANCEL_PAYOUT = "CANCEL_PAYOUT"


class OperationState(StrEnum):
    """How far it is; PENDING, RUNNING and UNKNOWN are open."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    UNKNOWN = "UNKNOWN"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


OPEN = frozenset({OperationState.PENDING, OperationState.RUNNING, OperationState.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing asked for `subject_id`, a dispute or a payout.

    `params` is the exact JSON of the request: a resend must carry the same bytes. Until
    `deadline` it is wanted; afterwards it is only found out what became of it.
    """

    id: str
    kind: OperationKind
    subject_id: str
    corridor: str
    create_time: datetime
    next_attempt_time: datetime
    deadline: datetime
    stripe_account: str = ""
    params: str = "{}"
    state: OperationState = OperationState.PENDING
    attempt: int = 1
    send_count: int = 0
    # When this attempt may first have reached the other side; None if it certainly has not.
    first_send_time: datetime | None = None
    last_send_time: datetime | None = None
    lease_until: datetime | None = None
    fencing_token: int = 0
    failure_code: str = ""
    failure_param: str = ""
    end_time: datetime | None = None

    @property
    def idempotency_key(self) -> str:
        """The key of the present attempt, never of anything that changes between two sends."""
        return f"{self.id}-{self.attempt}"

    @property
    def open(self) -> bool:
        """Whether it is not decided yet."""
        return self.state in OPEN


def next_step(operation: Operation, now: datetime) -> Step:
    """Whether to send (again), to find out what became of it, or to give it up unsent."""
    if operation.first_send_time is None:
        return Step.SEND if now < operation.deadline else Step.GIVE_UP
    too_old = now >= min(operation.first_send_time + KEY_HORIZON, operation.deadline)
    return Step.RESOLVE if too_old or operation.send_count >= MAX_SENDS else Step.SEND


def sent(operation: Operation, now: datetime) -> Operation:
    """The operation as it is written down before its first byte goes out."""
    return replace(
        operation,
        state=OperationState.RUNNING,
        send_count=operation.send_count + 1,
        first_send_time=operation.first_send_time or now,
        last_send_time=now,
    )


def silence(operation: Operation, now: datetime) -> Outcome:
    """What it means that a search found nothing: proof that nothing happened, after a while."""
    assert operation.last_send_time is not None, "only what was sent is looked for"
    if now < operation.last_send_time + SETTLE_TIME:
        return Outcome(OutcomeClass.UNKNOWN)
    return Outcome(OutcomeClass.REJECTED, failure=Failure(code=NOT_PERFORMED))


def given_up() -> Outcome:
    """What comes of an operation whose time is over before it could be sent."""
    return Outcome(OutcomeClass.REJECTED, failure=Failure(code=DEADLINE))


def settle(operation: Operation, outcome: Outcome, now: datetime, jitter: float) -> Operation:
    """The operation after what came back, decided or put off. `jitter` is uniform in [0, 1)."""
    failure = outcome.failure or Failure()
    if outcome.succeeded:
        return ended(operation, OperationState.SUCCEEDED, now)
    if outcome.settled:
        failed = replace(operation, failure_code=failure.code, failure_param=failure.param)
        return ended(failed, OperationState.FAILED, now)
    unknown = outcome.outcome_class is OutcomeClass.UNKNOWN
    wait = backoff(operation.send_count, jitter, outcome.retry_after)
    return replace(
        operation,
        state=OperationState.UNKNOWN if unknown else OperationState.PENDING,
        # If it certainly has not happened, this attempt's key horizon has not begun.
        first_send_time=operation.first_send_time if unknown else None,
        next_attempt_time=now + wait,
        lease_until=None,
        failure_code=failure.code or (outcome.not_sent_reason or ""),
    )


def ended(operation: Operation, state: OperationState, now: datetime) -> Operation:
    """The operation as it is kept: without its parameters, which may say something of people."""
    assert state not in OPEN, "an open state ends nothing"
    return replace(operation, state=state, end_time=now, lease_until=None, params="{}")


def tried_again(operation: Operation, now: datetime, wait: timedelta) -> Operation:
    """A new attempt with a new key: only when the one before is known not to have happened."""
    return replace(
        operation,
        state=OperationState.PENDING,
        attempt=operation.attempt + 1,
        send_count=0,
        first_send_time=None,
        last_send_time=None,
        next_attempt_time=now + wait,
        lease_until=None,
    )
