"""Sightings, minutes, how corridors stand, and alarms in the database. Migrations
0041_foresight and 0047_incident_events make the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    MetaData,
    Row,
    Table,
    Text,
    column,
    delete,
    func,
    select,
    table,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.epochs import FORESIGHT_NUMBERING_LOCK, FeedName
from gateway.foresight.actions import Posture
from gateway.foresight.incident import Incident, IncidentState
from gateway.foresight.sighting import Sighting, write_sighting
from gateway.foresight.signals import Minute
from gateway.foresight_service.tellings import read_telling, write_telling
from gateway.numbering import ChangeReader, NumberedFeed
from runtime.sql_files import sql_statement

# Listened to by WatchIncidents, and by every process for how corridors are treated.
CHANNEL = "gateway_foresight"
POSTURE_CHANNEL = "gateway_foresight_postures"

KEEP_SIGHTINGS = timedelta(days=1)
KEEP_MINUTES = timedelta(days=35)
PURGE_BATCH = 5_000

metadata = MetaData()
SIGHTING = Table(
    "foresight_sighting",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("minute", BigInteger, primary_key=True),
    Column("replica", Text, primary_key=True),
    Column("content", JSONB, nullable=False),
)
MINUTE = Table(
    "foresight_minute",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("minute", BigInteger, primary_key=True),
    Column("content", JSONB, nullable=False),
)
CORRIDOR = Table(
    "foresight_corridor",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("minute", BigInteger, nullable=False),
    Column("memory", Text, nullable=False),
    Column("forecast", JSONB, nullable=False),
    Column("alarm_minute", BigInteger),
    Column("has_learnt", Boolean, nullable=False),
    Column("discount", Double, nullable=False),
    Column("concurrency_share", Double, nullable=False),
    Column("has_incident", Boolean, nullable=False),
    Column("hold_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
)
ALARM = Table(
    "foresight_alarm",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("raise_minute", BigInteger, primary_key=True),
    Column("state", Text, nullable=False),
    Column("foreseen", JSONB, nullable=False),
    Column("acted", Boolean, nullable=False),
    Column("breach_minute", BigInteger),
    Column("end_minute", BigInteger),
    Column("is_incident", Boolean, nullable=False),
    Column("told", Text),
    Column("first_sequence", BigInteger),
    Column("sequence", BigInteger),
    Column("telling", JSONB(none_as_null=True)),
)
CHANGE = Table(
    "foresight_change",
    metadata,
    Column("change_number", BigInteger, primary_key=True),
    Column("sequence", BigInteger),
    Column("corridor", Text, nullable=False),
    Column("raise_minute", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("foreseen", JSONB, nullable=False),
    Column("acted", Boolean, nullable=False),
    Column("breach_minute", BigInteger),
    Column("end_minute", BigInteger),
    Column("record_time", DateTime(timezone=True), nullable=False),
    Column("telling", JSONB(none_as_null=True)),
)
FEED = NumberedFeed(
    name="foresight",
    epochs=FeedName.FORESIGHT,
    lock=FORESIGHT_NUMBERING_LOCK,
    channel=CHANNEL,
    statement=sql_statement(__file__, "number_changes"),
    changes=CHANGE,
    shown=select(CHANGE),
)
# Payments, disputes and all else whose call waits for its corridor: what is read of a table that
# another part owns.
_OPERATION = table(
    "operation", column("corridor"), column("queue_time"), column("queued"), column("end_time")
)
BEGINNING_OF_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which incidents are wanted; what is empty matches all."""

    corridor: str = ""
    state: str = ""


