"""The rules of every request of this service; the runtime enforces them before a handler runs."""

import re
from typing import Any

from google.protobuf.message import Message

from compliance.documents.document import MAX_CONTENT_BYTES
from compliance.policies.document import DOCUMENT_RULES, is_not_built_in, policy_version
from compliance.request_fields import (
    MAX_ID_BYTES,
    MAX_NOTE_BYTES,
    account_suits,
    amount_is_positive,
    birth_date,
    corridor_suits,
    country,
    currency,
    document_types_differ,
    email_address,
    expiry_suits,
    identifier,
    note,
    options_suit,
    organizations_are_not_born,
    parent_suits,
    subject,
)
from compliance.v1 import (
    case_service_pb2,
    compliance_service_pb2,
    decision_service_pb2,
    document_service_pb2,
    freeze_forecast_service_pb2,
    notice_service_pb2,
    operator_act_service_pb2,
    policy_service_pb2,
    requirement_service_pb2,
    screening_pb2,
    screening_service_pb2,
    subject_pb2,
    subject_service_pb2,
    verification_pb2,
    verification_service_pb2,
)
from money.v1.money_pb2 import Money
from runtime.act_messages import RULES as OPERATOR_ACT_RULES
from runtime.page_url import page_url
from runtime.rule import Rule
from runtime.rules import (
    PAGE,
    REQUEST_ID,
    boolean,
    check,
    each_enum,
    each_text,
    enum,
    integer,
    message,
    octets,
    repeated,
    text,
    timestamp,
)
from runtime.validation import Validator

MAX_NAME_BYTES = 512
MAX_ALIASES = 20
MAX_STRIPE_NAME_BYTES = 255
MAX_MINOR_UNITS = 2**53
MAX_DOCUMENT_TYPES = 3
# A DNS name is not longer.
MAX_ASSIGNEE_BYTES = 253

_CLIENT = re.compile(r"[a-z0-9_.-]+")
_ACCOUNT = re.compile(r"[A-Za-z0-9_]+")
_PERSON = re.compile(r"person_[A-Za-z0-9]{1,100}")
_STRIPE_FIELD = re.compile(r"[A-Za-z0-9_.]+")
_PAYMENT_METHOD_TYPE = re.compile(r"[a-z0-9_]+")
_CARD_FINGERPRINT = re.compile(r"[A-Za-z0-9]+")


def _check_rules(reference: str) -> list[Rule]:
    return [
        REQUEST_ID,
        identifier(reference),
        subject("merchant_id"),
        message("amount", required=True),
        check("amount", amount_is_positive),
        identifier("corridor", max_bytes=64),
        text("connected_account_id", max_bytes=MAX_ID_BYTES, pattern=_ACCOUNT),
    ]


_CHECKS = {
    Money: [*currency(), integer("minor_units", minimum=0, maximum=MAX_MINOR_UNITS)],
    compliance_service_pb2.CheckPaymentRequest: [
        *_check_rules("payment_id"),
        subject("customer_id", required=False),
        country("billing_country_code"),
        country("payment_method_country_code"),
        country("network_country_code"),
        text("payment_method_type", max_bytes=MAX_ID_BYTES, pattern=_PAYMENT_METHOD_TYPE),
        boolean("does_not_wait"),
        text("card_fingerprint", max_bytes=MAX_ID_BYTES, pattern=_CARD_FINGERPRINT),
    ],
    compliance_service_pb2.CheckTransferRequest: _check_rules("transfer_id"),
    compliance_service_pb2.CheckPayoutRequest: _check_rules("payout_id"),
}

