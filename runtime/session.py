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
import socket
from typing import Any, TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

# How often the driver looks up from its socket, as psycopg's own default is.
LOOK_SECONDS = 0.1
# How soon the server notices that nobody waits for a statement any more.
NOTICE_MS = 1_000

Result = TypeVar("Result")


class Session(psycopg.AsyncConnection[Any]):
    """A connection that is dropped, without a word to the server, when its caller is cancelled."""

    async def wait(
        self,
        gen: PQGen[Result],
        interval: float = LOOK_SECONDS,
        timeout: float | None = None,
    ) -> Result:
        """Waits for the server, in all that a connection does once it is open."""
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval, timeout)
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.drop()
            raise

    def drop(self) -> None:
        """Closes the socket at once, whatever is under way."""
        if self.pgconn.status == psycopg.pq.ConnStatus.OK:
            # libpq would say goodbye, and wait for a frozen server to take what was sent before.
            with socket.socket(fileno=os.dup(self.pgconn.socket)) as copy:
                copy.shutdown(socket.SHUT_RDWR)
        self.pgconn.finish()
