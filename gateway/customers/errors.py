"""What callers of CustomerService are told."""

import grpc

from gateway.customers.store import DELETED, StoredCustomer
from gateway.errors import ERRORS
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ServiceError


def customer_not_found(customer_id: str, corridor: str) -> ServiceError:
    """The subject has no customer in the corridor."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_CUSTOMER_NOT_FOUND,
        "no such customer in this corridor",
        metadata={"customer_id": customer_id, "corridor": corridor},
    )


def customer_exists(customer: StoredCustomer) -> ServiceError:
    """The subject has a customer in the corridor, made by another request."""
    return ERRORS.error(
        grpc.StatusCode.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_CUSTOMER_EXISTS,
        "the subject has a customer in this corridor",
        metadata={"customer_id": customer.customer_id, "corridor": customer.corridor},
    )


def invalid_customer_state(customer: StoredCustomer) -> ServiceError:
    """The customer is not at Stripe: not yet, or not any more."""
    return _not_at_stripe(customer.customer_id, customer.corridor, customer.state)


def customer_is_gone(customer_id: str, corridor: str) -> ServiceError:
    """Stripe had the customer when it was asked for, and had it no more when it answered."""
    return _not_at_stripe(customer_id, corridor, DELETED)


def _not_at_stripe(customer_id: str, corridor: str, state: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_INVALID_CUSTOMER_STATE,
        "Stripe does not have the customer; one that is deleted can be created again",
        metadata={"customer_id": customer_id, "corridor": corridor, "customer_state": state},
    )


def payment_method_not_found(customer_id: str, payment_method: str) -> ServiceError:
    """The customer has not saved this payment method, or it cannot be used any more."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_PAYMENT_METHOD_NOT_FOUND,
        "the customer has no such payment method; one that was detached has to be made anew",
        metadata={"customer_id": customer_id, "payment_method_id": payment_method},
    )


def setup_not_found(customer: StoredCustomer, setup_id: str) -> ServiceError:
    """The customer has no such setup."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_SETUP_NOT_FOUND,
        "the customer has no such setup",
        metadata={"customer_id": customer.customer_id, "setup_id": setup_id},
    )
