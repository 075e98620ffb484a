"""Compares ledger, Stripe, payouts and bank, and owns each difference until it is explained."""
