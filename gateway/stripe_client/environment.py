"""Which corridors an environment takes: money moves in production only, and there by nothing that
others know, could guess or could stand in for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.stripe_client.corridors import STRIPE_API_BASE, Corridor
from runtime.production import is_plain_http, weakness

# Stripe's own have 38 and more: `whsec_` and at least 32, `sk_live_` and at least 24.
MIN_WEBHOOK_SECRET_CHARACTERS = 32
MIN_API_KEY_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class CorridorProblem:
    """What is wrong with one field of a corridor, as the end of a sentence without its value."""

    corridor: str
    field: str
    text: str


def environment_problems(
    corridors: Sequence[Corridor], *, production: bool
) -> Iterator[CorridorProblem]:
    """Everything that speaks against these corridors where the process runs."""
    for corridor in corridors:
        for field, text in _problems_of(corridor, production=production):
            yield CorridorProblem(corridor.name, field, text)
    if production:
        yield from _shared(corridors)


def _problems_of(corridor: Corridor, *, production: bool) -> Iterator[tuple[str, str]]:
    if corridor.is_live and not production:
        yield "api_key", "is a live key outside ENV=production"
    if production and not corridor.is_live:
        yield "api_key", "is a test key, and ENV=production takes live ones"
    if not corridor.webhook_secrets:
        yield "webhook_secrets", "there is no webhook secret"
    if corridor.is_live and is_plain_http(corridor.api_base):
        yield "api_base", "would be sent a live key in plain text: say https://"
    if production:
        if corridor.api_base != STRIPE_API_BASE:
            yield (
                "api_base",
                f"is not Stripe, which in production is {STRIPE_API_BASE}: leave it out",
            )
        key = weakness(corridor.api_key.get_secret_value(), MIN_API_KEY_CHARACTERS)
        if key and corridor.is_live:
            yield "api_key", f"{key}: it is none of Stripe's"
        for number, secret in enumerate(corridor.webhook_secrets, 1):
            weak = weakness(secret.get_secret_value(), MIN_WEBHOOK_SECRET_CHARACTERS)
            if weak:
                yield (
                    "webhook_secrets",
                    f"number {number} {weak}: take the signing secret of Stripe's webhook endpoint",
                )


def _shared(corridors: Sequence[Corridor]) -> Iterator[CorridorProblem]:
    """With one secret for two corridors, an event of one account is taken for the other's."""
    secrets = Counter(
        secret
        for corridor in corridors
        for secret in {one.get_secret_value() for one in corridor.webhook_secrets}
    )
    keys = Counter(corridor.api_key.get_secret_value() for corridor in corridors)
    for corridor in corridors:
        if keys[corridor.api_key.get_secret_value()] > 1:
            yield CorridorProblem(corridor.name, "api_key", "is another corridor's, too")
        if any(secrets[secret.get_secret_value()] > 1 for secret in corridor.webhook_secrets):
            yield CorridorProblem(
                corridor.name, "webhook_secrets", "has one that is another corridor's, too"
            )
