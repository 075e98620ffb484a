"""Durable operations on disputes and payouts: written down before Stripe is asked."""
