"""What operators see of the balance sweep."""

from prometheus_client import Counter, Gauge

MOVEMENTS = Counter(
    "gateway_balance_transactions_total",
    "Balance transactions looked at: explained, or postponed because something is missing.",
    ["corridor", "result"],
)
SUSPENSE = Counter(
    "gateway_balance_suspense_total",
    "Balance transactions that were booked in suspense because nothing explains them.",
    ["corridor", "type"],
)
UNEXPLAINED = Gauge(
    "gateway_balance_unexplained",
    "Balance transactions that the last round could not explain yet.",
    ["corridor"],
)
DIFFERENCE = Gauge(
    "gateway_balance_difference_minor",
    "Stripe's balance less the sum of the balance transactions seen, in minor units.",
    ["corridor", "currency", "part"],
)
BOOKS_DIFFERENCE = Gauge(
    "gateway_ledger_balance_difference_minor",
    "The ledger's Stripe accounts less the balance transactions seen, in minor units, beyond what"
    " money in flight explains.",
    ["corridor", "currency", "part"],
)
SUSPENSE_MINOR = Gauge(
    "gateway_ledger_suspense_minor",
    "The ledger's suspense account in minor units; zero once people have explained what is there.",
    ["corridor", "currency"],
)
LAST_SWEEP = Gauge(
    "gateway_balance_last_sweep_timestamp_seconds",
    "When a sweep last looked at all of a corridor's balance transactions.",
    ["corridor"],
)
