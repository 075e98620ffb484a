"""Which settings make a corridor, and which are refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.stripe_client.corridors import (
    TEST_ACCOUNT_RATE,
    Corridor,
    CorridorError,
    corridors_of_file,
    single_corridor,
)
from gateway.stripe_client.failover import Terms

LIVE, TEST = "sk_live_abc", "sk_test_abc"
SECRET = SecretStr("whsec_abc")


def configured(
    *,
    api_key: SecretStr | None = None,
    api_base: str | None = None,
    webhook_secrets: Sequence[SecretStr] = (),
    corridors_file: Path | None = None,
) -> list[Corridor]:
    """The corridors of a gateway with these settings."""
    if corridors_file is None:
        return [single_corridor(api_key, api_base, webhook_secrets)]
    return corridors_of_file(corridors_file)


def test_without_a_key_it_is_the_twin() -> None:
    (corridor,) = configured()
    assert corridor.api_base == "http://127.0.0.1:12111"
    assert corridor.api_key.get_secret_value().startswith("sk_test_twin")
    assert corridor.webhook_secrets
    assert corridor.is_local


def test_with_a_key_it_is_stripe() -> None:
    (corridor,) = configured(api_key=SecretStr(TEST), webhook_secrets=[SECRET])
    assert corridor.api_base == "https://api.stripe.com"
    assert not corridor.is_live
    assert corridor.rate == TEST_ACCOUNT_RATE


@pytest.mark.parametrize("key", [LIVE, "rk_live_abc"])
def test_live_keys_are_known(key: str) -> None:
    (corridor,) = configured(api_key=SecretStr(key), webhook_secrets=[SECRET])
    assert corridor.is_live


@pytest.mark.parametrize(
    "values",
    [
        {"api_key": SecretStr("pk_test_abc")},
        {"api_key": SecretStr("hunter2hunter2")},
        {"api_key": SecretStr(TEST), "webhook_secrets": [SecretStr("")]},
        {"api_key": SecretStr(TEST), "webhook_secrets": [SecretStr("   \t\n   ")]},
        {"api_key": SecretStr(TEST), "api_base": "ftp://stripe.example"},
        {"api_key": SecretStr(TEST), "api_base": "https://user:pass@stripe.example"},
    ],
    ids=["publishable", "no key", "empty secret", "blank secret", "scheme", "password"],
)
def test_settings_that_cannot_be_used_are_refused_without_being_shown(
    values: dict[str, Any],
) -> None:
    with pytest.raises(CorridorError) as refused:
        configured(**values)
    assert "hunter2" not in str(refused.value)
    assert "pass@" not in str(refused.value)


def test_several_corridors_come_from_a_file(tmp_path: Path) -> None:
    listed = [
        {
            "name": "eu",
            "api_key": "sk_test_eu",
            "webhook_secrets": ["whsec_eu1", "whsec_eu2"],
            "account_rate": {"per_second": 50, "burst": 60},
            "breaker": {"min_calls": 7},
        },
        {"name": "us", "api_key": "sk_test_us", "webhook_secrets": ["whsec_us1"]},
    ]
    path = tmp_path / "corridors.json"
    path.write_text(json.dumps(listed), encoding="utf-8")
    eu, us = configured(corridors_file=path)
    assert (eu.name, us.name) == ("eu", "us")
    assert eu.rate.per_second == 50
    assert eu.breaker.min_calls == 7
    assert "sk_test_eu" not in repr(eu)


@pytest.mark.parametrize(
    "listed",
    [
        [],
        {},
        [{"name": "eu", "api_key": "sk_test_eu", "webhook_secret": "whsec_eu1"}],
        [{"name": "E U", "api_key": "sk_test_eu", "webhook_secrets": ["whsec_eu1"]}],
        [{"name": "eu", "api_key": "sk_test_eu", "webhook_secrets": ["whsec_eu1"]}] * 2,
    ],
    ids=["none", "no list", "unknown field", "bad name", "twice"],
)
def test_a_wrong_file_is_refused(tmp_path: Path, listed: Any) -> None:
    path = tmp_path / "corridors.json"
    path.write_text(json.dumps(listed), encoding="utf-8")
    with pytest.raises(CorridorError) as refused:
        configured(corridors_file=path)
    assert "sk_test_eu" not in str(refused.value)
    assert "whsec" not in str(refused.value)


def two(**eu: Any) -> list[dict[str, Any]]:
    return [
        {"name": "eu", "api_key": "sk_test_eu", "webhook_secrets": ["whsec_eu1"], **eu},
        {"name": "us", "api_key": "sk_test_us", "webhook_secrets": ["whsec_us1"]},
    ]


def test_where_to_fail_over_to_comes_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "corridors.json"
    declared = two(
        region="eu-west",
        currencies=["EUR"],
        countries=["DE", "AT"],
        failover_to=["us"],
        shared_tokens_with=["us"],
        priority=3,
        weight=2,
    )
    path.write_text(json.dumps(declared), encoding="utf-8")
    eu, us = configured(corridors_file=path)
    assert eu.terms == Terms(
        "eu",
        currencies=frozenset({"EUR"}),
        countries=frozenset({"DE", "AT"}),
        failover_to=("us",),
        shares_tokens_with=frozenset({"us"}),
        priority=3,
        weight=2,
    )
    assert us.terms == Terms("us")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"failover_to": ["asia"]}, "not there"),
        ({"shared_tokens_with": ["asia"]}, "not there"),
        ({"failover_to": ["eu"]}, "names itself"),
        ({"failover_to": ["us", "us"]}, "twice"),
        ({"failover_to": ["us"], "api_key": LIVE}, "live and test"),
        ({"currencies": ["eur"]}, "currencies"),
        ({"countries": ["DEU"]}, "countries"),
        ({"priority": -1}, "priority"),
        ({"weight": 0}, "weight"),
    ],
)
def test_a_failover_that_leads_nowhere_is_refused(
    tmp_path: Path, values: dict[str, Any], problem: str
) -> None:
    path = tmp_path / "corridors.json"
    path.write_text(json.dumps(two(**values)), encoding="utf-8")
    with pytest.raises(CorridorError, match=problem):
        configured(corridors_file=path)


def test_a_slow_call_must_be_able_to_finish() -> None:
    with pytest.raises(ValidationError, match="able to be slow"):
        Corridor(
            name="eu",
            api_key=SecretStr(TEST),
            webhook_secrets=(SECRET,),
            request_timeout_seconds=5,
        )
