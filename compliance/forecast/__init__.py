"""When Stripe will stop a merchant's charges or payouts, and what became of each such forecast."""
