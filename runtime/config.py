"""Settings every service has: read once from the environment, validated, printed without secrets.

Each field is the environment variable with the service's prefix (`LEDGER_LISTEN_ADDRESS`), but
for the three that all processes of a deployment share: `ENV`, `LOG_LEVEL` and
`OTEL_EXPORTER_OTLP_ENDPOINT`. A secret can be given by file: `<NAME>_FILE` names it. Variables with
the service's prefix that no setting has are refused by `runtime.read_settings`.
"""

import json
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from runtime.addresses import is_loopback, split_address
from runtime.database_limits import DatabaseLimits
from runtime.database_url import parse
from runtime.production import (
    SslMode,
    database_problems,
    is_development_authority,
    otlp_problem,
)
from runtime.rights import (
    Binding,
    Caller,
    ClientRoles,
    MethodRoles,
    Rights,
    callers,
    parsed,
    roles_of_methods,
    with_method_roles,
)
from runtime.service_target import tls_problem

# Clients that watch health leave within milliseconds, balancers that ask every second within two.
DRAIN_NOTICE_SECONDS = 2.0


def _unset() -> Any:
    return None


class SettingsTogetherError(ValueError):
    """Settings that are right one by one and cannot be used together: a line each, which names the
    variables and never a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Environment(StrEnum):
    """Where the process runs; only the sandbox may speak plain text, only production live keys.

    Production is where real money moves, so that is where published and weak secrets are refused.
    """

    SANDBOX = "sandbox"
    STAGING = "staging"
    PRODUCTION = "production"


class SecretFileSource(PydanticBaseSettingsSource):
    """Reads `<NAME>_FILE` for every field whose value is a secret."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = f"{self.config.get('env_prefix', '')}{field_name}".upper()
        path = os.environ.get(f"{name}_FILE")
        if path is None or not is_secret(field):
            return None, field_name, False
        if name in os.environ:
            raise ValueError(f"both {name} and {name}_FILE are set")
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as error:
            raise ValueError(f"{name}_FILE: {path}: {error.strerror}") from error
        except UnicodeDecodeError:
            # Its own message would quote a byte of the secret.
            raise ValueError(f"{name}_FILE: {path}: is not UTF-8 text") from None

    def __call__(self) -> dict[str, Any]:
        found = (
            self.get_field_value(field, name)
            for name, field in self.settings_cls.model_fields.items()
        )
        return {name: value for value, name, _ in found if value is not None}


