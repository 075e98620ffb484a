"""Prometheus, Grafana and the collector look at what the code really has."""

import importlib
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from runtime.addresses import split_address
from tests.deploy.compose import OWN_SERVICES, PROJECT, read_compose

COMPOSE = read_compose()
DEPLOY = PROJECT / "deploy"
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}
OPERATORS = {"or", "and", "unless"}
# Labels that Prometheus adds, or that come with a histogram.
GIVEN_LABELS = {"job", "instance", "le"}


@cache
def load(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())


@cache
def metrics_in_code() -> dict[str, set[str]]:
    """Names of time series with their labels, as registered by the services."""
    for service in OWN_SERVICES:
        importlib.import_module(f"{service}.__main__")
    found = {"up": {"job", "instance"}}
    for collector in set(REGISTRY._collector_to_names):
        labels = set(getattr(collector, "_labelnames", ()))
        for metric in collector.collect():
            for suffix in SUFFIXES.get(metric.type, ()):
                found[metric.name + suffix] = labels
    return found


def metrics_in(expression: str) -> set[str]:
    """The metrics of a PromQL expression: identifiers that are no function, label or keyword."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"\b[a-z_:][a-z0-9_:]*\b(?!\s*\()", bare)) - OPERATORS


def labels_in(expression: str) -> set[str]:
    """The labels that a PromQL expression selects or groups by."""
    grouped = re.findall(r"\bby\s*\(([^)]*)\)", expression)
    selected = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression)
    return {label.strip() for group in grouped for label in group.split(",")} | set(selected)


def panel_queries() -> Iterator[tuple[str, str]]:
    dashboard = json.loads((DEPLOY / "grafana/dashboards/payment-engine.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def alert_rules() -> list[dict[str, Any]]:
    return [rule for group in load("prometheus/alerts.yml")["groups"] for rule in group["rules"]]


def queries() -> list[tuple[str, str]]:
    return [*panel_queries(), *((rule["alert"], rule["expr"]) for rule in alert_rules())]


@pytest.mark.parametrize(("where", "expression"), queries())
def test_queries_use_metrics_and_labels_that_the_code_defines(where: str, expression: str) -> None:
    known = metrics_in_code()
    used = metrics_in(expression)
    assert used, where
    assert used <= set(known)
    labels = set().union(*(known[metric] for metric in used)) | GIVEN_LABELS
    assert labels_in(expression) <= labels


def test_the_reader_of_queries_sees_metrics() -> None:
    expression = 'sum by (a, b) (rate(x_total{c="d"}[5m])) / max by (a) (y) > 0.05'
    assert metrics_in(expression) == {"x_total", "y"}
    assert labels_in(expression) == {"a", "b", "c"}


def test_every_metric_of_a_service_is_shown_or_alerted_on() -> None:
    shown = set().union(*(metrics_in(expression) for _, expression in queries()))
    ours = {
        name
        for name in metrics_in_code()
        if name.startswith(
            (
                *("gateway_", "ledger_", "compliance_", "reconciliation_"),
                *("rpc_", "dependency_", "loop_", "database_"),
            )
        )
    }
    # A histogram is shown by any of its series.
    shown_bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    unseen = {name for name in ours if re.sub(r"_(bucket|sum|count)$", "", name) not in shown_bases}
    assert unseen == set()


def test_prometheus_scrapes_where_the_services_listen() -> None:
    targets = {
        job["job_name"]: job["static_configs"][0]["targets"]
        for job in load("prometheus/prometheus.yml")["scrape_configs"]
    }
    for service in OWN_SERVICES:
        address = COMPOSE.environment(service)[f"{service.upper()}_HTTP_ADDRESS"]
        assert targets.pop(service) == [f"{service}:{split_address(address)[1]}"]
    reader = load("otel-collector.yaml")["service"]["telemetry"]["metrics"]["readers"][0]
    port = reader["pull"]["exporter"]["prometheus"]["port"]
    assert targets == {"otel-collector": [f"otel-collector:{port}"]}


def test_prometheus_reads_the_rules_that_are_mounted() -> None:
    mounted = [mount.split(":")[1] for mount in COMPOSE.services["prometheus"]["volumes"]]
    assert set(load("prometheus/prometheus.yml")["rule_files"]) <= set(mounted)


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: str(rule["alert"]))
def test_alerts_are_explained_to_operators(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert f"`{rule['alert']}`" in (PROJECT / "docs/operations.md").read_text()


def test_grafana_finds_its_datasource_and_dashboard() -> None:
    source = load("grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
    assert source["url"] == f"http://prometheus:{9090}"
    assert 9090 in COMPOSE.published("prometheus")
    dashboard = json.loads((DEPLOY / "grafana/dashboards/payment-engine.json").read_text())
    uids = {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel}
    assert uids == {source["uid"]}
    provider = load("grafana/provisioning/dashboards/payment-engine.yml")["providers"][0]
    mounts = [mount.split(":")[1] for mount in COMPOSE.services["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounts


def test_the_collector_takes_traces_where_the_services_send_them() -> None:
    config = load("otel-collector.yaml")
    port = split_address(config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"])[1]
    for service in OWN_SERVICES:
        endpoint = COMPOSE.environment(service)["OTEL_EXPORTER_OTLP_ENDPOINT"]
        assert endpoint == f"http://otel-collector:{port}"
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind])
    assert set(config["service"]["extensions"]) <= set(config["extensions"])
