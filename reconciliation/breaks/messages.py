"""Breaks and matches in the form of the contract."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from money.v1.money_pb2 import Money
from reconciliation.items.reading import KnownItem
from reconciliation.matching.item import ItemKey, Leg, Source
from reconciliation.v1 import reconciliation_pb2 as pb

Keys = Mapping[int, tuple[ItemKey, str]]


def break_message(row: Any, keys: Keys, now: datetime) -> pb.Break:
    """A break as it is at a time."""
    return pb.Break(
        break_id=row.difference_id,
        leg=pb.Leg.Value(f"LEG_{row.leg}"),
        kind=pb.BreakKind.Value(f"BREAK_KIND_{row.kind}"),
        state=pb.BreakState.Value(f"BREAK_STATE_{_state(row, now)}"),
        items=_keys(row.item_ids, keys),
        amounts=[Money(currency_code=code, minor_units=amount) for code, amount in row.amounts],
        since_time=stamp(row.since),
        due_time=stamp(row.due),
        overdue_time=stamp(row.overdue),
        sentence=row.sentence,
        proposal=_keys(row.proposal, keys),
        assignee=row.assignee,
        corridor=row.corridor,
        subject=row.subject,
    )


def event_message(row: Any) -> pb.BreakEvent:
    return pb.BreakEvent(
        sequence=row.sequence,
        break_id=row.difference_id,
        kind=pb.BreakEventKind.Value(f"BREAK_EVENT_KIND_{row.event}"),
        client=row.client,
        assignee=row.assignee,
        note=row.note,
        record_time=stamp(row.record_time),
    )


def match_message(row: Any, keys: Keys) -> pb.Match:
    return pb.Match(
        match_id=row.match_id,
        leg=pb.Leg.Value(f"LEG_{row.leg}"),
        rule=pb.MatchRule.Value(f"MATCH_RULE_{row.rule}"),
        allocations=[
            pb.Allocation(
                item=key_message(keys[item_id][0]),
                amount=Money(currency_code=keys[item_id][1], minor_units=amount),
            )
            for item_id, amount in row.allocations
        ],
        client=row.client,
        note=row.note,
        create_time=stamp(row.create_time),
        revoke_time=None if row.revoke_time is None else stamp(row.revoke_time),
        revoke_client=row.revoke_client,
        revoke_note=row.revoke_note,
    )


def item_message(known: KnownItem) -> pb.Item:
    item = known.item
    return pb.Item(
        key=key_message(item.id),
        amount=Money(currency_code=item.currency, minor_units=item.amount_minor),
        occur_time=stamp(item.instant),
        book_day=known.book_day.isoformat(),
        state=pb.ItemState.Value(f"ITEM_STATE_{item.state}"),
        content=pb.Content.Value(f"CONTENT_{item.content}"),
        references=sorted(item.tokens),
        group=item.group,
        revision=item.revision,
        sha256=item.sha256,
        record_time=stamp(known.record_time),
        standings=[
            pb.ItemStanding(
                leg=pb.Leg.Value(f"LEG_{leg}"),
                standing=pb.Standing.Value(f"STANDING_{stands.standing}"),
                match_id=stands.match_id,
                break_id=stands.difference_id,
            )
            for leg, stands in sorted(
                known.standings.items(), key=lambda each: list(Leg).index(each[0])
            )
        ],
    )


def revision_message(row: Any) -> pb.ItemRevision:
    return pb.ItemRevision(
        revision=row.revision,
        sha256=row.sha256,
        state=pb.ItemState.Value(f"ITEM_STATE_{row.state}"),
        content=pb.Content.Value(f"CONTENT_{row.content}"),
        book_day=row.book_date.isoformat(),
        references=sorted(row.tokens),
        group=row.group_key,
        record_time=stamp(row.record_time),
    )


def key_message(key: ItemKey) -> pb.ItemKey:
    return pb.ItemKey(
        source=pb.Source.Value(f"SOURCE_{key.source}"), corridor=key.corridor, key=key.key
    )


def to_key(given: pb.ItemKey) -> ItemKey:
    word = pb.Source.Name(given.source).removeprefix("SOURCE_")
    return ItemKey(Source(word), given.corridor, given.key)


def to_leg(given: "pb.Leg.ValueType") -> Leg:
    return Leg(pb.Leg.Name(given).removeprefix("LEG_"))


def to_datetime(stamp: Timestamp) -> datetime:
    """Aware, in UTC, to the microsecond, as PostgreSQL stores it."""
    return stamp.ToDatetime(tzinfo=UTC)


def to_word(kind: Any, prefix: str, value: int) -> str:
    """The name of an enum's value as the database has it; empty if there is none."""
    return str(kind.Name(value).removeprefix(prefix)) if value else ""


def _state(row: Any, now: datetime) -> str:
    if row.has_ended:
        return "ENDED"
    if now < row.due:
        return "EXPECTED"
    return "OVERDUE" if now >= row.overdue else "DUE"


def _keys(item_ids: Iterable[int], keys: Keys) -> list[pb.ItemKey]:
    return [key_message(keys[item_id][0]) for item_id in item_ids]


def stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
