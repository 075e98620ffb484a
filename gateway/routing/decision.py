"""One decision and one lesson: what is chosen among candidates, and what an outcome changes.

Candidates come in the order of the operators' rules, and are all that may be chosen. Before
anything is seen the first is believed a little better than the second, and so on: routing begins as
the rules and departs from them for evidence. Of several candidates about which little is known the
best looks better than it is, so the less was learnt, the more evidence that takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.routing.approval import Table, chance_of, expected_approval, learn
from gateway.routing.attribution import Attribution
from gateway.routing.features import Context, FeatureSpace, Slots
from gateway.routing.health import (
    HealthSettings,
    InFlight,
    ended,
    judged,
    prognosis,
    with_in_flight,
)
from gateway.routing.objective import Objective, worth
from gateway.routing.propensity import Exploration, Value, draw, propensities
from gateway.routing.state import FIRST_DOUBT, CorridorState, RoutingState, advance

MAX_CANDIDATES = 16
MAX_RANK = 8
"""Later ranks are believed as good as this one."""


@dataclass(frozen=True)
class Policy:
    """All settings of routing; with state, payment and seed they make a decision."""

    space: FeatureSpace = field(default_factory=FeatureSpace)
    exploration: Exploration = field(default_factory=Exploration)
    objective: Objective = field(default_factory=Objective)
    health: HealthSettings = field(default_factory=HealthSettings)
    usual_log_odds: float = 2.0
    """Of approval, before anything is seen: 88 %."""
    rank_log_odds: float = 0.25
    """How much better each rank of the rules is believed to be than the next, at first."""

    caution_log_odds: float = 0.6
    """By how much another must be believed better than the rules' first to be the best guess,
    before anything is seen."""
    caution_half_life: float = 5_000.0
    """After so many outcomes half of that is asked."""

    def caution(self, learned: int) -> float:
        """What is taken off the log-odds of all but the rules' first, after so many outcomes."""
        return float(self.caution_log_odds * 2.0 ** (-learned / self.caution_half_life))

    def offset(self, rank: int) -> float:
        """Log-odds of approval before anything is seen, by rank in the operators' order from 0."""
        return self.usual_log_odds - self.rank_log_odds * min(rank, MAX_RANK)


class Score(NamedTuple):
    """What was believed of a candidate when it was decided."""

    corridor: str
    approval: float
    """How likely the issuer approves, incidents that make issuers decline included; of all but the
    rules' first with the policy's caution taken off."""
    technical_failure: float
    incident: float
    """How likely an incident is under way."""
    value: float
    value_spread: float
    """The standard deviation of `value`."""
    propensity: float
    discount: float = 0.0
    """What foresight took off the worth of a success there; `value` is after it."""
    method: int = 0
    """Which of the payment methods that the client names for the corridor, from 0."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was chosen, with all that is needed to choose it again."""

    corridor: str
    propensity: float
    seed: int
    scores: tuple[Score, ...]
    slots: Slots
    """The payment's buckets, as the model sees them, with what was chosen."""
    rank: int
    """Of the chosen one in the operators' order, from 0: what `learn_from` needs."""

    @property
    def method(self) -> int:
        """Of the chosen one, which of the corridor's payment methods it is."""
        return self.scores[self.rank].method

    @property
    def best(self) -> int:
        """The place of the best guess; the first of equals."""
        return max(range(len(self.scores)), key=lambda place: self.scores[place].value)

    @property
    def explored(self) -> bool:
        """Whether it was not the best guess."""
        return self.rank != self.best


class Method(NamedTuple):
    """With what a candidate would be charged."""

    number: int
    """Which of the payment methods that the client names for its corridor, from 0."""
    context: Context
    """The payment with it: another card is of another kind and has another past."""


class CandidatesError(ValueError):
    """Candidates that nothing can be chosen from, or a discount that is none."""


