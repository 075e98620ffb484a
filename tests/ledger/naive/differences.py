"""The paths in which two requests differ, as REQUEST_ID_REUSED names them in `differing_fields`.

Written over the flattened messages: every value that is set gets a path, and the paths that two
messages do not share or fill differently are the differences. A message that only one of the two
has, or a list of another length, is named itself and not field by field.
"""

from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ledger.v1.account_pb2 import BalanceLimits
from ledger.v1.entry_pb2 import Precondition
from ledger.v1.transaction_pb2 import REMAINDER_RELEASE

# Not compared: how much an answer carries changes nothing of what is asked for.
IGNORED = frozenset({"view"})


def plain(message: Message) -> Message:
    """The message with what is the same as left out left out, and times cut to microseconds."""
    copy = type(message)()
    copy.CopyFrom(message)
    _plain(copy)
    return copy


def _plain(message: Any) -> None:
    for field, value in message.ListFields():
        if isinstance(value, Timestamp):
            value.nanos -= value.nanos % 1000
        elif field.name == "remainder" and value == REMAINDER_RELEASE:
            message.ClearField("remainder")
        elif isinstance(value, BalanceLimits | Precondition) and not value.ListFields():
            message.ClearField(field.name)
        elif isinstance(value, Message):
            _plain(value)
        elif field.message_type is not None and not hasattr(value, "items"):
            for item in value:
                _plain(item)


def differences(first: Message, second: Message, prefix: str = "") -> list[str]:
    """Paths in the order of the fields' declaration."""
    paths: list[str] = []
    set_in_first = {f.name: value for f, value in first.ListFields()}
    set_in_second = {f.name: value for f, value in second.ListFields()}
    for field in first.DESCRIPTOR.fields:
        if field.name in IGNORED:
            continue
        one, other = set_in_first.get(field.name), set_in_second.get(field.name)
        if one is None and other is None:
            continue
        paths += _differences(prefix + field.name, one, other)
    return paths


def _differences(path: str, one: Any, other: Any) -> list[str]:
    given = one if one is not None else other
    if isinstance(given, Message):
        if one is None or other is None:
            return [path]
        return differences(one, other, f"{path}.")
    if hasattr(given, "items"):
        first, second = dict(one or {}), dict(other or {})
        keys = sorted(first.keys() | second.keys())
        return [f"{path}[{key}]" for key in keys if first.get(key) != second.get(key)]
    if hasattr(given, "append"):
        return _list_differences(path, list(one or []), list(other or []))
    return [] if one == other else [path]


def _list_differences(path: str, one: list[Any], other: list[Any]) -> list[str]:
    if len(one) != len(other):
        return [path]
    paths: list[str] = []
    for index, (left, right) in enumerate(zip(one, other, strict=True)):
        if isinstance(left, Message):
            paths += differences(left, right, f"{path}[{index}].")
        elif left != right:
            paths.append(f"{path}[{index}]")
    return paths
