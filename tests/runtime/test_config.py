"""Settings: validated, printed without secrets, and never plain text where it matters."""

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from tests.runtime.echo import EchoSettings

CERTIFICATE: dict[str, Any] = {"tls_certificate_file": "c", "tls_key_file": "k", "tls_ca_file": "a"}


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_LISTEN_ADDRESS", "127.0.0.1:7")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    settings = EchoSettings()
    assert settings.listen_address == "127.0.0.1:7"
    assert settings.log_level == "DEBUG"
    assert settings.otlp_endpoint == "http://127.0.0.1:4317"


def test_a_secret_can_be_given_by_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://u:hush@h/d\n")
    monkeypatch.setenv("ECHO_DATABASE_URL_FILE", str(file))
    settings = EchoSettings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:hush@h/d"
    assert settings.owner_url == settings.database_url
    printed = "\n".join(settings.printable())
    assert "ECHO_DATABASE_URL=**********" in printed
    assert "hush" not in printed


def test_a_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ECHO_DATABASE_URL_FILE", str(tmp_path))
    monkeypatch.setenv("ECHO_DATABASE_URL", "postgresql://h/d")
    with pytest.raises(ValueError, match="both ECHO_DATABASE_URL and"):
        EchoSettings()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"env": "production"}, "ENV=production needs TLS"),
        ({"env": "staging"}, "ENV=staging needs TLS"),
        ({"env": "elsewhere"}, "sandbox"),
        ({"listen_address": "0.0.0.0:1"}, "plain text is for loopback only"),
        ({"listen_address": "example.org:1"}, "plain text is for loopback only"),
        ({"listen_address": "127.0.0.1"}, "is not host:port"),
        ({"listen_address": "127.0.0.1:65536"}, "is not host:port"),
        ({"tls_key_file": "k"}, "TLS needs all three"),
        ({"log_level": "loud"}, "is not a log level"),
        ({"drain_seconds": 0}, "greater than 0"),
    ],
)
def test_unsafe_and_broken_settings_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EchoSettings(**fields)


class CallingSettings(EchoSettings):
    service_addresses: ClassVar[tuple[str, ...]] = ("peer_address", "other_address")
    peer_address: str = "127.0.0.1:1"
    other_address: str | None = None


def test_replicas_need_a_name_for_their_certificates() -> None:
    several = "ipv4:10.0.0.1:1,10.0.0.2:1"
    assert CallingSettings(peer_address=several).peer_address == several
    with pytest.raises(ValidationError, match="ECHO_PEER_ADDRESS: several IP addresses"):
        CallingSettings(peer_address=several, **CERTIFICATE)
    named = CallingSettings(peer_address="dns:///peers:1", **CERTIFICATE)
    assert named.peer_address == "dns:///peers:1"


@pytest.mark.parametrize(("env", "seconds"), [("sandbox", 0), ("staging", 2), ("production", 2)])
def test_a_stop_is_told_of_for_a_while_outside_the_sandbox(env: str, seconds: float) -> None:
    assert EchoSettings(env=env, **CERTIFICATE).drain_notice_seconds == seconds
    assert EchoSettings(env=env, drain_notice_seconds=60, **CERTIFICATE).drain_notice_seconds == 60
    with pytest.raises(ValidationError, match="less than or equal to 60"):
        EchoSettings(env=env, drain_notice_seconds=60.1, **CERTIFICATE)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "localhost:1", "127.8.8.8:1"])
def test_plain_text_on_loopback_is_for_the_sandbox(address: str) -> None:
    assert not EchoSettings(listen_address=address).uses_tls


def test_with_tls_any_address_and_environment_will_do() -> None:
    settings = EchoSettings(env="production", listen_address="0.0.0.0:1", **CERTIFICATE)
    assert settings.uses_tls


def test_a_process_with_bad_settings_names_them_and_exits() -> None:
    program = (
        "from tests.runtime.echo import EchoSettings\n"
        "from runtime.process import run_service\n"
        "run_service(EchoSettings, None)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"ECHO_DRAIN_SECONDS": "-1", "ECHO_DATABASE_URL": "postgresql://u:hush@h/d"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr == "echo: ECHO_DRAIN_SECONDS: Input should be greater than 0\n"
