"""Validation rules of CorridorService; `gateway.validation` merges them."""

import re
from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from gateway.v1 import corridor_service_pb2 as pb
from runtime.rule import Rule
from runtime.rules import PAGE, REQUEST_ID, enum, text

CORRIDOR = re.compile(r"[a-z0-9][a-z0-9_-]*")
EVENT_ID = re.compile(r"evt_[A-Za-z0-9_]+")
MAX_NAME_BYTES = 64
MAX_STRIPE_ID_BYTES = 255
MAX_REASON_BYTES = 512

RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.GetCorridorHealthRequest: [text("corridor", max_bytes=MAX_NAME_BYTES, pattern=CORRIDOR)],
    pb.SetCorridorModeRequest: [
        REQUEST_ID,
        text("corridor", required=True, max_bytes=MAX_NAME_BYTES, pattern=CORRIDOR),
        enum("mode", required=True),
        text("reason", required=True, max_bytes=MAX_REASON_BYTES),
    ],
    pb.ListDeadLettersRequest: [
        text("corridor", max_bytes=MAX_NAME_BYTES, pattern=CORRIDOR),
        *PAGE,
    ],
    pb.ReplayDeadLetterRequest: [
        REQUEST_ID,
        text("event_id", required=True, max_bytes=MAX_STRIPE_ID_BYTES, pattern=EVENT_ID),
    ],
}
