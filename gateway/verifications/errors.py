"""What callers of VerificationService are told."""

import grpc

from gateway.errors import ERRORS
from gateway.v1.error_reason_pb2 import ErrorReason
from gateway.verifications.domain import Verification
from runtime.errors import ServiceError


def verification_not_found(verification_id: str) -> ServiceError:
    """No such verification."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_VERIFICATION_NOT_FOUND,
        "no such verification",
        metadata={"verification_id": verification_id},
    )


def invalid_state(verification: Verification) -> ServiceError:
    """The verification is not in a state for that."""
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_INVALID_VERIFICATION_STATE,
        "the verification's state does not allow this",
        metadata={
            "verification_id": verification.verification_id,
            "verification_state": verification.state,
            "redaction": verification.redaction,
        },
    )
