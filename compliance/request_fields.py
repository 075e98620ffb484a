"""The kinds of field that this service's requests share, and rules about several fields at once."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from compliance.v1 import (
    subject_pb2,
    subject_service_pb2,
    verification_pb2,
    verification_service_pb2,
)
from money.currencies import CURRENCIES
from runtime.rule import Rule
from runtime.rules import IDENTIFIER, check, text
from runtime.smtp import EMAIL_ADDRESS, MAX_EMAIL_BYTES

MAX_ID_BYTES = 128
MAX_SUBJECT_ID_BYTES = 64
SUBJECT_ID = re.compile(r"[A-Za-z0-9_-]+")
MAX_NOTE_BYTES = 512

_COUNTRY = re.compile(r"[A-Z]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_BIRTH_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def identifier(field: str, *, required: bool = True, max_bytes: int = MAX_ID_BYTES) -> Rule:
    """An id of ours or of a peer service."""
    return text(field, required=required, max_bytes=max_bytes, pattern=IDENTIFIER)


def subject(field: str, *, required: bool = True) -> Rule:
    """A subject's id. The gateway knows its merchants and customers by the same one."""
    return text(field, required=required, max_bytes=MAX_SUBJECT_ID_BYTES, pattern=SUBJECT_ID)


def country(field: str, *, required: bool = False) -> Rule:
    """An ISO 3166-1 alpha-2 code."""
    return text(field, required=required, max_bytes=2, pattern=_COUNTRY)


def currency() -> Sequence[Rule]:
    """An ISO 4217 code, required."""

    def problem(owner: Any) -> str | None:
        code = owner.currency_code
        known = not _CURRENCY.fullmatch(code) or code in CURRENCIES
        return None if known else "is no ISO 4217 currency"

    return (
        text("currency_code", required=True, max_bytes=3, pattern=_CURRENCY),
        check("currency_code", problem),
    )


def amount_is_positive(request: Any) -> str | None:
    if request.HasField("amount") and request.amount.minor_units == 0:
        return "is less than 1"
    return None


def _birth_date_is_real(owner: Any) -> str | None:
    value = owner.birth_date
    if not _BIRTH_DATE.fullmatch(value):
        return None
    whole = value + "-01-01"[len(value) - 4 :] if len(value) < 10 else value
    try:
        date.fromisoformat(whole)
    except ValueError:
        return "is no date"
    return None


def birth_date() -> Sequence[Rule]:
    """ISO 8601, whole or cut to year or month, optional."""
    return (
        text("birth_date", max_bytes=10, pattern=_BIRTH_DATE),
        check("birth_date", _birth_date_is_real),
    )


def organizations_are_not_born(profile: subject_pb2.SubjectProfile) -> str | None:
    is_organization = profile.entity_kind == subject_pb2.ENTITY_KIND_ORGANIZATION
    return "is for individuals only" if is_organization and profile.birth_date else None


def parent_suits(request: subject_service_pb2.CreateSubjectRequest) -> str | None:
    if request.kind == subject_pb2.SUBJECT_KIND_OWNER and not request.parent_subject_id:
        return "is required for owners"
    if request.kind == subject_pb2.SUBJECT_KIND_MERCHANT and request.parent_subject_id:
        return "is not for merchants"
    return None


def account_suits(request: subject_service_pb2.CreateSubjectRequest) -> str | None:
    is_merchant = request.kind == subject_pb2.SUBJECT_KIND_MERCHANT
    return "is for merchants only" if request.HasField("account") and not is_merchant else None


def expiry_suits(request: subject_service_pb2.SetKycStateRequest) -> str | None:
    is_verified = request.kyc_state == subject_pb2.KYC_STATE_VERIFIED
    return (
        "is for KYC_STATE_VERIFIED only"
        if request.HasField("expire_time") and not is_verified
        else None
    )


def document_types_differ(options: verification_pb2.VerificationOptions) -> str | None:
    is_twice = len(set(options.allowed_types)) < len(options.allowed_types)
    return "has one twice" if is_twice else None


def options_suit(request: verification_service_pb2.CreateVerificationRequest) -> str | None:
    is_document = request.type == verification_pb2.VERIFICATION_TYPE_DOCUMENT
    return "goes with documents only" if request.HasField("options") and not is_document else None


def corridor_suits(request: verification_service_pb2.CreateVerificationRequest) -> str | None:
    both = request.corridor and request.person_id
    return "is the account's own with person_id" if both else None


def email_address(field: str) -> Rule:
    """An address of ASCII characters, optional: what every mail server takes."""
    return text(field, max_bytes=MAX_EMAIL_BYTES, pattern=EMAIL_ADDRESS)


def note() -> Rule:
    """Who says so and on what grounds, required."""
    return text("note", required=True, max_bytes=MAX_NOTE_BYTES)
