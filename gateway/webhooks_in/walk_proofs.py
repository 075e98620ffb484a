"""When what a round has shown may be written down as a marker.

At once, if what is acknowledged is in the inbox. With a broker it is in the broker first, and may
wait there for as long as the database is down or the relay behind; once relayed it is the
database's alone, and a marker must not have passed over it. So what a round has shown is kept until
everything that was in the broker when the round ended has been relayed, a round later at the
earliest.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.webhooks_in.brokers.broker import Broker, End
from gateway.webhooks_in.errors import BufferUnavailableError
from gateway.webhooks_in.walk_markers import Account, WalkMarkers
from runtime.logs import get_logger

# Rounds that wait for the broker at a time. The oldest are kept, so that some come to their end
# however far behind the relay is; what the others have shown, later rounds show again.
MAX_AWAITED = 12

log = get_logger(__name__)


@dataclass(frozen=True)
class Awaited:
    """What a round has shown, and where the broker ended after it."""

    walked: Mapping[Account, datetime]
    end: End


class WalkProofs:
    """What rounds have shown of one incarnation of the database, until it is written down."""

    def __init__(self, markers: WalkMarkers, broker: Broker | None) -> None:
        self._markers = markers
        self._broker = broker
        self._walked: dict[Account, datetime] = {}
        self._awaited: deque[Awaited] = deque()

    def add(self, account: Account, walked_until: datetime) -> None:
        """A round of the account was whole."""
        self._walked[account] = walked_until

    def forget(self) -> None:
        """Nothing is known of the database, because it is another."""
        self._walked.clear()
        self._awaited.clear()

    async def begin_round(self, incarnation: str) -> None:
        """Writes down what earlier rounds have shown, if the broker has nothing left of then."""
        if self._broker is None:
            return
        try:
            while self._awaited and await self._broker.is_past(self._awaited[0].end):
                await self._markers.advance(self._awaited[0].walked, incarnation)
                self._awaited.popleft()
        except BufferUnavailableError as error:
            self._wait(error)

    async def end_round(self, incarnation: str) -> None:
        """Writes down what the round has shown, or keeps it while a broker may have events."""
        walked, self._walked = self._walked, {}
        if not walked:
            return
        if self._broker is None:
            await self._markers.advance(walked, incarnation)
            return
        if len(self._awaited) == MAX_AWAITED:
            return
        try:
            self._awaited.append(Awaited(walked, await self._broker.end()))
        except BufferUnavailableError as error:
            self._wait(error)

    def _wait(self, error: BufferUnavailableError) -> None:
        assert self._broker is not None, "it is what does not answer"
        log.warning("webhook_walk_waits", broker=self._broker.name, error=error.reason)
