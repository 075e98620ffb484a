"""An event as it lies in a broker: ASCII, because SQS takes no text that XML cannot hold."""

import json
from datetime import datetime

from gateway.webhooks.event import NotAnEventError, StripeEvent, read_event

FORMAT = 1


def pack(event: StripeEvent, receive_time: datetime) -> bytes:
    """The event with what the broker would not know: its corridor and when it came in."""
    content = {
        "format": FORMAT,
        "corridor": event.corridor,
        "receive_time": receive_time.isoformat(),
        "body": event.body,
    }
    return json.dumps(content).encode("ascii")


def unpack(content: bytes) -> tuple[StripeEvent, datetime]:
    """The event and when it came in. Raises `NotAnEventError` for what `pack` did not make."""
    try:
        values = json.loads(content)
        if values["format"] != FORMAT:
            raise NotAnEventError("another format")
        receive_time = datetime.fromisoformat(values["receive_time"])
        corridor, body = values["corridor"], values["body"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise NotAnEventError("not an envelope") from None
    if not isinstance(corridor, str) or not isinstance(body, str) or receive_time.tzinfo is None:
        raise NotAnEventError("not an envelope")
    return read_event(body, corridor), receive_time
