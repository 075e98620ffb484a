"""The body of a request to an endpoint: the change as JSON, the same bytes for each attempt."""

import json

from google.protobuf.json_format import MessageToDict

from gateway.payments.event_store import StoredEvent
from gateway.payments.feed import change_message


def body_of(event: StoredEvent) -> bytes:
    """`type`, `timestamp` and `data` as Standard Webhooks recommends; `data` is the change as
    WatchPayments tells it, in protobuf's JSON. No client_secret is in it, as in the stream."""
    change = change_message(event)
    body = {
        "type": f"payment.{event.transition}",
        "timestamp": change.record_time.ToJsonString(),
        "data": MessageToDict(change),
    }
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
