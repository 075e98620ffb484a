"""What webhooks out show operators."""

from prometheus_client import Counter, Histogram

ATTEMPTS = Counter(
    "gateway_outgoing_attempts_total",
    "Requests to clients' endpoints by what came of them.",
    ["result"],
)
DELIVERIES = Counter(
    "gateway_outgoing_deliveries_total",
    "Deliveries by how they ended; lease_lost were dropped by fencing.",
    ["result"],
)
REQUEST_SECONDS = Histogram(
    "gateway_outgoing_request_seconds", "Time of one request to a client's endpoint."
)
LAG_SECONDS = Histogram(
    "gateway_outgoing_lag_seconds",
    "From a change of a payment to its delivery.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 30, 300, 3_600, 86_400),
)
DISABLED = Counter(
    "gateway_outgoing_endpoints_disabled_total", "Endpoints given up by the gateway.", ["cause"]
)
