"""What this service answers when it cannot do what it was asked; see error_reason.proto."""

from collections.abc import Sequence

import grpc

from compliance.v1 import error_reason_pb2
from runtime.errors import ErrorDomain, ServiceError

ERRORS = ErrorDomain("compliance", error_reason_pb2.ErrorReason)


def subject_already_exists(subject_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.ALREADY_EXISTS,
        error_reason_pb2.ERROR_REASON_SUBJECT_ALREADY_EXISTS,
        "another subject has this subject_id",
        metadata={"subject_id": subject_id},
    )


def subject_not_found(subject_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_SUBJECT_NOT_FOUND,
        "no subject has this id",
        metadata={"subject_id": subject_id},
    )


def subject_revision_mismatch(subject_id: str, expected: int, actual: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.ABORTED,
        error_reason_pb2.ERROR_REASON_SUBJECT_REVISION_MISMATCH,
        "the subject changed since; read it again",
        metadata={
            "subject_id": subject_id,
            "expected_revision": str(expected),
            "revision": str(actual),
        },
    )


def subject_closed(subject_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_SUBJECT_CLOSED,
        "the subject is closed",
        metadata={"subject_id": subject_id},
    )


def invalid_parent(parent_subject_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_INVALID_PARENT,
        "the parent is not a merchant that is open",
        metadata={"parent_subject_id": parent_subject_id},
    )


def account_already_linked(connected_account_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_ACCOUNT_ALREADY_LINKED,
        "another merchant has this connected account",
        metadata={"connected_account_id": connected_account_id},
    )


def account_not_linked(subject_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_LINKED,
        "the subject has no connected account",
        metadata={"subject_id": subject_id},
    )


def snapshot_not_found(subject_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_SNAPSHOT_NOT_FOUND,
        "nothing is known of the connected account yet",
        metadata={"subject_id": subject_id},
    )


def gateway_unavailable() -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.UNAVAILABLE,
        error_reason_pb2.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
        "the gateway did not answer in time; retry",
        metadata={"dependency": "gateway"},
    )


def list_not_configured(list_name: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_LIST_NOT_CONFIGURED,
        "no source is configured for this list",
        metadata={"list": list_name},
    )


def list_broken(list_name: str, defect: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_LIST_BROKEN,
        "the source could not be loaded; the version before stays in use",
        metadata={"list": list_name, "defect": defect},
    )


def list_not_built(list_name: str, failure: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_LIST_NOT_BUILT,
        "the list's index was not built; the version before stays in use",
        metadata={"list": list_name, "failure": failure},
    )


def match_not_found(match_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_MATCH_NOT_FOUND,
        "no match has this id",
        metadata={"match_id": match_id},
    )


def match_not_decidable(match_id: str, state: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_MATCH_NOT_DECIDABLE,
        "the match is obsolete, or was decided in this way before",
        metadata={"match_id": match_id, "state": state},
    )


def policy_version_not_found(policy_version: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_POLICY_VERSION_NOT_FOUND,
        "no policy has this version",
        metadata={"policy_version": policy_version},
    )


def case_not_found(case_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_CASE_NOT_FOUND,
        "no case has this id",
        metadata={"case_id": case_id},
    )


def case_closed(case_id: str, state: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_CASE_CLOSED,
        "the case is closed",
        metadata={"case_id": case_id, "state": state},
    )


def case_revision_mismatch(case_id: str, expected: int, actual: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.ABORTED,
        error_reason_pb2.ERROR_REASON_CASE_REVISION_MISMATCH,
        "the case changed since; read it again",
        metadata={
            "case_id": case_id,
            "expected_revision": str(expected),
            "revision": str(actual),
        },
    )


def case_not_approvable(case_id: str, codes: Sequence[str]) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_CASE_NOT_APPROVABLE,
        "an approval cannot take the place of what these findings need",
        metadata={"case_id": case_id, "codes": ",".join(dict.fromkeys(codes))},
    )


def case_needs_another_approver(case_id: str, client: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_CASE_NEEDS_ANOTHER_APPROVER,
        "the second approver has to be another one than the first",
        metadata={"case_id": case_id, "client": client},
    )


def cursor_outdated(after_sequence: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.OUT_OF_RANGE,
        error_reason_pb2.ERROR_REASON_CURSOR_OUTDATED,
        "the database was restored: nothing is known of this sequence any more",
        metadata={"after_sequence": str(after_sequence)},
    )


