"""Identity: verification sessions and their reports. https://docs.stripe.com/identity

What the person shows is played by the admin API: accepted, refused with an error code, or begun.
"""

from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.errors import check_choice, invalid_request
from sandbox.stripe_twin.store import JsonObject

SESSION, REPORT = "identity.verification_session", "identity.verification_report"
_TYPES = frozenset({"document", "id_number"})
_ERRORS = {
    "abandoned": "The verification was not finished.",
    "consent_declined": "The person declined to be verified.",
    "document_expired": "The document has expired.",
    "document_unverified_other": "The document could not be verified.",
    "id_number_mismatch": "The ID number does not match.",
    "selfie_face_mismatch": "The selfie does not match the document.",
    "under_supported_age": "The person is too young.",
}
_REDACTED = "[redacted]"


def create_session(call: Call) -> JsonObject:
    """POST /v1/identity/verification_sessions; only this answer shows the client secret."""
    params = call.params
    check_choice(params, "type", _TYPES)
    kind = params.get("type", "document")
    session_id = call.account.new_id("vs")
    token = call.account.shared.identifiers.token(25)
    session: JsonObject = {
        "id": session_id,
        "object": SESSION,
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": f"{session_id}_secret_{token}",
        "created": call.account.now(),
        "last_error": None,
        "last_verification_report": None,
        "livemode": False,
        "metadata": {},
        "options": _options(kind, params),
        "provided_details": params.get("provided_details"),
        "redaction": None,
        "related_customer": params.get("related_customer"),
        "related_customer_account": None,
        "related_person": params.get("related_person"),
        "status": "requires_input",
        "type": kind,
        "url": f"{call.account.shared.public_url}/_twin/identity/{session_id}",
        "verification_flow": None,
        "verified_outputs": None,
    }
    merge_metadata(session, params.get("metadata"))
    call.objects(SESSION).add(session)
    call.emit(f"{SESSION}.created", session)
    return session


def retrieve_session(call: Call) -> JsonObject:
    """GET /v1/identity/verification_sessions/{id}."""
    return call.objects(SESSION).get(call.path["id"], "verification_session")


def list_sessions(call: Call) -> JsonObject:
    """GET /v1/identity/verification_sessions by status, reference, customer and created."""
    names = ("client_reference_id", "related_customer", "status")
    wanted = {name: call.params[name] for name in names if name in call.params}
    return call.objects(SESSION).page(
        "/v1/identity/verification_sessions",
        call.params,
        lambda item: all(item[name] == value for name, value in wanted.items()),
    )


def update_session(call: Call) -> JsonObject:
    """POST /v1/identity/verification_sessions/{id} while it waits for input."""
    session = _waiting(call, "updated")
    check_choice(call.params, "type", _TYPES)
    if "type" in call.params:
        session["type"] = call.params["type"]
        session["options"] = _options(session["type"], call.params)
    if "provided_details" in call.params:
        session["provided_details"] = call.params["provided_details"]
    merge_metadata(session, call.params.get("metadata"))
    return session


def cancel_session(call: Call) -> JsonObject:
    """POST /v1/identity/verification_sessions/{id}/cancel while it waits for input."""
    session = _waiting(call, "canceled")
    session["status"] = "canceled"
    session["client_secret"] = session["url"] = None
    call.emit(f"{SESSION}.canceled", session)
    return session


def redact_session(call: Call) -> JsonObject:
    """POST /v1/identity/verification_sessions/{id}/redact: removes what was collected."""
    session = retrieve_session(call)
    if session["status"] == "processing":
        raise invalid_request("A verification session cannot be redacted while it is processing.")
    if session["redaction"] is not None:
        raise invalid_request("This verification session has been redacted already.")
    if session["status"] == "requires_input":
        session["status"] = "canceled"
    session["client_secret"] = session["url"] = None
    session["redaction"] = {"status": "redacted"}
    outputs = session["verified_outputs"]
    if outputs is not None:
        outputs |= {"first_name": _REDACTED, "last_name": _REDACTED, "dob": None, "address": None}
    for report in call.objects(REPORT):
        if report["verification_session"] == session["id"] and report["document"] is not None:
            report["document"] |= {"first_name": _REDACTED, "last_name": _REDACTED}
            report["document"] |= {"address": None, "dob": None, "number": _REDACTED, "files": []}
    call.emit(f"{SESSION}.redacted", session)
    return session


def retrieve_report(call: Call) -> JsonObject:
    """GET /v1/identity/verification_reports/{id}."""
    return call.objects(REPORT).get(call.path["id"], "verification_report")


