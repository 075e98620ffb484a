"""Code on the schema of a later release: what docs/upgrades.md promises, on the whole engine."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psycopg
import pytest
from psycopg import sql

from runtime.migrations import migrate
from sandbox.addresses import Ports, at
from sandbox.clients import open_clients
from sandbox.databases import PAYING
from sandbox.demo.books import check_charges, ledger_name, settled_trial_balance
from sandbox.demo.scenarios import SCENARIOS, Parties
from sandbox.demo.shop import Shop
from sandbox.engine import Engine, running_engine, wait_until_serving
from sandbox.processes import ServiceProcess
from sandbox.twin_admin import TwinAdmin
from tests.commands import PROJECT, plain_lines, run, run_release
from tests.logins import serving_login

# psycopg prepares what it is asked for the sixth time on a connection: so few and so often.
ROUNDS = 6
FEW_CONNECTIONS = {f"{service.upper()}_DATABASE_POOL_SIZE": "3" for service in PAYING}
FLOWS = {
    *("Success", "Decline", "3-D Secure", "Manual capture, in part", "Refunds"),
    *("Blocked merchant", "Case, approved", "Dispute, lost", "Payout to the bank"),
}
# What PostgreSQL refuses, by the names that psycopg and SQLAlchemy have for it.
REFUSED_BY_DATABASE = re.compile(
    r'"error_type": "(\w*Violation|FeatureNotSupported|NotSupportedError|ProgrammingError'
    r'|IntegrityError|UndefinedColumn|DatatypeMismatch|SyntaxError|InternalError\w*|DataError)"'
)
COLUMN = "of_a_later_release"
LATER = "9999"


def urls(databases: dict[str, str]) -> Iterator[tuple[str, str]]:
    for service in PAYING:
        yield service, databases[f"{service.upper()}_DATABASE_URL"]


def add_columns(url: str) -> int:
    """Adds a column with a default to every table, as an owner would; says to how many."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '5s'")
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'alembic_version' ORDER BY tablename"
        ).fetchall()
        for (table,) in tables:
            connection.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} text NOT NULL DEFAULT 'set'").format(
                    sql.Identifier(table), sql.Identifier(COLUMN)
                )
            )
    return len(tables)


def leave_trace(url: str, oldest_code: str) -> None:
    """What the migration of a later release has written about itself."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [LATER])
        connection.execute(
            "INSERT INTO schema_revision (revision, oldest_code) VALUES (%s, %s)",
            [LATER, oldest_code],
        )


def newest(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT max(revision) FROM schema_revision").fetchone()
    assert row is not None
    return str(row[0])


async def trade(engine: Engine, rounds: int) -> None:
    """Each flow of the demo, and a few payments more; then the books equal Stripe's."""
    async with open_clients(engine.ports) as clients, TwinAdmin.open(engine.twin_url) as twin:
        shop = Shop(clients, twin)
        parties = Parties(
            merchant=await shop.add_merchant("Fern & Finch Bookshop LLC"),
            customer=await shop.add_customer("Ada Mapleton"),
        )
        for _ in range(rounds):
            await shop.settled((await shop.pay(parties.merchant, parties.customer, 100, "visa")).id)
        for scenario in SCENARIOS:
            if scenario.title in FLOWS:
                await scenario.play(shop, parties)
        (await settled_trial_balance(clients, await ledger_name(clients), twin)).check()
        assert await check_charges(clients, twin) > 0


