"""What every service does about a `request_id` that comes again.

Sent again with the same request it gets the first answer; with another one it is a conflict, of
which the caller is told the fields that differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from google.protobuf.message import Message

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


OTHER_METHOD = Differences((METHOD,), 1)


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
