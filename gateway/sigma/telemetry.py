"""What operators see of Sigma's queries. Every label is there from the start: an increase from
nothing is none."""

from prometheus_client import Counter, Gauge

from gateway.sigma.run import FileState, SigmaState

TRIED_AGAIN = "TRIED_AGAIN"
ENDS = (FileState.KEPT, FileState.REFUSED, FileState.LOST, TRIED_AGAIN)

RUNS = Counter(
    "gateway_sigma_runs_total",
    "Runs of scheduled queries that became known, by how they ended: COMPLETED, FAILED, CANCELED,"
    " TIMED_OUT. Those of before the gateway knew of any are not counted.",
    ["corridor", "state"],
)
UNREADABLE = Counter(
    "gateway_sigma_runs_unreadable_total",
    "Runs of scheduled queries that Stripe told otherwise than it documents.",
    ["corridor"],
)
FILES = Counter(
    "gateway_sigma_files_total",
    "What became of attempts to fetch a result: KEPT, REFUSED, LOST, TRIED_AGAIN.",
    ["corridor", "result"],
)
OLDEST_WANTED_SECONDS = Gauge(
    "gateway_sigma_file_oldest_wanted_seconds",
    "For how long the result that has been wanted longest has been known; 0 if none is wanted.",
)
LAST_WALK = Gauge(
    "gateway_sigma_last_walk_timestamp_seconds",
    "When a corridor's list of runs was walked over last; before the first time, since when it is"
    " to be.",
    ["corridor"],
)

INTERVAL_SECONDS = Gauge(
    "gateway_sigma_walk_interval_seconds", "How often each list is to be walked over."
)


def corridor_known(corridor: str) -> None:
    """Has the counters of a corridor there."""
    for state in SigmaState:
        RUNS.labels(corridor, state.value)
    for result in ENDS:
        FILES.labels(corridor, str(result))
    UNREADABLE.labels(corridor)
