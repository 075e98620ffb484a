"""Logs whose truth is known, for judging the evaluation of routing policies.

Both worlds give customers with several decisions each, whose rewards depend on each other, and draw
logs of them as often as asked. What a policy is worth is computed, not drawn.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from bench.routing_chooser import LearningRouting
from gateway.routing.evaluation_log import LoggedDecision, Option, shares_of_order
from gateway.routing.propensity import draw as drawn
from sandbox.simulators.corridors.play import Payment, Seen, play
from sandbox.simulators.corridors.rules import operators_orders
from sandbox.simulators.corridors.world import Settings, World, make_world

Table = Sequence[Sequence[float]]
"""Probabilities or rewards by segment and action."""
SEGMENTS, ACTIONS = 4, 4
MAX_DECISIONS_OF_A_CUSTOMER = 4
TRIED_OUT = 0.3
"""Of the rules that log in the corridor simulator, the share that is tried out."""


@dataclass(frozen=True)
class Bandit:
    """Segments, actions and customers, of which all is known.

    A customer belongs to a segment, decides one to `decisions[segment]` times, and is luckier or
    less lucky than his segment by `luck` in all of his decisions.
    """

    segments: Sequence[float]
    """How likely a customer is of each."""
    decisions: Sequence[int]
    rewards: Table
    logging: Table
    predicted: Table
    """What a model expects, which is wrong."""
    luck: float

    def value(self, policy: Table) -> float:
        """The mean reward per decision, in closed form."""
        of_decisions = [
            share * (1 + most) / 2
            for share, most in zip(self.segments, self.decisions, strict=True)
        ]
        means = [
            sum(p * r for p, r in zip(policy[k], self.rewards[k], strict=True))
            for k in range(len(self.segments))
        ]
        return sum(w * m for w, m in zip(of_decisions, means, strict=True)) / sum(of_decisions)

    def log(self, seed: int, customers: int, candidate: Table) -> list[LoggedDecision]:
        """What the logging policy would have written down of some customers."""
        draw = random.Random(seed)
        names = [str(action) for action in range(len(self.rewards[0]))]
        options = [
            tuple(Option(*row) for row in zip(names, p, pi, q, strict=True))
            for p, pi, q in zip(self.logging, candidate, self.predicted, strict=True)
        ]
        found = []
        for customer in range(customers):
            segment = draw.choices(range(len(self.segments)), self.segments)[0]
            luck = self.luck if draw.random() < 0.5 else -self.luck
            for _ in range(draw.randint(1, self.decisions[segment])):
                action = draw.choices(range(len(names)), self.logging[segment])[0]
                reward = float(draw.random() < self.rewards[segment][action] + luck)
                found.append(LoggedDecision(str(customer), names[action], reward, options[segment]))
        return found


def make_bandit(seed: int, *, least: float = 0.03) -> Bandit:
    """A bandit whose logging policy gives every action at least `least`."""
    draw = random.Random(seed)
    rewards = [[draw.uniform(0.5, 0.85) for _ in range(ACTIONS)] for _ in range(SEGMENTS)]
    logging = []
    for _ in range(SEGMENTS):
        # One is usual, others are tried out, some of them rarely.
        rest = [draw.uniform(least, 0.2) for _ in range(ACTIONS - 1)]
        row = [1.0 - sum(rest), *rest]
        draw.shuffle(row)
        logging.append(row)
    return Bandit(
        segments=(0.4, 0.3, 0.2, 0.1),
        decisions=(1, 2, 3, MAX_DECISIONS_OF_A_CUSTOMER),
        rewards=rewards,
        logging=logging,
        predicted=[[r + draw.uniform(-0.15, 0.15) for r in row] for row in rewards],
        luck=0.12,
    )


def leaning(logging: Table, towards: Table, strength: float) -> list[list[float]]:
    """A candidate between the logging policy, `strength` 0, and another, 1."""
    return [
        [(1.0 - strength) * p + strength * t for p, t in zip(ps, ts, strict=True)]
        for ps, ts in zip(logging, towards, strict=True)
    ]


def confounded() -> tuple[Bandit, list[list[float]]]:
    """A bandit and a candidate that only looks better, as Simpson's paradox has it.

    The first action is taken of easy payments, so it succeeds more often than the second; of
    payments alike it succeeds less often. The candidate always takes the first.
    """
    rewards = ((0.82, 0.90), (0.48, 0.58))
    bandit = Bandit(
        segments=(0.5, 0.5),
        decisions=(2, 2),
        rewards=rewards,
        logging=((0.8, 0.2), (0.2, 0.8)),
        predicted=((0.8, 0.8), (0.6, 0.6)),
        luck=0.05,
    )
    return bandit, [[1.0, 0.0], [1.0, 0.0]]


def best_of(rewards: Table) -> list[list[float]]:
    """The policy that always takes what is worth most."""
    return [[float(r == max(row)) for r in row] for row in rewards]


@dataclass(frozen=True)
class Shadowed:
    """One payment of the simulator: what policies would do, and how likely each option succeeds."""

    options: tuple[Option, ...]
    success: tuple[float, ...]
    chances: tuple[float, ...]
    """Of the rules, summed up to each option."""


class _RulesWithShadow:
    """Operators' rules that try out, with routing learning beside them from what they did."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._orders = operators_orders(world)
        self._routing = LearningRouting(world)
        self._success = world.success
        self.payments: list[Shadowed] = []

    def choose(self, payment: Payment) -> int:
        allowed = [str(corridor) for corridor in payment.allowed]
        order = [str(corridor) for corridor in self._orders[payment.region]]
        shares = shares_of_order(order, allowed, TRIED_OUT)
        names = tuple(shares)
        chosen = int(names[drawn(list(shares.values()), self._world.seed ^ payment.number << 20)])
        scores = self._routing.shadow(payment, chosen)
        self.payments.append(
            Shadowed(
                tuple([Option(n, shares[n], scores[n].propensity, scores[n].value) for n in names]),
                tuple([float(self._success[payment.number, int(n)]) for n in names]),
                tuple(accumulate(shares.values())),
            )
        )
        return chosen

    def see(self, seen: Seen) -> None:
        self._routing.see(seen)


