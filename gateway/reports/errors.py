"""What callers of ReportService are told."""

import grpc

from gateway.errors import ERRORS
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ServiceError


def report_not_found(report_id: str) -> ServiceError:
    """No such report."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_REPORT_NOT_FOUND,
        "no such report",
        metadata={"report_id": report_id},
    )


def report_not_ready(report_id: str, state: str) -> ServiceError:
    """Stripe has not made it yet."""
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_REPORT_NOT_READY,
        "Stripe has not made the report yet",
        metadata={"report_id": report_id, "report_state": state},
    )


def report_unreadable(report_id: str, problem: str) -> ServiceError:
    """The file is too large, or is no report of its kind."""
    return ERRORS.error(
        grpc.StatusCode.DATA_LOSS,
        ErrorReason.ERROR_REASON_REPORT_UNREADABLE,
        f"the report's file was expected to have {problem}",
        metadata={"report_id": report_id},
    )
