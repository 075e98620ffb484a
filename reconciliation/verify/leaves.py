"""Leaves read back: only bytes that a statement would have written are read."""

import json
import re
from datetime import date, datetime
from typing import Any

from reconciliation.closing.statement import (
    LEGS_OF,
    StatedItem,
    StatedMatch,
    canonical,
)
from reconciliation.matching.breaks import Standing
from reconciliation.matching.item import ItemKey, Leg, Source

_MATCHED = re.compile(r"MATCHED ([1-9][0-9]*)")
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")


class LeafError(ValueError):
    """A line is no leaf; the message says why."""


def read_item(line: bytes) -> StatedItem:
    """The item of a leaf. Raises `LeafError`."""
    item = _item(read_canonical(line))
    if item.leaf() != line:
        raise LeafError("is not written as a leaf is")
    return item


def read_match(line: bytes) -> StatedMatch:
    """The match of a leaf. Raises `LeafError`."""
    given = read_canonical(line)
    try:
        match = StatedMatch(
            _integer(given["match"]),
            Leg(given["leg"]),
            given["rule"],
            [
                (read_key(each), each["currency"], _integer(each["amount"]))
                for each in given["allocations"]
            ],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LeafError(f"is no match: {type(error).__name__}") from error
    if match.leaf() != line:
        raise LeafError("is not written as a leaf is")
    return match


def _item(given: dict[str, Any]) -> StatedItem:
    try:
        standings: dict[Leg, Standing] = {}
        matches: dict[Leg, int] = {}
        for name, how in given["standings"].items():
            leg, matched = Leg(name), _MATCHED.fullmatch(how)
            standings[leg] = Standing.MATCHED if matched else Standing(how)
            if matched:
                matches[leg] = int(matched[1])
        item = StatedItem(
            key=read_key(given),
            currency=given["currency"],
            amount_minor=_integer(given["amount"]),
            instant=datetime.fromisoformat(given["instant"]),
            book_day=date.fromisoformat(given["book_day"]),
            sha256=bytes.fromhex(given["sha256"]),
            standings=standings,
            matches=matches,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LeafError(f"is no item: {type(error).__name__}") from error
    if not set(standings) <= set(LEGS_OF[item.key.source]):
        raise LeafError("stands in a leg that its source has no part in")
    return item


def read_canonical(line: bytes) -> dict[str, Any]:
    """Canonical JSON, as a table. Raises `LeafError`."""
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LeafError("is no JSON") from error
    if not isinstance(given, dict) or canonical(given) != line:
        raise LeafError("is no canonical JSON")
    return given


def read_key(given: dict[str, Any]) -> ItemKey:
    """What identifies an item. Raises `KeyError` and `ValueError`."""
    return ItemKey(Source(given["source"]), str(given["corridor"]), str(given["key"]))


def _integer(text: Any) -> int:
    if not isinstance(text, str) or not _INTEGER.fullmatch(text):
        raise ValueError("no integer")
    return int(text)
