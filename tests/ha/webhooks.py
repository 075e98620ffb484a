"""What becomes of Stripe's webhooks meanwhile."""

import asyncio
import time

from tests.chaos.twin import ChaosTwin
from tests.ha.load import Record

LOOK_SECONDS = 0.25


class Webhooks:
    """`refused` is how many attempts to deliver one were answered otherwise than with success."""

    def __init__(self, twin: ChaosTwin) -> None:
        self.refused = 0
        self._twin = twin
        self._record = Record()

    async def watch(self) -> None:
        """Looks at what was delivered until it is cancelled."""
        seen = len(await self._twin.deliveries())
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            attempts = (await self._twin.deliveries())[seen:]
            seen += len(attempts)
            taken = [one for one in attempts if one["status"] is not None and one["status"] < 300]
            self.refused += len(attempts) - len(taken)
            if taken:
                self._record.answered.append(time.monotonic())

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time without one that was taken, in seconds; exact to a look."""
        return self._record.longest_gap(since, until)
