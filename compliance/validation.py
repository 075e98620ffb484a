"""The rules of every request of this service; the runtime enforces them before a handler runs."""

import re
from datetime import timedelta

from compliance.request_fields import (
    MAX_ID_BYTES,
    account_suits,
    amount_is_positive,
    birth_date,
    country,
    currency,
    expiry_suits,
    identifier,
    limits_rise,
    note,
    organizations_are_not_born,
    parent_suits,
    subject,
)
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
from runtime.rule import Rule
from runtime.rules import (
    PAGE,
    REQUEST_ID,
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

MAX_NAME_BYTES = 512
MAX_ALIASES = 20
MAX_DOCUMENT_BYTES = 2 * 1024 * 1024
MAX_MINOR_UNITS = 2**53
MAX_POLICY_AGE = timedelta(days=365)

_ACCOUNT = re.compile(r"[A-Za-z0-9_]+")
_COUNTRY = re.compile(r"[A-Z]{2}")
_URL = re.compile(r"https://[!-~]+")
_RULE_NAME = re.compile(r"[a-z0-9_]+")
_MEDIA_TYPE = re.compile(r"image/jpeg|image/png|application/pdf")


def _check_rules(reference: str) -> list[Rule]:
    return [
        REQUEST_ID,
        identifier(reference),
        subject("merchant_subject_id"),
        message("amount", required=True),
        check("amount", amount_is_positive),
        identifier("stripe_account", max_bytes=64),
        text("connected_account_id", max_bytes=MAX_ID_BYTES, pattern=_ACCOUNT),
    ]


_CHECKS = {
    money_pb2.Money: [*currency(), integer("minor_units", minimum=0, maximum=MAX_MINOR_UNITS)],
    compliance_service_pb2.CheckPaymentRequest: [
        *_check_rules("payment_id"),
        subject("customer_subject_id", required=False),
        country("billing_country_code"),
        country("payment_method_country_code"),
        country("network_country_code"),
    ],
    compliance_service_pb2.CheckTransferRequest: _check_rules("transfer_id"),
    compliance_service_pb2.CheckPayoutRequest: _check_rules("payout_id"),
}

_DECISIONS = {
    decision_service_pb2.GetDecisionRequest: [identifier("decision_id")],
    decision_service_pb2.ListDecisionsRequest: [
        subject("merchant_subject_id", required=False),
        identifier("reference_id", required=False),
        enum("verdict"),
        enum("kind"),
        timestamp("from_time"),
        timestamp("until_time"),
        *PAGE,
    ],
    decision_service_pb2.ReplayDecisionRequest: [identifier("decision_id")],
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
        *birth_date(),
        check("birth_date", organizations_are_not_born),
        country("country_code"),
    ],
    subject_pb2.AccountLink: [
        identifier("stripe_account", max_bytes=64),
        text("connected_account_id", required=True, max_bytes=MAX_ID_BYTES, pattern=_ACCOUNT),
    ],
    subject_service_pb2.CreateSubjectRequest: [
        REQUEST_ID,
        subject("subject_id", required=False),
        enum("kind", required=True),
        message("profile", required=True),
        subject("parent_subject_id", required=False),
        check("parent_subject_id", parent_suits),
        message("account"),
        check("account", account_suits),
    ],
    subject_service_pb2.UpdateSubjectRequest: [
        REQUEST_ID,
        subject("subject_id"),
        integer("expected_revision", minimum=0),
        message("profile", required=True),
        message("account"),
    ],
    subject_service_pb2.GetSubjectRequest: [subject("subject_id")],
    subject_service_pb2.ListSubjectsRequest: [
        enum("kind"),
        subject("parent_subject_id", required=False),
        enum("state"),
        enum("kyc_state"),
        *PAGE,
    ],
    subject_service_pb2.SetKycStateRequest: [
        REQUEST_ID,
        subject("subject_id"),
        enum("kyc_state", required=True),
        timestamp("expire_time"),
        check("expire_time", expiry_suits),
        note(),
    ],
    subject_service_pb2.SetSubjectStateRequest: [
        REQUEST_ID,
        subject("subject_id"),
        enum("state", required=True),
        note(),
    ],
}

_REQUIREMENTS = {
    requirement_service_pb2.GetAccountSnapshotRequest: [subject("subject_id")],
    requirement_service_pb2.RefreshAccountSnapshotRequest: [subject("subject_id")],
    requirement_service_pb2.ListRequirementsRequest: [
        subject("subject_id", required=False),
        enum("minimum_state"),
        timestamp("due_before_time"),
        *PAGE,
    ],
    requirement_service_pb2.GetTaxStatusRequest: [subject("subject_id")],
    requirement_service_pb2.CreateRequirementLinkRequest: [
        REQUEST_ID,
        subject("subject_id"),
        text("return_url", required=True, max_bytes=2048, pattern=_URL),
        text("refresh_url", required=True, max_bytes=2048, pattern=_URL),
    ],
    requirement_service_pb2.CreateDocumentRequest: [
        REQUEST_ID,
        subject("subject_id"),
        enum("purpose", required=True),
        text("requirement_field", max_bytes=256),
        text("media_type", required=True, max_bytes=64, pattern=_MEDIA_TYPE),
        binary("content", required=True, max_bytes=MAX_DOCUMENT_BYTES),
    ],
    requirement_service_pb2.ListDocumentsRequest: [subject("subject_id"), *PAGE],
}

_SCREENING = {
    screening_pb2.ScreenedName: [
        text("name", required=True, max_bytes=MAX_NAME_BYTES),
        enum("entity_kind"),
        *birth_date(),
        country("country_code"),
    ],
    screening_service_pb2.ListSanctionsListsRequest: [],
    screening_service_pb2.ListListVersionsRequest: [enum("list", required=True), *PAGE],
    screening_service_pb2.LoadSanctionsListRequest: [enum("list", required=True)],
    screening_service_pb2.ScreenNameRequest: [message("subject", required=True)],
    screening_service_pb2.GetMatchRequest: [identifier("match_id")],
    screening_service_pb2.ListMatchesRequest: [
        subject("subject_id", required=False),
        enum("state"),
        *PAGE,
    ],
    screening_service_pb2.ClearMatchRequest: [REQUEST_ID, identifier("match_id"), note()],
    screening_service_pb2.ConfirmMatchRequest: [REQUEST_ID, identifier("match_id"), note()],
}

_VERSION = identifier("policy_version", max_bytes=64)
_POLICIES = {
    policy_pb2.CurrencyLimits: [
        *currency(),
        integer("review_over_minor_units", minimum=0, maximum=MAX_MINOR_UNITS),
        integer("deny_over_minor_units", minimum=0, maximum=MAX_MINOR_UNITS),
        check("deny_over_minor_units", limits_rise),
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
