"""Breaks and matches in the form of the contract."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from money.v1.money_pb2 import Money
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
        since_time=_stamp(row.since),
        due_time=_stamp(row.due),
        overdue_time=_stamp(row.overdue),
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
        record_time=_stamp(row.record_time),
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
        create_time=_stamp(row.create_time),
        revoke_time=None if row.revoke_time is None else _stamp(row.revoke_time),
        revoke_client=row.revoke_client,
        revoke_note=row.revoke_note,
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


def _state(row: Any, now: datetime) -> str:
    if row.has_ended:
        return "ENDED"
    if now < row.due:
        return "EXPECTED"
    return "OVERDUE" if now >= row.overdue else "DUE"


def _keys(item_ids: Iterable[int], keys: Keys) -> list[pb.ItemKey]:
    return [key_message(keys[item_id][0]) for item_id in item_ids]


def _stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
