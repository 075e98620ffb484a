"""SQLAlchemy's engine, with transactions that do not end with their caller.

A transaction whose COMMIT has begun goes on in a task of its own when its caller leaves, and its
connection goes back to the pool when the COMMIT is done, not before: while commits stand, callers
that come and go must not open ever more connections. A caller that leaves earlier is rolled back.
"""

from types import TracebackType
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from runtime.tasks import Unfinished


class ShieldedTransaction(AsyncTransaction):
    """Its COMMIT goes on when its caller is cancelled."""

    async def __aexit__(
        self, kind: Any, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leave = super().__aexit__
        if error is None:
            await _of(self.connection).commits.run(leave(kind, error, traceback))
        else:
            await leave(kind, error, traceback)

    async def commit(self) -> None:
        """Commits; raises what the database does."""
        await _of(self.connection).commits.run(super().commit())


class ShieldedConnection(AsyncConnection):
    """A connection of the pool; comes back to it when nothing of it is under way."""

    def __init__(self, engine: AsyncEngine, *given: Any) -> None:
        super().__init__(engine, *given)
        self.commits = Unfinished()

    def begin(self) -> AsyncTransaction:
        """A transaction, which is committed at the end of its block."""
        return ShieldedTransaction(self)

    async def commit(self) -> None:
        """Commits; raises what the database does."""
        await self.commits.run(super().commit())

    async def close(self) -> None:
        """Gives the connection back, once its COMMIT is done: the caller need not wait for it."""
        await self.commits.then(super().close)


class ShieldedEngine(AsyncEngine):
    """The only kind of engine that services have."""

    _connection_cls = ShieldedConnection


def _of(connection: AsyncConnection) -> ShieldedConnection:
    assert isinstance(connection, ShieldedConnection), "it is of a ShieldedEngine"
    return connection
