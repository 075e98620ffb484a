"""The commands of docs/backups.md, run as the page has them.

A block that begins with ```` ```sh NAME ```` is one. They run in bash, with the variables that the
page defines, by the account that PostgreSQL runs as; those of the engine by the engine's.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

from sandbox.credentials import make_credentials
from sandbox.embedded_postgres import EmbeddedPostgres, temporary_server
from sandbox.postgres_wheel import binaries, server_account

PROJECT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^ *```sh ([a-z-]+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
PAGE = {
    name: dedent(commands)
    for name, commands in BLOCK.findall((PROJECT / "docs/backups.md").read_text(encoding="utf-8"))
}
SERVICES = ("ledger", "compliance", "gateway")
COMMAND_SECONDS = 60
_BASH = shutil.which("bash") or "/bin/bash"
# Becomes another user by itself: a fork under another user needs a process without gRPC's threads.
# Nothing may be imported afterwards, as the other user may not read our libraries.
_BECOME = (
    "import os, sys; os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[2]));"
    " os.execv(sys.argv[3], sys.argv[3:])"
)


@dataclass
class DatabaseServer:
    """A PostgreSQL server with the three databases as deployments make them, and its backups."""

    server: EmbeddedPostgres
    backups: Path

    @property
    def variables(self) -> dict[str, str]:
        """What the page says is set."""
        return {
            "BACKUPS": str(self.backups),
            "PGDATA": str(self.server.data),
            "PGHOST": str(self.server.socket_directory),
            "PGUSER": "postgres",
        }

    @property
    def databases(self) -> dict[str, str]:
        """Both logins of each service, as its settings."""
        return {
            f"{service.upper()}_{variable}": (
                f"postgresql://{service}_{login}@/{service}?host={self.server.socket_directory}"
            )
            for service in SERVICES
            for variable, login in (("DATABASE_URL", "login"), ("OWNER_DATABASE_URL", "owner"))
        }

    async def run(self, block: str, **variables: str) -> str:
        """Runs a block of the page beside the database; what it prints."""
        path = f"{binaries()}:{os.environ['PATH']}"
        return await run_beside(PAGE[block], {"PATH": path, **self.variables, **variables})

    async def run_engine(self, block: str, environment: Mapping[str, str]) -> str:
        """Runs a block of the page with the settings of a service; what it prints."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return await _run(PAGE[block], (), {**environment, "PATH": path}, directory=PROJECT)


async def run_beside(script: str, environment: Mapping[str, str]) -> str:
    """Runs a script by the account that the database's server runs as; what it prints."""
    account = server_account()
    become = (
        (sys.executable, "-c", _BECOME, str(account.pw_gid), str(account.pw_uid))
        if account is not None
        else ()
    )
    return await _run(script, become, environment, directory=Path("/"))


async def _run(
    script: str, become: Sequence[str], environment: Mapping[str, str], directory: Path
) -> str:
    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*become, _BASH, "-c", f"set -euo pipefail\n{script}"],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    ran = await asyncio.to_thread(run)
    assert ran.returncode == 0, f"{script}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


@contextmanager
def database_server() -> Iterator[DatabaseServer]:
    """The server with empty databases; it goes with the block, whoever has started it last."""
    with temporary_server() as server:
        folder = server.data.parent
        backups = folder / "backups"
        backups.mkdir()
        if account := server_account():
            # Its commands move the data and write the backups.
            for owned in (folder, backups):
                os.chown(owned, account.pw_uid, account.pw_gid)
        with (server.data / "postgresql.conf").open("a") as settings:
            # So that it comes back as it was when the page's commands start it.
            settings.write(
                f"listen_addresses = ''\nunix_socket_directories = '{server.socket_directory}'\n"
                "max_connections = 200\nfsync = off\n"
            )
        make_credentials(folder / "credentials", datetime.now(UTC))
        subprocess.run(
            ["bash", PROJECT / "deploy/postgres/create_databases.sh"],
            env={
                "PATH": f"{binaries()}:{os.environ['PATH']}",
                "PGHOST": str(server.socket_directory),
                "POSTGRES_USER": "postgres",
                "CREDENTIALS_DIRECTORY": str(folder / "credentials" / "postgres"),
            },
            check=True,
        )
        yield DatabaseServer(server, backups)