def list_reports(call: Call) -> JsonObject:
    """GET /v1/identity/verification_reports by session, type, reference and created."""
    names = ("client_reference_id", "type", "verification_session")
    wanted = {name: call.params[name] for name in names if name in call.params}
    return call.objects(REPORT).page(
        "/v1/identity/verification_reports",
        call.params,
        lambda item: all(item[name] == value for name, value in wanted.items()),
    )


def begin_verification(account: TwinAccount, session: JsonObject) -> None:
    """The person has submitted everything. Raises ValueError if nobody asked for it."""
    if session["status"] != "requires_input":
        raise ValueError(f"{session['id']} does not wait for input")
    session["status"] = "processing"
    session["last_error"] = None
    account.emit(f"{SESSION}.processing", session)


def finish_verification(account: TwinAccount, session: JsonObject, error: str | None) -> None:
    """Stripe has checked what was submitted; `error` is a code of `last_error`, None for none.

    Raises ValueError for another code, or if nothing is to be checked.
    """
    if error is not None and error not in _ERRORS:
        raise ValueError(f"no error {error}; there are {', '.join(sorted(_ERRORS))}")
    if session["status"] == "requires_input":
        begin_verification(account, session)
    if session["status"] != "processing":
        raise ValueError(f"{session['id']} is {session['status']}")
    report = account.objects(REPORT).add(_new_report(account, session, error))
    session["last_verification_report"] = report["id"]
    if error is None:
        session["status"] = "verified"
        session["client_secret"] = session["url"] = None
        session["verified_outputs"] = _outputs(session)
        account.emit(f"{SESSION}.verified", session)
        return
    session["status"] = "requires_input"
    session["last_error"] = {"code": error, "reason": _ERRORS[error]}
    account.emit(f"{SESSION}.requires_input", session)


def _waiting(call: Call, verb: str) -> JsonObject:
    session = retrieve_session(call)
    if session["status"] != "requires_input":
        raise invalid_request(
            f"This verification session cannot be {verb} because it has a status of "
            f"{session['status']}."
        )
    return session


def _options(kind: str, params: dict[str, Any]) -> JsonObject:
    given = params.get("options", {}).get("document") or {}
    document = {
        "allowed_types": given.get("allowed_types"),
        "require_id_number": given.get("require_id_number"),
        "require_live_capture": given.get("require_live_capture"),
        "require_matching_selfie": given.get("require_matching_selfie"),
    }
    return {"document": document} if kind == "document" else {"id_number": {}}


def _outputs(session: JsonObject) -> JsonObject:
    details = session["provided_details"] or {}
    return {
        "address": {
            "city": "Springfield",
            "country": "US",
            "line1": "1 Test Street",
            "line2": None,
            "postal_code": "62701",
            "state": "IL",
        },
        "dob": None,
        "email": details.get("email"),
        "first_name": "Jenny",
        "id_number": None,
        "id_number_type": "us_ssn" if session["type"] == "id_number" else None,
        "last_name": "Rosen",
        "phone": details.get("phone"),
        "sex": None,
        "unparsed_place_of_birth": None,
        "unparsed_sex": None,
    }


def _new_report(account: TwinAccount, session: JsonObject, error: str | None) -> JsonObject:
    failure = None if error is None else {"code": error, "reason": _ERRORS[error]}
    status = "verified" if error is None else "unverified"
    report: JsonObject = {
        "id": account.new_id("vr"),
        "object": REPORT,
        "client_reference_id": session["client_reference_id"],
        "created": account.now(),
        "document": None,
        "email": None,
        "id_number": None,
        "livemode": False,
        "options": session["options"],
        "phone": None,
        "selfie": None,
        "type": session["type"],
        "verification_flow": None,
        "verification_session": session["id"],
    }
    person = {"first_name": "Jenny", "last_name": "Rosen", "dob": None}
    if session["type"] == "document":
        report["document"] = {
            **person,
            "address": None,
            "error": failure,
            "expiration_date": {"day": 31, "month": 12, "year": 2040},
            "files": [account.new_id("file")],
            "issued_date": {"day": 1, "month": 1, "year": 2020},
            "issuing_country": "US",
            "number": None,
            "sex": None,
            "status": status,
            "type": "passport",
            "unparsed_place_of_birth": None,
            "unparsed_sex": None,
        }
    else:
        report["id_number"] = {
            **person,
            "error": failure,
            "id_number": None,
            "id_number_type": "us_ssn",
            "status": status,
        }
    return report
