"""When to look at a PaymentIntent that is `processing`: a bank decides about it within hours or
days, and Stripe tells by an event. Looking is for the event that was lost. Pure.

Bank debits take days, cards with an Indian mandate 26 hours and more:
https://docs.stripe.com/payments/payment-intents/verifying-status
https://docs.stripe.com/india-recurring-payments
"""

from datetime import datetime, timedelta

# No payment is looked at more often, so that 1,000 of them cost at most 1,000 / 1,800 seconds.
SHORTEST_WAIT = timedelta(minutes=30)
# However long it takes, news that was lost is found within twice this time.
LONGEST_WAIT = timedelta(hours=6)
# Each wait is at least this part of the time that it has been processing for.
LOOKS_PER_DOUBLING = 4
# However many payments are being processed, and whatever fell due while nobody could look.
SHORTEST_PAUSE = timedelta(milliseconds=1_100)


def next_look_time(since: datetime, now: datetime, jitter: float) -> datetime:
    """When to look next at a payment that has been processing `since` then. `jitter`, uniform in
    [0, 1), spreads payments that began together over as long as the wait itself."""
    assert 0.0 <= jitter < 1.0, "jitter is a fraction"
    wait = min(max((now - since) / LOOKS_PER_DOUBLING, SHORTEST_WAIT), LONGEST_WAIT)
    return now + wait * (1.0 + jitter)