class DatabaseSettings(BaseSettings):
    """What a process that only works on a service's database can be told, such as `migrate`."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    service_name: ClassVar[str]
    # Variables with the service's prefix that others of its programs read.
    other_variables: ClassVar[frozenset[str]] = frozenset()

    env: Environment = Field(Environment.SANDBOX, validation_alias=AliasChoices("env", "ENV"))
    log_level: str = Field("INFO", validation_alias=AliasChoices("log_level", "LOG_LEVEL"))
    otlp_endpoint: str | None = Field(
        None, validation_alias=AliasChoices("otlp_endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    database_url: SecretStr | None = None
    owner_database_url: SecretStr | None = None
    # The weakest mode that production takes over a network, by its name.
    database_min_sslmode: SslMode = SslMode.VERIFY_FULL

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

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _is_database_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parse(url.get_secret_value())
        return url

    @model_validator(mode="after")
    def _can_be_used_together(self) -> Self:
        problems = list(self.problems())
        if problems:
            raise SettingsTogetherError(problems)
        return self

    def problems(self) -> Iterator[str]:
        """What is wrong with settings that are right one by one; services add theirs."""
        if self.env is Environment.PRODUCTION:
            yield from self.production_problems()

    def production_problems(self) -> Iterator[str]:
        """What production does not take; services add theirs."""
        for name in ("database_url", "owner_database_url"):
            url = getattr(self, name)
            if url is not None:
                for problem in database_problems(
                    url.get_secret_value(),
                    self.database_min_sslmode,
                    os.environ,
                    self.variable("database_min_sslmode"),
                ):
                    yield f"{self.variable(name)}: {problem}"
        untold = otlp_problem(self.otlp_endpoint, os.environ)
        if untold:
            yield f"{self.variable('otlp_endpoint')}: {untold}"

    @property
    def owner_url(self) -> SecretStr | None:
        """The database login that runs migrations."""
        return self.owner_database_url or self.database_url

    @property
    def migrates_at_start(self) -> bool:
        """Whether serving brings the schema to its newest revision, rather than only checks it."""
        return self.owner_database_url is not None or self.env is Environment.SANDBOX

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment variable of a setting, by the field's name or by an alias of it."""
        for field_name, field in cls.model_fields.items():
            alias = field.validation_alias
            choices = alias.choices if isinstance(alias, AliasChoices) else [field_name]
            if name in choices:
                shown = choices[-1] if isinstance(alias, AliasChoices) else cls._prefix() + name
                return str(shown).upper()
        raise KeyError(name)

    @classmethod
    def variables(cls) -> Iterator[str]:
        """Every environment variable that is read."""
        for name, field in cls.model_fields.items():
            yield cls.variable(name)
            if is_secret(field):
                yield f"{cls.variable(name)}_FILE"

    @classmethod
    def _prefix(cls) -> str:
        return cls.model_config.get("env_prefix", "")

    def printable(self) -> Iterator[str]:
        """The settings as lines `NAME=value`, secrets hidden."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, dict):
                value = json.dumps(value)
            yield f"{self.variable(name)}={'' if value is None else value}"


class ServiceSettings(DatabaseSettings):
    """What every service can be told; a service's own settings derive from it."""

    # Which roles may call which methods, who has which role unless settings say otherwise, and what
    # names may be bound to.
    rights: ClassVar[Rights] = {}
    default_client_roles: ClassVar[Mapping[str, str]] = {}
    # Whether production acknowledges nothing that no standby has, unless it is told otherwise.
    synchronous_in_production: ClassVar[bool] = False
    binding: ClassVar[Binding | None] = None
    # The settings that say where other services are.
    service_addresses: ClassVar[tuple[str, ...]] = ()

    listen_address: str
    http_address: str
    database_pool_size: int = Field(10, ge=1, le=200)
    # See `DatabaseLimits`.
    database_connect_seconds: int = Field(2, ge=2, le=30)
    database_stall_seconds: float = Field(2.0, ge=0.5, le=30)
    database_answer_seconds: float = Field(60.0, ge=10, le=600)
    # Whether nothing is served or acknowledged unless the primary is synchronous.
    require_synchronous: bool = Field(default_factory=_unset, validate_default=True)
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_ca_file: Path | None = None
    drain_seconds: float = Field(20.0, gt=0, le=600)
    # How long a server that stops says so before it takes no more calls; none in the sandbox.
    drain_notice_seconds: float = Field(default_factory=_unset, validate_default=True, ge=0, le=60)
    default_timeout_seconds: float = Field(30.0, gt=0, le=600)
    max_concurrent_calls: int = Field(4096, ge=1, le=65_536)
    # Of calls whose answer is a stream, which may last for days.
    max_concurrent_streams: int = Field(1024, ge=1, le=65_536)
    # Of the HTTP port, in all and of one address. Never more than a quarter of the descriptors.
    http_max_connections: int = Field(512, ge=1, le=65_536)
    http_max_connections_per_address: int = Field(256, ge=1, le=65_536)
    # JSON {name in a certificate: role}, the whole of it in place of the default.
    client_roles: Annotated[ClientRoles, NoDecode] = Field(
        default_factory=_unset, validate_default=True
    )
    # JSON {service: {method: [roles]}}, for each method named in place of the service's own rule.
    method_roles: Annotated[MethodRoles, NoDecode] = Field(
        default_factory=dict, validate_default=True
    )

    @field_validator("require_synchronous", mode="before")
    @classmethod
    def _synchronous_by_environment(cls, given: Any, info: ValidationInfo) -> Any:
        if given is not None:
            return given
        return cls.synchronous_in_production and info.data.get("env") is Environment.PRODUCTION

    @field_validator("drain_notice_seconds", mode="before")
    @classmethod
    def _notice_by_environment(cls, given: Any, info: ValidationInfo) -> Any:
        if given is not None:
            return given
        return 0.0 if info.data.get("env") is Environment.SANDBOX else DRAIN_NOTICE_SECONDS

    @field_validator("client_roles", mode="before")
    @classmethod
    def _client_roles_from_json(cls, given: Any) -> Any:
        if given is None:
            return dict(cls.default_client_roles)
        return parsed(given, '{"NAME": "ROLE"}') if isinstance(given, str) else given

    @field_validator("client_roles")
    @classmethod
    def _have_roles(cls, given: ClientRoles) -> ClientRoles:
        callers(given, cls.binding)
        return given

    @field_validator("method_roles", mode="before")
    @classmethod
    def _method_roles_from_json(cls, given: Any) -> Any:
        form = '{"SERVICE": {"METHOD": ["ROLE"]}}'
        return parsed(given, form) if isinstance(given, str) else given

    @field_validator("method_roles")
    @classmethod
    def _may_be_called(cls, given: MethodRoles) -> MethodRoles:
        return roles_of_methods(with_method_roles(cls.rights, given))

    @property
    def rights_in_force(self) -> Rights:
        """Which roles may call which methods."""
        return with_method_roles(self.rights, self.method_roles)

    @property
    def callers(self) -> dict[str, Caller]:
        """Who has which role, by name."""
        return callers(self.client_roles, self.binding)

    @field_validator("listen_address", "http_address")
    @classmethod
    def _host_and_port(cls, address: str) -> str:
        split_address(address)
        return address

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        files = (self.tls_certificate_file, self.tls_key_file, self.tls_ca_file)
        names = ("tls_certificate_file", "tls_key_file", "tls_ca_file")
        variables = ", ".join(self.variable(name) for name in names)
        if any(files) and not all(files):
            yield f"TLS needs all three: {variables}"
        elif self.uses_tls:
            yield from self._addresses_without_a_name()
        elif self.env is not Environment.SANDBOX:
            yield f"ENV={self.env} needs TLS: {variables}"
        elif not is_loopback(self.listen_address):
            yield (
                f"{self.variable('listen_address')}: plain text is for loopback only:"
                f" listen on 127.0.0.1, or set {variables}"
            )

    def _addresses_without_a_name(self) -> Iterator[str]:
        for name in self.service_addresses:
            address = getattr(self, name)
            if address and (problem := tls_problem(address)):
                yield f"{self.variable(name)}: {problem}"

    def production_problems(self) -> Iterator[str]:
        yield from super().production_problems()
        # A file that is not there is told of when it is needed.
        file = self.tls_ca_file
        if file and file.is_file() and is_development_authority(file.read_bytes()):
            variable = self.variable("tls_ca_file")
            yield f"{variable}: is the CA of `python -m sandbox certificates`: take your own"

    @property
    def database_limits(self) -> DatabaseLimits:
        """What is waited for at most in the database."""
        return DatabaseLimits(
            self.database_connect_seconds,
            self.database_stall_seconds,
            self.database_answer_seconds,
        )

    @property
    def uses_tls(self) -> bool:
        """Whether gRPC is spoken over mutual TLS."""
        return self.tls_certificate_file is not None


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting is never shown."""
    return "SecretStr" in str(field.annotation)
