"""What is deployed without a single point of failure fits the code: the compose file with three of
each, Patroni's and HAProxy's settings, NATS' cluster, and the manifests for Kubernetes.

No Docker engine and no Kubernetes run here. `make ha` runs Patroni with the very settings.
"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from compliance.config import ComplianceSettings
from gateway.config import GatewaySettings
from ledger.config import LedgerSettings
from reconciliation.config import ReconciliationSettings
from runtime.addresses import split_address
from runtime.config import ServiceSettings
from runtime.database_url import parse
from sandbox.certificates import NAMES
from sandbox.credentials import CLUSTER_LOGINS, SUPERUSER, make_credentials
from sandbox.postgres_wheel import binaries
from tests.deploy.compose import (
    CREDENTIALS,
    HA_COMPOSE_FILE,
    OWN_SERVICES,
    PROJECT,
    read_compose,
)
from tests.deploy.test_compose import COMMON_VARIABLES, COMPOSE, PINNED

HA = read_compose(HA_COMPOSE_FILE)
PATRONI = PROJECT / "deploy/patroni"
KUBERNETES = PROJECT / "deploy/kubernetes"
SETTINGS: dict[str, type[ServiceSettings]] = {
    "ledger": LedgerSettings,
    "gateway": GatewaySettings,
    "compliance": ComplianceSettings,
    "reconciliation": ReconciliationSettings,
}
REPLICAS = [f"{name}-{number}" for name in OWN_SERVICES for number in (1, 2)]
NODES = (1, 2, 3)
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
# What a pause before SIGTERM and draining must leave until the kill.
MARGIN_SECONDS = 5


def service_of(replica: str) -> str:
    return replica.rpartition("-")[0]


def hosts() -> str:
    command: list[str] = HA.services["credentials"]["command"]
    return command[command.index("--database-host") + 1]


def test_the_compose_file_is_valid() -> None:
    schema = json.loads((PROJECT / "tests/deploy/compose_spec.json").read_text())
    validator = jsonschema.Draft201909Validator(schema)
    assert [error.message for error in validator.iter_errors(HA.written)] == []


def test_there_are_three_of_what_votes_and_two_of_what_does_not() -> None:
    voting = {f"{name}-{number}" for name in ("etcd", "patroni", "nats") for number in NODES}
    assert set(HA.services) == {"credentials", "stripe-twin", *voting, *REPLICAS}


@pytest.mark.parametrize("replica", REPLICAS)
def test_a_replica_is_the_service_of_the_other_compose_file(replica: str) -> None:
    name = service_of(replica)
    alone, one = COMPOSE.services[name], HA.services[replica]
    same = ("image", "command", "volumes", "healthcheck", "restart", "stop_grace_period")
    assert {key: one[key] for key in same} == {key: alone[key] for key in same}
    assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"])
    # By the name in its certificate.
    assert one["networks"]["default"]["aliases"] == [name]
    assert name in NAMES
    expected = COMPOSE.environment(name)
    found = HA.environment(replica)
    more = {f"{name.upper()}_REQUIRE_SYNCHRONOUS"} & set(SETTINGS[name].variables())
    assert set(found) - set(expected) <= more | {"GATEWAY_WEBHOOK_NATS_REPLICAS"}
    assert set(expected) - set(found) == {"OTEL_EXPORTER_OTLP_ENDPOINT"}


@pytest.mark.parametrize("replica", REPLICAS)
def test_the_settings_of_a_replica_are_accepted(
    replica: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = service_of(replica)
    make_credentials(tmp_path, datetime.now(UTC), hosts())
    for variable, value in HA.environment(replica).items():
        here = value.replace("/app/", f"{PROJECT}/")
        monkeypatch.setenv(variable, here.replace(CREDENTIALS, str(tmp_path / name)))
    settings = SETTINGS[name]()
    assert settings.database_url is not None
    named = parse(settings.database_url.get_secret_value()).hosts
    assert [host.host for host in named] == [f"patroni-{number}" for number in NODES]
    if name in ("ledger", "gateway", "compliance"):
        assert settings.require_synchronous


def test_images_are_pinned_and_ports_published_once_on_loopback() -> None:
    others = [one["image"] for one in HA.services.values() if "build" not in one]
    assert [image for image in others if not PINNED.fullmatch(image)] == []
    addresses = [at for name in HA.services for at in HA.published(name).values()]
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    assert len(set(addresses)) == len(addresses)


def test_commands_and_mounts_of_the_compose_file_exist() -> None:
    for service in HA.services.values():
        if service.get("image", "").startswith("payment-engine:"):
            assert importlib.util.find_spec(f"{service['command'][0]}.__main__") is not None
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            known = PROJECT / source if source.startswith(".") else None
            assert known.exists() if known else source in HA.filled["volumes"]
        for other in service.get("depends_on", {}):
            assert other in HA.services


def test_nodes_know_themselves_and_each_other() -> None:
    for number in NODES:
        environment = HA.environment(f"patroni-{number}")
        assert environment["PATRONI_NAME"] == f"patroni-{number}"
        for variable in ("RESTAPI", "POSTGRESQL"):
            address = environment[f"PATRONI_{variable}_CONNECT_ADDRESS"]
            assert split_address(address)[0] == f"patroni-{number}"
        etcd = HA.environment(f"etcd-{number}")
        members = dict(one.split("=") for one in etcd["ETCD_INITIAL_CLUSTER"].split(","))
        assert members[etcd["ETCD_NAME"]] == etcd["ETCD_INITIAL_ADVERTISE_PEER_URLS"]
        assert set(members) == {f"etcd-{other}" for other in NODES}
        asked = [split_address(one) for one in environment["PATRONI_ETCD3_HOSTS"].split(",")]
        assert asked == [(f"etcd-{other}", 2379) for other in NODES]


def test_a_node_of_the_database_promises_what_the_page_says() -> None:
    settings = yaml.safe_load((PATRONI / "patroni.yml").read_text())
    dcs = settings["bootstrap"]["dcs"]
    assert dcs["synchronous_mode"] is True
    assert dcs["failsafe_mode"] is True
    assert dcs["primary_start_timeout"] == 0
    # Patroni's own rule: a key has to outlive a loop and two tries.
    assert dcs["ttl"] >= dcs["loop_wait"] + 2 * dcs["retry_timeout"]
    assert dcs["postgresql"]["use_pg_rewind"] is True
    parameters = dcs["postgresql"]["parameters"]
    assert (parameters["wal_log_hints"], parameters["synchronous_commit"]) == ("on", "on")
    logins = {login["username"] for login in settings["postgresql"]["authentication"].values()}
    assert logins == {SUPERUSER, *CLUSTER_LOGINS}
    assert all(line.endswith("scram-sha-256") for line in settings["postgresql"]["pg_hba"])
    # Where the image has it.
    script = Path(settings["bootstrap"]["post_bootstrap"])
    assert script.parent == Path("/deploy/patroni")
    assert (PATRONI / script.name).stat().st_mode & 0o100


def test_patroni_takes_its_settings(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    settings = yaml.safe_load((PATRONI / "patroni.yml").read_text())
    settings |= {"name": "patroni-1", "etcd3": {"hosts": "127.0.0.1:1"}}
    settings["restapi"]["connect_address"] = "10.0.0.1:8008"
    settings["postgresql"] |= {
        "connect_address": "10.0.0.1:5432",
        "data_dir": str(data),
        "bin_dir": str(binaries()),
    }
    for login in settings["postgresql"]["authentication"].values():
        login["password"] = "of-this-test"
    path = tmp_path / "patroni.yml"
    path.write_text(yaml.safe_dump(settings))
    command = [
        sys.executable,
        "-m",
        "patroni",
        "--validate-config",
        "--ignore-listen-port",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # etcd does not run here, nor has every machine a watchdog.
    complaints = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if line and not re.match(r"(etcd3\.hosts|watchdog\.)", line)
    ]
    assert complaints == []


def test_the_images_of_the_database_are_one() -> None:
    dockerfile = (PATRONI / "Dockerfile").read_text()
    base = re.search(r"^ARG POSTGRES_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    assert base is not None
    assert base[1] == COMPOSE.services["postgres"]["image"]
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    for copied in re.findall(r"^COPY (\S+) ", dockerfile, re.MULTILINE):
        assert (PROJECT / copied).exists()
        assert f"!{copied}" in ignored
    lock = (PROJECT / "requirements-patroni.lock").read_text()
    assert re.search(r"^patroni==4\.1\.", lock, re.MULTILINE)


def test_haproxy_sends_clients_to_the_primary() -> None:
    path = PATRONI / "haproxy.cfg"
    text = path.read_text()
    servers = re.findall(r"^  server (\S+) (\S+) check$", text, re.MULTILINE)
    assert servers == [(f"patroni-{number}", f"patroni-{number}:5432") for number in NODES]
    assert "option httpchk GET /primary" in text
    if HAPROXY is not None:
        done = subprocess.run(
            [HAPROXY, "-c", "-f", path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_nats_takes_its_settings() -> None:
    program = Path(sys.executable).with_name("nats-server")
    path = PROJECT / "deploy/nats-cluster.conf"
    done = subprocess.run([program, "-c", path, "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    urls = HA.environment("gateway-1")["GATEWAY_WEBHOOK_NATS_URLS"].split(",")
    assert urls == [f"nats://nats-{number}:4222" for number in NODES]
    assert all(f"nats://nats-{number}:6222" in path.read_text() for number in NODES)
    assert HA.environment("gateway-1")["GATEWAY_WEBHOOK_NATS_REPLICAS"] == str(len(NODES))


def manifests(name: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in yaml.safe_load_all((KUBERNETES / f"{name}.yaml").read_text()):
        assert one["metadata"]["namespace"] == "payments"
        found.setdefault(one["kind"], []).append(one)
    return found


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_manifests_have_two_replicas_that_are_never_both_taken(name: str) -> None:
    found = manifests(name)
    (deployment,) = found["Deployment"]
    (budget,) = found["PodDisruptionBudget"]
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert budget["spec"]["minAvailable"] == 1
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        budget["spec"]["selector"]["matchLabels"],
        *(service["spec"]["selector"] for service in found["Service"]),
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
    # Clients choose among the replicas themselves.
    assert found["Service"][0]["spec"]["clusterIP"] == "None"
    assert found["Service"][0]["metadata"]["name"] == name


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_the_settings_of_manifests_are_accepted(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (deployment,) = manifests(name)["Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    settings = SETTINGS[name]
    environment = {one["name"]: str(one["value"]) for one in container["env"]}
    assert set(environment) <= {*settings.variables(), *COMMON_VARIABLES}
    assert container["args"] == [name]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    prefix = name.upper()
    for kind, port in (("LISTEN", "grpc"), ("HTTP", "http")):
        assert split_address(environment[f"{prefix}_{kind}_ADDRESS"]) == ("0.0.0.0", ports[port])
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = settings.model_fields["drain_seconds"].default
    assert pod["terminationGracePeriodSeconds"] > pause + drain + MARGIN_SECONDS
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    files = {one for variable, one in environment.items() if variable.endswith("_FILE")}
    inside = {one for one in files if not one.startswith("/app/")}
    assert all(any(one.startswith(f"{path}/") for path in mounted) for one in inside)
    for variable, value in environment.items():
        if variable.endswith("_ADDRESS") and not value.startswith("0.0.0.0"):
            host, called = split_address(value)
            (other,) = [
                one for one in manifests(host)["Service"] if one["metadata"]["name"] == host
            ]
            assert called in [known["port"] for known in other["spec"]["ports"]]
    # As production, with secrets such as it wants.
    make_credentials(tmp_path, datetime.now(UTC), "db-1:5432,db-2:5432")
    folder = tmp_path / name
    (folder / "stripe_api_key").write_text("sk_live_" + "a1B2c3D4" * 4)
    (folder / "stripe_webhook_secrets").write_text("whsec_" + "a1B2c3D4" * 4)
    (folder / "nats.creds").write_text("credentials")
    url = (folder / "database_url").read_text().strip()
    (folder / "database_url").write_text(f"{url}?sslmode=verify-full")
    renamed = {
        "/tls/tls.crt": f"{name}.crt",
        "/tls/tls.key": f"{name}.key",
        "/tls/ca.crt": "ca.crt",
    }
    for variable, value in environment.items():
        here = renamed.get(
            value, value.replace("/credentials/", "").replace("/app/", f"{PROJECT}/")
        )
        monkeypatch.setenv(variable, str(folder / here) if variable.endswith("_FILE") else here)
    monkeypatch.setenv("ENV", "staging")
    monkeypatch.delenv("GATEWAY_STRIPE_API_KEY_FILE", raising=False)
    monkeypatch.setenv("GATEWAY_STRIPE_API_KEY", "sk_test_" + "a1B2c3D4" * 4)
    assert settings().uses_tls
