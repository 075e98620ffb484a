"""Documents that answer a requirement: what Stripe is asked for one, and the documents in hand."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gateway.v1 import merchant_service_pb2 as pb

# Stripe takes documents of "less than 10 MB":
# https://docs.stripe.com/api/persons/update#update_person-verification-document-front
MAX_CONTENT_BYTES = 10_000_000 - 1
# A document with everything around it.
MAX_FILE_REQUEST_BYTES = 10 * 1024 * 1024

PURPOSES = {
    pb.FILE_PURPOSE_IDENTITY_DOCUMENT: "identity_document",
    pb.FILE_PURPOSE_ADDITIONAL_VERIFICATION: "additional_verification",
    pb.FILE_PURPOSE_ACCOUNT_REQUIREMENT: "account_requirement",
}
EXTENSIONS = {pb.FILE_TYPE_PDF: "pdf", pb.FILE_TYPE_JPEG: "jpg", pb.FILE_TYPE_PNG: "png"}

PERSON_ID = re.compile(r"person_[A-Za-z0-9]{1,100}")
_ROLES = frozenset(
    {"authorizers", "directors", "executives", "legal_guardian", "owners", "representative"}
)
_OF_DOCUMENTS = re.compile(r"documents\.([a-z_]{1,100})\.files")
_OF_VERIFICATION = re.compile(r"verification\.(document|additional_document)")


@dataclass(frozen=True)
class Attachment:
    """Where files go: the parameters of an account's update, or of a person's."""

    person_id: str
    """Empty for the account's."""
    params: dict[str, Any]


def attachment(request: pb.AttachFilesRequest) -> Attachment | None:
    """Where a request's files go; None if no file answers such a field.

    The places are those of AccountUpdateParams and AccountPersonUpdateParams of Stripe's SDK.
    """
    owner, below = _owner(request.field)
    if owner == "person":
        params = _answer(below, request)
        named = request.field.partition(".")[0]
        person_id = request.person_id or named
        is_person = PERSON_ID.fullmatch(person_id) is not None and (
            named in _ROLES or named == person_id
        )
        return Attachment(person_id, params) if params and is_person else None
    if owner and not below.startswith("verification."):
        return None
    if owner == "company" and below != "verification.document":
        return None
    params = _answer(below, request)
    if params is None:
        return None
    return Attachment("", {owner: params} if owner else params)


def _owner(field: str) -> tuple[str, str]:
    """Whom a field is about ("" for the account), and the rest of it."""
    first, _, below = field.partition(".")
    if first in ("individual", "company"):
        return first, below
    if first in _ROLES or PERSON_ID.fullmatch(first):
        return "person", below
    return "", field


def _answer(field: str, request: pb.AttachFilesRequest) -> dict[str, Any] | None:
    if found := _OF_DOCUMENTS.fullmatch(field):
        if not request.file_id or request.back_file_id:
            return None
        return {"documents": {found.group(1): {"files": [request.file_id]}}}
    if found := _OF_VERIFICATION.fullmatch(field):
        sides = {"front": request.file_id, "back": request.back_file_id}
        given = {side: file_id for side, file_id in sides.items() if file_id}
        return {"verification": {found.group(1): given}} if given else None
    return None


def file_name(operation_id: str, extension: str) -> str:
    """What a file is called at Stripe: found again by it, and nothing of whose it is."""
    return f"{operation_id}.{extension}"


def digest(content: bytes) -> str:
    """Which document it is, for whoever writes it down without its content: SHA-256."""
    return hashlib.sha256(content).hexdigest()


class ContentsInHand:
    """The documents of the calls that are under way in this process, by operation and digest.

    They are written nowhere: an operation can be sent for as long as somebody who has its document
    asks for it, and what became of it can be found out without. A call that is refused because it
    has another document than the operation was begun with has it in hand until then, too.
    """

    def __init__(self) -> None:
        self._contents: dict[tuple[str, str], tuple[bytes, int]] = {}

    @contextmanager
    def holding(self, operation_id: str, digested: str, content: bytes) -> Iterator[None]:
        """Has a document at hand for the block; the same one may be held several times."""
        key = operation_id, digested
        content, holders = self._contents.get(key, (content, 0))
        self._contents[key] = (content, holders + 1)
        try:
            yield
        finally:
            content, holders = self._contents.pop(key)
            if holders > 1:
                self._contents[key] = (content, holders - 1)

    def of(self, operation_id: str, digested: str) -> bytes | None:
        """The document; None if nobody holds it here."""
        held = self._contents.get((operation_id, digested))
        return held[0] if held is not None else None
