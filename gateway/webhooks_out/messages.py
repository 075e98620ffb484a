"""Endpoints and deliveries as messages of gateway.v1, and the body of a request to an endpoint."""

import json
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from gateway.payments.api.watch import change_message
from gateway.payments.rendering import stamp
from gateway.payments.store.events import StoredEvent
from gateway.v1 import webhook_endpoint_pb2 as pb
from gateway.webhooks_out.domain import Endpoint, Feed, webhook_id


def endpoint_message(endpoint: Endpoint, secrets: Sequence[Any]) -> pb.WebhookEndpoint:
    """An endpoint with its secrets' times; their values are in no message but the first."""
    return pb.WebhookEndpoint(
        id=endpoint.id,
        feed=pb.WebhookFeed.Value(f"WEBHOOK_FEED_{endpoint.feed}"),
        url=endpoint.url,
        description=endpoint.description,
        merchant_id=endpoint.merchant_id,
        transitions=endpoint.transitions,
        max_in_flight=endpoint.max_in_flight,
        state=pb.WebhookEndpointState.Value(f"WEBHOOK_ENDPOINT_STATE_{endpoint.state}"),
        disabled_reason=endpoint.disable_cause,
        dispatched_sequence=endpoint.dispatched_sequence,
        failing_since_time=stamp(endpoint.failing_since),
        secrets=[
            pb.WebhookSecret(
                create_time=stamp(secret.create_time), expire_time=stamp(secret.expire_time)
            )
            for secret in secrets
            if secret.endpoint_id == endpoint.id
        ],
        create_time=stamp(endpoint.create_time),
        update_time=stamp(endpoint.update_time),
    )


def delivery_message(row: Any, feed: Feed) -> pb.WebhookDelivery:
    """One delivery to an endpoint of a feed."""
    is_payment = feed is Feed.PAYMENTS
    return pb.WebhookDelivery(
        id=row.delivery_number,
        endpoint_id=row.endpoint_id,
        webhook_id=webhook_id(feed, row.epoch, row.sequence),
        sequence=row.sequence,
        payment_id=row.payment_id if is_payment else "",
        incident_id="" if is_payment else row.payment_id,
        state=pb.WebhookDeliveryState.Value(f"WEBHOOK_DELIVERY_STATE_{row.state}"),
        attempt_count=row.attempts,
        next_attempt_time=stamp(row.next_attempt_time if row.end_time is None else None),
        last_http_status=row.last_http_status,
        last_failure=row.last_failure,
        create_time=stamp(row.create_time),
        end_time=stamp(row.end_time),
    )


def body_of(event: StoredEvent) -> bytes:
    """`type`, `timestamp` and `data` as Standard Webhooks recommends; `data` is the change as
    WatchPayments has it, in protobuf's JSON. No client_secret is in it, as in the stream."""
    change = change_message(event)
    return body_with(f"payment.{event.transition}", change)


def body_with(kind: str, change: Any) -> bytes:
    """The body of a change of a feed, which has a `record_time`."""
    body = {
        "type": kind,
        "timestamp": change.record_time.ToJsonString(),
        "data": MessageToDict(change),
    }
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