async def metrics_of(port: int) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{at(port)}/metrics") as got:
        lines = [line for line in (await got.text()).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


async def check_nothing_was_refused(engine: Engine) -> None:
    """No commit had to be written again, in no service, and no statement was refused."""
    gateway = await metrics_of(engine.ports.gateway_http)
    assert gateway["gateway_payment_commits_refused_total"] == 0
    written = gateway["gateway_payment_commit_parts_sum"]
    # Two that decide about one payment at once are told apart by the same counter.
    assert gateway["gateway_payment_commit_conflicts_total"] < written / 4
    ledger = await metrics_of(engine.ports.ledger_http)
    assert ledger['ledger_commits_total{result="committed"}'] > 0
    assert ledger.get('ledger_commits_total{result="outage"}', 0) == 0
    for process in engine.processes:
        log = process.log_file.read_text()
        assert REFUSED_BY_DATABASE.search(log) is None, log
        assert "commit_failed" not in log
        assert "decisions_not_written" not in log


async def test_flows_on_a_schema_with_unknown_columns(
    databases: dict[str, str], tmp_path: Path
) -> None:
    """An older release starts where a later one has migrated, and every flow goes as before."""
    for service, url in urls(databases):
        await migrate(url, service)
        head = newest(url)
        assert add_columns(url) > 5
        leave_trace(url, oldest_code=head)
    async with running_engine(Ports.free(), tmp_path, databases) as engine:
        await trade(engine, rounds=2)
        await check_nothing_was_refused(engine)
        for name in PAYING:
            assert '"schema_newer"' in getattr(engine, name).log_file.read_text()


async def test_flows_while_a_later_release_migrates(
    databases: dict[str, str], tmp_path: Path
) -> None:
    """Statements that are prepared already go on, too."""
    async with running_engine(Ports.free(), tmp_path, databases, FEW_CONNECTIONS) as engine:
        await trade(engine, ROUNDS)
        for _, url in urls(databases):
            add_columns(url)
        await trade(engine, ROUNDS)
        await check_nothing_was_refused(engine)


def later_release(service: str, directory: Path, *, goes_with_older: bool) -> Path:
    """The project with one migration more."""
    for package in {"runtime", *PAYING} - {service}:
        (directory / package).symlink_to(PROJECT / package)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / service, directory / service, ignore=ignored)
    versions = directory / service / "migrations" / "versions"
    before = max(path.name[:4] for path in versions.glob("[0-9]*.py"))
    revision = f"{int(before) + 1:04}"
    (versions / f"{revision}_later.py").write_text(
        f"""\"What comes later.\"

from alembic import op

revision = "{revision}"
down_revision = "{before}"
oldest_code = "{before if goes_with_older else revision}"


def upgrade() -> None:
    op.execute("CREATE TABLE later (id bigint PRIMARY KEY)")
"""
    )
    return directory


@pytest.mark.parametrize("service", PAYING)
async def test_a_replica_of_the_release_before_starts_again(
    service: str, databases: dict[str, str], tmp_path: Path
) -> None:
    """Its login owns nothing; the later release was migrated to by a command."""
    prefix = service.upper()
    owner = databases[f"{prefix}_DATABASE_URL"]
    await migrate(owner, service)
    later = later_release(service, tmp_path, goes_with_older=True)
    owning = {f"{prefix}_OWNER_DATABASE_URL": owner}
    looked = run_release(later, service, "migrate", "--check", environment=owning)
    assert looked.returncode == 1
    assert re.fullmatch(rf"{service}: pending \d{{4}}: What comes later\.\n", looked.stdout)
    done = run_release(later, service, "migrate", environment=owning)
    assert (done.returncode, looked.stdout.replace("pending", "applied")) == (0, done.stdout)

    older = run(service, "migrate", "--check", environment=owning)
    assert older.returncode == 0
    assert older.stdout.startswith(f"{service}: nothing is pending")
    ports = Ports.free()
    with serving_login(owner, service) as login:
        settings = {
            f"{prefix}_DATABASE_URL": login,
            f"{prefix}_LISTEN_ADDRESS": at(getattr(ports, service)),
            f"{prefix}_HTTP_ADDRESS": at(getattr(ports, f"{service}_http")),
        }
        process = ServiceProcess(service, (service,), settings, tmp_path / f"{service}.log")
        await process.start()
        try:
            await process.wait_until(wait_until_serving(at(getattr(ports, service))))
            assert await process.terminate() == 0
        finally:
            await process.kill()


@pytest.mark.parametrize("service", PAYING)
async def test_it_does_not_start_where_later_code_is_needed(
    service: str, databases: dict[str, str], tmp_path: Path
) -> None:
    prefix = service.upper()
    environment = {f"{prefix}_DATABASE_URL": databases[f"{prefix}_DATABASE_URL"]}
    later = later_release(service, tmp_path, goes_with_older=False)
    ran = run_release(later, service, "migrate", environment=environment)
    assert ran.returncode == 0
    for command in ((), ("migrate",), ("migrate", "--check")):
        refused = run(service, *command, environment=environment)
        assert (refused.returncode, refused.stdout) == (1, "")
        (line,) = plain_lines(refused)
        assert re.fullmatch(
            rf"{service}: the schema has revision (\d{{4}}), which needs the code of \1 or later;"
            rf" this is the code of \d{{4}}: start a newer version",
            line,
        )
