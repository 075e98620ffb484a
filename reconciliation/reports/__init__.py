"""Stripe's financial reports against what its API lists and the balance that follows from it."""
