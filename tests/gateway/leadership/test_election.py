"""Who leads what, on the tables themselves."""

import asyncio
from contextlib import AsyncExitStack

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.leadership.election import CandidateSession, fair_share
from sandbox.polling import poll
from tests.gateway.leadership.conftest import OpenCandidate

TASKS = ["a", "b", "c", "d", "e"]
CANDIDATES = 5
ROUNDS = 12


async def settle(*sessions: CandidateSession) -> list[dict[str, int]]:
    """What each leads after enough heartbeats for surplus to be handed over."""
    for _ in range(3):
        for session in sessions:
            standing = await session.heartbeat(TASKS)
            if standing.surplus:
                await session.heartbeat(TASKS, standing.surplus)
    return [dict((await session.heartbeat(TASKS)).led) for session in sessions]


async def outdate(engine: AsyncEngine, name: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE leader_candidate SET lease_until = now() WHERE name = :name"),
            {"name": name},
        )


async def test_one_alone_leads_all_and_keeps_its_terms(open_candidate: OpenCandidate) -> None:
    async with open_candidate() as one:
        assert await settle(one) == [dict.fromkeys(TASKS, 1)]
        assert await settle(one) == [dict.fromkeys(TASKS, 1)]


@pytest.mark.parametrize(
    ("tasks", "candidates", "share"), [(5, 1, 5), (5, 2, 3), (5, 5, 1), (5, 6, 1), (0, 3, 0)]
)
def test_a_fair_share_is_rounded_up(tasks: int, candidates: int, share: int) -> None:
    assert fair_share(tasks, candidates) == share


async def test_duties_spread_over_those_who_come_later(open_candidate: OpenCandidate) -> None:
    async with open_candidate() as one, open_candidate() as two, open_candidate() as three:
        assert len(await settle(one)) == 1
        led = await settle(one, two, three)
        assert sorted(len(tasks) for tasks in led) == [1, 2, 2]
        assert sorted(name for tasks in led for name in tasks) == TASKS


async def test_who_is_killed_is_followed_at_once(
    open_candidate: OpenCandidate, engine: AsyncEngine
) -> None:
    async with open_candidate() as two:
        async with open_candidate() as one:
            assert await settle(one) == [dict.fromkeys(TASKS, 1)]
        # The session is gone and nobody resigned: as after kill -9.
        led = await poll(lambda: two.heartbeat(TASKS), lambda standing: bool(standing.led))
        assert led.led == dict.fromkeys(TASKS, 2)
        async with engine.connect() as connection:
            names = await connection.execute(text("SELECT name FROM leader_candidate"))
            assert list(names.scalars()) == [two.name]


async def test_who_hangs_loses_its_duties_when_its_lease_ends(
    open_candidate: OpenCandidate, engine: AsyncEngine
) -> None:
    async with open_candidate() as one, open_candidate() as two:
        await one.heartbeat(TASKS)
        assert (await two.heartbeat([])).led == {}
        await outdate(engine, one.name)
        assert (await two.heartbeat(TASKS)).led == dict.fromkeys(TASKS, 2)
        # It comes back, and leads nothing until the other hands over its surplus.
        assert (await one.heartbeat(TASKS)).led == {}
        first, second = await settle(one, two)
        assert (len(first), len(second)) == (2, 3)


async def test_a_lease_that_ended_unnoticed_goes_on_in_the_same_term(
    open_candidate: OpenCandidate, engine: AsyncEngine
) -> None:
    async with open_candidate() as one:
        await one.heartbeat(TASKS)
        await outdate(engine, one.name)
        assert (await one.heartbeat(TASKS)).led == dict.fromkeys(TASKS, 1)


async def test_who_resigns_is_followed_at_once(open_candidate: OpenCandidate) -> None:
    async with open_candidate() as one, open_candidate() as two:
        await one.heartbeat(TASKS)
        await one.resign()
        assert (await two.heartbeat(TASKS)).led == dict.fromkeys(TASKS, 2)


async def test_a_session_that_was_ended_can_do_nothing(
    open_candidate: OpenCandidate, database_url: str
) -> None:
    async with open_candidate() as one:
        await one.heartbeat(TASKS)
        with psycopg.connect(database_url, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_locks"
                " WHERE locktype = 'advisory' AND objsubid = 2 AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).fetchone()
        assert ended == (1,)
        with pytest.raises(DBAPIError):
            await one.heartbeat(TASKS)


async def test_no_term_has_two_leaders_however_they_race(
    open_candidate: OpenCandidate, engine: AsyncEngine
) -> None:
    leaders: dict[tuple[str, int], set[str]] = {}

    async def stand(session: CandidateSession, number: int) -> None:
        for turn in range(ROUNDS):
            standing = await session.heartbeat(TASKS)
            for task in standing.led.items():
                leaders.setdefault(task, set()).add(session.name)
            if standing.surplus:
                await session.heartbeat(TASKS, standing.surplus)
            if turn % CANDIDATES == number:
                await outdate(engine, session.name)

    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(open_candidate()) for _ in range(CANDIDATES)]
        await asyncio.gather(*(stand(session, n) for n, session in enumerate(sessions)))
    assert len(leaders) > len(TASKS)
    assert all(len(names) == 1 for names in leaders.values())
