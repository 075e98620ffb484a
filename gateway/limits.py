"""How much the gateway reads, keeps and has under way, and how long some of its loops rest; tests
look at the edges with less, and the sandbox where it moves time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Not settings: nobody who runs the service has a reason to change them."""

    # Balance transactions of one page of Stripe's list.
    balance_page: int = 100
    # Changes that are kept in memory for watchers. One that is further behind reads by itself.
    feed_recent: int = 2_000
    # Changes that one read of the stream takes.
    feed_batch: int = 200
    # Events that one step of dispatching to endpoints looks at.
    dispatch_batch: int = 500
    # An endpoint with so many deliveries that are pending is not given more; its cursor waits.
    delivery_backlog: int = 1_000
    # Requests to endpoints that one process has under way. More endpoints than MAX_ENDPOINTS there
    # are not, and one that fails gets one at a time, so those that work always find a place.
    deliveries_under_way: int = 256
    # Of the time that the caller of a payment gives, what is kept for writing the answer.
    answer_reserve_seconds: float = 0.25
    # How long these rest at most: routing's learner and who follows it; the leader who foresees;
    # who writes down what a process sees.
    routing_rest_seconds: float = 5.0
    foresight_rest_seconds: float = 2.0
    sighting_rest_seconds: float = 1.0


LIMITS = Limits()
