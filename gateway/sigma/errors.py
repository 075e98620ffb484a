"""What callers of SigmaService are told."""

import grpc

from gateway.errors import ERRORS
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ServiceError


def run_not_found(corridor: str, run_id: str) -> ServiceError:
    """No such run."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_SIGMA_RUN_NOT_FOUND,
        "no such run",
        metadata={"corridor": corridor, "run_id": run_id},
    )


def file_not_kept(corridor: str, run_id: str, state: str) -> ServiceError:
    """Its bytes are not here."""
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_SIGMA_FILE_NOT_KEPT,
        "the file with the run's result is not kept",
        metadata={"corridor": corridor, "run_id": run_id, "file_state": state},
    )


def file_damaged(corridor: str, run_id: str) -> ServiceError:
    """The bytes that are here hash to something else."""
    return ERRORS.error(
        grpc.StatusCode.DATA_LOSS,
        ErrorReason.ERROR_REASON_SIGMA_FILE_DAMAGED,
        "the bytes that are kept are not those that were fetched",
        metadata={"corridor": corridor, "run_id": run_id},
    )
