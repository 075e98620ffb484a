"""What operators see of routing. Every label is there from the start: an increase from nothing is
none."""

from enum import StrEnum

from prometheus_client import Counter, Gauge, Histogram

from gateway.routing.attribution import Cause
from gateway.routing_service.steps import LADDER, Arm, Step, Subject

DECISIONS = Counter(
    "gateway_routing_decisions_total",
    "Choices that were decided about, by what was chosen (FIRST, FAILOVER, RETRY_TIME) and by whose"
    " choice was followed.",
    ["choice", "arm"],
)
EXPLORED = Counter(
    "gateway_routing_explored_total",
    "Decisions that followed routing to what it did not hold best, by what was chosen.",
    ["choice"],
)
FALL_BACKS = Counter(
    "gateway_routing_fall_backs_total",
    "Choices that the rules decided because routing could not (NO_MODEL, STALE, SLOW, NOT_READ,"
    " DAMAGED), by what was chosen.",
    ["choice", "reason"],
)
DECISION_SECONDS = Histogram(
    "gateway_routing_decision_seconds",
    "Processor time of a decision.",
    buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01),
)
LESSONS = Counter(
    "gateway_routing_lessons_total", "Attempts that were learnt from, by their cause.", ["cause"]
)
ROUND_TIME = Gauge(
    "gateway_routing_learned_until_timestamp_seconds",
    "When the learner was last up to date, as this process knows it; 0 before the first time.",
)
STEP = Gauge(
    "gateway_routing_step",
    "1 for the step that is allowed, else 0, by what is decided (CORRIDOR, RETRY_TIME).",
    ["subject", "step"],
)
UNDONE = Counter(
    "gateway_routing_undone_total",
    "Times the gateway took routing back to SHADOW, because routed payments did worse, by what was"
    " decided.",
    ["subject"],
)
MODEL_DAMAGED = Gauge(
    "gateway_routing_model_damaged",
    "1 while the bytes of the model in force are not those that it is named by, else 0.",
)
REGION_GAP = Gauge(
    "gateway_routing_region_success_gap",
    "The success of the best region of the last day less the worst one's, of routed payments, among"
    " regions with enough outcomes; 0 with fewer than two of them.",
)


class Chosen(StrEnum):
    """What a decision is about."""

    FIRST = "FIRST"
    """Where a new payment is charged."""
    FAILOVER = "FAILOVER"
    """Where a payment goes on that was not charged."""
    RETRY_TIME = "RETRY_TIME"
    """When a declined payment is tried again."""


class FallBack(StrEnum):
    """Why routing did not decide."""

    NO_MODEL = "NO_MODEL"
    STALE = "STALE"
    SLOW = "SLOW"
    NOT_READ = "NOT_READ"
    DAMAGED = "DAMAGED"


def labels_known() -> None:
    """Has all labels there."""
    for choice in Chosen:
        EXPLORED.labels(choice.value)
        for arm in Arm:
            DECISIONS.labels(choice.value, arm.value)
        for reason in FallBack:
            FALL_BACKS.labels(choice.value, reason.value)
    for cause in Cause:
        LESSONS.labels(cause.value)
    for subject in Subject:
        UNDONE.labels(subject.value)
        tell_step(subject, Step.SHADOW)


def tell_decision(choice: Chosen, arm: str, *, explored: bool) -> None:
    """Counts a decision."""
    DECISIONS.labels(choice.value, arm).inc()
    if explored:
        EXPLORED.labels(choice.value).inc()


def tell_fall_back(choice: Chosen, reason: FallBack) -> None:
    """Counts what the rules decided because routing could not."""
    FALL_BACKS.labels(choice.value, reason.value).inc()


def tell_step(subject: Subject, step: Step) -> None:
    """Shows which step is allowed."""
    for each in LADDER:
        STEP.labels(subject.value, each.value).set(each is step)
