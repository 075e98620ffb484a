"""The endpoints of Identity."""

from sandbox.stripe_twin import identity_sessions as identity
from sandbox.stripe_twin.routing import Route

_SESSIONS = "/v1/identity/verification_sessions"
_REPORTS = "/v1/identity/verification_reports"
_SESSION, _REPORT = "identity.verification_session", "identity.verification_report"

IDENTITY_ROUTES = (
    Route("POST", _SESSIONS, identity.create_session, f"{_SESSION}_create"),
    Route("GET", _SESSIONS, identity.list_sessions, f"{_SESSION}_list"),
    Route("GET", f"{_SESSIONS}/{{id}}", identity.retrieve_session, f"{_SESSION}_retrieve"),
    Route("POST", f"{_SESSIONS}/{{id}}", identity.update_session, f"{_SESSION}_update"),
    Route("POST", f"{_SESSIONS}/{{id}}/cancel", identity.cancel_session, f"{_SESSION}_cancel"),
    Route("POST", f"{_SESSIONS}/{{id}}/redact", identity.redact_session, f"{_SESSION}_redact"),
    Route("GET", _REPORTS, identity.list_reports, f"{_REPORT}_list"),
    Route("GET", f"{_REPORTS}/{{id}}", identity.retrieve_report, f"{_REPORT}_retrieve"),
)
