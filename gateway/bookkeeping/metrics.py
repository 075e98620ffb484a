"""What operators see of bookkeeping. Alarm on `gateway_bookings_refused` above zero."""

from prometheus_client import Counter, Gauge, Histogram

OUTCOMES = Counter(
    "gateway_booking_outcomes_total",
    "What became of attempts to book a fact: booked, refused, postponed, unavailable, lease_lost.",
    ["outcome"],
)
DELAY_SECONDS = Histogram(
    "gateway_booking_delay_seconds",
    "From the report of a fact to its booking.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600, 86400),
)
PENDING = Gauge("gateway_bookings_pending", "Facts that the ledger does not have yet.")
REFUSED = Gauge(
    "gateway_bookings_refused", "Facts that the ledger refused or that contradict another."
)
LAG_SECONDS = Gauge("gateway_booking_lag_seconds", "Age of the oldest fact that is not booked.")
