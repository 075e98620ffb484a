"""Corridors: the Stripe accounts that the engine can charge through, as configured."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from gateway.stripe_client.breaker import BreakerPolicy
from gateway.stripe_client.concurrency import GUARANTEED, ConcurrencyPolicy
from gateway.stripe_client.failover import Terms
from gateway.stripe_client.limiter import Rate
from runtime.addresses import is_loopback

DEFAULT_CORRIDOR = "default"
STRIPE_API_BASE = "https://api.stripe.com"
# The Stripe twin of the sandbox, and a key that only it takes.
TWIN_API_BASE = "http://127.0.0.1:12111"
TWIN_API_KEY = "sk_test_twin_default"
TWIN_WEBHOOK_SECRET = "whsec_twin_default"  # noqa: S105 — of the sandbox's twin, published on purpose
LIVE_KEY = re.compile(r"(?:sk|rk)_live_")
ANY_KEY = re.compile(r"(?:sk|rk)_(?:live|test)_\w+|sk_(?:live|test)_org_\w+")
MAX_CORRIDORS = 16
MAX_WEBHOOK_SECRETS = 8
MIN_SECRET_CHARACTERS = 6

# Stripe's limits per account: https://docs.stripe.com/rate-limits
LIVE_ACCOUNT_RATE = Rate(per_second=100, burst=100)
TEST_ACCOUNT_RATE = Rate(per_second=25, burst=25)
ENDPOINT_RATE = Rate(per_second=25, burst=25)
# The twin is on this machine and has no limits of its own unless it is set to.
TWIN_RATE = Rate(per_second=5000, burst=5000)
# A card payment at Stripe usually takes a second; at the twin some milliseconds.
BROWN_OUT_SECONDS = 2.5
TWIN_BROWN_OUT_SECONDS = 0.25

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class CorridorError(ValueError):
    """The configuration of the corridors cannot be used. Never holds a secret."""


class Corridor(BaseModel):
    """One Stripe account with the key and the webhook secrets for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Name
    api_key: SecretStr
    api_base: str = Field(STRIPE_API_BASE, pattern=r"^https?://[^/?#\s@]+$")
    webhook_secrets: tuple[SecretStr, ...] = Field((), max_length=MAX_WEBHOOK_SECRETS)
    """Active signing secrets: several while one is rolled."""
    region: str = Field("", max_length=64)
    """Where the account is, for people who read about it."""
    currencies: frozenset[CurrencyCode] = frozenset()
    """What may be charged here; all if empty."""
    countries: frozenset[CountryCode] = frozenset()
    """Billing countries that may be charged here; all, unknown ones included, if empty."""
    failover_to: tuple[Name, ...] = Field((), max_length=MAX_CORRIDORS)
    """Where payments of this corridor may be charged while it cannot be used."""
    shared_tokens_with: frozenset[Name] = frozenset()
    """Corridors where this one's payment methods can be charged: shared in an organisation."""
    priority: int = Field(0, ge=0, le=1000)
    """Among several to fail over to, the lowest goes first."""
    weight: int = Field(1, ge=1, le=1000)
    """Among those of one priority, the share of payments that this one gets."""
    account_rate: Rate | None = None
    endpoint_rates: dict[str, Rate] = Field(default_factory=dict)
    object_changes_per_hour: int = Field(1000, ge=1)
    """How often one PaymentIntent may be changed."""
    breaker: BreakerPolicy = BreakerPolicy()
    concurrency: ConcurrencyPolicy = ConcurrencyPolicy()
    brown_out_seconds: float | None = Field(None, gt=0, le=60)
    """From how long on a request is a sign of a brown-out, so that callers are answered early."""
    max_connections: int = Field(128, ge=1, le=4096)
    connect_timeout_seconds: float = Field(3.0, gt=0, le=60)
    request_timeout_seconds: float = Field(20.0, gt=0, le=120)

    @model_validator(mode="after")
    def _consistent(self) -> "Corridor":
        if not ANY_KEY.fullmatch(self.api_key.get_secret_value()):
            raise ValueError("api_key is not a secret or restricted key of Stripe")
        for secret in self.webhook_secrets:
            # An empty secret verifies every forgery.
            if len(secret.get_secret_value().strip()) < MIN_SECRET_CHARACTERS:
                raise ValueError("a webhook secret is empty or too short")
        if self.breaker.slow_seconds >= self.request_timeout_seconds:
            raise ValueError("a call must be able to be slow before it times out")
        if self.concurrency.max + sum(GUARANTEED.values()) > self.max_connections:
            raise ValueError("concurrency.max needs more max_connections")
        return self

    @property
    def is_live(self) -> bool:
        """Whether real money moves."""
        return LIVE_KEY.match(self.api_key.get_secret_value()) is not None

    @property
    def is_local(self) -> bool:
        """Whether it leads to a twin on this machine."""
        parts = urlsplit(self.api_base)
        return is_loopback(f"{parts.hostname}:{parts.port or 80}")

    @property
    def terms(self) -> Terms:
        """What the rules of failover need to know."""
        return Terms(
            corridor=self.name,
            currencies=self.currencies,
            countries=self.countries,
            failover_to=self.failover_to,
            shares_tokens_with=self.shared_tokens_with,
            priority=self.priority,
            weight=self.weight,
        )

    @property
    def rate(self) -> Rate:
        """The limit of the account."""
        if self.account_rate is not None:
            return self.account_rate
        if self.is_local:
            return TWIN_RATE
        return LIVE_ACCOUNT_RATE if self.is_live else TEST_ACCOUNT_RATE

    @property
    def slow_seconds(self) -> float:
        """From how long on a request is slow for a caller who waits for it."""
        if self.brown_out_seconds is not None:
            return self.brown_out_seconds
        return TWIN_BROWN_OUT_SECONDS if self.is_local else BROWN_OUT_SECONDS

    def endpoint_rate(self, endpoint_group: str) -> Rate:
        """The limit of one group of endpoints."""
        return self.endpoint_rates.get(
            endpoint_group, TWIN_RATE if self.is_local else ENDPOINT_RATE
        )


