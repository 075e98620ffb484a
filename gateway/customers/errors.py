"""What callers of CustomerService are told."""

import grpc

from gateway.customers.store import StoredCustomer
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
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_INVALID_CUSTOMER_STATE,
        "Stripe does not have the customer",
        metadata={
            "customer_id": customer.customer_id,
            "corridor": customer.corridor,
            "customer_state": customer.state,
        },
    )


def payment_method_not_found(customer: StoredCustomer, payment_method: str) -> ServiceError:
    """The customer has not saved this payment method."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_PAYMENT_METHOD_NOT_FOUND,
        "the customer has no such payment method",
        metadata={"customer_id": customer.customer_id, "payment_method_id": payment_method},
    )


def setup_not_found(customer: StoredCustomer, setup_id: str) -> ServiceError:
    """The customer has no such setup."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_SETUP_NOT_FOUND,
        "the customer has no such setup",
        metadata={"customer_id": customer.customer_id, "setup_id": setup_id},
    )
