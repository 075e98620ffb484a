"""Identity: verification sessions and their reports. https://docs.stripe.com/identity

What the person shows is played by the admin API: accepted, refused with an error code, or begun;
and so is the end of a redaction, which takes Stripe up to four days.

A link can be used once, and each look at a session that waits for input brings a new one:
https://docs.stripe.com/api/identity/verification_sessions/retrieve
"""

from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.errors import check_choice, invalid_request, missing
from sandbox.stripe_twin.store import JsonObject

SESSION, REPORT = "identity.verification_session", "identity.verification_report"
# By the sessions' ids: shown to who expands them, and in no event.
# https://docs.stripe.com/identity/access-verification-results
OUTPUTS = "identity.verified_outputs"
_TYPES = frozenset({"document", "id_number"})
# The codes of `VerificationSession.LastError` in the pinned SDK; a test compares them.
ERRORS = {
    "abandoned": "The verification was not finished.",
    "consent_declined": "The person declined to be verified.",
    "country_not_supported": "The person's country is not supported.",
    "device_not_supported": "The person's device has no camera.",
    "document_expired": "The document has expired.",
    "document_type_not_supported": "The document is of a type that is not supported.",
    "document_unverified_other": "The document could not be verified.",
    "email_unverified_other": "The e-mail address could not be verified.",
    "email_verification_declined": "The person declined to verify the e-mail address.",
    "id_number_insufficient_document_data": "The document does not say enough.",
    "id_number_mismatch": "The ID number does not match.",
    "id_number_unverified_other": "The ID number could not be verified.",
    "phone_unverified_other": "The phone number could not be verified.",
    "phone_verification_declined": "The person declined to verify the phone number.",
    "selfie_document_missing_photo": "The document has no photo.",
    "selfie_face_mismatch": "The selfie does not match the document.",
    "selfie_manipulated": "The selfie was manipulated.",
    "selfie_unverified_other": "The selfie could not be verified.",
    "under_supported_age": "The person is too young.",
}
_DOCUMENTS = frozenset({"driving_license", "id_card", "passport"})
_REDACTED = "[redacted]"


def create_session(call: Call) -> JsonObject:
    """POST /v1/identity/verification_sessions."""
    params = call.params
    if "type" not in params:
        raise invalid_request("You must provide one of type or verification_flow.", param="type")
    check_choice(params, "type", _TYPES)
    kind = params["type"]
    related_person = params.get("related_person")
    if "related_customer" in params:
        # Raises for one that there is not.
        call.objects("customer").get(params["related_customer"], "related_customer", 400)
    if related_person is not None:
        _check_person(call, related_person)
    session_id = call.account.new_id("vs")
    session: JsonObject = {
        "id": session_id,
        "object": SESSION,
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": None,
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
        "related_person": related_person,
        "status": "requires_input",
        "type": kind,
        "url": None,
        "verification_flow": None,
        "verified_outputs": None,
    }
    merge_metadata(session, params.get("metadata"))
    _renew_link(call.account, session)
    call.objects(SESSION).add(session)
    call.emit(f"{SESSION}.created", session)
    return session


def retrieve_session(call: Call) -> JsonObject:
    """GET /v1/identity/verification_sessions/{id}: with a link that was not used yet."""
    session = _session(call)
    if session["status"] == "requires_input":
        _renew_link(call.account, session)
    return session


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
    """POST /v1/identity/verification_sessions/{id}/redact: has what was collected removed.

    Of what is verified or waits for input, which it cancels:
    https://docs.stripe.com/api/identity/verification_sessions/redact
    """
    session = _session(call)
    if session["redaction"] is not None:
        raise invalid_request("This verification session has been redacted already.")
    if session["status"] not in ("requires_input", "verified"):
        raise invalid_request(
            "This verification session cannot be redacted because it has a status of "
            f"{session['status']}."
        )
    if session["status"] == "requires_input":
        session["status"] = "canceled"
    session["client_secret"] = session["url"] = None
    session["redaction"] = {"status": "processing"}
    return session


def finish_redaction(account: TwinAccount, session: JsonObject) -> None:
    """What was collected is gone, and the metadata with it. Raises ValueError unless it is asked
    for."""
    if session["redaction"] is None or session["redaction"]["status"] != "processing":
        raise ValueError(f"{session['id']} is not being redacted")
    session["redaction"] = {"status": "redacted"}
    session["metadata"] = {}
    session["client_reference_id"] = session["provided_details"] = None
    outputs = account.objects(OUTPUTS).find(session["id"])
    if outputs is not None:
        outputs |= {"first_name": _REDACTED, "last_name": _REDACTED, "dob": None, "address": None}
    for report in account.objects(REPORT):
        if report["verification_session"] == session["id"] and report["document"] is not None:
            report["document"] |= {"first_name": _REDACTED, "last_name": _REDACTED}
            report["document"] |= {"address": None, "dob": None, "number": _REDACTED, "files": []}
    account.emit(f"{SESSION}.redacted", session)


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
    if error is not None and error not in ERRORS:
        raise ValueError(f"no error {error}; there are {', '.join(sorted(ERRORS))}")
    if session["status"] == "requires_input":
        begin_verification(account, session)
    if session["status"] != "processing":
        raise ValueError(f"{session['id']} is {session['status']}")
    report = account.objects(REPORT).add(_new_report(account, session, error))
    session["last_verification_report"] = report["id"]
    if error is None:
        session["status"] = "verified"
        session["client_secret"] = session["url"] = None
        account.objects(OUTPUTS).add({"id": session["id"], **_outputs(session)})
        account.emit(f"{SESSION}.verified", session)
        return
    session["status"] = "requires_input"
    session["last_error"] = {"code": error, "reason": ERRORS[error]}
    account.emit(f"{SESSION}.requires_input", session)


def _session(call: Call) -> JsonObject:
    return call.objects(SESSION).get(call.path["id"], "verification_session")


def _renew_link(account: TwinAccount, session: JsonObject) -> None:
    token = account.shared.identifiers.token(25)
    session["client_secret"] = f"{session['id']}_secret_{token}"
    session["url"] = f"{account.shared.public_url}/_twin/identity/{session['id']}?link={token}"


def _check_person(call: Call, related: dict[str, str]) -> None:
    connected = call.account.connected.get(related["account"])
    if connected is None:
        raise missing("account", related["account"], "related_person[account]", 400)
    connected.objects("person").get(related["person"], "related_person[person]", 400)


def _waiting(call: Call, verb: str) -> JsonObject:
    session = _session(call)
    if session["status"] != "requires_input":
        raise invalid_request(
            f"This verification session cannot be {verb} because it has a status of "
            f"{session['status']}."
        )
    return session


def _options(kind: str, params: dict[str, Any]) -> JsonObject:
    given = params.get("options", {}).get("document") or {}
    unknown = set(given.get("allowed_types") or ()) - _DOCUMENTS
    if unknown:
        raise invalid_request(
            f"Invalid allowed_types: must be one of {', '.join(sorted(_DOCUMENTS))}",
            param="options[document][allowed_types]",
        )
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
    failure = None if error is None else {"code": error, "reason": ERRORS[error]}
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
