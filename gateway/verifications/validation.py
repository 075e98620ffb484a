"""Validation rules of VerificationService; `gateway.validation` merges them."""

import re
from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from gateway.merchants.files import PERSON_ID
from gateway.merchants.validation import CORRIDOR, MAX_NAME_BYTES, MAX_STRIPE_ID_BYTES, MERCHANT_ID
from gateway.v1 import verification_pb2
from gateway.v1 import verification_service_pb2 as pb
from runtime.page_url import page_url
from runtime.rule import Rule
from runtime.rules import (
    PAGE,
    REQUEST_ID,
    boolean,
    check,
    each_enum,
    enum,
    integer,
    message,
    repeated,
    text,
)

MAX_DOCUMENT_TYPES = 3
VERIFICATION_ID = re.compile(r"vfn_[A-Za-z0-9]+")

_verification_id = text(
    "verification_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=VERIFICATION_ID
)


def _options_problem(request: pb.CreateVerificationRequest) -> str | None:
    is_document = request.type == verification_pb2.VERIFICATION_TYPE_DOCUMENT
    return "goes with documents only" if request.HasField("options") and not is_document else None


def _types_problem(options: verification_pb2.VerificationOptions) -> str | None:
    is_twice = len(set(options.allowed_types)) < len(options.allowed_types)
    return "has one twice" if is_twice else None


def _merchant_problem(request: pb.CreateVerificationRequest) -> str | None:
    if bool(request.merchant_id) == bool(request.person_id):
        return None
    return "goes with person_id only" if request.merchant_id else "is required with person_id"


def _corridor_problem(request: pb.CreateVerificationRequest) -> str | None:
    both = request.corridor and request.merchant_id
    return "does not go with merchant_id" if both else None


RULES: Mapping[type[Message], Sequence[Rule]] = {
    verification_pb2.VerificationOptions: [
        boolean("require_matching_selfie"),
        boolean("require_live_capture"),
        boolean("require_id_number"),
        repeated(
            "allowed_types",
            max_items=MAX_DOCUMENT_TYPES,
            each=each_enum(verification_pb2.VerificationDocumentType),
        ),
        check("allowed_types", _types_problem),
    ],
    pb.CreateVerificationRequest: [
        REQUEST_ID,
        text("subject_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=MERCHANT_ID),
        text("corridor", max_bytes=MAX_NAME_BYTES, pattern=CORRIDOR),
        check("corridor", _corridor_problem),
        enum("type", required=True),
        message("options"),
        check("options", _options_problem),
        *page_url("return_url", required=False),
        text("merchant_id", max_bytes=MAX_NAME_BYTES, pattern=MERCHANT_ID),
        check("merchant_id", _merchant_problem),
        text("person_id", max_bytes=MAX_STRIPE_ID_BYTES, pattern=PERSON_ID),
    ],
    pb.CreateVerificationLinkRequest: [_verification_id],
    pb.GetVerificationRequest: [_verification_id],
    pb.ListVerificationsRequest: [
        text("subject_id", max_bytes=MAX_NAME_BYTES, pattern=MERCHANT_ID),
        enum("state"),
        *PAGE,
    ],
    pb.CancelVerificationRequest: [REQUEST_ID, _verification_id],
    pb.RedactVerificationRequest: [REQUEST_ID, _verification_id],
    pb.WatchVerificationsRequest: [
        integer("after_sequence", minimum=0),
        integer("epoch", minimum=0),
    ],
}
