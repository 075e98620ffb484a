"""What requests of BalanceTransactionService have to be like."""

import re
from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from gateway.payments.api.validation import MAX_NAME_BYTES, NAME
from gateway.v1 import balance_transaction_service_pb2 as pb
from runtime.rule import Rule
from runtime.rules import PAGE, check, integer, text, timestamp

CURRENCY = re.compile(r"[A-Z]{3}")
TYPE = re.compile(r"[a-z0-9_]+")
STRIPE_PAYOUT_ID = re.compile(r"po_[A-Za-z0-9]+")
MAX_CURRENCY_BYTES = 3
MAX_STRIPE_ID_BYTES = 255


def _span_problem(request: pb.ListBalanceTransactionsRequest) -> str | None:
    if not (request.HasField("created_from") and request.HasField("created_until")):
        return None
    begin, end = request.created_from, request.created_until
    is_after = (end.seconds, end.nanos) > (begin.seconds, begin.nanos)
    return None if is_after else "must be after created_from"


RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.ListBalanceTransactionsRequest: [
        *PAGE,
        text("corridor", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        text("currency_code", max_bytes=MAX_CURRENCY_BYTES, pattern=CURRENCY),
        text("type", max_bytes=MAX_NAME_BYTES, pattern=TYPE),
        text("stripe_payout_id", max_bytes=MAX_STRIPE_ID_BYTES, pattern=STRIPE_PAYOUT_ID),
        timestamp("created_from"),
        timestamp("created_until"),
        check("created_until", _span_problem),
    ],
    pb.ListBalancesRequest: [
        *PAGE,
        text("corridor", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        text("currency_code", max_bytes=MAX_CURRENCY_BYTES, pattern=CURRENCY),
    ],
    pb.WatchBalanceTransactionsRequest: [
        integer("after_sequence", minimum=0),
        integer("epoch", minimum=0),
    ],
}
