"""The objects of one Stripe account, kept in memory in the order of their creation."""

import operator
import random
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.stripe_twin.errors import invalid_request, missing

JsonObject = dict[str, Any]

_ID_LENGTH = 24
DEFAULT_PAGE = 10
MAX_PAGE = 100
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


class Identifiers:
    """Makes ids in Stripe's form, `pi_` and 24 characters; the same ones for the same seed."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def new(self, prefix: str) -> str:
        """A fresh id."""
        return prefix + "_" + self.token()

    def token(self, length: int = _ID_LENGTH) -> str:
        """Random capital letters and digits."""
        # One number for all characters: every object needs ids, and drawing each one is slow.
        return f"{self._random.getrandbits(4 * length):0{length}X}"


class Collection:
    """All objects of one kind in one account, newest last."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._objects: dict[str, JsonObject] = {}
        self._order: list[str] = []
        self._position: dict[str, int] = {}

    def add(self, item: JsonObject) -> JsonObject:
        """Adds a new object, which must have an `id` that is not taken."""
        identifier: str = item["id"]
        if identifier in self._objects:
            raise AssertionError(f"{self.kind} {identifier} exists already")
        self._position[identifier] = len(self._order)
        self._order.append(identifier)
        self._objects[identifier] = item
        return item

    def find(self, identifier: str) -> JsonObject | None:
        """The object, or None."""
        return self._objects.get(identifier)

    def get(self, identifier: str, param: str = "id", status: int = 404) -> JsonObject:
        """The object. Raises `resource_missing` naming `param`."""
        item = self._objects.get(identifier)
        if item is None:
            raise missing(self.kind, identifier, param, status)
        return item

    def remove(self, identifier: str) -> None:
        """Removes an object; its place in the order stays empty."""
        del self._objects[identifier]

    def __iter__(self) -> Iterator[JsonObject]:
        return iter(self._objects.values())

    def __len__(self) -> int:
        return len(self._objects)

    def page(
        self, url: str, params: JsonObject, accept: Callable[[JsonObject], bool] | None = None
    ) -> JsonObject:
        """A list answer, newest first, by `limit`, `starting_after`, `ending_before`, `created`."""
        limit = page_limit(params)
        created = params.get("created")
        before: str | None = params.get("ending_before")
        after: str | None = params.get("starting_after")
        if before is not None:
            start = self._place(before, "ending_before") + 1
            walk = range(start, len(self._order))
        else:
            end = len(self._order) if after is None else self._place(after, "starting_after")
            walk = range(end - 1, -1, -1)
        found: list[JsonObject] = []
        for index in walk:
            item = self._objects.get(self._order[index])
            if item is None or (created is not None and not within(item["created"], created)):
                continue
            if accept is not None and not accept(item):
                continue
            found.append(item)
            if len(found) > limit:
                break
        has_more = len(found) > limit
        data = found[:limit]
        if before is not None:
            data.reverse()
        return {"object": "list", "data": data, "has_more": has_more, "url": url}

    def _place(self, identifier: str, param: str) -> int:
        if identifier not in self._position:
            raise missing(self.kind, identifier, param, 400)
        return self._position[identifier]


def page_limit(params: JsonObject) -> int:
    """How many objects a list or search answer holds at most. Raises ApiError."""
    limit: int = params.get("limit", DEFAULT_PAGE)
    if not 1 <= limit <= MAX_PAGE:
        raise invalid_request(
            f"Invalid limit: must be between 1 and {MAX_PAGE}",
            code="parameter_invalid_integer",
            param="limit",
        )
    return limit


def within(value: int, wanted: Any) -> bool:
    """Whether a time or amount is the wanted one, or inside a map of `gt`, `gte`, `lt`, `lte`."""
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return value == wanted
    return all(_COMPARISONS[name](value, bound) for name, bound in wanted.items())
