"""The objects of one Stripe account, kept in memory in the order of their creation."""

import operator
import random
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic_core import to_json

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


# Members by which objects are looked for often; they are set at creation and never change.
_INDEXED = ("charge", "payment_intent", "source")


class Collection:
    """All objects of one kind in one account, newest last."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._objects: dict[str, JsonObject] = {}
        self._order: list[str] = []
        self._position: dict[str, int] = {}
        # When each was created, in their order: time only goes forward.
        self._created: list[int] = []
        self._index: dict[tuple[str, str], list[int]] = defaultdict(list)

    def add(self, item: JsonObject) -> JsonObject:
        """Adds a new object, which must have an `id` that is not taken."""
        identifier: str = item["id"]
        if identifier in self._objects:
            raise AssertionError(f"{self.kind} {identifier} exists already")
        place = len(self._order)
        self._position[identifier] = place
        self._order.append(identifier)
        self._objects[identifier] = item
        created = item.get("created")
        self._created.append(created if isinstance(created, int) else 0)
        for name in _INDEXED:
            value = item.get(name)
            if isinstance(value, str):
                self._index[name, value].append(place)
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
        """A list answer, newest first, by `limit`, `starting_after`, `ending_before`, `created`.

        `accept` decides on everything else; what `params` name of the indexed members only spares
        it work.
        """
        limit = page_limit(params)
        backwards = "ending_before" in params
        found: list[JsonObject] = []
        for place in self._walk(params, backwards=backwards):
            item = self._objects.get(self._order[place])
            if item is None or (accept is not None and not accept(item)):
                continue
            found.append(item)
            if len(found) > limit:
                break
        has_more = len(found) > limit
        data = found[:limit]
        if backwards:
            data.reverse()
        return {"object": "list", "data": data, "has_more": has_more, "url": url}

    def _walk(self, params: JsonObject, *, backwards: bool) -> Sequence[int]:
        """The places to look at: newest first, or backwards from `ending_before`."""
        first, end = self._span(params.get("created"))
        if backwards:
            first = max(first, self._place(params["ending_before"], "ending_before") + 1)
        elif "starting_after" in params:
            end = min(end, self._place(params["starting_after"], "starting_after"))
        places: Sequence[int] = range(first, max(first, end))
        for name in _INDEXED:
            if isinstance(params.get(name), str):
                chosen = self._index.get((name, params[name]), [])
                places = chosen[bisect_left(chosen, first) : bisect_left(chosen, end)]
                break
        return places if backwards else places[::-1]

    def _span(self, created: Any) -> tuple[int, int]:
        """The places of what was created when it should; the end is exclusive."""
        if created is None:
            return 0, len(self._order)
        if isinstance(created, int):
            created = {"gte": created, "lte": created}
        first, end = 0, len(self._order)
        for name, bound in created.items():
            match name:
                case "gt":
                    first = max(first, bisect_right(self._created, bound))
                case "gte":
                    first = max(first, bisect_left(self._created, bound))
                case "lt":
                    end = min(end, bisect_left(self._created, bound))
                case "lte":
                    end = min(end, bisect_right(self._created, bound))
        return first, end

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


def render(item: JsonObject) -> str:
    """An object as compact JSON."""
    return to_json(item).decode()


def render_bytes(item: JsonObject) -> bytes:
    """An answer's body as compact JSON."""
    return to_json(item)
