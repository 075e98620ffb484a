"""Compares Stripe's fees with what was booked and with the schedule, and tells of what differs."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.v1.balance_transaction_pb2 import BalanceTransaction
from reconciliation.conditions.telling import Conditions
from reconciliation.fees import store
from reconciliation.fees.schedule import Expected, FeeSchedule
from reconciliation.fees.store import Day, Look, Moved
from reconciliation.fees.variance import conditions_of, subjects_of
from reconciliation.matching.policy import BreakKind
from reconciliation.runs import store as runs
from reconciliation.runs.matcher import BEGINNING
from reconciliation.sources.stripe_items import charged_of
from runtime.clock import Clock
from runtime.loops import Loop

POLL_SECONDS = 10.0
BATCH_ITEMS = 5_000
# A change may have matched as many items as a run takes.
BATCH_CHANGES = 20
# Fees that are compared again with another schedule, at a time.
BATCH_AGAIN = 5_000
# Of what no price is stated for any more.
_NOTHING = Expected("", 0, is_right=True)


class FeeChecks:
    """Each fee is compared once, with the ledger when it is matched; those that were not right
    again by another schedule."""

    def __init__(
        self, engine: AsyncEngine, schedule: FeeSchedule, conditions: Conditions, clock: Clock
    ) -> None:
        self._engine = engine
        self._schedule = schedule
        self._conditions = conditions
        self._clock = clock
        # Until all that was not right by another schedule was compared with this one.
        self._is_outdated = True

    def loop(self) -> Loop:
        """Compares what is new."""
        return Loop("fees", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Compares some of what is new, in one transaction; whether there is more."""
        async with self._engine.connect() as connection:
            # Without the lock, which runs would wait for: mostly there is nothing.
            looked, reached = await store.last_look(connection), await store.changed(connection)
        if looked == reached and not self._is_outdated:
            return False
        async with self._engine.begin() as connection:
            return await self._compare(connection)

    async def _compare(self, connection: AsyncConnection) -> bool:
        now = self._clock.now()
        place = await runs.lock(connection, BEGINNING)
        looked = await store.last_look(connection)
        ordinal, _ = await runs.next_items(connection, looked.ordinal, BATCH_ITEMS)
        upto = Look(
            min(ordinal, place.last_ordinal),
            min(looked.change + BATCH_CHANGES, place.change_number),
        )
        if upto != looked:
            await store.add_look(connection, upto)
        days = await store.find_booked(connection, looked.change, upto.change, now)
        again: list[Moved] = []
        if self._is_outdated:
            again = await store.outdated(connection, self._schedule.digest, BATCH_AGAIN)
            self._is_outdated = len(again) == BATCH_AGAIN
        days |= await self._scheduled(connection, looked.ordinal, upto.ordinal, again, now)
        for day in sorted(days):
            await self._tell(connection, day, now)
        # Breaks that were told of now are a change, too, with nothing new for fees in it.
        is_behind = upto != Look(place.last_ordinal, place.change_number)
        return is_behind or self._is_outdated

    async def _scheduled(
        self,
        connection: AsyncConnection,
        after: int,
        upto: int,
        again: Iterable[Moved],
        now: datetime,
    ) -> set[Day]:
        """Compares with the schedule; the days on which something differs, or does no more."""
        found: list[tuple[Moved, int, Expected]] = []
        if self._schedule.prices:
            for moved in await store.new_fees(connection, after, upto):
                told, expected = self._expected(moved)
                if not expected.is_right:
                    found.append((moved, told, expected))
        found += [(moved, *self._expected(moved)) for moved in again]
        await store.write_checks(connection, self._schedule.digest, found, now)
        return {moved.day for moved, _, _ in found}

    def _expected(self, moved: Moved) -> tuple[int, Expected]:
        charged = charged_of(BalanceTransaction.FromString(moved.content), moved.day.day)
        return charged.fee_minor, self._schedule.expected(charged) or _NOTHING

    async def _tell(self, connection: AsyncConnection, day: Day, now: datetime) -> None:
        found = conditions_of(await store.of_day(connection, day), now)
        await self._conditions.tell_all(
            connection, [BreakKind.FEE_VARIANCE], day.corridor, found, subjects_of(day.day)
        )
