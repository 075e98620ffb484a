"""How corridors are treated, as every process follows it, and for no longer than the leader said.

A process that starts treats all corridors as usual until it has read that one is held; what was
said ends by itself when nobody says it anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Row

from gateway.foresight.actions import NEUTRAL, Posture
from gateway.foresight.model import HORIZONS
from gateway.foresight_service import telemetry
from gateway.foresight_service.foreseeing import HOLD, end_of
from gateway.foresight_service.store import ForesightStore
from gateway.stripe_client.concurrency import ConcurrencyLimit
from runtime.clock import Clock
from runtime.loops import Loop
from runtime.notifier import Notifier

# So long another process's word may go unnoticed, and one that has ended may still hold.
REFRESH_SECONDS = 5.0


class Discounts(Protocol):
    """What routing takes off a corridor because it is expected to degrade."""

    def discount(self, corridor: str) -> float:
        """From 0, as usual, to what operators allow, below 1; 0 for a corridor nobody knows."""
        ...


class NoDiscounts:
    """`Discounts` where nothing is foreseen."""

    def discount(self, _corridor: str) -> float:
        return 0.0


# No leader whose clock goes as ours does says that a posture holds for longer than this.
LONGEST_HOLD = HOLD + timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Held:
    """A posture and until when it holds."""

    posture: Posture
    until: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it does now. What a clock that was ahead has written does not hold until then:
        nobody would say it anew."""
        return timedelta(0) < self.until - now <= LONGEST_HOLD

    def at(self, now: datetime) -> Posture:
        """The posture to take now."""
        return self.posture if self.holds(now) else NEUTRAL


class PostureBoard:
    """Reads what the leader says, and has the corridors' limits follow it."""

    def __init__(
        self,
        store: ForesightStore,
        limits: Mapping[str, ConcurrencyLimit],
        clock: Clock,
    ) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._held: Mapping[str, Held] = {}
        self.notifier = Notifier()
        for corridor in limits:
            telemetry.LAST_MINUTE.labels(corridor).set(clock.now().timestamp())
        self.apply()

    def discount(self, corridor: str) -> float:
        """What routing takes off a corridor now."""
        return self._posture(corridor).discount

    async def refresh(self) -> None:
        """Reads how corridors stand. Raises if the database is away: what was said holds until its
        time."""
        rows = await self._store.standings(list(self._limits))
        self._held = {name: held_of(row) for name, row in rows.items()}
        for name, row in rows.items():
            _tell(name, row)
        self.apply()

    def apply(self) -> None:
        """Has each limit follow what holds now."""
        for corridor, limit in self._limits.items():
            posture = self._posture(corridor)
            if limit.share != posture.concurrency:
                limit.keep_to(posture.concurrency)
            telemetry.DISCOUNT.labels(corridor).set(posture.discount)
            telemetry.CONCURRENCY_SHARE.labels(corridor).set(posture.concurrency)

    def loop(self) -> Loop:
        """Follows the database, and the clock while that is away."""
        return Loop(
            "foresight postures",
            self.round,
            poll_seconds=REFRESH_SECONDS,
            notifier=self.notifier,
            on_expected=lambda _: self.apply(),
        )

    async def round(self) -> bool:
        """One look."""
        await self.refresh()
        return False

    def _posture(self, corridor: str) -> Posture:
        held = self._held.get(corridor)
        return NEUTRAL if held is None else held.at(self._clock.now())


def held_of(row: Row[Any]) -> Held:
    """How a corridor is treated, from its row."""
    posture = Posture(row.discount, row.concurrency_share, row.has_incident)
    return Held(posture, row.hold_time)


def _tell(corridor: str, row: Row[Any]) -> None:
    if not row.minute:
        return
    probabilities: Sequence[float] = row.forecast.get("probabilities", ())
    for horizon, probability in zip(HORIZONS, probabilities, strict=False):
        telemetry.PROBABILITY.labels(corridor, str(horizon)).set(probability)
    telemetry.ALARM.labels(corridor).set(row.alarm_minute is not None)
    telemetry.LAST_MINUTE.labels(corridor).set(end_of(row.minute).timestamp())