def decide(
    policy: Policy,
    state: RoutingState,
    context: Context,
    candidates: Sequence[str],
    *,
    seed: int,
    now_s: float,
    in_flight: Mapping[str, Sequence[InFlight]] | None = None,
    discounts: Mapping[str, float] | None = None,
    methods: Sequence[Method] = (),
) -> Decision:
    """Chooses one of the candidates, which come in the operators' order.

    `in_flight` are the calls by corridor that have not come back; `discounts` what foresight takes
    off the worth of a success by corridor, from 0 to below 1; `methods` with what each candidate
    would be charged, where a corridor is there with several payment methods. A candidate that the
    state does not know is believed to be as any other. Raises CandidatesError if there is none, one
    is there twice, there are more than MAX_CANDIDATES, or a discount is none.
    """
    if not 1 <= len(candidates) <= MAX_CANDIDATES:
        raise CandidatesError(f"{len(candidates)} candidates, 1 to {MAX_CANDIDATES}")
    numbers = [method.number for method in methods] or [0] * len(candidates)
    if len(set(zip(candidates, numbers, strict=True))) != len(candidates):
        raise CandidatesError("a candidate is there twice")
    slots = policy.space.slots(context)
    common_mean, common_variance = state.common.sum(slots.common)
    caution = policy.caution(state.learned)
    values, parts, taken_off, all_slots = [], [], [], []
    for rank, corridor in enumerate(candidates):
        if methods:
            context = methods[rank].context
            slots = policy.space.slots(context)
            common_mean, common_variance = state.common.sum(slots.common)
        all_slots.append(slots)
        known = state.corridors.get(corridor) or _unknown(policy)
        mean, variance = known.own.sum(slots.own)
        log_odds = policy.offset(rank) + common_mean + mean - (caution if rank else 0.0)
        approval = expected_approval(log_odds, variance + common_variance)
        # What is uncertain for all alike decides nothing: only the corridor's own part is spread.
        slope = approval * (1.0 - approval)
        calls = in_flight.get(corridor) if in_flight else None
        health = known.health
        if calls:
            health = with_in_flight(health, calls, now_s, policy.health)
        ahead = prognosis(health, context.region, context.network, now_s, policy.health)
        well = (1.0 - ahead.failure) * (1.0 - ahead.refusal)
        discount = discounts.get(corridor, 0.0) if discounts else 0.0
        if not 0.0 <= discount < 1.0:
            raise CandidatesError(f"a discount of {discount} is not from 0 to below 1")
        of_success, of_call = worth(policy.objective, corridor, context.amount_minor)
        # A success that foresight doubts is worth less; one that costs money does not cost less.
        of_success -= discount * max(of_success, 0.0)
        spread = (
            abs(of_success)
            * ((well * slope) ** 2 * variance + (approval * ahead.spread) ** 2) ** 0.5
        )
        suspect = ahead.incident >= policy.health.suspect_from
        values.append(Value(of_success * approval * well + of_call, spread, suspect))
        parts.append((corridor, approval * (1.0 - ahead.refusal), ahead.failure, ahead.incident))
        taken_off.append(discount)
    shares = propensities(values, policy.exploration)
    chosen = draw(shares, seed)
    return Decision(
        corridor=candidates[chosen],
        propensity=shares[chosen],
        seed=seed,
        scores=tuple(
            [
                Score(*part, value.mean, value.spread, share, discount, number)
                for part, value, share, discount, number in zip(
                    parts, values, shares, taken_off, numbers, strict=True
                )
            ]
        ),
        slots=all_slots[chosen],
        rank=chosen,
    )


def chosen_again(decision: Decision) -> str:
    """The corridor that follows from a decision's record alone: equal to its `corridor`."""
    return decision.scores[draw([s.propensity for s in decision.scores], decision.seed)].corridor


@dataclass(frozen=True, slots=True)
class Lesson:
    """What became known of a call; all but the outcome is of its decision's record."""

    region: str
    network: str
    slots: Slots
    corridor: str
    rank: int
    attribution: Attribution
    latency_s: float | None = None
    """How long it took, if it was answered; None if it timed out or the time is not known."""
    timed_out: bool = False
    age_s: float = 0.0
    """How long ago it was answered, if it became known only now what came of it."""
    pending: bool = False
    """It was answered in time; what came of it is not known yet. Nothing is learnt."""


def learn_from(
    policy: Policy, state: RoutingState, lesson: Lesson, *, now_s: float
) -> RoutingState:
    """The state after a lesson. What is attributed to nobody changes nothing."""
    said = lesson.attribution
    if lesson.pending or (said.failed is None and said.approved is None):
        return state
    state = advance(state, policy.space, now_s)
    corridor = state.corridors.get(lesson.corridor) or _unknown(policy)
    health, own, common = corridor.health, corridor.own, state.common
    if said.failed is not None:
        health = ended(
            health,
            lesson.region,
            lesson.network,
            now_s,
            policy.health,
            failed=said.failed,
            timed_out=lesson.timed_out,
            latency_s=lesson.latency_s,
            age_s=lesson.age_s,
        )
    if said.approved is not None:
        offset = policy.offset(lesson.rank)
        health, weight = judged(
            health,
            lesson.region,
            lesson.network,
            now_s,
            policy.health,
            approved=said.approved,
            chance=chance_of(common, own, lesson.slots.common, lesson.slots.own, offset),
            age_s=lesson.age_s,
        )
        common, own = learn(
            common,
            own,
            lesson.slots.common,
            lesson.slots.own,
            offset,
            approved=said.approved,
            weight=weight,
        )
    return state.with_lesson(
        lesson.corridor, CorridorState(own, health), common, learned=state.learned + 1
    )


def _unknown(policy: Policy) -> CorridorState:
    return CorridorState(Table.new(policy.space.own, FIRST_DOUBT))