class ForesightStore(ChangeReader):
    """What is read of forecasts and incidents."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, FEED)

    async def standings(self, corridors: Sequence[str]) -> Mapping[str, Row[Any]]:
        """How corridors stand, without what is remembered of them."""
        columns = [each for each in CORRIDOR.c if each.name != "memory"]
        statement = select(*columns).where(CORRIDOR.c.corridor.in_(corridors))
        async with self._engine.connect() as connection:
            return {row.corridor: row for row in await connection.execute(statement)}

    async def page(self, filters: Filters, after: int, limit: int) -> Sequence[Row[Any]]:
        """Incidents whose first change comes after a sequence, as they were told last."""
        statement = (
            select(CHANGE, ALARM.c.first_sequence)
            .join_from(ALARM, CHANGE, CHANGE.c.sequence == ALARM.c.sequence)
            .where(ALARM.c.first_sequence > after)
            .order_by(ALARM.c.first_sequence)
            .limit(limit)
        )
        if filters.corridor:
            statement = statement.where(ALARM.c.corridor == filters.corridor)
        if filters.state:
            statement = statement.where(CHANGE.c.state == filters.state)
        async with self._engine.connect() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
        return rows

    async def record(
        self, corridor: str, from_minute: int, limit: int
    ) -> tuple[Sequence[Incident], int]:
        """The alarms that were raised from a minute on, the newest `limit` of them, oldest first,
        and how many minutes were watched since that one."""
        alarms = (
            select(ALARM)
            .where(ALARM.c.corridor == corridor, ALARM.c.raise_minute >= from_minute)
            .order_by(ALARM.c.raise_minute.desc())
            .limit(limit)
        )
        watched = select(func.count()).where(
            MINUTE.c.corridor == corridor, MINUTE.c.minute >= from_minute
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(alarms)).all()
            minutes: int = (await connection.execute(watched)).scalar_one()
        return [incident_of(row) for row in reversed(rows)], minutes


def incident_of(row: Row[Any]) -> Incident:
    """An alarm from its row, or from one of a change."""
    return Incident(
        raise_minute=row.raise_minute,
        foreseen=row.foreseen,
        acted=row.acted,
        state=IncidentState(row.state),
        breach_minute=row.breach_minute,
        end_minute=row.end_minute,
        telling=None if row.telling is None else read_telling(row.telling),
    )


async def add_sightings(
    connection: AsyncConnection, replica: str, minutes: Mapping[int, Mapping[str, Sighting]]
) -> None:
    """Keeps what a process saw; what it has kept before stays as it is."""
    rows = [
        {
            "corridor": corridor,
            "minute": minute,
            "replica": replica,
            "content": write_sighting(sighting),
        }
        for minute, seen in minutes.items()
        for corridor, sighting in seen.items()
    ]
    await connection.execute(insert(SIGHTING).on_conflict_do_nothing(), rows)


async def claim(connection: AsyncConnection, corridor: str, now: datetime) -> Row[Any]:
    """How a corridor stands, locked until the transaction ends; made if it was never seen."""
    beginning = {
        "corridor": corridor,
        "minute": 0,
        "memory": "",
        "forecast": {},
        "has_learnt": False,
        "discount": 0.0,
        "concurrency_share": 1.0,
        "has_incident": False,
        "hold_time": BEGINNING_OF_TIME,
        "update_time": now,
    }
    await connection.execute(insert(CORRIDOR).on_conflict_do_nothing(), [beginning])
    statement = select(CORRIDOR).where(CORRIDOR.c.corridor == corridor).with_for_update()
    return (await connection.execute(statement)).one()


async def sightings(
    connection: AsyncConnection, corridor: str, after: int, until: int, minutes: int
) -> dict[int, list[Any]]:
    """What was seen in the next minutes after one, up to one and at most so many, in order."""
    wanted = (
        select(SIGHTING.c.minute)
        .distinct()
        .where(
            SIGHTING.c.corridor == corridor, SIGHTING.c.minute > after, SIGHTING.c.minute <= until
        )
        .order_by(SIGHTING.c.minute)
        .limit(minutes)
    )
    statement = (
        select(SIGHTING.c.minute, SIGHTING.c.content)
        .where(SIGHTING.c.corridor == corridor, SIGHTING.c.minute.in_(wanted))
        .order_by(SIGHTING.c.minute, SIGHTING.c.replica)
    )
    found: dict[int, list[Any]] = {}
    for row in await connection.execute(statement):
        found.setdefault(row.minute, []).append(row.content)
    return found


async def queue_age_s(connection: AsyncConnection, corridor: str, now: datetime) -> float:
    """How long the first in a corridor's queue has waited; 0 if nobody does."""
    statement = select(func.min(_OPERATION.c.queue_time)).where(
        _OPERATION.c.corridor == corridor, _OPERATION.c.queued, _OPERATION.c.end_time.is_(None)
    )
    oldest: datetime | None = (await connection.execute(statement)).scalar_one()
    return 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())


