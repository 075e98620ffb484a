"""What requests of DisputeService have to be like."""

import re
from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from gateway.disputes.commands import APPEAL_FIELD
from gateway.payments.api.validation import MAX_NAME_BYTES, NAME, PAYMENT_ID
from gateway.v1 import dispute_service_pb2 as pb
from runtime.rule import Rule
from runtime.rules import PAGE, REQUEST_ID, check, enum, mapping, text

DISPUTE_ID = re.compile(r"dsp_[0-9A-Z]+")
MAX_FIELDS = 30
MAX_FIELD_BYTES = 20_000
# https://docs.stripe.com/api/disputes/update: all texts together.
MAX_EVIDENCE_CHARACTERS = 150_000
# Of the whole request: a character may take four bytes.
MAX_EVIDENCE_REQUEST_BYTES = 1024 * 1024
EVIDENCE_FIELDS = frozenset(
    {
        *("access_activity_log", "billing_address", "cancellation_policy"),
        *("cancellation_policy_disclosure", "cancellation_rebuttal", "customer_communication"),
        *("customer_email_address", "customer_name", "customer_purchase_ip"),
        *("customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation"),
        *("duplicate_charge_id", "product_description", "receipt", "refund_policy"),
        *("refund_policy_disclosure", "refund_refusal_explanation", "service_date"),
        *("service_documentation", "shipping_address", "shipping_carrier", "shipping_date"),
        *("shipping_documentation", "shipping_tracking_number", "uncategorized_file"),
        *("uncategorized_text", APPEAL_FIELD),
    }
)

_THE_DISPUTE = text("dispute_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=DISPUTE_ID)


def _evidence(request: pb.SubmitDisputeEvidenceRequest) -> str | None:
    if not request.evidence:
        return "is required"
    if not EVIDENCE_FIELDS.issuperset(request.evidence):
        return "has a key that is no evidence field of Stripe's"
    if any(not value for value in request.evidence.values()):
        return "has a field without a text"
    if sum(map(len, request.evidence.values())) > MAX_EVIDENCE_CHARACTERS:
        return f"is longer than {MAX_EVIDENCE_CHARACTERS} characters"
    return None


RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.GetDisputeRequest: [_THE_DISPUTE],
    pb.ListDisputesRequest: [
        *PAGE,
        text("merchant_id", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        text("payment_id", max_bytes=MAX_NAME_BYTES, pattern=PAYMENT_ID),
        enum("state"),
    ],
    pb.SubmitDisputeEvidenceRequest: [
        REQUEST_ID,
        _THE_DISPUTE,
        check("evidence", _evidence),
        mapping(
            "evidence", max_items=MAX_FIELDS, max_key_bytes=64, max_value_bytes=MAX_FIELD_BYTES
        ),
    ],
    pb.AcceptDisputeRequest: [REQUEST_ID, _THE_DISPUTE],
}
