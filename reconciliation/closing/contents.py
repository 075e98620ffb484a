"""What a statement is about: the items of a period and the matches that they are in, in its order,
as of the change that it names."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.closing import store
from reconciliation.closing.period import Period, PeriodKind
from reconciliation.closing.statement import BankPlace, StatedItem, StatedMatch, file_leaf
from reconciliation.errors import period_too_large
from reconciliation.items.reading import KnownItem, Moment, known_items
from reconciliation.matching.breaks import Standing
from runtime.merkle import Frontier, leaf_hash

# Of all corridors together; a statement is made while nothing else is matched.
MAX_PERIOD_ITEMS = 1_000_000
READ_AT_ONCE = 2_000
_DAY = timedelta(days=1)


async def items_of(
    connection: AsyncConnection, period: Period, corridors: Sequence[str], moment: Moment
) -> AsyncIterator[tuple[date, list[StatedItem], set[int]]]:
    """Some items at a time, by corridor, source and key, with the first day of the period in their
    corridor and the matches that they are in. Raises `PERIOD_TOO_LARGE`."""
    count = 0
    for corridor in corridors:
        span = await _span(connection, period, corridor, moment)
        item_ids = await store.period_items(connection, span)
        count += len(item_ids)
        if count > MAX_PERIOD_ITEMS:
            raise period_too_large(MAX_PERIOD_ITEMS)
        for start in range(0, len(item_ids), READ_AT_ONCE):
            some = item_ids[start : start + READ_AT_ONCE]
            known = await known_items(connection, some, moment)
            match_ids = await store.matches_of(connection, some, moment.change_number)
            yield span.first_day, [_stated(each) for each in known], match_ids


async def matches_of(
    connection: AsyncConnection, match_ids: set[int]
) -> AsyncIterator[list[StatedMatch]]:
    """Some matches at a time, by their ids."""
    ordered = sorted(match_ids)
    for start in range(0, len(ordered), READ_AT_ONCE):
        yield await store.stated_matches(connection, ordered[start : start + READ_AT_ONCE])


async def bank_places(
    connection: AsyncConnection, corridors: Sequence[str]
) -> tuple[BankPlace, ...]:
    """The files of the banks of some corridors that were taken. What a file brought was written
    with it: all lines that are items are in one of them."""
    trees: dict[str, Frontier] = defaultdict(Frontier)
    for row in await store.bank_files(connection, corridors):
        leaf = file_leaf(row.bank_account, row.sha256, row.asked)
        trees[row.bank_account].append(leaf_hash(leaf))
    return tuple(
        BankPlace(account, tree.size, tree.root()) for account, tree in sorted(trees.items())
    )


async def _span(
    connection: AsyncConnection, period: Period, corridor: str, moment: Moment
) -> store.Span:
    days = (await store.closed_days(connection, [corridor])).get(corridor)
    first_closed = period.first_day if days is None else days.first_day
    first_day = max(period.first_day, first_closed)
    before = await store.closed_at(connection, corridor, first_day - _DAY)
    own = None
    if period.kind is PeriodKind.MONTH:
        own = await store.closed_at(connection, corridor, period.last_day)
    return store.Span(
        corridor=corridor,
        first_day=first_day,
        last_day=period.last_day,
        last_ordinal=moment.last_ordinal if own is None else own.last_ordinal,
        first_closed=first_closed,
        late_after=moment.last_ordinal if before is None else before.last_ordinal,
    )


def _stated(known: KnownItem) -> StatedItem:
    """An item as a statement has it."""
    item = known.item
    return StatedItem(
        key=item.id,
        currency=item.currency,
        amount_minor=item.amount_minor,
        instant=item.instant,
        book_day=known.book_day,
        sha256=item.sha256,
        standings={leg: stands.standing for leg, stands in known.standings.items()},
        matches={
            leg: stands.match_id
            for leg, stands in known.standings.items()
            if stands.standing is Standing.MATCHED
        },
    )
