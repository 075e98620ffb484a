"""An append-only double-entry ledger on PostgreSQL. Knows nothing of Stripe."""
