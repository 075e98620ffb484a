"""How far a run is, in payments; what its troubles wait for."""

import asyncio


class Progress:
    """Payments begin in their order."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self._changed = asyncio.Event()
        self._over = False

    def begin(self, number: int) -> None:
        """A payment is about to be made."""
        self.begun = max(self.begun, number)
        self._tell()

    def end(self) -> None:
        """Its client has done all it will do."""
        self.ended += 1

    def finish(self) -> None:
        """There are no more: nobody waits any longer."""
        self._over = True
        self._tell()

    @property
    def over(self) -> bool:
        """Whether all of them have ended."""
        return self._over

    async def reached(self, number: int) -> None:
        """Waits until a payment begins, or all have."""
        while self.begun < number and not self._over:
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
