"""Every `python -m` of the project: it explains itself, and refuses what it does not know.

What can be told of a service without its process is in test_config.py.
"""

import socket
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.command_line import engine_version
from runtime.migrations import migrate
from runtime.read_settings import unknown_variables
from runtime.signed_notes import SignerKey
from sandbox.credentials import make_credentials
from tests.commands import entries, plain_lines, run
from tests.deploy.compose import OWN_SERVICES, PROJECT, read_compose
from tests.logins import serving_login
from tests.plugin import NewDatabase
from tests.runtime.echo import EchoSettings

# What another process of ours starts, and nobody else.
INTERNAL = {
    "bench.echo",
    "sandbox.child",
    "sandbox.embedded_postgres",
    "sandbox.guardian",
    "tests.nursery",
    "tests.compliance.forked_builders",
    "tests.ledger.killing.postgres_keeper",
    "tests.protoc_gen_options",
}
# A service that is not ours: the test that breaks it.
FAULTY = "tests.runtime.faulty_service"
NOWHERE = "postgresql://someone:hush@127.0.0.1:1/nothing"


PACKAGES = (
    *("ledger", "gateway", "compliance", "reconciliation", "warehouse"),
    *("sandbox", "bench", "docs", "tests"),
)
ENTRIES = tuple(entry for entry in entries(*PACKAGES) if entry != FAULTY)


def test_the_entries_are_known() -> None:
    assert {*OWN_SERVICES, "ledger.export", "ledger.verify", "ledger.load", "ledger.keys"} <= {
        *ENTRIES
    }
    assert {"sandbox", "sandbox.stripe_twin", "bench", "bench.brown_out", "docs.reasons"} <= {
        *ENTRIES
    }
    assert {"tests.chaos"} | INTERNAL <= {*ENTRIES}


@pytest.mark.parametrize("module", ENTRIES)
def test_it_explains_itself_refuses_unknown_options_and_touches_nothing(
    module: str, tmp_path: Path
) -> None:
    """No file, no database, no port: each setting that could be used is one that cannot."""
    environment = {"HOME": str(tmp_path)} | {
        f"{service.upper()}_DATABASE_URL": NOWHERE for service in OWN_SERVICES
    }
    helped, told, refused = (
        run(module, option, environment=environment, directory=tmp_path)
        for option in ("--help", "--version", "--verison")
    )
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.split()[:4] == ["usage:", "python", "-m", module]
    assert "--version" in helped.stdout
    assert (told.returncode, told.stdout) == (0, f"payment-engine {VERSION}\n")
    assert told.stderr == ""
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.split()[:4] == ["usage:", "python", "-m", module]
    assert list(tmp_path.iterdir()) == []


VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "version"
]


def test_the_version_is_in_one_place_and_in_the_image() -> None:
    assert engine_version() == VERSION
    assert "\nCOPY pyproject.toml pyproject.toml\n" in (PROJECT / "Dockerfile").read_text()


@pytest.mark.parametrize("service", OWN_SERVICES)
def test_the_settings_are_shown_without_secrets(service: str) -> None:
    prefix = service.upper()
    shown = run(
        service,
        "--print-config",
        environment={f"{prefix}_DATABASE_URL": NOWHERE, f"{prefix}_DRAIN_SECONDS": "3"},
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert f"{prefix}_DATABASE_URL=**********" in lines
    assert f"{prefix}_DRAIN_SECONDS=3.0" in lines
    assert "hush" not in shown.stdout


@pytest.mark.parametrize("service", OWN_SERVICES)
@pytest.mark.parametrize("command", [(), ("--print-config",), ("migrate",), ("migrate", "--check")])
def test_a_misspelled_variable_is_refused_with_the_nearest_name(
    service: str, command: tuple[str, ...]
) -> None:
    prefix = service.upper()
    refused = run(service, *command, environment={f"{prefix}_DATABSE_URL": NOWHERE})
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"{service}: {prefix}_DATABSE_URL: there is no such setting;"
        f" did you mean {prefix}_DATABASE_URL?\n"
    )


