"""The failures of PayoutService that are not kept with a request."""

import grpc

from gateway.errors import ERRORS
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ServiceError


def payout_not_found(payout_id: str) -> ServiceError:
    """No payout has this id."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_PAYOUT_NOT_FOUND,
        "no such payout",
        metadata={"payout_id": payout_id},
    )
