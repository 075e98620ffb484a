"""A session of PostgreSQL as services have them: nothing that its caller does cancels a COMMIT.

psycopg asks the server to cancel what a cancelled task waits for. A COMMIT that waits for a
standby then ends at once, as a success with a warning: it is kept here and nowhere else, and who
repeats the request is answered from a row that a failover loses
(https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION-HA). Here the
connection is dropped instead. The server ends a statement when it notices
(`client_connection_check_interval`), and a COMMIT only when the standby has it.
"""

import asyncio
import os
import select
import socket
import time
from typing import Any, TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from runtime.database_errors import SessionLeftError

# How often the driver looks up from its socket, as psycopg's own default is.
LOOK_SECONDS = 0.1
# How old plans get: a session's first ones are made anew after the first time, then after twice as
# long each time, up to the second. The planner sees how large a table is whenever it plans, but a
# plan that is kept is not made anew before ANALYZE has come by, which it may not for long.
DISCARD_PLANS = "DISCARD PLANS"
FIRST_PLANS_SECONDS = 1.0
MAX_PLANS_SECONDS = 60.0
# How soon the server notices that nobody waits for a statement any more.
NOTICE_MS = 1_000

Result = TypeVar("Result")


class Session(psycopg.AsyncConnection[Any]):
    """A connection that is dropped, without a word to the server, when its caller is cancelled."""

    incarnation = ""
    """Tells its server and database from others and from what they were; empty until asked."""
    opened = 0.0
    """When it was opened, by `time.monotonic`."""
    _plans_made = 0.0
    _left = False
    _task: "asyncio.Task[Any] | None" = None
    _since = 0.0

    async def wait(
        self,
        gen: PQGen[Result],
        interval: float = LOOK_SECONDS,
        timeout: float | None = None,
    ) -> Result:
        """Waits for the server, in all that a connection does once it is open."""
        task = self._task = asyncio.current_task()
        assert task is not None, "sessions are used in tasks"
        cancels = task.cancelling()
        self._since = time.monotonic()
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval, timeout)
        except asyncio.CancelledError:
            if self._left:
                self.drop()
                # Whoever else has cancelled the task meanwhile is heard, too.
                if task.uncancel() <= cancels:
                    raise _left_error() from None
            elif self._is_asking():
                self.drop()
            raise
        finally:
            self._task = None

    def waits_since(self, moment: float) -> bool:
        """Whether the server was asked before that moment of `time.monotonic` and is silent."""
        return self._task is not None and self._since < moment and self._is_asking()

    def plans_are_old(self) -> bool:
        """Whether tables may have grown much since the session planned its statements."""
        made = self._plans_made or self.opened
        most = min(max(made - self.opened, FIRST_PLANS_SECONDS), MAX_PLANS_SECONDS)
        return time.monotonic() - made > most

    async def plan_anew(self) -> None:
        """Has each statement planned again when it comes next, if its plan may be out of date."""
        if self.plans_are_old():
            await self.execute(DISCARD_PLANS)
            self.plans_discarded()

    def plans_discarded(self) -> None:
        """From now on the session's plans are new."""
        self._plans_made = time.monotonic()

    def is_spoken_to(self) -> bool:
        """Whether the server has sent something unasked, such as the connection's end; or it has
        ended on our side."""
        if self.pgconn.status != psycopg.pq.ConnStatus.OK:
            return True
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return bool(poll.poll(0))

    def leave(self) -> None:
        """Drops the connection; who waits for the server gets `SessionLeftError`."""
        if self.pgconn.status != psycopg.pq.ConnStatus.OK or self._left:
            return
        self._left = True
        if self._task is None:
            self.drop()
        else:
            self._task.cancel()

    def drop(self) -> None:
        """Closes the socket at once, whatever is under way."""
        if self.pgconn.status == psycopg.pq.ConnStatus.OK:
            # libpq would say goodbye, and wait for a frozen server to take what was sent before.
            with socket.socket(fileno=os.dup(self.pgconn.socket)) as copy:
                copy.shutdown(socket.SHUT_RDWR)
        self.pgconn.finish()

    def _is_asking(self) -> bool:
        return self.pgconn.transaction_status == TransactionStatus.ACTIVE


def _left_error() -> SessionLeftError:
    return SessionLeftError("the server was left: it no longer takes writes, or does not answer")
