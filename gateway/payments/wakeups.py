"""Waking those who wait for one payment, within the process."""

import contextlib
from collections.abc import Iterator

from runtime.notifications import Notifier


class PaymentNotifiers:
    """A notifier for each payment that somebody in this process waits for."""

    def __init__(self) -> None:
        self._notifiers: dict[str, tuple[Notifier, int]] = {}
        # Notified whenever any payment's notifier is.
        self.any = Notifier()

    @contextlib.contextmanager
    def listening(self, payment_id: str) -> Iterator[Notifier]:
        """The payment's notifier, for as long as the block runs."""
        notifier, listeners = self._notifiers.get(payment_id, (Notifier(), 0))
        self._notifiers[payment_id] = (notifier, listeners + 1)
        try:
            yield notifier
        finally:
            _, listeners = self._notifiers[payment_id]
            if listeners == 1:
                del self._notifiers[payment_id]
            else:
                self._notifiers[payment_id] = (notifier, listeners - 1)

    def notify(self, payment_id: str) -> None:
        """Something happened to the payment."""
        self.any.notify()
        if payment_id in self._notifiers:
            self._notifiers[payment_id][0].notify()
