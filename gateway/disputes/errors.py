"""The failures of DisputeService that are not kept with a request."""

import grpc

from gateway.errors import ERRORS
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ServiceError


def dispute_not_found(dispute_id: str) -> ServiceError:
    """No dispute has this id."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_DISPUTE_NOT_FOUND,
        "no such dispute",
        metadata={"dispute_id": dispute_id},
    )
