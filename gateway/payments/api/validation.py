"""Validation rules of PaymentService; `gateway.validation` merges them."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.message import Message

from gateway.ids import METADATA_PREFIX
from gateway.money import problem_with_currency, problem_with_size
from gateway.payments.api.bank_debits import (
    ALTERNATIVE_RULES,
    BANK_DEBIT_RULES,
    MANDATE_RULES,
)
from gateway.payments.domain.retry_policy import MAX_ATTEMPTS, MAX_WITHIN, MIN_ATTEMPTS, MIN_WITHIN
from gateway.sensitive import problem_with_metadata, problem_with_text
from gateway.v1 import payment_pb2
from gateway.v1 import payment_service_pb2 as pb
from money.v1.money_pb2 import Money
from runtime.rule import NOTHING, Found, Quick, Rule
from runtime.rules import (
    PAGE,
    REQUEST_ID,
    boolean,
    check,
    duration,
    each_text,
    enum,
    integer,
    mapping,
    message,
    repeated,
    text,
    timestamp,
)

NAME = re.compile(r"[A-Za-z0-9_-]+")
CORRIDOR = re.compile(r"[a-z0-9][a-z0-9_-]*")
# What can be charged by its id: https://docs.stripe.com/api/payment_intents/create, and cards,
# sources and bank accounts of before PaymentMethods, which Stripe takes in their place.
PAYMENT_METHOD = re.compile(r"(?:pm|card|src|ba)_[A-Za-z0-9_]+")
STRIPE_CUSTOMER = re.compile(r"cus_[A-Za-z0-9_]+")
ACCOUNT = re.compile(r"acct_[A-Za-z0-9]+")
PAYMENT_ID = re.compile(r"pay_[0-9A-Z]+")
# https://docs.stripe.com/get-started/account/statement-descriptors
STATEMENT_TEXT = re.compile(r"(?=.*[A-Za-z])[ !#-&(-)+-;=?-\[\]-~]+")
TRANSITION = re.compile(r"[a-z_]+")
MAX_NAME_BYTES = 64
MAX_TRANSITIONS = 32
MAX_TOKEN_BYTES = 255
MAX_URL_BYTES = 2048
MAX_DESCRIPTION_BYTES = 1000
MAX_STATEMENT_BYTES = 22
MAX_PAYMENT_ID_BYTES = 64
MAX_ALTERNATIVES = 8
COUNTRY = re.compile(r"[A-Z]{2}")
DEFAULT_QUEUE_TIMEOUT = timedelta(minutes=15)
MIN_QUEUE_TIMEOUT = timedelta(seconds=1)
MAX_QUEUE_TIMEOUT = timedelta(hours=24)

_THE_PAYMENT = text("payment_id", required=True, max_bytes=MAX_PAYMENT_ID_BYTES, pattern=PAYMENT_ID)


def _currency(money: Any) -> str | None:
    return problem_with_currency(money.currency_code, money.minor_units)


def _size(money: Any) -> str | None:
    return problem_with_size(money.currency_code, money.minor_units)


def _return_url(request: Any) -> str | None:
    if not request.return_url:
        return None
    if request.off_session:
        return "needs a customer who is there, but off_session is set"
    return web_address(request)


def web_address(request: Any) -> str | None:
    """What is wrong with the return_url of a request; None when nothing is, or it has none."""
    if not request.return_url:
        return None
    try:
        parts = urlsplit(request.return_url)
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "is not an http or https URL"
    return None


def _save_payment_method(request: Any) -> str | None:
    if not request.save_payment_method:
        return None
    if request.off_session:
        return "needs the customer's consent, but off_session is set"
    if not request.payment_method.stripe_customer_id:
        return "needs payment_method.stripe_customer_id"
    return None


def _decline_retry(request: Any) -> str | None:
    if request.HasField("decline_retry") and not request.off_session:
        return "needs off_session: a customer who is there tries again"
    return None


def _queue_timeout(request: Any) -> str | None:
    queues = request.unavailable_policy == payment_pb2.UNAVAILABLE_POLICY_QUEUE
    if request.HasField("queue_timeout") and not queues:
        return "needs UNAVAILABLE_POLICY_QUEUE"
    return None


def _metadata(request: Any) -> str | None:
    if any(key.startswith(METADATA_PREFIX) for key in request.metadata):
        return f"has a key that begins with {METADATA_PREFIX}"
    return problem_with_metadata(request.metadata)


def not_sensitive(field: str) -> Rule:
    """A text that goes to Stripe has neither a card number nor a secret key."""
    return check(field, lambda request: problem_with_text(getattr(request, field)))


def above_zero(field: str) -> Rule:
    """An amount of money that may not be zero."""
    path = f"{field}.minor_units"

    def find(request: Any) -> Found:
        is_zero = request.HasField(field) and not getattr(request, field).minor_units
        return ((path, "is less than 1"),) if is_zero else NOTHING

    quick = Quick(f"not m.HasField('{field}') or m.{field}.minor_units")
    return Rule(field, lambda _: find, lambda _: quick)


def _application_fee(request: Any) -> str | None:
    if not request.HasField("application_fee"):
        return None
    if not request.destination_account_id:
        return "needs destination_account_id"
    return _fee_of_amount(request, "payment's amount")


def _fee_at_capture(request: Any) -> str | None:
    # Of a capture without an amount the payment tells more: its rules look at the fee.
    if not request.HasField("application_fee") or not request.HasField("amount"):
        return None
    return _fee_of_amount(request, "amount captured")


def _fee_of_amount(request: Any, name: str) -> str | None:
    fee, amount = request.application_fee, request.amount
    if fee.currency_code != amount.currency_code:
        return f"is not in the {name.removesuffix(' amount')} currency"
    if fee.minor_units > amount.minor_units:
        return f"is more than the {name}"
    return None


def _refund_application_fee(request: Any) -> str | None:
    keeps = request.HasField("reverse_transfer") and not request.reverse_transfer
    if keeps and request.refund_application_fee:
        return "needs reverse_transfer"
    return None


def _alternatives(request: Any) -> str | None:
    named = [(other.corridor, other.payment_method.token) for other in request.alternatives]
    own = (request.corridor, request.payment_method.token)
    if len(set(named)) != len(named) or own in named:
        return "names a payment method twice for a corridor"
    if named and request.stay_in_corridor:
        return "contradicts stay_in_corridor"
    credited = bool(request.destination_account_id)
    if any(bool(other.destination_account_id) != credited for other in request.alternatives):
        return "needs a destination_account_id exactly if the payment has one"
    return None


RULES: Mapping[type[Message], Sequence[Rule]] = {
    Money: [
        text("currency_code", required=True, max_bytes=3, pattern=re.compile(r"[A-Z]{3}")),
        check("currency_code", _currency),
        integer("minor_units", minimum=0),
        check("minor_units", _size),
    ],
    payment_pb2.PaymentMethod: [
        text("token", required=True, max_bytes=MAX_TOKEN_BYTES, pattern=PAYMENT_METHOD),
        text("stripe_customer_id", max_bytes=MAX_TOKEN_BYTES, pattern=STRIPE_CUSTOMER),
        enum("type", default=payment_pb2.PAYMENT_METHOD_TYPE_CARD),
    ],
    payment_pb2.MandateAcceptance: MANDATE_RULES,
    payment_pb2.CorridorAlternative: [
        text("corridor", required=True, max_bytes=MAX_NAME_BYTES, pattern=CORRIDOR),
        message("payment_method", required=True),
        *ALTERNATIVE_RULES,
        text("destination_account_id", max_bytes=MAX_NAME_BYTES, pattern=ACCOUNT),
    ],
    pb.CreatePaymentRequest: [
        REQUEST_ID,
        text("merchant_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=NAME),
        text("customer_id", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        message("amount", required=True),
        above_zero("amount"),
        message("payment_method", required=True),
        enum("capture_method", default=payment_pb2.CAPTURE_METHOD_AUTOMATIC),
        boolean("off_session"),
        text("return_url", max_bytes=MAX_URL_BYTES),
        check("return_url", _return_url),
        enum("unavailable_policy", default=payment_pb2.UNAVAILABLE_POLICY_FAIL_FAST),
        duration(
            "queue_timeout",
            minimum=MIN_QUEUE_TIMEOUT,
            maximum=MAX_QUEUE_TIMEOUT,
            default=DEFAULT_QUEUE_TIMEOUT,
        ),
        check("queue_timeout", _queue_timeout),
        text("description", max_bytes=MAX_DESCRIPTION_BYTES),
        not_sensitive("description"),
        text("statement_descriptor_suffix", max_bytes=MAX_STATEMENT_BYTES, pattern=STATEMENT_TEXT),
        not_sensitive("statement_descriptor_suffix"),
        mapping("metadata", max_items=20, max_key_bytes=40, max_value_bytes=500),
        check("metadata", _metadata),
        text("destination_account_id", max_bytes=MAX_NAME_BYTES, pattern=ACCOUNT),
        message("application_fee"),
        above_zero("application_fee"),
        check("application_fee", _application_fee),
        text("corridor", max_bytes=MAX_NAME_BYTES, pattern=CORRIDOR),
        text("billing_country_code", max_bytes=2, pattern=COUNTRY),
        repeated("alternatives", max_items=MAX_ALTERNATIVES),
        check("alternatives", _alternatives),
        boolean("stay_in_corridor"),
        boolean("fail_in_review"),
        boolean("save_payment_method"),
        check("save_payment_method", _save_payment_method),
        message("decline_retry"),
        check("decline_retry", _decline_retry),
        message("mandate_acceptance"),
        *BANK_DEBIT_RULES,
    ],
    payment_pb2.DeclineRetry: [
        integer("max_attempts", minimum=MIN_ATTEMPTS, maximum=MAX_ATTEMPTS),
        duration("window", required=True, minimum=MIN_WITHIN, maximum=MAX_WITHIN),
    ],
    pb.ConfirmPaymentRequest: [
        REQUEST_ID,
        _THE_PAYMENT,
        text("return_url", max_bytes=MAX_URL_BYTES),
        check("return_url", web_address),
    ],
    pb.CapturePaymentRequest: [
        REQUEST_ID,
        _THE_PAYMENT,
        message("amount"),
        above_zero("amount"),
        message("application_fee"),
        check("application_fee", _fee_at_capture),
    ],
    pb.CancelPaymentRequest: [REQUEST_ID, _THE_PAYMENT],
    pb.RefundPaymentRequest: [
        REQUEST_ID,
        _THE_PAYMENT,
        message("amount"),
        above_zero("amount"),
        enum("reason"),
        boolean("reverse_transfer"),
        boolean("refund_application_fee"),
        check("refund_application_fee", _refund_application_fee),
    ],
    pb.GetPaymentRequest: [_THE_PAYMENT],
    pb.ListPaymentsRequest: [
        *PAGE,
        text("merchant_id", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        text("customer_id", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        enum("state"),
        timestamp("start_create_time"),
        timestamp("end_create_time"),
    ],
    pb.WatchPaymentsRequest: [
        integer("after_sequence", minimum=0),
        integer("epoch", minimum=0),
        text("merchant_id", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        text("payment_id", max_bytes=MAX_PAYMENT_ID_BYTES, pattern=PAYMENT_ID),
        repeated(
            "transitions",
            max_items=MAX_TRANSITIONS,
            each=each_text(max_bytes=MAX_NAME_BYTES, pattern=TRANSITION),
        ),
    ],
}
