"""docker-compose.yml against its schema and against the code that it starts.

No Docker engine runs here: what can be checked without one is checked.
"""

import importlib.util
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from compliance.config import ComplianceSettings
from gateway.config import GatewaySettings
from gateway.stripe_client.corridors import DEFAULT_CORRIDOR
from gateway.webhooks_in.receiver import PATH
from ledger.config import LedgerSettings
from reconciliation.config import ReconciliationSettings
from runtime.addresses import split_address
from runtime.config import ServiceSettings
from sandbox.certificates import NAMES
from sandbox.credentials import GRAFANA_LOGIN, make_credentials
from sandbox.stripe_twin import DEFAULT_ACCOUNT, DEFAULT_PORT
from tests.deploy.compose import CREDENTIALS, OWN_SERVICES, PROJECT, read_compose

COMPOSE = read_compose()
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
SETTINGS: dict[str, type[ServiceSettings]] = {
    "ledger": LedgerSettings,
    "gateway": GatewaySettings,
    "compliance": ComplianceSettings,
    "reconciliation": ReconciliationSettings,
}
# What the twin takes; all else is made at random.
DEVELOPMENT_DEFAULT = r"\$\{\w+:-(sk_test_twin_\w+|whsec_twin_\w+)\}"
# A tag for people and the digest that is pulled.
PINNED = re.compile(r"[\w./-]+:v?\d[\w.-]*@sha256:[0-9a-f]{64}")
# Read by the telemetry and logging of every process.
COMMON_VARIABLES = {"ENV", "LOG_LEVEL", "OTEL_EXPORTER_OTLP_ENDPOINT"}


def of_our_image() -> dict[str, dict[str, Any]]:
    return {name: item for name, item in COMPOSE.services.items() if "build" in item}


def test_it_is_valid() -> None:
    schema = json.loads((PROJECT / "tests/deploy/compose_spec.json").read_text())
    validator = jsonschema.Draft201909Validator(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE.written)] == []


def test_the_parts_of_the_engine_are_there() -> None:
    wanted = {
        *("postgres", "nats", "stripe-twin", "credentials", *OWN_SERVICES),
        *("prometheus", "grafana", "otel-collector"),
    }
    assert set(COMPOSE.services) == wanted


@pytest.mark.parametrize("name", of_our_image())
def test_commands_name_modules_that_can_be_run(name: str) -> None:
    module = of_our_image()[name]["command"][0]
    assert importlib.util.find_spec(f"{module}.__main__") is not None


