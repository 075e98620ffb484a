"""The embedded server: shared by processes, durable where asked, never left running."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from runtime.state_folder import DIRECTORY_VARIABLE, default_directory
from sandbox.embedded_postgres import EmbeddedPostgres, temporary_server
from tests.waiting import wait_until

# Says when it uses the server, then does so until its standard input closes.
USER = """
import sys
from sandbox.embedded_postgres import database_url
print(database_url("orders"), flush=True)
sys.stdin.read()
"""


def using_process(directory: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", USER],
        env=os.environ | {DIRECTORY_VARIABLE: str(directory)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_temporary_server_goes_with_its_folder() -> None:
    with temporary_server() as server:
        url = server.database_url("orders")
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("orders",)
    assert not server.data.parent.exists()


def test_asking_twice_for_a_database_gives_the_same_one() -> None:
    with temporary_server() as server:
        with psycopg.connect(server.database_url("orders")) as connection:
            connection.execute("CREATE TABLE kept (id int)")
        with psycopg.connect(server.database_url("orders")) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_it_listens_on_no_network_and_only_its_owner_enters_the_socket_folder() -> None:
    with temporary_server() as server, psycopg.connect(server.server_url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert server.socket_directory.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("durable", "fsync"), [(True, "on"), (False, "off")])
def test_durability_is_chosen(durable: bool, fsync: str) -> None:
    with (
        temporary_server(durable=durable) as server,
        psycopg.connect(server.server_url) as connection,
    ):
        assert connection.execute("SHOW fsync").fetchone() == (fsync,)


def test_processes_share_a_server_that_outlives_a_killed_one(short_directory: Path) -> None:
    with using_process(short_directory) as first, using_process(short_directory) as second:
        assert first.stdout is not None
        assert second.stdout is not None
        url = first.stdout.readline().strip()
        assert second.stdout.readline().strip() == url
        first.send_signal(signal.SIGKILL)
        first.wait()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    # Both users are gone: a third finds the data in a server that starts again.
    server = EmbeddedPostgres(short_directory)
    server.stop_when_unused()
    assert not (server.data / "postmaster.pid").exists()
    with using_process(short_directory) as third:
        assert third.stdout is not None
        assert third.stdout.readline().strip() == url
    server.stop_when_unused()
    assert (server.data / "PG_VERSION").exists()


def test_opening_twice_is_refused() -> None:
    with temporary_server() as server, pytest.raises(RuntimeError, match="open already"):
        server.open()


def test_a_failed_start_says_why(short_directory: Path) -> None:
    server = EmbeddedPostgres(short_directory)
    server.data.mkdir()
    (server.data / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(RuntimeError, match="pg_ctl failed"):
        server.open()


def test_the_default_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, "/somewhere/else")
    assert default_directory() == Path("/somewhere/else")
    monkeypatch.delenv(DIRECTORY_VARIABLE)
    assert str(os.getuid()) in str(default_directory())


def test_a_deep_folder_gets_a_short_socket_path(short_directory: Path) -> None:
    deep = EmbeddedPostgres(short_directory / ("deep" * 30))
    assert len(str(deep.socket_directory / ".s.PGSQL.5432")) < 100


STARTING = """
from sandbox.embedded_postgres import temporary_server
with temporary_server():
    input()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_who_is_interrupted_while_a_server_starts_leaves_nothing(
    short_directory: Path, number: signal.Signals
) -> None:
    """From the first file on, long before the server runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTING],
        env=os.environ | {"TMPDIR": str(short_directory)},
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    with process:
        wait_until(lambda: any(short_directory.glob("*/data")))
        os.killpg(process.pid, number)
        assert process.wait() != 0
    # A guardian removes a server's folder after it has stopped the server.
    wait_until(lambda: not any(short_directory.glob("payment-engine-*")))
