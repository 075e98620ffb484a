"""The state machine of a payment: every transition by name, all others impossible.

docs/gateway.md draws it. Nothing else in the gateway decides what follows what.
"""

from enum import StrEnum


class PaymentState(StrEnum):
    """Where a payment stands; the names are those of gateway.v1.PaymentState."""

    RECEIVED = "RECEIVED"
    COMPLIANCE_CHECKED = "COMPLIANCE_CHECKED"
    BLOCKED = "BLOCKED"
    IN_REVIEW = "IN_REVIEW"
    QUEUED = "QUEUED"
    AUTHORIZING = "AUTHORIZING"
    RETRY_SCHEDULED = "RETRY_SCHEDULED"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    PROCESSING = "PROCESSING"
    AUTHORIZED = "AUTHORIZED"
    CAPTURING = "CAPTURING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"


class Transition(StrEnum):
    """What happens to a payment."""

    COMPLIANCE_ALLOWED = "compliance_allowed"
    COMPLIANCE_DENIED = "compliance_denied"
    REVIEW_REQUIRED = "review_required"
    QUEUED = "queued"
    AUTHORIZATION_STARTED = "authorization_started"
    CONFIRMATION_STARTED = "confirmation_started"
    ACTION_REQUIRED = "action_required"
    # Stripe has taken it on, and a bank decides about it later.
    PROCESSING_STARTED = "processing_started"
    AUTHORIZED = "authorized"
    CAPTURE_STARTED = "capture_started"
    CAPTURED = "captured"
    CANCELLATION_STARTED = "cancellation_started"
    CANCELED = "canceled"
    DECLINED = "declined"
    EXPIRED = "expired"
    FAILED = "failed"
    RETRIED = "retried"
    # Nothing was charged there: it is tried through another corridor, or comes home.
    FAILED_OVER = "failed_over"
    RETRY_SCHEDULED = "retry_scheduled"
    CUSTOMER_RETURNED = "customer_returned"
    # These leave the state as it is.
    RETRY_STARTED = "retry_started"
    RETRY_POSTPONED = "retry_postponed"
    CAPTURE_WINDOW_CLOSING = "capture_window_closing"
    FEE_KNOWN = "fee_known"
    # What Radar made of the charge came after the charge, or is another than it was.
    RADAR_OUTCOME_KNOWN = "radar_outcome_known"
    REFUND_STARTED = "refund_started"
    REFUND_SUCCEEDED = "refund_succeeded"
    REFUND_FAILED = "refund_failed"
    # What was taken back with a refund came to be known.
    REFUND_UPDATED = "refund_updated"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_UPDATED = "dispute_updated"
    DISPUTE_CLOSED = "dispute_closed"


S, T = PaymentState, Transition

# Money is held, or may be: from before Stripe is asked until it is known how it ended.
HOLDING = frozenset(
    {
        *(S.AUTHORIZING, S.REQUIRES_ACTION, S.PROCESSING, S.AUTHORIZED),
        *(S.CAPTURING, S.CANCELING),
    }
)

# Where a payment that has no PaymentIntent stands before Stripe is asked for one.
NEVER_SENT = frozenset({S.RECEIVED, S.COMPLIANCE_CHECKED, S.IN_REVIEW, S.QUEUED})

# Nothing follows but what Stripe itself reports late, refunds, a repeated call after FAILED, and a
# customer who comes back to authenticate after DECLINED.
FINAL = frozenset({S.BLOCKED, S.SUCCEEDED, S.DECLINED, S.CANCELED, S.EXPIRED, S.FAILED})

