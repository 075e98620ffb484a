"""What every request has to be like: the rules of all services of the gateway."""

import re

from gateway.customers.validation import RULES as CUSTOMER_RULES
from gateway.merchants.validation import RULES as MERCHANT_RULES
from gateway.payments.validation import MAX_NAME_BYTES, NAME, PAYMENT_ID
from gateway.payments.validation import RULES as PAYMENT_RULES
from gateway.rails.validation import RULES as RAIL_RULES
from gateway.v1 import dispute_service_pb2 as dispute_pb
from gateway.v1 import payout_service_pb2 as payout_pb
from runtime.rules import PAGE, REQUEST_ID, check, enum, mapping, message, text
from runtime.validation import Validator

DISPUTE_ID = re.compile(r"dsp_[0-9A-Z]+")
PAYOUT_ID = re.compile(r"pyo_[0-9A-Z]+")
STATEMENT_TEXT = re.compile(r"[ -~]+")

_THE_DISPUTE = text("dispute_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=DISPUTE_ID)
_THE_PAYOUT = text("payout_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=PAYOUT_ID)
_A_MERCHANT = text("merchant_id", max_bytes=MAX_NAME_BYTES, pattern=NAME)


def _some_evidence(request: dispute_pb.SubmitDisputeEvidenceRequest) -> str | None:
    return None if request.evidence else "is required"


VALIDATOR = Validator(
    {
        **PAYMENT_RULES,
        **MERCHANT_RULES,
        **CUSTOMER_RULES,
        **RAIL_RULES,
        dispute_pb.GetDisputeRequest: [_THE_DISPUTE],
        dispute_pb.ListDisputesRequest: [
            *PAGE,
            _A_MERCHANT,
            text("payment_id", max_bytes=MAX_NAME_BYTES, pattern=PAYMENT_ID),
            enum("state"),
        ],
        dispute_pb.SubmitDisputeEvidenceRequest: [
            REQUEST_ID,
            _THE_DISPUTE,
            check("evidence", _some_evidence),
            mapping("evidence", max_items=30, max_key_bytes=64, max_value_bytes=20_000),
        ],
        dispute_pb.AcceptDisputeRequest: [REQUEST_ID, _THE_DISPUTE],
        payout_pb.CreatePayoutRequest: [
            REQUEST_ID,
            text("merchant_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=NAME),
            message("amount", required=True),
            text("statement_descriptor", max_bytes=22, pattern=STATEMENT_TEXT),
        ],
        payout_pb.CancelPayoutRequest: [REQUEST_ID, _THE_PAYOUT],
        payout_pb.GetPayoutRequest: [_THE_PAYOUT],
        payout_pb.ListPayoutsRequest: [*PAGE, _A_MERCHANT, enum("state")],
        payout_pb.ListPayoutTransactionsRequest: [*PAGE, _THE_PAYOUT],
    }
)