def single_corridor(
    api_key: SecretStr | None, api_base: str | None, webhook_secrets: Sequence[SecretStr]
) -> Corridor:
    """The corridor of a gateway with one Stripe account. Without a key it is the twin's."""
    try:
        if api_key is None or not api_key.get_secret_value():
            return Corridor(
                name=DEFAULT_CORRIDOR,
                api_key=SecretStr(TWIN_API_KEY),
                api_base=api_base or TWIN_API_BASE,
                webhook_secrets=tuple(webhook_secrets) or (SecretStr(TWIN_WEBHOOK_SECRET),),
            )
        return Corridor(
            name=DEFAULT_CORRIDOR,
            api_key=api_key,
            api_base=api_base or STRIPE_API_BASE,
            webhook_secrets=tuple(webhook_secrets),
        )
    except ValidationError as error:
        raise CorridorError(f"the Stripe settings cannot be used: {_problems(error)}") from None


def corridors_of_file(path: Path) -> list[Corridor]:
    """Several corridors from a JSON file: a list of objects with the fields of `Corridor`; the
    first one is the default. The file holds secrets: only the service may read it."""
    try:
        listed: Any = json.loads(path.read_text(encoding="utf-8"))
        corridors = TypeAdapter(
            Annotated[list[Corridor], Field(min_length=1, max_length=MAX_CORRIDORS)]
        ).validate_python(listed, strict=False)
    except ValidationError as error:
        raise CorridorError(f"{path} cannot be used: {_problems(error)}") from None
    except (OSError, ValueError) as error:
        raise CorridorError(f"{path} cannot be read: {type(error).__name__}") from None
    names = [corridor.name for corridor in corridors]
    if len(set(names)) != len(names):
        raise CorridorError(f"{path} names a corridor twice")
    _check_failover(path, {corridor.name: corridor for corridor in corridors})
    return corridors


def _check_failover(path: Path, corridors: Mapping[str, Corridor]) -> None:
    """Refuses what leads nowhere, and what would take real money for a test."""
    for corridor in corridors.values():
        named = {*corridor.failover_to, *corridor.shared_tokens_with}
        if named - corridors.keys():
            raise CorridorError(f"{path}: {corridor.name} names a corridor that is not there")
        if corridor.name in named:
            raise CorridorError(f"{path}: {corridor.name} names itself")
        if len(set(corridor.failover_to)) != len(corridor.failover_to):
            raise CorridorError(f"{path}: {corridor.name} names a corridor twice")
        if any(corridors[name].is_live != corridor.is_live for name in corridor.failover_to):
            raise CorridorError(f"{path}: {corridor.name} fails over between live and test")


def _problems(error: ValidationError) -> str:
    """What is wrong, without the values: those are secrets."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        ".".join(str(part) for part in item["loc"]) + ": " + item["msg"] for item in found
    )
