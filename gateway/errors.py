"""The gateway's error domain, and errors that several packages answer with."""

import grpc

from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ErrorDomain, ServiceError

ERRORS = ErrorDomain("gateway", ErrorReason)


def corridor_not_found(corridor: str) -> ServiceError:
    """No corridor of this name is configured."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_CORRIDOR_NOT_FOUND,
        "no such corridor",
        metadata={"corridor": corridor},
    )


def invalid_page_token() -> ServiceError:
    """The token holds no position in this list."""
    return ERRORS.error(
        grpc.StatusCode.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_INVALID_PAGE_TOKEN,
        "page_token was not made by this list",
    )
