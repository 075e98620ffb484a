"""Whether a pooled connection still lives, asked only when there is a doubt.

SQLAlchemy's own pre-ping asks the server each time a connection is lent: a round trip for each
transaction. A server that has gone has closed its sockets, which shows without asking; only what
has been idle for a while may have died in silence. In the same place its plans are made anew.
"""

import time
from typing import Any

import psycopg
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import InvalidatePoolError

from runtime.session import DISCARD_PLANS, Session

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
        session: Session = connection.driver_connection
        idle_seconds = time.monotonic() - since
        is_old = session.plans_are_old()
        if not is_old and idle_seconds < ping_after_idle_seconds and not session.is_spoken_to():
            return
        try:
            if is_old:
                _plan_anew(connection)
                session.plans_discarded()
            else:
                engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error


def _plan_anew(connection: Any) -> None:
    """Not within a transaction, which the dialect's own ping avoids in the same way."""
    connection.autocommit = True
    cursor = connection.cursor()
    try:
        cursor.execute(DISCARD_PLANS)
    finally:
        cursor.close()
        if not connection.closed:
            connection.autocommit = False
