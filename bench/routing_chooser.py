"""The gateway's routing as a chooser in the corridor simulator."""

from collections import defaultdict
from dataclasses import replace

from gateway.routing.attribution import CallResult, Ending, attribute
from gateway.routing.decision import Decision, Lesson, Policy, Score, decide, learn_from
from gateway.routing.features import Context
from gateway.routing.health import InFlight
from gateway.routing.state import RoutingState
from sandbox.simulators.corridors.play import Answer, Payment, Seen
from sandbox.simulators.corridors.rules import operators_orders
from sandbox.simulators.corridors.world import World

# What Stripe would have said.
RESULTS = {
    Answer.APPROVED: CallResult(Ending.SUCCEEDED, outcome_type="authorized"),
    Answer.ISSUER_DECLINE: CallResult(
        Ending.DECLINED, "card_declined", "do_not_honor", "issuer_declined", "declined_by_network"
    ),
    Answer.CUSTOMER_ERROR: CallResult(
        Ending.DECLINED, "card_declined", "insufficient_funds", "issuer_declined"
    ),
    Answer.TECHNICAL_FAILURE: CallResult(Ending.DECLINED, "processing_error"),
    Answer.UNKNOWN: CallResult(Ending.UNKNOWN, "TIMEOUT"),
}


class LearningRouting:
    """Routing of one process, beginning as operators' rules."""

    def __init__(self, world: World, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self._orders = operators_orders(world)
        names = [str(corridor) for corridor in range(world.settings.corridors)]
        self.state = RoutingState.new(self.policy.space, names, 0.0)
        self._in_flight: dict[str, dict[int, InFlight]] = defaultdict(dict)
        self._decisions: dict[int, Decision] = {}
        self._unknown: set[int] = set()
        self._seed = world.seed << 32

    def choose(self, payment: Payment) -> int:
        """What routing decides among the corridors that are allowed, in the operators' order."""
        decision = self._decide(payment)
        self._send(payment, decision)
        return int(decision.corridor)

    def shadow(self, payment: Payment, chosen: int) -> dict[str, Score]:
        """What routing would have decided of a payment that somebody else sends to `chosen`."""
        decision = self._decide(payment)
        names = [score.corridor for score in decision.scores]
        corridor = str(chosen)
        self._send(payment, replace(decision, corridor=corridor, rank=names.index(corridor)))
        return {score.corridor: score for score in decision.scores}

    def _decide(self, payment: Payment) -> Decision:
        candidates = [str(c) for c in self._orders[payment.region] if c in payment.allowed]
        return decide(
            self.policy,
            self.state,
            context_of(payment),
            candidates,
            seed=self._seed + payment.number,
            now_s=payment.time_s,
            in_flight={
                name: list(calls.values()) for name, calls in self._in_flight.items() if calls
            },
        )

    def _send(self, payment: Payment, decision: Decision) -> None:
        self._decisions[payment.number] = decision
        self._in_flight[decision.corridor][payment.number] = InFlight(
            decision.corridor, payment.region, payment.network, payment.time_s
        )

    def hanging_calls(self, payment: Payment, start_s: float) -> dict[str, list[InFlight]]:
        """A call of each corridor like `payment` that has not come back."""
        return {
            name: [InFlight(name, payment.region, payment.network, start_s)]
            for name in self.state.corridors
        }

    def see(self, seen: Seen) -> None:
        """Learns from what became known."""
        number, corridor = seen.payment.number, str(seen.corridor)
        self._in_flight[corridor].pop(number, None)
        if seen.answer is Answer.PENDING:
            return
        if seen.answer is Answer.UNKNOWN:
            self._unknown.add(number)
            decision = self._decisions[number]
        else:
            decision = self._decisions.pop(number)
        was_unknown = seen.later and number in self._unknown
        result = RESULTS[seen.answer]
        if was_unknown:
            self._unknown.discard(number)
            result = CallResult(result.ending, result.code, was_unknown=True)
        ended_s = seen.payment.time_s + seen.latency_s
        lesson = Lesson(
            region=seen.payment.region,
            network=seen.payment.network,
            slots=decision.slots,
            corridor=corridor,
            rank=decision.rank,
            attribution=attribute(result),
            latency_s=None if seen.answer is Answer.UNKNOWN else seen.latency_s,
            timed_out=seen.answer is Answer.UNKNOWN,
            age_s=seen.time_s - ended_s if seen.later else 0.0,
        )
        self.state = learn_from(self.policy, self.state, lesson, now_s=seen.time_s)


def context_of(payment: Payment) -> Context:
    """What routing may know of a payment."""
    return Context(
        region=payment.region,
        network=payment.network,
        funding=payment.funding,
        currency=payment.currency,
        amount_minor=payment.amount_minor,
        hour=int(payment.time_s // 3_600) % 24,
        recurring=payment.recurring,
        velocity=payment.velocity,
        retry=payment.retry,
    )
