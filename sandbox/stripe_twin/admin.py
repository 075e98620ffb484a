"""The admin API under `/_twin`: faults, clock, webhooks, 3-D Secure, the judge. JSON in and out.

It has no authentication, which is why the twin listens on the loopback interface only.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.stripe_twin.controls import TwinControls
from sandbox.stripe_twin.courses import Course
from sandbox.stripe_twin.faults import Fault, Latency, WebhookFault
from sandbox.stripe_twin.journal import describe
from sandbox.stripe_twin.judge import payments_by_metadata, summarize


@dataclass(frozen=True, slots=True)
class AdminCall:
    """One admin request. `rest` is the path behind the name of the endpoint."""

    twin: TwinControls
    rest: tuple[str, ...]
    query: dict[str, str]
    body: bytes
    wants_page: bool

    def json(self) -> Any:
        """The body. Raises ValueError."""
        return json.loads(self.body)


AdminHandler = Callable[[AdminCall], Any]


class AdminApi:
    """Answers admin requests for one twin; `handlers` are by method and endpoint."""

    def __init__(self, twin: TwinControls, handlers: dict[tuple[str, str], AdminHandler]) -> None:
        self._twin = twin
        self._handlers = handlers

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request.

        400: a bad body; 404: an unknown URL or object; 409: a step that does not fit the state.
        """
        segments = (*request.path.strip("/").split("/")[1:], "")
        handler = self._handlers.get((request.method, segments[0]))
        if handler is None:
            return _answer({"error": f"no {request.method} {request.path}"}, 404)
        call = AdminCall(
            twin=self._twin,
            rest=tuple(segment for segment in segments[1:] if segment),
            query=dict(request.query),
            body=await request.read(),
            wants_page="text/html" in request.headers.get("Accept", ""),
        )
        try:
            answer = handler(call)
            if segments[:2] == ("webhooks", "drain"):
                await self._twin.webhooks.drained()
        except (ValidationError, json.JSONDecodeError) as error:
            return _answer({"error": str(error)}, 400)
        except LookupError as error:
            return _answer({"error": f"not found: {error}"}, 404)
        except ValueError as error:
            return _answer({"error": str(error)}, 409)
        return answer if isinstance(answer, web.StreamResponse) else _answer(answer, 200)


def _answer(body: Any, status: int) -> web.Response:
    return web.json_response(body, status=status)


class WebhookRegistration(BaseModel):
    """The body of POST /_twin/webhooks."""

    model_config = ConfigDict(extra="forbid")

    url: str
    account: str = "default"
    secret: str | None = None
    enabled_events: list[str] | None = None
    connect: bool = False
    thin: bool = False


class Step(BaseModel):
    """The body of POST /_twin/clock."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(ge=0)


class Outage(BaseModel):
    """The body of POST /_twin/outage."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["off", "reset", "error", "hang"]


def get_health(call: AdminCall) -> Any:
    """GET health: that the twin is up."""
    return {"ok": True, "time": call.twin.clock.time()}


def get_clock(call: AdminCall) -> Any:
    """GET clock: the twin's time and how much is scheduled."""
    return {"time": call.twin.clock.time(), "pending": call.twin.clock.pending()}


def post_clock(call: AdminCall) -> Any:
    """POST clock `{"seconds"}`: advances it."""
    call.twin.advance(seconds=Step.model_validate_json(call.body).seconds)
    return get_clock(call)


def get_settings(call: AdminCall) -> Any:
    """GET settings."""
    return call.twin.settings.model_dump()


def post_settings(call: AdminCall) -> Any:
    """POST settings: changes the named ones."""
    for name, value in call.json().items():
        setattr(call.twin.settings, name, value)
    return get_settings(call)


def get_faults(call: AdminCall) -> Any:
    """GET faults: the rules that are on, with their hits."""
    return {
        active.fault_id: {**active.fault.model_dump(mode="json"), "hits": active.hits}
        for active in call.twin.faults.listed()
    }


def post_faults(call: AdminCall) -> Any:
    """POST faults: switches a rule on."""
    return {"id": call.twin.faults.add(Fault.model_validate_json(call.body))}


def delete_faults(call: AdminCall) -> Any:
    """DELETE faults or faults/{id}: switches all or one off."""
    call.twin.faults.clear(call.rest[0] if call.rest else None)
    return {}


def get_webhook_faults(call: AdminCall) -> Any:
    """GET webhook_faults: the rules that are on, with their hits."""
    return {
        active.fault_id: {**active.fault.model_dump(mode="json"), "hits": active.hits}
        for active in call.twin.webhooks.faults.listed()
    }


def post_webhook_faults(call: AdminCall) -> Any:
    """POST webhook_faults: switches a rule on."""
    fault = WebhookFault.model_validate_json(call.body)
    return {"id": call.twin.webhooks.faults.add(fault)}


def delete_webhook_faults(call: AdminCall) -> Any:
    """DELETE webhook_faults or webhook_faults/{id}; what `reorder` held back is sent."""
    call.twin.webhooks.faults.clear(call.rest[0] if call.rest else None)
    call.twin.webhooks.release_held()
    return {}


