"""How often a client asks."""

import itertools
from collections.abc import Iterator


class Patience:
    """How many more tries a client makes in vain, whatever it asks for."""

    def __init__(self, tries: int) -> None:
        self._left = tries

    def attempts(self) -> Iterator[int]:
        """Numbers the attempts of one question; each but its last was in vain."""
        for attempt in itertools.count():
            if self._left == 0:
                return
            self._left -= 1
            yield attempt

    def not_in_vain(self) -> None:
        """Takes back the attempt that was answered."""
        self._left += 1
