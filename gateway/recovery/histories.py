"""Which history of its server the database is in, and whether what it may lack was looked for.

A promotion, or a recovery to a moment, begins another history (in PostgreSQL's words a timeline):
commits that were acknowledged in the one before may be missing. Each is written down once. Unless
the primary was synchronous when it was last looked at before and when it was looked at first after
it, all is compared then that is compared after a restore: Stripe's newest objects by the guard, the
ledger by the ledger check, its holds by the hold check. Here is written that it was done.
"""

from dataclasses import dataclass
from datetime import datetime

from prometheus_client import Gauge
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    MetaData,
    Table,
    Text,
    exists,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.bookkeeping.standing import STANDING
from runtime.clock import Clock
from runtime.durability import History, lost_nothing
from runtime.durability_watch import DurabilityWatch
from runtime.logs import get_logger

HISTORY = Table(
    "database_history",
    MetaData(),
    Column("history_number", BigInteger, primary_key=True),
    Column("system_identifier", BigInteger, nullable=False),
    Column("timeline", BigInteger, nullable=False),
    Column("seen_time", DateTime(timezone=True), nullable=False),
    Column("durability_before", Text, nullable=False),
    Column("durability_after", Text, nullable=False),
    Column("lost_nothing", Boolean, nullable=False),
    Column("hold_check_time", DateTime(timezone=True)),
    Column("check_time", DateTime(timezone=True)),
)
UNCHECKED = Gauge(
    "gateway_history_unchecked",
    "1 while the database is in another history than before (a failover, a recovery to a moment)"
    " and it was not yet compared with Stripe and the ledger.",
)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """A history as one process has found it; `before` is empty if it did not see the one before."""

    history: History
    before: str
    after: str
    lost_nothing: bool


async def write_seen(connection: AsyncConnection, seen: Seen, now: datetime) -> None:
    """Writes a history down, once. Of several that saw the one before it, who cannot say that
    nothing was lost is believed: that one has looked at it last."""
    statement = upsert(HISTORY).values(
        system_identifier=seen.history.system,
        timeline=seen.history.timeline,
        seen_time=now,
        durability_before=seen.before,
        durability_after=seen.after,
        lost_nothing=seen.lost_nothing,
        check_time=now if seen.lost_nothing else None,
    )
    new = statement.excluded
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["system_identifier", "timeline"],
            set_={
                "durability_before": new.durability_before,
                "lost_nothing": False,
                "check_time": None,
            },
            where=HISTORY.c.lost_nothing & ~new.lost_nothing & (new.durability_before != ""),
        )
    )


async def unchecked(connection: AsyncConnection, history: History) -> int:
    """The number of a history of which something may be missing that was not looked for; 0 if all
    was."""
    statement = select(HISTORY.c.history_number).where(
        HISTORY.c.system_identifier == history.system,
        HISTORY.c.timeline == history.timeline,
        HISTORY.c.check_time.is_(None),
    )
    found: int | None = (await connection.execute(statement)).scalar()
    return found or 0


async def write_holds_checked(connection: AsyncConnection, number: int, now: datetime) -> None:
    """The ledger's open holds were compared since the history was seen."""
    await connection.execute(
        update(HISTORY).where(HISTORY.c.history_number == number).values(hold_check_time=now)
    )


async def write_checked(connection: AsyncConnection, number: int, now: datetime) -> None:
    """Stripe's newest objects were compared; with that all was, if the ledger and its holds were
    since the history was seen, and nothing stops the booking."""
    ledger_agrees = exists().where(
        STANDING.c.check_time >= HISTORY.c.seen_time, STANDING.c.stop_time.is_(None)
    )
    await connection.execute(
        update(HISTORY)
        .where(
            HISTORY.c.history_number == number,
            HISTORY.c.check_time.is_(None),
            HISTORY.c.hold_check_time.is_not(None),
            ledger_agrees,
        )
        .values(check_time=now)
    )


class Histories:
    """The histories that one process sees its database in."""

    def __init__(self, engine: AsyncEngine, durability: DurabilityWatch, clock: Clock) -> None:
        self._engine = engine
        self._durability = durability
        self._clock = clock
        self._written: History | None = None
        self.unchecked = 0
        """The number of the present one, until all of it was compared; 0 afterwards."""

    async def look(self, incarnation: str) -> bool:
        """Writes down the history of the database, if it is another than before; whether it is one
        in which something may be missing. Nothing is said while connections lead elsewhere than the
        watch's."""
        watch = self._durability
        history = watch.history
        if history is None or history == self._written or watch.incarnation != incarnation:
            return False
        seen = Seen(
            history,
            before=str(watch.before) if watch.before is not None else "",
            after=str(watch.statement),
            lost_nothing=lost_nothing(watch.before, watch.statement),
        )
        async with self._engine.begin() as connection:
            await write_seen(connection, seen, self._clock.now())
            self._take(await unchecked(connection, history))
        self._written = history
        log.info(
            "database_history",
            timeline=history.timeline,
            durability_before=seen.before,
            durability_after=seen.after,
            compared_anew=self.unchecked > 0,
        )
        return self.unchecked > 0

    async def compared(self) -> None:
        """Stripe's newest objects were compared with the database since the history was seen."""
        if not self.unchecked or self._written is None:
            return
        async with self._engine.begin() as connection:
            await write_checked(connection, self.unchecked, self._clock.now())
            self._take(await unchecked(connection, self._written))
        if not self.unchecked:
            log.info("database_history_compared", timeline=self._written.timeline)

    def _take(self, number: int) -> None:
        self.unchecked = number
        UNCHECKED.set(number > 0)
