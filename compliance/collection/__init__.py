"""Asks merchants for what Stripe wants of them, in time and no more often than it helps."""