def decision_not_found(decision_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_DECISION_NOT_FOUND,
        "no decision has this id",
        metadata={"decision_id": decision_id},
    )


def policy_version_already_exists(version: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.ALREADY_EXISTS,
        error_reason_pb2.ERROR_REASON_POLICY_VERSION_ALREADY_EXISTS,
        "another policy has this version",
        metadata={"policy_version": version},
    )


def invalid_policy_state(version: str, state: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_INVALID_POLICY_STATE,
        f"the version is {state}",
        metadata={"policy_version": version, "state": state},
    )


def policy_replaced(in_force: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.ABORTED,
        error_reason_pb2.ERROR_REASON_POLICY_REPLACED,
        f"{in_force} is in force",
        metadata={"policy_version": in_force},
    )


def too_many_shadows(limit: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_TOO_MANY_SHADOWS,
        f"{limit} versions are shadows already",
        metadata={"limit": str(limit)},
    )


def match_threshold_differs(in_force: float) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_MATCH_THRESHOLD_DIFFERS,
        "only a release changes the score from which names match",
        metadata={"match_threshold": str(in_force)},
    )


def nothing_wanted(subject_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_NOTHING_WANTED,
        "Stripe wants nothing that a page could answer",
        metadata={"subject_id": subject_id},
    )


def requirement_link_expired(subject_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_REQUIREMENT_LINK_EXPIRED,
        "the link has expired; ask with a new request_id",
        metadata={"subject_id": subject_id},
    )


def requirement_link_refused(subject_id: str, gateway_reason: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_REQUIREMENT_LINK_REFUSED,
        "the gateway or Stripe refused to make the link",
        metadata={"subject_id": subject_id, "gateway_reason": gateway_reason},
    )


def notice_not_found(sequence: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_NOTICE_NOT_FOUND,
        "no notice has this sequence",
        metadata={"sequence": str(sequence)},
    )


def notice_not_dead(sequence: int, mail_state: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_NOTICE_NOT_DEAD,
        "only an e-mail that could not be delivered is sent again",
        metadata={"sequence": str(sequence), "mail_state": mail_state},
    )


def documents_off(setting: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_DOCUMENTS_OFF,
        f"documents are not taken: {setting} is not set",
        metadata={"setting": setting},
    )


def document_field_unsuitable(field: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.INVALID_ARGUMENT,
        error_reason_pb2.ERROR_REASON_DOCUMENT_FIELD_UNSUITABLE,
        "no document answers this field",
        metadata={"field": field},
    )


def document_type_not_taken(field: str, content_type: str, taken: Sequence[str]) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.INVALID_ARGUMENT,
        error_reason_pb2.ERROR_REASON_DOCUMENT_TYPE_NOT_TAKEN,
        "Stripe does not take this type for the field",
        metadata={"field": field, "content_type": content_type, "taken": ",".join(taken)},
    )


def document_content_differs(content_type: str, found: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.INVALID_ARGUMENT,
        error_reason_pb2.ERROR_REASON_DOCUMENT_CONTENT_DIFFERS,
        "the content is not of the type that it is said to be",
        metadata={"content_type": content_type, "found": found},
    )


def documents_too_many(subject_id: str, limit: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        error_reason_pb2.ERROR_REASON_DOCUMENTS_TOO_MANY,
        f"{limit} documents of the merchant are on their way already",
        metadata={"subject_id": subject_id, "limit": str(limit)},
    )


def document_not_on_the_way(document_id: str, state: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_DOCUMENT_NOT_ON_THE_WAY,
        "the document has been attached already, or is at its end",
        metadata={"document_id": document_id, "state": state},
    )


def verification_not_found(verification_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_VERIFICATION_NOT_FOUND,
        "no verification has this id",
        metadata={"verification_id": verification_id},
    )


def verification_refused(subject_id: str, gateway_reason: str, stripe_code: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_VERIFICATION_REFUSED,
        "the gateway or Stripe refused what was asked of the verification",
        metadata={
            "subject_id": subject_id,
            "gateway_reason": gateway_reason,
            "stripe_code": stripe_code,
        },
    )


def document_not_found(document_id: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_DOCUMENT_NOT_FOUND,
        "no document has this id",
        metadata={"document_id": document_id},
    )
