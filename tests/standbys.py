"""Commits that wait for a standby which is not there, on a real server."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.waiting import wait_until

NOBODY = "no_such_standby"


@contextmanager
def no_standby(server_url: str) -> Iterator[None]:
    """Every COMMIT of the server waits within the block; those that still do go on after it."""
    _require(server_url, NOBODY)
    try:
        yield
    finally:
        _require(server_url, "")


def waiting_commits(server_url: str) -> int:
    """How many sessions of the server wait in a COMMIT for a standby."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def _require(server_url: str, standby: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(standby)
        )
        connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: _required(connection) == standby)


def _required(connection: psycopg.Connection) -> str:
    row = connection.execute("SHOW synchronous_standby_names").fetchone()
    assert row is not None
    return str(row[0])
