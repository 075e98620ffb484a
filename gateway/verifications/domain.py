"""A verification as it stands, and what Stripe's word changes of it. Pure.

Stripe's statuses: https://docs.stripe.com/identity/how-sessions-work. What a redaction does:
https://docs.stripe.com/api/identity/verification_sessions/redact
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from gateway.ids import RequestMetadata
from gateway.operations.operation import Operation, OperationKind, OperationState
from gateway.v1 import verification_pb2
from gateway.v1 import verification_service_pb2 as pb

VERIFICATION_KEY = "engine_verification_id"
SUBJECT_KEY = "engine_subject_id"
# One that nobody tells of is looked at again when so much of its age has passed, within these.
LOOKS_PER_DOUBLING = 8
FIRST_LOOK, LAST_LOOK = timedelta(minutes=1), timedelta(days=1)
# What still waits for its person after so long is not looked at any more; events still count.
LOOKED_AT_FOR = timedelta(days=90)
# Stripe removes what was collected within four days.
REDACTION_LOOK = timedelta(hours=6)
# A code of Stripe's that is none.
UNRECOGNIZED = "unrecognized"
_CODE = re.compile(r"[a-z0-9_]{1,64}")


class State(StrEnum):
    """How far a verification is; the words are those of the contract."""

    CREATING = "CREATING"
    REQUIRES_INPUT = "REQUIRES_INPUT"
    PROCESSING = "PROCESSING"
    VERIFIED = "VERIFIED"
    CANCELED = "CANCELED"
    FAILED = "FAILED"


class Redaction(StrEnum):
    """Whether what was collected is still at Stripe."""

    NONE = ""
    PROCESSING = "PROCESSING"
    REDACTED = "REDACTED"


_AT_STRIPE = frozenset({State.REQUIRES_INPUT, State.PROCESSING, State.VERIFIED, State.CANCELED})
# What nothing follows but a redaction.
_FINAL = frozenset({State.VERIFIED, State.CANCELED})
_REDACTIONS = tuple(Redaction)
DOCUMENT_TYPES: Mapping[verification_pb2.VerificationDocumentType.ValueType, str] = {
    verification_pb2.VERIFICATION_DOCUMENT_TYPE_DRIVING_LICENSE: "driving_license",
    verification_pb2.VERIFICATION_DOCUMENT_TYPE_ID_CARD: "id_card",
    verification_pb2.VERIFICATION_DOCUMENT_TYPE_PASSPORT: "passport",
}
_OPTIONS = ("require_id_number", "require_live_capture", "require_matching_selfie")


class UnreadableSessionError(ValueError):
    """A session of Stripe's in a form that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """One check of a subject's identity."""

    verification_id: str
    subject_id: str
    corridor: str
    type: str
    state: State
    create_request_id: str
    create_time: datetime
    update_time: datetime
    options: Mapping[str, Any] = field(default_factory=dict)
    error_code: str = ""
    failure_code: str = ""
    redaction: Redaction = Redaction.NONE
    stripe_session_id: str = ""
    verify_time: datetime | None = None
    look_time: datetime | None = None
    next_look_time: datetime | None = None
    sequence: int | None = None


def options_of(request: pb.CreateVerificationRequest) -> dict[str, Any]:
    """The options of the check of a document, as Stripe names them; only what was asked for."""
    options: dict[str, Any] = {name: True for name in _OPTIONS if getattr(request.options, name)}
    if request.options.allowed_types:
        allowed = {DOCUMENT_TYPES[item] for item in request.options.allowed_types}
        options["allowed_types"] = sorted(allowed)
    return options


def session_params(
    verification: Verification,
    request: pb.CreateVerificationRequest,
    carried: RequestMetadata,
    *,
    stripe_customer_id: str,
    connected_account_id: str,
) -> dict[str, Any]:
    """For `POST /v1/identity/verification_sessions`. The request and the subject go along, so that
    the session can be found, and known again by a gateway that has lost it."""
    params: dict[str, Any] = {
        "type": verification.type.lower(),
        "client_reference_id": verification.verification_id,
        "metadata": {
            **carried.as_metadata(),
            VERIFICATION_KEY: verification.verification_id,
            SUBJECT_KEY: verification.subject_id,
        },
    }
    if verification.options:
        params["options"] = {"document": dict(verification.options)}
    if request.return_url:
        params["return_url"] = request.return_url
    if stripe_customer_id:
        params["related_customer"] = stripe_customer_id
    if request.person_id:
        params["related_person"] = {
            "account": connected_account_id,
            "person": request.person_id,
        }
    return params


def lost_verification(
    session: Mapping[str, Any], corridor: str, carried: RequestMetadata, now: datetime
) -> Verification:
    """A verification that the database does not know, as its session tells of it."""
    metadata = session["metadata"]
    document = (session.get("options") or {}).get("document") or {}
    options: dict[str, Any] = {name: True for name in _OPTIONS if document.get(name)}
    if document.get("allowed_types"):
        options["allowed_types"] = sorted(document["allowed_types"])
    return Verification(
        verification_id=metadata[VERIFICATION_KEY],
        subject_id=metadata[SUBJECT_KEY],
        corridor=corridor,
        type="ID_NUMBER" if session["type"] == "id_number" else "DOCUMENT",
        state=State.CREATING,
        options=options,
        create_request_id=carried.request_id,
        create_time=datetime.fromtimestamp(int(session["created"]), UTC),
        update_time=now,
    )


def as_stripe_says(
    before: Verification,
    session: Mapping[str, Any],
    look_time: datetime,
    now: datetime,
    told_time: datetime | None = None,
) -> Verification:
    """The verification after a look at Stripe that began at `look_time`; `told_time` is when Stripe
    says that it was verified, if an event did.

    What nothing follows is never taken back, and of the rest an older look tells nothing. Raises
    UnreadableSessionError.
    """
    state, redaction = _state_of(session), _redaction_of(session)
    is_older = before.look_time is not None and look_time < before.look_time
    if before.state in _FINAL or (is_older and state not in _FINAL):
        state = before.state
    error_code = _error_code(session)
    after = replace(
        before,
        stripe_session_id=str(session["id"]),
        state=state,
        error_code=before.error_code if is_older else error_code,
        failure_code="",
        redaction=max(before.redaction, redaction, key=_REDACTIONS.index),
        verify_time=None,
        look_time=look_time if before.look_time is None else max(look_time, before.look_time),
    )
    if state is State.VERIFIED:
        known = [time for time in (before.verify_time, told_time) if time is not None]
        after = replace(after, verify_time=min(known, default=look_time), error_code="")
    after = replace(after, next_look_time=_next_look(after, now))
    return after if not has_news(before, after) else replace(after, update_time=now)


def has_news(before: Verification, after: Verification) -> bool:
    """Whether anything changed that others are told of."""
    return _told(before) != _told(after)


def is_countable(verification: Verification) -> bool:
    """Whether it proves who somebody is."""
    return verification.state is State.VERIFIED and not verification.redaction


def waits_for_person(verification: Verification) -> bool:
    """Whether there is somewhere for the person to go."""
    return verification.state is State.REQUIRES_INPUT and not verification.redaction


def known_state(verification: Verification, operation: Operation) -> OperationState | None:
    """How an operation on a verification ended, if the verification as it stands says so."""
    if operation.kind is OperationKind.CREATE_VERIFICATION:
        known = bool(verification.stripe_session_id)
    elif operation.kind is OperationKind.CANCEL_VERIFICATION:
        known = verification.state is State.CANCELED
    else:
        known = bool(verification.redaction)
    return OperationState.SUCCEEDED if known else None


def _told(verification: Verification) -> tuple[Any, ...]:
    return (
        verification.state,
        verification.error_code,
        verification.failure_code,
        verification.redaction,
        verification.stripe_session_id,
        verification.verify_time,
    )


def _next_look(verification: Verification, now: datetime) -> datetime | None:
    if verification.redaction is Redaction.PROCESSING:
        return now + REDACTION_LOOK
    age = now - verification.create_time
    if verification.state in _FINAL or verification.redaction or age > LOOKED_AT_FOR:
        return None
    return now + min(max(age / LOOKS_PER_DOUBLING, FIRST_LOOK), LAST_LOOK)


def _state_of(session: Mapping[str, Any]) -> State:
    word = str(session.get("status")).upper()
    if word not in _AT_STRIPE:
        raise UnreadableSessionError("a status that is not known")
    return State(word)


def _redaction_of(session: Mapping[str, Any]) -> Redaction:
    said = session.get("redaction")
    if not said:
        return Redaction.NONE
    # Whatever else it is called, it is under way.
    is_done = said.get("status") == "redacted"
    return Redaction.REDACTED if is_done else Redaction.PROCESSING


def _error_code(session: Mapping[str, Any]) -> str:
    code = (session.get("last_error") or {}).get("code")
    if not code:
        return ""
    # The reason beside it is a sentence, which may say something of the person.
    return code if isinstance(code, str) and _CODE.fullmatch(code) else UNRECOGNIZED
