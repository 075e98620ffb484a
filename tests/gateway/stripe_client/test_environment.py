"""Which corridors production takes, and which only the others."""

from typing import Any

import pytest
from pydantic import SecretStr

from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.environment import environment_problems
from runtime.published_secrets import PUBLISHED_SECRETS

LIVE = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
SECRET = "whsec_4eC39HqLyjWDarjtT1zdp7dc0a"


def corridor(
    name: str = "default", *, secrets: tuple[str, ...] = (SECRET,), **more: Any
) -> Corridor:
    given = {"api_key": SecretStr(LIVE), **more}
    return Corridor(name=name, webhook_secrets=tuple(map(SecretStr, secrets)), **given)


def told(*corridors: Corridor, production: bool) -> list[str]:
    found = list(environment_problems(corridors, production=production))
    assert all(LIVE not in one.text and SECRET not in one.text for one in found)
    return [f"{one.corridor} {one.field}: {one.text}" for one in found]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"api_key": SecretStr("sk_test_4eC39HqLyjWDarjtT1zdp7dc")}, "api_key: is a test key"),
        ({"api_key": SecretStr("sk_test_twin_default")}, "api_key: is a test key"),
        ({"api_key": SecretStr(LIVE[:-1])}, "api_key: has fewer than 32 characters"),
        ({"api_key": SecretStr("sk_live_" + "l" * 24)}, None),
        ({"secrets": ()}, "webhook_secrets: there is no"),
        ({"secrets": (SECRET[:-1],)}, "webhook_secrets: number 1 has fewer than 32 characters"),
        ({"secrets": (SECRET, "w" * 32)}, "webhook_secrets: number 2 has fewer than 6 different"),
        ({"api_base": "https://stripe.example"}, "api_base: is not Stripe"),
        ({"api_base": "https://api.stripe.com:443"}, "api_base: is not Stripe"),
        ({"api_base": "https://api.stripe.com"}, None),
        *(
            ({"secrets": (secret,)}, "webhook_secrets: number 1 is published")
            for secret in sorted(PUBLISHED_SECRETS)
            if secret.startswith("whsec")
        ),
    ],
)
def test_production_takes_stripe_and_its_own_secrets(
    fields: dict[str, Any], problem: str | None
) -> None:
    found = told(corridor(**fields), production=True)
    assert [line.startswith(f"default {problem}") for line in found] == [True] * bool(problem)


def test_a_live_key_in_plain_text_is_two_problems_in_production() -> None:
    found = told(corridor(api_base="http://stripe.example"), production=True)
    assert [line.split(": ")[1].split()[0] for line in found] == ["would", "is"]


def test_elsewhere_the_twin_and_its_secrets_will_do_and_live_keys_will_not() -> None:
    twin = corridor(
        api_key=SecretStr("sk_test_twin_default"),
        api_base="http://twin:12111",
        secrets=("whsec_twin_default",),
    )
    assert told(twin, production=False) == []
    assert told(corridor(), production=False) == [
        "default api_key: is a live key outside ENV=production"
    ]


def test_two_corridors_share_neither_key_nor_webhook_secret_in_production() -> None:
    """With one secret for two, an event of the one is taken for the other's."""
    other = "whsec_another4eC39HqLyjWDarjtT1zd"
    found = told(
        corridor("eu", secrets=(other, SECRET)),
        corridor("us", secrets=(SECRET, SECRET)),
        corridor("asia", api_key=SecretStr(f"{LIVE}0"), secrets=(f"{other}0",)),
        production=True,
    )
    assert found == [
        "eu api_key: is another corridor's, too",
        "eu webhook_secrets: has one that is another corridor's, too",
        "us api_key: is another corridor's, too",
        "us webhook_secrets: has one that is another corridor's, too",
    ]
    rolled = corridor("us", secrets=(SECRET, SECRET))
    assert told(rolled, production=True) == []
