"""Stripe's webhooks: taken in, kept, and dealt with in order."""
