"""A process that only takes webhooks in needs its broker and nothing else."""

import asyncio
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr, ValidationError

from gateway.__main__ import open_service
from gateway.config import GatewaySettings
from gateway.webhooks_in.broker_wait import BROKER_WAIT_SECONDS
from gateway.webhooks_in.brokers.kafka import KafkaBroker
from gateway.webhooks_in.brokers.nats import NatsBroker
from gateway.webhooks_in.opening import open_broker
from sandbox.polling import poll
from sandbox.processes import PROJECT
from sandbox.stripe_twin.accounts import DEFAULT_ACCOUNT
from tests.gateway.webhooks_in.broker_servers import NatsServer
from tests.gateway.webhooks_in.conftest import event_body, signature
from tests.gateway.webhooks_in.working import waiting_for_broker

# Nobody listens there.
NO_DATABASE = SecretStr("postgresql://gateway@127.0.0.1:1/gateway")


def settings_of(**values: Any) -> GatewaySettings:
    given: dict[str, Any] = {
        "roles": "webhooks",
        "listen_address": "127.0.0.1:0",
        "http_address": "127.0.0.1:0",
        "database_url": NO_DATABASE,
        "drain_seconds": 1.0,
        **values,
    }
    return GatewaySettings(**given)


async def test_it_starts_and_answers_without_a_database(nats_server: NatsServer) -> None:
    await nats_server.until_it_listens()
    settings = settings_of(
        webhook_buffer="nats",
        webhook_nats_urls=SecretStr(nats_server.url),
        webhook_nats_stream="intake-alone",
    )
    async with open_service(settings) as server, aiohttp.ClientSession() as http:
        root = f"http://127.0.0.1:{server.http_port}"
        async with http.get(f"{root}/healthz") as response:
            assert await response.json() == {"serving": True, "down": {}}
        body = event_body()
        header = signature(body, DEFAULT_ACCOUNT.webhook_secret, datetime.now(UTC))
        async with http.post(
            f"{root}/webhooks/stripe/default", data=body, headers={"Stripe-Signature": header}
        ) as response:
            assert response.status == 200
        broker = NatsBroker([nats_server.url], "intake-alone")
        await broker.rewind()
        (delivery,) = await broker.take(10)
        assert body.encode() not in delivery.content, "it is in an envelope"
        await broker.acknowledge([delivery])
        await broker.close()


async def test_without_its_broker_it_starts_too_and_says_so() -> None:
    settings = settings_of(webhook_buffer="nats", webhook_nats_urls=SecretStr("nats://127.0.0.1:1"))
    async with open_service(settings) as server, aiohttp.ClientSession() as http:
        root = f"http://127.0.0.1:{server.http_port}"
        async with http.get(f"{root}/healthz") as response:
            assert response.status == 503
            assert list((await response.json())["down"]) == ["webhook_buffer"]
        body = event_body()
        header = signature(body, DEFAULT_ACCOUNT.webhook_secret, datetime.now(UTC))

        async def post() -> tuple[int, dict[str, str]]:
            async with http.post(
                f"{root}/webhooks/stripe/default", data=body, headers={"Stripe-Signature": header}
            ) as response:
                return response.status, await response.json()

        posted = asyncio.create_task(post())
        await poll(waiting_for_broker, lambda count: count == 1)
        begun = time.monotonic()
        # It would wait for the broker for longer; a server that stops has no time for that.
        await server.stop()
        assert await posted == (503, {"error": "not_stored"})
        assert time.monotonic() - begun < BROKER_WAIT_SECONDS / 2


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"webhook_buffer": "nats"}, "GATEWAY_WEBHOOK_NATS_URLS"),
        ({"webhook_buffer": "kafka"}, "GATEWAY_WEBHOOK_KAFKA_SERVERS"),
        ({"webhook_buffer": "sqs"}, "GATEWAY_WEBHOOK_SQS_QUEUE_URL"),
        (
            {"webhook_buffer": "sqs", "webhook_sqs_queue_url": "https://sqs/1/events.fifo"},
            "GATEWAY_WEBHOOK_SQS_REGION",
        ),
        ({"webhook_sqs_queue_url": "https://sqs/1/events"}, "fifo"),
        ({"webhook_buffer": "rabbit"}, "postgres"),
        ({"webhook_kafka_username": "gateway"}, "PASSWORD"),
        (
            {"webhook_kafka_username": "gateway", "webhook_kafka_password": SecretStr("s")},
            "TLS",
        ),
    ],
)
def test_settings_that_cannot_be_right_are_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        settings_of(**values)


def test_logins_are_read_from_files_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "urls"
    file.write_text("tls://gateway:hunter2@nats-1:4222, tls://gateway:hunter2@nats-2:4222\n")
    monkeypatch.setenv("GATEWAY_WEBHOOK_NATS_URLS_FILE", str(file))
    monkeypatch.setenv("GATEWAY_WEBHOOK_BUFFER", "nats")
    settings = GatewaySettings()
    assert isinstance(open_broker(settings), NatsBroker)
    printed = "\n".join(settings.printable())
    assert "GATEWAY_WEBHOOK_NATS_URLS=**********" in printed
    assert "hunter2" not in printed


def test_only_the_client_that_is_used_is_imported() -> None:
    program = (
        "import sys, gateway.__main__\n"
        "assert not {'nats', 'confluent_kafka', 'aiobotocore'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True)


async def test_a_kafka_login_is_passed_on() -> None:
    broker = open_broker(
        settings_of(
            webhook_buffer="kafka",
            webhook_kafka_servers="127.0.0.1:1",
            webhook_kafka_tls=True,
            webhook_kafka_username="gateway",
            webhook_kafka_password=SecretStr("hunter2"),
        )
    )
    assert isinstance(broker, KafkaBroker)
    await broker.close()
