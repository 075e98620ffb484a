"""The failures of PaymentService with their gRPC codes and reasons."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import grpc

from gateway.errors import ERRORS, not_sent_text
from gateway.operations.operation import Operation
from gateway.payments.domain.payment import FailureCode, Payment, PaymentFailure
from gateway.payments.domain.refusal import Refusal
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import FieldViolation, ServiceError

RETRY_DELAY = timedelta(seconds=1)
UNAVAILABLE_RETRY_DELAY = timedelta(seconds=5)
QUEUE_FULL_RETRY_DELAY = timedelta(seconds=60)


def payment_not_found(payment_id: str) -> ServiceError:
    """No payment has this id."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_PAYMENT_NOT_FOUND,
        "no such payment",
        metadata={"payment_id": payment_id},
    )


def operation_in_progress(payment: Payment, operation: Operation) -> ServiceError:
    """Another operation on the payment is not resolved yet."""
    return ERRORS.error(
        grpc.StatusCode.ABORTED,
        ErrorReason.ERROR_REASON_OPERATION_IN_PROGRESS,
        "another operation on this payment is not resolved yet; repeat the call",
        metadata={
            "payment_id": payment.id,
            "operation_id": operation.id,
            "operation_kind": operation.kind,
            "operation_state": operation.state,
        },
        retry_delay=RETRY_DELAY,
    )


def corridor_takes_less(corridor: str) -> ServiceError:
    """Operators do not let the corridor charge this currency or country."""
    return ERRORS.error(
        grpc.StatusCode.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_INVALID_REQUEST,
        "the corridor does not take this payment",
        violations=[
            FieldViolation("corridor", f"{corridor} is not for this currency or billing country")
        ],
    )


def queue_full(corridor: str, limit: int) -> ServiceError:
    """The queue of the corridor is as long as it may be."""
    return ERRORS.error(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_QUEUE_FULL,
        "the queue is full; nothing was charged",
        metadata={"corridor": corridor, "limit": str(limit)},
        retry_delay=QUEUE_FULL_RETRY_DELAY,
    )


def not_begun(payment: Payment, failure: PaymentFailure) -> ServiceError:
    """Nothing was charged because somebody could not be reached; the call may be repeated."""
    if failure.code is FailureCode.COMPLIANCE_UNAVAILABLE:
        return ERRORS.error(
            grpc.StatusCode.UNAVAILABLE,
            ErrorReason.ERROR_REASON_COMPLIANCE_UNAVAILABLE,
            "compliance gave no decision; nothing was charged; repeat the call",
            metadata={"payment_id": payment.id},
            retry_delay=UNAVAILABLE_RETRY_DELAY,
        )
    return ERRORS.error(
        grpc.StatusCode.UNAVAILABLE,
        ErrorReason.ERROR_REASON_CORRIDOR_UNAVAILABLE,
        f"{not_sent_text(failure.not_sent_reason)}; nothing was charged; repeat the call",
        metadata={
            "payment_id": payment.id,
            "corridor": payment.corridor,
            "not_sent_reason": failure.not_sent_reason,
        },
        retry_delay=UNAVAILABLE_RETRY_DELAY,
    )


def refused(refusal: Refusal) -> ServiceError:
    """A command that a payment's state or amounts do not allow."""
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.Value(f"ERROR_REASON_{refusal.reason}"),
        refusal.message,
        metadata=refusal.metadata,
    )


def refusal_to_json(refusal: Refusal) -> dict[str, Any]:
    """The refusal as it is kept with its request."""
    return {
        "reason": refusal.reason,
        "message": refusal.message,
        "metadata": dict(refusal.metadata),
    }


def refusal_of_json(kept: Mapping[str, Any]) -> Refusal:
    """The refusal that was kept."""
    return Refusal(kept["reason"], kept["message"], kept["metadata"])