def test_several_problems_are_told_at_once() -> None:
    refused = run(
        "ledger",
        environment={
            "LEDGER_SEAL_INTERVAL_MS": "1",
            "LEDGER_QQQQQQQQ": "?",
            "LEDGER_HTTP_ADDRESS": "here",
        },
    )
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [
        "ledger: LEDGER_QQQQQQQQ: there is no such setting",
        "ledger: LEDGER_HTTP_ADDRESS: is not host:port",
        "ledger: LEDGER_SEAL_INTERVAL_MS: Input should be greater than or equal to 10",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ECHO_DRAIN_SECONDS", "5"),
        ("echo_drain_seconds", "5"),
        ("ECHO_DATABASE_URL_FILE", "/run/secrets/url"),
        ("ECHO", "anything"),
        ("ECHOES_AT_NIGHT", "another program's"),
        # What Kubernetes tells of a service `echo` and of one `echo-http`.
        ("ECHO_SERVICE_HOST", "10.0.0.1"),
        ("ECHO_SERVICE_PORT", "50051"),
        ("ECHO_SERVICE_PORT_GRPC", "50051"),
        ("ECHO_PORT", "tcp://10.0.0.1:50051"),
        ("ECHO_PORT_50051_TCP", "tcp://10.0.0.1:50051"),
        ("ECHO_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("ECHO_HTTP_SERVICE_HOST", "10.0.0.2"),
    ],
)
def test_what_is_known_or_of_others_is_not_refused(name: str, value: str) -> None:
    assert list(unknown_variables(EchoSettings, {name: value})) == []


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [
        ("ECHO_DRAIN_SECOND", "5", "; did you mean ECHO_DRAIN_SECONDS?"),
        ("echo_drain_second", "5", "; did you mean ECHO_DRAIN_SECONDS?"),
        # Only a secret can be given by file.
        ("ECHO_DRAIN_SECONDS_FILE", "/run/secrets/x", "; did you mean ECHO_DRAIN_SECONDS?"),
        ("ECHO_ENV", "staging", ""),
        ("ECHO_PORT", "50051", ""),
    ],
)
def test_what_nothing_reads_is_refused(name: str, value: str, nearest: str) -> None:
    assert list(unknown_variables(EchoSettings, {name: value})) == [
        f"{name}: there is no such setting{nearest}"
    ]


def test_the_ledgers_clients_may_share_its_environment() -> None:
    shared = {"LEDGER_CLIENT_TLS_KEY_FILE": "/client.key", "GATEWAY_ROLE": "a typo, of the gateway"}
    assert run("ledger", "--print-config", environment=shared).returncode == 0
    refused = run(
        "ledger", "--print-config", environment={"LEDGER_CLIENT_TLS_KEYS_FILE": "/client.key"}
    )
    assert "did you mean LEDGER_CLIENT_TLS_KEY_FILE?" in refused.stderr


@pytest.mark.parametrize("service", OWN_SERVICES)
def test_compose_sets_only_what_is_read(service: str, tmp_path: Path) -> None:
    make_credentials(tmp_path, datetime.now(UTC))
    environment = read_compose().environment_here(service, tmp_path)
    assert run(service, "--print-config", environment=environment).returncode == 0


@pytest.mark.parametrize(
    "url",
    [
        "dbname=ledger password=hush",
        "postgresql+psycopg://u:hush@h/d",
        "postgresql://u:hu@sh@h/d",
        "postgresql://u:hu/sh@h/d",
        "postgresql://u:hush%@h/d",
    ],
)
def test_a_database_url_is_one_that_every_library_reads_alike(url: str) -> None:
    refused = run("ledger", environment={"LEDGER_DATABASE_URL": url})
    assert refused.returncode == 2
    assert refused.stderr.startswith("ledger: LEDGER_DATABASE_URL: is not postgresql://")
    assert refused.stderr.count("\n") == 1
    assert "hu" not in refused.stderr


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"GATEWAY_STRIPE_API_KEY": "hush"},
            "GATEWAY_STRIPE_API_KEY, GATEWAY_STRIPE_API_BASE, GATEWAY_STRIPE_WEBHOOK_SECRETS: ",
        ),
        ({"GATEWAY_STRIPE_CORRIDORS_FILE": "/nowhere"}, "GATEWAY_STRIPE_CORRIDORS_FILE: /nowhere "),
        ({"GATEWAY_LEASE_SECONDS": "1"}, "GATEWAY_LEASE_SECONDS must be more than"),
        ({"GATEWAY_WEBHOOK_SECRET_KEYS": "hush"}, "GATEWAY_WEBHOOK_SECRET_KEYS: a key has not"),
        ({"GATEWAY_TLS_KEY_FILE": "/hush"}, "TLS needs all three: GATEWAY_TLS_CERTIFICATE_FILE, "),
        ({"GATEWAY_LISTEN_ADDRESS": "0.0.0.0:1"}, "GATEWAY_LISTEN_ADDRESS: plain text is for"),
    ],
)
def test_what_is_wrong_with_several_variables_names_them(
    variables: dict[str, str], told: str
) -> None:
    refused = run("gateway", environment=variables)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"gateway: {told}")
    assert refused.stderr.count("\n") == 1
    assert "hush" not in refused.stderr


