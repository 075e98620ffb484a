"""What `ENV=production` refuses of every process: table by table, without a process."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import ValidationError

from runtime.production import (
    MIN_DIFFERENT_CHARACTERS,
    MIN_PASSWORD_CHARACTERS,
    SslMode,
    database_problems,
    is_development_authority,
    otlp_problem,
    weakness,
)
from runtime.published_secrets import PUBLISHED_SECRETS
from runtime.read_settings import SettingsError, read_settings
from sandbox.certificates import make_certificates
from tests.runtime.echo import EchoSettings

STRONG = "9f2c7be41d0a8356"
URL = f"postgresql://login:{STRONG}@db1/ledger"
TLS: dict[str, Any] = {"tls_certificate_file": "c", "tls_key_file": "k", "tls_ca_file": "a"}


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        (STRONG, None),
        (STRONG[:-1], "fewer than 16 characters"),
        ("", "fewer than 16 characters"),
        ("abcdef" + "f" * 10, None),
        ("abcde" + "e" * 11, "fewer than 6 different characters"),
        ("A" * 43 + "=", "fewer than 6 different characters"),
        *((secret, "published") for secret in sorted(PUBLISHED_SECRETS)),
        ("development\n", "published"),
    ],
)
def test_a_secret_is_long_varied_and_nobody_elses(secret: str, problem: str | None) -> None:
    assert (len(STRONG), MIN_PASSWORD_CHARACTERS) == (16, 16)
    assert MIN_DIFFERENT_CHARACTERS == 6
    found = weakness(secret)
    if problem is None:
        assert found is None
    else:
        assert found is not None
        assert problem in found
        assert not secret.strip() or secret.strip() not in found


def problems(
    url: str,
    environment: Mapping[str, str] = MappingProxyType({}),
    weakest: SslMode = SslMode.VERIFY_FULL,
) -> list[str]:
    return list(database_problems(url, weakest, environment, "ECHO_DATABASE_MIN_SSLMODE"))


@pytest.mark.parametrize("mode", SslMode)
@pytest.mark.parametrize("weakest", SslMode)
def test_a_weaker_sslmode_is_allowed_by_its_name(mode: SslMode, weakest: SslMode) -> None:
    order = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
    found = problems(f"{URL}?sslmode={mode}", weakest=weakest)
    if order.index(mode) >= order.index(weakest):
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].startswith(f"sslmode={mode} does not make sure")
        assert found[0].endswith(f"ECHO_DATABASE_MIN_SSLMODE={mode}")


@pytest.mark.parametrize(
    ("url", "environment", "mode"),
    [
        # Nothing is said: libpq takes plain text, too.
        (URL, {}, "prefer"),
        (f"postgresql://login:{STRONG}@127.0.0.1/ledger", {}, "prefer"),
        (f"postgresql://login:{STRONG}@h1:5432,h2:5433/ledger?sslmode=require", {}, "require"),
        (f"postgresql://login:{STRONG}@/ledger?host=h1&host=h2", {}, "prefer"),
        # One of the hosts is a socket, the other is not; an address makes a network of a socket.
        (f"postgresql://login:{STRONG}@/ledger?host=/run/postgresql,h2", {}, "prefer"),
        ("postgresql://l@/ledger?host=/run/postgresql&hostaddr=10.0.0.1", {}, "prefer"),
        # libpq's own variables hold for what the URL leaves out.
        (URL, {"PGSSLMODE": "verify-full"}, None),
        (URL, {"PGSSLMODE": "verify-ca"}, "verify-ca"),
        (f"{URL}?sslmode=require", {"PGSSLMODE": "verify-full"}, "require"),
        (f"{URL}?sslrootcert=system", {}, None),
        (f"{URL}?sslrootcert=/etc/ca.crt", {}, "prefer"),
        (URL, {"PGSSLROOTCERT": "system"}, None),
        ("postgresql:///ledger", {"PGHOST": "db1"}, "prefer"),
        ("postgresql:///ledger", {"PGHOSTADDR": "10.0.0.1"}, "prefer"),
        ("postgresql:///ledger", {"PGSERVICE": "ledger"}, "prefer"),
        ("postgresql:///ledger?service=ledger", {}, "prefer"),
        # There is no network.
        ("postgresql:///ledger", {}, None),
        ("postgresql:///ledger", {"PGHOST": "/run/postgresql"}, None),
        ("postgresql://login@/ledger?host=/run/postgresql", {}, None),
        ("postgresql://login@%2Frun%2Fpostgresql/ledger?sslmode=disable", {}, None),
    ],
)
def test_a_database_over_a_network_has_to_prove_who_it_is(
    url: str, environment: dict[str, str], mode: str | None
) -> None:
    found = problems(url, environment)
    assert [line.split()[0] for line in found] == ([f"sslmode={mode}"] if mode else [])


def test_an_sslmode_that_there_is_not_is_refused_without_being_shown() -> None:
    assert problems(f"{URL}?sslmode=hush") == [
        "its sslmode is none of disable, allow, prefer, require, verify-ca, verify-full"
    ]


@pytest.mark.parametrize(
    ("url", "environment"),
    [
        ("postgresql://login:development@/ledger", {}),
        ("postgresql://login@/ledger?password=development", {}),
        ("postgresql://login:develop%6Dent@/ledger", {}),
        ("postgresql://login@/ledger", {"PGPASSWORD": "development"}),
        ("postgresql://login:shorter@/ledger", {}),
    ],
)
def test_a_databases_password_is_looked_at_wherever_it_stands(
    url: str, environment: dict[str, str]
) -> None:
    (found,) = problems(url, environment)
    assert found.startswith("the password ")
    assert "develop" not in found
    assert "shorter" not in found


@pytest.mark.parametrize(
    ("endpoint", "environment", "told"),
    [
        (None, {"OTEL_EXPORTER_OTLP_HEADERS": "key=x"}, ""),
        ("http://collector:4317", {}, ""),
        ("https://collector:4317", {"OTEL_EXPORTER_OTLP_HEADERS": "key=x"}, ""),
        (
            "http://collector:4317",
            {"OTEL_EXPORTER_OTLP_HEADERS": "key=x"},
            "OTEL_EXPORTER_OTLP_HEADERS would",
        ),
        (
            "HTTP://collector:4317",
            {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "key=x"},
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS would",
        ),
        ("http://me:hush@collector:4317", {}, "its login would"),
    ],
)
def test_traces_carry_no_login_in_plain_text(
    endpoint: str | None, environment: dict[str, str], told: str
) -> None:
    found = otlp_problem(endpoint, environment)
    assert bool(found) is bool(told)
    assert (found or "").startswith(told)
    assert "hush" not in (found or "")


def test_the_sandboxes_authority_is_known(tmp_path: Path) -> None:
    ca = make_certificates(tmp_path, datetime.now(UTC), ["echo"])["echo"].ca
    assert is_development_authority(ca.read_bytes())
    assert not is_development_authority((tmp_path / "echo.crt").read_bytes())
    assert not is_development_authority(b"no certificate")
    with pytest.raises(ValidationError, match="ECHO_TLS_CA_FILE: is the CA of"):
        EchoSettings(env="production", **TLS | {"tls_ca_file": ca})
    assert EchoSettings(env="staging", **TLS | {"tls_ca_file": ca}).uses_tls


def test_all_is_told_at_once_each_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """And only in production: elsewhere published secrets are what one tries things out with."""
    for name, value in {
        "ENV": "production",
        "ECHO_DATABASE_URL": "postgresql://login:development@db1/echo",
        "ECHO_OWNER_DATABASE_URL": "postgresql://owner:hushhush@db1/echo?sslmode=require",
        "ECHO_DATABASE_MIN_SSLMODE": "verify-ca",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hush",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        read_settings(EchoSettings)
    starts = [
        "ECHO_DATABASE_URL: the password is published",
        "ECHO_DATABASE_URL: sslmode=prefer",
        "ECHO_OWNER_DATABASE_URL: the password has fewer than 16",
        "ECHO_OWNER_DATABASE_URL: sslmode=require",
        "OTEL_EXPORTER_OTLP_ENDPOINT: OTEL_EXPORTER_OTLP_HEADERS",
        "ENV=production needs TLS",
    ]
    assert len(refused.value.problems) == len(starts)
    for problem, start in zip(refused.value.problems, starts, strict=True):
        assert problem.startswith(start)
        assert "hush" not in problem

    # What cannot be read hides nothing of the rest, and says nothing twice.
    monkeypatch.setenv("ECHO_DRAIN_SECONDS", "-1")
    monkeypatch.setenv("ECHO_OWNER_DATABASE_URL", "hush")
    with pytest.raises(SettingsError) as unread:
        read_settings(EchoSettings)
    owners = "ECHO_OWNER_DATABASE_URL: "
    assert [line.split(": ")[0] for line in unread.value.problems[:2]] == [
        "ECHO_OWNER_DATABASE_URL",
        "ECHO_DRAIN_SECONDS",
    ]
    rest = [line for line in refused.value.problems if not line.startswith(owners)]
    assert unread.value.problems[2:] == rest

    monkeypatch.delenv("ECHO_DRAIN_SECONDS")
    monkeypatch.delenv("ECHO_OWNER_DATABASE_URL")
    monkeypatch.setenv("ENV", "staging")
    assert read_settings(EchoSettings, **TLS).uses_tls
