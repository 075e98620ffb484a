"""The election: who leads which task, decided in the database, by the database's clock.

A candidate lives while its session to PostgreSQL holds its advisory lock *and* its lease has not
ended. The lock goes the moment a process is killed; the lease covers what a lock cannot see: a
process that hangs, or a machine that is cut off while its connection seems to stand. All
elections run one after the other under one lock, so two can never both find a task vacant.
"""

import os
import random
import socket
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from runtime.sql_files import sql_statement

_metadata = MetaData()
_TIME = DateTime(timezone=True)

CANDIDATE = Table(
    "leader_candidate",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("session_key", Integer, nullable=False),
    Column("lease_until", _TIME, nullable=False),
)

LEADER_TASK = Table(
    "leader_task",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("leader", Text),
    Column("epoch", BigInteger, nullable=False),
    Column("elect_time", _TIME),
)


# Who hangs is replaced within five seconds: the lease, the rest between two heartbeats of another,
# and an election.
LEASE = timedelta(seconds=3.5)
# The class of candidates' advisory locks, and the lock under which elections are serialised.
CANDIDATE_LOCKS = 7_301_002
_ELECTION_LOCK = 7_301_003
_MAX_SESSION_KEY = 2**31 - 1

_EXPIRE = sql_statement(__file__, "expire_candidates")
_CLAIM = sql_statement(__file__, "claim_tasks")
_random = random.SystemRandom()


class SessionKeyTakenError(OSError):
    """Another session holds the lock that was drawn; a new session draws another."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a candidate leads after a heartbeat."""

    # The tasks with their epochs.
    led: Mapping[str, int]
    # Tasks to hand over, because others lead fewer.
    surplus: Sequence[str]
    # The database's time.
    now: datetime


def fair_share(tasks: int, candidates: int) -> int:
    """How many tasks one candidate leads at most."""
    return -(-tasks // max(candidates, 1))


class CandidateSession:
    """One candidate on its own connection."""

    def __init__(self, connection: AsyncConnection, name: str, session_key: int) -> None:
        self._connection = connection
        self.name = name
        self._session_key = session_key

    async def heartbeat(self, tasks: Collection[str], released: Collection[str] = ()) -> Standing:
        """Renews the lease, gives back what is `released`, expires the dead and takes what is
        vacant, up to a fair share. Whatever it raises, this session leads nothing any more."""
        names = sorted(tasks)
        async with self._connection.begin():
            await self._lock_election()
            await self._renew()
            await self._connection.execute(_EXPIRE, {"lock_class": CANDIDATE_LOCKS})
            await self._declare(names)
            if released:
                await self._release(released)
            led = await self._led(names)
            candidates = select(func.count()).select_from(CANDIDATE)
            share = fair_share(
                len(names), (await self._connection.execute(candidates)).scalar_one()
            )
            # What was given back just now is left to the others for this turn.
            if len(led) < share and not released:
                await self._claim(names, share - len(led))
                led = await self._led(names)
            now = (await self._connection.execute(select(func.clock_timestamp()))).scalar_one()
        return Standing(led, sorted(led)[share:], now)

    async def resign(self) -> None:
        """Resigns from everything, so that others need not wait for the lease to end."""
        async with self._connection.begin():
            await self._lock_election()
            await self._connection.execute(delete(CANDIDATE).where(CANDIDATE.c.name == self.name))

    async def _lock_election(self) -> None:
        await self._connection.execute(select(func.pg_advisory_xact_lock(_ELECTION_LOCK)))

    async def _renew(self) -> None:
        lease_until = func.clock_timestamp() + LEASE
        statement = upsert(CANDIDATE).values(
            name=self.name, session_key=self._session_key, lease_until=lease_until
        )
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["name"], set_={"lease_until": lease_until}
            )
        )

    async def _declare(self, names: Sequence[str]) -> None:
        """Makes tasks known that no process had before."""
        known = select(LEADER_TASK.c.name).where(LEADER_TASK.c.name.in_(names))
        found = set((await self._connection.execute(known)).scalars())
        if fresh := [{"name": name} for name in names if name not in found]:
            await self._connection.execute(upsert(LEADER_TASK).on_conflict_do_nothing(), fresh)

    async def _led(self, names: Sequence[str]) -> dict[str, int]:
        statement = select(LEADER_TASK.c.name, LEADER_TASK.c.epoch).where(
            LEADER_TASK.c.leader == self.name, LEADER_TASK.c.name.in_(names)
        )
        return {row.name: row.epoch for row in await self._connection.execute(statement)}

    async def _release(self, names: Collection[str]) -> None:
        await self._connection.execute(
            update(LEADER_TASK)
            .where(LEADER_TASK.c.leader == self.name, LEADER_TASK.c.name.in_(names))
            .values(leader=None)
        )

    async def _claim(self, names: Sequence[str], limit: int) -> None:
        await self._connection.execute(
            _CLAIM, {"names": list(names), "limit": limit, "candidate": self.name}
        )


@asynccontextmanager
async def candidate_session(engine: AsyncEngine) -> AsyncIterator[CandidateSession]:
    """A session of a candidate with a name of its own; the lock goes with the connection.

    Raises SQLAlchemyError or OSError when the database cannot be reached.
    """
    key = _random.randrange(1, _MAX_SESSION_KEY)
    name = f"{socket.gethostname()}-{os.getpid()}-{key:08x}"
    async with engine.connect() as connection:
        try:
            async with connection.begin():
                lock = select(func.pg_try_advisory_lock(CANDIDATE_LOCKS, key))
                if not (await connection.execute(lock)).scalar_one():
                    raise SessionKeyTakenError(f"session key {key}")
            yield CandidateSession(connection, name, key)
        finally:
            # The pool must not keep a session that holds the lock.
            await connection.invalidate()
