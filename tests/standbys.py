"""Standbys of a real server: one that is not there, and one that can take over."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from sandbox.embedded_postgres import SUPERUSER, EmbeddedPostgres, temporary_server
from sandbox.guardian import remove, temporary_path
from sandbox.postgres_wheel import binaries, server_account
from tests.freezing import freeze, thaw
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


class Pair:
    """A primary and its standby, as a service's URL names them."""

    def __init__(self, first: EmbeddedPostgres, second: EmbeddedPostgres) -> None:
        self.first = first
        self.second = second
        self._frozen: tuple[int, ...] = ()

    def url(self, name: str) -> str:
        """The URL of a database of both."""
        hosts = f"{self.first.socket_directory},{self.second.socket_directory}"
        return f"postgresql://{SUPERUSER}@/{name}?host={hosts}"

    def new_database(self, name: str) -> str:
        """The URL of a database that is made."""
        self.first.database_url(name)
        return self.url(name)

    def wait_for_second(self) -> None:
        """From now on a COMMIT is done when both have it."""
        _require(self.first.server_url, "*")

    def wait_for_nobody(self) -> None:
        """From now on a COMMIT is done when the primary has it."""
        _require(self.first.server_url, "")

    def freeze_first(self) -> None:
        """Stops every process of the primary where it is; its sockets stay open."""
        postmaster = int((self.first.data / "postmaster.pid").read_text().split("\n", 1)[0])
        self._frozen = freeze(postmaster)

    def thaw_first(self) -> None:
        """Lets it go on, as if nothing had been."""
        thaw(self._frozen)
        self._frozen = ()

    def promote_second(self) -> None:
        """Makes the standby the primary; returns when it takes writes."""
        with psycopg.connect(self.second.server_url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote(wait => TRUE)")


@contextmanager
def pair(*, durable: bool = False) -> Iterator[Pair]:
    """A server and a standby that follows it, empty but for what a new server has; with fsync if
    they are to be `durable`."""
    directory = temporary_path()
    try:
        with temporary_server(durable=durable) as first:
            second = EmbeddedPostgres(directory, durable=durable, keep=False)
            _copy(first, second)
            second.open()
            both = Pair(first, second)
            try:
                yield both
            finally:
                both.thaw_first()
                second.close()
    finally:
        if directory.exists():  # Interrupted before there was a guardian.
            remove(directory)


def _copy(first: EmbeddedPostgres, second: EmbeddedPostgres) -> None:
    account = server_account()
    folder = second.data.parent
    folder.mkdir(mode=0o711)
    second.data.mkdir(mode=0o700)
    if account is not None:
        os.chown(second.data, account.pw_uid, account.pw_gid)
    subprocess.run(
        [
            binaries() / "pg_basebackup",
            *("-h", first.socket_directory, "-U", SUPERUSER, "-D", second.data),
            *("-R", "-c", "fast", "-X", "stream", "--no-sync"),
        ],
        cwd="/",
        user=account and account.pw_uid,
        group=account and account.pw_gid,
        extra_groups=account and [],
        check=True,
        capture_output=True,
    )


def _require(server_url: str, standby: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(standby)
        )
        connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: _required(connection) == standby)
        # No COMMIT waits before the checkpointer has read the setting, too; it does so first.
        connection.execute("CHECKPOINT")


def _required(connection: psycopg.Connection) -> str:
    row = connection.execute("SHOW synchronous_standby_names").fetchone()
    assert row is not None
    return str(row[0])
