"""Checks of people's identity by Stripe Identity: sessions, and what came of them."""
