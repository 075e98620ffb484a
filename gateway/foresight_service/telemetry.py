"""What operators see of foresight. Every label is there from the start: an increase from nothing is
none. Gauges are what the database says, so that all processes say the same."""

from prometheus_client import Counter, Gauge

PROBABILITY = Gauge(
    "gateway_foresight_probability",
    "How likely the corridor's objective is broken within so many minutes.",
    ["corridor", "minutes"],
)
ALARM = Gauge(
    "gateway_foresight_alarm", "Whether an alarm of the corridor stands: 0 or 1.", ["corridor"]
)
LAST_MINUTE = Gauge(
    "gateway_foresight_last_minute_timestamp_seconds",
    "The end of the last minute that was foreseen from; before the first, when the process began.",
    ["corridor"],
)
DISCOUNT = Gauge(
    "gateway_foresight_discount",
    "What this process takes off the corridor in routing: 0 to 0.95.",
    ["corridor"],
)
CONCURRENCY_SHARE = Gauge(
    "gateway_foresight_concurrency_share",
    "Which share of the corridor's concurrency this process uses: 0.05 to 1.",
    ["corridor"],
)
ALARMS = Counter(
    "gateway_foresight_alarms_total",
    "Alarms that are over, by what came: ENDED (the objective broke), PASSED, ABANDONED.",
    ["corridor", "state"],
)
PROBES = Counter(
    "gateway_foresight_probes_total",
    "Requests that were sent to see how a corridor is, by whether Stripe answered.",
    ["corridor", "answered"],
)
UNSAVED_MINUTES = Counter(
    "gateway_foresight_unsaved_minutes_total",
    "Minutes that this process saw and could not keep for want of the database.",
)
UNREADABLE = Counter(
    "gateway_foresight_unreadable_total",
    "What was kept and could not be read: sightings of a process, memories of a corridor.",
    ["kind"],
)
SIGHTING, MEMORY = "sighting", "memory"
for _kind in (SIGHTING, MEMORY):
    UNREADABLE.labels(_kind)


def corridor_known(corridor: str) -> None:
    """Has the counters of a corridor there."""
    for state in ("ENDED", "PASSED", "ABANDONED"):
        ALARMS.labels(corridor, state)
    for answered in ("yes", "no"):
        PROBES.labels(corridor, answered)