@dataclass(frozen=True)
class Shadow:
    """A world of the corridor simulator, played once with rules, and routing in the shadow.

    Logs are drawn of its customers, with replacement, with other luck each time.
    """

    customers: tuple[tuple[Shadowed, ...], ...]

    def values(self) -> tuple[float, float]:
        """The mean success of the rules, and of routing."""
        payments = [payment for customer in self.customers for payment in customer]
        rows = [
            (option.propensity * success, option.candidate * success)
            for payment in payments
            for option, success in zip(payment.options, payment.success, strict=True)
        ]
        rules, routing = (sum(column) / len(payments) for column in zip(*rows, strict=True))
        return rules, routing

    def log(self, seed: int, customers: int) -> list[LoggedDecision]:
        """What the rules would have written down of some customers."""
        draw = random.Random(seed)
        found = []
        for number in range(customers):
            for payment in draw.choice(self.customers):
                options = payment.options
                chosen = draw.choices(range(len(options)), cum_weights=payment.chances)[0]
                reward = float(draw.random() < payment.success[chosen])
                found.append(LoggedDecision(str(number), options[chosen].action, reward, options))
        return found


def play_shadow(seed: int, payments: int) -> Shadow:
    """Plays a world of a seed; a customer is one to four payments of a region and network."""
    world = make_world(seed, Settings(payments=payments))
    rules = _RulesWithShadow(world)
    play(world, rules)
    alike: Mapping[tuple[int, int], list[Shadowed]] = defaultdict(list)
    for number, payment in enumerate(rules.payments):
        key = (int(world.contexts.region[number]), int(world.contexts.network[number]))
        alike[key].append(payment)
    draw = random.Random(seed)
    customers = []
    for rows in alike.values():
        place = 0
        while place < len(rows):
            size = draw.randint(1, MAX_DECISIONS_OF_A_CUSTOMER)
            customers.append(tuple(rows[place : place + size]))
            place += size
    return Shadow(tuple(customers))
