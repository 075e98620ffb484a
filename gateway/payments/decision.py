"""What is decided about a payment and one of its operations, to be written in one transaction."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.payments.operation import Operation, OperationState, decided, put_off
from gateway.payments.payment import Change, Payment
from gateway.payments.refund import Refund


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

    def then(self, change: Change | None) -> "Decision":
        """The decision with one more step of the payment, if there is one."""
        if change is None:
            return self
        return replace(self, payment=change.after, changes=(*self.changes, change))

    def ended(self, state: OperationState, now: datetime, failure_code: str = "") -> "Decision":
        """The decision with the operation decided."""
        return replace(self, operation=decided(self.operation, state, now, failure_code))

    def later(
        self, now: datetime, wait: timedelta, *, unknown: bool, failure_code: str = ""
    ) -> "Decision":
        """The decision with the operation left for another time."""
        operation = put_off(self.operation, now, wait, unknown=unknown, failure_code=failure_code)
        return replace(self, operation=operation)
