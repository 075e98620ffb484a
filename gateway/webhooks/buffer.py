"""The durable buffer between intake and processing, as an interface.

Whatever is behind it, an event ends up in the inbox (`gateway.webhooks.inbox`), where it is put in
order, worked on, given up and replayed. PostgreSQL is the default, and then the buffer is the
inbox itself; a broker in front of it (`gateway.webhooks.brokers`) lets intake go on while the
database is down.
"""

from typing import Protocol

from gateway.webhooks.event import StripeEvent


class BufferUnavailableError(Exception):
    """The event may not have been stored, or nothing can be taken out: try again later.

    `reason` names the kind of problem and quotes nothing.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EventTooLargeError(Exception):
    """The buffer takes no event of this size, however often it is tried."""


class Buffer(Protocol):
    """Keeps events from the moment that Stripe is told 200."""

    async def store(self, event: StripeEvent) -> bool:
        """Returns when the event is kept durably; False if it is known to have been there.

        True says nothing: the inbox is what finds every duplicate. Raises
        `BufferUnavailableError` and `EventTooLargeError`; then Stripe must not be told 200.
        """
        ...

    async def check(self) -> None:
        """Returns if `store` can be expected to work, and raises if not; for health."""
        ...

    async def close(self) -> None:
        """Ends what is in flight and the connections."""
        ...