def get_latencies(call: AdminCall) -> Any:
    """GET latencies: what every answer takes, by account."""
    return {item.name: item.latency.model_dump() for item in call.twin.state.platforms()}


def post_latencies(call: AdminCall) -> Any:
    """POST latencies/{account}: what every answer of an account takes from now on."""
    call.twin.set_latency(call.rest[0], Latency.model_validate_json(call.body))
    return get_latencies(call)


def get_courses(call: AdminCall) -> Any:
    """GET courses: what is so now of each account that follows one, by account."""
    found = {item.name: item.own_course for item in call.twin.state.platforms()}
    return {
        name: None if (point := course.point()) is None else point.model_dump()
        for name, course in found.items()
        if course is not None
    }


def post_courses(call: AdminCall) -> Any:
    """POST courses/{account}: has an account do as a course says from now on."""
    (name,) = call.rest
    call.twin.set_course(name, Course.model_validate_json(call.body))
    return get_courses(call)


def delete_courses(call: AdminCall) -> Any:
    """DELETE courses/{account}: has it do as usual."""
    (name,) = call.rest
    call.twin.set_course(name, None)
    return get_courses(call)


def get_keys(call: AdminCall) -> Any:
    """GET keys?account=: the POSTs that came, by idempotency key."""
    return call.twin.requests.posts_by_key(call.query.get("account"))


def post_outage(call: AdminCall) -> Any:
    """POST outage `{"mode"}`: every API request fails, or no longer."""
    outage = Outage.model_validate_json(call.body)
    call.twin.outage(outage.mode)
    return {"mode": outage.mode}


def get_webhooks(call: AdminCall) -> Any:
    """GET webhooks: the attempts to deliver, oldest first."""
    return [
        {
            "event": attempt.event_id,
            "type": attempt.event_type,
            "endpoint": attempt.endpoint_id,
            "attempt": attempt.attempt,
            "status": attempt.status,
            "forgery": attempt.forgery,
        }
        for attempt in call.twin.webhooks.attempts
    ]


def post_webhooks(call: AdminCall) -> Any:
    """POST webhooks: registers an endpoint; /pause, /resume, /release, /drain control delivery."""
    match call.rest:
        case ():
            registration = WebhookRegistration.model_validate_json(call.body)
            return call.twin.register_webhook(**registration.model_dump())
        case ("pause",):
            call.twin.webhooks.pause()
        case ("resume",):
            call.twin.webhooks.resume()
        case ("release",):
            call.twin.webhooks.release_held()
        case ("drain",):
            return {"drained": True}
        case _:
            raise LookupError("/".join(call.rest))
    return {}


def post_events(call: AdminCall) -> Any:
    """POST events/{account}/{id}: sends an event again to who did not acknowledge it."""
    name, event_id = call.rest
    event = call.twin.account(name).events.find(event_id)
    if event is None:
        raise LookupError(event_id)
    return {"sent": call.twin.webhooks.resend(event)}


def get_books(call: AdminCall) -> Any:
    """GET books: the judge's view, checked."""
    return call.twin.books()


def get_summary(call: AdminCall) -> Any:
    """GET summary: the judge's figures without the objects, checked."""
    call.twin.clock.run_due()
    return summarize(call.twin.state.platforms())


def get_payments(call: AdminCall) -> Any:
    """GET payments?metadata=KEY: the PaymentIntents by their value of a metadata key."""
    return payments_by_metadata(call.twin.state.everyone(), call.query["metadata"])


def get_requests(call: AdminCall) -> Any:
    """GET requests?method=&path=: the API requests that came, and counts over all."""
    found = call.twin.requests.matching(call.query.get("method"), call.query.get("path"))
    return {
        "counts": dict(call.twin.requests.counts),
        "posts_without_key": call.twin.requests.posts_without_key,
        "requests": [describe(item) for item in found],
    }


ADMIN_ROUTES: dict[tuple[str, str], AdminHandler] = {
    ("GET", "health"): get_health,
    ("GET", "clock"): get_clock,
    ("POST", "clock"): post_clock,
    ("GET", "settings"): get_settings,
    ("POST", "settings"): post_settings,
    ("GET", "faults"): get_faults,
    ("POST", "faults"): post_faults,
    ("DELETE", "faults"): delete_faults,
    ("GET", "webhook_faults"): get_webhook_faults,
    ("POST", "webhook_faults"): post_webhook_faults,
    ("DELETE", "webhook_faults"): delete_webhook_faults,
    ("GET", "latencies"): get_latencies,
    ("POST", "latencies"): post_latencies,
    ("GET", "courses"): get_courses,
    ("POST", "courses"): post_courses,
    ("DELETE", "courses"): delete_courses,
    ("GET", "keys"): get_keys,
    ("POST", "outage"): post_outage,
    ("GET", "webhooks"): get_webhooks,
    ("POST", "webhooks"): post_webhooks,
    ("POST", "events"): post_events,
    ("GET", "books"): get_books,
    ("GET", "summary"): get_summary,
    ("GET", "payments"): get_payments,
    ("GET", "requests"): get_requests,
}