_TABLE: dict[Transition, dict[PaymentState, PaymentState]] = {
    T.COMPLIANCE_ALLOWED: dict.fromkeys(
        (S.RECEIVED, S.IN_REVIEW, S.QUEUED, S.RETRY_SCHEDULED), S.COMPLIANCE_CHECKED
    ),
    T.COMPLIANCE_DENIED: dict.fromkeys(
        (S.RECEIVED, S.IN_REVIEW, S.QUEUED, S.RETRY_SCHEDULED), S.BLOCKED
    ),
    T.REVIEW_REQUIRED: dict.fromkeys((S.RECEIVED, S.QUEUED, S.RETRY_SCHEDULED), S.IN_REVIEW),
    T.QUEUED: dict.fromkeys((S.RECEIVED, S.AUTHORIZING), S.QUEUED),
    T.AUTHORIZATION_STARTED: {S.COMPLIANCE_CHECKED: S.AUTHORIZING},
    T.CONFIRMATION_STARTED: {S.REQUIRES_ACTION: S.AUTHORIZING},
    # From RETRY_SCHEDULED and DECLINED when the database has lost a later attempt.
    T.ACTION_REQUIRED: dict.fromkeys(
        (S.AUTHORIZING, S.PROCESSING, S.CANCELING, S.RETRY_SCHEDULED, S.DECLINED),
        S.REQUIRES_ACTION,
    ),
    # From CANCELING when Stripe refused; from the others when one surfaces that was thought not to
    # have happened.
    T.PROCESSING_STARTED: dict.fromkeys(
        (
            *(S.AUTHORIZING, S.REQUIRES_ACTION, S.CAPTURING, S.CANCELING),
            *(S.RETRY_SCHEDULED, S.DECLINED, S.EXPIRED, S.FAILED),
        ),
        S.PROCESSING,
    ),
    # From CAPTURING and CANCELING when Stripe refused; from the final states when an
    # authorisation surfaces that was thought not to have happened.
    T.AUTHORIZED: dict.fromkeys(
        (
            *(S.AUTHORIZING, S.REQUIRES_ACTION, S.PROCESSING, S.CAPTURING, S.CANCELING),
            *(S.RETRY_SCHEDULED, S.DECLINED, S.EXPIRED, S.FAILED),
        ),
        S.AUTHORIZED,
    ),
    T.CAPTURE_STARTED: {S.AUTHORIZED: S.CAPTURING},
    T.CAPTURED: dict.fromkeys(
        (
            *(S.AUTHORIZING, S.REQUIRES_ACTION, S.PROCESSING, S.AUTHORIZED),
            *(S.CAPTURING, S.CANCELING),
            *(S.RETRY_SCHEDULED, S.DECLINED, S.EXPIRED, S.FAILED),
        ),
        S.SUCCEEDED,
    ),
    T.CANCELLATION_STARTED: dict.fromkeys(
        (S.REQUIRES_ACTION, S.PROCESSING, S.AUTHORIZED), S.CANCELING
    ),
    T.CANCELED: dict.fromkeys((S.IN_REVIEW, S.QUEUED, S.RETRY_SCHEDULED, *HOLDING), S.CANCELED),
    # From RETRY_SCHEDULED and IN_REVIEW when no other attempt can be made any more.
    T.DECLINED: dict.fromkeys(
        (
            *(S.IN_REVIEW, S.AUTHORIZING, S.RETRY_SCHEDULED, S.REQUIRES_ACTION),
            *(S.PROCESSING, S.CANCELING),
        ),
        S.DECLINED,
    ),
    T.EXPIRED: dict.fromkeys((S.IN_REVIEW, S.QUEUED, S.RETRY_SCHEDULED, *HOLDING), S.EXPIRED),
    T.FAILED: dict.fromkeys((S.RECEIVED, S.AUTHORIZING), S.FAILED),
    T.RETRIED: {S.FAILED: S.RECEIVED},
    T.FAILED_OVER: dict.fromkeys((S.AUTHORIZING, S.RECEIVED), S.RECEIVED),
    T.RETRY_SCHEDULED: dict.fromkeys((S.AUTHORIZING, S.PROCESSING), S.RETRY_SCHEDULED),
    T.RETRY_STARTED: {S.RETRY_SCHEDULED: S.RETRY_SCHEDULED},
    # From AUTHORIZING when the attempt could not be sent.
    T.RETRY_POSTPONED: dict.fromkeys((S.AUTHORIZING, S.RETRY_SCHEDULED), S.RETRY_SCHEDULED),
    T.CUSTOMER_RETURNED: {S.DECLINED: S.RETRY_SCHEDULED},
    T.CAPTURE_WINDOW_CLOSING: {S.AUTHORIZED: S.AUTHORIZED},
    T.FEE_KNOWN: {S.SUCCEEDED: S.SUCCEEDED},
    T.RADAR_OUTCOME_KNOWN: {
        S.RETRY_SCHEDULED: S.RETRY_SCHEDULED,
        S.AUTHORIZED: S.AUTHORIZED,
        S.SUCCEEDED: S.SUCCEEDED,
        S.DECLINED: S.DECLINED,
    },
    T.REFUND_STARTED: {S.SUCCEEDED: S.SUCCEEDED},
    T.REFUND_SUCCEEDED: {S.SUCCEEDED: S.SUCCEEDED},
    T.REFUND_FAILED: {S.SUCCEEDED: S.SUCCEEDED},
    T.REFUND_UPDATED: {S.SUCCEEDED: S.SUCCEEDED},
    T.DISPUTE_OPENED: {S.SUCCEEDED: S.SUCCEEDED},
    T.DISPUTE_UPDATED: {S.SUCCEEDED: S.SUCCEEDED},
    T.DISPUTE_CLOSED: {S.SUCCEEDED: S.SUCCEEDED},
}


class IllegalTransitionError(Exception):
    """A transition that the state machine does not have: a fault of ours, never of a caller."""

    def __init__(self, state: PaymentState, transition: Transition) -> None:
        super().__init__(f"{transition} is impossible in {state}")
        self.state = state
        self.transition = transition


def allows(state: PaymentState, transition: Transition) -> bool:
    """Whether `transition` is possible in `state`."""
    return state in _TABLE[transition]


def state_after(state: PaymentState, transition: Transition) -> PaymentState:
    """The state that `transition` leads to. Raises IllegalTransitionError."""
    if state not in _TABLE[transition]:
        raise IllegalTransitionError(state, transition)
    return _TABLE[transition][state]


def edges() -> list[tuple[PaymentState, Transition, PaymentState]]:
    """Every transition there is, in order of the states; what docs/gateway.md must show."""
    listed = [
        (before, transition, after)
        for transition, row in _TABLE.items()
        for before, after in row.items()
    ]
    order = {state: place for place, state in enumerate(PaymentState)}
    return sorted(listed, key=lambda edge: order[edge[0]])
