"""Earlier transactions as what can be settled or reversed: stored ones and those of this commit."""

from collections.abc import Iterable

from psycopg.rows import TupleRow

from ledger.accounts import Effect, Side
from ledger.book import Source, SourceEntry
from ledger.commands import Record
from ledger.times import micros_of


def source_of(record: Record) -> Source:
    """A transaction just decided on, as one that can be settled or reversed."""
    return Source(
        sequence=record.sequence,
        kind=record.kind,
        expire_us=record.expire_us,
        entries=[
            SourceEntry(index, account.name, side, account.currency, amount, amount)
            for index, (account, side, effect, amount, *_) in enumerate(record.entries)
            if effect is not Effect.RELEASE
        ],
    )


def sources_of(rows: Iterable[TupleRow]) -> list[Source]:
    """Rows of `load_sources` as transactions with what is left of them."""
    found: dict[int, Source] = {}
    for sequence, _, kind, expire_time, settled_kind, settled_by, *entry in rows:
        source = found.get(sequence)
        if source is None:
            source = found[sequence] = Source(
                sequence=sequence,
                kind=kind,
                expire_us=micros_of(expire_time) if expire_time is not None else None,
                entries=[],
                last_settlement=None if settled_kind is None else (settled_kind, settled_by),
            )
        index, account, side, currency, amount, remaining = entry
        source.entries.append(SourceEntry(index, account, Side(side), currency, amount, remaining))
    return list(found.values())
