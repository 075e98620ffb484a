"""`OperatorActService`, which each service has in its own package and with its own errors."""

from typing import Any

from runtime.acts import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, ActLog, RecordedAct
from runtime.errors import ErrorDomain
from runtime.paging import PageTokens, clamp_page_size
from runtime.rules import PAGE, mapping, text

MAX_CLIENT_BYTES = 255
# What the filter `about` may have.
MAX_THINGS, MAX_FIELD_BYTES, MAX_THING_BYTES = 4, 64, 255
RULES = [
    text("client", max_bytes=MAX_CLIENT_BYTES),
    mapping(
        "about",
        max_items=MAX_THINGS,
        max_key_bytes=MAX_FIELD_BYTES,
        max_value_bytes=MAX_THING_BYTES,
    ),
    *PAGE,
]


class ActLister:
    """Lists acts, in the messages of one package."""

    def __init__(self, acts: ActLog, errors: ErrorDomain, messages: Any) -> None:
        """`messages` is the generated module `operator_act_service_pb2` of the package."""
        self._acts = acts
        self._tokens = PageTokens(errors)
        self._messages = messages

    async def ListOperatorActs(self, request: Any, _context: Any) -> Any:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        found = await self._acts.page(
            request.client, request.about, int(position[0]) if position else None, size + 1
        )
        page = found[:size]
        return self._messages.ListOperatorActsResponse(
            acts=[self._message(one) for one in page],
            next_page_token=self._tokens.encode(request, [page[-1].number])
            if len(found) > size
            else "",
        )

    def _message(self, one: RecordedAct) -> Any:
        message = self._messages.OperatorAct(
            number=one.number,
            client=one.act.client,
            method=one.act.method,
            request_id=one.act.request_id,
            about=one.act.about,
            outcome=one.outcome,
        )
        message.begin_time.FromDatetime(one.begin_time)
        if one.end_time is not None:
            message.end_time.FromDatetime(one.end_time)
        return message
