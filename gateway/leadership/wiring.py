"""Standing for election, as one process with the role worker does it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from gateway.config import DATABASE_ROLE
from gateway.leadership.leader_tasks import LeaderTaskRunner
from runtime.clock import Clock
from runtime.database import Database
from runtime.loops import Loop, Supervisor
from runtime.postgres import close_engine, create_engine


@asynccontextmanager
async def open_leadership(
    database: Database, supervisor: Supervisor, tasks: Sequence[Loop], clock: Clock
) -> AsyncIterator[Loop]:
    """The loop that stands for election; the supervisor runs the tasks that are led."""
    # A connection of its own, because it keeps it.
    engine = create_engine(
        database, role=DATABASE_ROLE, pool_size=1, application_name="gateway leadership"
    )
    try:
        yield LeaderTaskRunner(engine, supervisor, tasks, clock).loop()
    finally:
        await close_engine(engine)
