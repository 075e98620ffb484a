"""Settings of the gateway, read from `GATEWAY_…` and the common variables."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from gateway.foresight.actions import LEAST_KEPT
from gateway.payments.domain.three_d_secure import Rules
from gateway.payments.three_d_secure_file import ThreeDSecureFileError, rules_of_file
from gateway.rights import DEFAULT_CLIENT_ROLES, MERCHANTS, RIGHTS
from gateway.routing_service.steps import Mode
from gateway.routing_service.terms import RoutingTerms, TermsError, terms_of_file
from gateway.stripe_client.corridors import (
    Corridor,
    CorridorError,
    corridors_of_file,
    single_corridor,
)
from gateway.stripe_client.environment import environment_problems
from gateway.webhooks_in.config import WebhookSettings
from money.currencies import CURRENCIES
from runtime.config import Environment
from runtime.production import weakness
from runtime.rights import Binding, Rights
from runtime.sealing import Sealer, keys_of
from runtime.service_target import check_target
from runtime.webhook_addresses import DEFAULT_PORTS, Destinations, networks_of, ports_of

# What the processes may do in the database: migrations grant it.
DATABASE_ROLE = "gateway_service"


ReportKindName = Literal["ACTIVITY", "PAYOUTS", "SUMMARY", "PAYOUT_CONTENTS", "ENDING_BALANCE"]


class Role(StrEnum):
    """What a process of the gateway does; one process may do all of it."""

    API = "api"
    WEBHOOKS = "webhooks"
    WORKER = "worker"


class GatewaySettings(WebhookSettings):
    """What the gateway can be told beyond what every service can."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_", extra="ignore", frozen=True, hide_input_in_errors=True
    )
    service_name: ClassVar[str] = "gateway"
    synchronous_in_production: ClassVar[bool] = True
    rights: ClassVar[Rights] = RIGHTS
    default_client_roles: ClassVar[Mapping[str, str]] = DEFAULT_CLIENT_ROLES
    binding: ClassVar[Binding | None] = MERCHANTS
    service_addresses: ClassVar[tuple[str, ...]] = ("ledger_address", "compliance_address")

    listen_address: str = "127.0.0.1:50052"
    http_address: str = "127.0.0.1:8080"
    # Comma separated: api, webhooks (takes Stripe's events in), worker (all that goes on behind).
    roles: str = "api,webhooks,worker"
    ledger_address: str = "127.0.0.1:50051"
    # The name of the ledger that payments are booked in; it is made when first needed.
    ledger_name: str = Field("payments", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    compliance_address: str = "127.0.0.1:50053"
    # Without a key, the Stripe twin of the sandbox.
    stripe_api_key: SecretStr | None = None
    stripe_api_base: str | None = None
    # Comma separated: several while one is rolled.
    stripe_webhook_secrets: SecretStr | None = None
    # Several Stripe accounts instead of the one above; see docs/gateway.md.
    stripe_corridors_file: Path | None = None
    # Keeps apart what several deployments make at one Stripe account. Never change it: requests
    # that come again would be new ones.
    deployment: str = Field("default", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    # Replicas that see Stripe over the same network share their breakers.
    machine_group: str = Field("default", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    # One operation's calls to the outside, and the lease under which operations and bookings
    # are worked on.
    call_seconds: float = Field(30.0, gt=0, le=120)
    lease_seconds: float = Field(45.0, gt=0, le=600)
    compliance_timeout_seconds: float = Field(5.0, gt=0, le=30)
    # A caller with a distant deadline is answered after this long.
    answer_seconds: float = Field(25.0, gt=0, le=300)
    # And after this long while the corridor is slow, with the payment as it stands.
    slow_answer_seconds: float = Field(0.3, gt=0, le=300)
    worker_concurrency: int = Field(16, ge=1, le=256)
    max_queue_length: int = Field(10_000, ge=1, le=1_000_000)
    # States that end by time.
    action_hours: float = Field(24.0, gt=0, le=24 * 7)
    review_hours: float = Field(72.0, gt=0, le=24 * 30)
    review_recheck_seconds: float = Field(300.0, gt=0, le=86_400)
    # The largest amounts in minor units that known customers may be charged while compliance cannot
    # be reached, as JSON by currency: {"EUR": 2000}. Without an entry nothing is charged unasked.
    unchecked_up_to: dict[str, int] = Field(default_factory=dict)
    # When 3-D Secure is asked for besides what Stripe does by itself: a TOML file with rules.
    three_d_secure_file: Path | None = None
    # How often each corridor's balance transactions are looked through.
    balance_sweep_seconds: float = Field(60.0, gt=0, le=86_400)

    # Whether Stripe Billing is read, and how often all of it that may have changed.
    billing: bool = False
    billing_sweep_seconds: float = Field(86_400.0, gt=0, le=604_800)

    # Whether Sigma's scheduled queries are followed, how often the list of their runs is walked,
    # and for how many days the files with their results are kept.
    sigma: bool = False
    sigma_walk_seconds: float = Field(3_600.0, gt=0, le=604_800)
    sigma_keep_days: int = Field(30, ge=1, le=366)

    # Whether routing chooses among the corridors that a payment may use, and a TOML file with what
    # it is allowed; see docs/routing.md.
    routing: Mode = Mode.OFF
    routing_terms_file: Path | None = None
    # Whether corridors' degradation is foreseen, and corridors that are expected to degrade are
    # treated so: how far at most, and not before so many minutes have taught what is usual. And
    # what is promised of corridors.
    foresight: bool = False
    foresight_most_discount: float = Field(0.5, ge=0, le=1 - LEAST_KEPT)
    foresight_least_concurrency: float = Field(0.5, ge=LEAST_KEPT, le=1)
    foresight_probe_minutes: int = Field(2, ge=0, le=60)
    foresight_incidents: bool = True
    foresight_learning_minutes: int = Field(1_440, ge=0, le=50_400)
    foresight_latency_ms: float = Field(2_500.0, gt=0, le=600_000)
    foresight_failure_share: float = Field(0.05, gt=0, lt=1)
    foresight_webhook_lag_seconds: float = Field(120.0, gt=0, le=900)

    # How many days back the first of Stripe's financial reports are of; 0: none is asked for.
    report_days: int = Field(0, ge=0, le=366)
    # Which of them, as JSON. PAYOUT_CONTENTS and ENDING_BALANCE are of accounts that Stripe pays
    # out automatically.
    report_kinds: tuple[ReportKindName, ...] = ("ACTIVITY", "PAYOUTS", "SUMMARY")
    # Time zones of corridors whose reports are not of UTC's days, as JSON:
    # {"au": "Australia/Sydney"}.
    report_zones: dict[str, str] = Field(default_factory=dict)

    # Comma separated keys, base 64 of 32 bytes each: clients' webhook secrets are encrypted at rest
    # with the first, and read with any.
    webhook_secret_keys: SecretStr | None = None

    # Where webhooks to clients go besides the public internet, and where not even there: comma
    # separated networks. And the ports that they go to.
    webhook_endpoint_allowed_networks: str | None = None
    webhook_endpoint_denied_networks: str | None = None
    webhook_endpoint_ports: str = DEFAULT_PORTS

    @field_validator("webhook_endpoint_allowed_networks", "webhook_endpoint_denied_networks")
    @classmethod
    def _networks_are_networks(cls, networks: str | None) -> str | None:
        networks_of(networks)
        return networks

    @field_validator("report_zones")
    @classmethod
    def _zones_are_zones(cls, zones: dict[str, str]) -> dict[str, str]:
        _zones_of(zones)
        return zones

    @field_validator("webhook_endpoint_ports")
    @classmethod
    def _ports_are_ports(cls, ports: str) -> str:
        ports_of(ports)
        return ports

    @field_validator("webhook_secret_keys")
    @classmethod
    def _keys_are_keys(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is not None:
            keys_of(keys.get_secret_value())
        return keys

    @field_validator("unchecked_up_to")
    @classmethod
    def _currencies_and_amounts(cls, given: dict[str, int]) -> dict[str, int]:
        for code, amount in given.items():
            if code not in CURRENCIES:
                raise ValueError(f"{code[:8]} is no ISO 4217 currency")
            if amount < 1:
                raise ValueError(f"the amount of {code} is less than 1")
        return given

    @field_validator("ledger_address", "compliance_address")
    @classmethod
    def _service_address(cls, address: str) -> str:
        return check_target(address)

    @field_validator("roles")
    @classmethod
    def _known_roles(cls, roles: str) -> str:
        _roles_of(roles)
        return roles

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.lease_seconds <= self.call_seconds:
            yield "GATEWAY_LEASE_SECONDS must be more than GATEWAY_CALL_SECONDS"
        yield from self._three_d_secure_problems()
        yield from self._routing_problems()
        # The twin's webhook secret is published: whoever knows it could forge events.
        unset = self.stripe_corridors_file is None and self.stripe_api_key is None
        if unset and self.env is not Environment.SANDBOX:
            yield f"ENV={self.env} needs GATEWAY_STRIPE_API_KEY or a corridors file"
        else:
            yield from self._corridor_problems()

    def _three_d_secure_problems(self) -> Iterator[str]:
        try:
            _ = self.three_d_secure_rules
        except ThreeDSecureFileError as error:
            yield f"{self.variable('three_d_secure_file')}: {error}"

    def production_problems(self) -> Iterator[str]:
        yield from super().production_problems()
        if self.webhook_secret_keys is not None:
            for key in self.webhook_secret_keys.get_secret_value().split(","):
                if problem := weakness(key.strip()):
                    variable = self.variable("webhook_secret_keys")
                    yield f"{variable}: a key {problem}: make one with `openssl rand -base64 32`"

    def _routing_problems(self) -> Iterator[str]:
        try:
            _ = self.routing_terms
        except TermsError as error:
            yield f"{self.variable('routing_terms_file')}: {error}"

    def _corridor_problems(self) -> Iterator[str]:
        of_file = self.stripe_corridors_file is not None
        try:
            corridors = self.corridors
        except CorridorError as error:
            names = ["corridors_file"] if of_file else ["api_key", "api_base", "webhook_secrets"]
            variables = ", ".join(self.variable(f"stripe_{name}") for name in names)
            yield f"{variables}: {error}"
            return
        production = self.env is Environment.PRODUCTION
        for problem in environment_problems(corridors, production=production):
            if of_file:
                where = f"{self.variable('stripe_corridors_file')}: {problem.corridor}"
                yield f"{where}: {problem.field}: {problem.text}"
            else:
                yield f"{self.variable(f'stripe_{problem.field}')}: {problem.text}"

    @property
    def active_roles(self) -> frozenset[Role]:
        """What this process does."""
        return _roles_of(self.roles)

    @property
    def routing_terms(self) -> RoutingTerms:
        """What routing is allowed. Raises TermsError."""
        return terms_of_file(self.routing_terms_file)

    @property
    def report_time_zones(self) -> Mapping[str, ZoneInfo]:
        """The time zones of reports' days by corridor; others go by UTC."""
        return _zones_of(self.report_zones)

    @property
    def corridors(self) -> list[Corridor]:
        """The Stripe accounts; the first one is the default."""
        if self.stripe_corridors_file is not None:
            return corridors_of_file(self.stripe_corridors_file)
        secrets: list[SecretStr] = []
        if self.stripe_webhook_secrets is not None:
            listed = self.stripe_webhook_secrets.get_secret_value().split(",")
            # An empty one stays in, to be refused: it would verify every forgery.
            secrets = [SecretStr(secret.strip()) for secret in listed]
        return [single_corridor(self.stripe_api_key, self.stripe_api_base, secrets)]

    @property
    def three_d_secure_rules(self) -> Rules:
        """When 3-D Secure is asked for; none without a file."""
        return rules_of_file(self.three_d_secure_file) if self.three_d_secure_file else ()

    @property
    def webhook_destinations(self) -> Destinations:
        """Where webhooks to clients may go."""
        return Destinations(
            anywhere=self.env is Environment.SANDBOX,
            allowed=networks_of(self.webhook_endpoint_allowed_networks),
            denied=networks_of(self.webhook_endpoint_denied_networks),
            ports=ports_of(self.webhook_endpoint_ports),
        )

    @property
    def webhook_sealer(self) -> Sealer:
        """What clients' webhook secrets are kept with."""
        keys = self.webhook_secret_keys
        return Sealer(keys_of(keys.get_secret_value()) if keys is not None else [])

    @property
    def lease(self) -> timedelta:
        """How long an operation or a booking is ours."""
        return timedelta(seconds=self.lease_seconds)


def _roles_of(roles: str) -> frozenset[Role]:
    names = {name.strip() for name in roles.split(",")}
    unknown = names - set(Role)
    if unknown:
        raise ValueError(f"unknown roles {sorted(unknown)}; there are {', '.join(Role)}")
    return frozenset(Role(name) for name in names)


def _zones_of(names: Mapping[str, str]) -> Mapping[str, ZoneInfo]:
    """Time zones by corridor. Raises ValueError for a name that is none's."""
    found = {}
    for corridor, name in names.items():
        try:
            found[corridor] = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"corridor {corridor}: no time zone {name}") from error
    return found
