"""Validation rules of CustomerService; `gateway.validation` merges them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from gateway.ids import METADATA_PREFIX
from gateway.payments.api.bank_debits import SAVING_RULES
from gateway.payments.api.validation import (
    CORRIDOR,
    MAX_NAME_BYTES,
    MAX_TOKEN_BYTES,
    MAX_URL_BYTES,
    NAME,
    PAYMENT_METHOD,
    web_address,
)
from gateway.sensitive import problem_with_metadata
from gateway.v1 import customer_service_pb2 as pb
from runtime.rule import Rule
from runtime.rules import PAGE, REQUEST_ID, check, enum, mapping, text

SETUP_ID = re.compile(r"seti_[A-Za-z0-9_]{1,250}")
MAX_EMAIL_BYTES = 512
MAX_PERSON_BYTES = 256
# Stripe allows 50 keys; some are left for the gateway's own.
MAX_METADATA = 20

_the_customer = text("customer_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=NAME)
_corridor = text("corridor", max_bytes=MAX_NAME_BYTES, pattern=CORRIDOR)
_the_method = text(
    "payment_method_id", required=True, max_bytes=MAX_TOKEN_BYTES, pattern=PAYMENT_METHOD
)


def _metadata_problem(request: Any) -> str | None:
    if any(key.startswith(METADATA_PREFIX) for key in request.metadata):
        return f"has a key that begins with {METADATA_PREFIX}"
    return problem_with_metadata(request.metadata)


def _something_new(request: pb.UpdateCustomerRequest) -> str | None:
    if request.email or request.name or request.metadata:
        return None
    return "at least one of email, name and metadata is required"


_describing = [
    text("email", max_bytes=MAX_EMAIL_BYTES),
    text("name", max_bytes=MAX_PERSON_BYTES),
    mapping("metadata", max_items=MAX_METADATA, max_key_bytes=40, max_value_bytes=500),
    check("metadata", _metadata_problem),
]
_about_a_method = [REQUEST_ID, _the_customer, _corridor, _the_method]

RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.CreateCustomerRequest: [REQUEST_ID, _the_customer, _corridor, *_describing],
    pb.GetCustomerRequest: [_the_customer, _corridor],
    pb.ListCustomersRequest: [
        *PAGE,
        text("customer_id", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        _corridor,
        enum("state"),
    ],
    pb.UpdateCustomerRequest: [
        REQUEST_ID,
        _the_customer,
        _corridor,
        *_describing,
        check("email", _something_new),
    ],
    pb.DeleteCustomerRequest: [REQUEST_ID, _the_customer, _corridor],
    pb.SavePaymentMethodRequest: [
        *_about_a_method,
        text("return_url", max_bytes=MAX_URL_BYTES),
        check("return_url", web_address),
        *SAVING_RULES,
    ],
    pb.GetPaymentMethodSetupRequest: [
        _the_customer,
        _corridor,
        text("setup_id", required=True, max_bytes=MAX_TOKEN_BYTES, pattern=SETUP_ID),
    ],
    pb.ListPaymentMethodsRequest: [_the_customer, _corridor, *PAGE],
    pb.SetDefaultPaymentMethodRequest: _about_a_method,
    pb.DetachPaymentMethodRequest: _about_a_method,
}
