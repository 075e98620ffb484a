"""Whether a pooled connection still lives, asked only when there is a doubt.

SQLAlchemy's own pre-ping asks the server each time a connection is lent: a round trip for each
transaction. A server that has gone has closed its sockets, which shows without asking; only what
has been idle for a while may have died in silence.
"""

import time
from typing import Any

import psycopg
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import InvalidatePoolError

PING_AFTER_IDLE_SECONDS = 1.0


def check_when_in_doubt(
    engine: Engine, ping_after_idle_seconds: float = PING_AFTER_IDLE_SECONDS
) -> None:
    """Has each connection that is lent looked at, and replaced with all others if it is dead."""

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def look(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.get("idle_since")
        if since is None:
            return  # It was only just made.
        idle_seconds = time.monotonic() - since
        if (
            idle_seconds < ping_after_idle_seconds
            and not connection.driver_connection.is_spoken_to()
        ):
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error
