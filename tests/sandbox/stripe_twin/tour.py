"""A visitor of the twin who notes each route that she has seen and checks each answer's shape."""

import itertools
from collections.abc import Iterator
from typing import Any

import aiohttp

from sandbox.stripe_twin import DEFAULT_ACCOUNT, Twin
from tests.sandbox.stripe_twin.sdk_types import problems

# The SDK gives every thin event a type of its own, with the object; the common one lacks it.
_MORE_THAN_THE_COMMON_TYPE = {".related_object: unknown to the SDK"}


class Tour:
    """Visits routes by their patterns; `account` is a connected one to act on."""

    def __init__(self, session: aiohttp.ClientSession, twin: Twin) -> None:
        self.visited: set[tuple[str, str]] = set()
        self._session = session
        self._twin = twin
        self._keys = itertools.count()

    async def post(
        self, pattern: str, kind: type, params: Any = None, *, account: str = "", **path: str
    ) -> Any:
        """A POST whose answer is a `kind`."""
        body = await self._visit("POST", pattern, params, account, path)
        _check(kind, body, pattern)
        return body

    async def get(
        self, pattern: str, kind: type, params: Any = None, *, account: str = "", **path: str
    ) -> Any:
        """A GET whose answer is a `kind`, or a list with at least one."""
        body = await self._visit("GET", pattern, params, account, path)
        if body.get("object") not in ("list", "search_result"):
            _check(kind, body, pattern)
            return body
        assert body["data"], pattern
        for item in body["data"]:
            _check(kind, item, pattern)
        return body["data"]

    async def delete(self, pattern: str, **path: str) -> None:
        """A DELETE, whose answer names what is gone."""
        body = await self._visit("DELETE", pattern, None, "", path)
        assert body["id"] in path.values(), pattern
        assert body.get("deleted", True), pattern

    async def _visit(
        self, method: str, pattern: str, params: Any, account: str, path: dict[str, str]
    ) -> Any:
        headers = {
            "Authorization": f"Bearer {DEFAULT_ACCOUNT.secret_key}",
            "Idempotency-Key": f"tour-{next(self._keys)}",
        }
        if account:
            headers["Stripe-Account"] = account
        url = self._twin.url + pattern.format(**path)
        sent: dict[str, Any] = {}
        if method == "POST" and pattern.startswith("/v2/"):
            sent = {"json": params or {}}
        elif method == "POST":
            sent = {"data": dict(flattened(params or {}))}
        elif params:
            sent = {"params": dict(flattened(params))}
        async with self._session.request(method, url, headers=headers, **sent) as response:
            body = await response.json()
        assert response.status == 200, (method, pattern, body)
        self.visited.add((method, pattern))
        return body


def flattened(params: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """A form's fields, with brackets for what is nested."""
    items = enumerate(params) if isinstance(params, list) else params.items()
    for key, value in items:
        name = f"{prefix}[{key}]" if prefix else str(key)
        if isinstance(value, dict | list):
            yield from flattened(value, name)
        else:
            yield name, str(value).lower() if isinstance(value, bool) else str(value)


def _check(kind: type, body: Any, pattern: str) -> None:
    found = set(problems(kind, body))
    if body.get("object") == "v2.core.event":
        found -= _MORE_THAN_THE_COMMON_TYPE
    assert not found, (pattern, found)
