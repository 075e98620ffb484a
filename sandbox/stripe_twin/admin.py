"""The admin API under `/_twin`: faults, clock, webhooks, 3-D Secure, the judge. JSON in and out.

It has no authentication, which is why the twin listens on the loopback interface only.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import ValidationError

if TYPE_CHECKING:
    from sandbox.stripe_twin.twin import Twin


@dataclass(frozen=True, slots=True)
class AdminCall:
    """One admin request. `rest` is the path behind the name of the endpoint."""

    twin: "Twin"
    rest: tuple[str, ...]
    query: dict[str, str]
    body: bytes
    wants_page: bool

    def json(self) -> Any:
        """The body. Raises ValueError."""
        return json.loads(self.body)


AdminHandler = Callable[[AdminCall], Any]


class AdminApi:
    """Answers admin requests for one twin; `handlers` are by method and endpoint."""

    def __init__(self, twin: "Twin", handlers: dict[tuple[str, str], AdminHandler]) -> None:
        self._twin = twin
        self._handlers = handlers

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request.

        400: a bad body; 404: an unknown URL or object; 409: a step that does not fit the state.
        """
        segments = (*request.path.strip("/").split("/")[1:], "")
        handler = self._handlers.get((request.method, segments[0]))
        if handler is None:
            return _answer({"error": f"no {request.method} {request.path}"}, 404)
        call = AdminCall(
            twin=self._twin,
            rest=tuple(segment for segment in segments[1:] if segment),
            query=dict(request.query),
            body=await request.read(),
            wants_page="text/html" in request.headers.get("Accept", ""),
        )
        try:
            answer = handler(call)
            if segments[:2] == ("webhooks", "drain"):
                await self._twin.webhooks.drained()
        except (ValidationError, json.JSONDecodeError) as error:
            return _answer({"error": str(error)}, 400)
        except LookupError as error:
            return _answer({"error": f"not found: {error}"}, 404)
        except ValueError as error:
            return _answer({"error": str(error)}, 409)
        return answer if isinstance(answer, web.StreamResponse) else _answer(answer, 200)


def _answer(body: Any, status: int) -> web.Response:
    return web.json_response(body, status=status)
