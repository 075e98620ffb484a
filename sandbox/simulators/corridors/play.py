"""Lets something choose corridors through a world, and says what it saw of each call and when.

Order is by time: what is known before a payment comes is told before the choice. A call that times
out is told of after `TIMEOUT_S` as UNKNOWN, and minutes later as what it was; a chooser can only
notice before that it has not come back.
"""

import heapq
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sandbox.simulators.corridors.world import (
    CURRENCIES,
    FUNDINGS,
    NETWORKS,
    REGIONS,
    TIMEOUT_S,
    World,
)

LOOKUP_S = 240.0
"""How long after a time-out it is known what became of the call."""
DELAY_SPREAD = 1.0
"""The standard deviation of the logarithm of delays of outcomes."""


class Answer(StrEnum):
    """What is said of a call."""

    APPROVED = "APPROVED"
    ISSUER_DECLINE = "ISSUER_DECLINE"
    CUSTOMER_ERROR = "CUSTOMER_ERROR"
    TECHNICAL_FAILURE = "TECHNICAL_FAILURE"
    UNKNOWN = "UNKNOWN"
    """It timed out; what became of it is told later."""
    PENDING = "PENDING"
    """Answered in time; what came of it is told later, or never."""


@dataclass(frozen=True, slots=True)
class Payment:
    """What a chooser sees of a payment."""

    number: int
    time_s: float
    region: str
    network: str
    funding: str
    currency: str
    amount_minor: int
    recurring: bool
    velocity: int
    retry: bool
    allowed: tuple[int, ...]
    """Corridors that it may take, in ascending order; never empty."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that is known of a call from `time_s` on."""

    payment: Payment
    corridor: int
    time_s: float
    latency_s: float
    """Between sending and the answer, also where this is told later."""
    answer: Answer
    later: bool
    """What became of a call that was UNKNOWN or PENDING before."""


class Chooser(Protocol):
    """Chooses corridors and is told what came of it."""

    def choose(self, payment: Payment) -> int:
        """One of `payment.allowed`; the call is sent at `payment.time_s`."""

    def see(self, seen: Seen) -> None:
        """Something became known. Times never go back."""


@dataclass(frozen=True)
class Played:
    """What was chosen: corridors by payment."""

    chosen: npt.NDArray[np.int64]


def payments_of(world: World) -> list[Payment]:
    """All payments of a world as choosers see them."""
    contexts = world.contexts
    allowed_sets = [tuple(np.flatnonzero(row).tolist()) for row in world.allowed]
    rows = zip(
        contexts.time_s.tolist(),
        contexts.region.tolist(),
        contexts.network.tolist(),
        contexts.funding.tolist(),
        contexts.currency.tolist(),
        contexts.amount_minor.tolist(),
        contexts.recurring.tolist(),
        contexts.velocity.tolist(),
        contexts.retry.tolist(),
        allowed_sets,
        strict=True,
    )
    return [
        Payment(
            number,
            time_s,
            REGIONS[region],
            NETWORKS[network],
            FUNDINGS[funding],
            CURRENCIES[currency],
            amount_minor,
            recurring,
            velocity,
            retry,
            allowed,
        )
        for number, (
            time_s,
            region,
            network,
            funding,
            currency,
            amount_minor,
            recurring,
            velocity,
            retry,
            allowed,
        ) in enumerate(rows)
    ]


def play(world: World, chooser: Chooser) -> Played:
    """Lets `chooser` choose for each payment; raises ValueError if it leaves what is allowed."""
    calls = _Calls(world)
    waiting: list[tuple[float, int, Seen]] = []
    chosen = np.empty(world.settings.payments, dtype=np.int64)
    count = 0
    for payment in payments_of(world):
        while waiting and waiting[0][0] <= payment.time_s:
            chooser.see(heapq.heappop(waiting)[2])
        corridor = chooser.choose(payment)
        if corridor not in payment.allowed:
            raise ValueError(f"payment {payment.number}: corridor {corridor} is not allowed")
        chosen[payment.number] = corridor
        for seen in calls.seen(payment, corridor):
            heapq.heappush(waiting, (seen.time_s, count, seen))
            count += 1
    return Played(chosen)


class _Calls:
    """What comes of a call, from the world's numbers, as lists because they are read one by one."""

    def __init__(self, world: World) -> None:
        self._technical = world.technical.tolist()
        self._timeout = world.timeout_share.tolist()
        self._error = world.customer_error.tolist()
        self._approval = world.approval.tolist()
        self._latency = world.latency_s.tolist()
        self._draws = world.draws.tolist()
        self._median_s = world.settings.delay_median_s
        self._missing = world.settings.missing_share

    def seen(self, payment: Payment, corridor: int) -> list[Seen]:
        """What will be known of it, and when."""
        n, start_s = payment.number, payment.time_s
        technical, timeout, customer, issuer, missing, delay = self._draws[n]
        latency_s = self._latency[n][corridor]
        if technical < self._technical[n][corridor]:
            if timeout < self._timeout[n][corridor]:
                end_s = start_s + TIMEOUT_S
                return [
                    Seen(payment, corridor, end_s, TIMEOUT_S, Answer.UNKNOWN, later=False),
                    Seen(
                        payment,
                        corridor,
                        end_s + LOOKUP_S,
                        TIMEOUT_S,
                        Answer.TECHNICAL_FAILURE,
                        later=True,
                    ),
                ]
            answer = Answer.TECHNICAL_FAILURE
        elif customer < self._error[n]:
            answer = Answer.CUSTOMER_ERROR
        elif issuer < self._approval[n][corridor]:
            answer = Answer.APPROVED
        else:
            answer = Answer.ISSUER_DECLINE
        end_s = start_s + latency_s
        if not self._median_s and not self._missing:
            return [Seen(payment, corridor, end_s, latency_s, answer, later=False)]
        told = [Seen(payment, corridor, end_s, latency_s, Answer.PENDING, later=False)]
        if missing >= self._missing:
            # A log-logistic delay: its quantile function is closed.
            odds = delay / (1.0 - delay)
            known_s = end_s + self._median_s * odds ** (DELAY_SPREAD / 1.8)
            told.append(Seen(payment, corridor, known_s, latency_s, answer, later=True))
        return told