def test_a_secrets_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    refused = run("ledger", environment={"LEDGER_DATABASE_URL_FILE": str(missing)})
    assert refused.returncode == 2
    assert refused.stderr == (
        f"ledger: LEDGER_DATABASE_URL_FILE: {missing}: No such file or directory\n"
    )
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    refused = run("ledger", environment={"LEDGER_DATABASE_URL_FILE": str(tmp_path / "binary")})
    assert refused.stderr == (
        f"ledger: LEDGER_DATABASE_URL_FILE: {tmp_path / 'binary'}: is not UTF-8 text\n"
    )


@pytest.mark.parametrize("service", OWN_SERVICES)
@pytest.mark.parametrize("command", [(), ("migrate",), ("migrate", "--check")])
def test_a_database_out_of_reach_is_one_line_without_secrets(
    service: str, command: tuple[str, ...]
) -> None:
    ran = run(service, *command, environment={f"{service.upper()}_DATABASE_URL": NOWHERE})
    assert (ran.returncode, ran.stdout) == (1, "")
    (line,) = plain_lines(ran)
    assert line.startswith(f"{service}: {service.upper()}_DATABASE_URL: connection failed")
    assert "127.0.0.1" in line
    assert "refused" in line
    assert "hush" not in ran.stderr


@pytest.mark.parametrize("address", ["LISTEN", "HTTP"])
@pytest.mark.parametrize("service", OWN_SERVICES)
async def test_a_port_in_use_is_one_line(
    service: str, address: str, new_database: NewDatabase
) -> None:
    prefix, url = service.upper(), new_database(service)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        environment = {
            "LEDGER_SIGNING_KEY": KEY,
            f"{prefix}_DATABASE_URL": url,
            f"{prefix}_LISTEN_ADDRESS": "127.0.0.1:0",
            f"{prefix}_HTTP_ADDRESS": "127.0.0.1:0",
        } | {f"{prefix}_{address}_ADDRESS": place}
        ran = run(service, environment=environment)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert plain_lines(ran) == [
        f"{service}: {prefix}_{address}_ADDRESS: cannot listen on {place}: Address already in use"
    ]


# So that no test makes a key in the user's folder.
KEY = SignerKey.generate("ledger.test").secret_text()


@pytest.mark.parametrize("service", OWN_SERVICES)
async def test_migrations_are_a_command_of_the_owners(
    service: str, new_database: NewDatabase
) -> None:
    owner, prefix = new_database(service), service.upper()
    with serving_login(owner, service) as login:
        serving = {f"{prefix}_DATABASE_URL": login}
        check_migrating(service, serving, serving | {f"{prefix}_OWNER_DATABASE_URL": owner})


def check_migrating(service: str, serving: dict[str, str], owning: dict[str, str]) -> None:

    for environment in (serving, owning):
        looked = run(service, "migrate", "--check", environment=environment)
        assert looked.returncode == 1
        assert looked.stdout.startswith(f"{service}: pending 0001: ")

    # The login has not the right.
    refused = run(service, "migrate", environment=serving)
    assert refused.returncode == 1
    (line,) = plain_lines(refused)
    assert line == (
        f"{service}: {service.upper()}_DATABASE_URL: permission denied for schema public"
    )

    done = run(service, "migrate", environment=owning)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{service}: applied 0001: ")
    for command in (("migrate",), ("migrate", "--check")):
        for environment in (serving, owning):
            again = run(service, *command, environment=environment)
            assert (again.returncode, plain_lines(again)) == (0, [])
            assert again.stdout.startswith(
                f"{service}: nothing is pending, the schema has revision"
            )


async def test_a_migration_needs_no_other_setting(new_database: NewDatabase) -> None:
    """A job that migrates has neither certificates nor keys."""
    url = new_database("ledger")
    done = run(
        "ledger", "migrate", environment={"ENV": "production", "LEDGER_OWNER_DATABASE_URL": url}
    )
    assert done.returncode == 0, done.stderr
    assert (await migrate(url, "ledger")).pending == ()
