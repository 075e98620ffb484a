"""What every service does about a `request_id` that comes again.

A `request_id` is unique in the gRPC service that it is sent to, over all its methods, for good; in
LedgerService, in one ledger. Sent again with the same request it gets the first answer, a failure
that was decided included; with another one it is REQUEST_ID_REUSED, and the caller is told the
fields that differ.

Requests are the same that mean the same: they are stored and compared in their canonical form
(`Validator.canonicalise`), which the validation rules declare, so that a field at its documented
default equals the field left out. See docs/adr/0023-one-idempotency-module.md.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import grpc
from google.protobuf.message import Message
from sqlalchemy import Row, Table, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import ErrorDomain, ServiceError
from runtime.validation import Validator

MAX_DIFFERING_FIELDS = 20
# Of the paths together; more of them than that are counted, but not named.
MAX_DIFFERING_BYTES = 2_048
# What differs is the method that was called, so that no fields can be compared.
METHOD = "method"


@dataclass(frozen=True)
class Differences:
    """The fields in which two requests differ: the first paths, and how many there are."""

    paths: tuple[str, ...] = ()
    count: int = 0

    @classmethod
    def of(cls, paths: Iterator[str]) -> Self:
        """Names as many of the paths as a status has room for, in order, and counts all."""
        named: list[str] = []
        left = MAX_DIFFERING_BYTES
        count = 0
        for path in paths:
            count += 1
            if count > MAX_DIFFERING_FIELDS or left < 0:
                continue
            left -= len(path.encode()) + 1
            if left >= 0:
                named.append(path)
        return cls(tuple(named), count)

    def __bool__(self) -> bool:
        return self.count > 0

    def metadata(self, request_id: str) -> dict[str, str]:
        """The metadata of REQUEST_ID_REUSED, the same in every service."""
        return {
            "request_id": request_id,
            "differing_fields": ",".join(self.paths),
            "differing_field_count": str(self.count),
        }


NO_DIFFERENCES = Differences()
OTHER_METHOD = Differences((METHOD,), 1)

AnyMessage = TypeVar("AnyMessage", bound=Message)


class Kept(Protocol):
    """A request as it was written down."""

    @property
    def method(self) -> str:
        """What `method_of` said of it."""
        ...

    @property
    def body(self) -> bytes:
        """The request, without its personal fields; empty if it is lost."""
        ...


class RequestIds:
    """Tells the same request from another one with its id."""

    def __init__(self, errors: ErrorDomain, validator: Validator) -> None:
        self._errors = errors
        self._validator = validator

    def check(
        self,
        request: Message,
        kept: Kept,
        *,
        personal: Sequence[str] = (),
        fingerprint: bytes = b"",
    ) -> None:
        """Raises REQUEST_ID_REUSED unless the request is the one that was kept under its id.

        `personal` fields are compared but not kept: `fingerprint` is that of the whole request.
        Of a request without a body nothing else is kept.
        """
        if not _is_same_method(kept.method, method_of(request)):
            raise self._reused(request, OTHER_METHOD)
        if not kept.body:
            if fingerprint != fingerprint_of(request):
                raise self._reused(request, NO_DIFFERENCES)
            return
        differing = differences_of(self._validator, without(request, personal), kept.body)
        # Where what is kept is equal, the difference is in what is not.
        if not differing and personal and fingerprint != fingerprint_of(request):
            differing = Differences.of(iter(personal))
        if differing:
            raise self._reused(request, differing)

    def _reused(self, request: Any, differing: Differences) -> ServiceError:
        return request_id_reused(self._errors, request.request_id, differing)


class RequestTable:
    """The requests of a gRPC service, kept in a table.

    Its columns are request_id (the key), method and body, fingerprint if there are personal
    fields, answer if answers are kept, and whatever a request led to.
    """

    def __init__(self, request_ids: RequestIds, table: Table) -> None:
        self._request_ids = request_ids
        self._table = table
        self._has_fingerprints = "fingerprint" in table.c

    async def find(
        self, connection: AsyncConnection, request: Any, *, personal: Sequence[str] = ()
    ) -> Row[Any] | None:
        """The row of the same request, if it came before. Raises REQUEST_ID_REUSED."""
        statement = select(self._table).where(self._table.c.request_id == request.request_id)
        row = (await connection.execute(statement)).one_or_none()
        if row is not None:
            fingerprint = row.fingerprint if self._has_fingerprints else b""
            self._request_ids.check(request, row, personal=personal, fingerprint=fingerprint)
        return row

    async def begin(
        self,
        connection: AsyncConnection,
        request: Any,
        *,
        personal: Sequence[str] = (),
        **values: Any,
    ) -> bool:
        """Writes the request down; False if its id is taken (another's commit is waited for)."""
        assert self._has_fingerprints or not personal, "personal fields have a fingerprint"
        if self._has_fingerprints:
            values["fingerprint"] = fingerprint_of(request)
        statement = (
            insert(self._table)
            .values(
                request_id=request.request_id,
                method=method_of(request),
                body=encoded(without(request, personal)),
                **values,
            )
            .on_conflict_do_nothing()
            .returning(self._table.c.request_id)
        )
        return (await connection.execute(statement)).first() is not None

    async def answer(self, connection: AsyncConnection, request: Any, answer: Message) -> None:
        """Keeps what the request is answered with; the first answer stands."""
        await connection.execute(
            update(self._table)
            .where(self._table.c.request_id == request.request_id, self._table.c.answer.is_(None))
            .values(answer=encoded(answer))
        )


def request_id_reused(errors: ErrorDomain, request_id: str, differing: Differences) -> ServiceError:
    """The failure of a request whose id stands for another one."""
    return errors.runtime_error(
        grpc.StatusCode.ALREADY_EXISTS,
        "REQUEST_ID_REUSED",
        f"request_id {request_id} was used for another request",
        metadata=differing.metadata(request_id),
    )


def method_of(request: Message) -> str:
    """The name of the request's type; each method has its own."""
    return request.DESCRIPTOR.name


def encoded(request: Message) -> bytes:
    """A request as it is kept: equal bytes within one build of the schema if it is the same."""
    return request.SerializeToString(deterministic=True)


def fingerprint_of(request: Message) -> bytes:
    """Stands for a request of which not all is kept. Its request_id makes it hard to guess."""
    return hashlib.sha256(encoded(request)).digest()


def without(request: AnyMessage, fields: Sequence[str]) -> AnyMessage:
    """The request without these fields."""
    if not fields:
        return request
    kept = type(request)()
    kept.CopyFrom(request)
    for field in fields:
        kept.ClearField(field)
    return kept


def differences_of(validator: Validator, request: Message, first: bytes) -> Differences:
    """The fields in which a request in its canonical form differs from one that was kept."""
    if first == encoded(request):
        return NO_DIFFERENCES
    kept = type(request).FromString(first)
    # An older build may have kept another form.
    validator.canonicalise(kept)
    return differences(kept, request)


def _is_same_method(first: str, second: str) -> bool:
    """Rows of older builds have the method's name instead of its request's."""
    return first.removesuffix("Request") == second.removesuffix("Request")


def differences(first: Message, second: Message) -> Differences:
    """The fields in which two messages of one type differ, as dotted paths in field order."""
    if first.DESCRIPTOR is not second.DESCRIPTOR:
        raise TypeError(f"{first.DESCRIPTOR.full_name} against {second.DESCRIPTOR.full_name}")
    return Differences.of(_differing_paths(first, second))


def _differing_paths(first: Message, second: Message) -> Iterator[str]:
    for field in first.DESCRIPTOR.fields:
        name = field.name
        if field.has_presence:
            if first.HasField(name) != second.HasField(name):
                yield name
                continue
            if not first.HasField(name):
                continue
        left, right = getattr(first, name), getattr(second, name)
        if left == right:
            continue
        if field.is_repeated:
            yield from _differing_items(field, left, right)
        elif field.message_type is None:
            yield name
        else:
            for path in _differing_paths(left, right):
                yield f"{name}.{path}"


def _differing_items(field: Any, left: Any, right: Any) -> Iterator[str]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        for key in sorted({*left, *right}, key=str):
            if (key in left) != (key in right) or left[key] != right[key]:
                yield f"{field.name}[{key}]"
        return
    if len(left) != len(right):
        yield field.name
        return
    for index, (item, other) in enumerate(zip(left, right, strict=True)):
        if item == other:
            continue
        if isinstance(item, Message):
            for path in _differing_paths(item, other):
                yield f"{field.name}[{index}].{path}"
        else:
            yield f"{field.name}[{index}]"
