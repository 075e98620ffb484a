"""What a message broker has to do for us, as an interface."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


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


class Broker(Protocol):
    """A durable queue. One taker at a time: `Carrier` sees to that with a lock.

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

    async def check(self) -> None:
        """Returns if the broker answers."""
        ...

    async def close(self) -> None:
        """Ends what is in flight and the connections."""
        ...
