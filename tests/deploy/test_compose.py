"""docker-compose.yml against its schema and against the code that it starts.

No Docker engine runs here: what can be checked without one is checked.
"""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from compliance.config import ComplianceSettings
from gateway.config import GatewaySettings
from gateway.stripe_client.corridors import DEFAULT_CORRIDOR
from gateway.webhooks_in.receiver import PATH
from ledger.config import LedgerSettings
from runtime.config import ServiceSettings, split_address
from sandbox.certificates import NAMES
from sandbox.stripe_twin import DEFAULT_ACCOUNT, DEFAULT_PORT
from tests.deploy.compose import OWN_SERVICES, PROJECT, read_compose

COMPOSE = read_compose()
SETTINGS: dict[str, type[ServiceSettings]] = {
    "ledger": LedgerSettings,
    "gateway": GatewaySettings,
    "compliance": ComplianceSettings,
}
DEVELOPMENT_DEFAULT = (
    r"\$\{\w+:-(development|sk_test_\w+|whsec_\w+|PRIVATE\+KEY\+ledger\.development\+[\w+/=]+)\}"
)
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
        *("postgres", "nats", "stripe-twin", "certificates", *OWN_SERVICES),
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
    known = {f"{prefix}{field}".upper() for field in settings.model_fields} | COMMON_VARIABLES
    assert set(COMPOSE.environment(name)) <= known


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_the_settings_are_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in COMPOSE.environment(name).items():
        # Inside the image the project is at /app.
        monkeypatch.setenv(variable, value.replace("/app/", f"{PROJECT}/"))
    settings = SETTINGS[name]()
    assert settings.uses_tls
    assert settings.owner_database_url is not None


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


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_each_service_has_its_own_certificate_from_the_one_shot_service(name: str) -> None:
    environment = COMPOSE.environment(name)
    prefix = name.upper()
    _, command, directory = COMPOSE.services["certificates"]["command"]
    assert command == "certificates"
    assert environment[f"{prefix}_TLS_CERTIFICATE_FILE"] == f"{directory}/{name}.crt"
    assert environment[f"{prefix}_TLS_KEY_FILE"] == f"{directory}/{name}.key"
    assert environment[f"{prefix}_TLS_CA_FILE"] == f"{directory}/ca.crt"
    assert f"certificates:{directory}:ro" in COMPOSE.services[name]["volumes"]
    condition = COMPOSE.services[name]["depends_on"]["certificates"]["condition"]
    assert condition == "service_completed_successfully"


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


def test_images_of_others_are_pinned() -> None:
    for name, service in COMPOSE.services.items():
        if name in of_our_image():
            continue
        tag = service["image"].rpartition(":")[2]
        assert re.match(r"v?\d", tag), service["image"]


def test_secrets_are_development_defaults_that_the_environment_replaces() -> None:
    for service in COMPOSE.written["services"].values():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|_KEY$|DATABASE_URL", variable):
                assert re.search(DEVELOPMENT_DEFAULT, str(value))


def test_draining_ends_before_docker_kills() -> None:
    for name in OWN_SERVICES:
        grace = COMPOSE.services[name]["stop_grace_period"]
        drain = SETTINGS[name].model_fields["drain_seconds"].default
        assert int(grace.removesuffix("s")) > drain


def test_the_image_gets_all_that_it_runs() -> None:
    text = (PROJECT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE)
    allowed = {
        line.removeprefix("!")
        for line in (PROJECT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert set(copied) == allowed
    for source in copied:
        assert (PROJECT / source).exists(), source
    modules = {service["command"][0].split(".")[0] for service in of_our_image().values()}
    assert modules <= set(copied)
    assert re.search(r"^USER [1-9]\d*$", text, re.MULTILINE)


def test_every_locked_package_has_hashes() -> None:
    lines = Path(PROJECT / "requirements.lock").read_text().splitlines()
    pinned = [line for line in lines if re.match(r"[A-Za-z0-9]", line)]
    assert pinned
    for line in pinned:
        assert "==" in line
        assert line.endswith("\\"), f"{line} has no hash"
