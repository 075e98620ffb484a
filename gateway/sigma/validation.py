"""What requests of SigmaService have to be like; `gateway.validation` merges the rules."""

import re
from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from gateway.payments.api.validation import MAX_NAME_BYTES, NAME
from gateway.sigma.run import MAX_ID_CHARACTERS, MAX_TITLE_CHARACTERS
from gateway.v1 import sigma_service_pb2 as pb
from runtime.rule import Rule
from runtime.rules import PAGE, enum, integer, text

RUN_ID = re.compile(r"sqr_[A-Za-z0-9_]+")
# A character has at most four bytes in UTF-8.
MAX_TITLE_BYTES = 4 * MAX_TITLE_CHARACTERS

_RUN = [
    text("corridor", required=True, max_bytes=MAX_NAME_BYTES, pattern=NAME),
    text("run_id", required=True, max_bytes=MAX_ID_CHARACTERS, pattern=RUN_ID),
]

RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.ListSigmaRunsRequest: [
        *PAGE,
        text("corridor", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        text("title", max_bytes=MAX_TITLE_BYTES),
        enum("state"),
    ],
    pb.GetSigmaRunRequest: _RUN,
    pb.ReadSigmaFileRequest: _RUN,
    pb.WatchSigmaRunsRequest: [
        integer("after_sequence", minimum=0),
        integer("epoch", minimum=0),
    ],
}
