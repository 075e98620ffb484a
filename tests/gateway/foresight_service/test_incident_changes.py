"""Changes of incidents: each is written with the incident and told once, whatever dies between."""

from typing import Any

import psycopg
import pytest
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.foresight.incident import Incident
from gateway.foresight_service import store
from gateway.foresight_service.foreseeing import HOLD, end_of
from gateway.foresight_service.messages import incident_message
from gateway.foresight_service.outgoing import kind_of
from gateway.foresight_service.store import ForesightStore, incident_of
from gateway.numbering import number_changes
from gateway.v1 import foresight_pb2 as pb
from tests.gateway.foresight_service.course import FIRST, LAST, TERMS, Leader, keep_course

FORESEEN = {"probabilities": [0.1, 0.2, 0.3], "broken": [], "stepped": [], "signals": []}


async def number(engine: AsyncEngine, leader: Leader) -> None:
    async with engine.begin() as connection:
        await number_changes(connection, store.FEED, leader.clock.now())


async def changes(engine: AsyncEngine) -> list[Row[Any]]:
    return list(
        await ForesightStore(
            engine,
        ).after(0, 1_000)
    )


async def test_a_course_is_told_change_by_change(engine: AsyncEngine, leader: Leader) -> None:
    await keep_course(engine)
    # In one go, as after an outage: nothing is left out because much has changed at once.
    await leader.comes_to(LAST - 1)
    assert await changes(engine) == []
    await number(engine, leader)
    found = await changes(engine)
    assert [row.sequence for row in found] == list(range(1, len(found) + 1))
    kinds = [kind_of(row) for row in found]
    assert (kinds[0], kinds[-1]) == ("opened", "closed")
    assert kinds.count("broken") == 1
    assert "updated" in kinds
    await number(engine, leader)
    assert len(await changes(engine)) == len(found)

    opened, broken, closed = (
        incident_message(row.corridor, incident_of(row))
        for row in (found[0], found[kinds.index("broken")], found[-1])
    )
    assert opened.change == pb.INCIDENT_CHANGE_OPENED
    assert opened.latest == opened.foreseen
    treatment = opened.treatment
    assert 0 < treatment.discount < treatment.most_discount == TERMS.bounds.most_discount
    assert treatment.least_concurrency_share == TERMS.bounds.least_concurrency
    assert treatment.least_concurrency_share < treatment.concurrency_share < 1
    assert treatment.probe_every_minutes == TERMS.bounds.probe_every_minutes
    # Unless it is said anew.
    assert treatment.undo_time.ToDatetime() == (end_of(found[0].telling["minute"]) + HOLD).replace(
        tzinfo=None
    )
    assert broken.change == pb.INCIDENT_CHANGE_BROKEN
    assert broken.treatment.discount == pytest.approx(TERMS.bounds.most_discount)
    assert list(broken.latest.broken)
    assert (closed.change, closed.state) == (pb.INCIDENT_CHANGE_CLOSED, pb.INCIDENT_STATE_ENDED)
    assert (closed.treatment.discount, closed.treatment.concurrency_share) == (0, 1)
    assert closed.treatment.undo_time == closed.end_time
    assert closed.foreseen == opened.foreseen


async def test_what_dies_before_its_commit_tells_nothing_and_who_follows_tells_it_once(
    engine: AsyncEngine, leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep_course(engine)
    write_standing = store.write_standing
    died = 0

    async def die_at_first(*arguments: Any, **values: Any) -> None:
        nonlocal died
        if values["alarm_minute"] is not None and died < 2:
            died += 1
            raise ConnectionResetError
        await write_standing(*arguments, **values)

    monkeypatch.setattr(store, "write_standing", die_at_first)
    for _ in range(2):
        leader.clock.advance(leader.time_of(LAST - 1) - leader.clock.now())
        with pytest.raises(ConnectionResetError):
            await leader.reads()
        async with engine.connect() as connection:
            assert (await connection.execute(select(store.CHANGE))).all() == []
    await leader.comes_to(LAST - 1)
    await number(engine, leader)
    kinds = [kind_of(row) for row in await changes(engine)]
    assert [kinds.count(kind) for kind in ("opened", "broken", "closed")] == [1, 1, 1]


async def test_what_is_told_goes_on_after_a_restart_where_it_was(
    engine: AsyncEngine, leader: Leader, database_url: str
) -> None:
    await keep_course(engine)
    whole = Leader(engine, leader.clock)
    # Each minute by another process, numbered now and then.
    for at in range(300, LAST):
        await whole.comes_to(at)
        if at % 7 == 0:
            await number(engine, leader)
    await number(engine, leader)
    told = [(kind_of(row), row.telling["minute"]) for row in await changes(engine)]
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        tables = "foresight_change, foresight_alarm, foresight_corridor, foresight_minute"
        await connection.execute(f"TRUNCATE {tables}".encode())
    await leader.comes_to(LAST - 1)
    await number(engine, leader)
    # The same as of one that never stopped.
    assert [(kind_of(row), row.telling["minute"]) for row in await changes(engine)] == told


async def test_what_a_release_before_has_written_is_told_as_it_stands(
    engine: AsyncEngine, leader: Leader
) -> None:
    opened = Incident(FIRST, FORESEEN, acted=True)
    async with engine.begin() as connection:
        await store.write_incident(
            connection, "default", opened, leader.clock.now(), is_incident=True
        )
        # It knows no changes, and writes how the incident stands.
        await connection.execute(
            update(store.ALARM).values(state="BROKEN", breach_minute=FIRST + 3)
        )
    await number(engine, leader)
    await number(engine, leader)
    found = await changes(engine)
    assert [(row.sequence, row.state, kind_of(row)) for row in found] == [
        (1, "FORESEEN", "opened"),
        (2, "BROKEN", "broken"),
    ]
    shown = incident_message("default", incident_of(found[1]))
    assert shown.change == pb.INCIDENT_CHANGE_UNSPECIFIED
    assert not shown.HasField("treatment")
    async with engine.connect() as connection:
        (alarm,) = (await connection.execute(select(store.ALARM))).all()
    assert (alarm.told, alarm.first_sequence, alarm.sequence) == ("BROKEN", 1, 2)
