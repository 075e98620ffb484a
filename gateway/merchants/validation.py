"""Validation rules of MerchantService; `gateway.validation` merges them."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

from google.protobuf.message import Message

from gateway.ids import METADATA_PREFIX
from gateway.merchants.domain import MERCHANT_KEY
from gateway.merchants.files import MAX_CONTENT_BYTES, PERSON_ID, attachment
from gateway.sensitive import problem_with_metadata
from gateway.v1 import merchant_service_pb2 as pb
from gateway.v1 import merchant_tax_pb2
from runtime.page_url import page_url
from runtime.rule import Rule
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
    octets,
    one_of,
    repeated,
    text,
)

MAX_NAME_BYTES = 64
MAX_STRIPE_ID_BYTES = 255
MAX_CAPABILITIES = 20
MAX_SYNC_AGE = timedelta(days=30)
# Stripe allows 50 keys; some are left for the gateway's own.
MAX_METADATA = 20
MERCHANT_ID = re.compile(r"[A-Za-z0-9_-]+")
CORRIDOR = re.compile(r"[a-z0-9][a-z0-9_-]*")
ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9]{1,58}")
STRIPE_WORD = re.compile(r"[a-z0-9_]+")
COUNTRY = re.compile(r"[A-Z]{2}")
CUSTOMER_ID = re.compile(r"cus_[A-Za-z0-9_]+")
TAX_ID = re.compile(r"txi_[A-Za-z0-9_]+")
FILE_ID = re.compile(r"file_[A-Za-z0-9_]+")

_merchant_id = text("merchant_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=MERCHANT_ID)
_optional_merchant_id = text("merchant_id", max_bytes=MAX_NAME_BYTES, pattern=MERCHANT_ID)
_optional_corridor = text("corridor", max_bytes=MAX_NAME_BYTES, pattern=CORRIDOR)
_tax_id_id = text("tax_id_id", required=True, max_bytes=MAX_STRIPE_ID_BYTES, pattern=TAX_ID)
# Set but empty is no name of an account.
_account = [
    one_of("account"),
    text("merchant_id", max_bytes=MAX_NAME_BYTES, pattern=MERCHANT_ID),
    text("corridor", max_bytes=MAX_NAME_BYTES, pattern=CORRIDOR),
    check(
        "account",
        lambda request: (
            "is empty"
            if request.WhichOneof("account") and not (request.merchant_id or request.corridor)
            else None
        ),
    ),
]


def _needed_to_create(field: str) -> Rule:
    """A field that a new account needs and an attached one must not have."""

    def problem(request: pb.CreateMerchantRequest) -> str | None:
        if request.connected_account_id:
            return "goes with a new account only" if getattr(request, field) else None
        return None if getattr(request, field) else "is required"

    return check(field, problem)


def _only_to_create(field: str) -> Rule:
    def problem(request: pb.CreateMerchantRequest) -> str | None:
        given = request.connected_account_id and getattr(request, field)
        return "goes with a new account only" if given else None

    return check(field, problem)


def _metadata_problem(request: pb.CreateMerchantRequest) -> str | None:
    for key in request.metadata:
        if key == MERCHANT_KEY or key.startswith(METADATA_PREFIX):
            return f"{MERCHANT_KEY} and {METADATA_PREFIX}… are the gateway's own"
    return problem_with_metadata(request.metadata)


def _attachment_problem(request: pb.AttachFilesRequest) -> str | None:
    if attachment(request) is None:
        return "is not one that these files answer"
    return None


def _owner_problem(owner: merchant_tax_pb2.TaxIdOwner) -> str | None:
    if owner.WhichOneof("owner") == "merchant_id" and not owner.merchant_id:
        return "is empty"
    return None


def _customer_problem(customer: merchant_tax_pb2.TaxIdCustomer) -> str | None:
    if bool(customer.corridor) == bool(customer.merchant_id):
        return "either corridor or merchant_id is required"
    return None


RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.CreateMerchantRequest: [
        REQUEST_ID,
        _optional_merchant_id,
        _optional_corridor,
        text("connected_account_id", max_bytes=MAX_NAME_BYTES, pattern=ACCOUNT_ID),
        text("country_code", max_bytes=2, pattern=COUNTRY),
        _needed_to_create("country_code"),
        enum("dashboard"),
        _needed_to_create("dashboard"),
        enum("business_type"),
        _only_to_create("business_type"),
        repeated(
            "requested_capabilities",
            max_items=MAX_CAPABILITIES,
            each=each_text(max_bytes=64, pattern=STRIPE_WORD),
        ),
        _needed_to_create("requested_capabilities"),
        text("email", max_bytes=512),
        _only_to_create("email"),
        text("business_name", max_bytes=256),
        _only_to_create("business_name"),
        mapping("metadata", max_items=MAX_METADATA, max_key_bytes=40, max_value_bytes=500),
        _only_to_create("metadata"),
        check("metadata", _metadata_problem),
    ],
    pb.GetMerchantRequest: [
        one_of("merchant"),
        _optional_merchant_id,
        text("connected_account_id", max_bytes=MAX_NAME_BYTES, pattern=ACCOUNT_ID),
        check(
            "merchant",
            lambda request: (
                "is empty"
                if request.WhichOneof("merchant")
                and not (request.merchant_id or request.connected_account_id)
                else None
            ),
        ),
    ],
    pb.ListMerchantsRequest: [_optional_corridor, enum("state"), *PAGE],
    pb.SyncMerchantRequest: [_merchant_id, duration("max_age", maximum=MAX_SYNC_AGE)],
    pb.WatchMerchantsRequest: [
        integer("after_sequence", minimum=0),
        integer("epoch", minimum=0),
    ],
    pb.CreateOnboardingLinkRequest: [
        REQUEST_ID,
        _merchant_id,
        enum("kind", required=True),
        *page_url("refresh_url"),
        *page_url("return_url"),
        boolean("currently_due_only"),
        boolean("with_future_requirements"),
    ],
    pb.CreateFileRequest: [
        REQUEST_ID,
        _merchant_id,
        enum("purpose", required=True),
        enum("type", required=True),
        octets("content", max_bytes=MAX_CONTENT_BYTES),
    ],
    pb.AttachFilesRequest: [
        REQUEST_ID,
        _merchant_id,
        text("field", required=True, max_bytes=MAX_STRIPE_ID_BYTES),
        text("person_id", max_bytes=MAX_STRIPE_ID_BYTES, pattern=PERSON_ID),
        text("file_id", max_bytes=MAX_STRIPE_ID_BYTES, pattern=FILE_ID),
        text("back_file_id", max_bytes=MAX_STRIPE_ID_BYTES, pattern=FILE_ID),
        check("field", _attachment_problem),
    ],
    pb.GetTaxSettingsRequest: _account,
    pb.ListTaxRegistrationsRequest: [*_account, *PAGE],
    pb.CreateTaxIdRequest: [
        REQUEST_ID,
        message("owner", required=True),
        text("kind", required=True, max_bytes=64, pattern=STRIPE_WORD),
        text("value", required=True, max_bytes=128),
    ],
    pb.GetTaxIdRequest: [message("owner", required=True), _tax_id_id],
    pb.ListTaxIdsRequest: [message("owner", required=True), *PAGE],
    pb.DeleteTaxIdRequest: [REQUEST_ID, message("owner", required=True), _tax_id_id],
    merchant_tax_pb2.TaxIdOwner: [
        one_of("owner"),
        _optional_merchant_id,
        message("customer"),
        check("merchant_id", _owner_problem),
    ],
    merchant_tax_pb2.TaxIdCustomer: [
        text(
            "stripe_customer_id", required=True, max_bytes=MAX_STRIPE_ID_BYTES, pattern=CUSTOMER_ID
        ),
        _optional_corridor,
        _optional_merchant_id,
        check("corridor", _customer_problem),
    ],
}
