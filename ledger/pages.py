"""Pages of the ledger's lists: how much one has, and where the next one goes on.

A transaction may have 20,000 entries, so that pages are bounded by what they contain as well as by
how many they have. A page holds at least one transaction; of several it stays, in the widest case
of names and texts, below the 32 MiB of a message: its requests' bytes, an entry's names and numbers
at most 700 bytes, and some 300 bytes for each transaction.
"""

import re
from collections.abc import Callable
from typing import Any

import grpc

from ledger.errors import ERRORS
from ledger.v1.error_reason_pb2 import ErrorReason
from ledger.validation import (
    ACCOUNT_NAME,
    LEDGER_NAME,
    MAX_ACCOUNT_NAME_BYTES,
    MAX_LEDGER_NAME_BYTES,
)
from runtime.paging import PageTokens, clamp_page_size
from runtime.rules import MAX_TIMESTAMP_SECONDS, MIN_TIMESTAMP_SECONDS

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000
# Entries of the transactions of a page, unless its only one has more.
MAX_ENTRIES_PER_PAGE = 10_000
MAX_SEQUENCE = 2**63 - 1
# Above any entry's index: a position behind the whole transaction.
MAX_ENTRY_INDEX = 32_767

# A part of a position, and whether it is one that we may have made.
Part = str | int
Shape = Callable[[Part], bool]


def page_size(request: Any) -> int:
    """How many rows the page may have."""
    return clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def position_of(tokens: PageTokens, request: Any, *shapes: Shape) -> list[Any] | None:
    """Where the page begins, None for the first; raises INVALID_PAGE_TOKEN for any other shape.

    Tokens are not signed: what one says is checked before a query sees it.
    """
    position = tokens.decode(request)
    if position is None:
        return None
    if len(position) != len(shapes) or not all(
        fits(part) for fits, part in zip(shapes, position, strict=True)
    ):
        raise ERRORS.error(
            grpc.StatusCode.INVALID_ARGUMENT,
            ErrorReason.ERROR_REASON_INVALID_PAGE_TOKEN,
            "page_token was not made by this list",
        )
    return position


def is_sequence(part: Part) -> bool:
    """A position in the log; 0 is before the first."""
    return isinstance(part, int) and 0 <= part <= MAX_SEQUENCE


def is_entry_index(part: Part) -> bool:
    """A position in a transaction."""
    return isinstance(part, int) and 0 <= part <= MAX_ENTRY_INDEX


def is_ledger(part: Part) -> bool:
    """A ledger's name."""
    return _is_name(part, LEDGER_NAME, MAX_LEDGER_NAME_BYTES)


def is_account(part: Part) -> bool:
    """An account's name."""
    return _is_name(part, ACCOUNT_NAME, MAX_ACCOUNT_NAME_BYTES)


def is_moment(part: Part) -> bool:
    """Microseconds since 1970 in the years 1 to 9999; empty for no moment."""
    if not isinstance(part, int):
        return part == ""
    return MIN_TIMESTAMP_SECONDS <= part // 1_000_000 <= MAX_TIMESTAMP_SECONDS


def _is_name(part: Part, pattern: re.Pattern[str], most: int) -> bool:
    # Either pattern allows ASCII only, so that characters are bytes.
    return isinstance(part, str) and len(part) <= most and pattern.fullmatch(part) is not None
