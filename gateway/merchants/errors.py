"""What callers of MerchantService are told."""

import grpc

from gateway.errors import ERRORS, corridor_not_found
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ServiceError

__all__ = [
    "ERRORS",
    "account_not_found",
    "already_linked",
    "corridor_not_found",
    "link_expired",
    "merchant_exists",
    "merchant_not_connected",
    "merchant_not_found",
    "tax_id_not_found",
]


def merchant_not_found(merchant_id: str) -> ServiceError:
    """No such merchant."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_MERCHANT_NOT_FOUND,
        "no such merchant",
        metadata={"merchant_id": merchant_id},
    )


def account_not_found(account_id: str) -> ServiceError:
    """Stripe does not know the connected account, or it is another platform's."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND,
        "no such connected account",
        metadata={"connected_account_id": account_id},
    )


def tax_id_not_found(tax_id: str) -> ServiceError:
    """Stripe does not know the tax number."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_TAX_ID_NOT_FOUND,
        "no such tax id",
        metadata={"tax_id": tax_id},
    )


def merchant_exists(merchant_id: str) -> ServiceError:
    """The merchant_id is another merchant's."""
    return ERRORS.error(
        grpc.StatusCode.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_MERCHANT_EXISTS,
        "merchant_id is taken",
        metadata={"merchant_id": merchant_id},
    )


def already_linked(merchant_id: str, account_id: str) -> ServiceError:
    """The connected account is another merchant's."""
    return ERRORS.error(
        grpc.StatusCode.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_MERCHANT_ALREADY_LINKED,
        "the connected account belongs to another merchant",
        metadata={"merchant_id": merchant_id, "connected_account_id": account_id},
    )


def merchant_not_connected(merchant_id: str, state: str) -> ServiceError:
    """The merchant has no connected account that we may act for."""
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_INVALID_MERCHANT_STATE,
        "the merchant has no connected account",
        metadata={"merchant_id": merchant_id, "merchant_state": state},
    )


def link_expired(merchant_id: str) -> ServiceError:
    """What the request once gave has expired."""
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_ONBOARDING_LINK_EXPIRED,
        "the onboarding link has expired; ask for a new one with a new request_id",
        metadata={"merchant_id": merchant_id},
    )
