"""What production takes of a broker's settings: no login in plain text, and none that is weak."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.config import GatewaySettings
from gateway.webhooks_in.config import nats_problems

STRONG = "9f2c7be41d0a8356"
QUEUE = "https://sqs.eu-central-1.amazonaws.com/1/gateway.fifo"
PRODUCTION: dict[str, Any] = {
    "env": "production",
    "stripe_api_key": SecretStr("sk_live_4eC39HqLyjWDarjtT1zdp7dc"),
    "stripe_webhook_secrets": SecretStr("whsec_4eC39HqLyjWDarjtT1zdp7dc0a"),
    "tls_certificate_file": "c",
    "tls_key_file": "k",
    "tls_ca_file": "a",
}
KAFKA = {"webhook_kafka_tls": True, "webhook_kafka_username": "gateway"}
SQS = {
    "webhook_buffer": "sqs",
    "webhook_sqs_region": "eu-central-1",
    "webhook_sqs_queue_url": QUEUE,
}


@pytest.mark.parametrize(
    ("url", "has_credentials_file", "told"),
    [
        ("nats://nats:4222", False, []),
        ("nats:4222", False, []),
        ("tls://nats:4222", True, []),
        ("wss://nats:443", True, []),
        (f"tls://gateway:{STRONG}@nats:4222", False, []),
        (f"TLS://{STRONG}@nats:4222", False, []),
        (f"nats://gateway:{STRONG}@nats:4222", False, ["plain text"]),
        (f"nats://{STRONG}@nats:4222", False, ["plain text"]),
        (f"gateway:{STRONG}@nats:4222", False, ["plain text"]),
        (f"ws://gateway:{STRONG}@nats:80", False, ["plain text"]),
        ("nats://nats:4222", True, ["plain text"]),
        ("nats:4222", True, ["plain text"]),
        ("tls://gateway:hush@nats:4222", False, ["fewer than 16 characters"]),
        ("tls://development@nats:4222", False, ["published"]),
        ("tls://gateway:develop%6dent@nats:4222", False, ["published"]),
        ("nats://gateway:hush@nats:4222", False, ["plain text", "fewer than 16 characters"]),
    ],
)
def test_a_login_at_nats_goes_over_tls(
    url: str, has_credentials_file: bool, told: list[str]
) -> None:
    found = list(
        nats_problems(["tls://first:4222", url], has_credentials_file=has_credentials_file)
    )
    assert len(found) == len(told)
    for problem, words in zip(found, told, strict=True):
        assert words in problem
        assert "number 2" in problem
        assert "hush" not in problem


@pytest.mark.parametrize(
    ("fields", "environment", "told"),
    [
        ({}, {}, None),
        (
            {"webhook_buffer": "nats", "webhook_nats_urls": SecretStr(f"nats://a:{STRONG}@n")},
            {},
            "GATEWAY_WEBHOOK_NATS_URLS: number 1 has a login",
        ),
        (KAFKA | {"webhook_kafka_password": SecretStr(STRONG)}, {}, None),
        (
            KAFKA | {"webhook_kafka_password": SecretStr(STRONG[1:])},
            {},
            "GATEWAY_WEBHOOK_KAFKA_PASSWORD: has fewer than 16",
        ),
        (SQS, {}, None),
        (
            SQS | {"webhook_sqs_queue_url": QUEUE.replace("https", "http")},
            {},
            "GATEWAY_WEBHOOK_SQS_QUEUE_URL: AWS's",
        ),
        (
            SQS | {"webhook_sqs_endpoint": "http://vpce"},
            {"AWS_ENDPOINT_URL": "https://sqs"},
            "GATEWAY_WEBHOOK_SQS_ENDPOINT: AWS's",
        ),
        (SQS, {"AWS_ENDPOINT_URL": "http://sqs"}, "AWS_ENDPOINT_URL: AWS's"),
        (
            SQS | {"webhook_sqs_endpoint": "https://vpce"},
            {"AWS_ENDPOINT_URL_SQS": "http://unused"},
            None,
        ),
        ({}, {"AWS_ENDPOINT_URL": "http://not-for-us"}, None),
        (
            {"webhook_secret_keys": SecretStr("A" * 43 + "=")},
            {},
            "GATEWAY_WEBHOOK_SECRET_KEYS: a key has fewer than 6 different",
        ),
    ],
)
def test_production_looks_at_the_buffer_in_use(
    fields: dict[str, Any],
    environment: dict[str, str],
    told: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if told is None:
        assert GatewaySettings(**PRODUCTION | fields).uses_tls
        return
    with pytest.raises(ValidationError) as refused:
        GatewaySettings(**PRODUCTION | fields)
    assert told in str(refused.value)
    assert STRONG[1:] not in str(refused.value)
