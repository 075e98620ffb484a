"""Comparing protobuf messages: what idempotency needs of them."""

import hashlib
from typing import Any

from google.protobuf.message import Message


def fingerprint(message: Message) -> bytes:
    """SHA-256 of the message's deterministic encoding: equal messages, equal bytes.

    Deterministic within one build of the schema, which is why conflicts are decided by
    comparing the stored message itself and the fingerprint only speeds the common case up.
    """
    return hashlib.sha256(message.SerializeToString(deterministic=True)).digest()


def differing_fields(first: Message, second: Message) -> list[str]:
    """Dotted paths of the fields in which two messages of one type differ, in field order."""
    if first.DESCRIPTOR is not second.DESCRIPTOR:
        raise TypeError(f"{first.DESCRIPTOR.full_name} against {second.DESCRIPTOR.full_name}")
    paths: list[str] = []
    for field in first.DESCRIPTOR.fields:
        paths.extend(_differences(field, first, second))
    return paths


def _differences(field: Any, first: Message, second: Message) -> list[str]:
    left, right = getattr(first, field.name), getattr(second, field.name)
    if field.has_presence:
        if first.HasField(field.name) != second.HasField(field.name):
            return [field.name]
        if not first.HasField(field.name):
            return []
    if field.is_repeated:
        return _repeated_differences(field, left, right)
    if field.message_type is None:
        return [] if left == right else [field.name]
    return [f"{field.name}.{path}" for path in differing_fields(left, right)]


def _repeated_differences(field: Any, left: Any, right: Any) -> list[str]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        keys = sorted({*left, *right}, key=str)
        return [
            f"{field.name}[{key}]"
            for key in keys
            if (key in left) != (key in right) or left[key] != right[key]
        ]
    items, others = list(left), list(right)
    if len(items) != len(others):
        return [field.name]
    paths: list[str] = []
    for index, (item, other) in enumerate(zip(items, others, strict=True)):
        if isinstance(item, Message):
            paths.extend(f"{field.name}[{index}].{path}" for path in differing_fields(item, other))
        elif item != other:
            paths.append(f"{field.name}[{index}]")
    return paths
