"""Places in lists that go from the newest to the oldest: a time and an id."""

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.message import Message

from gateway.errors import invalid_page_token
from runtime.paging import PageTokens


def token_of(tokens: PageTokens, request: Message, time: datetime, identifier: str) -> str:
    """The page token for what comes after."""
    return tokens.encode(request, [time.isoformat(), identifier])


def position_of(position: Sequence[str | int] | None) -> tuple[datetime, str] | None:
    """The place that a token holds; None for the first page. Raises INVALID_PAGE_TOKEN."""
    if position is None:
        return None
    try:
        time, identifier = position
        return datetime.fromisoformat(str(time)), str(identifier)
    except ValueError:
        raise invalid_page_token() from None
