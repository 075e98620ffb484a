"""Merchants: connected accounts at Stripe and what was last seen of them."""
