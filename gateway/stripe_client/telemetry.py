"""What the Stripe client shows operators: metrics and structured events, one per decision."""

from prometheus_client import Counter, Gauge, Histogram

from gateway.stripe_client.call import Priority
from gateway.stripe_client.outcome import NotSentReason, Outcome, OutcomeClass
from runtime.logs import get_logger

log = get_logger(__name__)

REQUEST_SECONDS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
BREAKER_STATE_NUMBERS = {"closed": 0, "half-open": 1, "open": 2}

_outcomes = Counter(
    "gateway_stripe_outcomes_total",
    "Calls to Stripe by what came of them, retries included.",
    ["corridor", "endpoint_group", "outcome"],
)
_request_seconds = Histogram(
    "gateway_stripe_request_seconds",
    "Time of one request to Stripe.",
    ["corridor", "endpoint_group"],
    buckets=REQUEST_SECONDS_BUCKETS,
)
_resends = Counter(
    "gateway_stripe_resends_total",
    "Requests to Stripe sent again with the same key.",
    ["corridor", "endpoint_group"],
)
_not_sent = Counter(
    "gateway_stripe_not_sent_total",
    "Requests to Stripe that were not sent, or refused before they could act.",
    ["corridor", "endpoint_group", "reason"],
)
_transitions = Counter(
    "gateway_stripe_breaker_transitions_total",
    "Changes of state of the circuit breakers.",
    ["corridor", "endpoint_group", "to"],
)
_breaker_state = Gauge(
    "gateway_stripe_breaker_state",
    "State of the circuit breakers: 0 closed, 1 half-open, 2 open.",
    ["corridor", "endpoint_group"],
)
_limiter_wait = Histogram(
    "gateway_stripe_limiter_wait_seconds",
    "Time that a request waited for its token of Stripe's rate limits.",
    ["corridor", "endpoint_group"],
    buckets=REQUEST_SECONDS_BUCKETS,
)

_concurrency_limit = Gauge(
    "gateway_stripe_concurrency_limit",
    "Requests that may be under way at once; follows latency.",
    ["corridor"],
)
_slow = Gauge(
    "gateway_stripe_corridor_slow",
    "Whether a corridor is so slow that callers are answered before the outcome is known: 0 or 1.",
    ["corridor"],
)
_shed = Counter(
    "gateway_stripe_shed_total",
    "Calls that were not sent for want of a place or a token, by who waited for them.",
    ["corridor", "priority", "reason"],
)


def corridor_known(corridor: str) -> None:
    """Has the counters that alerts look at there before anything is counted: an increase from
    nothing is none."""
    for priority in Priority:
        for reason in (NotSentReason.CONCURRENCY_LIMITED, NotSentReason.RATE_LIMITED):
            _shed.labels(corridor, priority.value, reason.value)


def concurrency_changed(corridor: str, limit: int, *, slow: bool) -> None:
    """The limit of requests under way, and the pace, as they are after one more request."""
    _concurrency_limit.labels(corridor).set(limit)
    _slow.labels(corridor).set(slow)


def shed(corridor: str, priority: Priority, reason: NotSentReason) -> None:
    """A call of this priority had to give way."""
    _shed.labels(corridor, priority.value, reason.value).inc()


def request_took(corridor: str, endpoint_group: str, seconds: float) -> None:
    """One request came back, or was given up."""
    _request_seconds.labels(corridor, endpoint_group).observe(seconds)


def waited_for_token(corridor: str, endpoint_group: str, seconds: float) -> None:
    """One request had to wait for a token."""
    _limiter_wait.labels(corridor, endpoint_group).observe(seconds)


def not_sent(corridor: str, endpoint_group: str, reason: NotSentReason) -> None:
    """One request was held back."""
    _not_sent.labels(corridor, endpoint_group, reason.value).inc()


def will_resend(
    corridor: str, endpoint_group: str, outcome: Outcome, *, attempt: int, delay_seconds: float
) -> None:
    """The same key and bytes go out again."""
    _resends.labels(corridor, endpoint_group).inc()
    log.info(
        "stripe_resend",
        corridor=corridor,
        endpoint_group=endpoint_group,
        attempt=attempt,
        outcome=outcome.outcome_class.value,
        code=outcome.failure.code if outcome.failure else None,
        http_status=outcome.failure.http_status if outcome.failure else None,
        delay_seconds=round(delay_seconds, 3),
    )


def call_ended(corridor: str, endpoint_group: str, outcome: Outcome) -> None:
    """A call is over."""
    _outcomes.labels(corridor, endpoint_group, outcome.outcome_class.value).inc()
    failure = outcome.failure
    if outcome.decided and failure is not None:
        # A decline is a customer's everyday matter; a refusal is a mistake of somebody's.
        refused = outcome.outcome_class is OutcomeClass.REJECTED
        (log.warning if refused else log.info)(
            "stripe_call_refused",
            corridor=corridor,
            endpoint_group=endpoint_group,
            outcome=outcome.outcome_class.value,
            code=failure.code,
            decline_code=failure.decline_code,
            type=failure.type,
            param=failure.param,
            http_status=failure.http_status,
            stripe_request_id=failure.stripe_request_id,
        )
    if outcome.decided:
        return
    log.warning(
        "stripe_call_undecided",
        corridor=corridor,
        endpoint_group=endpoint_group,
        outcome=outcome.outcome_class.value,
        not_sent_reason=outcome.not_sent_reason.value if outcome.not_sent_reason else None,
        code=outcome.failure.code if outcome.failure else None,
        http_status=outcome.failure.http_status if outcome.failure else None,
        stripe_request_id=outcome.failure.stripe_request_id if outcome.failure else None,
        attempts=outcome.attempts,
    )


def breaker_changed(corridor: str, endpoint_group: str, old: str, new: str) -> None:
    """A circuit breaker changed its state."""
    _transitions.labels(corridor, endpoint_group, new).inc()
    _breaker_state.labels(corridor, endpoint_group).set(BREAKER_STATE_NUMBERS[new])
    log.warning(
        "stripe_breaker_changed",
        corridor=corridor,
        endpoint_group=endpoint_group,
        old_state=old,
        new_state=new,
    )


def mode_changed(corridor: str, old: str, new: str) -> None:
    """This replica has learnt that operators set another mode."""
    log.warning("corridor_mode_changed", corridor=corridor, old_mode=old, new_mode=new)
