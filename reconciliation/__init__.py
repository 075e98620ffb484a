"""Compares the ledger, Stripe, payouts and the bank, and owns every difference until it is explained."""
