"""What requests of PayoutService have to be like."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from gateway.money import problem_with_payout
from gateway.payments.api.validation import MAX_NAME_BYTES, NAME, above_zero, not_sensitive
from gateway.v1 import payout_service_pb2 as pb
from runtime.rule import Rule
from runtime.rules import PAGE, REQUEST_ID, check, enum, integer, message, text

PAYOUT_ID = re.compile(r"pyo_[0-9A-Z]+")
STATEMENT_TEXT = re.compile(r"[ -~]+")
MAX_STATEMENT_BYTES = 22

_THE_PAYOUT = text("payout_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=PAYOUT_ID)


def _amount(request: Any) -> str | None:
    if not request.HasField("amount"):
        return None
    return problem_with_payout(request.amount.currency_code, request.amount.minor_units)


RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.CreatePayoutRequest: [
        REQUEST_ID,
        text("merchant_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=NAME),
        message("amount", required=True),
        above_zero("amount"),
        check("amount", _amount),
        text("statement_descriptor", max_bytes=MAX_STATEMENT_BYTES, pattern=STATEMENT_TEXT),
        not_sensitive("statement_descriptor"),
    ],
    pb.CancelPayoutRequest: [REQUEST_ID, _THE_PAYOUT],
    pb.GetPayoutRequest: [_THE_PAYOUT],
    pb.ListPayoutsRequest: [
        *PAGE,
        text("merchant_id", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        enum("state"),
    ],
    pb.ListPayoutTransactionsRequest: [*PAGE, _THE_PAYOUT],
    pb.WatchPayoutsRequest: [
        integer("after_sequence", minimum=0),
        integer("epoch", minimum=0),
    ],
}
