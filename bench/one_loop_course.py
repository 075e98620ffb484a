"""What is played on the real engine to see what foresight is worth to payments, and what came."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.demo.drive import Paid
from sandbox.simulators.courses import course_of_minutes
from sandbox.simulators.degradation.faults import Fault, FaultFile, Kind
from sandbox.simulators.degradation.world import DAY, world
from sandbox.stripe_twin.courses import Course

# A simulated minute passes in about two seconds: so much shorter are latencies and all that is
# compared with them (limits, breakers, how long callers wait). Much shorter they may not be, or
# what the machine itself takes for a payment would count more than what is simulated.
SLOWER = 2.0
PATIENCE_SECONDS = 12.0 / SLOWER
SLOW_SECONDS = 4.0 / SLOWER
LIMIT_MS = 2_500.0 / SLOWER
TIMEOUT_SECONDS = 6.0 / SLOWER
PAYMENTS_A_MINUTE = 10
CALM_MINUTES = 6
"""Played first, all is well; what foresight has learnt is made of the first of them."""
LEARN_MINUTES = 4
# Latency reaches its limit 28 minutes after it began to rise; from the 23rd on calls time out, from
# the 30th on more than half of them; 42 minutes after the beginning it gets better.
SLOWING = ((0.0, 0.0), (28.0, 1.0), (31.0, 1.8), (42.0, 1.8), (46.0, 0.0))
FAILING_FROM = 23
FAILING = ((0.0, 0.0), (7.0, 12.0), (19.0, 12.0), (23.0, 0.0))
MINUTES = CALM_MINUTES + 50
# Noon of a working day in the simulated week.
BEGINS = 3 * DAY + 12 * 60
SICK, WELL = "default", "backup"
SUCCEEDED, DECLINED = "SUCCEEDED", "DECLINED"


def courses(seed: int) -> dict[str, Course]:
    """The courses of both accounts: two services of the degradation simulator, one of which is
    slowed down and then fails."""
    first = BEGINS + CALM_MINUTES
    faults = FaultFile(
        faults=(
            Fault(0, "slow_stripe", Kind.RAMP, first, SLOWING),
            Fault(0, "timing_out", Kind.RAMP, first + FAILING_FROM, FAILING),
        )
    )
    simulated = world(seed, services=2, days=7, file=faults)
    return {
        name: course_of_minutes(
            list(service.minutes())[BEGINS : BEGINS + MINUTES],
            seed,
            slower=SLOWER,
            hang_seconds=60.0 / SLOWER,
        )
        for name, service in zip((SICK, WELL), simulated.services, strict=True)
    }


@dataclass(frozen=True, slots=True)
class Told:
    """What was foreseen of the corridor that fails, after a minute."""

    minute: int
    probability: float
    """Of a breach within 40 minutes."""
    discount: float
    alarm: bool
    broken: bool


@dataclass
class Run:
    """How one way of running the engine went. Minutes are counted from the first one played."""

    name: str
    paid: list[tuple[int, Paid]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    def lost(self, minute: int | None = None) -> int:
        """Payments, of a minute or all, of which the caller was not told in time what came of
        them, or that there would be none. Declines are answers."""
        return sum(
            paid.answer not in (SUCCEEDED, DECLINED)
            for at, paid in self.paid
            if minute in (None, at)
        )

    def slowed(self, minute: int | None = None) -> int:
        """Payments, of a minute or all, of which the caller was told late."""
        return sum(
            paid.answer in (SUCCEEDED, DECLINED) and paid.seconds > SLOW_SECONDS
            for at, paid in self.paid
            if minute in (None, at)
        )

    def stayed(self, minute: int) -> float:
        """The share of a minute's payments that were last charged where they belong."""
        where = [paid.corridor for at, paid in self.paid if at == minute and paid.corridor]
        return where.count(SICK) / len(where) if where else 1.0

    @property
    def alarm_minute(self) -> int | None:
        """When the alarm stood first."""
        return next((told.minute for told in self.told if told.alarm), None)

    @property
    def broken_minute(self) -> int | None:
        """When the objective was broken first."""
        return next((told.minute for told in self.told if told.broken), None)

    def figures(self) -> dict[str, Any]:
        """For the line of the benchmark."""
        answers = Counter(paid.answer for _, paid in self.paid)
        return {
            "payments": len(self.paid),
            "approved": answers[SUCCEEDED],
            "lost": self.lost(),
            "slowed": self.slowed(),
            "answers": dict(sorted(answers.items())),
            **({"alarm_minute": self.alarm_minute} if self.told else {}),
            **({"broken_minute": self.broken_minute} if self.told else {}),
        }


def charged_once(runs: Sequence[dict[str, Any]]) -> bool:
    """Whether no payment has two PaymentIntents that took money, by the twin's books."""
    paid = Counter(
        intent["metadata"]["engine_payment_id"]
        for books in runs
        for intent in books["payment_intents"]
        if intent["status"] == "succeeded"
    )
    return all(count == 1 for count in paid.values())
