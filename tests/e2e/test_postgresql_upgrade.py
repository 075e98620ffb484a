"""The commands of docs/postgresql-upgrades.md, run on a ledger that goes to the next major version.

From Debian's 15 to the wheel's 18; where there is no 15, from 18 to 18, which runs the same
commands.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from runtime.clock import ManualClock
from runtime.database import INCARNATION
from runtime.migrations import migrate
from sandbox.credentials import make_credentials
from sandbox.guardian import temporary_folder
from sandbox.postgres_wheel import binaries, server_account
from tests.e2e.backups_page import SERVICES, run_beside
from tests.ledger.client import transfer
from tests.ledger.running import START, sealed, serving, write_history, write_many
from tests.pages import PROJECT, SHELL_BLOCKS

PAGE = {one.word: one.text for one in SHELL_BLOCKS if one.page == "docs/postgresql-upgrades.md"}
UPGRADE = ("new-server", "check", "stop", "upgrade", "settings", "start")
AFTERWARDS = ("sort-anew", "statistics", "backup")
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
OLD = DEBIAN_15 if DEBIAN_15.is_dir() else binaries()
CREATE_DATABASES = (PROJECT / "deploy/postgres/create_databases.sh").read_text(encoding="utf-8")
TRANSACTIONS = 600
# Of each column what the planner knows, as both versions have it.
STATISTICS = """
    SELECT tablename, attname, null_frac, n_distinct, most_common_vals::text
    FROM pg_stats WHERE schemaname = 'public' ORDER BY tablename, attname
"""
ROWS = """
    SELECT relname, reltuples FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname
"""


@dataclass(frozen=True)
class Servers:
    """The data of both versions, and what the page says is set."""

    folder: Path
    old: Path

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    @property
    def variables(self) -> dict[str, str]:
        return {
            "OLD_BIN": str(self.old),
            "NEW_BIN": str(binaries()),
            "OLD_DATA": str(self.folder / "old"),
            "NEW_DATA": str(self.folder / "new"),
            "BACKUPS": str(self.folder / "backups"),
            "PGHOST": str(self.socket),
            "PGUSER": "postgres",
        }

    async def run(self, script: str, **more: str) -> str:
        """Runs a script by the account that the servers run as."""
        path = {"PATH": f"{binaries()}:{os.environ['PATH']}"}
        return await run_beside(script, path | self.variables | more)

    def url(self, database: str, login: str = "postgres") -> str:
        return f"postgresql://{login}@/{database}?host={self.socket}"

    def read(self, database: str, statement: str) -> list[Any]:
        with psycopg.connect(self.url(database)) as connection:
            return connection.execute(statement.encode()).fetchall()


@asynccontextmanager
async def old_server() -> AsyncIterator[Servers]:
    """A server of the old version with empty databases, as deployments make them; whichever of
    both runs at the end is stopped."""
    with temporary_folder() as folder:
        servers = Servers(folder.path, OLD)
        for one in ("socket", "backups"):
            (folder.path / one).mkdir()
        if account := server_account():
            for owned in (folder.path, folder.path / "socket", folder.path / "backups"):
                os.chown(owned, account.pw_uid, account.pw_gid)
        try:
            await servers.run(
                f"""
                '{OLD}/initdb' --pgdata="$OLD_DATA" --username=postgres --encoding=UTF8 \\
                  --no-locale --no-sync > /dev/null
                printf '%s\\n' "listen_addresses = ''" "fsync = off" \\
                  "unix_socket_directories = '$PGHOST'" >> "$OLD_DATA/postgresql.conf"
                '{OLD}/pg_ctl' start --pgdata="$OLD_DATA" --wait --log="$OLD_DATA/log" > /dev/null
                psql -Xq -d postgres -c "ALTER SYSTEM SET archive_command = 'false'" \\
                  -c "ALTER SYSTEM SET archive_mode = 'on'" \\
                  -c "ALTER SYSTEM SET log_min_messages = 'error'"
                """
            )
            make_credentials(folder.path / "credentials", datetime.now(UTC))
            await servers.run(
                CREATE_DATABASES,
                POSTGRES_USER="postgres",
                CREDENTIALS_DIRECTORY=str(folder.path / "credentials" / "postgres"),
            )
            yield servers
        finally:
            for data in ("OLD_DATA", "NEW_DATA"):
                await servers.run(
                    f'test ! -f "${data}/postmaster.pid"'
                    f' || "$NEW_BIN/pg_ctl" stop --pgdata="${data}" --mode=immediate > /dev/null'
                )


def test_every_command_of_the_page_is_run_here() -> None:
    assert set(PAGE) == {"locale", *UPGRADE, *AFTERWARDS}


async def test_a_ledger_goes_from_one_major_version_to_the_next() -> None:
    clock = ManualClock(START)
    async with old_server() as servers:
        for service in SERVICES:
            await migrate(servers.url(service, f"{service}_owner"), service)
        login: Mapping[str, Any] = {"owner_database_url": servers.url("ledger", "ledger_owner")}
        url = servers.url("ledger", "ledger_login")
        async with serving(url, clock, **login) as served:
            await write_history(served.client, clock)
            await write_many(served.client, TRANSACTIONS)
            before = (await sealed(served.client)).checkpoint
        # What the page says of the indexes that a new glibc may put in disorder.
        follow = {one: await servers.run(PAGE["locale"], SERVICE=one) for one in SERVICES}
        assert follow["ledger"].split() == ["alembic_version_pkc", "schema_revision_pkey"]
        assert "payment_request_id_key\n" in follow["gateway"]
        assert "decision_by_request_id\n" in follow["compliance"]
        await servers.run('"$OLD_BIN/vacuumdb" --all --quiet --analyze-only')
        known, rows = servers.read("ledger", STATISTICS), servers.read("ledger", ROWS)
        incarnation = servers.read("ledger", INCARNATION)
        identity = "SELECT system_identifier::text FROM pg_control_system()"
        old_identity = servers.read("postgres", identity)
        assert len(known) > 20

        for step in UPGRADE:
            await servers.run(PAGE[step])
        [(version,)] = servers.read("postgres", "SHOW server_version_num")
        assert version.startswith("18")
        # Another server, though the same databases.
        assert servers.read("postgres", identity) != old_identity
        assert servers.read("ledger", INCARNATION) != incarnation
        # What ALTER SYSTEM had set is there, but for the archive, which is the new server's own.
        assert servers.read("postgres", "SHOW log_min_messages") == [("error",)]
        [(archive,)] = servers.read("postgres", "SHOW archive_command")
        assert f"{servers.folder}/backups/wal/" in archive
        # Plans don't suffer: the planner knows what it knew, before anything was analysed.
        assert servers.read("ledger", STATISTICS) == known
        assert servers.read("ledger", ROWS) == rows
        for step in AFTERWARDS:
            await servers.run(PAGE[step], SERVICE="gateway")
        assert (servers.folder / "backups/base/PG_VERSION").read_text() == "18\n"

        async with serving(url, clock, **login) as served:
            last = await served.client.verify()
            assert last.intact
            assert last.sequence == before.tree_size > TRANSACTIONS
            after = (await sealed(served.client)).checkpoint
            assert after.note == before.note
            await served.client.create(transfer("wallets/b", "assets/cash", 1))
            assert (await served.client.verify()).sequence == before.tree_size + 1
