"""The rules of every request of this service; the runtime enforces them before a handler runs."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from iso4217 import Currency

from compliance.v1 import (
    compliance_service_pb2,
    decision_service_pb2,
    money_pb2,
    policy_pb2,
    policy_service_pb2,
    requirement_service_pb2,
    screening_pb2,
    screening_service_pb2,
    subject_pb2,
    subject_service_pb2,
)
from runtime.rules import (
    IDENTIFIER,
    PAGE,
    REQUEST_ID,
    Rule,
    binary,
    check,
    duration,
    each_text,
    enum,
    integer,
    message,
    number,
    repeated,
    text,
    timestamp,
)
from runtime.validation import Validator

MAX_ID_BYTES = 128
MAX_NAME_BYTES = 512
MAX_NOTE_BYTES = 512
MAX_ALIASES = 20
MAX_DOCUMENT_BYTES = 2 * 1024 * 1024
MAX_MINOR_UNITS = 2**53
MAX_POLICY_AGE = timedelta(days=365)

_ACCOUNT = re.compile(r"[A-Za-z0-9_]+")
_COUNTRY = re.compile(r"[A-Z]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_BIRTH_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_URL = re.compile(r"https://[!-~]+")
_RULE_NAME = re.compile(r"[a-z0-9_]+")
_MEDIA_TYPE = re.compile(r"image/jpeg|image/png|application/pdf")
_CURRENCIES = frozenset(currency.code for currency in Currency)


def _identifier(field: str, *, required: bool = True, max_bytes: int = MAX_ID_BYTES) -> Rule:
    return text(field, required=required, max_bytes=max_bytes, pattern=IDENTIFIER)


def _country(field: str) -> Rule:
    return text(field, max_bytes=2, pattern=_COUNTRY)


def _currency() -> Sequence[Rule]:
    def problem(owner: Any) -> str | None:
        code = owner.currency_code
        known = not _CURRENCY.fullmatch(code) or code in _CURRENCIES
        return None if known else "is no ISO 4217 currency"

    return (
        text("currency_code", required=True, max_bytes=3, pattern=_CURRENCY),
        check("currency_code", problem),
    )


def _amount_is_positive(request: Any) -> str | None:
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


def _birth_date() -> Sequence[Rule]:
    return (
        text("birth_date", max_bytes=10, pattern=_BIRTH_DATE),
        check("birth_date", _birth_date_is_real),
    )


def _organizations_are_not_born(profile: subject_pb2.SubjectProfile) -> str | None:
    is_organization = profile.entity_kind == subject_pb2.ENTITY_KIND_ORGANIZATION
    return "is for individuals only" if is_organization and profile.birth_date else None


def _parent_suits(request: subject_service_pb2.CreateSubjectRequest) -> str | None:
    if request.kind == subject_pb2.SUBJECT_KIND_OWNER and not request.parent_subject_id:
        return "is required for owners"
    if request.kind == subject_pb2.SUBJECT_KIND_MERCHANT and request.parent_subject_id:
        return "is not for merchants"
    return None


def _account_suits(request: subject_service_pb2.CreateSubjectRequest) -> str | None:
    is_merchant = request.kind == subject_pb2.SUBJECT_KIND_MERCHANT
    return "is for merchants only" if request.HasField("account") and not is_merchant else None


def _expiry_suits(request: subject_service_pb2.SetKycStateRequest) -> str | None:
    is_verified = request.kyc_state == subject_pb2.KYC_STATE_VERIFIED
    return (
        "is for KYC_STATE_VERIFIED only"
        if request.HasField("expire_time") and not is_verified
        else None
    )


def _limits_rise(limits: policy_pb2.CurrencyLimits) -> str | None:
    is_lower = limits.deny_over_minor_units < limits.review_over_minor_units
    return "is less than review_over_minor_units" if is_lower else None


def _note() -> Rule:
    return text("note", required=True, max_bytes=MAX_NOTE_BYTES)


def _check_rules(reference: str) -> list[Rule]:
    return [
        REQUEST_ID,
        _identifier(reference),
        _identifier("merchant_subject_id"),
        message("amount", required=True),
        check("amount", _amount_is_positive),
        _identifier("stripe_account", max_bytes=64),
        text("connected_account_id", max_bytes=MAX_ID_BYTES, pattern=_ACCOUNT),
    ]


_CHECKS = {
    money_pb2.Money: [*_currency(), integer("minor_units", minimum=0, maximum=MAX_MINOR_UNITS)],
    compliance_service_pb2.CheckPaymentRequest: [
        *_check_rules("payment_id"),
        _identifier("customer_subject_id", required=False),
        _country("billing_country_code"),
        _country("payment_method_country_code"),
        _country("network_country_code"),
    ],
    compliance_service_pb2.CheckTransferRequest: _check_rules("transfer_id"),
    compliance_service_pb2.CheckPayoutRequest: _check_rules("payout_id"),
}

_DECISIONS = {
    decision_service_pb2.GetDecisionRequest: [_identifier("decision_id")],
    decision_service_pb2.ListDecisionsRequest: [
        _identifier("merchant_subject_id", required=False),
        _identifier("reference_id", required=False),
        enum("verdict"),
        enum("kind"),
        timestamp("from_time"),
        timestamp("until_time"),
        *PAGE,
    ],
    decision_service_pb2.ReplayDecisionRequest: [_identifier("decision_id")],
    decision_service_pb2.VerifyDecisionsRequest: [
        integer("from_sequence", minimum=0),
        integer("limit", minimum=0),
    ],
}

_SUBJECTS = {
    subject_pb2.SubjectProfile: [
        text("legal_name", required=True, max_bytes=MAX_NAME_BYTES),
        repeated("aliases", max_items=MAX_ALIASES, each=each_text(max_bytes=MAX_NAME_BYTES)),
        enum("entity_kind"),
        *_birth_date(),
        check("birth_date", _organizations_are_not_born),
        _country("country_code"),
    ],
    subject_pb2.AccountLink: [
        _identifier("stripe_account", max_bytes=64),
        text("connected_account_id", required=True, max_bytes=MAX_ID_BYTES, pattern=_ACCOUNT),
    ],
    subject_service_pb2.CreateSubjectRequest: [
        REQUEST_ID,
        _identifier("subject_id", required=False),
        enum("kind", required=True),
        message("profile", required=True),
        _identifier("parent_subject_id", required=False),
        check("parent_subject_id", _parent_suits),
        message("account"),
        check("account", _account_suits),
    ],
    subject_service_pb2.UpdateSubjectRequest: [
        REQUEST_ID,
        _identifier("subject_id"),
        integer("expected_revision", minimum=0),
        message("profile", required=True),
        message("account"),
    ],
    subject_service_pb2.GetSubjectRequest: [_identifier("subject_id")],
    subject_service_pb2.ListSubjectsRequest: [
        enum("kind"),
        _identifier("parent_subject_id", required=False),
        enum("state"),
        enum("kyc_state"),
        *PAGE,
    ],
    subject_service_pb2.SetKycStateRequest: [
        REQUEST_ID,
        _identifier("subject_id"),
        enum("kyc_state", required=True),
        timestamp("expire_time"),
        check("expire_time", _expiry_suits),
        _note(),
    ],
    subject_service_pb2.SetSubjectStateRequest: [
        REQUEST_ID,
        _identifier("subject_id"),
        enum("state", required=True),
        _note(),
    ],
}

_REQUIREMENTS = {
    requirement_service_pb2.GetAccountSnapshotRequest: [_identifier("subject_id")],
    requirement_service_pb2.RefreshAccountSnapshotRequest: [_identifier("subject_id")],
    requirement_service_pb2.ListRequirementsRequest: [
        _identifier("subject_id", required=False),
        enum("minimum_state"),
        timestamp("due_before_time"),
        *PAGE,
    ],
    requirement_service_pb2.GetTaxStatusRequest: [_identifier("subject_id")],
    requirement_service_pb2.CreateRequirementLinkRequest: [
        REQUEST_ID,
        _identifier("subject_id"),
        text("return_url", required=True, max_bytes=2048, pattern=_URL),
        text("refresh_url", required=True, max_bytes=2048, pattern=_URL),
    ],
    requirement_service_pb2.CreateDocumentRequest: [
        REQUEST_ID,
        _identifier("subject_id"),
        enum("purpose", required=True),
        text("requirement_field", max_bytes=256),
        text("media_type", required=True, max_bytes=64, pattern=_MEDIA_TYPE),
        binary("content", required=True, max_bytes=MAX_DOCUMENT_BYTES),
    ],
    requirement_service_pb2.ListDocumentsRequest: [_identifier("subject_id"), *PAGE],
}

_SCREENING = {
    screening_pb2.ScreenedName: [
        text("name", required=True, max_bytes=MAX_NAME_BYTES),
        enum("entity_kind"),
        *_birth_date(),
        _country("country_code"),
    ],
    screening_service_pb2.ListSanctionsListsRequest: [],
    screening_service_pb2.ListListVersionsRequest: [enum("list", required=True), *PAGE],
    screening_service_pb2.LoadSanctionsListRequest: [enum("list", required=True)],
    screening_service_pb2.ScreenNameRequest: [message("subject", required=True)],
    screening_service_pb2.GetMatchRequest: [_identifier("match_id")],
    screening_service_pb2.ListMatchesRequest: [
        _identifier("subject_id", required=False),
        enum("state"),
        *PAGE,
    ],
    screening_service_pb2.ClearMatchRequest: [REQUEST_ID, _identifier("match_id"), _note()],
    screening_service_pb2.ConfirmMatchRequest: [REQUEST_ID, _identifier("match_id"), _note()],
}

_VERSION = _identifier("policy_version", max_bytes=64)
_POLICIES = {
    policy_pb2.CurrencyLimits: [
        *_currency(),
        integer("review_over_minor_units", minimum=0, maximum=MAX_MINOR_UNITS),
        integer("deny_over_minor_units", minimum=0, maximum=MAX_MINOR_UNITS),
        check("deny_over_minor_units", _limits_rise),
        integer("guest_review_over_minor_units", minimum=0, maximum=MAX_MINOR_UNITS),
    ],
    policy_pb2.PolicyRule: [
        text("name", required=True, max_bytes=64, pattern=_RULE_NAME),
        text("expression", required=True, max_bytes=4096),
        enum("verdict", required=True),
        text("internal_text", required=True, max_bytes=512),
    ],
    policy_pb2.PolicyDocument: [
        repeated(
            "prohibited_country_codes",
            max_items=250,
            each=each_text(max_bytes=2, pattern=_COUNTRY),
        ),
        repeated("limits", max_items=200),
        duration("snapshot_max_age", required=True, maximum=MAX_POLICY_AGE),
        duration("list_warn_age", required=True, maximum=MAX_POLICY_AGE),
        duration("list_max_age", required=True, maximum=MAX_POLICY_AGE),
        duration("requirement_notice", required=True, maximum=MAX_POLICY_AGE),
        number("match_threshold", minimum=0.5, maximum=1.0),
        repeated("rules", max_items=100),
    ],
    policy_service_pb2.CreatePolicyVersionRequest: [
        REQUEST_ID,
        _VERSION,
        message("document", required=True),
    ],
    policy_service_pb2.GetPolicyVersionRequest: [_VERSION],
    policy_service_pb2.ListPolicyVersionsRequest: [enum("state"), *PAGE],
    policy_service_pb2.ActivatePolicyVersionRequest: [REQUEST_ID, _VERSION],
    policy_service_pb2.ShadowPolicyVersionRequest: [REQUEST_ID, _VERSION],
    policy_service_pb2.RetirePolicyVersionRequest: [REQUEST_ID, _VERSION],
    policy_service_pb2.BacktestPolicyVersionRequest: [
        _VERSION,
        timestamp("from_time"),
        timestamp("until_time"),
        integer("after_sequence", minimum=0),
    ],
}

VALIDATOR = Validator(
    {**_CHECKS, **_DECISIONS, **_SUBJECTS, **_REQUIREMENTS, **_SCREENING, **_POLICIES}
)
