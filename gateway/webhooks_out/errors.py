"""The failures of WebhookEndpointService with their gRPC codes and reasons."""

import grpc

from gateway.errors import ERRORS
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import FieldViolation, ServiceError
from runtime.rights import Caller


def endpoint_not_found(endpoint_id: str) -> ServiceError:
    """No endpoint has this id, or it was deleted."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_WEBHOOK_ENDPOINT_NOT_FOUND,
        "no such webhook endpoint",
        metadata={"endpoint_id": endpoint_id},
    )


def delivery_not_found(endpoint_id: str, delivery_id: int) -> ServiceError:
    """The endpoint has no such delivery that has ended."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_WEBHOOK_DELIVERY_NOT_FOUND,
        "no such delivery that was delivered or given up",
        metadata={"endpoint_id": endpoint_id, "delivery_id": str(delivery_id)},
    )


def url_not_allowed() -> ServiceError:
    """The URL leads where the gateway sends nothing."""
    return ERRORS.error(
        grpc.StatusCode.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_WEBHOOK_URL_NOT_ALLOWED,
        "url must be https at a port that is sent to, and its host on the public internet",
    )


def no_merchants_incidents() -> ServiceError:
    """Incidents are of corridors, which are no merchant's."""
    said = "must be empty: incidents are no merchant's"
    return ERRORS.runtime_error(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        f"merchant_id {said}",
        violations=[FieldViolation("merchant_id", said)],
    )


def feed_not_allowed(who: Caller) -> ServiceError:
    """The caller may not watch incidents, and so may not have them sent."""
    method = "gateway.v1.WebhookEndpointService/CreateWebhookEndpoint"
    return ERRORS.runtime_error(
        grpc.StatusCode.PERMISSION_DENIED,
        "CLIENT_NOT_ALLOWED",
        "who may not watch incidents may not have them sent",
        metadata={"client": who.name, "method": method}
        | ({"role": str(who.role)} if who.role else {}),
    )


def too_many_endpoints(limit: int) -> ServiceError:
    """There are as many as there may be."""
    return ERRORS.error(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_TOO_MANY_WEBHOOK_ENDPOINTS,
        "there are too many webhook endpoints",
        metadata={"limit": str(limit)},
    )
