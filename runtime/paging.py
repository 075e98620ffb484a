"""Keyset paging: a page token is a position in an order, bound to the request's filters."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.message import Message

from runtime.errors import ErrorDomain, ServiceError

_FILTER_HASH_BYTES = 12


def clamp_page_size(requested: int, default: int, maximum: int) -> int:
    """The number of rows to return: 0 means the default, too large means the maximum."""
    return min(requested or default, maximum)


class PageTokens:
    """Makes and reads the page tokens of one service."""

    def __init__(self, errors: ErrorDomain) -> None:
        self._errors = errors

    def encode(self, request: Message, position: Sequence[str | int]) -> str:
        """The token for the rows after `position`, good for requests with equal filters."""
        body = json.dumps([_filters_of(request), list(position)], separators=(",", ":"))
        return base64.urlsafe_b64encode(body.encode()).decode()

    def decode(self, request: Any) -> list[str | int] | None:
        """The position to go on from; None for the first page.

        Raises `INVALID_PAGE_TOKEN` for a token that we did not make for these filters.
        """
        if not request.page_token:
            return None
        try:
            filters, position = json.loads(
                base64.b64decode(request.page_token, altchars=b"-_", validate=True)
            )
        except (binascii.Error, ValueError, TypeError, RecursionError) as error:
            raise self._refusal() from error
        whole = isinstance(position, list) and all(isinstance(p, str | int) for p in position)
        if filters != _filters_of(request) or not whole:
            raise self._refusal()
        return list(position)

    def _refusal(self) -> ServiceError:
        return self._errors.runtime_error(
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_PAGE_TOKEN",
            "page_token was not made by this list with these filters",
        )


def _filters_of(request: Message) -> str:
    filters = type(request)()
    filters.CopyFrom(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    # With its type: lists of different kinds may have filters that are encoded alike.
    name = filters.DESCRIPTOR.full_name.encode()
    digest = hashlib.sha256(name + filters.SerializeToString(deterministic=True)).digest()
    return base64.urlsafe_b64encode(digest[:_FILTER_HASH_BYTES]).decode()
