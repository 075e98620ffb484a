"""Waking those who wait within a process.

Nothing depends on a wake-up: whoever waits looks by itself after a while, too.
"""

import asyncio
import contextlib
from collections.abc import Iterator


class Notifier:
    """Wakes everybody who waits. Take a token, look, then wait: no notification is missed."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def token(self) -> asyncio.Event:
        """The notification that comes next."""
        return self._next

    def notify(self) -> None:
        """Wakes all who hold a token."""
        self._next.set()
        self._next = asyncio.Event()

    @staticmethod
    async def wait(token: asyncio.Event, seconds: float) -> None:
        """Returns when notified, at the latest after that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await token.wait()


class SubjectNotifiers:
    """A notifier for each subject that somebody in this process waits for."""

    def __init__(self) -> None:
        self._notifiers: dict[str, tuple[Notifier, int]] = {}
        # Notified whenever any subject's notifier is.
        self.any = Notifier()

    @contextlib.contextmanager
    def listening(self, subject_id: str) -> Iterator[Notifier]:
        """The subject's notifier, for as long as the block runs."""
        notifier, listeners = self._notifiers.get(subject_id, (Notifier(), 0))
        self._notifiers[subject_id] = (notifier, listeners + 1)
        try:
            yield notifier
        finally:
            _, listeners = self._notifiers[subject_id]
            if listeners == 1:
                del self._notifiers[subject_id]
            else:
                self._notifiers[subject_id] = (notifier, listeners - 1)

    def notify(self, subject_id: str) -> None:
        """Something happened to the subject."""
        self.any.notify()
        if subject_id in self._notifiers:
            self._notifiers[subject_id][0].notify()
