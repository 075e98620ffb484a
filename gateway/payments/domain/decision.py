"""What came back from the outside for an operation, and what is decided about a payment and one of
its operations, to be written in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from gateway.operations.operation import (
    GivenUp,
    Operation,
    OperationState,
    decided,
    put_off,
)
from gateway.payments.domain.payment import (
    CUSTOMER_GONE,
    METHOD_GONE,
    Change,
    ComplianceRecord,
    Payment,
    ThreeDSecure,
)
from gateway.payments.domain.refund import Refund
from gateway.stripe_client.outcome import (
    Failure,
    Outcome,
    OutcomeClass,
    is_missing,
    names_lost_method,
)


@dataclass(frozen=True, slots=True)
class StripeReply:
    """Stripe's answer, and where it was asked for, the object as it stands now."""

    outcome: Outcome
    # The PaymentIntent as it was read after a refusal, or when finding out.
    intent: Mapping[str, Any] | None = None
    # It was looked for, and Stripe has no trace of it.
    nothing_found: bool = False
    # Whether the customer does not have the payment method, as a look after a refusal said.
    method_is_lost: bool = False

    @property
    def outcome_class(self) -> OutcomeClass:
        """The class of the outcome."""
        return self.outcome.outcome_class

    @property
    def code(self) -> str:
        """Stripe's code of a failure, or its type without one; empty without a failure."""
        return self.outcome.failure.reason if self.outcome.failure is not None else ""

    @property
    def lost(self) -> str:
        """The contract's reason if it was refused because the customer or the payment method is
        not there any more; empty otherwise."""
        failure = self.outcome.failure
        if failure is None or self.outcome_class is not OutcomeClass.REJECTED:
            return ""
        if is_missing(self.outcome) and failure.param == "customer":
            return CUSTOMER_GONE
        return METHOD_GONE if self.method_is_lost or names_lost_method(failure) else ""


@dataclass(frozen=True, slots=True)
class CheckReply:
    """The answer of the compliance service; `record` is None when it could not be reached."""

    record: ComplianceRecord | None
    retry_after: timedelta | None = None
    # It was not there, or too slow; not: it refused the question.
    is_down: bool = False
    # What is to be asked for of 3-D Secure, where that was decided now.
    three_d_secure: ThreeDSecure | None = None


Reply = StripeReply | CheckReply | GivenUp


@dataclass(frozen=True, slots=True)
class Decision:
    """The payment's steps in order, its operation as it is now, and what follows.

    `follow_up` is a new operation that whoever holds the lease goes on with at once.
    """

    payment: Payment
    operation: Operation
    changes: tuple[Change, ...] = ()
    follow_up: Operation | None = None
    refund: Refund | None = None
    # The row of `routing_failover`, if routing had a say in where it goes on.
    routing: Mapping[str, Any] | None = None
    # The row of `routing_retry`, if routing had a say in when it is tried again.
    retry: Mapping[str, Any] | None = None

    def then(self, change: Change | None) -> "Decision":
        """The decision with one more step of the payment, if there is one."""
        if change is None:
            return self
        return replace(self, payment=change.after, changes=(*self.changes, change))

    def ended(
        self,
        state: OperationState,
        now: datetime,
        failure_code: str = "",
        failure: Failure | None = None,
    ) -> "Decision":
        """The decision with the operation decided; `failure` is Stripe's, if it refused."""
        return replace(self, operation=decided(self.operation, state, now, failure_code, failure))

    def later(
        self, now: datetime, wait: timedelta, *, unknown: bool, failure_code: str = ""
    ) -> "Decision":
        """The decision with the operation left for another time."""
        operation = put_off(self.operation, now, wait, unknown=unknown, failure_code=failure_code)
        return replace(self, operation=operation)
