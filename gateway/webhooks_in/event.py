"""An event of Stripe, read from its body and checked to be one."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.stripe_times import MAX_EPOCH_SECONDS

EVENT_ID = re.compile(r"evt_[A-Za-z0-9_]{1,250}")
# Events of the v2 API may name the part of an object: "v2.core.account[requirements].updated".
EVENT_TYPE = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+(?:\[[a-z0-9_]+(?:\.[a-z0-9_]+)*\])?){1,9}")
OBJECT_ID = re.compile(r"[A-Za-z0-9_.-]{1,255}")
ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9]{1,58}")
# What is kept of an object of Stripe Identity, Billing and Sigma: not who somebody is, no SQL, and
# no link.
_KEPT_OF_IDENTITY = frozenset(
    {"id", "object", "created", "livemode", "metadata", "redaction", "status", "type"}
)
_KEPT_OF_BILLING = frozenset({"id", "object", "created", "livemode", "status"})
KEPT = {
    "identity.": _KEPT_OF_IDENTITY,
    "invoice.": _KEPT_OF_BILLING,
    "invoice_payment.": _KEPT_OF_BILLING,
    "credit_note.": _KEPT_OF_BILLING,
    "customer.subscription.": _KEPT_OF_BILLING,
    "sigma.": _KEPT_OF_BILLING,
}


class NotAnEventError(ValueError):
    """A body that is no event of Stripe. The text says what is wrong and quotes nothing."""


class RetryEventLater(Exception):  # noqa: N818 — not an error: the event came too early
    """Raised by a handler: the event came too early, try again behind the later ones of its
    subject. Without a delay the consumer backs off by itself."""

    def __init__(self, reason: str, delay: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay


class OutsideUnavailable(Exception):  # noqa: N818 — not an error of the event
    """Raised by a handler: Stripe cannot be asked now, or the database is behind it. Says nothing
    against the event, which keeps its position and never becomes a dead letter for it, however
    long that lasts."""

    def __init__(self, reason: str, delay: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay


class PoisonEventError(Exception):
    """Raised by a handler: the event can never be dealt with; goes to the dead letters at once."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def object_of(outcome: Outcome) -> dict[str, Any]:
    """The object that a handler asked Stripe for. An event about one that cannot be had waits
    (`OutsideUnavailable`), or is given up if Stripe says that it is none of ours
    (`PoisonEventError`)."""
    if outcome.succeeded and outcome.object is not None:
        return outcome.object
    if outcome.outcome_class in (OutcomeClass.NOT_SENT, OutcomeClass.UNKNOWN):
        raise OutsideUnavailable("STRIPE_UNAVAILABLE", outcome.retry_after)
    raise PoisonEventError("OBJECT_NOT_READABLE")


@dataclass(frozen=True)
class StripeEvent:
    """One event. `object` is Stripe's object as it was when the event was made: a hint, because
    events arrive late, twice and in any order. What matters is fetched again."""

    event_id: str
    corridor: str
    stripe_account: str | None
    """The connected account that it is about; None for the platform's own."""
    event_type: str
    object_id: str
    """Stripe's id of the object; the event's own id where the object has none."""
    subject: str
    """What events are serialised by."""
    created_time: datetime
    live_mode: bool | None
    """None if it does not say."""
    object: dict[str, Any]
    body: str
    """The whole event as Stripe sent it, JSON; of Stripe Identity, Billing and Sigma without
    what is personal."""


@dataclass(frozen=True)
class ClaimedEvent:
    """An event that this worker may deal with until its lease ends."""

    event: StripeEvent
    sequence: int
    attempt: int
    """This attempt's number, from 1; attempts that ended in a crash count."""
    fencing_token: int
    """Whoever claims the event later has a larger one; with a smaller one nothing can be
    written."""


@dataclass(frozen=True)
class ReceivedEvent:
    """An event and when intake took it in."""

    event: StripeEvent
    receive_time: datetime


EventHandler = Callable[[StripeEvent], Awaitable[None]]