@pytest.mark.parametrize("name", of_our_image())
def test_our_processes_have_few_rights(name: str) -> None:
    service = of_our_image()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_each_variable_is_a_setting(name: str) -> None:
    settings = SETTINGS[name]
    prefix = settings.model_config["env_prefix"]
    known = {*settings.variables(), *COMMON_VARIABLES}
    assert set(COMPOSE.environment(name)) <= known
    assert {f"{prefix}DATABASE_URL_FILE", f"{prefix}OWNER_DATABASE_URL_FILE"} <= known


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_the_settings_are_accepted(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With what the one-shot service makes, where it is mounted."""
    make_credentials(tmp_path, datetime.now(UTC))
    environment = COMPOSE.environment_here(name, tmp_path)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = SETTINGS[name]()
    assert settings.uses_tls
    for url, login in (
        (settings.database_url, f"{name}_login"),
        (settings.owner_database_url, f"{name}_owner"),
    ):
        assert url is not None
        password = (tmp_path / "postgres" / login).read_text().strip()
        assert url.get_secret_value() == f"postgresql://{login}:{password}@postgres/{name}"
    for variable, value in environment.items():
        if value.startswith(str(tmp_path)):
            assert Path(value).is_file(), variable


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_ports_fit_the_addresses_that_the_service_listens_on(name: str) -> None:
    environment = COMPOSE.environment(name)
    prefix = name.upper()
    listening = {
        split_address(environment[f"{prefix}_LISTEN_ADDRESS"]),
        split_address(environment[f"{prefix}_HTTP_ADDRESS"]),
    }
    assert {host for host, _ in listening} == {"0.0.0.0"}
    assert set(COMPOSE.published(name)) == {port for _, port in listening}
    _, http_port = split_address(environment[f"{prefix}_HTTP_ADDRESS"])
    check = " ".join(COMPOSE.services[name]["healthcheck"]["test"])
    assert f"http://127.0.0.1:{http_port}/healthz" in check


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_a_process_that_has_ended_is_started_again(name: str) -> None:
    """Whatever its status: a process in which a loop has ended by itself ends with its reason."""
    assert COMPOSE.services[name]["restart"] == "unless-stopped"


def test_ports_are_published_on_loopback_only_and_once() -> None:
    addresses = [
        address for name in COMPOSE.services for address in COMPOSE.published(name).values()
    ]
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    assert len(set(addresses)) == len(addresses)


def test_services_find_each_other() -> None:
    for name in OWN_SERVICES:
        for variable, value in COMPOSE.environment(name).items():
            if not variable.endswith("_ADDRESS") or value.startswith("0.0.0.0"):
                continue
            host, port = split_address(value)
            listen = COMPOSE.environment(host)[f"{host.upper()}_LISTEN_ADDRESS"]
            assert split_address(listen)[1] == port
            # The name must be in the certificate that the peer shows.
            assert host in NAMES


@pytest.mark.parametrize("name", [*OWN_SERVICES, "postgres", "grafana"])
def test_each_part_is_given_its_own_credentials_and_no_others(name: str) -> None:
    volume = f"{name}-credentials"
    service = COMPOSE.services[name]
    assert f"{volume}:{CREDENTIALS}:ro" in service["volumes"]
    assert service["depends_on"]["credentials"]["condition"] == "service_completed_successfully"
    maker = COMPOSE.services["credentials"]
    assert maker["command"] == ["sandbox", "credentials", CREDENTIALS]
    assert f"{volume}:{CREDENTIALS}/{name}" in maker["volumes"]
    holders = {
        other
        for other, item in COMPOSE.services.items()
        if any(mount.split(":")[0] == volume for mount in item.get("volumes", []))
    }
    assert holders == {name, "credentials"}


def test_the_authoritys_key_stays_with_who_signs() -> None:
    mounted = {
        name: [mount.split(":")[0] for mount in item.get("volumes", [])]
        for name, item in COMPOSE.services.items()
    }
    for volume in ("authority", "client-credentials"):
        assert [name for name, mounts in mounted.items() if volume in mounts] == ["credentials"]


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_each_service_shows_the_certificate_of_its_name(name: str) -> None:
    environment = COMPOSE.environment(name)
    prefix = name.upper()
    assert environment[f"{prefix}_TLS_CERTIFICATE_FILE"] == f"{CREDENTIALS}/{name}.crt"
    assert environment[f"{prefix}_TLS_KEY_FILE"] == f"{CREDENTIALS}/{name}.key"
    assert environment[f"{prefix}_TLS_CA_FILE"] == f"{CREDENTIALS}/ca.crt"


def test_passwords_are_where_images_and_our_script_look() -> None:
    environment = COMPOSE.environment("postgres")
    assert environment["POSTGRES_PASSWORD_FILE"] == f"{CREDENTIALS}/{environment['POSTGRES_USER']}"
    assert environment["CREDENTIALS_DIRECTORY"] == CREDENTIALS
    grafana = COMPOSE.environment("grafana")
    assert grafana["GF_SECURITY_ADMIN_PASSWORD__FILE"] == f"{CREDENTIALS}/{GRAFANA_LOGIN}"


def test_the_twin_listens_where_it_is_looked_for_and_sends_webhooks_to_the_gateway() -> None:
    command = COMPOSE.services["stripe-twin"]["command"]
    environment = COMPOSE.environment("gateway")
    assert environment["GATEWAY_STRIPE_API_BASE"] == f"http://stripe-twin:{DEFAULT_PORT}"
    assert set(COMPOSE.published("stripe-twin")) == {DEFAULT_PORT}
    assert environment["GATEWAY_STRIPE_API_KEY"] == DEFAULT_ACCOUNT.secret_key
    assert environment["GATEWAY_STRIPE_WEBHOOK_SECRETS"] == DEFAULT_ACCOUNT.webhook_secret
    _, http_port = split_address(environment["GATEWAY_HTTP_ADDRESS"])
    path = PATH.format(corridor=DEFAULT_CORRIDOR)
    assert command[command.index("--host") + 1] == "0.0.0.0"
    account, url = command[command.index("--webhook") + 1 :]
    assert (account, url) == (DEFAULT_ACCOUNT.name, f"http://gateway:{http_port}{path}")


def test_mounted_files_and_volumes_exist() -> None:
    for service in COMPOSE.services.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (PROJECT / source).exists(), source
            else:
                assert source in COMPOSE.filled["volumes"]


def test_what_services_wait_for_exists_and_can_become_healthy() -> None:
    for service in COMPOSE.services.values():
        for name, wait in dict.fromkeys(service.get("depends_on", {}), None).items():
            assert name in COMPOSE.services
            assert wait is None
        if isinstance(service.get("depends_on"), dict):
            for name, wait in service["depends_on"].items():
                if wait["condition"] == "service_healthy":
                    assert "healthcheck" in COMPOSE.services[name]


def images_of_others() -> dict[str, str]:
    """Each by who runs it; the Dockerfile builds on one."""
    base = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert base is not None
    ours = of_our_image()
    others = {name: item["image"] for name, item in COMPOSE.services.items() if name not in ours}
    return others | {"Dockerfile": base[1]}


@pytest.mark.parametrize("user", images_of_others())
def test_images_of_others_are_pinned_by_digest(user: str) -> None:
    """None is excused. docs/operations.md says how to find a digest."""
    assert PINNED.fullmatch(images_of_others()[user])


@pytest.mark.parametrize(
    "image", ["postgres:17-alpine", "postgres", "nats:latest@sha256:" + "0" * 64, "nats:2@sha256:0"]
)
def test_a_tag_alone_is_no_pin(image: str) -> None:
    assert not PINNED.fullmatch(image)


def test_the_dockerfile_begins_with_the_pinned_image_only() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))
    for base in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE):
        assert base == "${PYTHON_IMAGE}" or base in stages


def test_secrets_are_development_defaults_that_the_environment_replaces() -> None:
    for service in COMPOSE.written["services"].values():
        for variable, value in service.get("environment", {}).items():
            if not re.search(r"PASSWORD|SECRET|_KEY$|DATABASE_URL", variable):
                continue
            if variable.endswith("_FILE"):
                assert str(value).startswith(f"{CREDENTIALS}/")
            else:
                assert re.search(DEVELOPMENT_DEFAULT, str(value))


def test_draining_ends_before_docker_kills() -> None:
    for name in OWN_SERVICES:
        grace = COMPOSE.services[name]["stop_grace_period"]
        drain = SETTINGS[name].model_fields["drain_seconds"].default
        assert int(grace.removesuffix("s")) > drain


@pytest.mark.parametrize(
    "lock",
    [
        "requirements.lock",
        "requirements-export.lock",
        "requirements-warehouse.lock",
        "requirements-dev.lock",
    ],
)
def test_every_locked_package_has_hashes(lock: str) -> None:
    lines = (PROJECT / lock).read_text().splitlines()
    pinned = [line for line in lines if re.match(r"[A-Za-z0-9]", line)]
    assert pinned
    for line in pinned:
        assert "==" in line
        assert line.endswith("\\"), f"{line} has no hash"
