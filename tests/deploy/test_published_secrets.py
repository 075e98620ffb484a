"""Every secret that the repository publishes is known, and no setting lets one into production."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from compliance.config import ComplianceSettings
from gateway.config import GatewaySettings
from ledger.config import LedgerSettings
from reconciliation.config import ReconciliationSettings
from runtime.config import ServiceSettings, is_secret
from runtime.published_secrets import PUBLISHED_SECRETS
from runtime.read_settings import SettingsError, read_settings
from runtime.signed_notes import SignerKey
from sandbox.stripe_twin.accounts import ALL_ACCOUNTS
from tests.commands import run
from tests.deploy.compose import PROJECT, read_compose

COMPOSE = read_compose()
SETTINGS: tuple[type[ServiceSettings], ...] = (
    LedgerSettings,
    GatewaySettings,
    ComplianceSettings,
    ReconciliationSettings,
)
SECRET_VARIABLE = re.compile(r"PASSWORD|SECRET|_KEY\b|_KEYS\b|TOKEN|DATABASE_URL|NATS_URLS")
FOLDERS = (
    *(
        "runtime",
        "money",
        "ledger",
        "gateway",
        "compliance",
        "reconciliation",
        "warehouse",
        "sandbox",
    ),
    *("deploy", "docs", "tests", "bench", "findings", "protos"),
)
# In the forms that Go's sumdb and Stripe give them, but for what stands for one ("rk_…", "<name>").
SIGNER_KEY = re.compile(r"PRIVATE\+KEY\+[\w.]+\+[0-9a-f]{8}\+[\w+/=]{44}")
TWINS = re.compile(r"\b(?:[sr]k_(?:test|live)|whsec)_twin_[a-z]+\b")


def test_the_compose_files_secrets_are_known() -> None:
    """What it says in the open, passwords in URLs too; what stands in files is made at random."""
    for name, service in COMPOSE.services.items():
        for variable, value in service.get("environment", {}).items():
            if not SECRET_VARIABLE.search(variable) or variable.endswith("_FILE"):
                continue
            url = urlsplit(str(value))
            secret = (url.password or url.username) if url.scheme else str(value)
            assert secret is None or secret in PUBLISHED_SECRETS, f"{name}: {variable}"


def test_the_twins_secrets_are_known() -> None:
    for account in ALL_ACCOUNTS:
        assert {account.secret_key, account.webhook_secret} <= PUBLISHED_SECRETS


def texts() -> Iterator[str]:
    """What the repository has, but for lock files and what a run leaves behind."""
    yield from (path.read_text() for path in (*PROJECT.glob("*.md"), *PROJECT.glob("*.yml")))
    for folder in FOLDERS:
        for path in (PROJECT / folder).rglob("*"):
            if path.suffix in {".py", ".md", ".yml", ".yaml", ".sh", ".json", ".conf"}:
                yield path.read_text(encoding="utf-8")


def test_what_looks_like_a_secret_in_any_file_is_known() -> None:
    found = {
        secret
        for text in texts()
        for pattern in (SIGNER_KEY, TWINS)
        for secret in pattern.findall(text)
    }
    assert {"sk_test_twin_default", "whsec_twin_japan"} < found
    assert found <= PUBLISHED_SECRETS


def example(variable: str) -> str:
    """A value of a secret setting that is in its form and holds what is published."""
    if variable in ("LEDGER_SIGNING_KEY", "RECONCILIATION_SIGNING_KEY"):
        return next(one for one in PUBLISHED_SECRETS if "ledger.development" in one)
    if variable == "GATEWAY_STRIPE_API_KEY":
        return "sk_test_twin_default"
    if variable in ("GATEWAY_WEBHOOK_SECRET_KEYS", "COMPLIANCE_DOCUMENT_KEYS"):
        return "A" * 43 + "="
    if variable == "LEDGER_SHARDS":
        return '{"other": {"database_url": "postgresql://login:development@/other"}}'
    if variable.endswith("_URLS"):
        return "tls://gateway:development@nats:4222"
    if variable.endswith("_URL"):
        return "postgresql://login:development@/database"
    return "development"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (settings, name)
        for settings in SETTINGS
        for name, field in settings.model_fields.items()
        if is_secret(field)
    ],
)
def test_no_secret_setting_lets_a_published_one_into_production(
    settings: type[ServiceSettings], field: str
) -> None:
    variable = settings.variable(field)
    # Without a Stripe key the gateway looks no further at what is Stripe's.
    given: dict[str, Any] = {"env": "production", "stripe_api_key": "sk_live_1"}
    given[field] = example(variable)
    with pytest.raises(ValidationError) as refused:
        settings(**given)
    lines = [line.split(": ") for line in "; ".join(problems_of(refused.value)).split("; ")]
    assert variable in {line[0] for line in lines}
    assert given[field] not in str(refused.value)


def problems_of(refused: ValidationError) -> list[str]:
    return [problem["msg"].removeprefix("Value error, ") for problem in refused.errors()]


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_of_its_own_are_taken_in_production(
    settings: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prefix = settings.model_config["env_prefix"]
    url = "postgresql://{}:9f2c7be41d0a8356@db1:5432,db2:5432/x?sslmode=verify-full&sslrootcert=ca"
    environment = {
        "ENV": "production",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        f"{prefix}DATABASE_URL": url.format("login"),
        f"{prefix}OWNER_DATABASE_URL": url.format("owner"),
        **{f"{prefix}TLS_{name}_FILE": f"/own/{name}" for name in ("CERTIFICATE", "KEY", "CA")},
        "LEDGER_SIGNING_KEY": SignerKey.generate("ledger.example.com").secret_text(),
        "RECONCILIATION_SIGNING_KEY": SignerKey.generate("finance.example.com").secret_text(),
        "GATEWAY_STRIPE_API_KEY": "rk_live_51Habcdefghijklmnopqrstuv",
        "GATEWAY_STRIPE_WEBHOOK_SECRETS": "whsec_abcdefghijklmnopqrstuvwxyz012345",
        "GATEWAY_WEBHOOK_BUFFER": "nats",
        "GATEWAY_WEBHOOK_NATS_URLS": "tls://gateway:9f2c7be41d0a8356@nats1, tls://nats2",
        "COMPLIANCE_SDN_FILE": str(tmp_path / "sdn.csv"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert read_settings(settings).uses_tls


TOLD = {
    "ledger": {"ENV=production needs LEDGER_SIGNING_KEY or LEDGER_SIGNING_KEY_FILE"},
    "gateway": {
        "GATEWAY_STRIPE_API_KEY",
        "GATEWAY_STRIPE_API_BASE",
        "GATEWAY_STRIPE_WEBHOOK_SECRETS",
    },
    "compliance": {"COMPLIANCE_SDN_FILE"},
    "reconciliation": {
        "ENV=production needs RECONCILIATION_SIGNING_KEY or RECONCILIATION_SIGNING_KEY_FILE"
    },
}


def in_the_open(service: str) -> dict[str, str]:
    """The compose file's settings, in production, without what is made at random."""
    environment = {
        name: value
        for name, value in COMPOSE.environment_here(service, Path("/nowhere")).items()
        if not value.startswith("/nowhere")
    }
    url = f"postgresql://{service}_login:development@127.0.0.1:1/{service}"
    return environment | {"ENV": "production", f"{service.upper()}_DATABASE_URL": url}


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_compose_files_settings_are_refused_in_production_all_at_once(
    settings: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = settings.service_name
    for name, value in in_the_open(service).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        read_settings(settings)
    check_told(service, refused.value.problems)


def test_a_production_process_with_them_ends_before_it_serves() -> None:
    ran = run("gateway", environment=in_the_open("gateway"))
    assert (ran.returncode, ran.stdout) == (2, "")
    lines = ran.stderr.splitlines()
    assert all(line.startswith("gateway: ") for line in lines)
    check_told("gateway", [line.removeprefix("gateway: ") for line in lines])


def check_told(service: str, problems: list[str]) -> None:
    told = [problem.split(": ")[0] for problem in problems]
    url = f"{service.upper()}_DATABASE_URL"
    assert set(told) == TOLD[service] | {url, "ENV=production needs TLS"}
    assert told.count(url) == 2
    for secret in ("development", "twin_default"):
        assert not any(secret in problem for problem in problems)


def test_every_program_reads_its_settings_where_production_refuses() -> None:
    """Migrations, too: they have the owner's login."""
    refused = run(
        "ledger",
        "migrate",
        environment={
            "ENV": "production",
            "LEDGER_OWNER_DATABASE_URL": "postgresql://owner:development@db1/ledger",
        },
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith("ledger: LEDGER_OWNER_DATABASE_URL: the password is published")
