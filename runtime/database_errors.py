"""How a database is away, or does not get to answering."""

import psycopg
from sqlalchemy import exc


class SessionLeftError(psycopg.OperationalError):
    """The session was left, because its server is no longer the primary or does not answer.

    What was under way may have been done: who knows a request_id looks it up.
    """


class DatabaseDownError(psycopg.OperationalError):
    """Nobody answered just now; the next look is under way."""


class NoConnectionError(psycopg.OperationalError):
    """No connection of the pool got free in time."""


# Errors of SQL or data are not among these.
DATABASE_IS_GONE: tuple[type[Exception], ...] = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    exc.OperationalError,
    exc.InterfaceError,
    # No connection of the pool got free.
    exc.TimeoutError,
)
