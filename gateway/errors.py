"""The gateway's error domain, and what callers are told when Stripe was not asked, did not answer,
or said no."""

from datetime import timedelta

import grpc

from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ErrorDomain, ServiceError

ERRORS = ErrorDomain("gateway", ErrorReason)
DEFAULT_RETRY_DELAY = timedelta(seconds=1)


def corridor_not_found(corridor: str) -> ServiceError:
    """No corridor of this name is configured."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_CORRIDOR_NOT_FOUND,
        "no such corridor",
        metadata={"corridor": corridor},
    )


def request_id_reused(request_id: str, fields: list[str]) -> ServiceError:
    """The request_id stands for another request."""
    return ERRORS.error(
        grpc.StatusCode.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_REQUEST_ID_REUSED,
        "request_id was used for another request",
        metadata={"request_id": request_id, "fields": ",".join(fields)},
    )


def call_failed(corridor: str, outcome: Outcome) -> ServiceError:
    """For an outcome that is no success of a call that is no payment."""
    failure = outcome.failure
    if outcome.outcome_class is OutcomeClass.NOT_SENT:
        reason = outcome.not_sent_reason.value if outcome.not_sent_reason else ""
        return ERRORS.error(
            grpc.StatusCode.UNAVAILABLE,
            ErrorReason.ERROR_REASON_CORRIDOR_UNAVAILABLE,
            "Stripe cannot be reached now; repeat the call with the same request_id",
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
            "stripe_param": failure.param if failure else "",
            "stripe_request_id": failure.stripe_request_id if failure else "",
        },
    )
