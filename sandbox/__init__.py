"""The whole engine on one machine without accounts: embedded PostgreSQL, Stripe twin, demo."""
