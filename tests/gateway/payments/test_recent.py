"""What a process remembers of the payments that it wrote."""

from gateway.payments.store.snapshot import MAX_RECENT, RecentPayments
from tests.gateway.payments.test_states import new_payment


def test_recent_payments_make_room_for_later_ones() -> None:
    recent = RecentPayments()
    for number in range(MAX_RECENT + 1):
        recent.remember(new_payment(payment_intent_id=f"pi_{number}"))
        recent.remember(new_payment(payment_intent_id="pi_1"))
        recent.remember(new_payment())
    assert len(recent) == MAX_RECENT
    assert recent.of_intent("pi_0") is None
    assert recent.of_intent("pi_1") is not None
    assert recent.of_intent("") is None
