"""Stripe's balances as the gateway's sweeps find them, and where they have drifted."""
