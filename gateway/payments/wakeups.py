"""Waking those who wait for one payment, within the process."""

import contextlib
from collections.abc import Iterator

from runtime.notifications import Bell


class PaymentBells:
    """A bell for each payment that somebody in this process waits for."""

    def __init__(self) -> None:
        self._bells: dict[str, tuple[Bell, int]] = {}
        # Rings whenever any payment's bell does.
        self.any = Bell()

    @contextlib.contextmanager
    def listening(self, payment_id: str) -> Iterator[Bell]:
        """The payment's bell, for as long as the block runs."""
        bell, listeners = self._bells.get(payment_id, (Bell(), 0))
        self._bells[payment_id] = (bell, listeners + 1)
        try:
            yield bell
        finally:
            _, listeners = self._bells[payment_id]
            if listeners == 1:
                del self._bells[payment_id]
            else:
                self._bells[payment_id] = (bell, listeners - 1)

    def ring(self, payment_id: str) -> None:
        """Something happened to the payment."""
        self.any.ring()
        if payment_id in self._bells:
            self._bells[payment_id][0].ring()