async def add_minutes(
    connection: AsyncConnection, corridor: str, minutes: Sequence[Minute]
) -> None:
    """Keeps the minutes that were foreseen from."""
    rows = [
        {"corridor": corridor, "minute": seen.minute, "content": asdict(seen)} for seen in minutes
    ]
    await connection.execute(insert(MINUTE).on_conflict_do_nothing(), rows)


async def open_incident(connection: AsyncConnection, corridor: str) -> Incident | None:
    """The alarm of a corridor that stands."""
    statement = select(ALARM).where(ALARM.c.corridor == corridor, ALARM.c.end_minute.is_(None))
    row = (await connection.execute(statement)).first()
    return None if row is None else incident_of(row)


async def left_open(
    connection: AsyncConnection, corridors: Sequence[str]
) -> Sequence[tuple[str, Incident]]:
    """The alarms that stand of other corridors than these, locked."""
    statement = (
        select(ALARM)
        .where(ALARM.c.end_minute.is_(None), ALARM.c.corridor.not_in(corridors))
        .order_by(ALARM.c.corridor)
        .with_for_update(skip_locked=True)
    )
    return [(row.corridor, incident_of(row)) for row in await connection.execute(statement)]


async def time(connection: AsyncConnection) -> datetime:
    """The database's, which judges between processes' clocks."""
    now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return now


async def write_incident(
    connection: AsyncConnection,
    corridor: str,
    incident: Incident,
    now: datetime,
    *,
    is_incident: bool,
) -> None:
    """Writes an alarm down as it stands, and its change with it; whether it is shown is said when
    it is raised."""
    told = None if incident.telling is None else write_telling(incident.telling)
    standing = {
        "state": incident.state.value,
        "acted": incident.acted,
        "breach_minute": incident.breach_minute,
        "end_minute": incident.end_minute,
        "telling": told,
    }
    known = {
        "corridor": corridor,
        "raise_minute": incident.raise_minute,
        "foreseen": dict(incident.foreseen),
    }
    # Nobody has to look for what has changed: it is written here.
    changing = {**standing, "told": incident.state.value}
    statement = insert(ALARM).values(**known, **changing, is_incident=is_incident)
    shown = await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[ALARM.c.corridor, ALARM.c.raise_minute], set_=changing
        ).returning(ALARM.c.is_incident)
    )
    if shown.scalar_one():
        await connection.execute(insert(CHANGE), [{**known, **standing, "record_time": now}])


async def write_standing(
    connection: AsyncConnection, corridor: str, posture: Posture, **values: object
) -> None:
    """Writes how a corridor stands and is treated, and tells all processes."""
    statement = (
        update(CORRIDOR)
        .where(CORRIDOR.c.corridor == corridor)
        .values(
            discount=posture.discount,
            concurrency_share=posture.concurrency,
            has_incident=posture.incident,
            **values,
        )
    )
    await connection.execute(statement)
    await connection.execute(select(func.pg_notify(POSTURE_CHANNEL, "")))


async def purge(connection: AsyncConnection, now: datetime) -> int:
    """Deletes sightings and minutes that were kept for long enough, at most `PURGE_BATCH` of each;
    how many of those of which there were more."""
    most = 0
    for kept, keep in ((SIGHTING, KEEP_SIGHTINGS), (MINUTE, KEEP_MINUTES)):
        before = int((now - keep).timestamp()) // 60
        key = tuple_(*kept.primary_key.columns)
        old = (
            select(*kept.primary_key.columns)
            .where(kept.c.minute < before)
            .order_by(kept.c.minute)
            .limit(PURGE_BATCH)
        )
        most = max(most, (await connection.execute(delete(kept).where(key.in_(old)))).rowcount)
    return most
