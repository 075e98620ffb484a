"""An operation: one thing asked of the outside world, both its state and the durable job. Pure.

The idempotency key is a function of the operation and its attempt, never of anything that
changes between two sends. What to do next follows from what is written down alone, so that any
process can go on where another died.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.stripe_client.outcome import (
    KEPT_FAILURE,
    Failure,
    Outcome,
    OutcomeClass,
    follow,
)
from runtime.backoff import Backoff

# Stripe may forget a key after 24 hours: https://docs.stripe.com/api/idempotent_requests
KEY_HORIZON = timedelta(hours=23)
# A request that is still under way when we last heard nothing is over by then: Stripe's own
# client gives up after 80 seconds.
MAX_REQUEST_LIFETIME = timedelta(minutes=15)
MAX_SENDS = 100
BACKOFF = Backoff(timedelta(milliseconds=500), timedelta(seconds=60))
# What is not sent again does not count its look-ups: each waits for this part of the time since it
# was sent last, so that they become rarer.
LOOK_UPS_PER_DOUBLING = 8
# What an operation ends with that was given up before it was sent, or that Stripe has no trace of.
DEADLINE, NOT_PERFORMED = "deadline", "not_performed"
# Stripe's type of an error about the key itself: the request with this key is under way (409), or
# it was another one (400).
IDEMPOTENCY_ERROR = "idempotency_error"
_KEY_IN_USE_STATUS = 409


class OperationKind(StrEnum):
    """What is asked. Who asks it how is registered with the runner."""

    # Of payments.
    CHECK = "CHECK"
    AUTHORIZE = "AUTHORIZE"
    # The PaymentIntent of a declined attempt, confirmed again.
    REATTEMPT = "REATTEMPT"
    CONFIRM = "CONFIRM"
    CAPTURE = "CAPTURE"
    CANCEL = "CANCEL"
    REFUND = "REFUND"
    # Of disputes.
    SUBMIT_EVIDENCE = "SUBMIT_EVIDENCE"
    ACCEPT_DISPUTE = "ACCEPT_DISPUTE"
    # Of payouts.
    CHECK_PAYOUT = "CHECK_PAYOUT"
    CREATE_PAYOUT = "CREATE_PAYOUT"
    CANCEL_PAYOUT = "CANCEL_PAYOUT"
    # Of merchants.
    CREATE_ACCOUNT = "CREATE_ACCOUNT"
    CREATE_LINK = "CREATE_LINK"
    CREATE_TAX_ID = "CREATE_TAX_ID"
    DELETE_TAX_ID = "DELETE_TAX_ID"
    CREATE_FILE = "CREATE_FILE"
    ATTACH_FILES = "ATTACH_FILES"
    # Of customers.
    CREATE_CUSTOMER = "CREATE_CUSTOMER"
    UPDATE_CUSTOMER = "UPDATE_CUSTOMER"
    DELETE_CUSTOMER = "DELETE_CUSTOMER"
    SAVE_PAYMENT_METHOD = "SAVE_PAYMENT_METHOD"
    PREFER_PAYMENT_METHOD = "PREFER_PAYMENT_METHOD"
    DETACH_PAYMENT_METHOD = "DETACH_PAYMENT_METHOD"
    # Of verifications.
    CREATE_VERIFICATION = "CREATE_VERIFICATION"
    CANCEL_VERIFICATION = "CANCEL_VERIFICATION"
    REDACT_VERIFICATION = "REDACT_VERIFICATION"


class OperationState(StrEnum):
    """How far it is; PENDING, RUNNING, UNKNOWN and DEAD_LETTER are open."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    UNKNOWN = "UNKNOWN"
    # Its row could not be read: nobody works it until a person has looked. It may have happened,
    # so that nothing else is begun in its place.
    DEAD_LETTER = "DEAD_LETTER"
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


