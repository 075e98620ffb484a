"""States that alerts are about. They are counted in the database, so that they are there after a
restart, whoever did the work."""

from prometheus_client import Gauge

OPERATIONS = Gauge("gateway_operations_open", "Operations that are not decided.", ["kind", "state"])
OPERATIONS_OLDEST_SECONDS = Gauge(
    "gateway_operations_oldest_seconds",
    "How long ago the oldest of them was first sent, or made if it was not; 0 if there is none.",
    ["kind", "state"],
)
QUEUED = Gauge("gateway_payments_queued", "Payments that wait for a corridor.", ["corridor"])
QUEUE_OLDEST_SECONDS = Gauge(
    "gateway_payments_queued_oldest_seconds",
    "How long the first in the queue has waited; 0 if nobody does.",
    ["corridor"],
)
IN_REVIEW = Gauge("gateway_payments_in_review", "Payments that compliance has people look at.")
REVIEW_OLDEST_SECONDS = Gauge(
    "gateway_payments_in_review_oldest_seconds",
    "How long the oldest of them has waited; 0 if there is none.",
)
VERIFICATIONS = Gauge(
    "gateway_verifications_open",
    "Checks of somebody's identity that are under way, by what they wait for.",
    ["stage"],
)
VERIFICATIONS_OLDEST_SECONDS = Gauge(
    "gateway_verifications_oldest_seconds",
    "How long the oldest of them has stood so; 0 if there is none.",
    ["stage"],
)
VERIFICATION_LOOKS_LATE_SECONDS = Gauge(
    "gateway_verification_looks_late_seconds",
    "By how much the latest look at a session is late, since Stripe did not show it; 0 if none is.",
)
DEAD_DELIVERIES = Gauge(
    "gateway_outgoing_deliveries_dead",
    "Webhooks to clients that were given up and not sent again since.",
)
DISABLED_ENDPOINTS = Gauge(
    "gateway_outgoing_endpoints_given_up", "Clients' endpoints that the gateway has given up."
)
