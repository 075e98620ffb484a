"""What a message broker has to do for us, as an interface, and how an event lies in one.

It is ASCII, because SQS takes no text that XML cannot hold.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from gateway.webhooks_in.event import NotAnEventError, StripeEvent, read_event

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


@dataclass(frozen=True)
class Letter:
    """What is given to a broker."""

    content: bytes
    subject: str
    """Letters with the same subject come out in the order in which they were taken in."""
    unique_id: str
    """The same for the same event; the broker drops the repetitions that it can recognise."""


@dataclass(frozen=True)
class Delivery:
    """What a broker gives back."""

    content: bytes
    position: str
    """Where it lies in the broker, for operators."""
    receipt: Any
    """What the broker wants back as acknowledgement."""


# Where a broker ends, in numbers of its own.
End = tuple[int, ...]


class Broker(Protocol):
    """A durable queue. One taker at a time: `BrokerRelay` sees to that with a lock.

    All methods raise `BufferUnavailableError` when the broker does not do as asked, within
    seconds. None of them waits for a broker that is known to be away.
    """

    name: str

    async def publish(self, letter: Letter) -> bool:
        """Returns when the letter is kept durably; False if it is known to have been there.
        Raises `EventTooLargeError` as well."""
        ...

    async def rewind(self) -> None:
        """From now on `take` begins with the oldest letter that is not acknowledged."""
        ...

    async def take(self, limit: int) -> list[Delivery]:
        """The next letters, in order per subject; none after a second without any."""
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """They never come again. All that were taken are acknowledged, in order, or rewound."""
        ...

    async def waiting(self) -> int:
        """About how many letters are not acknowledged."""
        ...

    async def end(self) -> End:
        """Where it ends now, behind every letter for which `publish` has returned."""
        ...

    async def is_past(self, end: End) -> bool:
        """Whether every letter before an end is acknowledged; False as well if it cannot tell."""
        ...

    async def check(self) -> None:
        """Returns if the broker answers."""
        ...

    async def close(self) -> None:
        """Ends what is in flight and the connections."""
        ...
