"""What operators are told of failovers: a metric, an attribute of the trace, a line in the log.

Clients see them as the payment's event `failed_over`, and in its `failovers`. Of what Radar made
of a charge, traces have the type and the level, and nothing that names a card.
"""

from collections.abc import Sequence

from opentelemetry import trace
from prometheus_client import Counter

from gateway.payments.domain.decision import Decision
from gateway.payments.domain.payment import Change, FailureCode
from gateway.payments.domain.states import PaymentState, Transition
from gateway.stripe_client.failover import Elsewhere
from runtime.logs import get_logger

FAILOVERS = Counter(
    "gateway_payment_failovers_total",
    "Decisions about payments that their corridor did not take, by where they went; `to` is empty "
    "where they had to stay.",
    ["corridor", "to", "reason"],
)

log = get_logger(__name__)


def trace_radar(changes: Sequence[Change]) -> None:
    """Says in the trace what Radar made of the charge that the steps are about, if they tell."""
    for change in changes:
        outcome = change.after.radar_outcome
        if outcome is None or (change.before and change.before.radar_outcome == outcome):
            continue
        trace.get_current_span().set_attributes(
            {"gateway.radar.type": outcome.type, "gateway.radar.risk_level": outcome.risk_level}
        )


def announce_failover(decision: Decision, elsewhere: Elsewhere) -> None:
    """Tells of each step to another corridor, and of payments that had nowhere to go."""
    for change in decision.changes:
        before, after = change.before, change.after
        assert before is not None, "an operation finds its payment made"
        if change.transition == Transition.FAILED_OVER:
            reason = after.left_corridors[-1].reason
            FAILOVERS.labels(before.corridor, after.corridor, reason).inc()
            trace.get_current_span().add_event(
                "gateway.failover",
                {
                    "gateway.failover.from": before.corridor,
                    "gateway.failover.to": after.corridor,
                    "gateway.failover.reason": reason,
                },
            )
            trace.get_current_span().set_attribute("gateway.corridor", after.corridor)
            log.warning(
                "payment_failed_over",
                payment_id=after.id,
                corridor=before.corridor,
                to=after.corridor,
                reason=reason,
            )
        elif before.state is PaymentState.AUTHORIZING or before.corridor != after.corridor:
            unavailable = after.state is PaymentState.QUEUED or (
                after.failure is not None and after.failure.code is FailureCode.CORRIDOR_UNAVAILABLE
            )
            if unavailable and elsewhere.declared(after.corridor):
                FAILOVERS.labels(before.corridor, "", decision.operation.failure_code).inc()
