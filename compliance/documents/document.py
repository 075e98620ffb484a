"""A document on its way, and what Stripe's requirements say of it: pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from compliance.accounts.requirements import CURRENTLY_DUE, PENDING_VERIFICATION, Requirement

# Stripe takes documents of "less than 10 MB":
# https://docs.stripe.com/api/persons/update#update_person-verification-document-front
MAX_CONTENT_BYTES = 10_000_000 - 1
# However far it is, the content of a document is kept no longer than this.
LONGEST_KEPT = timedelta(days=90)
# That Stripe wants something no more is believed once it has been seen so long after the answer:
# what has just been handed in may not be in its lists yet.
SETTLING = timedelta(minutes=10)


class State(StrEnum):
    """DocumentState of the contract."""

    RECEIVED = "RECEIVED"
    CHECKED = "CHECKED"
    FORWARDED = "FORWARDED"
    ATTACHED = "ATTACHED"
    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    REPLACED = "REPLACED"


# What is not at its end.
OPEN = (State.RECEIVED, State.CHECKED, State.FORWARDED, State.ATTACHED)
# What has still to be brought to Stripe.
ON_THE_WAY = OPEN[:3]


class Refusal(StrEnum):
    """DocumentRefusal of the contract."""

    NONE = ""
    INFECTED = "INFECTED"
    NOT_TAKEN = "NOT_TAKEN"
    NOT_VERIFIED = "NOT_VERIFIED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"


class Side(StrEnum):
    """DocumentSide of the contract; a document that has no sides is WHOLE."""

    WHOLE = ""
    FRONT = "FRONT"
    BACK = "BACK"


@dataclass(frozen=True)
class Document:
    """A document without its content."""

    document_id: str
    ordinal: int
    merchant_id: str
    connected_account_id: str
    field: str
    person_id: str
    side: Side
    with_other_side: bool
    purpose: str
    content_type: str
    size_bytes: int
    state: State
    refusal: Refusal
    error_codes: tuple[str, ...]
    file_id: str
    forward_count: int
    attach_count: int
    failure: str
    failure_count: int
    fence: int
    create_time: datetime
    state_time: datetime
    attach_time: datetime | None
    destroy_time: datetime
    destroyed: bool

    @property
    def forward_request_id(self) -> str:
        """The id of the request by which the gateway uploads it: the same however often it is
        asked, until the gateway has said that nothing was uploaded."""
        return f"{self.document_id}.forward.{self.forward_count}"

    def attach_request_id(self, back_id: str) -> str:
        """The same for attaching it, with the document of its back if there is one."""
        return f"{self.document_id}.attach.{back_id}.{self.attach_count}"


@dataclass(frozen=True)
class Verdict:
    """What Stripe has made of a document."""

    state: State
    error_codes: tuple[str, ...] = ()


def names_of(field: str, person_id: str) -> frozenset[str]:
    """What Stripe may call a field: one that names a role, by the person's id as well."""
    _, _, below = field.partition(".")
    return frozenset({field, f"{person_id}.{below}"} if person_id else {field})


def verdict(
    fields: Collection[str],
    attach_time: datetime,
    requirements: Sequence[Requirement],
    fetch_time: datetime,
) -> Verdict | None:
    """What the account's requirements, as they were at `fetch_time`, say of what was attached for a
    field, by any of its names; None while nothing is decided.

    Only what was fetched after it was attached counts, both by the gateway's clock: what was said
    before is about something else. A field that is asked for again without an error waits for
    something more, such as the other side; one that is wanted in future only is not accepted before
    Stripe has done with it.
    """
    if fetch_time <= attach_time:
        return None
    about = [item for item in requirements if item.field in fields]
    now = [item for item in about if not item.future]
    if any(item.severity == PENDING_VERIFICATION for item in now):
        return None
    codes = tuple(
        code for item in now if item.severity >= CURRENTLY_DUE for code in item.error_codes
    )
    if codes:
        return Verdict(State.REFUSED, codes)
    if about or fetch_time < attach_time + SETTLING:
        return None
    return Verdict(State.ACCEPTED)