OPEN = frozenset(
    {
        *(OperationState.PENDING, OperationState.RUNNING, OperationState.UNKNOWN),
        OperationState.DEAD_LETTER,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing asked of the outside world for `subject_id`: a payment, a payout, a dispute."""

    id: str
    kind: OperationKind
    subject_id: str
    corridor: str
    create_time: datetime
    next_attempt_time: datetime
    # Until when it is wanted: afterwards it is only found out what became of it.
    deadline: datetime
    state: OperationState = OperationState.PENDING
    # Empty for the corridor's own account.
    connected_account: str = ""
    # The exact JSON of the request's parameters: a resend must carry the same bytes. They may say
    # something of people, and are not kept once the operation has ended.
    params: str = "{}"
    attempt: int = 1
    send_count: int = 0
    # When this attempt may first have reached the other side; None if it certainly has not.
    first_send_time: datetime | None = None
    last_send_time: datetime | None = None
    lease_until: datetime | None = None
    fencing_token: int = 0
    refund_id: str | None = None
    amount_minor: int | None = None
    # A cancellation because a deadline passed ends in EXPIRED, not in CANCELED.
    expires_payment: bool = False
    # In the queue of its corridor: taken in the order of the payments, not by its time alone.
    queued: bool = False
    # The order in the queue: when what it is for was asked for; None for what is never queued.
    queue_time: datetime | None = None
    # What its idempotency keys begin with, where that is not its id.
    key_prefix: str = ""
    failure_code: str = ""
    failure_param: str = ""
    failure_type: str = ""
    failure_request_id: str = ""
    end_time: datetime | None = None

    @property
    def idempotency_key(self) -> str:
        """The key of the present attempt, at most 255 characters."""
        return f"{self.key_prefix or self.id}-{self.attempt}"

    @property
    def open(self) -> bool:
        """Whether it is not decided yet."""
        return self.state in OPEN

    @property
    def may_have_been_sent(self) -> bool:
        """Whether the other side may know this attempt."""
        return self.first_send_time is not None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Nobody was asked: the operation's deadline passed before it was ever sent."""


class Step(StrEnum):
    """What a process that holds the lease does next."""

    SEND = "SEND"
    RESOLVE = "RESOLVE"
    GIVE_UP = "GIVE_UP"


def next_step(operation: Operation, now: datetime) -> Step:
    """Whether to send (again), to find out what became of it, or to give it up unsent."""
    if not operation.may_have_been_sent:
        return Step.SEND if now < operation.deadline else Step.GIVE_UP
    assert operation.first_send_time is not None
    if now >= operation.first_send_time + KEY_HORIZON:
        return Step.RESOLVE
    if now >= operation.deadline or operation.send_count >= MAX_SENDS:
        return Step.RESOLVE
    if operation.failure_code == KEPT_FAILURE:
        # The same would come again for as long as Stripe knows the key.
        return Step.RESOLVE
    return Step.SEND


def sent(operation: Operation, now: datetime) -> Operation:
    """The operation as it is written down before its first byte goes out."""
    return replace(
        operation,
        state=OperationState.RUNNING,
        send_count=operation.send_count + 1,
        failure_code="",
        first_send_time=operation.first_send_time or now,
        last_send_time=now,
    )


def what_is_known(outcome: Outcome, *, resend: bool) -> Outcome:
    """What Stripe's answer says of the operation; `resend` if this attempt may have been sent
    before.

    A quarrel about the key says nothing about what was asked with it, and is kept under the key
    unless the other request is only under way. What was unknown is only decided by an answer that
    knows the key.
    """
    failure = outcome.failure
    if failure is not None and failure.type == IDEMPOTENCY_ERROR:
        if failure.http_status != _KEY_IN_USE_STATUS:
            failure = replace(failure, code=KEPT_FAILURE)
        outcome = replace(outcome, outcome_class=OutcomeClass.UNKNOWN, failure=failure)
    return follow(Outcome(OutcomeClass.UNKNOWN), outcome) if resend else outcome


def decided(
    operation: Operation,
    state: OperationState,
    now: datetime,
    failure_code: str = "",
    failure: Failure | None = None,
) -> Operation:
    """The operation as it ended, which is how it is kept: without its parameters, and if Stripe
    refused it, with what Stripe said of that."""
    failure = failure or Failure()
    assert state not in OPEN, "an open state decides nothing"
    return replace(
        operation,
        state=state,
        end_time=now,
        lease_until=None,
        params="{}",
        failure_code=failure_code,
        failure_param=failure.param,
        failure_type=failure.type,
        failure_request_id=failure.stripe_request_id,
    )


def put_off(
    operation: Operation,
    now: datetime,
    wait: timedelta,
    *,
    unknown: bool,
    failure_code: str = "",
) -> Operation:
    """The operation, left to be tried again after `wait`; `unknown` if it may have happened.

    If it certainly has not, this attempt's key horizon has not begun. That its key keeps a failure
    stays so until it is sent again.
    """
    if unknown and operation.failure_code == KEPT_FAILURE:
        failure_code = KEPT_FAILURE
    left = replace(
        operation,
        state=OperationState.UNKNOWN if unknown else OperationState.PENDING,
        first_send_time=operation.first_send_time if unknown else None,
        lease_until=None,
        failure_code=failure_code,
    )
    if unknown and next_step(left, now) is Step.RESOLVE:
        assert left.last_send_time is not None, "only what was sent is looked for"
        since = now - left.last_send_time
        wait = max(wait, min(since / LOOK_UPS_PER_DOUBLING, BACKOFF.last))
    return replace(left, next_attempt_time=now + wait)


def next_attempt(operation: Operation, now: datetime, wait: timedelta = timedelta(0)) -> Operation:
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


def proven_by_silence(operation: Operation, now: datetime) -> bool:
    """Whether a search that finds nothing proves by now that nothing happened."""
    assert operation.last_send_time is not None, "only what was sent is looked for"
    return now >= operation.last_send_time + MAX_REQUEST_LIFETIME


def silence(operation: Operation, now: datetime) -> Outcome:
    """What it means that a search found nothing: proof that nothing happened, after a while."""
    if not proven_by_silence(operation, now):
        return Outcome(OutcomeClass.UNKNOWN)
    return Outcome(OutcomeClass.REJECTED, failure=Failure(code=NOT_PERFORMED))


def after_outcome(
    operation: Operation, outcome: Outcome | GivenUp, now: datetime, jitter: float
) -> Operation:
    """The operation after what came back, decided or put off, where nothing more than the outcome
    says which. `jitter` is uniform in [0, 1)."""
    if isinstance(outcome, GivenUp):
        return decided(operation, OperationState.FAILED, now, DEADLINE)
    if outcome.succeeded:
        return decided(operation, OperationState.SUCCEEDED, now)
    failure = outcome.failure or Failure()
    if outcome.decided:
        return decided(operation, OperationState.FAILED, now, failure.reason, failure)
    return put_off(
        operation,
        now,
        BACKOFF.pause(operation.send_count, jitter, outcome.retry_after),
        unknown=outcome.outcome_class is OutcomeClass.UNKNOWN,
        failure_code=failure.reason or (outcome.not_sent_reason or ""),
    )
