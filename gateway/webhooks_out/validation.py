"""Validation rules of WebhookEndpointService; `gateway.validation` merges them."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from google.protobuf.message import Message

from gateway.v1 import webhook_endpoint_service_pb2 as pb
from gateway.v1.webhook_endpoint_pb2 import WEBHOOK_FEED_PAYMENTS
from gateway.webhooks_out.domain import DEFAULT_IN_FLIGHT, DEFAULT_OVERLAP, MAX_IN_FLIGHT
from runtime.rule import Rule
from runtime.rules import (
    PAGE,
    REQUEST_ID,
    boolean,
    check,
    duration,
    each_text,
    enum,
    integer,
    repeated,
    text,
)
from runtime.webhook_sending import url_problem

ENDPOINT_ID = re.compile(r"whe_[0-9A-Z]+")
MERCHANT_ID = re.compile(r"[A-Za-z0-9_-]+")
TRANSITION = re.compile(r"[a-z_]+")
MAX_NAME_BYTES = 64
MAX_URL_BYTES = 2_048
MAX_DESCRIPTION_BYTES = 500
MAX_TRANSITIONS = 32
MAX_OVERLAP = timedelta(days=7)


def _url(request: Any) -> str | None:
    # What is too long or missing is said once.
    if not request.url or len(request.url) > MAX_URL_BYTES:
        return None
    return url_problem(request.url)


_THE_ENDPOINT = text("endpoint_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=ENDPOINT_ID)
_MERCHANT = text("merchant_id", max_bytes=MAX_NAME_BYTES, pattern=MERCHANT_ID)
_CHOICES = [
    text("url", required=True, max_bytes=MAX_URL_BYTES),
    check("url", _url),
    text("description", max_bytes=MAX_DESCRIPTION_BYTES),
    _MERCHANT,
    repeated(
        "transitions",
        max_items=MAX_TRANSITIONS,
        each=each_text(max_bytes=MAX_NAME_BYTES, pattern=TRANSITION),
    ),
    integer("max_in_flight", minimum=0, maximum=MAX_IN_FLIGHT, default=DEFAULT_IN_FLIGHT),
]

RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.CreateWebhookEndpointRequest: [
        REQUEST_ID,
        *_CHOICES,
        enum("feed", default=WEBHOOK_FEED_PAYMENTS),
    ],
    pb.GetWebhookEndpointRequest: [_THE_ENDPOINT],
    pb.ListWebhookEndpointsRequest: [_MERCHANT, *PAGE],
    pb.UpdateWebhookEndpointRequest: [
        REQUEST_ID,
        _THE_ENDPOINT,
        *_CHOICES,
        boolean("disabled"),
    ],
    pb.DeleteWebhookEndpointRequest: [REQUEST_ID, _THE_ENDPOINT],
    pb.RotateWebhookSecretRequest: [
        REQUEST_ID,
        _THE_ENDPOINT,
        duration("overlap", maximum=MAX_OVERLAP, default=DEFAULT_OVERLAP),
    ],
    pb.ListWebhookDeliveriesRequest: [*PAGE, _THE_ENDPOINT, enum("state")],
    pb.ReplayWebhookDeliveryRequest: [
        REQUEST_ID,
        _THE_ENDPOINT,
        integer("delivery_id", minimum=1),
    ],
    pb.ReplayWebhookEventsRequest: [
        REQUEST_ID,
        _THE_ENDPOINT,
        integer("after_sequence", minimum=0),
        integer("epoch", minimum=0),
    ],
}
