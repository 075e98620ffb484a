"""What callers are told when Stripe was not asked, did not answer, or said no."""

from datetime import timedelta

import grpc

from gateway.errors import ERRORS, not_sent_text
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ServiceError

DEFAULT_RETRY_DELAY = timedelta(seconds=1)


def call_failed(corridor: str, outcome: Outcome) -> ServiceError:
    """For an outcome that is no success of a call that is no payment."""
    failure = outcome.failure
    if outcome.outcome_class is OutcomeClass.NOT_SENT:
        reason = outcome.not_sent_reason.value if outcome.not_sent_reason else ""
        return ERRORS.error(
            grpc.StatusCode.UNAVAILABLE,
            ErrorReason.ERROR_REASON_CORRIDOR_UNAVAILABLE,
            f"{not_sent_text(reason)}; repeat the call with the same request_id",
            metadata={"corridor": corridor, "not_sent_reason": reason},
            retry_delay=outcome.retry_after or DEFAULT_RETRY_DELAY,
        )
    if outcome.outcome_class is OutcomeClass.UNKNOWN:
        return ERRORS.error(
            grpc.StatusCode.UNAVAILABLE,
            ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN,
            "Stripe's answer is not known; repeat the call with the same request_id",
            metadata={"corridor": corridor},
            retry_delay=outcome.retry_after or DEFAULT_RETRY_DELAY,
        )
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_STRIPE_REJECTED,
        "Stripe refused the request",
        metadata={
            "stripe_code": failure.code if failure else "",
            "stripe_type": failure.type if failure else "",
            "stripe_param": failure.param if failure else "",
            "stripe_request_id": failure.stripe_request_id if failure else "",
        },
    )
