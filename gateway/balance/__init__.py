"""Stripe's balance: every movement of it explained, and what no event has reported booked."""
