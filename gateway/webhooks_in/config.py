"""Settings of the webhook buffer; a part of the gateway's."""

import os
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr

from runtime.config import ServiceSettings
from runtime.production import is_plain_http, weakness

NATS_SCHEMES_OF_TLS = ("tls", "wss")
# Where AWS's client looks when no setting of ours says where SQS is.
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
AWS_ENDPOINTS = ("AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL")


class BufferKind(StrEnum):
    """What keeps events between intake and processing."""

    POSTGRES = "postgres"
    NATS = "nats"
    KAFKA = "kafka"
    SQS = "sqs"


class KafkaSaslMechanism(StrEnum):
    """How a login is proved to Kafka."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class WebhookSettings(ServiceSettings):
    """Which buffer, and where it is."""

    webhook_buffer: BufferKind = BufferKind.POSTGRES
    # Comma separated, nats:// or tls://; secret, because each may hold a login.
    webhook_nats_urls: SecretStr | None = None
    webhook_nats_stream: str = Field("gateway-webhooks", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    # How many servers of a cluster keep each event, if the gateway makes the stream.
    webhook_nats_replicas: int = Field(1, ge=1, le=5)
    webhook_nats_credentials_file: Path | None = None
    # Comma separated host:port.
    webhook_kafka_servers: str | None = None
    webhook_kafka_topic: str = Field("gateway-webhooks", pattern=r"^[A-Za-z0-9._-]{1,249}$")
    webhook_kafka_group: str = Field("gateway-inbox", min_length=1, max_length=249)
    webhook_kafka_tls: bool = False
    webhook_kafka_ca_file: Path | None = None
    webhook_kafka_username: str | None = None
    webhook_kafka_password: SecretStr | None = None
    webhook_kafka_sasl_mechanism: KafkaSaslMechanism = KafkaSaslMechanism.SCRAM_SHA_512
    webhook_sqs_queue_url: str | None = Field(None, pattern=r"^https?://\S+\.fifo$")
    webhook_sqs_region: str | None = Field(None, pattern=r"^[a-z0-9-]+$")
    # Instead of AWS's own: a VPC endpoint, or a test server.
    webhook_sqs_endpoint: str | None = Field(None, pattern=r"^https?://\S+$")

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        needed = {
            BufferKind.NATS: ("webhook_nats_urls",),
            BufferKind.KAFKA: ("webhook_kafka_servers",),
            BufferKind.SQS: ("webhook_sqs_queue_url", "webhook_sqs_region"),
        }
        for name in needed.get(self.webhook_buffer, ()):
            if getattr(self, name) is None:
                yield f"GATEWAY_WEBHOOK_BUFFER={self.webhook_buffer} needs {self.variable(name)}"
        if (self.webhook_kafka_username is None) != (self.webhook_kafka_password is None):
            yield "a login at Kafka is GATEWAY_WEBHOOK_KAFKA_USERNAME and …_PASSWORD"
        if self.webhook_kafka_password is not None and not self.webhook_kafka_tls:
            yield "a password is sent to Kafka over TLS only: GATEWAY_WEBHOOK_KAFKA_TLS"

    def production_problems(self) -> Iterator[str]:
        yield from super().production_problems()
        if self.webhook_nats_urls is not None:
            urls = [url.strip() for url in self.webhook_nats_urls.get_secret_value().split(",")]
            has_file = self.webhook_nats_credentials_file is not None
            for problem in nats_problems(urls, has_credentials_file=has_file):
                yield f"{self.variable('webhook_nats_urls')}: {problem}"
        password = self.webhook_kafka_password
        if password is not None and (weak := weakness(password.get_secret_value())):
            yield f"{self.variable('webhook_kafka_password')}: {weak}"
        if self.webhook_buffer is BufferKind.SQS:
            for variable, url in self._sqs_urls():
                if is_plain_http(url):
                    yield f"{variable}: AWS's session token would go in plain text: say https://"

    def _sqs_urls(self) -> Iterator[tuple[str, str]]:
        """Where requests to SQS go, each by the variable that says so."""
        if self.webhook_sqs_queue_url is not None:
            yield self.variable("webhook_sqs_queue_url"), self.webhook_sqs_queue_url
        endpoints = {self.variable("webhook_sqs_endpoint"): self.webhook_sqs_endpoint}
        endpoints |= {name: os.environ.get(name) for name in AWS_ENDPOINTS}
        # The first that is set is the one in force.
        yield from [(name, url) for name, url in endpoints.items() if url][:1]


def nats_problems(urls: Sequence[str], *, has_credentials_file: bool) -> Iterator[str]:
    """What production does not take of NATS's URLs: a login that goes in plain text, or a weak one.

    A server may ask for TLS on `nats://`, too; who stands between need not pass that on. Without
    a scheme the client takes `nats://`.
    """
    for number, url in enumerate(urls, 1):
        scheme, separator, _ = url.partition("://")
        parts = urlsplit(url if separator else f"nats://{url}")
        # A token stands where the name of a login does.
        secret = parts.password or parts.username
        is_plain = not separator or scheme.lower() not in NATS_SCHEMES_OF_TLS
        if (secret or has_credentials_file) and is_plain:
            yield f"number {number} has a login that would go in plain text: say tls://"
        if secret and (problem := weakness(unquote(secret))):
            yield f"the password of number {number} {problem}"
