"""Closing a period: what is in the way, who has to agree, and the statement that comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.closing import contents, store
from reconciliation.closing.completeness import (
    Behind,
    Completeness,
    LedgerCompleteness,
)
from reconciliation.closing.late import LateActivity
from reconciliation.closing.period import ClosedDays, Period, PeriodKind, obstacle
from reconciliation.closing.statement import (
    NONE_BEFORE,
    CarriedBreak,
    LedgerPlace,
    PeriodStatement,
    Tally,
)
from reconciliation.errors import (
    breaks_open,
    corridor_not_found,
    needs_another_person,
    period_closed,
    period_not_over,
    period_out_of_order,
    sources_behind,
)
from reconciliation.items.reading import Moment
from reconciliation.matching.book_days import BookDays
from reconciliation.runs import store as runs
from reconciliation.runs.matcher import BEGINNING
from runtime.clock import Clock
from runtime.signed_notes import SignerKey

MAX_CARRIED_BREAKS = 1_000
MATCHING = "matching"


@dataclass(frozen=True)
class Asked:
    """A period that somebody wants closed."""

    period: Period
    carried: tuple[int, ...]
    """The breaks, sorted, that are known to be open."""
    client: str
    remark: str


@dataclass(frozen=True)
class Ready:
    """What was found out of other services before anything is written."""

    corridors: tuple[str, ...]
    ledger_place: LedgerPlace
    last_ordinal: int
    """Items up to there have come of what was found out."""


@dataclass(frozen=True)
class Rules:
    """What closing goes by."""

    ledger: str
    policy_version: str
    close_after: timedelta
    book_days: BookDays


class Closing:
    """Closes periods. Statements are signed with one key."""

    def __init__(
        self,
        rules: Rules,
        signer: SignerKey,
        ledger: LedgerCompleteness | None,
        sources: Sequence[Completeness],
        late: LateActivity,
        clock: Clock,
    ) -> None:
        """Without a ledger nothing can be closed: a statement names its checkpoint."""
        self._rules = rules
        self._signer = signer
        self._ledger = ledger
        self._sources = sources
        self._late = late
        self._clock = clock

    async def prepare(self, connection: AsyncConnection, period: Period, corridor: str) -> Ready:
        """Asks the sources; before the transaction, for none waits for another service. Raises
        what is in the way."""
        corridors = tuple(await store.corridors(connection))
        if corridor:
            if corridor not in corridors:
                raise corridor_not_found(corridor)
            corridors = (corridor,)
        if not corridors:
            raise corridor_not_found("")
        last_ordinal = await store.last_item(connection)
        # Nothing is held while others are asked.
        await connection.rollback()
        end = max(period.end_of(name, self._rules.book_days) for name in corridors)
        if self._clock.now() < end + self._rules.close_after:
            raise period_not_over(end + self._rules.close_after)
        if self._ledger is None:
            raise sources_behind([Behind("ledger", "is not configured")])
        behind: list[Behind] = []
        place = await self._ledger.place()
        if isinstance(place, Behind):
            raise sources_behind([place])
        # What the days of a month were closed with need not be asked again.
        if period.kind is PeriodKind.DAY:
            for source in (self._ledger, *self._sources):
                found = await source.behind(period, corridors)
                behind += [found] if found is not None else []
        if behind:
            raise sources_behind(behind)
        await self._late.round()
        return Ready(corridors, place, last_ordinal)

    async def close(
        self, connection: AsyncConnection, asked: Asked, ready: Ready, *, is_all: bool
    ) -> int:
        """The number of the closing; 0 if a second person has to agree. Raises what is in the way.
        A part of the caller's transaction, of which nothing may wait after it."""
        place = await runs.lock(connection, BEGINNING)
        corridors = await self._in_order(connection, asked.period, ready.corridors, is_all=is_all)
        last_day = asked.period.last_day
        if place.last_ordinal < ready.last_ordinal or await store.has_unseen(
            connection, corridors, last_day, place.last_ordinal
        ):
            raise sources_behind([Behind(MATCHING, "has not looked at all items")])
        # Breaks that are named have to stay what they are, whatever becomes of this transaction.
        if await self._late.has_untold(connection, place.last_ordinal):
            raise sources_behind([Behind(MATCHING, "has not told of what is late")])
        now = self._clock.now()
        carried = await self._carried(connection, asked, corridors)
        change = await runs.begin_change(
            connection,
            "PERSON",
            place,
            place.last_ordinal,
            place.due_until,
            self._rules.policy_version,
            now,
        )
        approver = ""
        client = asked.client
        if carried:
            first = await store.first_asker(connection, asked.period, corridors, asked.carried)
            if first == asked.client:
                raise needs_another_person(first)
            if not first:
                await store.add_step(
                    connection,
                    asked.period,
                    corridors,
                    asked.carried,
                    asked.client,
                    asked.remark,
                    change.number,
                )
                return 0
            client, approver = first, asked.client
        moment = Moment(change.number, now, place.last_ordinal)
        tally = await self._tally(connection, asked.period, corridors, moment)
        return await self._write(
            connection, asked, corridors, ready, moment, tally, carried, (client, approver)
        )

    async def _in_order(
        self,
        connection: AsyncConnection,
        period: Period,
        corridors: Sequence[str],
        *,
        is_all: bool,
    ) -> list[str]:
        """The corridors that it is the turn of; of all, those that are not closed."""
        closed = await store.closed_days(connection, corridors)
        open_ones = []
        for corridor in corridors:
            days = closed.get(corridor)
            number = await self._closed_as(connection, period, corridor, days)
            if number and not is_all:
                raise period_closed(corridor, number)
            if number:
                continue
            if (why := obstacle(period, days)) is not None:
                raise period_out_of_order(corridor, why.next_day)
            open_ones.append(corridor)
        if not open_ones:
            raise period_closed(corridors[0], number)
        return open_ones

    @staticmethod
    async def _closed_as(
        connection: AsyncConnection, period: Period, corridor: str, days: ClosedDays | None
    ) -> int:
        """The closing of a period; 0 if it is open."""
        if days is None:
            return 0
        if period.kind is PeriodKind.MONTH:
            return days.months.get(period.first_day, 0)
        row = await store.closed_at(connection, corridor, period.first_day)
        return 0 if row is None else int(row.closing_number)

    async def _carried(
        self, connection: AsyncConnection, asked: Asked, corridors: Sequence[str]
    ) -> list[CarriedBreak]:
        """The breaks that are open. Raises `BREAKS_OPEN` unless they are those that are named."""
        end = max(asked.period.end_of(name, self._rules.book_days) for name in corridors)
        found = await store.open_until(
            connection,
            corridors,
            asked.period.last_day,
            end,
            self._clock.now(),
            MAX_CARRIED_BREAKS + 1,
        )
        if tuple(each.break_id for each in found) != asked.carried:
            raise breaks_open([each.break_id for each in found], MAX_CARRIED_BREAKS)
        return found

    async def _tally(
        self,
        connection: AsyncConnection,
        period: Period,
        corridors: Sequence[str],
        moment: Moment,
    ) -> Tally:
        tally = Tally()
        match_ids: set[int] = set()
        found = contents.items_of(connection, period, corridors, moment)
        async for first_day, items, matched in found:
            match_ids |= matched
            for item in items:
                tally.add_item(item, first_day)
        async for matches in contents.matches_of(connection, match_ids):
            for match in matches:
                tally.add_match(match)
        return tally

    async def _write(
        self,
        connection: AsyncConnection,
        asked: Asked,
        corridors: Sequence[str],
        ready: Ready,
        moment: Moment,
        tally: Tally,
        carried: Sequence[CarriedBreak],
        people: tuple[str, str],
    ) -> int:
        last, previous = await store.last_closing(connection)
        rules_version, policy_version = await store.versions_of(connection, moment.change_number)
        statement = PeriodStatement(
            ledger=self._rules.ledger,
            closing_number=last + 1,
            period=asked.period,
            corridors=tuple((name, self._rules.book_days.zone_of(name)) for name in corridors),
            change_number=moment.change_number,
            rules_version=rules_version,
            policy_version=policy_version,
            ledger_place=ready.ledger_place,
            bank_places=await contents.bank_places(connection, corridors),
            item_count=tally.item_count,
            match_count=tally.match_count,
            late_count=tally.late_count,
            root=tally.root,
            sums=tally.sums,
            carried=tuple(carried),
            previous=previous or NONE_BEFORE,
            close_time=moment.time,
            client=people[0],
            approver=people[1],
        )
        await store.add_closing(
            connection,
            asked.period,
            corridors,
            closing_number=statement.closing_number,
            change_number=moment.change_number,
            last_ordinal=moment.last_ordinal,
            note=self._signer.sign(statement),
            sha256=sha256(statement.text().encode()).digest(),
            item_count=tally.item_count,
            late_count=tally.late_count,
            match_count=tally.match_count,
            carried=[each.break_id for each in carried],
            client=people[0],
            approver=people[1],
            remark=asked.remark,
            now=moment.time,
        )
        await store.add_bank_places(connection, statement.closing_number, statement.bank_places)
        return statement.closing_number
