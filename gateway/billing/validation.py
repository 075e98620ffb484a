"""What requests of BillingService have to be like; `gateway.validation` merges the rules."""

import re
from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from gateway.payments.api.validation import MAX_NAME_BYTES, NAME
from gateway.v1 import billing_service_pb2 as pb
from runtime.rule import Rule
from runtime.rules import PAGE, integer, text

STATUS = re.compile(r"[a-z_]+")
STRIPE_CUSTOMER_ID = re.compile(r"cus_[A-Za-z0-9_]+")
MAX_STRIPE_ID_BYTES = 255

_FILTERS = [
    *PAGE,
    text("corridor", max_bytes=MAX_NAME_BYTES, pattern=NAME),
    text("customer_id", max_bytes=MAX_STRIPE_ID_BYTES, pattern=STRIPE_CUSTOMER_ID),
    text("status", max_bytes=MAX_NAME_BYTES, pattern=STATUS),
]

RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.ListInvoicesRequest: _FILTERS,
    pb.ListSubscriptionsRequest: _FILTERS,
    pb.WatchBillingRequest: [
        integer("after_sequence", minimum=0),
        integer("epoch", minimum=0),
    ],
}
