"""The durable buffer between intake and processing, as an interface.

PostgreSQL is behind it now (`gateway.webhooks.inbox`); a broker can be put there, so that intake
goes on while the database is down.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gateway.webhooks.event import StripeEvent


@dataclass(frozen=True)
class ClaimedEvent:
    """An event that this worker may deal with until its lease ends."""

    event: StripeEvent
    sequence: int
    attempt: int
    """This attempt's number, from 1; attempts that ended in a crash count."""
    fencing_token: int
    """Whoever claims the event later has a larger one; with a smaller one nothing can be
    written."""


class Buffer(Protocol):
    """Keeps events from intake until they are dealt with."""

    async def store(self, event: StripeEvent) -> bool:
        """Keeps the event durably; False if it was there already. Raises if it cannot."""
        ...

    async def claim(self, limit: int, lease: timedelta) -> list[ClaimedEvent]:
        """At most `limit` events that are due, the oldest of each subject only."""
        ...

    async def finish(self, claim: ClaimedEvent) -> bool:
        """The event is dealt with; False if the lease was lost to another worker."""
        ...

    async def retry(self, claim: ClaimedEvent, reason: str, next_attempt_time: datetime) -> bool:
        """The event comes back at that time; later ones of its subject wait. False as above."""
        ...

    async def wait_out(self, claim: ClaimedEvent, reason: str, next_attempt_time: datetime) -> bool:
        """Like `retry`, but the attempt does not count. False as above."""
        ...

    async def postpone(self, claim: ClaimedEvent, reason: str, next_attempt_time: datetime) -> bool:
        """The event comes back at that time, behind the later ones of its subject. False as
        above."""
        ...

    async def bury(self, claim: ClaimedEvent, reason: str) -> bool:
        """The event is given up and kept as a dead letter. False as above."""
        ...
