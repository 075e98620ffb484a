"""The URLs that the twin knows. Looked up by method and path without regular expressions."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.stripe_twin.call import Call
from sandbox.stripe_twin.store import JsonObject

Handler = Callable[[Call], JsonObject]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `params` names the SDK's parameter type that its parameters must satisfy."""

    method: str
    pattern: str
    handler: Handler
    params: str


class Router:
    """Finds the route of a request; a fixed segment wins over a named one."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self._fixed: dict[tuple[str, str], Route] = {}
        self._named: dict[tuple[str, int], list[tuple[list[str], Route]]] = defaultdict(list)
        for route in routes:
            segments = route.pattern.split("/")
            if "{" in route.pattern:
                self._named[route.method, len(segments)].append((segments, route))
            else:
                self._fixed[route.method, route.pattern] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and the named parts of the path."""
        route = self._fixed.get((method, path))
        if route is not None:
            return route, {}
        given = path.split("/")
        for segments, candidate in self._named.get((method, len(given)), ()):
            parts = _match(segments, given)
            if parts is not None:
                return candidate, parts
        return None


def _match(segments: list[str], given: list[str]) -> dict[str, str] | None:
    parts: dict[str, str] = {}
    for segment, value in zip(segments, given, strict=True):
        if segment.startswith("{"):
            if not value:
                return None
            parts[segment[1:-1]] = value
        elif segment != value:
            return None
    return parts
