"""Settings every service has: read once from the environment, validated, printed without secrets.

Each field is the environment variable with the service's prefix (`LEDGER_LISTEN_ADDRESS`), but
for the three that all processes of a deployment share: `ENV`, `LOG_LEVEL` and
`OTEL_EXPORTER_OTLP_ENDPOINT`. A secret can be given by file: `<NAME>_FILE` names it.
"""

import os
from collections.abc import Iterator
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)


class Environment(StrEnum):
    """Where the process runs; only the sandbox may speak plain text, only production live keys."""

    SANDBOX = "sandbox"
    STAGING = "staging"
    PRODUCTION = "production"


class SecretFileSource(PydanticBaseSettingsSource):
    """Reads `<NAME>_FILE` for every field whose value is a secret."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = f"{self.config.get('env_prefix', '')}{field_name}".upper()
        path = os.environ.get(f"{name}_FILE")
        if path is None or "SecretStr" not in str(field.annotation):
            return None, field_name, False
        if name in os.environ:
            raise ValueError(f"both {name} and {name}_FILE are set")
        return Path(path).read_text(encoding="utf-8").strip(), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = (
            self.get_field_value(field, name)
            for name, field in self.settings_cls.model_fields.items()
        )
        return {name: value for value, name, _ in found if value is not None}


class ServiceSettings(BaseSettings):
    """What every service can be told; a service's own settings derive from it."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    service_name: ClassVar[str]

    env: Environment = Field(Environment.SANDBOX, validation_alias=AliasChoices("env", "ENV"))
    log_level: str = Field("INFO", validation_alias=AliasChoices("log_level", "LOG_LEVEL"))
    otlp_endpoint: str | None = Field(
        None, validation_alias=AliasChoices("otlp_endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    listen_address: str
    http_address: str
    database_url: SecretStr | None = None
    owner_database_url: SecretStr | None = None
    database_pool_size: int = Field(10, ge=1, le=200)
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_ca_file: Path | None = None
    drain_seconds: float = Field(20.0, gt=0, le=600)
    default_timeout_seconds: float = Field(30.0, gt=0, le=600)
    max_concurrent_calls: int = Field(4096, ge=1, le=65_536)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFileSource(settings_cls)

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, level: str) -> str:
        if level.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
            raise ValueError("is not a log level")
        return level.upper()

    @field_validator("listen_address", "http_address")
    @classmethod
    def _host_and_port(cls, address: str) -> str:
        split_address(address)
        return address

    @model_validator(mode="after")
    def _transport_is_safe(self) -> Self:
        files = (self.tls_certificate_file, self.tls_key_file, self.tls_ca_file)
        if any(files) and not all(files):
            raise ValueError("TLS needs all three: certificate, key and CA file")
        if self.uses_tls:
            return self
        if self.env is not Environment.SANDBOX:
            raise ValueError(f"ENV={self.env} needs TLS: set the TLS certificate, key and CA file")
        if not is_loopback(self.listen_address):
            raise ValueError("plain text is for loopback only: set TLS or listen on 127.0.0.1")
        return self

    @property
    def uses_tls(self) -> bool:
        """Whether gRPC is spoken over mutual TLS."""
        return self.tls_certificate_file is not None

    @property
    def owner_url(self) -> SecretStr | None:
        """The database login that runs migrations."""
        return self.owner_database_url or self.database_url

    def printable(self) -> Iterator[str]:
        """The settings as lines `NAME=value`, secrets hidden."""
        prefix = self.model_config.get("env_prefix", "")
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            alias = field.validation_alias
            shown = alias.choices[-1] if isinstance(alias, AliasChoices) else prefix + name
            yield f"{str(shown).upper()}={'' if value is None else value}"


def split_address(address: str) -> tuple[str, int]:
    """`host:port` as its parts; port 0 asks the system for a free one."""
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("is not host:port")
    return host.strip("[]"), int(port)


def is_loopback(address: str) -> bool:
    """Whether `host:port` can be reached from this machine alone."""
    host, _ = split_address(address)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
