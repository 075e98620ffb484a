"""What requests of ForesightService have to be like; `gateway.validation` merges the rules."""

from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from gateway.payments.api.validation import MAX_NAME_BYTES, NAME
from gateway.v1 import foresight_service_pb2 as pb
from runtime.rule import Rule
from runtime.rules import PAGE, enum, integer, text

DEFAULT_DAYS = 28
# As long as minutes are kept.
MAX_DAYS = 35

_CORRIDOR = text("corridor", required=True, max_bytes=MAX_NAME_BYTES, pattern=NAME)

RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.GetForecastRequest: [_CORRIDOR],
    pb.ListIncidentsRequest: [
        *PAGE,
        text("corridor", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        enum("state"),
    ],
    pb.WatchIncidentsRequest: [
        integer("after_sequence", minimum=0),
        integer("epoch", minimum=0),
    ],
    pb.GetForesightRecordRequest: [
        _CORRIDOR,
        integer("days", minimum=0, maximum=MAX_DAYS),
    ],
}
