"""What payments ask of Stripe and compliance, and what they learn from Stripe's events."""
