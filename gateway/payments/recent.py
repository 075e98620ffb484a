"""Payments as this process wrote them last, so that news about them need not read them first.

What is here may be out of date, because others change payments, too. It is good for two things: to
decide from, where what is decided is only written if the revision still stands; and to see that
news is old, because a payment never comes back from where it has been.
"""

from collections import OrderedDict

from gateway.payments.payment import Payment

# A few kilobytes each. News of a charge comes within seconds, mostly.
MAX_RECENT = 2_000


class RecentPayments:
    """The latest of them, by their PaymentIntent."""

    def __init__(self) -> None:
        self._payments: OrderedDict[str, Payment] = OrderedDict()

    def __len__(self) -> int:
        return len(self._payments)

    def remember(self, payment: Payment) -> None:
        """The payment was written like this; the one that was written longest ago makes room."""
        if not payment.payment_intent_id:
            return
        self._payments[payment.payment_intent_id] = payment
        self._payments.move_to_end(payment.payment_intent_id)
        if len(self._payments) > MAX_RECENT:
            self._payments.popitem(last=False)

    def of_intent(self, payment_intent_id: str) -> Payment | None:
        """The payment that a PaymentIntent belongs to, if it is here."""
        return self._payments.get(payment_intent_id)