def read_event(body: str, corridor: str) -> StripeEvent:
    """The event in a body. Raises `NotAnEventError`."""
    values = _json_object(body)
    kind = values.get("object")
    if kind not in ("event", "v2.core.event"):
        raise NotAnEventError("object is not an event")
    event_id = _text(values, "id", EVENT_ID)
    event_type = _text(values, "type", EVENT_TYPE)
    account = _connected_account(values, kind)
    found = _object_of(values, kind)
    plain_type = event_type.removeprefix("v1.")
    kept = next((names for prefix, names in KEPT.items() if plain_type.startswith(prefix)), None)
    if kept is not None and kind == "event":
        found = {name: value for name, value in found.items() if name in kept}
        body = json.dumps({**values, "data": {"object": found}})
    object_id = found.get("id")
    if not isinstance(object_id, str) or not OBJECT_ID.fullmatch(object_id):
        object_id = event_id
    return StripeEvent(
        event_id=event_id,
        corridor=corridor,
        stripe_account=account,
        event_type=event_type,
        object_id=object_id,
        subject=f"{corridor}/{_subject(found, account, object_id)}",
        created_time=_created_time(values, kind),
        live_mode=_live_mode(values),
        object=found,
        body=body,
    )


def _json_object(body: str) -> dict[str, Any]:
    try:
        values = json.loads(body)
    # Deep nesting ends in a RecursionError.
    except (ValueError, RecursionError):
        raise NotAnEventError("not JSON") from None
    if not isinstance(values, dict):
        raise NotAnEventError("not a JSON object")
    return values


def _text(values: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise NotAnEventError(f"{name} is not one of Stripe's")
    return value


def _connected_account(values: Mapping[str, Any], kind: str) -> str | None:
    """Whose the object is: an id means something in its account only. Newer events name the account
    by `context`, a path from the organisation down to it: https://docs.stripe.com/context."""
    value = values.get("account") if kind == "event" else None
    if value is None:
        value = values.get("context")
        if isinstance(value, str):
            value = value.rpartition("/")[2]
    if value is None:
        return None
    if not isinstance(value, str) or not ACCOUNT_ID.fullmatch(value):
        raise NotAnEventError("account is not one of Stripe's")
    return value


def _object_of(values: Mapping[str, Any], kind: str) -> dict[str, Any]:
    if kind == "v2.core.event":
        # A thin event has no object, only a pointer to it: what it is about is fetched.
        related = values.get("related_object")
        return dict(related) if isinstance(related, dict) else {}
    data = values.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    if not isinstance(found, dict):
        raise NotAnEventError("data.object is missing")
    return found


def _subject(found: Mapping[str, Any], account: str | None, object_id: str) -> str:
    """Events on one payment are serialised, and those on one account's standing. Objects of a
    connected account are named with it."""
    named = object_id
    for name, prefix in (("payment_intent", "pi_"), ("account", "acct_")):
        value = found.get(name)
        if isinstance(value, dict):
            value = value.get("id")
        if isinstance(value, str) and value.startswith(prefix) and OBJECT_ID.fullmatch(value):
            named = value
            break
    else:
        if account is not None and found.get("object") in (None, "person", "capability"):
            named = account
    # The standing of an account is one subject, whoever tells of it.
    if account is None or named.startswith("acct_"):
        return named
    return f"{account}/{named}"


def _live_mode(values: Mapping[str, Any]) -> bool | None:
    value = values.get("livemode")
    if value is not None and not isinstance(value, bool):
        raise NotAnEventError("livemode is neither true nor false")
    return value


def _created_time(values: Mapping[str, Any], kind: str) -> datetime:
    created = values.get("created")
    try:
        if kind == "v2.core.event" and isinstance(created, str):
            return datetime.fromisoformat(created).astimezone(UTC)
        if type(created) is int and 0 <= created <= MAX_EPOCH_SECONDS:
            return datetime.fromtimestamp(created, UTC)
    except (ValueError, OverflowError):
        raise NotAnEventError("created is not a time") from None
    raise NotAnEventError("created is not a time")
