"""Payouts: money that goes from a Stripe balance to a bank."""
