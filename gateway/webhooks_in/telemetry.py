"""What intake and processing of webhooks show operators."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)

received = Counter(
    "gateway_webhooks_received_total",
    "Webhooks by what intake made of them.",
    ["corridor", "result"],
)
intake_seconds = Histogram(
    "gateway_webhook_intake_seconds",
    "Time from the head of a webhook to our answer.",
    ["corridor"],
    buckets=SECONDS_BUCKETS,
)
processed = Counter(
    "gateway_webhook_events_total",
    "Events by type and by what processing made of them.",
    ["event_type", "result"],
)
dead_letters = Counter(
    "gateway_webhook_dead_letters_total",
    "Events that were given up on.",
    ["corridor"],
)
lag_seconds = Gauge(
    "gateway_webhook_lag_seconds",
    "Time from Stripe's making the event that was dealt with last to its end.",
    ["corridor"],
)
pending = Gauge(
    "gateway_webhook_pending",
    "Events in the inbox that wait to be dealt with.",
    ["corridor"],
)
oldest_pending_seconds = Gauge(
    "gateway_webhook_oldest_pending_seconds",
    "How long the oldest waiting event has waited.",
    ["corridor"],
)
open_dead_letters = Gauge(
    "gateway_webhook_open_dead_letters",
    "Dead letters that were not replayed.",
    ["corridor"],
)
recovered = Counter(
    "gateway_webhook_recovered_total",
    "Events that were fetched because no webhook had brought them.",
    ["corridor"],
)
relayed = Counter(
    "gateway_broker_relayed_total",
    "Events that came out of the broker, by what the inbox made of them.",
    ["result"],
)
for _result in ("stored", "duplicate", "unreadable"):
    relayed.labels(_result)
buffer_waiting = Gauge(
    "gateway_webhook_buffer_waiting",
    "Events in the broker that are not in the inbox yet, about.",
)
waiting_for_broker = Gauge(
    "gateway_webhooks_waiting_for_broker",
    "Webhooks that are not answered yet because the broker refuses them.",
)
