"""What requests of RoutingService have to be like; `gateway.validation` merges the rules."""

import re
from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from gateway.payments.api.validation import MAX_PAYMENT_ID_BYTES, PAYMENT_ID
from gateway.stripe_client.validation import MAX_REASON_BYTES
from gateway.v1 import routing_service_pb2 as pb
from runtime.rule import Rule
from runtime.rules import PAGE, REQUEST_ID, enum, text, timestamp

VERSION = re.compile(r"[0-9a-f]{64}")
VERSION_BYTES = 64

_REASON = text("reason", required=True, max_bytes=MAX_REASON_BYTES)

RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.ExplainRoutingRequest: [
        text("payment_id", required=True, max_bytes=MAX_PAYMENT_ID_BYTES, pattern=PAYMENT_ID)
    ],
    pb.ListModelsRequest: [*PAGE],
    pb.PromoteModelRequest: [
        REQUEST_ID,
        text("model_version", required=True, max_bytes=VERSION_BYTES, pattern=VERSION),
        enum("step", required=True),
        _REASON,
    ],
    pb.RollBackModelRequest: [
        REQUEST_ID,
        text("model_version", max_bytes=VERSION_BYTES, pattern=VERSION),
        _REASON,
    ],
    pb.GetRoutingReportRequest: [timestamp("start_time")],
}
