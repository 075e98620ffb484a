"""Settings of the webhook buffer; a part of the gateway's."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from runtime.config import ServiceSettings


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

    @model_validator(mode="after")
    def _buffer_has_an_address(self) -> Self:
        needed = {
            BufferKind.NATS: ("webhook_nats_urls",),
            BufferKind.KAFKA: ("webhook_kafka_servers",),
            BufferKind.SQS: ("webhook_sqs_queue_url", "webhook_sqs_region"),
        }
        for name in needed.get(self.webhook_buffer, ()):
            if getattr(self, name) is None:
                raise ValueError(
                    f"GATEWAY_WEBHOOK_BUFFER={self.webhook_buffer} needs GATEWAY_{name.upper()}"
                )
        return self

    @model_validator(mode="after")
    def _kafka_login_is_whole(self) -> Self:
        if (self.webhook_kafka_username is None) != (self.webhook_kafka_password is None):
            raise ValueError("a login at Kafka is GATEWAY_WEBHOOK_KAFKA_USERNAME and …_PASSWORD")
        if self.webhook_kafka_password is not None and not self.webhook_kafka_tls:
            raise ValueError("a password is sent to Kafka over TLS only: GATEWAY_WEBHOOK_KAFKA_TLS")
        return self
