"""Opens the buffer that the settings name."""

from gateway.webhooks_in.brokers.broker import Broker
from gateway.webhooks_in.config import BufferKind, WebhookSettings


def open_broker(settings: WebhookSettings) -> Broker | None:
    """The broker of the settings, not connected yet; None if PostgreSQL is all there is.

    Only the client that is used is imported: each costs time and memory.
    """
    match settings.webhook_buffer:
        case BufferKind.POSTGRES:
            return None
        case BufferKind.NATS:
            from gateway.webhooks_in.brokers.nats import NatsBroker

            assert settings.webhook_nats_urls is not None, "checked when it was read"
            urls = settings.webhook_nats_urls.get_secret_value().split(",")
            return NatsBroker(
                [url.strip() for url in urls],
                settings.webhook_nats_stream,
                replicas=settings.webhook_nats_replicas,
                credentials_file=settings.webhook_nats_credentials_file,
            )
        case BufferKind.KAFKA:
            from gateway.webhooks_in.brokers.kafka import KafkaBroker

            assert settings.webhook_kafka_servers is not None, "checked when it was read"
            return KafkaBroker(
                settings.webhook_kafka_servers,
                settings.webhook_kafka_topic,
                settings.webhook_kafka_group,
                _kafka_login(settings),
            )
        case BufferKind.SQS:
            from gateway.webhooks_in.brokers.sqs import SqsBroker

            assert settings.webhook_sqs_queue_url is not None, "checked when it was read"
            assert settings.webhook_sqs_region is not None, "checked when it was read"
            return SqsBroker(
                settings.webhook_sqs_queue_url,
                settings.webhook_sqs_region,
                endpoint=settings.webhook_sqs_endpoint,
            )


def _kafka_login(settings: WebhookSettings) -> dict[str, str]:
    login = {"security.protocol": "ssl" if settings.webhook_kafka_tls else "plaintext"}
    if settings.webhook_kafka_ca_file is not None:
        login["ssl.ca.location"] = str(settings.webhook_kafka_ca_file)
    if settings.webhook_kafka_username is not None and settings.webhook_kafka_password is not None:
        login |= {
            "security.protocol": "sasl_ssl",
            "sasl.mechanisms": settings.webhook_kafka_sasl_mechanism,
            "sasl.username": settings.webhook_kafka_username,
            "sasl.password": settings.webhook_kafka_password.get_secret_value(),
        }
    return login
