"""What operators see of the walks over Billing. Every label is there from the start: an increase
from nothing is none."""

from prometheus_client import Counter, Gauge

from gateway.billing.billing import BillingKind

FINISHED, PAGE, STOPPED = "finished", "page", "stopped"

WALKS = Counter(
    "gateway_billing_walks_total",
    "Steps of walks over Stripe's lists: a page that more follow, finished, or stopped because"
    " Stripe did not answer or refused.",
    ["corridor", "kind", "result"],
)
UNREADABLE = Counter(
    "gateway_billing_unreadable_total",
    "Objects that walks found and that are not as Stripe documents them.",
    ["corridor", "kind"],
)
LAST_WALK = Gauge(
    "gateway_billing_last_walk_timestamp_seconds",
    "When a list was walked over last, whole; before the first time, since when it is to be.",
    ["corridor", "kind"],
)
INTERVAL_SECONDS = Gauge(
    "gateway_billing_walk_interval_seconds", "How often each list is to be walked over."
)


def corridor_known(corridor: str) -> None:
    """Has the counters of a corridor there."""
    for kind in BillingKind:
        UNREADABLE.labels(corridor, kind.value)
        for result in (FINISHED, PAGE, STOPPED):
            WALKS.labels(corridor, kind.value, result)
