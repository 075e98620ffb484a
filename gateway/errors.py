"""The gateway's error domain, and errors that several packages answer with."""

from collections.abc import Mapping
from datetime import timedelta

import grpc

from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ErrorDomain, ServiceError

ERRORS = ErrorDomain("gateway", ErrorReason)

# Why nothing was sent, in words, by `not_sent_reason`. One of these only is a Stripe that cannot be
# reached.
_NOT_SENT_TEXTS: Mapping[str, str] = {
    "CORRIDOR_CLOSED": "operators have closed the corridor",
    "CORRIDOR_DRAINED": "operators let nothing new begin on the corridor",
    "BREAKER_OPEN": "Stripe fails or is slow, so nothing is sent to it for a while",
    "RATE_LIMITED": "the rate limit of the Stripe account is used up",
    "CONCURRENCY_LIMITED": "as many calls to Stripe as may be are under way",
    "OBJECT_LOCKED": "another call is changing the same object at Stripe",
    "CONNECT_FAILED": "Stripe cannot be reached",
    "OWN_SHORTAGE": "this server has no descriptors left to ask Stripe with",
    "DEADLINE": "too little time was left to ask Stripe",
    "ACCOUNT_REFUSED": "Stripe refuses the key or the account of the corridor",
}


# How long operators who recover a database may take at the least.
RECOVERY_DELAY = timedelta(seconds=30)


def database_behind() -> ServiceError:
    """The database has lost what a call needs, or nothing may be begun on it."""
    return ERRORS.error(
        grpc.StatusCode.UNAVAILABLE,
        ErrorReason.ERROR_REASON_DATABASE_BEHIND,
        "the gateway's database has lost what Stripe has; nothing is begun until it is recovered",
        retry_delay=RECOVERY_DELAY,
    )


def not_sent_text(reason: str) -> str:
    """A `not_sent_reason` in words."""
    return _NOT_SENT_TEXTS.get(reason, "nothing could be sent to Stripe")


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