_DECISIONS = {
    decision_service_pb2.GetDecisionRequest: [identifier("decision_id")],
    decision_service_pb2.ListDecisionsRequest: [
        subject("merchant_id", required=False),
        identifier("reference_id", required=False),
        enum("verdict"),
        enum("kind"),
        timestamp("start_record_time"),
        timestamp("end_record_time"),
        *PAGE,
    ],
    decision_service_pb2.ReplayDecisionRequest: [identifier("decision_id")],
    decision_service_pb2.VerifyDecisionsRequest: [
        integer("first_sequence", minimum=0),
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
        identifier("corridor", max_bytes=64),
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
    requirement_service_pb2.GetAccountSnapshotRequest: [subject("merchant_id")],
    requirement_service_pb2.RefreshAccountSnapshotRequest: [subject("merchant_id")],
    requirement_service_pb2.ListRequirementsRequest: [
        subject("merchant_id", required=False),
        enum("min_state"),
        timestamp("due_before_time"),
        *PAGE,
    ],
    requirement_service_pb2.CreateRequirementLinkRequest: [
        REQUEST_ID,
        subject("merchant_id"),
        *page_url("refresh_url"),
        *page_url("return_url"),
    ],
    requirement_service_pb2.GetTaxStatusRequest: [subject("merchant_id")],
}

_FREEZES = {
    freeze_forecast_service_pb2.GetFreezeForecastRequest: [subject("merchant_id")],
    freeze_forecast_service_pb2.ListFreezeForecastsRequest: [
        enum("kind"),
        boolean("alarms_only"),
        timestamp("expected_before_time"),
        *PAGE,
    ],
    freeze_forecast_service_pb2.ListFreezeForecastRecordRequest: [
        subject("merchant_id", required=False),
        enum("kind"),
        *PAGE,
    ],
    freeze_forecast_service_pb2.GetFreezeForecastFiguresRequest: [
        timestamp("start_time"),
        timestamp("end_time"),
    ],
    freeze_forecast_service_pb2.WatchFreezeForecastsRequest: [integer("after_sequence", minimum=0)],
}

_NOTICES = {
    notice_service_pb2.ListNoticesRequest: [
        subject("merchant_id", required=False),
        enum("mail_state"),
        *PAGE,
    ],
    notice_service_pb2.WatchNoticesRequest: [integer("after_sequence", minimum=0)],
    notice_service_pb2.SetNoticeAddressRequest: [
        subject("merchant_id"),
        email_address("email_address"),
    ],
    notice_service_pb2.ResendNoticeRequest: [integer("sequence", minimum=1)],
}

_DOCUMENTS = {
    document_service_pb2.CreateDocumentRequest: [
        REQUEST_ID,
        subject("merchant_id"),
        text("field", required=True, max_bytes=MAX_STRIPE_NAME_BYTES, pattern=_STRIPE_FIELD),
        text("person_id", max_bytes=MAX_ID_BYTES, pattern=_PERSON),
        enum("side"),
        boolean("with_other_side"),
        text("content_type", required=True, max_bytes=64),
        octets("content", max_bytes=MAX_CONTENT_BYTES),
    ],
    document_service_pb2.WithdrawDocumentRequest: [REQUEST_ID, identifier("document_id")],
    document_service_pb2.GetDocumentRequest: [identifier("document_id")],
    document_service_pb2.ListDocumentsRequest: [
        subject("merchant_id", required=False),
        enum("state"),
        *PAGE,
    ],
}

_VERIFICATIONS = {
    verification_pb2.VerificationOptions: [
        boolean("require_matching_selfie"),
        boolean("require_live_capture"),
        boolean("require_id_number"),
        repeated(
            "allowed_types",
            max_items=MAX_DOCUMENT_TYPES,
            each=each_enum(verification_pb2.VerificationDocumentType),
        ),
        check("allowed_types", document_types_differ),
    ],
    verification_service_pb2.CreateVerificationRequest: [
        REQUEST_ID,
        subject("subject_id"),
        enum("type", required=True),
        message("options"),
        check("options", options_suit),
        *page_url("return_url", required=False),
        text("person_id", max_bytes=MAX_ID_BYTES, pattern=_PERSON),
        identifier("corridor", required=False, max_bytes=64),
        check("corridor", corridor_suits),
    ],
    verification_service_pb2.CreateVerificationLinkRequest: [identifier("verification_id")],
    verification_service_pb2.GetVerificationRequest: [identifier("verification_id")],
    verification_service_pb2.ListVerificationsRequest: [
        subject("subject_id", required=False),
        enum("state"),
        *PAGE,
    ],
    verification_service_pb2.CancelVerificationRequest: [
        REQUEST_ID,
        identifier("verification_id"),
    ],
    verification_service_pb2.RedactVerificationRequest: [
        REQUEST_ID,
        identifier("verification_id"),
    ],
}

_SCREENING = {
    screening_pb2.ScreenedName: [
        text("name", required=True, max_bytes=MAX_NAME_BYTES),
        enum("entity_kind"),
        *birth_date(),
        country("country_code"),
    ],
    screening_service_pb2.ListSanctionsListsRequest: [],
    screening_service_pb2.ListSanctionsListVersionsRequest: [enum("list", required=True), *PAGE],
    screening_service_pb2.LoadSanctionsListRequest: [
        enum("list", required=True),
        boolean("accept_losses"),
    ],
    screening_service_pb2.ScreenNameRequest: [message("screened_name", required=True)],
    screening_service_pb2.GetMatchRequest: [identifier("match_id")],
    screening_service_pb2.ListMatchesRequest: [
        subject("subject_id", required=False),
        enum("state"),
        *PAGE,
    ],
    screening_service_pb2.ClearMatchRequest: [REQUEST_ID, identifier("match_id"), note()],
    screening_service_pb2.ConfirmMatchRequest: [REQUEST_ID, identifier("match_id"), note()],
}


def _nobody_is_named(request: Any) -> str | None:
    both = request.unassigned and request.assignee
    return "is not for requests with an assignee" if both else None


def _begins_once(request: case_service_pb2.WatchCasesRequest) -> str | None:
    both = request.after_sequence and request.HasField("start_record_time")
    return "is not for requests with after_sequence" if both else None


_CASE = [REQUEST_ID, identifier("case_id")]
_CASES = {
    case_service_pb2.GetCaseRequest: [identifier("case_id")],
    case_service_pb2.ListCasesRequest: [
        enum("state"),
        subject("merchant_id", required=False),
        identifier("reference_id", required=False),
        text("assignee", max_bytes=MAX_ASSIGNEE_BYTES, pattern=_CLIENT),
        boolean("unassigned"),
        check("unassigned", _nobody_is_named),
        timestamp("start_open_time"),
        timestamp("end_open_time"),
        boolean("newest_first"),
        *PAGE,
    ],
    case_service_pb2.ListCaseEventsRequest: [identifier("case_id"), *PAGE],
    case_service_pb2.AssignCaseRequest: [
        *_CASE,
        text("assignee", max_bytes=MAX_ASSIGNEE_BYTES, pattern=_CLIENT),
        text("note", max_bytes=MAX_NOTE_BYTES),
    ],
    case_service_pb2.AddCaseNoteRequest: [*_CASE, note()],
    case_service_pb2.ApproveCaseRequest: [
        *_CASE,
        integer("expected_revision", minimum=1),
        note(),
    ],
    case_service_pb2.RefuseCaseRequest: [*_CASE, note()],
    case_service_pb2.WatchCasesRequest: [
        integer("after_sequence", minimum=0),
        timestamp("start_record_time"),
        check("start_record_time", _begins_once),
    ],
}

_POLICIES = {
    **DOCUMENT_RULES,
    policy_service_pb2.CreatePolicyVersionRequest: [
        REQUEST_ID,
        policy_version(),
        check("policy_version", is_not_built_in),
        message("document", required=True),
    ],
    policy_service_pb2.ShadowPolicyVersionRequest: [REQUEST_ID, policy_version()],
    policy_service_pb2.ActivatePolicyVersionRequest: [
        REQUEST_ID,
        policy_version(),
        policy_version("replaced_policy_version"),
    ],
    policy_service_pb2.RetirePolicyVersionRequest: [REQUEST_ID, policy_version()],
    policy_service_pb2.BacktestPolicyVersionRequest: [
        policy_version(),
        timestamp("start_record_time"),
        timestamp("end_record_time"),
    ],
    policy_service_pb2.GetShadowReportRequest: [policy_version()],
    policy_service_pb2.GetPolicyVersionRequest: [policy_version()],
    policy_service_pb2.ListPolicyVersionsRequest: [enum("state"), *PAGE],
}

_ACTS: dict[type[Message], list[Rule]] = {
    operator_act_service_pb2.ListOperatorActsRequest: OPERATOR_ACT_RULES
}

VALIDATOR = Validator(
    {
        **_CHECKS,
        **_DECISIONS,
        **_SUBJECTS,
        **_REQUIREMENTS,
        **_FREEZES,
        **_NOTICES,
        **_DOCUMENTS,
        **_VERIFICATIONS,
        **_SCREENING,
        **_CASES,
        **_POLICIES,
        **_ACTS,
    }
)
